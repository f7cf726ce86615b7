//! The main job, as a stranger runs it.

use std::process::Command;

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, binary};

#[tokio::test]
async fn the_demo_proves_its_five_use_cases() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(binary())
        .arg("demo")
        .env("TMPDIR", dir.path())
        .env("REMIT_LOG", "warn")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let closing = text
        .lines()
        .rev()
        .find(|l| l.starts_with("demo: "))
        .unwrap_or_default();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(closing.starts_with("demo: 5 use-cases, "), "{closing}");
    assert!(
        closing.ends_with(" denied, ledger verified, residual access 0"),
        "{closing}"
    );
}

#[tokio::test]
async fn what_the_demo_leaves_open_waits_for_the_one_who_may_decide_it() {
    let server = Server::demo().await;
    let (fiona, admin) = (server.person("fiona@acme.example"), server.admin());
    let get = async |token: &str, path: &str| server.rest(Method::GET, path, token, None).await.1;
    let waiting = get(&fiona, "/approvals?state=pending&mine=true").await;
    let asked = &waiting["items"][0];
    assert_eq!(asked["tool"], "orders/refund", "{waiting}");
    assert_eq!(asked["args"]["amount"], 480, "{asked}");
    // Beside it a call that was denied, in the same run, and an agent that was contained with its certificate.
    let run = asked["run"].as_str().unwrap();
    let story = get(&admin, &format!("/runs/{run}/events")).await;
    assert!(story.to_string().contains("\"deny\""), "{story}");
    let contained = get(&admin, "/containments").await;
    let residual = &contained["items"][0]["certificate"]["residual"];
    assert_eq!(*residual, 0, "{contained}");
    let path = format!("/approvals/{}/approve", asked["id"].as_str().unwrap());
    let (_, yes) = server
        .rest(Method::POST, &path, &fiona, Some(json!({})))
        .await;
    assert_eq!(yes["state"], "approved", "{yes}");
}
