//! Who may ask, for whom, and what a denied agent hears.

use remit_domain::event::EventKind;
use serde_json::{Value, json};

use super::{NAMED, body, channel, decision, gateway, gateway_of, request, status};
use crate::tests::house::House;

#[tokio::test]
async fn only_a_point_asks_and_only_for_an_agent_that_shows_its_token() {
    let gateway = gateway().await;
    let house = &gateway.house;
    let person = house.person("admin").to_owned();
    let refund = || request("POST", "/refunds/5", "");
    for token in ["", "x", &gateway.agent, &person, &house.operator] {
        let refused = gateway.ask(token, Some(refund()), NAMED).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated, "{token}");
    }
    let bare = gateway
        .ask(&gateway.point, Some(refund()), "")
        .await
        .unwrap();
    assert_eq!(
        (status(&bare), &body(&bare)["code"]),
        (401, &json!("unauthenticated"))
    );
    let other = house.token("globex", "/mcp").await;
    let elsewhere = house.token("acme", "/api/v1").await;
    for shown in [
        format!("Bearer {}", gateway.point),
        format!("Bearer {person}"),
        format!("Bearer {other}"),
        format!("Bearer {elsewhere}"),
        format!("Bearer {0},Bearer {0}", gateway.agent),
        format!("Basic {}", gateway.agent),
        "Bearer".to_owned(),
        gateway.agent.clone(),
    ] {
        let mut http = refund();
        http.headers
            .insert("authorization".to_owned(), shown.clone());
        // A token that is not good is not made up for by a name.
        let answer = gateway
            .ask(&gateway.point, Some(http), NAMED)
            .await
            .unwrap();
        assert!(matches!(status(&answer), 401 | 403), "{shown}: {answer:?}");
    }
    assert_eq!(house.told(EventKind::CallDecided).await.len(), 0);
    let refused = house.told(EventKind::AuthenticationRefused).await.len();
    assert!(refused >= 8, "refusals are recorded: {refused}");
}

#[tokio::test]
async fn an_agent_is_known_by_the_certificate_of_its_connection() {
    let gateway = gateway().await;
    let refund = || Some(request("POST", "/refunds/5", ""));
    let other = format!("{NAMED}-not");
    let unknown = gateway.ask(&gateway.point, refund(), &other).await.unwrap();
    assert_eq!(status(&unknown), 401);
    let known = gateway.ask(&gateway.point, refund(), NAMED).await.unwrap();
    assert_eq!(status(&known), 200);
}

#[tokio::test]
async fn a_point_asks_for_its_own_agents_in_its_own_organization() {
    let gateway = gateway().await;
    let house = &gateway.house;
    let none = house.point(
        "acme",
        "empty",
        json!({ "agents": [], "enforce": true, "routes": [
        { "method": "POST", "path": "/refunds/{amount}", "tool": "orders/refund" },
    ] }),
    );
    let none = house.point_token(&none.await).await;
    let mut http = request("POST", "/refunds/5", "");
    let shown = format!("Bearer {}", gateway.agent);
    http.headers.insert("authorization".to_owned(), shown);
    let answer = gateway.ask(&none, Some(http.clone()), "").await.unwrap();
    assert_eq!(
        (status(&answer), &body(&answer)["code"]),
        (403, &json!("forbidden"))
    );
    let mut call = tonic::Request::new(Default::default());
    for (name, value) in [
        ("authorization", format!("Bearer {}", gateway.point)),
        ("remit-organization", "globex".to_owned()),
    ] {
        call.metadata_mut().insert(name, value.parse().unwrap());
    }
    use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
    let mut client = AuthorizationClient::new(channel(house).await);
    let refused = client.check(call).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn a_point_that_is_only_advised_lets_nothing_through() {
    let gateway = gateway_of(House::new().await, false).await;
    let (status, answer) = gateway.check(request("POST", "/refunds/5", "")).await;
    assert_eq!((status, &body(&answer)["code"]), (403, &json!("forbidden")));
}

#[tokio::test]
async fn a_denied_agent_hears_why_and_a_person_can_turn_it_once() {
    let house = House::new().await;
    let admin = house.person("admin").to_owned();
    let policy = json!({ "documents": crate::tests::authzen::LARGE_ASKS });
    house.applied("/api/v1", &admin, policy).await;
    let gateway = gateway_of(house, true).await;
    let (status, answer) = gateway
        .check(request("POST", "/refunds", r#"{"amount":500}"#))
        .await;
    let said = body(&answer);
    assert_eq!(
        (status, &said["code"], &said["status"]),
        (403, &json!("denied"), &json!(403))
    );
    assert!(
        said["decision"].as_str().unwrap().starts_with("dec_"),
        "{said}"
    );
    let sixty = || request("POST", "/refunds", r#"{"amount":60}"#);
    let (status, answer) = gateway.check(sixty()).await;
    let said = body(&answer);
    assert_eq!((status, &said["code"]), (403, &json!("approval-required")));
    let approval = said["approval"].as_str().unwrap().to_owned();
    let (_, answer) = gateway.check(sixty()).await;
    let again = body(&answer);
    assert_eq!(
        (&again["code"], &again["approval"]),
        (&json!("approval-pending"), &json!(approval))
    );
    let approver = gateway.house.person("approver").to_owned();
    let uri = format!("/api/v1/approvals/{approval}/approve");
    gateway.house.post(&uri, &approver, json!({})).await.good();
    // The bytes may differ; the call may not.
    let spaced = request("POST", "/refunds", r#"{ "amount" : 60.0 }"#);
    let (status, answer) = gateway.check(spaced).await;
    assert_eq!(status, 200, "{answer:?}");
    assert!(decision(&answer).starts_with("dec_"));
    let (status, _) = gateway.check(sixty()).await;
    assert_eq!(status, 403, "an approval is good once");
}

#[tokio::test]
async fn what_nobody_looks_into_is_not_vouched_for_and_never_regulated() {
    let gateway = gateway().await;
    let house = &gateway.house;
    let admin = house.person("admin").to_owned();
    let (status, answer) = gateway.check(request("GET", "/status/eu", "")).await;
    assert_eq!(status, 200, "{answer:?}");
    let runs = house.get("/api/v1/runs", &admin).await.good().json();
    let run = runs["items"][0]["id"].as_str().unwrap().to_owned();
    let run = house
        .get(&format!("/api/v1/runs/{run}/labels"), &admin)
        .await;
    let labels = run.good().text;
    assert!(labels.contains("untrusted"), "{labels}");
    let uri = "/api/v1/tools/orders/status";
    let found = house.get(uri, &admin).await.good().json();
    let hash: &Value = &found["definition_hash"];
    let spec =
        json!({ "definition_hash": hash, "effect": "read", "data_classes": ["customer-pii"] });
    house.put(uri, &admin, spec).await.good();
    let (status, answer) = gateway.check(request("GET", "/status/eu", "")).await;
    let said = body(&answer);
    assert_eq!((status, &said["code"]), (403, &json!("denied")), "{said}");
}
