//! What is malformed, oversize or forged is refused with the reason, and nothing of it reaches anybody.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::server::Server;

async fn post(
    server: &Server,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: String,
) -> (StatusCode, String) {
    let mut request = Client::new()
        .post(format!("{}/mcp/orders", server.base()))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap_or_default())
}

const MODERN: [(&str, &str); 3] = [
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "order_status"),
];

fn call(arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"order_status","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

#[tokio::test]
async fn malformed_and_oversize_messages_are_refused_with_the_reason() {
    let server = Server::dev().await;
    let token = server.agent_token("support-triage", "answer").await;
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let cases: [(&str, String); 9] = [
        ("message is not JSON", "{".to_owned()),
        (
            "duplicate key at `/params/arguments/order`",
            call(r#"{"order":"A-118","order":"B-207"}"#),
        ),
        ("unpaired surrogate", call(r#"{"order":"\ud800"}"#)),
        (
            "integer at `/order` is outside",
            call(r#"{"order":9007199254740993}"#),
        ),
        (
            "nested deeper than 64 levels",
            call(&format!("{{\"order\":{deep}}}")),
        ),
        (
            "batches are not supported",
            format!("[{}]", call(r#"{"order":"A-118"}"#)),
        ),
        (
            "larger than 1048576 bytes",
            call(&format!("{{\"order\":\"{}\"}}", "x".repeat(10_000_000))),
        ),
        // A Cyrillic letter in the name, and one in the name of an argument.
        (
            "but the body says `order_st\u{430}tus`",
            call("{}").replace("order_status", "order_st\u{430}tus"),
        ),
        (
            "do not fit the tool's input schema",
            call("{\"\u{43e}rder\":\"A-118\"}"),
        ),
    ];
    for (why, body) in cases {
        let (status, text) = post(&server, Some(&token), &MODERN, body).await;
        let refused = status.is_client_error()
            || text.contains("\"isError\":true")
            || text.contains("\"error\"");
        assert!(refused && text.contains(why), "{why}: {status} {text}");
    }
    let good = post(&server, Some(&token), &MODERN, call(r#"{"order":"A-118"}"#)).await;
    assert_eq!(good.0, StatusCode::OK, "{}", good.1);
}

#[tokio::test]
async fn a_header_that_disagrees_with_its_body_is_refused() {
    let server = Server::dev().await;
    let token = server.agent_token("support-triage", "answer").await;
    let lying = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "effects_log"),
    ];
    let (status, text) = post(&server, Some(&token), &lying, call(r#"{"order":"A-118"}"#)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    assert!(text.contains("-32020"), "{text}");
}

#[tokio::test]
async fn a_missing_forged_or_foreign_credential_is_challenged() {
    let server = Server::dev().await;
    let token = server.agent_token("support-triage", "answer").await;
    let mut forged = token.clone();
    forged.truncate(forged.len() - 4);
    forged.push_str("AAAA");
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.";
    let person = server.person("maria@acme.example");
    for token in [
        None,
        Some(forged.as_str()),
        Some(none),
        Some(person.as_str()),
        Some("x"),
    ] {
        let (status, text) = post(&server, token, &MODERN, call(r#"{"order":"A-118"}"#)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{token:?} {text}");
    }
    let agent = server
        .rest(reqwest::Method::GET, "/people", &token, None)
        .await;
    assert!(matches!(agent.0, 401 | 403), "{}", agent.1);
    let foreign = Client::new()
        .post(format!("{}/mcp/orders", server.base()))
        .header("origin", "https://evil.example")
        .bearer_auth(&token)
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn documents_with_unknown_fields_are_refused_with_their_line() {
    let server = Server::dev().await;
    let documents =
        "apiVersion: remit.dev/v1\nkind: Team\nmetadata:\n  name: new-team\nspec:\n  color: red\n";
    let body = json!({ "documents": documents });
    let (_, answer): (u16, Value) = server
        .rest(reqwest::Method::POST, "/plan", &server.admin(), Some(body))
        .await;
    let text = answer.to_string();
    assert!(text.contains("color") && text.contains("6"), "{text}");
}
