//! Hops end to end: what an organization's policies forbid to hand on, and sub-agents within one process.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

const MARIA: &str = "maria@acme.example";

const POLICIES: &str = r#"
@id("short") @text("nobody lets an agent act for more than an hour")
forbid (principal, action == Action::"delegate", resource)
when { context.from == "person" && context.secs > 3600 };

@id("no-exchange") @text("tokens are not narrowed here")
forbid (principal, action == Action::"issue", resource)
when { context.kind == "exchange" };
"#;

fn delegate(server: &Server, span: &str) -> (i32, String) {
    let maria = server.person(MARIA);
    let grant = [
        "delegation",
        "grant",
        "--to",
        "support-triage",
        "--workflow",
        "refund",
    ];
    let with = ["--for", span, "-o", "name"];
    server.remit_as(&maria, &[&grant[..], &with[..]].concat())
}

/// A token of an agent that acts for Maria.
async fn acting(server: &Server) -> String {
    let (code, id) = delegate(server, "30m");
    assert_eq!(code, 0, "{id}");
    let path = format!("/delegations/{}/assertion", id.trim());
    let maria = server.person(MARIA);
    let made = server.rest(Method::POST, &path, &maria, Some(json!({})));
    let (status, made) = made.await;
    assert_eq!(status, 201, "{made}");
    let subject = made["subject_token"].as_str().unwrap();
    server.exchange("support-triage", "refund", subject).await
}

async fn narrowed(server: &Server, token: &str, scope: &str) -> (u16, Value) {
    let (client, key) = server.demo_agent("support-triage");
    let grant = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", token),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("scope", scope),
    ];
    server.token_request(&client, &key, &grant).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_forbids_is_not_handed_on() {
    let server = Server::dev().await;
    let token = acting(&server).await;
    let (status, _) = narrowed(&server, &token, "workflow:refund").await;
    assert_eq!(status, 200);
    let set = json!({ "apiVersion": "remit.dev/v1", "kind": "PolicySet", "metadata": { "name": "hops" },
        "spec": { "text": POLICIES } });
    server.apply(&[set]).await;
    let (code, told) = delegate(&server, "2h");
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains("nobody lets an agent act for more than an hour"),
        "{told}"
    );
    let (status, answer) = narrowed(&server, &token, "workflow:refund").await;
    assert_eq!(
        (status, &answer["error"]),
        (400, &json!("unauthorized_client"))
    );
    let said = answer["error_description"].as_str().unwrap();
    assert_eq!(said, "denied: tokens are not narrowed here");
    // What is short enough is delegated, and says by which policies it was decided.
    let token = acting(&server).await;
    assert!(!token.is_empty());
    for (kind, policy) in [
        ("delegation.refused", "hops/short"),
        ("authentication.refused", "hops/no-exchange"),
    ] {
        let (_, entries) = server.remit(&["audit", "search", "-o", "json"]);
        assert!(entries.contains(policy), "{kind}: {entries}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sub_agents_in_one_process_are_two_identities() {
    let server = Server::dev().await;
    let token = acting(&server).await;
    let mut runs = Vec::new();
    let mut paths = Vec::new();
    for _ in 0..2 {
        let (status, answer) = narrowed(&server, &token, "run:new").await;
        assert_eq!(status, 200, "{answer}");
        let scope = answer["scope"].as_str().unwrap();
        let run = scope
            .split(' ')
            .find_map(|s| s.strip_prefix("run:"))
            .unwrap();
        let child = answer["access_token"].as_str().unwrap();
        let asked = json!({ "audience": ["https://orders.example"] });
        let (status, svid) = server
            .rest(Method::POST, "/svids/jwt", child, Some(asked))
            .await;
        assert_eq!(status, 201, "{svid}");
        let id = svid["spiffe_id"].as_str().unwrap().to_owned();
        assert!(id.ends_with(run), "{id} of {run}");
        paths.push(id);
        runs.push(run.to_owned());
    }
    assert_ne!(runs[0], runs[1]);
    assert_ne!(paths[0], paths[1]);
    let maria = server.person(MARIA);
    let (code, tree) = server.remit_as(&maria, &["delegation", "tree"]);
    assert_eq!(code, 0, "{tree}");
    assert!(runs.iter().all(|run| tree.contains(run)), "{tree}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_the_tree_hears_of_a_new_run() {
    let server = Server::dev().await;
    let maria = server.person(MARIA);
    let (_, first) = server
        .rest(Method::GET, "/delegations/tree/watch", &maria, None)
        .await;
    let path = format!(
        "/delegations/tree/watch?after={}&timeout_s=60",
        first["next"].as_str().unwrap()
    );
    let waiting = server.rest(Method::GET, &path, &maria, None);
    let acting = acting(&server);
    let ((status, told), _) = tokio::join!(waiting, acting);
    assert_eq!(status, 200, "{told}");
    assert_ne!(told["next"], first["next"]);
    assert_ne!(told["items"], first["items"]);
}
