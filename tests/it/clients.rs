//! The official clients, of both lines and both languages, against the demo's orders through the gateway.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::server::{Server, installed};

/// Runs a client script with the gateway's address and a token; returns what it printed, as JSON.
pub(crate) fn run(
    program: &Path,
    script: &str,
    server: &Server,
    upstream: &str,
    token: &str,
    env: &[(&str, &Path)],
) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(script);
    let mut command = Command::new(program);
    command
        .arg(script)
        .env("GATEWAY", format!("{}/mcp/{upstream}", server.base()))
        .env("TOKEN", token);
    for (name, value) in env {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(text.lines().last().unwrap()).unwrap_or_else(|_| panic!("{text}"))
}

/// Whatever the client: it sees granted tools only, its call passes, and a denial is a tool result it can read.
fn check(seen: &Value) {
    let tools: Vec<&str> = seen["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        tools.contains(&"order_status") && tools.contains(&"remit_approval_status"),
        "{seen}"
    );
    assert!(!tools.contains(&"change_address"), "{seen}");
    assert_eq!(seen["allowed"]["is_error"], false, "{seen}");
    assert!(
        seen["allowed"]["text"].as_str().unwrap().contains("A-118"),
        "{seen}"
    );
    assert_eq!(seen["denied"]["is_error"], true, "{seen}");
    assert!(
        !seen["denied"]["text"].as_str().unwrap().is_empty(),
        "{seen}"
    );
}

#[tokio::test]
async fn official_clients_of_both_lines_work_through_the_gateway() {
    let server = Server::dev().await;
    let token = server.agent_token("support-triage", "answer").await;
    check(&run(
        &installed("REMIT_TEST_PY_MCP1"),
        "call_mcp1.py",
        &server,
        "orders",
        &token,
        &[],
    ));
    check(&run(
        &installed("REMIT_TEST_PY"),
        "call_mcp2.py",
        &server,
        "orders",
        &token,
        &[],
    ));
    let modules = installed("REMIT_TEST_NODE_MODULES");
    check(&run(
        &installed("REMIT_TEST_NODE"),
        "call_sdk.mjs",
        &server,
        "orders",
        &token,
        &[("MODULES", &modules)],
    ));
}

#[tokio::test]
async fn a_stdio_client_gets_in_through_the_bridge() {
    let server = Server::dev().await;
    let agent = &server.ready["agents"]["support-triage"];
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join("call_stdio.py");
    let output = Command::new(installed("REMIT_TEST_PY_MCP1"))
        .arg(script)
        .env("REMIT", crate::server::binary())
        .env("REMIT_ADDR", server.base())
        .env("AGENT", agent["client_id"].as_str().unwrap())
        .env("KEY", agent["key_file"].as_str().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    check(&serde_json::from_str(text.lines().last().unwrap()).unwrap());
}
