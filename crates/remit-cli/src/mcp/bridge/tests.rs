//! The bridge between a client on a pipe and a gateway that counts, refuses, streams and lies.

use std::convert::Infallible;
use std::sync::PoisonError;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use remit_token::client_assertion::{ExpectAssertion, verify};
use remit_token::{AuthorizationServerMetadata, PublicJwk, Scope, SigningKey, TokenRequest};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;

use super::*;
use crate::client::Client;
use crate::connection::address;

const AGENT: &str = "agt_01JD8M3W7Q4X5Y6Z7A8B9C0D1E";

/// What the gateway saw, and how it is to behave.
#[derive(Default)]
struct Seen {
    issuer: String,
    key: Option<PublicJwk>,
    tokens: usize,
    token_life: u32,
    refuse_once: bool,
    /// Method, `Mcp-Name`, session, version of each message.
    messages: Vec<[String; 4]>,
    opened: Option<Value>,
    ended: Option<Value>,
    session_ended: bool,
}

struct Gateway {
    seen: Arc<Mutex<Seen>>,
    address: String,
}

fn text(request: &Request<Incoming>, name: &str) -> String {
    request
        .headers()
        .get(name)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

fn answer(status: u16, kind: &str, body: String) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(Full::from(body))
        .unwrap()
}

fn json_answer(body: &Value) -> Response<Full<Bytes>> {
    answer(200, "application/json", body.to_string())
}

async fn handle(
    seen: Arc<Mutex<Seen>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, path) = (
        request.method().to_string(),
        request.uri().path().to_owned(),
    );
    let heads = [
        text(&request, "mcp-method"),
        text(&request, "mcp-name"),
        text(&request, "mcp-session-id"),
        text(&request, "mcp-protocol-version"),
    ];
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(match (method.as_str(), path.as_str()) {
        ("GET", "/.well-known/oauth-authorization-server") => {
            let metadata =
                AuthorizationServerMetadata::new(&seen.issuer, &Scope::default()).unwrap();
            json_answer(&serde_json::to_value(metadata).unwrap())
        }
        ("POST", "/oauth2/token") => token(&mut seen, &body),
        ("POST", "/api/v1/runs") => {
            seen.opened = serde_json::from_slice(&body).ok();
            answer(
                201,
                "application/json",
                json!({"id": "run_1", "state": "active"}).to_string(),
            )
        }
        ("POST", "/api/v1/runs/run_1/end") => {
            seen.ended = serde_json::from_slice(&body).ok();
            json_answer(&json!({}))
        }
        ("DELETE", "/mcp") => {
            seen.session_ended = true;
            answer(204, "text/plain", String::new())
        }
        ("POST", "/mcp") => message(&mut seen, &heads, &body),
        other => answer(404, "text/plain", format!("{other:?}")),
    })
}

fn token(seen: &mut Seen, body: &[u8]) -> Response<Full<Bytes>> {
    let request = TokenRequest::from_form(body).unwrap();
    let expect = ExpectAssertion {
        client_id: AGENT,
        audiences: &[&seen.issuer],
        now: crate::edge::now().as_secs(),
        leeway_s: 5,
    };
    let remit_token::ClientProof::PrivateKeyJwt(assertion) = &request.client().unwrap().proof
    else {
        panic!("another proof");
    };
    verify(assertion.expose_secret(), &[seen.key.unwrap()], &expect).unwrap();
    assert_eq!(request.resource(), [format!("{}/mcp", seen.issuer)]);
    seen.tokens += 1;
    let scope = if request.scope().contains("run:run_1") {
        "workflow:answer run:run_1"
    } else {
        "workflow:answer"
    };
    json_answer(
        &json!({"access_token": format!("tok-{}", seen.tokens), "token_type": "Bearer", "expires_in": seen.token_life, "scope": scope}),
    )
}

fn message(seen: &mut Seen, heads: &[String; 4], body: &[u8]) -> Response<Full<Bytes>> {
    let message: Value = serde_json::from_slice(body).unwrap();
    let mut heads = heads.clone();
    message["method"]
        .as_str()
        .unwrap_or_default()
        .clone_into(&mut heads[0]);
    seen.messages.push(heads);
    if std::mem::take(&mut seen.refuse_once) {
        return answer(
            401,
            "application/json",
            json!({"error": "invalid_token"}).to_string(),
        );
    }
    let id = &message["id"];
    let result = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
    match message["method"].as_str().unwrap_or_default() {
        "initialize" => {
            let mut answer = json_answer(&result(json!({"protocolVersion": "2025-11-25"})));
            answer
                .headers_mut()
                .insert("mcp-session-id", "sealed-1".parse().unwrap());
            answer
        }
        "tools/call" => {
            let said = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}});
            answer(
                200,
                "text/event-stream",
                format!(
                    ":\n\ndata: {said}\n\ndata: {}\n\n",
                    result(json!({"content": []}))
                ),
            )
        }
        "prompts/get" => answer(
            403,
            "application/problem+json",
            json!({"detail": "the agent is contained", "code": "contained"}).to_string(),
        ),
        "prompts/list" => answer(200, "text/event-stream", ":\n\n".to_owned()),
        _ if id.is_null() => answer(202, "text/plain", String::new()),
        _ => json_answer(&result(json!({}))),
    }
}

async fn gateway() -> (Gateway, tempfile::TempDir) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let pair = EcdsaKeyPair::generate_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &aws_lc_rs::rand::SystemRandom::new(),
    )
    .unwrap();
    let key = SigningKey::from_pkcs8(pair.as_ref()).unwrap().public();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key.pem"), crate::agent::pem(pair.as_ref())).unwrap();
    let seen = Seen {
        issuer: address.clone(),
        key: Some(key),
        token_life: 300,
        ..Seen::default()
    };
    let seen = Arc::new(Mutex::new(seen));
    let state = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let state = Arc::clone(&state);
            let service =
                hyper::service::service_fn(move |request| handle(Arc::clone(&state), request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service),
            );
        }
    });
    (Gateway { seen, address }, dir)
}

/// A client that has started the bridge.
struct Started {
    input: DuplexStream,
    output: tokio::io::Lines<tokio::io::BufReader<DuplexStream>>,
    bridge: tokio::task::JoinHandle<anyhow::Result<End>>,
}

impl Started {
    fn new(gateway: &Gateway, dir: &tempfile::TempDir) -> Self {
        use tokio::io::AsyncBufReadExt;
        let args = Bridge {
            agent: AGENT.to_owned(),
            key: dir.path().join("key.pem"),
            workflow: None,
            upstream: None,
            intent: None,
            purpose: Some("ticket INC-1".to_owned()),
            subject_token: None,
            model: Some("model-7".to_owned()),
            prompt_version: Some("p3".to_owned()),
            config_version: None,
            context_refs: vec!["kb:12".to_owned()],
        };
        let client = Client::new(&address(&gateway.address).unwrap(), None).unwrap();
        let identity = Identity::new(client, false, args).unwrap();
        let (input, bridge_input) = tokio::io::duplex(1 << 16);
        let (bridge_output, output) = tokio::io::duplex(1 << 16);
        let bridge = tokio::spawn(serve(identity, None, bridge_input, bridge_output));
        Self {
            input,
            output: tokio::io::BufReader::new(output).lines(),
            bridge,
        }
    }

    async fn say(&mut self, message: &Value) {
        self.input
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }

    async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.output.next_line().await.unwrap().unwrap()).unwrap()
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.say(message).await;
        self.hear().await
    }

    async fn close(self) -> End {
        drop(self.input);
        self.bridge.await.unwrap().unwrap()
    }
}

fn request(id: u32, method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"name": "orders__refund", "arguments": {}}})
}

#[tokio::test]
async fn a_session_of_2025_11_25_is_carried_and_its_run_is_ended() {
    let (gateway, dir) = gateway().await;
    let mut client = Started::new(&gateway, &dir);
    assert_eq!(
        client.ask(&request(1, "initialize")).await["result"]["protocolVersion"],
        "2025-11-25"
    );
    client
        .say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    // What is said on the way comes before the answer.
    assert_eq!(
        client.ask(&request(2, "tools/call")).await["method"],
        "notifications/progress"
    );
    assert_eq!(client.hear().await["id"], 2);
    assert_eq!(client.close().await, End::Closed);

    let seen = gateway.seen.lock().unwrap();
    assert_eq!(seen.opened.as_ref().unwrap()["workflow"], "answer");
    assert_eq!(
        seen.opened.as_ref().unwrap()["provenance"],
        json!({ "model": "model-7", "prompt": "p3", "configuration": null, "context": ["kb:12"] })
    );
    assert_eq!(
        seen.opened.as_ref().unwrap()["intent"]["purpose"],
        "ticket INC-1"
    );
    assert_eq!(seen.ended.as_ref().unwrap()["outcome"], "done");
    assert!(seen.session_ended);
    // One token to open the run, one for it.
    assert_eq!(seen.tokens, 2);
    let sessions: Vec<_> = seen
        .messages
        .iter()
        .map(|m| (m[0].as_str(), m[2].as_str(), m[3].as_str()))
        .collect();
    let version = "2025-11-25";
    assert_eq!(
        sessions,
        [
            ("initialize", "", version),
            ("notifications/initialized", "sealed-1", version),
            ("tools/call", "sealed-1", version)
        ]
    );
}

#[tokio::test]
async fn a_request_of_2026_07_28_has_the_headers_of_its_body() {
    let (gateway, dir) = gateway().await;
    let mut client = Started::new(&gateway, &dir);
    let mut call = request(1, "tools/call");
    call["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    client.ask(&call).await;
    assert_eq!(client.hear().await["id"], 1);
    client.close().await;
    let seen = gateway.seen.lock().unwrap();
    assert_eq!(
        seen.messages,
        [["tools/call", "orders__refund", "", "2026-07-28"].map(str::to_owned)]
    );
    assert!(!seen.session_ended);
}

#[tokio::test]
async fn tokens_are_renewed_before_they_end_and_when_they_are_refused() {
    let (gateway, dir) = gateway().await;
    gateway.seen.lock().unwrap().refuse_once = true;
    let mut client = Started::new(&gateway, &dir);
    assert_eq!(client.ask(&request(1, "tools/list")).await["id"], 1);
    assert_eq!(gateway.seen.lock().unwrap().tokens, 3);
    gateway.seen.lock().unwrap().token_life = 20;
    gateway.seen.lock().unwrap().refuse_once = true;
    client.ask(&request(2, "tools/list")).await;
    // The one in hand ends too soon now, so each call gets a new one.
    client.ask(&request(3, "tools/list")).await;
    client.ask(&request(4, "tools/list")).await;
    assert_eq!(gateway.seen.lock().unwrap().tokens, 6);
    client.close().await;
}

#[tokio::test]
async fn whatever_goes_wrong_is_an_answer_to_its_request() {
    let (gateway, dir) = gateway().await;
    let mut client = Started::new(&gateway, &dir);
    let refused = client.ask(&request(1, "prompts/get")).await;
    assert_eq!(
        (
            refused["id"].as_u64(),
            refused["error"]["message"]
                .as_str()
                .unwrap()
                .contains("contained")
        ),
        (Some(1), true)
    );
    let silent = client.ask(&request(2, "prompts/list")).await;
    assert!(
        silent["error"]["message"]
            .as_str()
            .unwrap()
            .contains("may have had its effect"),
        "{silent}"
    );
    client.input.write_all(b"{nonsense}\n").await.unwrap();
    assert_eq!(client.hear().await["error"]["code"], code::PARSE_ERROR);
    // And it goes on.
    assert_eq!(client.ask(&request(3, "tools/list")).await["id"], 3);
    client.close().await;
}

#[tokio::test]
async fn a_line_without_end_ends_the_bridge_and_its_run() {
    let (gateway, dir) = gateway().await;
    let mut client = Started::new(&gateway, &dir);
    client.ask(&request(1, "tools/list")).await;
    let Started {
        mut input,
        bridge,
        mut output,
    } = client;
    let endless =
        tokio::spawn(async move { while input.write_all(&[b'x'; 65_536]).await.is_ok() {} });
    let told: Value = serde_json::from_str(&output.next_line().await.unwrap().unwrap()).unwrap();
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("longer than")
    );
    assert_eq!(bridge.await.unwrap().unwrap(), End::Broken);
    endless.await.unwrap();
    assert_eq!(
        gateway.seen.lock().unwrap().ended.as_ref().unwrap()["outcome"],
        "abandoned"
    );
}

#[tokio::test]
async fn no_assertion_is_signed_for_another_issuer() {
    let (gateway, dir) = gateway().await;
    gateway.seen.lock().unwrap().issuer = "https://other.example".to_owned();
    let mut client = Started::new(&gateway, &dir);
    let refused = client.ask(&request(1, "tools/list")).await;
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("calls itself https://other.example"),
        "{refused}"
    );
    assert_eq!(gateway.seen.lock().unwrap().tokens, 0);
    client.close().await;
}
