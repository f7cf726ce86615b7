//! A full disk, a database that goes away, an upstream that dies or lies: a clear error, nothing sent twice, nothing lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use crate::furnish::{Agent, enrol, upstream_and_agent};
use crate::server::{Server, installed};

/// A server that notes every call before it answers, so that a test sees what arrived, and lies when it is told to.
const NOTES: &str = r#"
import json, os, sys, time
seen = sys.argv[1]
def say(m): print(json.dumps({"jsonrpc": "2.0", **m}), flush=True)
def text(m, words): say({"id": m["id"], "result": {"content": [{"type": "text", "text": words}]}})
schema = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
tools = [{"name": name, "inputSchema": schema} for name in ["note", "wait", "die", "babble", "flood", "stammer"]]
for line in sys.stdin:
    m = json.loads(line)
    method = m.get("method")
    if method == "initialize":
        say({"id": m["id"], "result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "notes", "version": "1"}}})
    elif method == "tools/list":
        say({"id": m["id"], "result": {"tools": tools}})
    elif method == "tools/call":
        name, note = m["params"]["name"], m["params"]["arguments"]["note"]
        with open(seen, "a") as f: f.write(note + "\n")
        if name == "die": os._exit(1)
        if name == "babble": print("{this is not JSON", flush=True)
        if name == "flood": text(m, "x" * 3000000)
        if name == "stammer": text(m, "first"); text(m, "second"); text({"id": 987654321}, "to nobody")
        while name == "wait" and not os.path.exists(seen + ".go"): time.sleep(0.01)
        if name in ["note", "wait"]: text(m, "noted " + note)
"#;

/// A server with that upstream, an agent that may call all of it, and what arrived there.
pub(crate) struct Governed {
    pub(crate) server: Server,
    agent: Agent,
    pub(crate) auditor: String,
    seen: PathBuf,
}

impl Governed {
    pub(crate) async fn new(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seen = dir.path().join("seen");
        std::fs::write(&seen, "").unwrap();
        let python = installed("REMIT_TEST_PY");
        let config = dir.path().join("remit.toml");
        let text =
            format!("[commands.it]\npath = {python:?}\nargs = [\"-c\", {NOTES:?}, {seen:?}]\n");
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap().to_owned();
        let args: Vec<&str> = ["--config", &config]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        let server = Server::serve(dir, &args).await;
        let it = json!({ "type": "stdio", "command": "it" });
        let agent = upstream_and_agent(&server, "it", it, "write").await;
        let auditor = enrol(&server, "sponsor@acme.example").await;
        Self {
            server,
            agent,
            auditor,
            seen,
        }
    }

    pub(crate) async fn token(&self) -> String {
        self.server
            .token(&self.agent.client, &self.agent.key, "workflow:answer")
            .await
    }

    pub(crate) async fn call(&self, token: &str, tool: &str, note: &str) -> Value {
        self.server
            .call("/mcp/it", token, tool, json!({ "note": note }))
            .await
    }

    /// Notes that arrived at the upstream, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.seen).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Lets the call of `wait` come to its end.
    pub(crate) fn go_on(&self) {
        std::fs::write(self.seen.with_extension("go"), "").unwrap();
    }

    /// Decisions that allowed a call, each with how it ended; none for those without an outcome.
    pub(crate) async fn decided(&self) -> BTreeMap<String, Option<String>> {
        let mut found = BTreeMap::new();
        for entry in self.entries("call.decided").await {
            if entry["facts"]["outcome"] == "allow" {
                found.insert(entry["decision"].as_str().unwrap().to_owned(), None);
            }
        }
        for entry in self.entries("call.completed").await {
            let status = entry["facts"]["status"].as_str().unwrap().to_owned();
            found.insert(entry["decision"].as_str().unwrap().to_owned(), Some(status));
        }
        found
    }

    /// Outcomes are written a moment after they are told.
    async fn ready(&self) -> u16 {
        let url = format!("{}/readyz", self.server.base());
        reqwest::get(url).await.unwrap().status().as_u16()
    }

    async fn until_one_ended(&self, status: &str) {
        for _ in 0..1_000 {
            let mut ends = self.decided().await.into_values();
            if ends.any(|end| end.as_deref() == Some(status)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("no call ended as {status}");
    }

    pub(crate) async fn entries(&self, kind: &str) -> Vec<Value> {
        let (mut from, mut found) = (0, Vec::new());
        loop {
            let path = format!("/audit/entries?kind={kind}&from={from}&limit=500");
            let (status, page) = self
                .server
                .rest(Method::GET, &path, &self.auditor, None)
                .await;
            assert_eq!(status, 200, "{page}");
            found.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_u64() {
                Some(next) => from = next,
                None => return found,
            }
        }
    }

    pub(crate) fn verifies(&self) {
        let (exit, text) = self.server.remit_as(&self.auditor, &["audit", "verify"]);
        assert_eq!(exit, 0, "{text}");
    }
}

fn words(answer: &Value) -> String {
    let text = answer["result"]["content"][0]["text"].as_str();
    text.map_or_else(|| answer.to_string(), str::to_owned)
}

fn is_refused(answer: &Value) -> bool {
    answer["result"]["isError"] == true || answer["result"].is_null()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_every_call_and_loses_nothing() {
    let mut it = Governed::new(&[]).await;
    let token = it.token().await;
    let before = it.call(&token, "note", "before").await;
    assert_eq!(words(&before), "noted before", "{before}");

    it.server.let_files_grow(Some(4_096));
    for n in 0..20 {
        let answer = it.call(&token, "note", &format!("full {n}")).await;
        let said = words(&answer);
        assert!(is_refused(&answer), "{answer}");
        assert!(
            said.contains("its books") && said.contains("Nothing was sent"),
            "{said}"
        );
    }
    assert_eq!(
        it.seen(),
        ["before"],
        "nothing arrives that is not recorded"
    );
    let (status, answer) = it
        .server
        .try_token(&it.agent.client, &it.agent.key, "workflow:answer")
        .await;
    assert!(
        status >= 500 && answer["error"] == "temporarily_unavailable",
        "{status} {answer}"
    );
    let (status, answer) = it
        .server
        .rest(
            Method::PUT,
            "/teams/late",
            &it.server.admin(),
            Some(json!({})),
        )
        .await;
    assert_eq!(status, 503, "{answer}");

    assert_eq!(it.ready().await, 503, "whoever sends traffic here is told");

    it.server.let_files_grow(None);
    assert_eq!(it.ready().await, 200, "and that it is over");
    let after = it.call(&token, "note", "after").await;
    assert_eq!(words(&after), "noted after", "{after}");
    assert_eq!(it.seen(), ["before", "after"]);
    // Restarted, so that nothing counts but what is on the disk.
    let config = it.server.dir.path().join("remit.toml");
    it.server.stop();
    it.server
        .start_again(&["--config", config.to_str().unwrap()])
        .await;
    let decided = it.decided().await;
    for answer in [&before, &after] {
        let id = answer["result"]["_meta"]["dev.remit/decision"]
            .as_str()
            .unwrap();
        assert!(decided.contains_key(id), "{id} of {decided:?}");
    }
    assert_eq!(decided.len(), 2, "{decided:?}");
    it.verifies();
}

/// Calls one after the other with a note of its own each, and keeps what was answered.
async fn keep_calling(
    it: Arc<Governed>,
    token: String,
    n: usize,
    done: Arc<AtomicBool>,
    passed: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
) -> BTreeMap<String, Option<String>> {
    let mut told = BTreeMap::new();
    for i in 0.. {
        if done.load(Ordering::Acquire) {
            break;
        }
        let note = format!("{n}-{i}");
        let answer = it.call(&token, "note", &note).await;
        if is_refused(&answer) {
            refused.fetch_add(1, Ordering::AcqRel);
            told.insert(note, None);
        } else {
            passed.fetch_add(1, Ordering::AcqRel);
            let id = answer["result"]["_meta"]["dev.remit/decision"]
                .as_str()
                .unwrap();
            told.insert(note, Some(id.to_owned()));
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_under_load_loses_nothing_and_comes_back() {
    let database = remit_testkit::postgres::TestDatabase::create();
    let it = Arc::new(Governed::new(&["--database-url", &database.url()]).await);
    let token = it.token().await;
    let (done, passed, refused) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let loops: Vec<_> = (0..4)
        .map(|n| {
            tokio::spawn(keep_calling(
                Arc::clone(&it),
                token.clone(),
                n,
                Arc::clone(&done),
                Arc::clone(&passed),
                Arc::clone(&refused),
            ))
        })
        .collect();
    let until = async |count: &AtomicUsize, many: usize| {
        while count.load(Ordering::Acquire) < many {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    until(&passed, 50).await;
    database.stop_server();
    let before = refused.load(Ordering::Acquire);
    until(&refused, before + 20).await;
    let during = passed.load(Ordering::Acquire);
    database.start_server();
    until(&passed, during + 50).await;
    done.store(true, Ordering::Release);
    let mut told = BTreeMap::new();
    for one in loops {
        told.extend(one.await.unwrap());
    }

    let seen = it.seen();
    let once: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "nothing is sent twice");
    let decided = it.decided().await;
    for (note, id) in &told {
        if let Some(id) = id {
            assert!(
                once.contains(note) && decided.contains_key(id),
                "{note} {id} is not recorded"
            );
        }
    }
    assert!(
        seen.len() <= decided.len(),
        "{} arrived, {} were decided",
        seen.len(),
        decided.len()
    );
    it.verifies();
}

#[tokio::test]
async fn an_upstream_that_dies_or_lies_is_told_apart_and_nothing_is_sent_twice() {
    let it = Governed::new(&[]).await;
    let token = it.token().await;
    for (tool, said, status) in [
        ("die", "AMBIGUOUS", "ambiguous"),
        ("babble", "not MCP", "invalid"),
        ("flood", "larger than", "too_large"),
    ] {
        let answer = it.call(&token, tool, tool).await;
        assert!(
            is_refused(&answer) && words(&answer).contains(said),
            "{tool}: {answer}"
        );
        it.until_one_ended(status).await;
        // The next call gets its own answer, from a new process where the old one is gone.
        let next = it.call(&token, "note", &format!("after {tool}")).await;
        assert_eq!(words(&next), format!("noted after {tool}"));
    }
    let answer = it.call(&token, "stammer", "stammer").await;
    assert_eq!(words(&answer), "first", "{answer}");
    let next = it.call(&token, "note", "last").await;
    assert_eq!(words(&next), "noted last", "{next}");
    assert_eq!(
        it.seen(),
        [
            "die",
            "after die",
            "babble",
            "after babble",
            "flood",
            "after flood",
            "stammer",
            "last"
        ]
    );
    it.verifies();
}

#[tokio::test]
async fn a_run_that_is_ended_takes_its_call_in_flight_with_it() {
    let it = Governed::new(&[]).await;
    let token = it.token().await;
    let (answer, ()) = tokio::join!(it.call(&token, "wait", "under way"), async {
        while it.seen().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let runs = it
            .server
            .admin_rest(Method::GET, "/runs?state=active", None)
            .await;
        let run = runs["items"][0]["id"].as_str().unwrap();
        let end = json!({ "outcome": "failed", "measures": { "calls": 1 } });
        it.server
            .admin_rest(Method::POST, &format!("/runs/{run}/end"), Some(end))
            .await;
    });
    assert!(
        is_refused(&answer)
            && ["CANCELLED", "AMBIGUOUS"]
                .iter()
                .any(|word| words(&answer).starts_with(word)),
        "{answer}"
    );
    let late = it.call(&token, "note", "late").await;
    assert!(
        is_refused(&late) && words(&late).contains("the run has ended"),
        "{late}"
    );
    assert_eq!(it.seen(), ["under way"]);
    assert_eq!(it.decided().await.len(), 1);
    let findings = it.server.admin_rest(Method::GET, "/findings", None).await;
    assert!(
        findings.to_string().contains("call_after_run_end"),
        "{findings}"
    );
    let refused = it.entries("call.refused").await;
    assert!(
        refused
            .iter()
            .any(|entry| entry["facts"]["code"] == "run-ended"),
        "{refused:?}"
    );
}
