//! Every endpoint with every role and with the other organization, from the table itself.

use axum::http::Method;
use serde_json::json;

use super::house::{House, PEOPLE};
use crate::rest::{Route, Who, table};

/// An address of the route with something harmless in every place that varies.
fn address(route: &Route) -> String {
    let mut path = route.path.to_owned();
    for (name, value) in [
        ("{email}", "no-one@acme.example"),
        ("{name}", "no-such"),
        ("{workflow}", "no-such"),
        ("{thumbprint}", "no-such"),
        ("{digest}", "ffffffffffff"),
        ("{upstream}", "no-such"),
        ("{tool}", "no-such"),
        ("{kind}", "agent.json"),
        ("{index}", "0"),
    ] {
        path = path.replace(name, value);
    }
    let id = match route.path.split('/').nth(1) {
        Some("delegations") => "dlg_0000000000000000000000000A",
        Some("runs") => "run_0000000000000000000000000A",
        Some("approvals") => "apr_0000000000000000000000000A",
        Some("containments" | "everything") => "con_0000000000000000000000000A",
        Some("findings") => "fnd_0000000000000000000000000A",
        _ => "dec_0000000000000000000000000A",
    };
    let query = if route.path.ends_with("/watch") || route.path.ends_with("/wait") {
        "?timeout_s=0"
    } else {
        ""
    };
    format!("/api/v1{}{query}", path.replace("{id}", id))
}

/// Whether the gate of the table turned the request away, rather than the handler.
fn turned_away(answer: &super::house::Answer) -> bool {
    answer.status == 403
        && answer.json()["detail"]
            .as_str()
            .unwrap()
            .starts_with("this is for: ")
}

async fn ask(house: &House, route: &Route, at: &str, token: &str) -> super::house::Answer {
    let body = (route.method != Method::GET).then(|| json!({}));
    house
        .send(House::request(
            route.method.clone(),
            &format!("{at}{}", address(route)),
            token,
            body,
        ))
        .await
}

#[tokio::test]
async fn each_route_lets_in_those_it_names_and_nobody_else() {
    let house = House::new().await;
    let agent = house.token("acme", "/api/v1").await;
    let stranger = house.token("globex", "/api/v1").await;
    for route in table::all() {
        let named = format!("{} {}", route.method, route.path);
        let open = route.is_open();
        assert_eq!(
            ask(&house, &route, "", "").await.status == 401,
            !open,
            "{named} without a credential"
        );
        if open {
            continue;
        }
        for wrong in ["rmt_pat_x", "rmt_adm_x", "a.b.c", stranger.as_str()] {
            let answer = ask(&house, &route, "", wrong).await;
            assert_eq!(answer.status, 401, "{named} with {wrong}: {}", answer.text);
        }
        for (local, role) in PEOPLE {
            let may = route.who.iter().any(|who| match who {
                Who::Person => true,
                Who::Role(needed) => role == Some(*needed),
                _ => false,
            });
            let answer = ask(&house, &route, "", house.person(local)).await;
            assert_eq!(
                turned_away(&answer),
                !may,
                "{named} as {local}: {} {}",
                answer.status,
                answer.text
            );
            assert_ne!(answer.status, 401, "{named} as {local}");
            assert!(
                answer.status < 500,
                "{named} as {local}: {} {}",
                answer.status,
                answer.text
            );
        }
        let operator = ask(&house, &route, "", &house.operator).await;
        assert_eq!(
            turned_away(&operator),
            !route.who.contains(&Who::Operator),
            "{named} as operator: {}",
            operator.text
        );
        let answer = ask(&house, &route, "", &agent).await;
        assert_eq!(
            turned_away(&answer),
            !route.who.contains(&Who::Agent),
            "{named} as agent: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn nobody_is_known_in_another_organization() {
    let house = House::new().await;
    let agent = house.token("acme", "/mcp").await;
    for route in table::all().into_iter().filter(|route| !route.is_open()) {
        let named = format!("{} {}", route.method, route.path);
        for (local, _) in PEOPLE {
            let answer = ask(&house, &route, "/t/globex", house.person(local)).await;
            assert_eq!(
                answer.status, 401,
                "{named} as {local} of another organization: {}",
                answer.text
            );
        }
        assert_eq!(
            ask(&house, &route, "/t/globex", &agent).await.status,
            401,
            "{named} as an agent of another organization"
        );
        assert_eq!(
            ask(&house, &route, "/t/none", house.person("admin"))
                .await
                .status,
            404,
            "{named} of no organization"
        );
    }
}

#[tokio::test]
async fn who_may_is_looked_at_before_what_is_sent() {
    let house = House::new().await;
    for route in table::all()
        .into_iter()
        .filter(|route| !route.is_open() && route.body.is_some())
    {
        let mut request =
            House::request(route.method.clone(), &address(&route), "", Some(json!({})));
        *request.body_mut() = axum::body::Body::from("not json at all");
        assert_eq!(
            house.send(request).await.status,
            401,
            "{} {}",
            route.method,
            route.path
        );
    }
}
