//! `kill -9` under load: every acknowledged call has its decision, gaps are reported, the ledger verifies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::furnish::{enrol, upstream_and_agent};
use crate::server::{Server, installed};

/// Every decision the ledger tells of.
async fn decisions(server: &Server, auditor: &str) -> BTreeSet<String> {
    let mut decided = BTreeSet::new();
    let mut from = 0;
    loop {
        let path = format!("/audit/entries?kind=call.decided&from={from}&limit=500");
        let (status, page) = server.rest(Method::GET, &path, auditor, None).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap();
        decided.extend(
            items
                .iter()
                .filter_map(|e| e["decision"].as_str().map(str::to_owned)),
        );
        match items.last() {
            Some(last) => from = last["index"].as_u64().unwrap() + 1,
            None => break,
        }
    }
    decided
}

/// Calls one after another, noting what was acknowledged, until the connection breaks.
async fn call_until_it_breaks(
    n: usize,
    base: String,
    token: String,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    enough: Arc<AtomicBool>,
) {
    let client = reqwest::Client::new();
    for i in 0.. {
        let body = json!({ "jsonrpc": "2.0", "id": i, "method": "tools/call", "params": { "name": "echo",
                    "arguments": { "message": format!("{n}-{i}") }, "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } } });
        let request = client
            .post(format!("{base}/mcp/it"))
            .bearer_auth(&token)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "echo")
            .json(&body);
        // The connection breaks when the server is killed: that call was not acknowledged.
        let Ok(response) = request.send().await else {
            return;
        };
        let Ok(answer) = response.json::<Value>().await else {
            return;
        };
        if let Some(id) = answer["result"]["_meta"]["dev.remit/decision"].as_str() {
            let mut acknowledged = acknowledged.lock().await;
            acknowledged.insert(id.to_owned());
            enough.store(acknowledged.len() >= 100, Ordering::Release);
        }
    }
}

async fn crash(args: &[&str], dir: tempfile::TempDir) {
    let server = Server::serve(dir, args).await;
    let agent = upstream_and_agent(
        &server,
        "it",
        json!({ "type": "stdio", "command": "it" }),
        "write",
    )
    .await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let auditor = enrol(&server, "sponsor@acme.example").await;
    let server = Arc::new(server);
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let enough = Arc::new(AtomicBool::new(false));
    let mut loops = Vec::new();
    for n in 0..8 {
        let (base, token) = (server.base(), token.clone());
        let (acknowledged, enough) = (Arc::clone(&acknowledged), Arc::clone(&enough));
        loops.push(tokio::spawn(call_until_it_breaks(
            n,
            base,
            token,
            acknowledged,
            enough,
        )));
    }
    while !enough.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    let mut server = Arc::into_inner(server).unwrap();
    server.kill_and_restart(args).await;
    for one in loops {
        one.await.unwrap();
    }
    let decided = decisions(&server, &auditor).await;
    let acknowledged = acknowledged.lock().await;
    let lost: Vec<_> = acknowledged.difference(&decided).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged calls have no decision",
        lost.len(),
        acknowledged.len()
    );
    let (status, report) = server
        .rest(Method::POST, "/audit/verify", &auditor, Some(json!({})))
        .await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(report["ok"], true, "{report}");
    let (exit, text) = server.remit_as(&auditor, &["audit", "verify"]);
    assert_eq!(exit, 0, "{text}");
}

pub(crate) fn with_everything_server(dir: &tempfile::TempDir) -> String {
    let node = installed("REMIT_TEST_NODE");
    let script = installed("REMIT_TEST_NODE_MODULES")
        .join("@modelcontextprotocol/server-everything/dist/index.js");
    let file = dir.path().join("remit.toml");
    let text = format!(
        "[commands.it]\npath = {:?}\nargs = [{:?}, \"stdio\"]\n",
        node.to_str().unwrap(),
        script.to_str().unwrap()
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_survives_a_kill_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let config = with_everything_server(&dir);
    crash(&["--config", &config], dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_survives_a_kill_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let config = with_everything_server(&dir);
    let database = remit_testkit::postgres::TestDatabase::create();
    crash(
        &["--config", &config, "--database-url", &database.url()],
        dir,
    )
    .await;
}
