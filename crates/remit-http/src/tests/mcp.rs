//! MCP 2026-07-28, from outside.

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tower::ServiceExt;

use super::house::{Answer, HOST, House, URL};

/// A request of this revision, with the headers that its body asks for.
pub(super) fn modern(at: &str, token: &str, method: &str, mut params: Value) -> Request<Body> {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "mine",
    });
    params["_meta"] = meta;
    let mut builder = Request::builder()
        .method(Method::POST)
        .uri(at)
        .header("host", HOST);
    builder = builder
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
        builder = builder.header("mcp-name", name);
    }
    if !token.is_empty() {
        builder = builder.header("authorization", format!("Bearer {token}"));
    }
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    builder.body(Body::from(body.to_string())).unwrap()
}

async fn call(house: &House, token: &str, name: &str, arguments: Value) -> Answer {
    house
        .send(modern(
            "/mcp",
            token,
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        ))
        .await
}

#[tokio::test]
async fn who_has_no_token_learns_where_to_get_one() {
    let house = House::new().await;
    for (at, metadata) in [
        ("/mcp", "/.well-known/oauth-protected-resource/mcp"),
        (
            "/mcp/orders",
            "/.well-known/oauth-protected-resource/mcp/orders",
        ),
        (
            "/t/globex/mcp",
            "/.well-known/oauth-protected-resource/t/globex/mcp",
        ),
    ] {
        let answer = house.send(modern(at, "", "tools/list", json!({}))).await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.header("www-authenticate"),
            format!("Bearer resource_metadata=\"{URL}{metadata}\"")
        );
        house.get(metadata, "").await.good();
        let wrong = house
            .send(modern(at, "a.b.c", "tools/list", json!({})))
            .await;
        assert_eq!(wrong.status, 401);
        assert!(
            wrong
                .header("www-authenticate")
                .contains("error=\"invalid_token\"")
        );
    }
}

#[tokio::test]
async fn a_token_is_good_where_it_is_for() {
    let house = House::new().await;
    let narrow = house.token("acme", "/mcp/orders").await;
    let wide = house.token("acme", "/mcp").await;
    let other = house.token("globex", "/mcp").await;
    let status = |at: &'static str, token: String| {
        let house = &house;
        async move {
            house
                .send(modern(at, &token, "tools/list", json!({})))
                .await
        }
    };
    assert_eq!(status("/mcp/orders", narrow.clone()).await.status, 200);
    assert_eq!(status("/mcp", wide.clone()).await.status, 200);
    assert_eq!(status("/mcp/orders", wide.clone()).await.status, 200);
    let elsewhere = status("/mcp", narrow.clone()).await;
    assert_eq!(elsewhere.status, 403);
    let said = elsewhere.header("www-authenticate");
    // Where to ask, and for everything at once: the workflow and the run, which another token is to be for.
    let claims = remit_token_claims(&narrow);
    let scope = claims["scope"].as_str().unwrap();
    assert!(
        scope.starts_with("workflow:") && scope.contains(" run:"),
        "{scope}"
    );
    assert_eq!(
        said,
        format!(
            "Bearer resource_metadata=\"{URL}/.well-known/oauth-protected-resource/mcp\", error=\"insufficient_scope\", scope=\"{scope}\""
        )
    );
    // At REST the same; of somebody whose token is none, nothing is told.
    let rest = house.get("/api/v1/runs", &narrow).await;
    assert_eq!(rest.status, 403, "{}", rest.text);
    let said = rest.header("www-authenticate");
    assert!(
        said.contains("error=\"insufficient_scope\"")
            && said.contains(&format!("scope=\"{scope}\"")),
        "{said}"
    );
    let forged = format!("{narrow}x");
    for at in ["/mcp", "/mcp/orders"] {
        let answer = status(at, forged.clone()).await;
        assert_eq!(answer.status, 401);
        assert!(!answer.header("www-authenticate").contains("scope="));
    }
    assert_eq!(status("/t/globex/mcp", wide).await.status, 401);
    assert_eq!(status("/mcp", other).await.status, 401);
    // A person's token opens nothing here.
    assert_eq!(
        status("/mcp", house.person("admin").to_owned())
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn an_endpoint_describes_itself() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let found = house
        .send(modern("/mcp", &token, "server/discover", json!({})))
        .await
        .good()
        .json();
    assert_eq!(
        found["result"]["supportedVersions"],
        json!(["2026-07-28", "2025-11-25"])
    );
    assert_eq!(
        found["result"]["capabilities"],
        json!({ "logging": {}, "tools": { "listChanged": false } })
    );
    assert_eq!(found["result"]["cacheScope"], "private");
    let list = house
        .send(modern("/mcp", &token, "tools/list", json!({})))
        .await
        .good()
        .json();
    let names: Vec<_> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert!(
        [
            "orders__refund",
            "orders__slow",
            "orders__status",
            "remit_approval_status"
        ]
        .iter()
        .all(|n| names.contains(n)),
        "{names:?}"
    );
    assert_eq!(list["result"]["cacheScope"], "private");
    let one = house
        .send(modern("/mcp/orders", &token, "tools/list", json!({})))
        .await
        .good()
        .json();
    assert!(
        one["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t["name"] == "refund")
    );
    // Whether an upstream exists is not told.
    let none = house
        .send(modern("/mcp/no-such", &token, "tools/list", json!({})))
        .await
        .good()
        .json();
    assert!(
        none["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .all(|t| t["name"] == "remit_approval_status")
    );
}

#[tokio::test]
async fn a_call_passes_and_a_denied_one_is_a_result() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let done = call(&house, &token, "orders__refund", json!({ "amount": 50 }))
        .await
        .good()
        .json();
    assert_eq!(
        (&done["id"], &done["result"]["content"][0]["text"]),
        (&json!(7), &json!("done")),
        "{done}"
    );
    assert!(
        done["result"]["_meta"]["dev.remit/decision"]
            .as_str()
            .unwrap()
            .starts_with("dec_")
    );
    let called = house.shop.called.load(Ordering::SeqCst);
    let denied = call(&house, &token, "orders__refund", json!({ "amount": 500 }))
        .await
        .good()
        .json();
    assert_eq!(denied["result"]["isError"], json!(true), "{denied}");
    assert!(
        denied["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("DENIED"),
        "{denied}"
    );
    assert!(
        denied["result"]["_meta"]["dev.remit/decision"]
            .as_str()
            .unwrap()
            .starts_with("dec_")
    );
    let unknown = call(&house, &token, "orders__no_such", json!({}))
        .await
        .good()
        .json();
    assert_eq!(
        (
            &unknown["result"]["isError"],
            &unknown["result"]["structuredContent"]["code"]
        ),
        (&json!(true), &json!("tool-unknown"))
    );
    assert_eq!(
        house.shop.called.load(Ordering::SeqCst),
        called,
        "nothing that was denied was sent"
    );
}

#[tokio::test]
async fn headers_that_disagree_with_the_body_reach_nothing() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let called = house.shop.called.load(Ordering::SeqCst);
    let params = || json!({ "name": "orders__refund", "arguments": { "amount": 50 } });
    for (header, value) in [
        ("mcp-name", "orders__status"),
        ("mcp-method", "tools/list"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-protocol-version", "2099-01-01"),
    ] {
        let mut request = modern("/mcp", &token, "tools/call", params());
        request.headers_mut().insert(header, value.parse().unwrap());
        let answer = house.send(request).await;
        assert_eq!(answer.status, 400, "{header}: {value}: {}", answer.text);
        assert!(
            answer.json()["error"]["code"]
                .as_i64()
                .is_some_and(|c| (-32022..=-32020).contains(&c)),
            "{}",
            answer.text
        );
    }
    for missing in ["mcp-name", "mcp-method"] {
        let mut request = modern("/mcp", &token, "tools/call", params());
        request.headers_mut().remove(missing);
        assert_eq!(house.send(request).await.status, 400, "{missing}");
    }
    // A mirrored argument that lies, or is left out.
    let region = || json!({ "name": "orders__status", "arguments": { "region": "eu" } });
    for value in [None, Some("us")] {
        let mut request = modern("/mcp", &token, "tools/call", region());
        if let Some(value) = value {
            request
                .headers_mut()
                .insert("mcp-param-region", value.parse().unwrap());
        }
        assert_eq!(house.send(request).await.status, 400, "{value:?}");
    }
    assert_eq!(house.shop.called.load(Ordering::SeqCst), called);
    let mut request = modern("/mcp", &token, "tools/call", region());
    request
        .headers_mut()
        .insert("mcp-param-region", "eu".parse().unwrap());
    house.send(request).await.good();
}

#[tokio::test]
async fn what_this_revision_does_not_have_is_not_there() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    for method in [
        "initialize",
        "ping",
        "resources/subscribe",
        "subscriptions/listen",
        "tasks/get",
        "no/such",
        "resources/list",
    ] {
        let answer = house.send(modern("/mcp", &token, method, json!({}))).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (404, &json!(-32601)),
            "{method}"
        );
    }
    for method in [Method::GET, Method::DELETE] {
        let mut request = House::request(method.clone(), "/mcp", &token, None);
        request
            .headers_mut()
            .insert("mcp-protocol-version", "2026-07-28".parse().unwrap());
        assert_eq!(house.send(request).await.status, 405, "{method}");
    }
    let listed = house
        .send(modern(
            "/mcp",
            &token,
            "tools/list",
            json!({ "cursor": "never-given" }),
        ))
        .await
        .json();
    assert_eq!(listed["error"]["code"], json!(-32602));
    let governed = house
        .send(modern("/mcp/orders", &token, "resources/list", json!({})))
        .await
        .good()
        .json();
    assert_eq!(
        governed["error"]["data"]["code"],
        json!("tool-unknown"),
        "{governed}"
    );
}

#[tokio::test]
async fn a_call_that_tells_of_itself_is_a_stream() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    house.shop.go.notify_one();
    let answer = call(&house, &token, "orders__slow", json!({})).await.good();
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    let events: Vec<Value> = answer
        .text
        .split("\n\n")
        .filter_map(|e| e.strip_prefix("data: "))
        .map(|e| serde_json::from_str(e).unwrap())
        .collect();
    assert_eq!(events.len(), 2, "{}", answer.text);
    assert_eq!(events[0]["params"]["progressToken"], "mine");
    assert_eq!(
        (&events[1]["id"], &events[1]["result"]["resultType"]),
        (&json!(7), &json!("complete"))
    );
    // Who does not take a stream gets the answer alone.
    let mut plain = modern(
        "/mcp",
        &token,
        "tools/call",
        json!({ "name": "orders__slow", "arguments": {} }),
    );
    plain
        .headers_mut()
        .insert("accept", "application/json".parse().unwrap());
    house.shop.go.notify_one();
    let answer = house.send(plain).await.good();
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn leaving_the_stream_cancels_the_call() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let request = modern(
        "/mcp",
        &token,
        "tools/call",
        json!({ "name": "orders__slow", "arguments": {} }),
    );
    let response = house.router.clone().oneshot(request).await.unwrap();
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: "));
    drop(body);
    house.shop.cancelled.notified().await;
}

#[tokio::test]
async fn bodies_are_bounded_and_read_one_way() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let send = |body: String| {
        let mut request = modern("/mcp", &token, "tools/list", json!({}));
        *request.body_mut() = Body::from(body);
        house.send(request)
    };
    let large = send(format!("\"{}\"", "x".repeat(crate::limits::BODY_BYTES_MAX))).await;
    assert_eq!(
        (large.status, &large.json()["error"]["code"]),
        (413, &json!(-32600))
    );
    for body in [
        "",
        "[]",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"method\":\"tools/call\"}",
        &"[".repeat(90_000),
    ] {
        let answer = send(body.to_owned()).await;
        assert_eq!(answer.status, 400);
        assert!(answer.json()["error"]["code"].is_i64());
    }
}

#[tokio::test]
async fn a_call_after_the_end_of_its_run_is_refused_as_a_result_and_found() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let run = house.get("/api/v1/whoami", &token).await.good().json()["run"]
        .as_str()
        .unwrap()
        .to_owned();
    house
        .post(
            &format!("/api/v1/runs/{run}/end"),
            &token,
            json!({ "outcome": "done" }),
        )
        .await
        .good();
    let called = house.shop.called.load(Ordering::SeqCst);
    let late = call(&house, &token, "orders__refund", json!({ "amount": 1 }))
        .await
        .good()
        .json();
    assert_eq!(late["result"]["isError"], json!(true), "{late}");
    assert_eq!(house.shop.called.load(Ordering::SeqCst), called);
    let found = house
        .get("/api/v1/findings?state=open", house.person("admin"))
        .await
        .good()
        .json();
    assert!(
        found["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["subject"] == run.as_str()),
        "{found}"
    );
}

#[tokio::test]
async fn a_contained_agent_is_refused_as_a_result_and_nothing_is_sent() {
    let house = House::new().await;
    let token = house.token("acme", "/mcp").await;
    let target = json!({ "target": { "type": "agent", "name": "returns-bot" }, "level": "suspend", "reason": "test" });
    house
        .post("/api/v1/containments", house.person("responder"), target)
        .await
        .good();
    let called = house.shop.called.load(Ordering::SeqCst);
    let refused = call(&house, &token, "orders__refund", json!({ "amount": 1 })).await;
    assert!(
        refused.status == 401 || refused.json()["result"]["isError"] == json!(true),
        "{}",
        refused.text
    );
    assert_eq!(house.shop.called.load(Ordering::SeqCst), called);
    // The other organization's agent of the same name goes on.
    let other = house.token("globex", "/mcp").await;
    let request = modern(
        "/t/globex/mcp",
        &other,
        "tools/call",
        json!({ "name": "orders__refund", "arguments": { "amount": 1 } }),
    );
    assert_eq!(
        house.send(request).await.good().json()["result"]["content"][0]["text"],
        "done"
    );
}

#[tokio::test]
async fn refused_credentials_are_in_the_ledger() {
    let house = House::new().await;
    let uri = "/api/v1/audit/entries?kind=authentication.refused";
    let count = |answer: Answer| answer.good().json()["items"].as_array().unwrap().len();
    let before = count(house.get(uri, house.person("auditor")).await);
    assert_eq!(
        call(&house, "a.b.c", "orders__refund", json!({ "amount": 1 }))
            .await
            .status,
        401
    );
    assert_eq!(
        count(house.get(uri, house.person("auditor")).await),
        before + 1
    );
}

/// What a token of ours says, unverified.
fn remit_token_claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
