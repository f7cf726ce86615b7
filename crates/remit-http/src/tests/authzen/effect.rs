//! Decisions that take effect: recorded first, reported once, a gap otherwise.

use std::time::Duration;

use remit_domain::event::EventKind;
use serde_json::{Value, json};

use super::{enforced, refund};
use crate::tests::house::House;

fn report(decision: &Value, status: &str) -> Value {
    json!({ "decision": decision, "status": status })
}

#[tokio::test]
async fn a_decision_is_recorded_before_it_is_told_and_reported_once() {
    let house = House::new().await;
    let (point, token) = house.edge().await;
    let done = house.decide(&token, enforced(5.0)).await;
    let remit = &done["context"]["remit"];
    assert_eq!(remit["arguments"], json!({ "amount": 5 }));
    let decided = house.told(EventKind::CallDecided).await;
    assert_eq!(decided.len(), 1);
    assert_eq!(json!(decided[0].stored.decision), remit["decision"]);
    assert_eq!(decided[0].leaf.facts["enforcement_point"], json!(point.id));
    let mut body = report(&remit["decision"], "ok");
    body["result"] = json!({ "content": [{ "type": "text", "text": "done" }] });
    let answer = house
        .post("/access/v1/outcome", &token, body.clone())
        .await
        .good()
        .json();
    assert_eq!(
        (&answer["in_time"], &answer["withheld"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(answer["result"]["content"][0]["text"], "done");
    let again = house.post("/access/v1/outcome", &token, body).await;
    assert_eq!(again.status, 409, "{}", again.text);
    let completed = house.told(EventKind::CallCompleted).await;
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0].leaf.facts["status"], "ok");
}

#[tokio::test]
async fn an_outcome_is_for_the_point_that_asked_to_report() {
    let house = House::new().await;
    let (_, token) = house.edge().await;
    let spec = json!({ "agents": [{ "agent": "returns-bot" }], "enforce": true });
    let second = house.point("acme", "second", spec).await;
    let second = house.point_token(&second).await;
    let done = house.decide(&token, enforced(5.0)).await;
    let decision = &done["context"]["remit"]["decision"];
    let forged = house
        .post("/access/v1/outcome", &second, report(decision, "not_sent"))
        .await;
    assert_eq!(forged.status, 404, "{}", forged.text);
    let made_up = json!("dec_0000000000000000000000000A");
    let unknown = house
        .post("/access/v1/outcome", &token, report(&made_up, "ok"))
        .await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    let words = house
        .post("/access/v1/outcome", &token, report(decision, "fine"))
        .await;
    assert_eq!(words.status, 400, "{}", words.text);
    assert_eq!(house.told(EventKind::CallCompleted).await.len(), 0);
    house
        .post("/access/v1/outcome", &token, report(decision, "ok"))
        .await
        .good();
}

#[tokio::test]
async fn what_is_not_reported_becomes_a_gap_and_a_late_report_stands_beside_it() {
    let house = House::new().await;
    let (point, token) = house.edge().await;
    let done = house.decide(&token, enforced(5.0)).await;
    house.clock.advance(Duration::from_secs(301));
    house.gateway.forget_unreported();
    let org = house.books.org_named("acme").unwrap().id.clone();
    assert_eq!(house.control.report_gaps(&org).await.unwrap(), 1);
    assert_eq!(house.told(EventKind::CallGap).await.len(), 1);
    let token = house.point_token(&point).await;
    assert_ne!(token, "");
    let late = report(&done["context"]["remit"]["decision"], "ok");
    let answer = house
        .post("/access/v1/outcome", &token, late.clone())
        .await
        .good()
        .json();
    assert_eq!(answer["in_time"], false);
    let completed = house.told(EventKind::CallCompleted).await;
    assert_eq!(completed[0].leaf.facts["late"], true);
    assert_eq!(
        house.post("/access/v1/outcome", &token, late).await.status,
        409
    );
}

#[tokio::test]
async fn a_point_that_is_only_advised_has_no_effect() {
    let house = House::new().await;
    let spec = json!({ "agents": [{ "agent": "returns-bot" }] });
    let point = house.point("acme", "adviser", spec).await;
    let token = house.point_token(&point).await;
    assert_eq!(house.decide(&token, refund(5.0)).await["decision"], true);
    let answer = house.decide(&token, enforced(5.0)).await;
    assert_eq!(
        (&answer["decision"], &answer["context"]["reason"]),
        (&json!(false), &json!("forbidden"))
    );
    assert_eq!(house.told(EventKind::CallDecided).await.len(), 0);
}

#[tokio::test]
async fn what_a_result_holds_is_seen_and_regulated_binary_is_withheld() {
    let house = House::new().await;
    let admin = house.person("admin").to_owned();
    let uri = "/api/v1/tools/orders/status";
    let found = house.get(uri, &admin).await.good().json();
    let spec = json!({ "definition_hash": found["definition_hash"], "effect": "read", "data_classes": ["customer-pii"] });
    house.put(uri, &admin, spec).await.good();
    house
        .agent("clerk", json!([{ "tool": "orders/status" }]))
        .await;
    let spec = json!({ "agents": [{ "agent": "clerk" }], "enforce": true });
    let point = house.point("acme", "gate", spec).await;
    let token = house.point_token(&point).await;
    let ask = json!({
        "subject": { "type": "agent", "id": "clerk" }, "action": { "name": "tools/call" },
        "resource": { "type": "tool", "id": "orders/status" }, "context": { "remit": { "enforce": true } },
    });
    let done = house.decide(&token, ask).await;
    assert_eq!(done["decision"], true, "{done}");
    let mut body = report(&done["context"]["remit"]["decision"], "ok");
    body["result"] =
        json!({ "content": [{ "type": "image", "mimeType": "image/png", "data": "AAAA" }] });
    let answer = house
        .post("/access/v1/outcome", &token, body)
        .await
        .good()
        .json();
    assert_eq!(answer["result"], Value::Null);
    assert_eq!(answer["withheld"]["reason"], "denied", "{answer}");
}

#[tokio::test]
async fn nobody_calls_a_guarded_server_through_remit() {
    let house = House::new().await;
    house
        .guarded("ledger", &[("post", "read", &[("id", "string")])])
        .await;
    house
        .agent("clerk", json!([{ "tool": "ledger/post" }]))
        .await;
    let spec = json!({ "agents": [{ "agent": "clerk" }], "enforce": true });
    let point = house.point("acme", "gate", spec).await;
    let token = house.point_token(&point).await;
    let body = json!({
        "subject": { "type": "agent", "id": "clerk" }, "action": { "name": "post" },
        "resource": { "type": "ledger", "id": "7" }, "context": { "remit": { "enforce": true } },
    });
    let done = house.decide(&token, body).await;
    assert_eq!(
        done["context"]["remit"]["arguments"],
        json!({ "id": "7" }),
        "{done}"
    );
    let sync = house
        .post(
            "/api/v1/upstreams/ledger/sync",
            house.person("admin"),
            json!({}),
        )
        .await;
    assert_eq!(sync.status, 409, "{}", sync.text);
}

#[tokio::test]
async fn the_stream_tells_each_only_what_is_theirs() {
    use axum::body::Body;
    use axum::http::{Method, Request};
    use futures_util::StreamExt;
    use tower::ServiceExt;

    let house = House::new().await;
    let (_, token) = house.edge().await;
    let spec = json!({ "agents": [], "enforce": true });
    let deaf = house.point("acme", "deaf", spec).await;
    let deaf = house.point_token(&deaf).await;
    house.decide(&token, enforced(5.0)).await;
    let open = async |uri: &str, token: &str, last: &str| {
        let mut request: Request<Body> = House::request(Method::GET, uri, token, None);
        request
            .headers_mut()
            .insert("last-event-id", last.parse().unwrap());
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        request
            .extensions_mut()
            .insert(axum::extract::ConnectInfo(peer));
        house.router.clone().oneshot(request).await.unwrap()
    };
    for (uri, token) in [
        ("/access/v1/decisions", token.as_str()),
        ("/api/v1/decisions/stream", house.person("auditor")),
    ] {
        let response = open(uri, token, "0").await;
        assert_eq!(response.status(), 200, "{uri}");
        let mut chunks = response.into_body().into_data_stream();
        let first = chunks.next().await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&first).into_owned();
        assert!(text.contains("event: call.decided"), "{uri}: {text}");
        assert!(
            text.contains("\"amount\":\"number\""),
            "values are not shown: {text}"
        );
    }
    for (uri, token, status) in [
        ("/access/v1/decisions", house.person("auditor"), 401),
        ("/api/v1/decisions/stream", house.person("developer"), 403),
        ("/api/v1/decisions/stream", token.as_str(), 401),
        ("/t/globex/access/v1/decisions", token.as_str(), 401),
        (
            "/t/globex/api/v1/decisions/stream",
            house.person("auditor"),
            401,
        ),
    ] {
        assert_eq!(open(uri, token, "0").await.status(), status, "{uri}");
    }
    assert_eq!(
        open("/access/v1/decisions", &token, "x").await.status(),
        400
    );
    // Whoever has no agent hears that it is still there, and nothing else.
    tokio::time::pause();
    let response = open("/access/v1/decisions", &deaf, "0").await;
    let mut chunks = response.into_body().into_data_stream();
    let first = chunks.next().await.unwrap().unwrap();
    assert_eq!(&first[..], b":\n\n");
}
