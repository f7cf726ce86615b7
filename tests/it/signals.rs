//! Shared signals end to end: what happens here is told to whom an administrator lets hear it, and npm `jose` believes it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, installed};

const AUDIENCE: &str = "https://soc.example";

/// A receiver of that name; its token.
async fn receiver(server: &Server, name: &str) -> String {
    let path = format!("/signal-receivers/{name}");
    let spec = json!({ "audience": AUDIENCE });
    server.admin_rest(Method::PUT, &path, Some(spec)).await;
    let (code, token) = server.remit(&[
        "signal", "receiver", "token", name, "--days", "1", "-o", "name",
    ]);
    assert_eq!(code, 0, "{token}");
    token.trim().to_owned()
}

/// Asks as a receiver, or as whoever has the token.
async fn ssf(
    server: &Server,
    method: Method,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let http = reqwest::Client::new();
    let url = format!("{}{path}", server.base());
    let mut request = http.request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

/// What `jose` reads in these tokens.
fn checked(server: &Server, tokens: &[String]) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/set_check.mjs");
    let url = format!("{}/.well-known/ssf-configuration", server.base());
    let mut child = Command::new(installed("REMIT_TEST_NODE"))
        .arg(script)
        .arg(installed("REMIT_TEST_NODE_MODULES"))
        .args([url.as_str(), AUDIENCE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(tokens.join("\n").as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn event_of(checked: &Value) -> String {
    let events = checked["claims"]["events"].as_object().unwrap();
    let uri = events.keys().next().unwrap();
    uri.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_contained_is_told_of_and_jose_believes_it() {
    let server = Server::dev().await;
    let token = receiver(&server, "soc").await;
    let http = reqwest::Client::new();
    let url = format!("{}/.well-known/ssf-configuration", server.base());
    let metadata: Value = http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["issuer"], server.base());
    let at = metadata["configuration_endpoint"].as_str().unwrap();
    let at = at.strip_prefix(&server.base()).unwrap();
    let asked = json!({ "delivery": { "method": "urn:ietf:rfc:8936" } });
    let (status, stream) = ssf(&server, Method::POST, at, &token, Some(asked)).await;
    assert_eq!(status, 201, "{stream}");
    let id = stream["stream_id"].as_str().unwrap();
    let poll = format!("/ssf/poll/{id}");

    let verify = json!({ "stream_id": id, "state": "first" });
    let (status, _) = ssf(&server, Method::POST, "/ssf/verify", &token, Some(verify)).await;
    assert_eq!(status, 204);
    let agent = "support-triage";
    let (code, said) = server.remit(&[
        "contain", "agent", agent, "--level", "suspend", "--reason", "INC-7", "--yes",
    ]);
    assert_eq!(code, 0, "{said}");

    let (status, told) = ssf(&server, Method::POST, &poll, &token, Some(json!({}))).await;
    assert_eq!(status, 200, "{told}");
    let sets = told["sets"].as_object().unwrap();
    let tokens: Vec<String> = sets
        .values()
        .map(|t| t.as_str().unwrap().to_owned())
        .collect();
    let read = checked(&server, &tokens);
    let client_id = server.ready["agents"][agent]["client_id"].as_str().unwrap();
    let subject = json!({ "format": "iss_sub", "iss": server.base(), "sub": client_id });
    let about = |event: &str| {
        let found = read.iter().find(|one| event_of(one) == event);
        found.unwrap_or_else(|| panic!("{event} in {read:#?}"))
    };
    assert_eq!(about("account-disabled")["claims"]["sub_id"], subject);
    let uri = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    assert_eq!(
        about("verification")["claims"]["events"][uri]["state"],
        "first"
    );

    let ack: Vec<&String> = sets.keys().collect();
    let body = json!({ "ack": ack, "maxEvents": 0 });
    let (_, rest) = ssf(&server, Method::POST, &poll, &token, Some(body)).await;
    assert_eq!(rest["sets"], json!({}));
    let (_, told) = ssf(&server, Method::POST, &poll, &token, Some(json!({}))).await;
    assert!(
        ack.iter()
            .all(|jti| told["sets"].get(jti.as_str()).is_none())
    );
    let (code, shown) = server.remit(&["signal", "receiver", "show", "soc"]);
    assert_eq!(code, 0, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_without_a_token_of_a_receiver() {
    let server = Server::dev().await;
    let token = receiver(&server, "soc").await;
    let (status, _) = ssf(&server, Method::GET, "/ssf/streams", &token, None).await;
    assert_eq!(status, 200);
    for wrong in [server.admin(), "rmt_sig_nothing".to_owned(), String::new()] {
        let (status, said) = ssf(&server, Method::GET, "/ssf/streams", &wrong, None).await;
        assert_eq!(status, 401, "{said}");
    }
    // A token of a receiver opens nothing else.
    for path in [
        "/api/v1/agents",
        "/scim/v2/Users",
        "/api/v1/signal-receivers",
    ] {
        let (status, said) = ssf(&server, Method::GET, path, &token, None).await;
        assert_eq!(status, 401, "{path}: {said}");
    }
    let reason = json!({ "reason": "gone" });
    let path = "/signal-receivers/soc/revoke";
    server.admin_rest(Method::POST, path, Some(reason)).await;
    let (status, _) = ssf(&server, Method::GET, "/ssf/streams", &token, None).await;
    assert_eq!(status, 401);
}
