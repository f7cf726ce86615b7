//! Attacks on the ledger and on who reads it.

use super::*;
use crate::fixture::{ADMIN, AUDITOR, CLERK, OWNER, RESPONDER, World};
use remit_domain::{PersonId, Principal};
use remit_tlog::TlogProof;
use serde_json::json;

fn code<T: std::fmt::Debug>(result: Result<T, ControlError>) -> RefusalCode {
    result.unwrap_err().code().unwrap()
}

#[tokio::test]
async fn only_auditors_verify_and_prove_and_administrators_read_no_content() {
    let w = World::new().await;
    w.chain().await;
    for n in [CLERK, OWNER, RESPONDER] {
        assert_eq!(
            code(
                w.control
                    .entries(&w.caller(n), &EntryQuery::default())
                    .await
            ),
            RefusalCode::Forbidden
        );
    }
    for n in [CLERK, ADMIN] {
        assert_eq!(
            code(w.control.verify(&w.caller(n), None).await),
            RefusalCode::Forbidden
        );
        assert_eq!(
            code(w.control.prove(&w.caller(n), 0).await),
            RefusalCode::Forbidden
        );
    }
    assert_eq!(
        code(
            w.control
                .entries(&w.agent_caller(), &EntryQuery::default())
                .await
        ),
        RefusalCode::Forbidden
    );
    let query = EntryQuery {
        kind: Some(EventKind::RunStarted),
        ..EntryQuery::default()
    };
    let read = async |n| w.control.entries(&w.caller(n), &query).await.unwrap().items;
    assert!(read(ADMIN).await.iter().all(|e| e.content.is_empty()));
    assert_eq!(
        read(AUDITOR).await[0].content["intent"]["purpose"],
        "a refund"
    );
}

#[tokio::test]
async fn pages_follow_each_other_in_both_directions() {
    let w = World::new().await;
    w.chain().await;
    let all = w.books.store().entry_count(&w.org).await.unwrap();
    for newest in [false, true] {
        let (mut seen, mut from) = (Vec::new(), None);
        loop {
            let query = EntryQuery {
                limit: Some(1),
                newest,
                from,
                ..EntryQuery::default()
            };
            let page = w.control.entries(&w.caller(AUDITOR), &query).await.unwrap();
            seen.extend(page.items.iter().map(|e| e.index));
            match page.next {
                Some(next) => from = Some(next.parse().unwrap()),
                None => break,
            }
        }
        if newest {
            seen.reverse();
        }
        assert_eq!(seen, (0..all).collect::<Vec<_>>(), "newest {newest}");
    }
}

#[tokio::test]
async fn a_proof_holds_for_its_leaf_and_for_no_other() {
    let w = World::new().await;
    w.chain().await;
    let auditor = w.caller(AUDITOR);
    let proof = TlogProof::parse(&w.control.prove(&auditor, 1).await.unwrap()).unwrap();
    let key = w.books.log_key(&w.org).await.unwrap();
    let (right, wrong) = (
        w.control.leaf_bytes(&auditor, 1).await.unwrap(),
        w.control.leaf_bytes(&auditor, 0).await.unwrap(),
    );
    assert!(proof.verify(&right, &key).is_ok());
    assert!(proof.verify(&wrong, &key).is_err());
    assert_eq!(
        code(w.control.prove(&auditor, 10_000).await),
        RefusalCode::NotFound
    );
}

#[tokio::test]
async fn a_whole_ledger_verifies_and_says_which_calls_have_no_outcome() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let (answered, _) = w
        .admit(&run, "status", json!({ "order": "A" }))
        .await
        .unwrap();
    let (open, _) = w
        .admit(&run, "status", json!({ "order": "B" }))
        .await
        .unwrap();
    w.admit(&run, "refund", json!({ "order": "A" }))
        .await
        .unwrap();
    w.outcome(&run, &answered, "ok").await;
    let report = w.control.verify(&w.caller(AUDITOR), None).await.unwrap();
    assert!(report.ok, "{report:#?}");
    assert_eq!(
        (report.decisions, report.outcomes, report.replayable),
        (3, 1, 3)
    );
    let gap = &report.gaps[..];
    assert!(
        matches!(gap, [Gap { decision, state: GapState::Open, .. }] if *decision == open),
        "{gap:?}"
    );

    w.pass(200);
    assert_eq!(w.control.report_gaps(&w.org).await.unwrap(), 1);
    assert_eq!(w.control.report_gaps(&w.org).await.unwrap(), 0, "once");
    let report = w.control.verify(&w.caller(AUDITOR), None).await.unwrap();
    assert_eq!(
        (report.ok, report.gaps[0].state),
        (true, GapState::Reported)
    );
}

#[tokio::test]
async fn shredding_breaks_no_proof() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    w.admit(&run, "status", json!({ "order": "A" }))
        .await
        .unwrap();
    let by = Principal::Person(
        crate::fixture::id("per", ADMIN)
            .parse::<PersonId>()
            .unwrap(),
    );
    // What bounds a run that goes on is not destroyed under it.
    let early = w
        .books
        .shred(&w.org, run.id.as_str(), by.clone(), "asked to");
    assert!(early.await.is_err());
    w.end(&run).await;
    w.books
        .shred(&w.org, run.id.as_str(), by, "asked to")
        .await
        .unwrap();
    let report = w.control.verify(&w.caller(AUDITOR), None).await.unwrap();
    assert!(report.ok, "{report:#?}");
    assert_eq!((report.shredded, report.replayable), (3, 0));
}

#[tokio::test]
async fn a_checkpoint_kept_elsewhere_notices_a_ledger_that_was_rewritten() {
    let w = World::new().await;
    w.chain().await;
    let (size, kept) = w.books.checkpoint(&w.org).await.unwrap();
    w.chain().await;
    let auditor = w.caller(AUDITOR);
    let report = w.control.verify(&auditor, Some(&kept)).await.unwrap();
    assert_eq!((report.ok, report.kept), (true, Some(size)));

    // Another ledger of the same organization, signed with the same key: shorter, or with other entries.
    let other = World::new().await;
    let report = other
        .control
        .verify(&other.caller(AUDITOR), Some(&kept))
        .await;
    match report {
        Ok(report) => assert!(!report.ok && report.mismatches_count > 0, "{report:#?}"),
        Err(error) => assert_eq!(error.code(), Some(RefusalCode::InvalidRequest)),
    }
    assert_eq!(
        code(w.control.verify(&auditor, Some("not a checkpoint")).await),
        RefusalCode::InvalidRequest
    );
}
