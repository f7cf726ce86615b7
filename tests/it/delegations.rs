//! Delegations end to end: by ticket and by hand, and how soon an end counts: before the answer that says so.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

const MARIA: &str = "maria@acme.example";

/// A delegation of Maria's made on the command line, and an agent's token that rests on it.
async fn acting(server: &Server, ticket: &[&str]) -> (String, String) {
    let maria = server.person(MARIA);
    let grant = [
        "delegation",
        "grant",
        "--to",
        "support-triage",
        "--workflow",
        "refund",
        "--for",
        "8h",
        "-o",
        "name",
    ];
    let (code, id) = server.remit_as(&maria, &[&grant, ticket].concat());
    assert_eq!(code, 0, "{id}");
    let id = id.trim().to_owned();
    let path = format!("/delegations/{id}/assertion");
    let (status, made) = server
        .rest(Method::POST, &path, &maria, Some(json!({})))
        .await;
    assert_eq!(status, 201, "{made}");
    let subject = made["subject_token"].as_str().unwrap();
    (
        id,
        server.exchange("support-triage", "refund", subject).await,
    )
}

async fn order(server: &Server, token: &str) -> Value {
    server
        .call(
            "/mcp",
            token,
            "orders__order_status",
            json!({ "order": "A-118" }),
        )
        .await
}

fn is_good(answer: &Value) -> bool {
    answer["result"].is_object() && answer["result"]["isError"] != true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_ticket_ends_what_was_delegated_for_it() {
    let server = Server::dev().await;
    let (id, token) = acting(&server, &["--ticket", "INC-1042"]).await;
    let (other, other_token) = acting(&server, &["--ticket", "INC-1043"]).await;
    for token in [&token, &other_token] {
        let answer = order(&server, token).await;
        assert!(is_good(&answer), "{answer}");
    }
    let (code, told) = server.remit(&["ticket", "set", "INC-1042", "closed"]);
    assert_eq!(code, 0, "{told}");
    let answer = order(&server, &token).await;
    assert!(!is_good(&answer), "{answer}");
    let answer = order(&server, &other_token).await;
    assert!(is_good(&answer), "{answer}");
    let maria = server.person(MARIA);
    let (_, mine) = server.remit_as(
        &maria,
        &[
            "delegation",
            "ls",
            "--mine",
            "--state",
            "active",
            "-o",
            "name",
        ],
    );
    assert!(mine.contains(&other) && !mine.contains(&id), "{mine}");
    let (_, of_it) = server.remit_as(
        &maria,
        &["delegation", "ls", "--ticket", "INC-1042", "-o", "name"],
    );
    assert_eq!(of_it.trim(), id);
    let (code, again) = server.remit_as(
        &maria,
        &[
            "delegation",
            "grant",
            "--to",
            "support-triage",
            "--workflow",
            "refund",
            "--for",
            "1h",
            "--ticket",
            "INC-1042",
        ],
    );
    assert_eq!(code, 1, "{again}");
    assert!(again.contains("is closed"), "{again}");
}

/// The token was good and known to the node a moment ago. The revoke's answer is not there before its effect is.
#[tokio::test(flavor = "multi_thread")]
async fn what_rests_on_a_revoked_delegation_is_over_when_the_revoke_answers() {
    let server = Server::dev().await;
    let (id, token) = acting(&server, &[]).await;
    let path = format!("/delegations/{id}/assertion");
    let maria = server.person(MARIA);
    let (_, unused) = server
        .rest(Method::POST, &path, &maria, Some(json!({})))
        .await;
    assert!(is_good(&order(&server, &token).await));
    let (code, ended) = server.remit_as(
        &maria,
        &[
            "delegation",
            "revoke",
            &id,
            "--reason",
            "done",
            "-o",
            "json",
        ],
    );
    assert_eq!(code, 0, "{ended}");
    for _ in 0..20 {
        let answer = order(&server, &token).await;
        assert!(!is_good(&answer), "{answer}");
    }
    let subject = unused["subject_token"].as_str().unwrap();
    let (status, answer) = server
        .try_exchange("support-triage", "refund", subject)
        .await;
    assert_ne!(status, 200, "{answer}");
    // Whose it is not takes nothing back.
    let (other, token) = acting(&server, &[]).await;
    let stranger = server.person("paul@acme.example");
    let (code, _) = server.remit_as(
        &stranger,
        &["delegation", "revoke", &other, "--reason", "mine now"],
    );
    assert_eq!(code, 3);
    assert!(is_good(&order(&server, &token).await));
}
