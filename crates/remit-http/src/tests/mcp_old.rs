//! MCP 2025-11-25, from outside: the handshake, sessions that permit nothing, and cancelling by request id.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::house::{Answer, HOST, House};

fn old(at: &str, token: &str, session: &str, body: Value) -> Request<Body> {
    let mut builder = Request::builder()
        .method(Method::POST)
        .uri(at)
        .header("host", HOST);
    builder = builder
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("authorization", format!("Bearer {token}"));
    if body["method"] != "initialize" {
        builder = builder.header("mcp-protocol-version", "2025-11-25");
    }
    if !session.is_empty() {
        builder = builder.header("mcp-session-id", session);
    }
    builder.body(Body::from(body.to_string())).unwrap()
}

fn request(id: u32, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

async fn initialize(house: &House, at: &str, token: &str) -> (String, Answer) {
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let answer = house
        .send(old(at, token, "", request(1, "initialize", params)))
        .await
        .good();
    (answer.header("mcp-session-id").to_owned(), answer)
}

#[tokio::test]
async fn the_handshake_gives_a_session_that_works() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let (session, answer) = initialize(&house, "/mcp", &token).await;
    let result = answer.json()["result"].clone();
    assert_eq!(
        (&result["protocolVersion"], &result["serverInfo"]["name"]),
        (&json!("2025-11-25"), &json!("remit"))
    );
    assert!(
        session.bytes().all(|b| b.is_ascii_graphic()) && session.len() >= 32,
        "{session}"
    );
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let noted = house.send(old("/mcp", &token, &session, note)).await;
    assert_eq!((noted.status, noted.text.as_str()), (202, ""));
    for (method, params) in [
        ("ping", json!({})),
        ("logging/setLevel", json!({ "level": "info" })),
    ] {
        let answer = house
            .send(old("/mcp", &token, &session, request(2, method, params)))
            .await
            .good()
            .json();
        assert_eq!(answer["result"], json!({}), "{method}");
    }
    let call = request(
        3,
        "tools/call",
        json!({ "name": "orders__refund", "arguments": { "amount": 1 } }),
    );
    let done = house
        .send(old("/mcp", &token, &session, call))
        .await
        .good()
        .json();
    assert_eq!(done["result"]["content"][0]["text"], "done");
    assert_eq!(done["result"].get("resultType"), None);
    let unknown = house
        .send(old(
            "/mcp",
            &token,
            &session,
            request(4, "no/such", json!({})),
        ))
        .await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (200, &json!(-32601))
    );
    assert_eq!(
        house
            .send(House::request(Method::GET, "/mcp", &token, None))
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn a_session_is_its_callers_at_its_endpoint() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let (session, _) = initialize(&house, "/mcp", &token).await;
    let ping = |at: &'static str, token: String, session: String| {
        let house = &house;
        async move {
            house
                .send(old(at, &token, &session, request(2, "ping", json!({}))))
                .await
                .status
        }
    };
    assert_eq!(ping("/mcp", token.clone(), session.clone()).await, 200);
    assert_eq!(
        ping("/mcp/orders", token.clone(), session.clone()).await,
        404,
        "another endpoint"
    );
    assert_eq!(ping("/mcp", token.clone(), "made-up".to_owned()).await, 404);
    assert_eq!(
        ping("/mcp", token.clone(), String::new()).await,
        200,
        "a session is not needed"
    );
    let other = house.token("globex", "/mcp").await;
    assert_eq!(
        ping("/t/globex/mcp", other, session.clone()).await,
        404,
        "another organization"
    );
    // Another run of the same agent.
    let run = json!({ "workflow": "refund", "mode": "api", "intent": { "purpose": "one return" } });
    let run = house.post("/api/v1/runs", &token, run).await.good().json();
    let assertion = house.assertion("acme");
    let scope = format!("run:{}", run["id"].as_str().unwrap());
    let pairs = [
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion.as_str()),
        ("scope", scope.as_str()),
    ];
    let in_run = house.form("/oauth2/token", &pairs).await.good().json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(ping("/mcp", in_run, session).await, 404, "another run");
}

#[tokio::test]
async fn a_session_ends_when_its_client_says_so() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let (session, _) = initialize(&house, "/mcp", &token).await;
    let end = |session: &str| {
        let mut request = House::request(Method::DELETE, "/mcp", &token, None);
        request
            .headers_mut()
            .insert("mcp-session-id", session.parse().unwrap());
        house.send(request)
    };
    assert_eq!(end("made-up").await.status, 404);
    assert_eq!(end(&session).await.status, 204);
    assert_eq!(
        house
            .send(old("/mcp", &token, &session, request(2, "ping", json!({}))))
            .await
            .status,
        404
    );
    assert_eq!(
        house
            .send(House::request(Method::DELETE, "/mcp", "", None))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_call_is_cancelled_by_its_request_id() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let (session, _) = initialize(&house, "/mcp", &token).await;
    let (other, _) = initialize(&house, "/mcp/orders", &token).await;
    let call = request(
        9,
        "tools/call",
        json!({ "name": "orders__slow", "arguments": {}, "_meta": { "progressToken": 1 } }),
    );
    let response = house
        .router
        .clone()
        .oneshot(old("/mcp", &token, &session, call))
        .await
        .unwrap();
    let cancel = |at: &'static str, session: &str, id: u32| {
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
        house.send(old(at, &token, session, note))
    };
    // Not by another session, and not by another id.
    assert_eq!(cancel("/mcp/orders", &other, 9).await.status, 202);
    assert_eq!(cancel("/mcp", &session, 8).await.status, 202);
    assert_eq!(cancel("/mcp", &session, 9).await.status, 202);
    house.shop.cancelled.notified().await;
    drop(response);
}
