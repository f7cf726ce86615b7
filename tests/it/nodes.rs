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
