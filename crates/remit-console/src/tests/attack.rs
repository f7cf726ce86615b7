//! Attacks on the pages: forged forms, hostile text, addresses that lead elsewhere.

use axum::body::Body;
use axum::http::{Method, Request};

use super::house::{EVIL, House, URL};
use super::matrix::address;
use crate::table;

/// Something that a forged form would do: name the developer's agent retired.
const PATH: &str = "/agents/returns-bot/retire";
const WHAT: [(&str, &str); 2] = [("confirm", "returns-bot"), ("reason", "forged")];

async fn state(house: &House) -> String {
    let caller = house.caller("acme", "admin").await;
    house
        .control
        .agent(&caller, &"returns-bot".parse().unwrap())
        .unwrap()
        .state
        .as_str()
        .to_owned()
}

#[tokio::test]
async fn a_form_without_this_sessions_token_does_nothing() {
    let house = House::new().await;
    let cookie = house.cookie("acme", "acme", "admin");
    let theirs = house.open("/settings/look", "developer").await.csrf();
    let good = house.open("/settings/look", "admin").await.csrf();
    for token in ["", "x", theirs.as_str(), &good[..good.len() - 4]] {
        let mut pairs = vec![("csrf", token)];
        pairs.extend(WHAT);
        let answer = house.send(House::form(PATH, &cookie, &pairs)).await;
        assert_eq!(answer.status, 403, "{token}");
        // What was typed is not lost, and is sent only by hand.
        assert!(answer.text.contains("Send it again?") && answer.text.contains("value=\"forged\""));
        assert_eq!(state(&house).await, "draft");
    }
    let answer = house.post(PATH, "admin", &WHAT).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/agents/returns-bot?done=retired")
    );
    assert_eq!(state(&house).await, "retired");
}

#[tokio::test]
async fn what_does_not_come_from_a_page_of_ours_does_nothing() {
    let house = House::new().await;
    let cookie = house.cookie("acme", "acme", "admin");
    let csrf = house.open("/settings/look", "admin").await.csrf();
    let body = format!("csrf={csrf}&confirm=returns-bot&reason=r");
    for headers in [
        vec![],
        vec![("sec-fetch-site", "cross-site"), ("origin", URL)],
        vec![("sec-fetch-site", "same-site"), ("origin", URL)],
    ] {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(PATH)
            .header("cookie", &cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = house
            .send(request.body(Body::from(body.clone())).unwrap())
            .await;
        assert_eq!(answer.status, 403, "{}", answer.text);
    }
    for kind in ["text/plain", "multipart/form-data", "application/json"] {
        let mut request = House::form(PATH, &cookie, &[]);
        request
            .headers_mut()
            .insert("content-type", kind.parse().unwrap());
        *request.body_mut() = Body::from(body.clone());
        assert_eq!(house.send(request).await.status, 400, "{kind}");
    }
    assert_eq!(state(&house).await, "draft");
}

#[tokio::test]
async fn tokens_are_another_text_in_every_answer() {
    let house = House::new().await;
    let first = house.open("/settings/look", "admin").await.csrf();
    assert_ne!(first, house.open("/settings/look", "admin").await.csrf());
}

#[tokio::test]
async fn no_page_needs_anything_inline_and_every_answer_says_so() {
    let house = House::new().await;
    let mut paths: Vec<String> = table::all()
        .iter()
        .filter(|r| r.method == Method::GET)
        .map(address)
        .collect();
    paths.extend(REAL.map(ToOwned::to_owned));
    for path in paths {
        let answer = house.open(&path, "admin").await;
        let csp = answer.header("content-security-policy");
        assert!(
            csp.contains("default-src 'none'")
                && csp.contains("script-src 'self'")
                && csp.contains("style-src 'self'")
                && !csp.contains("unsafe"),
            "{path}: {csp}"
        );
        assert!(
            csp.contains("frame-ancestors 'none'")
                && csp.contains("form-action 'self'")
                && csp.contains("base-uri 'none'"),
            "{path}"
        );
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        if !answer.header("content-type").starts_with("text/html") {
            continue;
        }
        let html = &answer.text;
        assert!(
            !html.contains("<style") && !html.contains(" style=") && !html.contains("javascript:"),
            "{path}"
        );
        for script in html.split("<script").skip(1) {
            assert!(
                script.trim_start().starts_with("src=\"/assets/"),
                "{path}: a script without a file"
            );
        }
        for tag in html
            .split('<')
            .skip(1)
            .filter_map(|rest| rest.split('>').next())
        {
            // Without what stands in quotes, which no text can leave: a quote in it is escaped.
            let names: String = tag.split('"').step_by(2).collect();
            assert!(
                !names
                    .split_whitespace()
                    .skip(1)
                    .any(|name| name.starts_with("on")),
                "{path}: {tag}"
            );
        }
    }
}

/// Pages of records that are there, with hostile text in them.
pub(super) const REAL: [&str; 17] = [
    "/agents/returns-bot",
    "/agents/returns-bot/access",
    "/agents/returns-bot/activity",
    "/agents/returns-bot/history",
    "/agents/returns-bot/yaml",
    "/agents/returns-bot/suspend",
    "/tools/orders/status",
    "/upstreams/orders",
    "/settings/people/developer@acme.example",
    "/settings/sessions",
    "/stop?agent=returns-bot",
    "/stop?agent=returns-bot&level=kill",
    "/connect/client?agent=returns-bot",
    "/search?q=bot",
    "/help/guides/policy",
    "/help/api?at=get+/agents",
    "/audit/3",
];

#[tokio::test]
async fn hostile_text_is_shown_harmlessly_everywhere() {
    let house = House::new().await;
    let evil: String = url::form_urlencoded::byte_serialize(EVIL.as_bytes()).collect();
    let mut paths: Vec<String> = REAL.map(ToOwned::to_owned).to_vec();
    paths.extend(
        [
            "/",
            "/agents",
            "/tools",
            "/upstreams",
            "/settings/people",
            "/mine",
            "/access",
        ]
        .map(ToOwned::to_owned),
    );
    // Whatever stands in the address comes back into filters, links and titles.
    for page in [
        "/agents?q=",
        "/search?q=",
        "/audit?agent=",
        "/runs?agent=",
        "/findings?state=",
        "/tools?upstream=",
        "/access?tool=",
        "/connect/client?agent=returns-bot&key=",
        "/access/explain?agent=",
        "/help/api?q=",
        "/sign-in?again=1&next=",
        "/stop?agent=",
    ] {
        paths.push(format!("{page}{evil}"));
    }
    let mut shown = 0;
    for who in ["admin", "auditor"] {
        for path in &paths {
            let answer = house.open(path, who).await;
            assert!(answer.status < 500, "{path}: {}", answer.text);
            for raw in [
                "<script>alert",
                "<img src=x",
                "\" onmouseover=\"",
                "\u{202e}",
                "\u{1b}",
            ] {
                assert!(!answer.text.contains(raw), "{path} as {who} has {raw:?}");
            }
            shown += usize::from(
                answer.text.contains("&#60;script&#62;alert(1)")
                    || answer.text.contains("&lt;script&gt;alert(1)"),
            );
        }
    }
    assert!(
        shown > 10,
        "hostile text was looked at on {shown} pages only"
    );
}

#[tokio::test]
async fn signing_in_leads_nowhere_else() {
    let house = House::new().await;
    for next in [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: x=y",
    ] {
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let answer = house.open(&format!("/sign-in?next={query}"), "admin").await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/"),
            "{next}"
        );
    }
    let answer = house
        .open("/sign-in?next=/agents%3Fstate%3Dactive", "admin")
        .await;
    assert_eq!(answer.header("location"), "/agents?state=active");
}

#[tokio::test]
async fn a_form_has_limits() {
    let house = House::new().await;
    let cookie = house.cookie("acme", "acme", "admin");
    let long = "x".repeat(crate::limits::FORM_BYTES_MAX);
    assert_eq!(
        house
            .send(House::form(PATH, &cookie, &[("reason", &long)]))
            .await
            .status,
        413
    );
    let many: Vec<(&str, &str)> =
        std::iter::repeat_n(("a", "b"), crate::limits::FORM_FIELDS_MAX + 1).collect();
    assert_eq!(
        house.send(House::form(PATH, &cookie, &many)).await.status,
        413
    );
}
