//! Policies from a folder to live, through the command line: tested, checked, proved, proposed by one person, approved by
//! another, tried in the shadow, made live, simulated on what happened, and rolled back.

use serde_json::json;

use crate::server::Server;

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../examples/policies/customer-support"
);

/// The starter bundles: each is simulated on what happened before it is proposed.
const BUNDLES: [&str; 5] = [
    "compliance-audit",
    "customer-support",
    "devops",
    "it-support",
    "security-operations",
];

/// The word after `ppl_` in what was printed.
fn id_in(text: &str) -> String {
    let word = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let mut ids = word.filter(|word| word.starts_with("ppl_"));
    ids.next()
        .unwrap_or_else(|| panic!("no proposal in {text}"))
        .to_owned()
}

fn expect(found: (i32, String), code: i32) -> String {
    assert_eq!(found.0, code, "{}", found.1);
    found.1
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn a_rule_goes_from_a_folder_to_live_and_back() {
    let server = Server::dev().await;
    let ines = server.person("ines@acme.example");
    // Another first administrator: who created Ines does not approve what she proposes.
    let vera = server.person("vera@acme.example");
    expect(server.remit(&["policy", "test", FOLDER, "--offline"]), 0);
    expect(server.remit(&["policy", "test", FOLDER]), 0);
    expect(server.remit(&["policy", "fmt", "--check", FOLDER]), 0);
    expect(server.remit(&["policy", "check", FOLDER]), 0);
    let proved = expect(server.remit(&["policy", "prove", FOLDER]), 0);
    assert!(
        proved.contains("holds     regulated-data-stays"),
        "{proved}"
    );
    assert!(proved.contains("holds     refunds-are-capped"), "{proved}");

    let token = server.agent_token("support-triage", "answer").await;
    let answer = server
        .call(
            "/mcp",
            &token,
            "orders__order_status",
            json!({ "order": "A-118" }),
        )
        .await;
    assert_ne!(answer["result"]["isError"], json!(true), "{answer}");
    let simulated = expect(server.remit(&["policy", "simulate", "--since", "1h"]), 0);
    assert!(!simulated.contains("NOT reproduced"), "{simulated}");
    for bundle in BUNDLES {
        let folder = format!("{FOLDER}/../{bundle}");
        let (code, said) = server.remit(&["policy", "simulate", &folder, "--since", "1h"]);
        assert!([0, 2].contains(&code), "{bundle}: {said}");
        assert!(!said.contains("NOT reproduced"), "{bundle}: {said}");
    }

    let proposed = expect(
        server.remit_as(&ines, &["policy", "propose", FOLDER, "--keep"]),
        4,
    );
    let id = id_in(&proposed);
    expect(server.remit_as(&ines, &["policy", "approve", &id]), 3);
    expect(server.remit(&["policy", "enforce", &id]), 1);
    let refused = expect(server.remit(&["policy", "approve", &id]), 3);
    assert!(refused.contains("created or enrolled"), "{refused}");
    expect(server.remit_as(&vera, &["policy", "approve", &id]), 0);
    expect(server.remit(&["policy", "stage", &id]), 0);
    server
        .call(
            "/mcp",
            &token,
            "orders__order_status",
            json!({ "order": "A-118" }),
        )
        .await;
    let shadow = expect(server.remit(&["policy", "shadow"]), 0);
    assert!(shadow.contains("Agree"), "{shadow}");
    expect(server.remit(&["policy", "enforce", &id]), 0);
    let explained = server.remit(&[
        "policy",
        "explain",
        "--agent",
        "support-triage",
        "--workflow",
        "refund",
        "--tool",
        "orders/refund",
        "--person",
        "maria@acme.example",
        "--args",
        r#"{"order":"A-118","amount":500.01,"card":"c","reason":"r"}"#,
    ]);
    assert!(expect(explained, 3).contains("refunds/refund-cap"));
    let bundles = expect(server.remit(&["policy", "bundles"]), 0);
    assert!(
        bundles.contains("reviewed by") && bundles.contains("signed"),
        "{bundles}"
    );
    let back = id_in(&expect(server.remit(&["policy", "rollback"]), 4));
    expect(server.remit(&["policy", "approve", &back]), 3);
    expect(server.remit_as(&vera, &["policy", "approve", &back]), 0);
    expect(server.remit_as(&vera, &["policy", "enforce", &back]), 0);
    expect(server.remit_as(&ines, &["policy", "rollback"]), 3);

    let asked = [
        "exception",
        "request",
        "refunds/refund-asks-finance",
        "--agent",
        "support-triage",
        "--for",
        "1h",
        "--reason",
        "a test",
    ];
    let found = expect(server.remit_as(&ines, &asked), 4);
    let word = |word: &&str| word.starts_with("exc_");
    let exception = found.split_whitespace().find(word).unwrap();
    expect(
        server.remit_as(&ines, &["exception", "approve", exception]),
        3,
    );
    expect(server.remit(&["exception", "approve", exception]), 3);
    expect(
        server.remit_as(&vera, &["exception", "approve", exception]),
        0,
    );
    expect(server.remit(&["exception", "revoke", exception]), 0);
    let paths = server.remit(&["access", "paths", "support-triage"]);
    assert!(paths.0 == 0 || paths.0 == 2, "{}", paths.1);
    expect(
        server.remit(&[
            "policy",
            "suggest",
            "support-triage/answer",
            "--since",
            "1h",
        ]),
        0,
    );
}
