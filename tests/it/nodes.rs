//! Two servers over one database: what one contains, the other refuses, however busy it is with other things.

use reqwest::Method;
use serde_json::json;

use crate::crash::with_everything_server;
use crate::furnish::{enrol, upstream_and_agent};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn containment_on_one_node_reaches_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let config = with_everything_server(&dir);
    let database = remit_testkit::postgres::TestDatabase::create();
    let url = database.url();
    let first = Server::serve(dir, &["--config", &config, "--database-url", &url]).await;
    let it = json!({ "type": "stdio", "command": "it" });
    let agent = upstream_and_agent(&first, "it", it, "write").await;
    let responder = enrol(&first, "sponsor@acme.example").await;
    let second = first
        .beside(&["--config", &config, "--database-url", &url])
        .await;
    let token = first
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let echo = || first.call("/mcp/it", &token, "echo", json!({ "message": "x" }));
    let before = echo().await;
    assert_ne!(before["result"]["isError"], true, "{before}");

    let order = json!({ "target": { "type": "agent", "name": "worker" }, "level": "suspend", "reason": "test" });
    let (status, answer) = second
        .rest(Method::POST, "/containments", &responder, Some(order))
        .await;
    assert!((200..300).contains(&status), "{answer}");
    // Commits of the first node's own come between; they must not carry it past what it has not seen.
    let mut refused = false;
    for n in 0..500 {
        let path = format!("/teams/team-{n}");
        let (status, _) = first
            .rest(Method::PUT, &path, &first.admin(), Some(json!({})))
            .await;
        assert!((200..300).contains(&status));
        let answer = echo().await;
        if answer["result"]["isError"] == true || answer.get("result").is_none() {
            refused = true;
            break;
        }
    }
    assert!(refused, "the first node went on calling");
    let after = echo().await;
    assert!(
        after["result"]["isError"] == true || after.get("result").is_none(),
        "{after}"
    );
    let (status, _) = first
        .try_token(&agent.client, &agent.key, "workflow:answer")
        .await;
    assert_ne!(status, 200);
}

/// A person takes a delegation back on one node; a token that the other has just let through is good for nothing there, and buys
/// nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_delegation_that_is_revoked_on_one_node_is_over_on_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let config = with_everything_server(&dir);
    let database = remit_testkit::postgres::TestDatabase::create();
    let url = database.url();
    let first = Server::serve(dir, &["--config", &config, "--database-url", &url]).await;
    let it = json!({ "type": "stdio", "command": "it" });
    let agent = upstream_and_agent(&first, "it", it, "write").await;
    let person =
        json!({ "display_name": "Maria", "teams": ["team"], "roles": [], "entitlements": [] });
    first
        .apply(&[crate::furnish::document(
            "Person",
            "maria@acme.example",
            &person,
        )])
        .await;
    let maria = enrol(&first, "maria@acme.example").await;
    let second = first
        .beside(&["--config", &config, "--database-url", &url])
        .await;
    let grant = json!({ "agent": "worker", "workflow": "answer", "kind": "interactive", "for_secs": 3_600 });
    let (status, link) = first
        .rest(Method::POST, "/delegations", &maria, Some(grant))
        .await;
    assert!((200..300).contains(&status), "{link}");
    let id = link["id"].as_str().unwrap();
    let assertion = format!("/delegations/{id}/assertion");
    let subject = async || {
        let made = first.rest(Method::POST, &assertion, &maria, Some(json!({})));
        made.await.1["subject_token"].as_str().unwrap().to_owned()
    };
    let (unused, used) = (subject().await, subject().await);
    let (status, answer) = first
        .exchange_by(&agent.client, &agent.key, "answer", &used)
        .await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["access_token"].as_str().unwrap();
    let is_good = async || {
        let call = first.call("/mcp/it", token, "echo", json!({ "message": "x" }));
        let answer = call.await;
        answer.get("result").is_some() && answer["result"]["isError"] != true
    };
    assert!(is_good().await, "it is good, and the first node knows it");
    let path = format!("/delegations/{id}/revoke");
    let why = Some(json!({ "reason": "done" }));
    let (status, ended) = second.rest(Method::POST, &path, &maria, why).await;
    assert!((200..300).contains(&status), "{ended}");
    // Calls are decided under what the database says of the organization: not one more is let through.
    assert!(!is_good().await);
    let (status, answer) = first
        .exchange_by(&agent.client, &agent.key, "answer", &unused)
        .await;
    assert_ne!(status, 200, "{answer}");
}
