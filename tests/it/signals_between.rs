//! Shared signals between two servers: what one does to a person or an agent, the other hears, believes, and does in its own house.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

const AGENT: &str = "support-triage";
const PERSON: &str = "maria@acme.example";

/// Two servers: what happens at `there` is told to `here`.
struct Two {
    there: Server,
    here: Server,
    /// With what `there` sends here.
    sends: String,
    /// With what is set up there what is told.
    hears: String,
}

impl Two {
    async fn new() -> Self {
        let (there, here) = tokio::join!(Server::dev(), Server::dev());
        let audience = here.base();
        let client = there.ready["agents"][AGENT]["client_id"].as_str().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let about = dir.path().join("about.json");
        let names = json!({ "people": { PERSON: PERSON }, "agents": { client: AGENT } });
        std::fs::write(&about, names.to_string()).unwrap();
        let about = about.to_str().unwrap();
        let set = [
            "signal",
            "transmitter",
            "set",
            "there",
            "--issuer",
            &there.base(),
            "--audience",
            &audience,
            "--about",
            about,
        ];
        let (code, said) = here.remit(&set);
        assert_eq!(code, 0, "{said}");
        let (code, said) = here.remit(&["signal", "transmitter", "test", "there"]);
        assert_eq!(code, 0, "{said}");
        let token = |server: &Server, of: &str, name: &str| {
            let (code, token) = server.remit(&["signal", of, "token", name, "-o", "name"]);
            assert_eq!(code, 0, "{token}");
            token.trim().to_owned()
        };
        let sends = token(&here, "transmitter", "there");
        let (code, said) =
            there.remit(&["signal", "receiver", "add", "here", "--audience", &audience]);
        assert_eq!(code, 0, "{said}");
        let hears = token(&there, "receiver", "here");
        Self {
            there,
            here,
            sends,
            hears,
        }
    }

    async fn ssf(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/ssf{path}", self.there.base());
        let request = reqwest::Client::new().post(url).bearer_auth(&self.hears);
        let response = request.json(&body).send().await.unwrap();
        let status = response.status();
        assert!(status.is_success(), "{path}: {status}");
        response.json().await.unwrap_or(Value::Null)
    }

    async fn stream(&self, delivery: Value) -> String {
        let made = self.ssf("/streams", json!({ "delivery": delivery })).await;
        made["stream_id"].as_str().unwrap().to_owned()
    }

    async fn pushed(&self) -> String {
        self.stream(json!({
            "method": "urn:ietf:rfc:8935", "endpoint_url": format!("{}/ssf/events", self.here.base()),
            "authorization_header": format!("Bearer {}", self.sends)
        }))
        .await
    }

    /// What waits to be told by a stream that is asked.
    async fn told(&self, stream: &str) -> Vec<String> {
        let told = self.ssf(&format!("/poll/{stream}"), json!({})).await;
        let sets = told["sets"].as_object().unwrap().values();
        sets.map(|t| t.as_str().unwrap().to_owned()).collect()
    }

    /// Sends something here as a signal; the status, and what is said.
    async fn send(&self, path: &str, bearer: &str, sent: String) -> (u16, Value) {
        let url = format!("{}{path}", self.here.base());
        let request = reqwest::Client::new().post(url).bearer_auth(bearer);
        let request = request.header("content-type", "application/secevent+jwt");
        let response = request.body(sent).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    async fn state(&self, path: &str) -> String {
        let found = self.here.admin_rest(Method::GET, path, None).await;
        found["state"].as_str().unwrap().to_owned()
    }

    async fn heard(&self) -> Vec<Value> {
        let path = "/audit/entries?kind=signal.heard&limit=100";
        let found = self.here.admin_rest(Method::GET, path, None).await;
        found["items"].as_array().unwrap().clone()
    }
}

/// Waits until something is so, which another server brings about.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    for _ in 0..1_500 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_contained_at_one_server_stops_at_the_other() {
    let two = Two::new().await;
    let stream = two.pushed().await;
    two.ssf("/verify", json!({ "stream_id": stream, "state": "s" }))
        .await;
    until("the line works", async || !two.heard().await.is_empty()).await;
    let token = two.here.agent_token(AGENT, "answer").await;
    let (code, said) = two.there.remit(&[
        "contain", "agent", AGENT, "--level", "suspend", "--reason", "INC-7", "--yes",
    ]);
    assert_eq!(code, 0, "{said}");
    let agent = format!("/agents/{AGENT}");
    until("the agent stops here", async || {
        two.state(&agent).await == "suspended"
    })
    .await;
    let gone = two
        .here
        .call(
            "/mcp",
            &token,
            "orders__get_order",
            json!({ "order": "A-1001" }),
        )
        .await;
    assert!(
        gone["result"].is_null() || gone["result"]["isError"] == true,
        "{gone}"
    );
    let (code, said) = two
        .there
        .remit(&["person", "suspend", PERSON, "--reason", "INC-7"]);
    assert_eq!(code, 0, "{said}");
    let person = format!("/people/{PERSON}");
    until("the person stops here", async || {
        two.state(&person).await == "suspended"
    })
    .await;
    // Nothing comes back by a signal: somebody here has to let them.
    let (code, said) = two
        .there
        .remit(&["person", "resume", PERSON, "--reason", "over"]);
    assert_eq!(code, 0, "{said}");
    let nothing = |e: &Value| e.to_string().contains("nothing_follows");
    until("that is heard", async || {
        two.heard().await.iter().any(nothing)
    })
    .await;
    assert_eq!(two.state(&person).await, "suspended");
    let (code, shown) = two.there.remit(&["signal", "receiver", "show", "here"]);
    assert!(code == 0 && !shown.contains("it answered"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_good_once_at_one_organization_from_one_that_proves_itself() {
    let two = Two::new().await;
    let stream = two.stream(json!({ "method": "urn:ietf:rfc:8936" })).await;
    let (code, said) = two
        .there
        .remit(&["person", "suspend", PERSON, "--reason", "INC-7"]);
    assert_eq!(code, 0, "{said}");
    let told = two.told(&stream).await;
    let path = format!("/people/{PERSON}");
    let set = |event: &str| {
        let found = told
            .iter()
            .find(|token| claims(token)["events"].to_string().contains(event));
        found.unwrap_or_else(|| panic!("{event}")).clone()
    };
    let disabled = set("account-disabled");
    // Without the token that was made for it, with another one, at another organization, changed, or as something else.
    let mut forged = disabled.clone();
    forged.truncate(forged.len() - 4);
    for (at, bearer, sent, expected) in [
        ("/ssf/events", "", &disabled, 401),
        ("/ssf/events", two.hears.as_str(), &disabled, 401),
        ("/ssf/events", &two.here.admin(), &disabled, 401),
        ("/ssf/events", two.sends.as_str(), &forged, 400),
        ("/ssf/events", two.sends.as_str(), &"x".repeat(100_000), 400),
    ] {
        let (status, said) = two.send(at, bearer, sent.clone()).await;
        assert_eq!(status, expected, "{at} {said}");
        if status == 400 {
            assert!(
                said["err"].is_string() && said["description"].is_string(),
                "{said}"
            );
        }
    }
    assert_eq!(two.state(&path).await, "active");
    let (status, said) = two.send("/ssf/events", &two.sends, disabled.clone()).await;
    assert_eq!(status, 202, "{said}");
    assert_eq!(two.state(&path).await, "suspended");
    let (code, said) = two
        .here
        .remit(&["person", "resume", PERSON, "--reason", "we looked at it"]);
    assert_eq!(code, 0, "{said}");
    // The same signal again is taken and does nothing.
    let (status, _) = two.send("/ssf/events", &two.sends, disabled).await;
    assert_eq!(status, 202);
    assert_eq!(two.state(&path).await, "active");
    // Revoked, it tells nothing more.
    let (code, said) = two.here.remit(&[
        "signal",
        "transmitter",
        "revoke",
        "there",
        "--reason",
        "leaked",
    ]);
    assert_eq!(code, 0, "{said}");
    let (status, _) = two
        .send("/ssf/events", &two.sends, set("session-revoked"))
        .await;
    assert_eq!(status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_hears_it_too_and_says_what_it_has() {
    let there = Server::dev().await;
    let dir = tempfile::tempdir().unwrap();
    let secrets = dir.path().canonicalize().unwrap().join("secrets");
    let config = dir.path().join("remit.toml");
    let text = format!("secret_dirs = [{:?}]\n", secrets.to_str().unwrap());
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap().to_owned();
    let here = Server::serve(dir, &["--config", &config]).await;
    let (code, said) = there.remit(&["signal", "receiver", "add", "here", "--audience", "here"]);
    assert_eq!(code, 0, "{said}");
    let (_, hears) = there.remit(&["signal", "receiver", "token", "here", "-o", "name"]);
    let at = format!("{}/ssf/streams", there.base());
    let request = reqwest::Client::new().post(at).bearer_auth(hears.trim());
    let made = request.json(&json!({})).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let poll = made["delivery"]["endpoint_url"].as_str().unwrap();
    let own = secrets.join("default");
    std::fs::create_dir_all(&own).unwrap();
    let token = own.join("there");
    std::fs::write(&token, hears.trim()).unwrap();
    let spec = json!({ "display_name": "Maria", "roles": [] });
    let path = format!("/people/{PERSON}");
    here.admin_rest(Method::PUT, &path, Some(spec)).await;
    let spec = json!({
        "issuer": there.base(), "keys": { "discovery": {} }, "audience": "here", "people": { PERSON: PERSON },
        "source": { "poll": { "endpoint": poll, "secret": { "file": token } } }
    });
    let put = "/signal-transmitters/there";
    here.admin_rest(Method::PUT, put, Some(spec)).await;
    let (code, said) = there.remit(&["person", "suspend", PERSON, "--reason", "INC-7"]);
    assert_eq!(code, 0, "{said}");
    until("the person stops here", async || {
        here.admin_rest(Method::GET, &path, None).await["state"] == "suspended"
    })
    .await;
    until("it is acknowledged", async || {
        let shown = there.admin_rest(Method::GET, "/signal-receivers/here", None);
        shown.await["streams"][0]["told"].as_u64() >= Some(2)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_pushed_nowhere_that_only_the_server_reaches() {
    let server = Server::dev().await;
    let (code, said) = server.remit(&["signal", "receiver", "add", "soc", "--audience", "x"]);
    assert_eq!(code, 0, "{said}");
    let (_, hears) = server.remit(&["signal", "receiver", "token", "soc", "-o", "name"]);
    let elsewhere = redirecting().await;
    let inside = [
        "http://169.254.169.254/latest",
        "https://10.0.0.1/x",
        "https://[fd00::1]/x",
        &elsewhere,
    ];
    for url in inside {
        let delivery = json!({ "method": "urn:ietf:rfc:8935", "endpoint_url": url });
        let at = format!("{}/ssf/streams", server.base());
        let request = reqwest::Client::new().post(at).bearer_auth(hears.trim());
        let made = request
            .json(&json!({ "delivery": delivery }))
            .send()
            .await
            .unwrap();
        assert_eq!(made.status().as_u16(), 201, "{url}");
    }
    let (code, said) = server.remit(&["person", "suspend", PERSON, "--reason", "INC-7"]);
    assert_eq!(code, 0, "{said}");
    let streams = async || {
        let shown = server
            .admin_rest(Method::GET, "/signal-receivers/soc", None)
            .await;
        shown["streams"].as_array().unwrap().clone()
    };
    let failed = |s: &Value| s["last_error"].is_string();
    until("each was tried", async || {
        streams().await.iter().all(failed)
    })
    .await;
    for stream in streams().await {
        let error = stream["last_error"].as_str().unwrap();
        let refused = error.contains("refused") || error.contains("sends elsewhere");
        assert!(refused && stream["told"] == 0, "{stream}");
    }
}

/// The address of somebody who sends whoever asks on to the server's own machine.
async fn redirecting() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}/x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = vec![0; 65_536];
            let _ = stream.read(&mut asked).await;
            let answer = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    at
}

pub(crate) fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}
