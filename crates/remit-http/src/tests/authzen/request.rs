//! Asking people for what was denied (AuthZEN Access Request and Approval Profile, draft 1).

use remit_domain::event::EventKind;
use serde_json::{Value, json};

use super::{LARGE_ASKS, enforced, refund};
use crate::tests::house::House;

async fn asking() -> (House, String) {
    let house = House::new().await;
    let admin = house.person("admin").to_owned();
    house
        .applied("/api/v1", &admin, json!({ "documents": LARGE_ASKS }))
        .await;
    let (_, token) = house.edge().await;
    (house, token)
}

fn request(denied: &Value, of: Value) -> Value {
    let mut body = of;
    let context = &denied["context"];
    body["denial"] = json!({
        "evaluation_id": context["evaluation_id"], "reason": context["reason"],
        "expires_at": context["access_request"]["expires_at"],
        "binding_token": context["access_request"]["binding_token"],
    });
    body
}

#[tokio::test]
async fn a_denial_is_asked_for_approved_and_good_once() {
    let (house, token) = asking().await;
    let denied = house.decide(&token, refund(60.0)).await;
    assert_eq!(
        (&denied["decision"], &denied["context"]["reason"]),
        (&json!(false), &json!("approval_required"))
    );
    assert_eq!(
        house.told(EventKind::ApprovalRequested).await.len(),
        0,
        "nobody was asked yet"
    );
    let made = house
        .post(
            "/access/v1/requests",
            &token,
            request(&denied, refund(60.0)),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let task = made.json()["task"].clone();
    assert_eq!(task["status"], "pending");
    let id = task["id"].as_str().unwrap();
    // Asked again, it is the same task.
    let again = house
        .post(
            "/access/v1/requests",
            &token,
            request(&denied, refund(60.0)),
        )
        .await;
    assert_eq!(
        (again.status, &again.json()["task"]["id"]),
        (200, &json!(id))
    );
    let status = format!("/access/v1/requests/{id}");
    assert_eq!(
        house.get(&status, &token).await.good().json()["task"]["status"],
        "pending"
    );
    // What waits lets nothing through.
    assert_eq!(
        house.decide(&token, enforced(60.0)).await["decision"],
        false
    );
    let approver = house.person("approver").to_owned();
    house
        .post(
            &format!("/api/v1/approvals/{id}/approve"),
            &approver,
            json!({}),
        )
        .await
        .good();
    let done = house.get(&status, &token).await.good().json();
    assert_eq!(
        (&done["task"]["status"], &done["result"]["mode"]),
        (&json!("approved"), &json!("reevaluate"))
    );
    is_good_once(&house, &token, id).await;
}

/// Advice sees an approval and leaves it; another amount is another call; the effect uses it up.
async fn is_good_once(house: &House, token: &str, id: &str) {
    assert_eq!(
        house.decide(token, refund(60.0)).await["context"]["remit"]["approval"],
        json!(id)
    );
    assert_eq!(house.decide(token, enforced(61.0)).await["decision"], false);
    assert_eq!(house.decide(token, enforced(60.0)).await["decision"], true);
    assert_eq!(house.decide(token, enforced(60.0)).await["decision"], false);
    assert_eq!(
        house
            .get(&format!("/access/v1/requests/{id}"), token)
            .await
            .good()
            .json()["task"]["status"],
        "expired"
    );
}

#[tokio::test]
async fn a_request_follows_from_a_denial_of_the_same() {
    let (house, token) = asking().await;
    let spec = json!({ "agents": [{ "agent": "returns-bot" }], "enforce": true });
    let second = house.point("acme", "second", spec).await;
    let second = house.point_token(&second).await;
    let denied = house.decide(&token, refund(60.0)).await;
    let kind = |answer: &Value| {
        answer["type"]
            .as_str()
            .unwrap_or_default()
            .rsplit(':')
            .next()
            .map(str::to_owned)
    };
    let mut forged = request(&denied, refund(60.0));
    forged["denial"]["evaluation_id"] = json!("eval_0");
    let mut bare = refund(60.0);
    bare["denial"] = json!({});
    for (who, body) in [
        (&token, request(&denied, refund(61.0))),
        (&second, request(&denied, refund(60.0))),
        (&token, forged),
        (&token, bare),
        (&token, refund(60.0)),
    ] {
        let answer = house.post("/access/v1/requests", who, body).await;
        assert_eq!(
            (answer.status, kind(&answer.json())),
            (400, Some("invalid_denial_binding".to_owned()))
        );
    }
    assert_eq!(house.told(EventKind::ApprovalRequested).await.len(), 0);
}

#[tokio::test]
async fn a_request_is_taken_back_and_kept_from_others() {
    let (house, token) = asking().await;
    let other = house
        .point("acme", "other", json!({ "agents": [], "enforce": true }))
        .await;
    let other = house.point_token(&other).await;
    let denied = house.decide(&token, refund(60.0)).await;
    let keyed = async |body: Value| {
        let mut request = House::request(
            axum::http::Method::POST,
            "/access/v1/requests",
            &token,
            Some(body),
        );
        request
            .headers_mut()
            .insert("idempotency-key", "k1".parse().unwrap());
        house.send(request).await
    };
    let made = keyed(request(&denied, refund(60.0))).await.good().json();
    let mut changed = request(&denied, refund(60.0));
    changed["context"]["why"] = json!("more");
    assert_eq!(keyed(changed).await.status, 409);
    let id = made["task"]["id"].as_str().unwrap();
    let uri = format!("/access/v1/requests/{id}");
    assert_eq!(house.get(&uri, &other).await.status, 404);
    assert_eq!(
        house
            .post(&format!("{uri}/cancel"), &other, json!({}))
            .await
            .status,
        404
    );
    let cancelled = house
        .post(&format!("{uri}/cancel"), &token, json!({}))
        .await
        .good()
        .json();
    assert_eq!(cancelled["task"]["status"], "cancelled");
    let again = house
        .post(&format!("{uri}/cancel"), &token, json!({}))
        .await
        .good()
        .json();
    assert_eq!(again["task"]["status"], "cancelled");
}

#[tokio::test]
async fn what_nobody_can_approve_is_not_requestable() {
    let (house, token) = asking().await;
    let denied = house.decide(&token, refund(60.0)).await;
    // A grant that ends meanwhile: the denial was of another kind, now.
    let deny = house.decide(&token, refund(500.0)).await;
    assert!(deny["context"].get("access_request").is_none(), "{deny}");
    let body = request(&denied, refund(60.0));
    house
        .post("/access/v1/requests", &token, body.clone())
        .await
        .good();
    let filed = house.told(EventKind::ApprovalRequested).await;
    assert_eq!(filed.len(), 1);
    let approver = house.person("approver").to_owned();
    let id = filed[0].stored.decision.clone();
    assert!(id.is_some());
    let apr = house
        .get("/api/v1/approvals", &approver)
        .await
        .good()
        .json();
    let apr = apr["items"][0]["id"].as_str().unwrap().to_owned();
    let no = json!({ "reason": "no" });
    house
        .post(&format!("/api/v1/approvals/{apr}/deny"), &approver, no)
        .await
        .good();
    let refused = house.post("/access/v1/requests", &token, body).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.text.contains("not_requestable"), "{}", refused.text);
}
