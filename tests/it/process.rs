//! The process itself: TLS with its reload, a clean end, and what its logs never hold.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::faults::Governed;
use crate::server::{binary, free_port};

/// Ends the process however the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A certificate of its own for `127.0.0.1`, written to where the server looks; returns it.
fn certificate(dir: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.pem()
}

/// Whether a client that trusts this certificate alone is answered.
async fn is_answered(url: &str, certificate: &str) -> bool {
    let trusted = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    let answer = client.get(format!("{url}/readyz")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

async fn until_answered(url: &str, certificate: &str) {
    for _ in 0..6_000 {
        if is_answered(url, certificate).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{url} does not answer with its certificate");
}

#[tokio::test]
async fn certificate_and_key_are_read_again_when_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let first = certificate(dir.path());
    let listen = format!("127.0.0.1:{}", free_port());
    let child = Command::new(binary())
        .args(["serve", "--listen", &listen, "--data"])
        .arg(dir.path().join("data"))
        .arg("--tls-cert")
        .arg(dir.path().join("cert.pem"))
        .arg("--tls-key")
        .arg(dir.path().join("key.pem"))
        .env("REMIT_LOG", "error")
        .spawn();
    let _process = Process(child.unwrap());
    let url = format!("https://{listen}");
    until_answered(&url, &first).await;
    let second = certificate(dir.path());
    until_answered(&url, &second).await;
    assert!(!is_answered(&url, &first).await, "the old one is gone");
    // What cannot be used changes nothing.
    std::fs::write(dir.path().join("cert.pem"), "not a certificate").unwrap();
    assert!(is_answered(&url, &second).await);
}

#[tokio::test]
async fn a_server_that_is_told_to_end_finishes_what_it_has_begun() {
    let mut it = Governed::new(&[]).await;
    let token = it.token().await;
    it.call(&token, "note", "before").await;
    let (answer, status) = tokio::join!(it.call(&token, "wait", "last"), async {
        while it.seen().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let told = Command::new("kill")
            .arg("-TERM")
            .arg(it.server.pid().to_string())
            .status();
        assert!(told.unwrap().success());
        it.go_on();
    });
    let () = status;
    assert_eq!(
        answer["result"]["content"][0]["text"], "noted last",
        "{answer}"
    );
    assert!(it.server.wait_for_end().success());
    let config = it.server.dir.path().join("remit.toml");
    it.server
        .start_again(&["--config", config.to_str().unwrap()])
        .await;
    let ends: Vec<_> = it.decided().await.into_values().collect();
    assert_eq!(ends, [Some("ok".to_owned()), Some("ok".to_owned())]);
    it.verifies();
}

/// What a server said on standard error, and everything that lets somebody in.
struct Talkative {
    process: Process,
    log: std::thread::JoinHandle<String>,
    url: String,
    secrets: Vec<String>,
    code: String,
    _dir: tempfile::TempDir,
}

impl Talkative {
    /// A server that logs all it can.
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = format!("127.0.0.1:{}", free_port());
        let data = dir.path().join("data");
        let command = |verb: &str| {
            let mut command = Command::new(binary());
            command
                .arg(verb)
                .args(["--listen", &listen, "--data"])
                .arg(&data);
            command
        };
        let init = command("init")
            .args(["--admin", "admin@acme.example"])
            .output();
        let said = String::from_utf8(init.unwrap().stdout).unwrap();
        let words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        let secrets: Vec<String> = words
            .filter(|word| word.starts_with("rmt_"))
            .map(str::to_owned)
            .collect();
        let code = secrets.iter().find(|word| word.starts_with("rmt_enr_"));
        let child = command("serve")
            .env("REMIT_LOG", "trace")
            .env("REMIT_LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn();
        let mut process = Process(child.unwrap());
        let mut stderr = process.0.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            let _ = stderr.read_to_end(&mut log);
            String::from_utf8_lossy(&log).into_owned()
        });
        let url = format!("http://{listen}");
        let ready = async || {
            let answer = reqwest::get(format!("{url}/readyz")).await;
            answer.is_ok_and(|r| r.status().is_success())
        };
        while !ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let code = code.unwrap().clone();
        Self {
            process,
            log,
            url,
            secrets,
            code,
            _dir: dir,
        }
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        reqwest::Client::new().post(format!("{}{path}", self.url))
    }

    /// Ends it; returns its log.
    fn end(mut self) -> (String, Vec<String>) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        (self.log.join().unwrap(), self.secrets)
    }
}

#[tokio::test]
async fn no_secret_is_in_the_logs() {
    let mut server = Talkative::start().await;
    let redeem = json!({ "code": server.code, "label": "test", "days": 1 });
    let redeemed = server
        .post("/api/v1/enrolments/redeem")
        .json(&redeem)
        .send()
        .await;
    let redeemed: serde_json::Value = redeemed.unwrap().json().await.unwrap();
    let token = redeemed["token"].as_str().unwrap().to_owned();
    let (key, jwk) = crate::server::new_key();
    let agent = "agt_01JD8M3W7Q4X5Y6Z7A8B9C0D1E";
    let assertion = crate::server::assertion(agent, &server.url, &key);
    let form = [
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion.as_str()),
    ];
    // Used as they should be, and where they should not.
    let http = reqwest::Client::new();
    let agents = format!("{}/api/v1/agents", server.url);
    let sent = [
        server.post("/oauth2/token").form(&form),
        http.get(&agents).bearer_auth(&token),
        http.get(format!("{agents}?access_token={token}")),
        http.get(format!("{agents}/{token}")).bearer_auth(&token),
        server.post("/mcp").bearer_auth(&token).json(&jwk),
        server
            .post("/mcp")
            .bearer_auth(format!("{token}x"))
            .json(&jwk),
        server.post("/api/v1/enrolments/redeem").json(&redeem),
    ];
    for request in sent {
        request.send().await.unwrap();
    }
    server.secrets.extend([token, assertion]);
    let (log, secrets) = server.end();
    let line = |line: &str| line.starts_with('{') && line.contains("serving");
    assert!(log.lines().any(line), "{log}");
    for (n, secret) in secrets.iter().enumerate() {
        assert!(
            secret.len() > 20 && !log.contains(secret.as_str()),
            "number {n} is in the log"
        );
    }
}
