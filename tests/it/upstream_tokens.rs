//! Upstreams with an authorization server of their own, npm `oidc-provider`: each run has a token of its own there, which the
//! agent never sees, and which is revoked with the run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::furnish::{Agent, document, enrol, register};
use crate::server::{Server, installed};

const PASSWORD: &str = "s3cr3t of remit";
/// How often it is looked whether something has come about that comes about in the background.
const LOOKS: usize = 600;

/// The authorization server, with the upstream behind it.
struct Issuer {
    child: Child,
    _output: std::io::Lines<BufReader<std::process::ChildStdout>>,
    url: String,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Issuer {
    fn start(remit: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/upstream_issuer.mjs");
        let mut child = Command::new(installed("REMIT_TEST_NODE"))
            .arg(script)
            .arg(installed("REMIT_TEST_NODE_MODULES"))
            .arg(remit)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.next().expect("the issuer starts").unwrap();
        Self {
            child,
            _output: lines,
            url,
        }
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        answer.json().await.unwrap()
    }

    /// The tokens that were made, and whether each is good.
    async fn tokens(&self) -> Vec<(String, bool)> {
        let state = self.ask("/state").await;
        let all = state["tokens"].as_array().unwrap().iter();
        let token = |t: &Value| (t["token"].as_str().unwrap().to_owned(), t["good"] == true);
        all.map(token).collect()
    }

    /// How many of the tokens are good that were made after the first `skip`.
    async fn good(&self, skip: usize) -> usize {
        let all = self.tokens().await;
        all.iter().skip(skip).filter(|(_, good)| *good).count()
    }

    /// The same, once it is none; whatever it is in the end where it stays some.
    async fn good_at_last(&self, skip: usize) -> usize {
        for _ in 0..LOOKS {
            if self.good(skip).await == 0 {
                return 0;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        self.good(skip).await
    }

    /// How Remit is its client, with `more`.
    fn client(&self, more: &Value) -> Value {
        let url = &self.url;
        let mut client = json!({
            "issuer": url, "token_endpoint": format!("{url}/token"), "client_id": "remit",
            "revocation_endpoint": format!("{url}/token/revocation"),
            "introspection_endpoint": format!("{url}/token/introspection"), "scopes": ["orders.read"],
        });
        let more = more.as_object().unwrap();
        client.as_object_mut().unwrap().extend(more.clone());
        client
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        client
    }

    fn upstream(&self, more: &Value) -> Value {
        let oauth = self.client(more);
        let url = format!("{}/mcp", self.url);
        let spec = json!({ "system": "shop", "transport": { "type": "http", "url": url }, "secret": { "oauth": oauth } });
        document("Upstream", "orders", &spec)
    }
}

/// A server with this upstream, and an agent that may ask it who is asking.
async fn world(more: Value) -> (Server, Issuer, Agent) {
    let server = Server::serve(tempfile::tempdir().unwrap(), &[]).await;
    let issuer = Issuer::start(&server.base());
    set(&server, "orders-client", PASSWORD).await;
    let refresh = issuer.ask("/refresh-token").await;
    set(
        &server,
        "orders-refresh",
        refresh["token"].as_str().unwrap(),
    )
    .await;
    let person = json!({ "display_name": "Sponsor", "teams": ["team"], "roles": ["admin", "approver", "responder", "auditor"], "entitlements": [] });
    let system =
        json!({ "owner": "admin@acme.example", "environment": "production", "criticality": "low" });
    server
        .apply(&[
            document("Team", "team", &json!({})),
            document("Person", "sponsor@acme.example", &person),
            document("Person", "other@acme.example", &person),
            document("System", "shop", &system),
            issuer.upstream(&more),
        ])
        .await;
    server
        .admin_rest(Method::POST, "/upstreams/orders/sync", Some(json!({})))
        .await;
    let tool = server
        .admin_rest(Method::GET, "/tools?upstream=orders", None)
        .await;
    let hash = &tool["items"][0]["definition_hash"];
    let classified = json!({ "effect": "read", "definition_hash": hash });
    server
        .apply(&[document("Tool", "orders/whoami", &classified)])
        .await;
    let grants = [json!({ "tool": "orders/whoami", "autonomy": "it is a test" })];
    let agent = register(&server, "worker", &grants).await;
    (server, issuer, agent)
}

async fn set(server: &Server, name: &str, value: &str) {
    let body = json!({ "value": value, "reason": "a test" });
    let path = format!("/secrets/{name}/versions");
    server.admin_rest(Method::POST, &path, Some(body)).await;
}

/// Who the upstream says is asking, without the token, and without what the agent came with.
async fn whoami(server: &Server, issuer: &Issuer, token: &str) -> Value {
    let answer = server.call("/mcp/orders", token, "whoami", json!({})).await;
    let text = answer["result"]["content"][0]["text"].as_str();
    let text = text.unwrap_or_else(|| panic!("{answer}"));
    let all = answer.to_string();
    assert!(all.contains("with [redacted by remit]"), "{all}");
    for (token, _) in issuer.tokens().await {
        assert!(!all.contains(&token), "{all}");
    }
    let state = issuer.ask("/state").await.to_string();
    assert!(
        !state.contains(token),
        "what the agent came with was forwarded"
    );
    serde_json::from_str(text).unwrap()
}

async fn end_of_runs(server: &Server) {
    let runs = server
        .admin_rest(Method::GET, "/runs?state=active", None)
        .await;
    for run in runs["items"].as_array().unwrap() {
        let path = format!("/runs/{}/end", run["id"].as_str().unwrap());
        server
            .admin_rest(Method::POST, &path, Some(json!({ "outcome": "done" })))
            .await;
    }
}

/// A token of a run that acts for a person.
async fn token_for(server: &Server, agent: &Agent, person: &str) -> String {
    let person = enrol(server, person).await;
    let new =
        json!({ "agent": "worker", "workflow": "answer", "kind": "interactive", "for_secs": 3600 });
    let (status, made) = server
        .rest(Method::POST, "/delegations", &person, Some(new))
        .await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/delegations/{}/assertion", made["id"].as_str().unwrap());
    let (_, made) = server
        .rest(Method::POST, &path, &person, Some(json!({})))
        .await;
    let exchange = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", made["subject_token"].as_str().unwrap()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("scope", "workflow:answer"),
    ];
    let (status, given) = server
        .token_request(&agent.client, &agent.key, &exchange)
        .await;
    assert_eq!(status, 200, "{given}");
    given["access_token"].as_str().unwrap().to_owned()
}

async fn leases(server: &Server, state: &str) -> Vec<Value> {
    let path = format!("/leases?state={state}");
    let all = server.admin_rest(Method::GET, &path, None).await;
    let all = all["items"].as_array().unwrap().clone();
    // What syncing needed is of no run.
    all.into_iter()
        .filter(|lease| !lease["run"].is_null())
        .collect()
}

#[tokio::test]
async fn a_run_has_one_token_and_it_is_revoked_with_the_run() {
    let (server, issuer, agent) = world(json!({})).await;
    let before = issuer.tokens().await.len();
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    for _ in 0..3 {
        let said = whoami(&server, &issuer, &token).await;
        assert_eq!(
            (&said["clientId"], &said["scope"]),
            (&json!("remit"), &json!("orders.read"))
        );
    }
    assert_eq!(issuer.tokens().await.len(), before + 1, "one for the run");
    end_of_runs(&server).await;
    assert_eq!(
        issuer.good_at_last(before).await,
        0,
        "revoked at its source"
    );
    // Another run, another token; and one that cannot be revoked now is revoked when its server is there again.
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    whoami(&server, &issuer, &token).await;
    assert_eq!(issuer.good(before + 1).await, 1);
    issuer.ask("/down").await;
    end_of_runs(&server).await;
    for _ in 0..LOOKS {
        if leases(&server, "ending")
            .await
            .iter()
            .any(|l| l["tries"].as_u64() > Some(0))
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let ending = leases(&server, "ending").await;
    assert!(
        ending[0]["why"].as_str().unwrap().contains("HTTP 503"),
        "{ending:?}"
    );
    assert_eq!(issuer.good(before + 1).await, 1, "its server is down");
    issuer.ask("/up").await;
    assert_eq!(
        issuer.good_at_last(before + 1).await,
        0,
        "revoked once the server was there again"
    );
    let (code, shown) = server.remit(&["lease", "ls", "--state", "revoked"]);
    assert!(code == 0 && shown.contains("introspection"), "{shown}");
    let (code, found) = server.remit(&["audit", "search", "--kind", "lease.revoked", "-o", "json"]);
    assert!(code == 0 && found.contains("lease.revoked"), "{found}");
}

#[tokio::test]
async fn each_person_is_named_to_the_upstream_in_their_own_run_alone() {
    let (server, issuer, agent) = world(json!({ "grant": "token_exchange" })).await;
    let before = issuer.tokens().await.len();
    let alone = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let said = whoami(&server, &issuer, &alone).await;
    assert_eq!(
        (&said["accountId"], &said["act"]["sub"]),
        (&json!(agent.client), &json!(agent.client)),
        "{said}"
    );
    let mut people = Vec::new();
    for person in [
        "sponsor@acme.example",
        "other@acme.example",
        "sponsor@acme.example",
    ] {
        let token = token_for(&server, &agent, person).await;
        let said = whoami(&server, &issuer, &token).await;
        assert_eq!(said["act"]["sub"], json!(agent.client), "{said}");
        people.push(said["accountId"].as_str().unwrap().to_owned());
    }
    assert!(
        people.iter().all(|person| person.starts_with("per_")),
        "{people:?}"
    );
    assert!(
        people[0] == people[2] && people[0] != people[1],
        "{people:?}"
    );
    let active = leases(&server, "active").await;
    let mut runs: Vec<_> = active
        .iter()
        .map(|lease| lease["run"].to_string())
        .collect();
    runs.dedup();
    assert_eq!(
        runs.len(),
        issuer.good(before).await,
        "none for two runs: {active:?}"
    );
}

#[tokio::test]
async fn a_containment_certifies_that_what_was_lent_is_stopped() {
    let (server, issuer, agent) = world(json!({ "grant": "jwt_bearer" })).await;
    let before = issuer.tokens().await.len();
    let token = token_for(&server, &agent, "sponsor@acme.example").await;
    let said = whoami(&server, &issuer, &token).await;
    assert!(
        said["accountId"].as_str().unwrap().starts_with("per_"),
        "{said}"
    );
    // For nobody, nobody can be asserted.
    let alone = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let answer = server
        .call("/mcp/orders", &alone, "whoami", json!({}))
        .await;
    assert!(
        answer["result"]["isError"] == true
            && answer.to_string().contains("credential-unavailable"),
        "{answer}"
    );
    let person = enrol(&server, "sponsor@acme.example").await;
    let order = json!({ "target": { "type": "agent", "name": "worker" }, "level": "kill", "reason": "rogue" });
    let (status, contained) = server
        .rest(Method::POST, "/containments", &person, Some(order))
        .await;
    assert!((200..300).contains(&status), "{contained}");
    assert_eq!(
        issuer.good(before).await,
        0,
        "nothing that was lent is good"
    );
    let items = contained["certificate"]["items"].as_array().unwrap();
    let lease = items.iter().find(|item| item["kind"] == "lease").unwrap();
    assert_eq!(lease["status"], "stopped", "{lease}");
    assert!(
        lease["verified"]
            .as_str()
            .unwrap()
            .contains("introspection"),
        "{lease}"
    );
    let after = server
        .call("/mcp/orders", &token, "whoami", json!({}))
        .await;
    assert!(
        after["result"]["content"].is_null() || after["result"]["isError"] == true,
        "{after}"
    );
}

#[tokio::test]
async fn what_cannot_be_revoked_is_bounded_by_its_own_end() {
    let (server, issuer, agent) = world(json!({ "revocation_endpoint": null })).await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    whoami(&server, &issuer, &token).await;
    let person = enrol(&server, "sponsor@acme.example").await;
    let order = json!({ "target": { "type": "agent", "name": "worker" }, "level": "quarantine", "reason": "odd" });
    let (_, contained) = server
        .rest(Method::POST, "/containments", &person, Some(order))
        .await;
    let items = contained["certificate"]["items"].as_array().unwrap();
    let lease = items.iter().find(|item| item["kind"] == "lease").unwrap();
    assert_eq!(lease["status"], "bounded", "{lease}");
    assert!(
        lease["why"]
            .as_str()
            .unwrap()
            .contains("no revocation endpoint"),
        "{lease}"
    );
    assert_eq!(leases(&server, "dead").await.len(), 1);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_a_revoked_lease_is_not_lent_again() {
    let (server, issuer, agent) = world(
        json!({ "client_id": "remit-password", "client_secret": { "vault": "orders-client" } }),
    )
    .await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    whoami(&server, &issuer, &token).await;
    let before = issuer.tokens().await.len();
    issuer.ask("/forget").await;
    let said = whoami(&server, &issuer, &token).await;
    assert_eq!(said["clientId"], "remit-password");
    assert_eq!(issuer.tokens().await.len(), before + 1, "asked for once");
    let lease = leases(&server, "active").await;
    let id = lease[0]["id"].as_str().unwrap();
    let (code, said) = server.remit(&["lease", "revoke", id, "--reason", "a test"]);
    assert!(
        code == 0 && said.contains("is revoked at its source"),
        "{said}"
    );
    assert_eq!(issuer.good(before).await, 0);
    whoami(&server, &issuer, &token).await;
    assert_eq!(issuer.tokens().await.len(), before + 2, "another one");
    // Another password, another lease: it is refused there, and nothing is sent.
    set(&server, "orders-client", "another password").await;
    let answer = server
        .call("/mcp/orders", &token, "whoami", json!({}))
        .await;
    let text = answer.to_string();
    assert!(
        answer["result"]["isError"] == true && text.contains("credential-unavailable"),
        "{text}"
    );
    assert!(
        !text.contains("another password") && !text.contains(PASSWORD),
        "{text}"
    );
}

#[tokio::test]
async fn rotated_refresh_tokens_become_versions_and_none_is_used_twice() {
    let more = json!({ "grant": "refresh_token", "refresh_token": { "vault": "orders-refresh" } });
    let (server, issuer, agent) = world(more).await;
    let runs = ["sponsor@acme.example", "other@acme.example"];
    let mut tokens = Vec::new();
    for person in runs {
        tokens.push(token_for(&server, &agent, person).await);
    }
    // At once: a server that rotates takes a refresh token that is used twice for stolen, and ends them all.
    let (one, other) = tokio::join!(
        server.call("/mcp/orders", &tokens[0], "whoami", json!({})),
        server.call("/mcp/orders", &tokens[1], "whoami", json!({})),
    );
    for answer in [&one, &other] {
        assert!(answer.to_string().contains("service"), "{answer}");
        assert!(answer["result"]["isError"] != true, "{answer}");
    }
    let secret = server
        .admin_rest(Method::GET, "/secrets/orders-refresh", None)
        .await;
    // One for syncing, one for each run.
    assert_eq!(secret["version"], 4, "{secret}");
    drop(issuer);
}

#[tokio::test]
async fn servers_that_lie_get_no_call_and_no_say() {
    let (server, issuer, agent) = world(json!({})).await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let shown = issuer.ask("/state").await["shown"]
        .as_array()
        .unwrap()
        .len();
    for (how, why) in [
        ("redirect", "sends elsewhere"),
        ("huge", "longer than"),
        ("rubbish", "not that of a token endpoint"),
        ("wider", "more than was asked"),
        ("split", "visible ASCII"),
        ("told", "HTTP 400"),
        ("down", "HTTP 503"),
    ] {
        let endpoint = format!("{}/evil/{how}", issuer.url);
        server
            .apply(&[issuer.upstream(&json!({ "token_endpoint": endpoint }))])
            .await;
        let answer = server
            .call("/mcp/orders", &token, "whoami", json!({}))
            .await;
        let text = answer.to_string();
        assert!(
            answer["result"]["isError"] == true && text.contains("credential-unavailable"),
            "{how}: {text}"
        );
        assert!(!text.contains("of-evil"), "{how}: {text}");
        let (_, found) = server.remit(&["doctor"]);
        assert!(found.contains(why), "{how}: {found}");
        assert!(!found.contains("of-evil"), "{how}: {found}");
    }
    // Addresses inside this machine's network, and of its metadata service, are not asked.
    for (endpoint, why) in [
        ("https://10.0.0.1/token", "private network"),
        ("https://169.254.169.254/token", "metadata"),
        ("https://[::ffff:169.254.169.254]/token", "metadata"),
        ("https://100.64.0.1/token", "private network"),
    ] {
        server
            .apply(&[issuer.upstream(&json!({ "token_endpoint": endpoint }))])
            .await;
        let answer = server
            .call("/mcp/orders", &token, "whoami", json!({}))
            .await;
        assert!(
            answer.to_string().contains("credential-unavailable"),
            "{endpoint}: {answer}"
        );
        let (_, found) = server.remit(&["doctor"]);
        assert!(found.contains(why), "{endpoint}: {found}");
    }
    let state = issuer.ask("/state").await;
    assert_eq!(
        state["shown"].as_array().unwrap().len(),
        shown,
        "no call was sent: {state}"
    );
    let entries = server
        .remit(&["audit", "search", "--kind", "lease.issued", "-o", "json"])
        .1;
    assert!(!entries.contains("of-evil"));
}
