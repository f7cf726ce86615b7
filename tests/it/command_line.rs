//! The commands as people type them.

use crate::server::Server;

#[tokio::test]
async fn the_eight_questions_have_a_command_each() {
    let server = Server::dev().await;
    let (exit, agents) = server.remit(&["agent", "ls"]);
    assert!(
        exit == 0 && agents.contains("support-triage"),
        "{exit} {agents}"
    );
    let (exit, access) = server.remit(&["access", "show", "support-triage"]);
    assert!(
        exit == 0 && access.contains("orders/refund"),
        "{exit} {access}"
    );
    let (exit, credentials) = server.remit(&["credential", "ls"]);
    assert_eq!(exit, 0, "{credentials}");
    let (exit, tree) = server.remit(&["delegation", "tree"]);
    assert_eq!(exit, 0, "{tree}");
    let (exit, asks) = server.remit(&["access", "show", "support-triage", "--asks"]);
    assert_eq!(exit, 0, "{asks}");
    let (exit, text) = server.remit(&["doctor"]);
    assert_eq!(exit, 0, "{text}");
    let paul = server.person("paul@acme.example");
    let (exit, verified) = server.remit_as(&paul, &["audit", "verify"]);
    assert_eq!(exit, 0, "{verified}");
}

#[tokio::test]
async fn a_killed_agent_gets_nothing_more_and_the_certificate_says_so() {
    let server = Server::dev().await;
    let token = server.agent_token("support-triage", "answer").await;
    let call = || {
        server.call(
            "/mcp/orders",
            &token,
            "order_status",
            serde_json::json!({ "order": "A-118" }),
        )
    };
    assert_ne!(call().await["result"]["isError"], true);
    let (exit, text) = server.remit(&[
        "contain",
        "agent",
        "support-triage",
        "--level",
        "kill",
        "--reason",
        "test",
        "--yes",
    ]);
    assert_eq!(exit, 0, "{text}");
    assert!(text.to_lowercase().contains("residual"), "{text}");
    let after = call().await;
    assert!(
        after["result"]["isError"] == true
            || after.get("error").is_some()
            || after["status"].is_number(),
        "{after}"
    );
    let (exit, text) = server.remit(&["containment", "ls"]);
    assert!(exit == 0 && text.contains("kill"), "{text}");
}

#[tokio::test]
async fn usage_and_absence_have_their_exit_codes() {
    let server = Server::dev().await;
    assert_eq!(server.remit(&["agent", "frobnicate"]).0, 64);
    let (exit, text) = server.remit(&["agent", "show", "no-such-agent"]);
    assert_eq!(exit, 1, "{text}");
}
