//! The console in a real browser: scripts of `tests/browser` drive Debian's Chromium against the real binary and say what they
//! checked; here they are given a server, and held to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, binary, free_port, installed};
use crate::sign_in::Provider;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("browser")
        .join(name)
}

/// Runs a script against `server`; gives its last line, once nothing of what it checked has failed.
async fn held(server: &Server, name: &str, args: &[&str], checks_min: usize) -> Value {
    let mut command = Command::new(installed("REMIT_TEST_NODE"));
    command
        .arg(script(name))
        .arg(server.dir.path().join("ready.json"))
        .args(args)
        .env("TMPDIR", server.dir.path())
        .env("REMIT_BIN", binary());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default();
    let told: Value =
        serde_json::from_str(last).unwrap_or_else(|_| panic!("{name} broke off:\n{text}{errors}"));
    let failed = told["failed"].as_array().unwrap();
    let lines: Vec<&str> = failed.iter().filter_map(Value::as_str).collect();
    assert!(failed.is_empty(), "{name}:\n{}\n{errors}", lines.join("\n"));
    let checks = told["checks"].as_array().unwrap().len();
    assert!(
        checks >= checks_min,
        "{name} checked {checks} only:\n{text}"
    );
    told
}

#[tokio::test]
async fn every_page_is_sound_for_every_role_in_every_look() {
    held(&Server::dev().await, "pages.mjs", &[], 30).await;
}

#[tokio::test]
async fn an_approver_with_only_a_keyboard_clears_twenty_requests() {
    held(&Server::dev().await, "approver.mjs", &[], 45).await;
}

#[tokio::test]
async fn a_request_is_asked_about_answered_given_on_and_edited() {
    held(&Server::dev().await, "talk.mjs", &[], 24).await;
}

#[tokio::test]
async fn every_action_works_without_scripts() {
    held(&Server::dev().await, "no_script.mjs", &[], 25).await;
}

#[tokio::test]
async fn news_arrive_a_lost_line_is_told_and_an_ended_session_loses_nothing() {
    held(&Server::dev().await, "live.mjs", &[], 19).await;
}

#[tokio::test]
async fn hostile_texts_do_nothing_on_pages_in_files_and_in_terminals() {
    let remit = binary();
    held(
        &Server::dev().await,
        "hostile.mjs",
        &[remit.to_str().unwrap()],
        11,
    )
    .await;
}

#[tokio::test]
async fn a_stranger_approves_a_call_and_finds_out_why_another_was_denied() {
    held(&Server::dev().await, "stranger.mjs", &[], 13).await;
}

#[tokio::test]
async fn the_pictures_of_the_documentation_can_be_taken_anew() {
    let server = Server::dev().await;
    let folder = server.dir.path().join("images");
    held(&server, "screenshots.mjs", &[folder.to_str().unwrap()], 3).await;
    for entry in std::fs::read_dir(folder).unwrap() {
        let size = entry.unwrap().metadata().unwrap().len();
        assert!((10_000..300 * 1024).contains(&size), "{size} bytes");
    }
}

/// Passkeys are made for names: this server is known as `localhost`, and has no demo data.
#[tokio::test]
async fn people_sign_in_with_a_link_a_passkey_and_the_companys_provider() {
    let port = free_port();
    let (url, listen) = (
        format!("http://localhost:{port}"),
        format!("127.0.0.1:{port}"),
    );
    let server = Server::serve_at(
        tempfile::tempdir().unwrap(),
        &listen,
        &["--public-url", &url],
    )
    .await;
    let provider = Provider::start(&format!("{url}/sign-in/oidc/callback"));
    let set = json!({ "issuer": provider.issuer, "client_id": "remit", "scopes": ["email"], "passkeys": "everybody" });
    server
        .admin_rest(Method::PUT, "/identity-provider", Some(set))
        .await;
    let maria = json!({ "display_name": "Maria", "roles": ["developer"] });
    server
        .admin_rest(Method::PUT, "/people/maria@acme.example", Some(maria))
        .await;
    let ready =
        json!({ "base_url": url, "admin_token": server.admin(), "people": {}, "agents": {} });
    std::fs::write(server.dir.path().join("ready.json"), ready.to_string()).unwrap();
    held(&server, "sign_in.mjs", &[&provider.issuer], 20).await;
}
