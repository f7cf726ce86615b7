//! Replaying: the same inputs give the same decision, and whatever was changed shows.

use super::*;
use crate::fixture::{AUDITOR, CLERK, NOBODY, OWNER, World, id};
use remit_books::Change;
use remit_domain::policy_set::PolicySet;
use remit_domain::{PersonId, Principal, RefusalCode};
use serde_json::json;

fn code<T: std::fmt::Debug>(result: Result<T, ControlError>) -> RefusalCode {
    result.unwrap_err().code().unwrap()
}

#[tokio::test]
async fn a_decision_replays_the_same_after_the_policies_have_changed() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let (allowed, _) = w
        .admit(&run, "status", json!({ "order": "A" }))
        .await
        .unwrap();
    let (asked, _) = w
        .admit(&run, "refund", json!({ "order": "A", "amount": 5 }))
        .await
        .unwrap();
    let found = w
        .books
        .get::<PolicySet>(&w.org, "refunds")
        .await
        .unwrap()
        .unwrap();
    let text = "@id(\"none\") @text(\"never\") forbid (principal, action, resource);".to_owned();
    let next = PolicySet { text, ..found.noun };
    w.books
        .commit(&w.org, Change::new().update(&next, found.revision))
        .await
        .unwrap();
    for (id, outcome) in [(allowed, "allow"), (asked, "ask")] {
        let replay = w.control.replay(&w.caller(AUDITOR), &id).await.unwrap();
        assert!(replay.same, "{replay:#?}");
        assert_eq!(replay.recorded.outcome.as_str(), outcome);
        assert_ne!(
            replay.engine,
            w.books.org(&w.org).unwrap().engine().unwrap().version()
        );
    }
}

#[tokio::test]
async fn who_is_not_concerned_neither_replays_nor_reads_the_call() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let (id, _) = w
        .admit(&run, "refund", json!({ "order": "SECRET-1" }))
        .await
        .unwrap();
    assert_eq!(
        code(w.control.replay(&w.caller(NOBODY), &id).await),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(w.control.why(&w.agent_caller(), &id).await),
        RefusalCode::Forbidden
    );
    let why = w.control.why(&w.caller(NOBODY), &id).await.unwrap();
    assert!(!serde_json::to_string(&why).unwrap().contains("SECRET-1"));
    for n in [CLERK, OWNER, AUDITOR] {
        let why = w.control.why(&w.caller(n), &id).await.unwrap();
        assert_eq!(why.call.unwrap().args["order"], "SECRET-1");
    }
}

#[tokio::test]
async fn why_names_the_policy_the_chain_and_what_would_change_it() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let (id, _) = w
        .admit(&run, "refund", json!({ "order": "A" }))
        .await
        .unwrap();
    let why = w.control.why(&w.caller(NOBODY), &id).await.unwrap();
    assert_eq!(
        (why.decision.outcome.as_str(), why.decision.tool.as_str()),
        ("ask", "orders/refund")
    );
    assert_eq!(why.decision.person.as_deref(), Some("p4@acme.example"));
    assert!(
        why.reasons
            .iter()
            .any(|r| r.contains("refunds need an approver")),
        "{:?}",
        why.reasons
    );
    assert!(why.policies.iter().any(|p| p.id == "refunds/asks"));
    assert!(
        why.chain[0].starts_with("p4@acme.example -> support"),
        "{:?}",
        why.chain
    );
    assert!(
        why.would_change.iter().any(|h| h.contains("role:approver")),
        "{:?}",
        why.would_change
    );
}

#[tokio::test]
async fn what_was_shredded_is_not_replayed_and_says_so() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let (decision, _) = w
        .admit(&run, "status", json!({ "order": "A" }))
        .await
        .unwrap();
    let by = Principal::Person(id("per", 1).parse::<PersonId>().unwrap());
    w.end(&run).await;
    w.books
        .shred(&w.org, run.id.as_str(), by, "asked to")
        .await
        .unwrap();
    assert_eq!(
        code(w.control.replay(&w.caller(AUDITOR), &decision).await),
        RefusalCode::Conflict
    );
    assert!(
        w.control
            .decision(&w.caller(AUDITOR), &decision)
            .await
            .unwrap()
            .shredded
    );
    let unknown = w.books.id(DecisionId::from_uuid);
    assert_eq!(
        code(w.control.decision(&w.caller(AUDITOR), &unknown).await),
        RefusalCode::NotFound
    );
}
