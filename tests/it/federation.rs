//! Workloads of another platform: a real issuer on npm `jose` over HTTP, claims in the shapes of GitHub Actions, Kubernetes and
//! SPIFFE, and what whoever poses as a workload does not get.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, installed};

/// The issuer, ended however the test ends.
struct Platform {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    tell: ChildStdin,
    issuer: String,
    tokens: u64,
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Platform {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/workload_issuer.mjs");
        let mut child = Command::new(installed("REMIT_TEST_NODE"))
            .arg(script)
            .arg(installed("REMIT_TEST_NODE_MODULES"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let issuer = said.next().expect("the issuer starts").unwrap();
        Self {
            tell: child.stdin.take().unwrap(),
            child,
            said,
            issuer,
            tokens: 0,
        }
    }

    fn tell(&mut self, command: &Value) -> String {
        writeln!(self.tell, "{command}").unwrap();
        self.said.next().expect("the issuer answers").unwrap()
    }

    /// A token with these claims over what every one has.
    fn token(&mut self, audience: &str, claims: &Value) -> String {
        self.tokens += 1;
        let mut all = json!({ "aud": audience, "jti": format!("t-{}", self.tokens) });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.tell(&json!({ "claims": all }))
    }
}

/// Brings an assertion, as MCP's SEP-1933 has it: no client authentication.
async fn bring(server: &Server, assertion: &str, scope: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", assertion),
        ("resource", &format!("{}/mcp", server.base())),
        ("scope", scope),
    ];
    let url = format!("{}/oauth2/token", server.base());
    let response = reqwest::Client::new().post(url).form(&form).send().await;
    let response = response.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn github() -> Value {
    json!({
        "sub": "repo:acme/shop:ref:refs/heads/main", "ref": "refs/heads/main", "repository": "acme/shop",
        "repository_owner": "acme", "repository_id": "74", "event_name": "push", "runner_environment": "github-hosted",
        "job_workflow_ref": "acme/shop/.github/workflows/release.yml@refs/heads/main", "ref_protected": "true"
    })
}

fn kubernetes() -> Value {
    json!({
        "sub": "system:serviceaccount:agents:triage",
        "kubernetes.io": { "namespace": "agents", "pod": { "name": "triage-1", "uid": "7" },
            "serviceaccount": { "name": "triage", "uid": "9" } }
    })
}

/// A server that trusts the platform, by documents and by the command.
async fn trusting(platform: &Platform) -> Server {
    let server = Server::dev().await;
    let rules = json!([
        { "subject": "repo:acme/shop:ref:refs/heads/main", "agent": "support-triage", "workflow": "refund",
            "claims": { "runner_environment": ["github-hosted"], "ref_protected": ["true"] } },
        { "subject": "system:serviceaccount:agents:triage", "agent": "support-triage", "workflow": "answer",
            "claims": { "/kubernetes.io/serviceaccount/name": ["triage"] } },
        { "subject": "spiffe://prod.acme.example/ns/*/sa/helpdesk", "agent": "support-triage", "workflow": "refund" },
    ]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.json");
    std::fs::write(&file, rules.to_string()).unwrap();
    let (code, text) = server.remit(&[
        "trusted-issuer",
        "set",
        "platform",
        "--issuer",
        &platform.issuer,
        "--algorithm",
        "RS256",
        "--rules",
        file.to_str().unwrap(),
        "--reason",
        "a test",
    ]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = server.remit(&["trusted-issuer", "test", "platform"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("1 of its keys at"), "{text}");
    server
}

/// The refusals that were recorded, as text.
async fn refusals(server: &Server) -> String {
    let path = "/audit/entries?kind=authentication.refused";
    server.admin_rest(Method::GET, path, None).await.to_string()
}

#[tokio::test]
async fn workloads_of_three_platforms_call_tools_as_the_agent_that_a_rule_makes_them() {
    let mut platform = Platform::start();
    let server = trusting(&platform).await;
    let base = server.base();
    let spiffe = json!({ "sub": "spiffe://prod.acme.example/ns/it/sa/helpdesk" });
    for claims in [github(), spiffe] {
        let token = platform.token(&base, &claims);
        let (status, answer) = bring(&server, &token, "").await;
        assert_eq!(status, 200, "{answer}");
    }
    let token = platform.token(&base, &kubernetes());
    let (status, answer) = bring(&server, &token, "workflow:answer").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["token_type"], "Bearer");
    let access = answer["access_token"].as_str().unwrap();
    let call = server
        .call(
            "/mcp",
            access,
            "orders__order_status",
            json!({ "order": "A-118" }),
        )
        .await;
    assert!(
        call["result"].is_object() && call["result"]["isError"] != true,
        "{call}"
    );
    // It is refused once the issuer is not trusted any more.
    let (code, text) =
        server.remit(&["trusted-issuer", "disable", "platform", "--reason", "INC-9"]);
    assert_eq!(code, 0, "{text}");
    let after = server
        .call(
            "/mcp",
            access,
            "orders__order_status",
            json!({ "order": "A-118" }),
        )
        .await;
    assert_eq!(after["status"], 401, "{after}");
    let token = platform.token(&base, &kubernetes());
    assert_eq!(bring(&server, &token, "").await.0, 400);
}

#[tokio::test]
async fn what_was_used_or_is_not_meant_gets_nothing_and_says_why_in_the_ledger() {
    let mut platform = Platform::start();
    let server = trusting(&platform).await;
    let base = server.base();
    let good = platform.token(&base, &github());
    assert_eq!(bring(&server, &good, "").await.0, 200);
    let with = |name: &str, value: Value| {
        let mut claims = github();
        claims[name] = value;
        claims
    };
    let fork = with("sub", json!("repo:evil/shop:ref:refs/heads/main"));
    let own_runner = with("runner_environment", json!("self-hosted"));
    let other_issuer = with("iss", json!("https://token.actions.githubusercontent.com"));
    let expired = with("exp", json!(1_700_000_000));
    let attacks = [
        (good, "assertion-replayed"),
        (platform.token(&base, &fork), "workload-unknown"),
        (platform.token(&base, &own_runner), "workload-unknown"),
        (platform.token(&base, &other_issuer), "issuer-untrusted"),
        (platform.token(&base, &expired), "token-expired"),
        (
            platform.token("https://other.example", &github()),
            "token-audience-wrong",
        ),
    ];
    for (assertion, code) in attacks {
        let (status, answer) = bring(&server, &assertion, "").await;
        assert_eq!(
            (status, &answer["error"]),
            (400, &json!("invalid_grant")),
            "{code}: {answer}"
        );
        assert!(
            refusals(&server).await.contains(&format!("\"{code}\"")),
            "{code}"
        );
    }
}

#[tokio::test]
async fn keys_rotate_and_outages_pass() {
    let mut platform = Platform::start();
    let server = trusting(&platform).await;
    let base = server.base();
    let first = platform.token(&base, &github());
    assert_eq!(bring(&server, &first, "").await.0, 200);
    platform.tell(&json!({ "down": true }));
    let second = platform.token(&base, &github());
    assert_eq!(bring(&server, &second, "").await.0, 200);
    // Another issuer that nobody ever reached is refused, not believed.
    let (code, text) = server.remit(&["trusted-issuer", "test", "platform"]);
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("HTTP 503"), "{text}");
    platform.tell(&json!({ "rotate": true }));
    let unknown = platform.token(&base, &github());
    assert_eq!(bring(&server, &unknown, "").await.0, 400);
}

#[tokio::test]
async fn an_issuer_that_leads_inside_is_not_asked() {
    let server = Server::dev().await;
    for (name, issuer) in [
        ("metadata", "https://169.254.169.254"),
        ("inside", "https://10.0.0.1"),
        ("local", "https://localhost:1"),
    ] {
        let spec = json!({ "issuer": issuer, "algorithms": ["RS256"], "reason": "a test" });
        server
            .admin_rest(Method::PUT, &format!("/trusted-issuers/{name}"), Some(spec))
            .await;
        let path = format!("/trusted-issuers/{name}/test");
        let (status, answer) = server
            .rest(Method::POST, &path, &server.admin(), Some(json!({})))
            .await;
        assert!(status >= 400, "{name}: {answer}");
        let text = answer.to_string();
        assert!(
            text.contains("refused") || name == "local",
            "{name}: {text}"
        );
    }
    for (field, value) in [
        ("issuer", json!("http://ci.example")),
        ("issuer", json!("https://ci.example?x=1")),
        ("keys", json!({ "jwks_uri": "file:///etc/passwd" })),
        (
            "keys",
            json!({ "jwks": { "keys": [{ "kty": "oct", "k": "AAAA" }] } }),
        ),
        ("algorithms", json!(["HS256"])),
        ("algorithms", json!([])),
        ("lifetime_secs_max", json!(1_000_000)),
        (
            "rules",
            json!([{ "subject": "repo:*/*", "agent": "support-triage", "workflow": "answer" }]),
        ),
        (
            "rules",
            json!([{ "subject": "repo:acme/x", "agent": "nobody", "workflow": "answer" }]),
        ),
    ] {
        let mut spec =
            json!({ "issuer": "https://ci.example", "algorithms": ["RS256"], "reason": "a test" });
        spec[field] = value.clone();
        let path = "/trusted-issuers/wrong";
        let (status, answer) = server
            .rest(Method::PUT, path, &server.admin(), Some(spec))
            .await;
        assert!(status == 400 || status == 422, "{field} {value}: {answer}");
    }
}

#[tokio::test]
async fn a_workload_of_another_trust_domain_comes_by_its_bundle() {
    let mut platform = Platform::start();
    let server = Server::dev().await;
    let rules = json!([
        { "subject": "spiffe://prod.acme.example/ns/*/sa/helpdesk", "agent": "support-triage", "workflow": "answer" },
        { "subject": "spiffe://other.example/ns/*/sa/helpdesk", "agent": "support-triage", "workflow": "answer" },
    ]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.json");
    std::fs::write(&file, rules.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let bundle = format!("{}/bundle", platform.issuer);
    let set = |issuer: &str| {
        let said = ["--bundle", &bundle, "--algorithm", "RS256", "--rules", file];
        let mut all = vec![
            "trusted-issuer",
            "set",
            "prod",
            "--issuer",
            issuer,
            "--reason",
            "a test",
        ];
        all.extend(said);
        server.remit(&all)
    };
    for wrong in ["https://prod.acme.example", "spiffe://prod.acme.example/x"] {
        assert_ne!(set(wrong).0, 0, "{wrong}");
    }
    let (code, said) = set("spiffe://prod.acme.example");
    assert_eq!(code, 0, "{said}");
    let (code, said) = server.remit(&["trusted-issuer", "test", "prod"]);
    assert_eq!(code, 0, "{said}");
    let mut svid = |sub: &str| platform.token(&server.base(), &json!({ "iss": null, "sub": sub }));
    let own = svid("spiffe://prod.acme.example/ns/it/sa/helpdesk");
    let (status, answer) = bring(&server, &own, "").await;
    assert_eq!(status, 200, "{answer}");
    // Once, and for no other trust domain, whatever a rule says.
    let (status, _) = bring(&server, &own, "").await;
    assert_eq!(status, 400);
    let other = svid("spiffe://other.example/ns/it/sa/helpdesk");
    let (status, answer) = bring(&server, &other, "").await;
    assert_eq!(status, 400, "{answer}");
    assert!(refusals(&server).await.contains("issuer-untrusted"));
}
