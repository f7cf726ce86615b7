//! What pages do: signing in and out, registering by form and by YAML, stopping and lifting, and what every page keeps to.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

use super::attack::REAL;
use super::house::House;
use super::matrix::address;
use crate::table;

#[tokio::test]
async fn a_link_signs_in_once_and_signing_out_ends_it() {
    let house = House::new().await;
    let org = house.org("acme");
    let admin = house
        .issuer
        .check_session(&org, &house.secrets[&("acme", "admin")])
        .await
        .unwrap();
    let link = house
        .issuer
        .create_enrolment(&org, &admin.identity(), &admin.person.id)
        .await
        .unwrap();
    let send = || {
        House::form(
            "/sign-in/link",
            "",
            &[("code", link.link.expose_secret()), ("next", "/agents")],
        )
    };
    let signed = house.send(send()).await;
    assert_eq!((signed.status, signed.header("location")), (303, "/agents"));
    let cookie = signed.header("set-cookie");
    for attribute in [
        "__Host-remit-acme=rmt_ses_",
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/",
    ] {
        assert!(cookie.contains(attribute), "{attribute} in {cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(house.get("/agents", &cookie).await.status, 200);
    let again = house.send(send()).await;
    assert_eq!(again.status, 401);
    assert!(
        again.text.contains("could not be signed in") || again.text.contains("not known"),
        "{}",
        again.text
    );
    let csrf = house.get("/settings/look", &cookie).await.csrf();
    let out = house
        .send(House::form("/sign-out", &cookie, &[("csrf", &csrf)]))
        .await;
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(house.get("/agents", &cookie).await.status, 303);
}

const FORM: [(&str, &str); 12] = [
    ("name", "new-bot"),
    ("purpose", "tries"),
    ("business_process", "trying"),
    ("owner", "developer@acme.example"),
    ("sponsor", "nobody@acme.example"),
    ("model", "m"),
    ("provider", "p"),
    ("runtime", "laptop"),
    ("environment", "development"),
    ("systems", "shop"),
    ("tier", "2"),
    ("expected_read", "1"),
];

#[tokio::test]
async fn an_agent_is_registered_by_form_and_by_yaml_under_the_same_rules() {
    let house = House::new().await;
    let made = house.post("/agents/new", "developer", &FORM).await;
    assert_eq!(
        (made.status, made.header("location")),
        (303, "/agents/new-bot?done=registered"),
        "{}",
        made.text
    );
    let page = house
        .open("/agents/new-bot?done=registered", "developer")
        .await;
    assert!(page.text.contains("Registered as a draft") && page.text.contains("this is missing"));
    let twice = house.post("/agents/new", "developer", &FORM).await;
    assert_eq!(twice.status, 409);
    assert!(
        twice.text.contains("is here already") && twice.text.contains("value=\"tries\""),
        "what was typed is kept"
    );
    // The same fault by either way.
    let mut wrong = FORM;
    wrong[0].1 = "other-bot";
    wrong[4].1 = "gone@acme.example";
    let by_form = house.post("/agents/new", "developer", &wrong).await;
    assert_eq!(by_form.status, 400);
    assert!(by_form.text.contains("gone@acme.example"));
    let yaml = house.open("/agents/new-bot/yaml", "developer").await.text;
    assert!(yaml.contains("kind: Agent"));
    let document = "apiVersion: remit.dev/v1\nkind: Agent\nmetadata: { name: third-bot }\nspec: { owner: developer@acme.example, sponsor: nobody@acme.example, purpose: p, business_process: b, model: m, provider: p, runtime: r, environment: development, systems: [shop], tier: 9 }\n";
    for who in ["developer", "admin"] {
        let refused = house
            .post(
                "/agents/new",
                who,
                &[("way", "yaml"), ("document", document)],
            )
            .await;
        assert_eq!(refused.status, 400, "{who}");
        assert!(refused.text.contains("line "), "{}", refused.text);
    }
    let good = document.replace("tier: 9", "tier: 2");
    for (who, name) in [("developer", "third-bot"), ("admin", "fourth-bot")] {
        let applied = house
            .post(
                "/agents/new",
                who,
                &[
                    ("way", "yaml"),
                    ("document", &good.replace("third-bot", name)),
                ],
            )
            .await;
        assert_eq!(applied.status, 303, "{}", applied.text);
        assert_eq!(
            house
                .open(&format!("/agents/{name}"), "nobody")
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn stopping_shows_what_it_stops_and_is_proved_and_lifted() {
    let house = House::new().await;
    assert!(
        house
            .open("/", "responder")
            .await
            .text
            .contains("id=\"stop\"")
    );
    assert!(
        !house
            .open("/", "developer")
            .await
            .text
            .contains("id=\"stop\"")
    );
    let preview = house.open("/stop?agent=returns-bot", "responder").await;
    assert!(preview.text.contains("What stopping") && preview.text.contains("Quarantine now"));
    let kill = [
        ("agent", "returns-bot"),
        ("level", "kill"),
        ("target", "agent returns-bot"),
        ("confirm", "x"),
        ("reason", "r"),
    ];
    let refused = house.post("/stop", "responder", &kill).await;
    assert_eq!(refused.status, 400);
    let stop = [
        ("agent", "returns-bot"),
        ("level", "quarantine"),
        ("reason", "drill"),
    ];
    let done = house.post("/stop", "responder", &stop).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let at = done.header("location").to_owned();
    let page = house.open(&at, "responder").await;
    assert!(page.text.contains("Certificate") && page.text.contains("drill"));
    let lift = format!("{}/lift", at.split('?').next().unwrap());
    let lifted = house.post(&lift, "responder", &[("reason", "over")]).await;
    assert_eq!(lifted.status, 303, "{}", lifted.text);
}

#[tokio::test]
async fn a_policy_that_does_not_compile_never_goes_live() {
    let house = House::new().await;
    let caller = house.caller("acme", "admin").await;
    let spec = remit_control::spec::PolicySetSpec {
        text: "forbid(principal, action, resource) when { false };".to_owned(),
        enabled: true,
    };
    house
        .control
        .put_policy_set(&caller, &"extra".parse().unwrap(), spec, None)
        .await
        .unwrap();
    let revision = house
        .control
        .policy_set(&caller, &"extra".parse().unwrap())
        .await
        .unwrap()
        .revision
        .to_string();
    let wrong = house
        .post(
            "/policies/sets/extra",
            "admin",
            &[
                ("text", "permit(principal,"),
                ("enabled", "1"),
                ("revision", &revision),
            ],
        )
        .await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert!(
        wrong.text.contains("permit(principal,</textarea>"),
        "what was typed is kept"
    );
    let checked = house
        .post(
            "/policies/sets/extra/check",
            "developer",
            &[("text", "forbid(principal, action, resource);")],
        )
        .await;
    assert!(checked.text.contains("Nothing was changed"));
    assert_eq!(
        house
            .control
            .policy_set(&caller, &"extra".parse().unwrap())
            .await
            .unwrap()
            .revision
            .to_string(),
        revision
    );
}

#[tokio::test]
async fn every_page_keeps_to_what_assistive_technology_needs() {
    let house = House::new().await;
    let mut paths: Vec<String> = table::all()
        .iter()
        .filter(|r| r.method == Method::GET && r.path != "/live")
        .map(address)
        .collect();
    paths.extend(REAL.map(ToOwned::to_owned));
    for path in paths {
        let answer = house.open(&path, "admin").await;
        if answer.header("content-type") != "text/html; charset=utf-8" || answer.status == 303 {
            continue;
        }
        let html = &answer.text;
        assert!(
            html.starts_with("<!doctype html>") && html.contains("<html lang=\"en\""),
            "{path}"
        );
        for once in [
            "<main id=\"main\"",
            "<h1",
            "<title>",
            "role=\"status\" aria-live",
        ] {
            assert!(html.contains(once), "{path} has no {once}");
        }
        assert_eq!(html.matches("<main").count(), 1, "{path}");
        let mut ids = BTreeSet::new();
        for id in html
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            assert!(ids.insert(id), "{path} has the id {id} twice");
        }
        for table in html.split("<table").skip(1) {
            assert!(
                table.contains("<caption"),
                "{path} has a table without a caption"
            );
        }
        for field in html
            .split("<label for=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            assert!(
                ids.contains(field),
                "{path}: a label for {field}, which is not there"
            );
        }
    }
}

#[tokio::test]
async fn commands_that_pages_tell_are_there() {
    let reference = include_str!("../../../../docs/reference/cli.md");
    let house = House::new().await;
    let mut paths: Vec<String> = table::all()
        .iter()
        .filter(|r| r.method == Method::GET && !r.path.starts_with("/help"))
        .map(address)
        .collect();
    paths.extend(
        REAL.iter()
            .filter(|p| !p.starts_with("/help"))
            .map(ToString::to_string),
    );
    let mut told = 0;
    for path in paths {
        let answer = house.open(&path, "admin").await;
        for command in answer
            .text
            .split("<code>remit ")
            .skip(1)
            .filter_map(|rest| rest.split('<').next())
        {
            let words: Vec<&str> = command.split_whitespace().collect();
            let long = format!(
                "## `remit {}`",
                words.iter().take(2).copied().collect::<Vec<_>>().join(" ")
            );
            let short = format!("## `remit {}`\n", words.first().unwrap_or(&""));
            let leaf =
                reference.contains(&short) && !reference.contains(&short.replace("`\n", " "));
            assert!(
                reference.contains(&long) || leaf,
                "{path} tells `remit {command}`, which is no command"
            );
            told += 1;
        }
    }
    assert!(told > 20, "{told}");
}

#[tokio::test]
async fn the_first_page_is_small_and_files_are_kept() {
    let house = House::new().await;
    let cookie = house.cookie("acme", "acme", "admin");
    let page = house.open("/", "admin").await.text;
    let mut paths: Vec<String> = page
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .map(ToOwned::to_owned)
        .collect();
    assert!(paths.len() >= 4, "{paths:?}");
    paths.push("/".to_owned());
    let mut total = 0;
    for path in paths {
        let request = Request::get(&path)
            .header("cookie", &cookie)
            .header("accept-encoding", "gzip")
            .body(Body::empty())
            .unwrap();
        let response = house.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let cache = response.headers()["cache-control"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            cache,
            if path == "/" {
                "no-store"
            } else {
                "public, max-age=31536000, immutable"
            }
        );
        total += response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .len();
    }
    assert!(total < 60 * 1024, "{total} bytes");
    assert_eq!(house.get("/assets/../Cargo.toml", "").await.status, 404);
    assert_eq!(house.get("/assets/console.css", "").await.status, 404);
}

#[tokio::test]
async fn news_is_a_stream_for_whoever_is_signed_in() {
    let house = House::new().await;
    let answer = house.open("/live", "approver").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/event-stream")
    );
    let request = Request::get("/live")
        .header("cookie", house.cookie("acme", "acme", "approver"))
        .body(Body::empty())
        .unwrap();
    let mut body = house
        .router
        .clone()
        .oneshot(request)
        .await
        .unwrap()
        .into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let first = String::from_utf8(first.to_vec()).unwrap();
    assert!(
        first.contains("id: ") && first.contains("count-approvals"),
        "{first}"
    );
    // Whoever is told so already is told nothing until something changes.
    let id = first
        .lines()
        .find_map(|l| l.strip_prefix("id: "))
        .unwrap()
        .to_owned();
    let request = Request::get("/live")
        .header("cookie", house.cookie("acme", "acme", "approver"))
        .header("last-event-id", id)
        .body(Body::empty())
        .unwrap();
    let mut body = house
        .router
        .clone()
        .oneshot(request)
        .await
        .unwrap()
        .into_body();
    let org = house.org("acme");
    let change = remit_control::finding_change(
        &house.books,
        &org,
        remit_domain::finding::FindingKind::Stale,
        "x",
        "t",
    )
    .await
    .unwrap();
    house.books.commit(&org, change).await.unwrap();
    let next = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let next = String::from_utf8(next.to_vec()).unwrap();
    assert_ne!(
        next.lines().find(|l| l.starts_with("id: ")),
        first.lines().find(|l| l.starts_with("id: "))
    );
    assert!(next.contains("id=\"count-findings\""), "{next}");
}
