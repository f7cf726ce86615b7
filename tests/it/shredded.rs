//! What was said, asked and decided in a run is in no file of the server in clear, and nowhere to be read after it was
//! shredded, while the ledger still verifies.

use std::path::Path;

use reqwest::Method;
use serde_json::json;

use crate::faults::Governed;
use crate::furnish::register;

/// Each is said in one place of the run.
const SAID: [&str; 9] = [
    "MARK-purpose-4f1c",
    "MARK-ticket-4f1c",
    "MARK-context-4f1c",
    "MARK-object-4f1c",
    "MARK-argument-4f1c",
    "MARK-wrong-4f1c",
    "MARK-yes-4f1c",
    "MARK-measure-4f1c",
    "MARK-prompt-4f1c",
];

/// Which of them are in the files below `dir`.
fn found_in(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_in(&path));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let holds = |said: &&&str| bytes.windows(said.len()).any(|w| w == said.as_bytes());
        found.extend(
            SAID.iter()
                .filter(holds)
                .map(|said| format!("{said} in {}", path.display())),
        );
    }
    found
}

/// A run in which something was asked of a person, allowed, refused and measured, ended.
async fn run_of_much(it: &Governed) -> String {
    let [
        purpose,
        ticket,
        context,
        object,
        argument,
        wrong,
        yes,
        measure,
        prompt,
    ] = SAID;
    let agent = register(&it.server, "asker", &[json!({ "tool": "it/note" })]).await;
    let first = it
        .server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    let bounds = json!({ "note": [{ "one_of": [object, argument] }] });
    let intent = json!({ "purpose": purpose, "ticket": ticket, "authority": { "tools": { "it/note": bounds } } });
    let body = json!({ "workflow": "answer", "mode": "api", "intent": intent, "provenance": { "prompt": prompt, "context": [context] } });
    let (status, run) = it
        .server
        .rest(Method::POST, "/runs", &first, Some(body))
        .await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap().to_owned();
    let scope = format!("workflow:answer run:{run}");
    let token = it.server.token(&agent.client, &agent.key, &scope).await;
    let refused = it
        .server
        .call("/mcp/it", &token, "note", json!({ "note": [wrong] }))
        .await;
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    let asked = it.call(&token, "note", argument).await;
    assert!(asked.to_string().contains("PENDING"), "{asked}");
    let (_, waiting) = it
        .server
        .rest(Method::GET, "/approvals?state=pending", &it.auditor, None)
        .await;
    let id = waiting["items"][0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{waiting}"));
    let approve = format!("/approvals/{id}/approve");
    let (status, said) = it
        .server
        .rest(
            Method::POST,
            &approve,
            &it.auditor,
            Some(json!({ "reason": yes })),
        )
        .await;
    assert_eq!(status, 200, "{said}");
    let done = it.call(&token, "note", argument).await;
    assert_ne!(done["result"]["isError"], true, "{done}");
    let end = json!({ "outcome": "done", "measures": { "said": measure } });
    let (status, ended) = it
        .server
        .rest(Method::POST, &format!("/runs/{run}/end"), &token, Some(end))
        .await;
    assert_eq!(status, 200, "{ended}");
    run
}

/// What an auditor reads of a run.
async fn story(it: &Governed, run: &str) -> String {
    let mut all = String::new();
    for path in [
        format!("/runs/{run}"),
        format!("/runs/{run}/events"),
        format!("/audit/entries?run={run}&limit=500"),
    ] {
        let (_, answer) = it.server.rest(Method::GET, &path, &it.auditor, None).await;
        all += &answer.to_string();
    }
    all
}

async fn shredding(args: &[&str], database: Option<&remit_testkit::postgres::TestDatabase>) {
    let mut it = Governed::new(args).await;
    let run = run_of_much(&it).await;
    let told = story(&it, &run).await;
    for said in [SAID[0], SAID[1], SAID[4]] {
        assert!(told.contains(said), "{said} is told before: {told}");
    }
    let shred = format!("/runs/{run}/shred");
    let gone = it
        .server
        .admin_rest(Method::POST, &shred, Some(json!({ "reason": "test" })))
        .await;
    assert!(gone.is_object() || gone.is_null(), "{gone}");
    let told = story(&it, &run).await;
    for said in SAID {
        assert!(!told.contains(said), "{said} is told afterwards: {told}");
    }
    it.verifies();
    it.server.stop();
    let found = found_in(it.server.dir.path().join("data").as_path());
    assert!(found.is_empty(), "{found:?}");
    if let Some(database) = database {
        for said in SAID {
            assert!(
                !database.holds(said),
                "{said} is in the files of the database"
            );
        }
    }
    let config = it.server.dir.path().join("remit.toml");
    let args: Vec<&str> = ["--config", config.to_str().unwrap()]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    it.server.start_again(&args).await;
    it.verifies();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_shredded_run_is_in_the_files_of_sqlite() {
    shredding(&[], None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_shredded_run_is_in_the_files_of_postgres() {
    let database = remit_testkit::postgres::TestDatabase::create();
    shredding(&["--database-url", &database.url()], Some(&database)).await;
}
