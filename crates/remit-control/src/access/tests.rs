//! Effective access is what the policies say, not what was meant.

use super::*;
use crate::fixture::{NOBODY, RESPONDER, World, id, noun};
use remit_domain::containment::Level;
use serde_json::json;

fn support() -> Name {
    "support".parse().unwrap()
}

#[tokio::test]
async fn rows_say_what_is_allowed_asked_and_under_which_conditions() {
    let w = World::new().await;
    let rows = w
        .control
        .access(&w.caller(NOBODY), &support(), false)
        .unwrap();
    let of = |tool: &str| rows.iter().find(|r| r.tool == tool).unwrap();
    assert_eq!(
        (
            of("orders/status").decision,
            of("orders/status").system.as_deref()
        ),
        ("allow", Some("shop"))
    );
    let refund = of("orders/refund");
    assert_eq!(
        (refund.decision, &refund.approvers[..]),
        ("ask", &["role:approver".to_owned()][..]),
        "{refund:#?}"
    );
    assert!(
        refund.conditions.iter().any(|c| c.contains("refunds")),
        "{refund:#?}"
    );
    let asks = w
        .control
        .access(&w.caller(NOBODY), &support(), true)
        .unwrap();
    assert_eq!(
        asks.iter().map(|r| r.tool.as_str()).collect::<Vec<_>>(),
        ["orders/refund"]
    );
    assert!(
        w.control
            .access(&w.agent_caller(), &support(), false)
            .is_err()
    );
}

#[tokio::test]
async fn a_contained_agent_reaches_nothing() {
    let w = World::new().await;
    let target = noun(json!({ "type": "agent", "name": "support" }));
    w.control
        .contain(&w.caller(RESPONDER), &target, Level::Suspend, "test")
        .await
        .unwrap();
    let rows = w
        .control
        .access(&w.caller(NOBODY), &support(), false)
        .unwrap();
    assert!(
        !rows.is_empty() && rows.iter().all(|r| r.decision == "deny"),
        "{rows:#?}"
    );
}

#[tokio::test]
async fn a_hypothetical_call_is_decided_and_leaves_no_trace() {
    let w = World::new().await;
    let before = w.books.store().entry_count(&w.org).await.unwrap();
    let call = |extra: serde_json::Value| {
        let mut call = json!({ "agent": "support", "workflow": "refund", "tool": "orders/refund", "args": { "order": "A-118" } });
        call.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        noun::<Hypothetical>(call)
    };
    let explain = |extra| w.control.explain(&w.caller(NOBODY), call(extra)).unwrap();
    assert_eq!(
        explain(json!({ "person": "p4@acme.example" })).outcome,
        "ask"
    );
    let alone = explain(json!({}));
    assert_eq!(alone.outcome, "deny", "nobody holds the entitlement");
    assert!(
        alone.would_change.iter().any(|h| h.contains("entitlement")),
        "{:?}",
        alone.would_change
    );
    let outside = explain(
        json!({ "person": "p4@acme.example", "authority": { "tools": { "orders/status": {} } } }),
    );
    assert_eq!(outside.outcome, "deny");
    let wrong = explain(json!({ "person": "p4@acme.example", "args": { "order": 5 } }));
    assert!(!wrong.argument_problems.is_empty());
    assert!(
        w.control
            .explain(&w.caller(NOBODY), call(json!({ "args": [1] })))
            .is_err()
    );
    assert!(
        w.control
            .explain(
                &w.caller(NOBODY),
                call(json!({ "person": "nobody@acme.example" }))
            )
            .is_err()
    );
    assert_eq!(w.books.store().entry_count(&w.org).await.unwrap(), before);
    let _ = id("per", 1);
}
