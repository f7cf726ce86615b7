//! Other people's OAuth clients against the authorization server, each by its own rules: what a library finds wrong, it throws.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::server::{Server, installed};
use crate::sign_in::Browser;

const BACK: &str = "http://127.0.0.1:9/back";
const AGENT: &str = "support-triage";
const MARIA: &str = "maria@acme.example";

/// The demo, whose `support-triage/refund` may ask people.
async fn world() -> Server {
    let server = Server::dev().await;
    let path = format!("/agents/{AGENT}/workflows/refund");
    let mut spec = server.admin_rest(Method::GET, &path, None).await;
    for told in ["id", "agent", "name", "state", "grant_ids", "revision"] {
        spec.as_object_mut().unwrap().remove(told);
    }
    spec["redirect_uris"] = json!(["http://127.0.0.1/back"]);
    server.admin_rest(Method::PUT, &path, Some(spec)).await;
    server
}

/// A subject token of maria's, for the agent's refunds.
async fn subject(server: &Server) -> String {
    let token = server.person(MARIA);
    let new =
        json!({ "agent": AGENT, "workflow": "refund", "kind": "interactive", "for_secs": 3600 });
    let (status, made) = server
        .rest(Method::POST, "/delegations", &token, Some(new))
        .await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/delegations/{}/assertion", made["id"].as_str().unwrap());
    let (status, made) = server.rest(Method::POST, &path, &token, None).await;
    assert!(status < 300, "{made}");
    made["subject_token"].as_str().unwrap().to_owned()
}

/// Maria's browser, signed in by a link.
async fn signed_in(server: &Server) -> Browser {
    let path = format!("/people/{MARIA}/enrolments");
    let link = server
        .admin_rest(Method::POST, &path, Some(json!({})))
        .await;
    let mut browser = Browser::new();
    let url = format!("{}/sign-in/code", server.base());
    let answer = browser.post(&url, json!({ "code": link["code"] })).await;
    assert_eq!(answer.status(), 200);
    browser
}

fn value_of<'a>(page: &'a str, name: &str) -> &'a str {
    let at = page.split(&format!("name=\"{name}\" value=\"")).nth(1);
    at.and_then(|rest| rest.split('"').next())
        .unwrap_or_else(|| panic!("no {name}: {page}"))
}

/// Maria reads what is asked and lets it; returns where her browser is sent.
async fn consent(server: &Server, browser: &mut Browser, open: &str) -> String {
    let page = browser.open(open).await;
    for shown in ["orders/refund", "amount is from 0.01 to 30", AGENT] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let form = [
        ("csrf", value_of(&page, "csrf")),
        ("request", value_of(&page, "request")),
        ("hours", "1 hour"),
        ("effects", "everything in the list"),
    ];
    let url = format!("{}/consent/allow", server.base());
    let answer = browser.submit(&url, &form).await;
    let to = answer
        .headers()
        .get("refresh")
        .map(|to| to.to_str().unwrap().to_owned());
    let to = to.unwrap_or_else(|| panic!("{}", answer.status()));
    to.trim_start_matches("0; url=").to_owned()
}

/// Runs a client to its end, with maria at its side; returns what it saw.
async fn run(server: &Server, program: PathBuf, script: &str) -> Value {
    let mut browser = signed_in(server).await;
    let found = &server.ready["agents"][AGENT];
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(script);
    let mut child = Command::new(program)
        .arg(script)
        .env("ISSUER", server.base())
        .env("CLIENT", found["client_id"].as_str().unwrap())
        .env("KEY", found["key_file"].as_str().unwrap())
        .env("SUBJECT", subject(server).await)
        .env("REDIRECT", BACK)
        .env("MODULES", installed("REMIT_TEST_NODE_MODULES"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = Value::Null;
    while let Some(line) = lines.next_line().await.unwrap() {
        seen = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        if let Some(open) = seen["open"].as_str() {
            let back = consent(server, &mut browser, open).await;
            stdin
                .write_all(format!("{back}\n").as_bytes())
                .await
                .unwrap();
        }
    }
    assert!(child.wait().await.unwrap().success(), "{seen}");
    seen
}

fn details() -> Value {
    json!({ "type": "remit_tool", "tool": "orders/refund",
        "bounds": { "amount": [{ "decimal": { "max": "30", "min": "0.01" } }] } })
}

/// Whatever the library: who the tokens are for, what they are narrowed to, and that a revoked one is worth nothing.
fn check(server: &Server, seen: &Value) {
    let client = &server.ready["agents"][AGENT]["client_id"];
    let own = &seen["own"]["claims"];
    assert_eq!((&own["sub"], &own["client_id"]), (client, client), "{seen}");
    assert!(own["act"].is_null(), "{seen}");
    for token in ["person", "exchanged"] {
        let claims = &seen[token]["claims"];
        assert!(
            claims["sub"].as_str().unwrap().starts_with("per_"),
            "{seen}"
        );
        assert_eq!(claims["act"]["sub"], *client, "{seen}");
    }
    for token in ["own", "person"] {
        let told = &seen[token]["authorization_details"];
        assert_eq!(
            told, &seen[token]["claims"]["authorization_details"],
            "{seen}"
        );
        let asked = match token {
            "own" => json!({ "type": "remit_tool", "tool": "orders/order_status" }),
            _ => details(),
        };
        assert!(
            told.as_array().unwrap().iter().any(|o| same(o, &asked)),
            "{told}"
        );
    }
    assert!(
        seen["exchanged"]["authorization_details"].is_null(),
        "{seen}"
    );
    assert_eq!(seen["before"]["active"], true, "{seen}");
    assert_eq!(
        seen["before"]["authorization_details"],
        seen["own"]["authorization_details"]
    );
    assert_eq!(seen["after"], json!({ "active": false }), "{seen}");
}

/// The same object, however many of the grant's bounds it repeats.
fn same(said: &Value, asked: &Value) -> bool {
    let max = "/bounds/amount/0/decimal/max";
    said["tool"] == asked["tool"] && said.pointer(max) == asked.pointer(max)
}

#[tokio::test(flavor = "multi_thread")]
async fn oauth4webapi_goes_every_way_that_the_metadata_offers() {
    let server = world().await;
    let seen = run(
        &server,
        installed("REMIT_TEST_NODE"),
        "oauth_oauth4webapi.mjs",
    )
    .await;
    check(&server, &seen);
    assert_eq!(seen["own"]["token_type"], "dpop", "{seen}");
    assert_eq!(
        seen["wider"]["error"], "invalid_authorization_details",
        "{seen}"
    );
    assert!(
        seen["wider"]["text"].as_str().unwrap().starts_with("wider"),
        "{seen}"
    );
    assert_eq!(seen["checked"]["sub"], seen["person"]["claims"]["sub"]);
    let tools = seen["tools"].as_str().unwrap();
    assert!(
        tools.contains("orders__refund") && !tools.contains("orders__customer_lookup"),
        "{tools}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn openid_client_goes_the_way_of_an_application() {
    let server = world().await;
    let seen = run(
        &server,
        installed("REMIT_TEST_NODE"),
        "oauth_openid_client.mjs",
    )
    .await;
    check(&server, &seen);
    assert_eq!(seen["own"]["token_type"], "dpop", "{seen}");
    assert_eq!(seen["whoami"]["name"], AGENT, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn authlib_gets_tokens_that_joserfc_verifies() {
    let server = world().await;
    let seen = run(
        &server,
        installed("REMIT_TEST_PY_OAUTH"),
        "oauth_authlib.py",
    )
    .await;
    check(&server, &seen);
    assert_eq!(seen["own"]["token_type"], "Bearer", "{seen}");
    assert_eq!(seen["of_forged"], json!({ "active": false }), "{seen}");
    // The bounds hold at the gateway: what the workflow may and this token may not is denied.
    let token = seen["person"]["access_token"].as_str().unwrap();
    let call = |amount: f64| json!({ "order": "A-118", "amount": amount, "card": "card-visa-4242", "reason": "damaged" });
    let within = server
        .call("/mcp", token, "orders__refund", call(20.0))
        .await;
    assert_ne!(within["result"]["isError"], true, "{within}");
    let outside = server
        .call("/mcp", token, "orders__refund", call(31.0))
        .await;
    assert_eq!(outside["result"]["isError"], true, "{outside}");
    let text = outside["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("amount is outside") && text.contains("delegation-bounds"),
        "{text}"
    );
    let other = json!({ "order": "A-118" });
    let other = server
        .call("/mcp", token, "orders__order_status", other)
        .await;
    let text = other["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("orders/order_status is not included"),
        "{text}"
    );
}

/// The authorization mode of the MCP suite, as far as it has clients that prove a key.
#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_suite_finds_the_metadata_that_mcp_asks_for() {
    let server = Server::dev().await;
    let script = installed("REMIT_TEST_NODE_MODULES")
        .join("@modelcontextprotocol/conformance/dist/index.js");
    let output = Command::new(installed("REMIT_TEST_NODE"))
        .arg(script)
        .args(["authorization", "--url", &server.base()])
        .args(["--scenario", "authorization-server-metadata-endpoint"])
        .current_dir(server.dir.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Passed: 2/2, 0 failed"), "{text}");
}

/// No shared secret is a proof, however it comes, and nobody registers by themselves.
#[tokio::test]
async fn there_are_no_shared_secrets_and_no_dynamic_registration() {
    let server = Server::dev().await;
    let base = server.base();
    let http = reqwest::Client::new();
    let metadata = format!("{base}/.well-known/oauth-authorization-server");
    let metadata: Value = http
        .get(metadata)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(metadata["registration_endpoint"].is_null(), "{metadata}");
    assert_eq!(metadata["client_id_metadata_document_supported"], true);
    let methods = metadata["token_endpoint_auth_methods_supported"]
        .as_array()
        .unwrap();
    assert!(
        !methods
            .iter()
            .any(|m| m.as_str().unwrap().contains("secret") || m == "none")
    );
    for path in ["/oauth2/register", "/register"] {
        let body = json!({ "client_name": "x", "redirect_uris": ["https://client.example/back"] });
        let answer = http
            .post(format!("{base}{path}"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let client = server.ready["agents"][AGENT]["client_id"].as_str().unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", client)];
    let token = format!("{base}/oauth2/token");
    let basic = http
        .post(&token)
        .basic_auth(client, Some("secret"))
        .form(&form);
    let posted = [form.as_slice(), &[("client_secret", "secret")]].concat();
    for request in [
        basic,
        http.post(&token).form(&posted),
        http.post(&token).form(&form),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"], "invalid_client", "{answer}");
    }
}

#[tokio::test]
async fn another_token_is_asked_for_with_everything_that_it_needs() {
    let server = world().await;
    let token = server.agent_token(AGENT, "answer").await;
    let response = reqwest::Client::new()
        .post(format!("{}/api/v1/runs", server.base()))
        .bearer_auth(&token)
        .json(&json!({ "workflow": "refund", "mode": "api" }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 403);
    let said = response.headers()["www-authenticate"].to_str().unwrap();
    let base = server.base();
    assert_eq!(
        said,
        format!(
            "Bearer resource_metadata=\"{base}/.well-known/oauth-protected-resource/api/v1\", error=\"insufficient_scope\", scope=\"workflow:refund\""
        )
    );
}
