//! What a server asks in the middle of a call, with the official clients in front and real servers behind; and those who
//! answer what they were not asked.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clients::run;
use crate::conformance::Everything;
use crate::crash::with_everything_server;
use crate::furnish::{enrol, register, upstream_that_asks};
use crate::server::{Server, installed};

const ALL: [&str; 3] = ["sampling", "elicitation", "roots"];

/// The reference server that asks for everything, an agent that may be asked, and its token.
async fn everything() -> (Server, String) {
    let dir = tempfile::tempdir().unwrap();
    let config = with_everything_server(&dir);
    let server = Server::serve(dir, &["--config", &config]).await;
    let it = json!({ "type": "stdio", "command": "it" });
    let agent = upstream_that_asks(&server, "it", it, "read", &ALL).await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    (server, token)
}

fn check(seen: &Value) {
    // The server keeps the roots of its session, which is the run's: the next client of the run is not asked again.
    for kind in ["sampling", "elicitation"] {
        assert!(seen["asked"].to_string().contains(kind), "{kind}: {seen}");
    }
    let has =
        |part: &str, words: &str| seen[part].as_str().is_some_and(|text| text.contains(words));
    assert!(has("sampled", "sampled by the client"), "{seen}");
    assert!(has("elicited", "Ada"), "{seen}");
    assert!(has("rooted", "file:///srv/client/project"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_clients_answer_what_a_server_asks_and_hear_of_a_resource() {
    let (server, token) = everything().await;
    let python = installed("REMIT_TEST_PY_MCP1");
    check(&run(&python, "ask_mcp1.py", &server, "it", &token, &[]));
    let modules = installed("REMIT_TEST_NODE_MODULES");
    let node = installed("REMIT_TEST_NODE");
    check(&run(
        &node,
        "ask_sdk.mjs",
        &server,
        "it",
        &token,
        &[("MODULES", &modules)],
    ));
    // Each question was decided and recorded as a call.
    let auditor = enrol(&server, "sponsor@acme.example").await;
    let path = "/audit/entries?kind=call.decided&limit=500";
    let (_, page) = server.rest(Method::GET, path, &auditor, None).await;
    for (kind, least) in [("sampling", 2), ("elicitation", 2), ("roots", 1)] {
        let of_kind = |entry: &&Value| {
            let tool = entry["facts"]["tool"].as_str();
            tool.is_some_and(|tool| tool.contains(kind))
        };
        let entries = page["items"].as_array().unwrap();
        assert!(
            entries.iter().filter(of_kind).count() >= least,
            "{kind}: {page}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_client_answers_with_its_next_call() {
    let (_running, url) = Everything::start();
    let server = Server::serve(tempfile::tempdir().unwrap(), &[]).await;
    let http = json!({ "type": "http", "url": url });
    let agent = upstream_that_asks(&server, "it", http, "read", &ALL).await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let seen = run(
        &installed("REMIT_TEST_PY"),
        "ask_mcp2.py",
        &server,
        "it",
        &token,
        &[],
    );
    assert_eq!(seen["three"], "all three", "{seen}");
    assert_eq!(seen["twice"], "Ada likes green", "{seen}");
}

/// A 2025-11-25 client by hand.
struct Hand<'a> {
    server: &'a Server,
    token: &'a str,
    session: String,
}

impl<'a> Hand<'a> {
    async fn new(server: &'a Server, token: &'a str) -> Self {
        let mut hand = Self {
            server,
            token,
            session: String::new(),
        };
        let capabilities = json!({ "sampling": {}, "elicitation": {}, "roots": {} });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": { "name": "hand", "version": "1" } });
        let begun = hand
            .post(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }))
            .await;
        hand.session = begun.headers()["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        hand
    }

    async fn post(&self, message: &Value) -> reqwest::Response {
        let mut request = reqwest::Client::new()
            .post(format!("{}/mcp/it", self.server.base()))
            .bearer_auth(self.token)
            .header("accept", "application/json, text/event-stream")
            .timeout(Duration::from_secs(60))
            .json(message);
        if !self.session.is_empty() {
            request = request
                .header("mcp-protocol-version", "2025-11-25")
                .header("mcp-session-id", &self.session);
        }
        request.send().await.unwrap()
    }

    async fn answer(&self, id: &Value, name: &str) -> StatusCode {
        let content = json!({ "name": name });
        let result = json!({ "action": "accept", "content": content });
        self.post(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
            .await
            .status()
    }
}

/// Messages of a stream, one after the other.
struct Messages {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<Vec<u8>>>,
    held: String,
}

impl Messages {
    fn of(response: reqwest::Response) -> Self {
        let bytes = response
            .bytes_stream()
            .map(|chunk| chunk.map(|bytes| bytes.to_vec()))
            .boxed();
        Self {
            bytes,
            held: String::new(),
        }
    }

    /// The next message that this picks.
    async fn next(&mut self, picks: impl Fn(&Value) -> bool) -> Value {
        loop {
            while let Some((event, rest)) = self.held.split_once("\n\n") {
                let data: String = event
                    .lines()
                    .filter_map(|line| line.strip_prefix("data: "))
                    .collect();
                self.held = rest.to_owned();
                let message: Value = serde_json::from_str(&data).unwrap_or_default();
                if picks(&message) {
                    return message;
                }
            }
            let chunk = self
                .bytes
                .next()
                .await
                .expect("the stream goes on")
                .unwrap();
            self.held.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

fn elicitation(message: &Value) -> bool {
    message["method"] == "elicitation/create"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_once_by_who_was_asked_and_by_nobody_else() {
    let (server, token) = everything().await;
    let grants = [json!({ "tool": "it/echo", "autonomy": "it is a test" })];
    let other = register(&server, "other", &grants).await;
    let other = server
        .token(&other.client, &other.key, "workflow:answer")
        .await;
    let (asked, thief) = (
        Hand::new(&server, &token).await,
        Hand::new(&server, &other).await,
    );
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": "trigger-elicitation-request", "arguments": {} } });
    let mut stream = Messages::of(asked.post(&call).await);
    let question = stream.next(elicitation).await;
    let id = question["id"].clone();

    // Another agent, in its own session and in the one it has seen; and the right one with what is no answer.
    assert_eq!(thief.answer(&id, "thief").await, StatusCode::ACCEPTED);
    let stolen = Hand {
        server: &server,
        token: &other,
        session: asked.session.clone(),
    };
    assert_eq!(stolen.answer(&id, "thief").await, StatusCode::NOT_FOUND);
    asked.answer(&json!("remit-999999"), "nobody").await;
    let large = asked.answer(&id, &"x".repeat(2_000_000)).await;
    assert_eq!(large, StatusCode::PAYLOAD_TOO_LARGE);

    assert_eq!(asked.answer(&id, "Ada").await, StatusCode::ACCEPTED);
    // Once more, and too late: accepted as the revision wants it, and gone nowhere.
    assert_eq!(asked.answer(&id, "Eve").await, StatusCode::ACCEPTED);
    let done = stream.next(|message| message["id"] == 7).await;
    let text = done["result"].to_string();
    assert!(
        text.contains("Ada") && !text.contains("thief") && !text.contains("Eve"),
        "{done}"
    );
    assert_eq!(asked.answer(&id, "Eve").await, StatusCode::ACCEPTED);

    // Nor does another agent listen to the session, or end it.
    for method in [Method::GET, Method::DELETE] {
        let listens = reqwest::Client::new()
            .request(method, format!("{}/mcp/it", server.base()))
            .bearer_auth(&other)
            .header("accept", "text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .header("mcp-session-id", &asked.session);
        assert_eq!(
            listens.send().await.unwrap().status(),
            StatusCode::NOT_FOUND
        );
    }
    // What it may not read, it does not hear of.
    let subscribe = json!({ "jsonrpc": "2.0", "id": 8, "method": "resources/subscribe", "params": { "uri": "demo://resource/dynamic/text/1" } });
    let refused: Value = thief.post(&subscribe).await.json().await.unwrap();
    assert!(
        refused["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("denied") || text.contains("DENIED")),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_when_its_agent_is_contained() {
    let (server, token) = everything().await;
    let asked = Hand::new(&server, &token).await;
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": "trigger-elicitation-request", "arguments": {} } });
    let mut stream = Messages::of(asked.post(&call).await);
    let question = stream.next(elicitation).await;
    let (exit, text) = server.remit(&[
        "contain", "agent", "worker", "--level", "suspend", "--reason", "test", "--yes",
    ]);
    assert_eq!(exit, 0, "{text}");
    let done = stream.next(|message| message["id"] == 7).await;
    assert!(
        done["result"]["isError"] == true || done.get("error").is_some(),
        "{done}"
    );
    // Too late: it goes to nobody.
    asked.answer(&question["id"], "Ada").await;
}
