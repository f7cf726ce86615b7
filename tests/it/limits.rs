//! Settings, limits, freezes, tickets and the breaker: as people set them, and as agents meet them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::crash::with_everything_server;
use crate::furnish::{document, upstream_and_agent};
use crate::server::Server;

fn text(answer: &Value) -> String {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn is_refused(answer: &Value) -> bool {
    answer["result"]["isError"] == true || answer.get("result").is_none()
}

#[tokio::test]
async fn a_setting_denies_says_so_and_its_decision_is_replayed() {
    let server = Server::dev().await;
    let token = server.agent_token("support-triage", "answer").await;
    let status = || {
        server.call(
            "/mcp/orders",
            &token,
            "order_status",
            json!({ "order": "A-118" }),
        )
    };
    assert!(!is_refused(&status().await));
    let name = "tool:orders/order_status";
    let set = ["setting", "set", name, "deny", "--reason", "stock-taking"];
    let (exit, said) = server.remit(&set);
    assert_eq!(exit, 0, "{said}");
    let denied = status().await;
    assert!(is_refused(&denied), "{denied}");
    assert!(
        text(&denied).contains("setting tool:orders/order_status (level tool)"),
        "{denied}"
    );
    let (exit, why) = server.remit(&["setting", "explain", "--tool", "orders/order_status"]);
    assert!(exit == 3 && why.contains(name), "{exit} {why}");
    let decision = denied["result"]["_meta"]["dev.remit/decision"]
        .as_str()
        .unwrap();
    let paul = server.person("paul@acme.example");
    let (exit, replayed) = server.remit_as(&paul, &["decision", "replay", decision]);
    assert_eq!(exit, 0, "{replayed}");
    let (exit, said) = server.remit(&["setting", "rm", name]);
    assert_eq!(exit, 0, "{said}");
    assert!(!is_refused(&status().await));
    // What it was decided by is not what there is now, and is decided by all the same.
    let (exit, replayed) = server.remit_as(&paul, &["decision", "replay", decision]);
    assert_eq!(exit, 0, "{replayed}");
}

#[tokio::test]
async fn nobody_but_an_administrator_sets_anything_and_nobody_for_themselves() {
    let server = Server::dev().await;
    let who = server.admin_rest(Method::GET, "/whoami", None).await;
    let own = format!("/settings/person:{}", who["name"].as_str().unwrap());
    let allow = json!({ "value": "allow", "reason": "me" });
    let (status, answer) = server
        .rest(Method::PUT, &own, &server.admin(), Some(allow.clone()))
        .await;
    assert_eq!(status, 403, "{answer}");
    let paul = server.person("paul@acme.example");
    let agent = server.agent_token("support-triage", "answer").await;
    for token in [&paul, &agent] {
        for (path, body) in [
            ("/settings/organization", allow.clone()),
            (
                "/limits/x",
                json!({ "measure": "calls", "max": 1, "reason": "r" }),
            ),
            ("/freezes/x", json!({ "spans": [], "reason": "r" })),
            ("/tickets/T-1", json!({ "state": "approved" })),
            ("/breaker", json!({ "mode": "off" })),
        ] {
            let (status, answer) = server.rest(Method::PUT, path, token, Some(body)).await;
            assert!([401, 403].contains(&status), "{path}: {status} {answer}");
        }
    }
}

#[tokio::test]
async fn a_limit_is_applied_from_a_document_and_its_use_is_shown() {
    let server = Server::dev().await;
    let limit = json!({ "measure": "calls", "max": 2, "over": "day", "tool": "orders/order_status", "reason": "test" });
    let setting = json!({ "value": { "rate": { "calls": 100, "per": "hour" } }, "reason": "test" });
    let freeze = json!({ "spans": [{ "weekly": { "days": [7], "from": "22:00", "until": "06:00" } }], "reason": "test" });
    let documents = [
        document("Limit", "looks", &limit),
        document("Setting", "mode:api", &setting),
        document("Freeze", "sunday-night", &freeze),
    ];
    server.apply(&documents).await;
    let again = server.apply(&documents).await;
    assert_eq!(
        again["changes"],
        json!([]),
        "applying twice changes nothing"
    );
    let token = server.agent_token("support-triage", "answer").await;
    let mut refused = 0;
    for _ in 0..4 {
        let answer = server
            .call(
                "/mcp/orders",
                &token,
                "order_status",
                json!({ "order": "A-118" }),
            )
            .await;
        refused += u32::from(is_refused(&answer));
    }
    assert_eq!(refused, 2);
    let (exit, shown) = server.remit(&["limit", "show", "looks"]);
    assert!(exit == 0 && shown.contains("sponsor:"), "{shown}");
    let used = server.admin_rest(Method::GET, "/limits/looks", None).await;
    assert_eq!(used["usage"][0]["used"], "2", "{used}");
    assert_eq!(used["usage"][0]["left"], "0", "{used}");
    let (exit, freezes) = server.remit(&["freeze", "ls"]);
    assert!(exit == 0 && freezes.contains("sunday-night"), "{freezes}");
    let (exit, facts) = server.remit(&["policy", "facts"]);
    assert!(exit == 0 && facts.contains("context.ticket"), "{facts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_loops_is_quarantined() {
    let server = Server::dev().await;
    let (exit, said) = server.remit(&["breaker", "set", "--mode", "enforce", "--repeats", "3"]);
    assert_eq!(exit, 0, "{said}");
    let token = server.agent_token("support-triage", "answer").await;
    let bad = json!({ "order": 7 });
    for _ in 0..3 {
        let answer = server
            .call("/mcp/orders", &token, "order_status", bad.clone())
            .await;
        assert!(is_refused(&answer), "{answer}");
    }
    let mut quarantined = Value::Null;
    for _ in 0..500 {
        let agent = server
            .admin_rest(Method::GET, "/agents/support-triage", None)
            .await;
        if agent["state"] == "quarantined" {
            quarantined = agent;
            break;
        }
    }
    assert_ne!(quarantined, Value::Null, "the agent goes on");
    let (exit, findings) = server.remit(&["finding", "ls"]);
    assert!(exit == 0 && findings.contains("looping"), "{findings}");
    let good = server.call(
        "/mcp/orders",
        &token,
        "order_status",
        json!({ "order": "A-118" }),
    );
    assert!(is_refused(&good.await));
}

/// Both nodes take from the same counters, whoever asks which.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_over_two_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let config = with_everything_server(&dir);
    let database = remit_testkit::postgres::TestDatabase::create();
    let url = database.url();
    let first = Server::serve(dir, &["--config", &config, "--database-url", &url]).await;
    let it = json!({ "type": "stdio", "command": "it" });
    let agent = upstream_and_agent(&first, "it", it, "write").await;
    let second = first
        .beside(&["--config", &config, "--database-url", &url])
        .await;
    let limit = json!({ "measure": "calls", "max": 7, "per": "agent", "reason": "test" });
    first
        .admin_rest(Method::PUT, "/limits/seven", Some(limit))
        .await;
    let token = first
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let calls = (0..24).map(|n| {
        let node = if n % 2 == 0 { &first } else { &second };
        let (token, args) = (token.clone(), json!({ "message": n.to_string() }));
        async move { node.call("/mcp/it", &token, "echo", args).await }
    });
    let answers = futures_util::future::join_all(calls).await;
    let passed = answers.iter().filter(|a| !is_refused(a)).count();
    assert_eq!(passed, 7, "{answers:?}");
}
