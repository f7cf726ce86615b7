//! One agent with a key that may call the tools of one upstream, in a server that has nothing yet.

use remit_token::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, new_key};

/// An agent that may act.
pub(crate) struct Agent {
    pub(crate) client: String,
    pub(crate) key: SigningKey,
}

pub(crate) fn document(kind: &str, name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "remit.dev/v1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// Registers `transport` as upstream `name`, classifies every tool of it as `effect`, and an agent that is granted all.
pub(crate) async fn upstream_and_agent(
    server: &Server,
    name: &str,
    transport: Value,
    effect: &str,
) -> Agent {
    upstream_that_asks(server, name, transport, effect, &[]).await
}

/// The same, with an upstream that may ask the agent's side for these.
pub(crate) async fn upstream_that_asks(
    server: &Server,
    name: &str,
    transport: Value,
    effect: &str,
    may_ask: &[&str],
) -> Agent {
    let person = json!({ "display_name": "Sponsor", "teams": ["team"], "roles": ["admin", "approver", "responder", "auditor"], "entitlements": [] });
    server
        .apply(&[
            document("Team", "team", &json!({})),
            document("Person", "sponsor@acme.example", &person),
            document("System", "shop", &json!({ "owner": "admin@acme.example", "environment": "production", "criticality": "low" })),
            document("Upstream", name, &json!({ "system": "shop", "transport": transport, "stateless": false, "enabled": true, "may_ask": may_ask })),
        ])
        .await;
    server
        .admin_rest(
            Method::POST,
            &format!("/upstreams/{name}/sync"),
            Some(json!({})),
        )
        .await;
    let tools = server
        .admin_rest(
            Method::GET,
            &format!("/tools?upstream={name}&limit=200"),
            None,
        )
        .await;
    let mut grants = Vec::new();
    let mut classified = Vec::new();
    for tool in tools["items"].as_array().unwrap() {
        let (tool, hash) = (tool["tool"].as_str().unwrap(), &tool["definition_hash"]);
        classified.push(document(
            "Tool",
            tool,
            &json!({ "effect": effect, "definition_hash": hash }),
        ));
        grants.push(json!({ "tool": tool, "autonomy": "it is a test" }));
    }
    assert!(!grants.is_empty(), "{name} has no tools: {tools}");
    server.apply(&classified).await;
    register(server, "worker", &grants).await
}

/// An active agent of tier 4 with one workflow and these grants.
pub(crate) async fn register(server: &Server, agent: &str, grants: &[Value]) -> Agent {
    let spec = json!({ "owner": "owner@acme.example", "sponsor": "sponsor@acme.example", "responsible_team": "team",
        "platform_team": "team", "purpose": "a test", "business_process": "tests", "model": "none", "provider": "none",
        "runtime": "test", "environment": "production", "data_classes": [], "systems": ["shop"],
        "expected_actions": ["read"], "tier": 4, "review_cadence_days": 90, "enforcement": "gateway" });
    let mut workflow = document(
        "Workflow",
        "answer",
        &json!({ "purpose": "a test", "data_classes": [], "grants": grants,
        "run_secs_max": 3600, "run_idle_secs_max": 600 }),
    );
    workflow["metadata"]["agent"] = json!(agent);
    server
        .apply(&[
            // Neither who creates the sponsor, nor the sponsor: they activate it.
            document(
                "Person",
                "owner@acme.example",
                &json!({ "display_name": "Owner" }),
            ),
            document("Agent", agent, &spec),
            workflow,
        ])
        .await;
    let (key, jwk) = new_key();
    server
        .admin_rest(
            Method::POST,
            &format!("/agents/{agent}/keys"),
            Some(json!({ "jwk": jwk })),
        )
        .await;
    let sponsor = enrol(server, "sponsor@acme.example").await;
    let (status, active) = server
        .rest(
            Method::POST,
            &format!("/agents/{agent}/activate"),
            &sponsor,
            Some(json!({})),
        )
        .await;
    assert_eq!(status, 200, "{active}");
    Agent {
        client: active["id"].as_str().unwrap().to_owned(),
        key,
    }
}

/// A token of a person, made as they would: by their own single-use link.
pub(crate) async fn enrol(server: &Server, email: &str) -> String {
    let link = server
        .admin_rest(
            Method::POST,
            &format!("/people/{email}/enrolments"),
            Some(json!({})),
        )
        .await;
    let body = json!({ "code": link["code"], "label": "test", "days": 1 });
    let redeemed = server
        .admin_rest(Method::POST, "/enrolments/redeem", Some(body))
        .await;
    redeemed["token"].as_str().unwrap().to_owned()
}
