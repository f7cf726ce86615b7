//! WIT-SVIDs end to end: turned on by an administrator, asked for with a proof, checked by somebody else's library.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, installed};

const AGENT: &str = "support-triage";

fn ask(server: &Server, token: &str) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/wit_check.py");
    let output = Command::new(installed("REMIT_TEST_PY_OAUTH"))
        .args([script, &server.base(), token])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn turn_on(server: &Server) {
    let mut spec = server.admin_rest(Method::GET, "/organization", None).await;
    assert_eq!(spec["wit_svids"], false, "off until somebody turns it on");
    let fields = spec.as_object_mut().unwrap();
    for shown in ["id", "name", "loosening", "revision"] {
        fields.remove(shown);
    }
    fields.insert("wit_svids".to_owned(), true.into());
    server
        .admin_rest(Method::PUT, "/organization", Some(spec))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joserfc_verifies_a_wit_svid_and_no_other_proof_gets_one() {
    let server = Server::dev().await;
    let token = server.agent_token(AGENT, "answer").await;
    let seen = ask(&server, &token);
    assert_eq!(seen["status"], 403, "{seen}");
    let refused = seen["answer"].to_string();
    assert!(refused.contains("wit-svid-off"), "{refused}");

    turn_on(&server).await;
    let seen = ask(&server, &token);
    assert_eq!(seen["status"], 201, "{seen}");
    assert_eq!(seen["header"]["typ"], "wit+jwt", "{seen}");
    let claims = &seen["claims"];
    assert!(claims["aud"].is_null(), "{seen}");
    let domain = claims["iss"].as_str().unwrap();
    assert!(domain.starts_with("spiffe://"), "{seen}");
    let subject = claims["sub"].as_str().unwrap();
    assert!(subject.starts_with(&format!("{domain}/agent/")), "{seen}");
    for attack in [
        "replayed",
        "another_key",
        "another_address",
        "another_token",
        "another_curve",
        "no_proof",
    ] {
        let answer = &seen[attack];
        assert_eq!(answer[0], 401, "{attack}: {answer}");
        let text = answer[1].to_string();
        assert!(text.contains("proof-invalid"), "{attack}: {text}");
    }

    // It is listed, and falls with the agent; no other is issued.
    let listed = server.admin_rest(Method::GET, "/credentials", None).await;
    let wit = |s: &&Value| s["form"] == "wit" && s["id"] == claims["jti"];
    let svids = listed["svids"].as_array().unwrap().clone();
    assert_eq!(svids.iter().filter(wit).count(), 1, "{listed}");
    let target = json!({ "type": "agent", "name": AGENT });
    let order = json!({ "target": target, "level": "quarantine", "reason": "odd" });
    let contained = server
        .admin_rest(Method::POST, "/containments", Some(order))
        .await;
    let items = contained["certificate"]["items"].as_array().unwrap();
    let told = |i: &Value| {
        i["label"]
            .as_str()
            .is_some_and(|l| l.starts_with("WIT-SVID, until"))
    };
    assert!(items.iter().any(told), "{contained}");
    let listed = server.admin_rest(Method::GET, "/credentials", None).await;
    let svids = listed["svids"].as_array().unwrap();
    assert_eq!(svids.iter().filter(wit).count(), 0, "{listed}");
    let seen = ask(&server, &token);
    let status = seen["status"].as_u64().unwrap();
    assert!(matches!(status, 401 | 403), "{seen}");
}
