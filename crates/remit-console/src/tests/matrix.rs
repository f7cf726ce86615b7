//! Every route with every role, without a session, and with another organization's, from the table itself.

use std::collections::BTreeMap;

use axum::http::Method;

use super::house::{Answer, House, PEOPLE};
use crate::route::{Route, Who};
use crate::table;

/// An address of the route with something harmless in every place that varies.
pub(super) fn address(route: &Route) -> String {
    let mut path = route.path.to_owned();
    for (name, value) in [
        ("{thumbprint}", "no-such"),
        ("{email}", "no-one@acme.example"),
        ("{upstream}", "no-such"),
        ("{tool}", "no-such"),
        ("{group}", "guides"),
        ("{index}", "0"),
        ("{name}", "no-such"),
    ] {
        path = path.replace(name, value);
    }
    let id = match route.path.split('/').nth(1) {
        Some("delegations") => "dlg_0000000000000000000000000A",
        Some("runs") => "run_0000000000000000000000000A",
        Some("approvals") => "apr_0000000000000000000000000A",
        Some("containments") => "con_0000000000000000000000000A",
        Some("labels") => "dcl_0000000000000000000000000A",
        Some("findings") => "fnd_0000000000000000000000000A",
        Some("settings") => "ses_0000000000000000000000000A",
        _ => "dec_0000000000000000000000000A",
    };
    path.replace("{id}", id)
}

fn named(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

/// Whether the gate of the table turned the request away, rather than the page.
fn turned_away(answer: &Answer) -> bool {
    answer.status == 403 && answer.text.contains("This is for: ")
}

async fn ask(house: &House, route: &Route, who: &'static str) -> Answer {
    if route.method == Method::GET {
        house.open(&address(route), who).await
    } else {
        house.post(&address(route), who, &[]).await
    }
}

#[tokio::test]
async fn each_route_lets_in_those_it_names_and_nobody_else() {
    let house = House::new().await;
    for route in table::all() {
        for (who, _) in PEOPLE {
            let roles = house
                .caller("acme", who)
                .await
                .person
                .unwrap()
                .roles
                .clone();
            // Whoever signs out is not asked any further.
            if route.path == "/sign-out" {
                continue;
            }
            let may = route.who.includes(|needed| roles.contains(&needed));
            let answer = ask(&house, &route, who).await;
            assert_eq!(
                turned_away(&answer),
                !may,
                "{} as {who}: {} {}",
                named(&route),
                answer.status,
                answer.text
            );
            assert!(
                answer.status < 500,
                "{} as {who}: {}",
                named(&route),
                answer.text
            );
            assert!(
                answer.status != 401 || route.who == Who::Everybody,
                "{} as {who}",
                named(&route)
            );
        }
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_session_of_this_organization() {
    let house = House::new().await;
    for route in table::all()
        .into_iter()
        .filter(|route| route.who != Who::Everybody)
    {
        let path = address(&route);
        // Not signed in; with a secret that is none; with a good one of another organization, under either name.
        let cookies = [
            String::new(),
            "__Host-remit-acme=rmt_ses_x".to_owned(),
            house.cookie("acme", "globex", "admin"),
            house.cookie("globex", "globex", "admin"),
            format!(
                "{}; {}",
                house.cookie("acme", "acme", "admin"),
                house.cookie("acme", "acme", "auditor")
            ),
        ];
        for cookie in cookies {
            let answer = if route.method == Method::GET {
                house.get(&path, &cookie).await
            } else {
                house.send(House::form(&path, &cookie, &[])).await
            };
            let turned_to_sign_in =
                answer.status == 303 && answer.header("location").starts_with("/sign-in?next=");
            let said =
                answer.status == 401 && answer.text.contains("Your browser session has ended");
            assert!(
                turned_to_sign_in || said,
                "{} with {cookie}: {} {}",
                named(&route),
                answer.status,
                answer.text
            );
        }
        let other = house
            .get(
                &format!("/t/none{path}"),
                &house.cookie("acme", "acme", "admin"),
            )
            .await;
        if route.method == Method::GET {
            assert_eq!(other.status, 404, "{} of no organization", named(&route));
        }
    }
}

#[tokio::test]
async fn pages_of_an_organization_show_nothing_of_another() {
    let house = House::new().await;
    let cookie = house.cookie("globex", "globex", "admin");
    for route in table::all().into_iter().filter(|r| r.method == Method::GET) {
        let answer = house
            .get(&format!("/t/globex{}", address(&route)), &cookie)
            .await;
        assert!(
            !answer.text.contains("@acme.example") || answer.text.contains("no-one@acme.example"),
            "{}",
            named(&route)
        );
        for link in answer
            .text
            .split("href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            let inside = link.starts_with("/t/globex")
                || link.starts_with("/assets/")
                || link.starts_with('#')
                || link.starts_with("http");
            assert!(
                inside || route.path.starts_with("/help"),
                "{}: {link} leads out of the organization",
                named(&route)
            );
        }
    }
}

/// Ids of records of acme, by the first part of the addresses where they belong.
async fn records(house: &House) -> BTreeMap<&'static str, String> {
    let org = house.org("acme");
    let kind = remit_domain::finding::FindingKind::Stale;
    let change = remit_control::finding_change(&house.books, &org, kind, "x", "t")
        .await
        .unwrap();
    house.books.commit(&org, change).await.unwrap();
    let admin = house.caller("acme", "admin").await;
    let query = remit_control::ListQuery::default();
    let findings = house.control.findings(&admin, &query).await.unwrap();
    let sessions = house.issuer.sessions(&org, None).await.unwrap();
    let stop = [
        ("agent", "returns-bot"),
        ("level", "quarantine"),
        ("reason", "drill"),
    ];
    let stopped = house.post("/stop", "responder", &stop).await;
    let at = stopped.header("location").split('?').next().unwrap();
    BTreeMap::from([
        ("findings", findings.items[0].id.to_string()),
        ("settings", sessions[0].id.to_string()),
        ("containments", at.rsplit('/').next().unwrap().to_owned()),
    ])
}

#[tokio::test]
async fn records_of_an_organization_are_out_of_reach_through_another() {
    let house = House::new().await;
    let records = records(&house).await;
    let before = house.books.store().entry_count(&house.org("acme")).await;
    let cookie = house.cookie("globex", "globex", "admin");
    let csrf = house.get("/t/globex/settings/look", &cookie).await.csrf();
    let mut walked = 0;
    for route in table::all() {
        let noun = route.path.split('/').nth(1).unwrap_or_default();
        let Some(id) = records.get(noun).filter(|_| route.path.contains("{id}")) else {
            continue;
        };
        let path = format!("/t/globex{}", route.path.replace("{id}", id));
        let answer = if route.method == Method::GET {
            house.get(&path, &cookie).await
        } else {
            let pairs = [("csrf", csrf.as_str()), ("reason", "mine now")];
            house.send(House::form(&path, &cookie, &pairs)).await
        };
        assert_eq!(answer.status, 404, "{}: {}", named(&route), answer.text);
        walked += 1;
    }
    assert!(walked >= 4, "{walked}");
    let after = house.books.store().entry_count(&house.org("acme")).await;
    assert_eq!(before.unwrap(), after.unwrap(), "something was changed");
}
