//! Real MCP servers that other people wrote, governed over stdio from the operator's allowlist.

use serde_json::{Value, json};

use crate::furnish::upstream_and_agent;
use crate::server::{Server, installed};

/// A configuration whose allowlist has one command.
fn config(dir: &tempfile::TempDir, path: &std::path::Path, args: &[String]) -> String {
    let text = format!(
        "[commands.it]\npath = {:?}\nargs = {args:?}\n",
        path.to_str().unwrap()
    );
    let file = dir.path().join("remit.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

async fn governed(
    program: &std::path::Path,
    args: &[String],
    effect: &str,
    dir: tempfile::TempDir,
) -> (Server, String) {
    let config = config(&dir, program, args);
    let server = Server::serve(dir, &["--config", &config]).await;
    let agent = upstream_and_agent(
        &server,
        "it",
        json!({ "type": "stdio", "command": "it" }),
        effect,
    )
    .await;
    let token = server
        .token(&agent.client, &agent.key, "workflow:answer")
        .await;
    (server, token)
}

fn node(package: &str) -> String {
    let script = installed("REMIT_TEST_NODE_MODULES")
        .join("@modelcontextprotocol")
        .join(package)
        .join("dist/index.js");
    script.to_str().unwrap().to_owned()
}

fn text(answer: &Value) -> String {
    answer["result"]["content"]
        .as_array()
        .map(|c| c.iter().filter_map(|b| b["text"].as_str()).collect())
        .unwrap_or_else(|| answer.to_string())
}

#[tokio::test]
async fn the_filesystem_server_reads_and_writes_through_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("a.txt"), "known content").unwrap();
    let args = [
        node("server-filesystem"),
        files.to_str().unwrap().to_owned(),
    ];
    let (server, token) = governed(&installed("REMIT_TEST_NODE"), &args, "write", dir).await;
    let path = files.join("a.txt");
    let read = server
        .call("/mcp/it", &token, "read_text_file", json!({ "path": path }))
        .await;
    assert!(text(&read).contains("known content"), "{read}");
    let written = server
        .call(
            "/mcp/it",
            &token,
            "write_file",
            json!({ "path": files.join("b.txt"), "content": "new" }),
        )
        .await;
    assert_ne!(written["result"]["isError"], true, "{written}");
    assert_eq!(std::fs::read_to_string(files.join("b.txt")).unwrap(), "new");
    let wrong = server
        .call(
            "/mcp/it",
            &token,
            "write_file",
            json!({ "path": 7, "content": "new" }),
        )
        .await;
    assert_eq!(wrong["result"]["isError"], true, "{wrong}");
}

#[tokio::test]
async fn the_everything_server_sees_nothing_of_our_environment() {
    let dir = tempfile::tempdir().unwrap();
    let args = [node("server-everything"), "stdio".to_owned()];
    let (server, token) = governed(&installed("REMIT_TEST_NODE"), &args, "read", dir).await;
    let sum = server
        .call("/mcp/it", &token, "get-sum", json!({ "a": 2, "b": 3 }))
        .await;
    assert!(text(&sum).contains('5'), "{sum}");
    let env = text(&server.call("/mcp/it", &token, "get-env", json!({})).await);
    assert!(
        env.contains("PATH") && !env.contains("HOME") && !env.contains("REMIT"),
        "{env}"
    );
}

#[tokio::test]
async fn the_python_servers_work_through_the_gateway() {
    let python = installed("REMIT_TEST_PY_MCP1");
    let module = |name: &str, rest: &[&str]| {
        ["-m", name]
            .iter()
            .chain(rest)
            .map(|s| (*s).to_owned())
            .collect::<Vec<_>>()
    };
    let (server, token) = governed(
        &python,
        &module("mcp_server_time", &["--local-timezone", "UTC"]),
        "read",
        tempfile::tempdir().unwrap(),
    )
    .await;
    let time = server
        .call(
            "/mcp/it",
            &token,
            "get_current_time",
            json!({ "timezone": "UTC" }),
        )
        .await;
    assert!(text(&time).contains("UTC"), "{time}");

    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("test.db").to_str().unwrap().to_owned();
    let start = "import sys; from mcp_server_sqlite import main; sys.exit(main())";
    let args = ["-c", start, "--db-path", &database].map(str::to_owned);
    let (server, token) = governed(&python, &args, "write", dir).await;
    let made = server
        .call(
            "/mcp/it",
            &token,
            "create_table",
            json!({ "query": "CREATE TABLE t (n INTEGER)" }),
        )
        .await;
    assert_ne!(made["result"]["isError"], true, "{made}");
    let rows = server
        .call("/mcp/it", &token, "list_tables", json!({}))
        .await;
    assert!(text(&rows).contains('t'), "{rows}");

    let dir = tempfile::tempdir().unwrap();
    let repository = dir.path().join("repository");
    let made = std::process::Command::new("git")
        .args(["init", "-q"])
        .arg(&repository)
        .status()
        .unwrap();
    assert!(made.success());
    let (server, token) = governed(&python, &module("mcp_server_git", &[]), "read", dir).await;
    let status = server
        .call(
            "/mcp/it",
            &token,
            "git_status",
            json!({ "repo_path": repository }),
        )
        .await;
    assert!(text(&status).contains("branch"), "{status}");
}
