//! Attacks on verdicts, then what has to work.

use std::time::Duration;

use super::*;
use crate::fixture::{ADMIN, APPROVER, APPROVER_TOO, AUDITOR, CLERK, NOBODY, SPONSOR, World, id};
use remit_domain::Role;
use remit_ports::store::EntryFilter;
use serde_json::json;

fn refusal<T: std::fmt::Debug>(result: Result<T, ControlError>) -> (RefusalCode, String) {
    match result.unwrap_err() {
        ControlError::Refused(refusal) => (refusal.code, refusal.text),
        other => panic!("{other}"),
    }
}

fn said() -> Option<String> {
    Some("looks right".to_owned())
}

#[tokio::test]
async fn an_agent_approves_nothing() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 1).await;
    assert_eq!(
        refusal(w.control.approve(&w.agent_caller(), &asked, said()).await).0,
        RefusalCode::Forbidden
    );
    assert_eq!(
        refusal(w.control.approval(&w.agent_caller(), &asked).await).0,
        RefusalCode::Forbidden
    );
}

#[tokio::test]
async fn the_requester_does_not_approve_even_with_the_role() {
    let w = World::new().await;
    w.change_person(CLERK, |p| p.roles.extend([Role::Approver]))
        .await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 1).await;
    let (code, text) = refusal(w.control.approve(&w.caller(CLERK), &asked, said()).await);
    assert_eq!(code, RefusalCode::Forbidden);
    assert!(text.contains("acts for you"), "{text}");
    let view = w.control.approval(&w.caller(CLERK), &asked).await.unwrap();
    assert!(view.you_may_not.is_some() && !view.may_approve.contains_key("p4@acme.example"));
}

#[tokio::test]
async fn a_role_that_was_taken_away_meanwhile_approves_nothing() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 1).await;
    let stale = w.caller(APPROVER);
    w.change_person(APPROVER, |p| p.roles.clear()).await;
    assert_eq!(
        refusal(w.control.approve(&stale, &asked, said()).await).0,
        RefusalCode::Forbidden
    );
}

#[tokio::test]
async fn two_of_a_quorum_are_two_people_and_both_still_here() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 2).await;
    let first = w
        .control
        .approve(&w.caller(APPROVER), &asked, said())
        .await
        .unwrap();
    assert_eq!(first.state, ApprovalState::Pending);
    assert_eq!(first.asks[0].approved_by, ["p5@acme.example"]);
    let (code, text) = refusal(w.control.approve(&w.caller(APPROVER), &asked, said()).await);
    assert_eq!(code, RefusalCode::Conflict);
    assert!(text.contains("your verdict"), "{text}");
    w.change_person(APPROVER, |p| p.roles.clear()).await;
    let second = w
        .control
        .approve(&w.caller(APPROVER_TOO), &asked, said())
        .await
        .unwrap();
    assert_eq!(
        second.state,
        ApprovalState::Pending,
        "the first yes no longer counts"
    );
}

#[tokio::test]
async fn two_approvers_at_once_both_count() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 2).await;
    let (a, b) = (w.caller(APPROVER), w.caller(APPROVER_TOO));
    let (a, b) = tokio::join!(
        w.control.approve(&a, &asked, None),
        w.control.approve(&b, &asked, None)
    );
    a.unwrap();
    b.unwrap();
    let view = w.control.approval(&w.caller(CLERK), &asked).await.unwrap();
    assert_eq!(
        (view.state, view.verdicts.len()),
        (ApprovalState::Approved, 2)
    );
}

#[tokio::test]
async fn each_way_of_being_settled_is_refused_in_its_own_words() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let approve =
        async |id: &ApprovalId| refusal(w.control.approve(&w.caller(APPROVER_TOO), id, None).await);

    let approved = w.ask_approver(&run, 1).await;
    w.control
        .approve(&w.caller(APPROVER), &approved, None)
        .await
        .unwrap();
    assert_eq!(approve(&approved).await.0, RefusalCode::Conflict);

    let denied = w.ask_approver(&run, 1).await;
    w.control
        .deny(&w.caller(APPROVER), &denied, said())
        .await
        .unwrap();
    assert_eq!(approve(&denied).await.0, RefusalCode::ApprovalDenied);

    for (state, code) in [
        (ApprovalState::Cancelled, RefusalCode::ApprovalCancelled),
        (ApprovalState::Stale, RefusalCode::ApprovalStale),
        (ApprovalState::Used, RefusalCode::ApprovalUsed),
        (ApprovalState::Ambiguous, RefusalCode::Ambiguous),
    ] {
        let asked = w.ask_approver(&run, 1).await;
        let found = w
            .books
            .get::<Approval>(&w.org, asked.as_str())
            .await
            .unwrap()
            .unwrap();
        let next = Approval {
            state,
            ..found.noun
        };
        w.books
            .commit(&w.org, Change::new().update(&next, found.revision))
            .await
            .unwrap();
        assert_eq!(approve(&asked).await.0, code);
    }

    let late = w.ask_approver(&run, 1).await;
    w.pass(3_600);
    let (code, text) = approve(&late).await;
    assert_eq!(code, RefusalCode::ApprovalExpired);
    assert!(text.contains("ask again"), "{text}");
}

#[tokio::test]
async fn an_approval_that_was_not_used_in_time_expires_and_that_is_told_once() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 1).await;
    w.control
        .approve(&w.caller(APPROVER), &asked, None)
        .await
        .unwrap();
    w.pass(3_600);
    let expired = ApprovalFilter {
        state: Some(ApprovalState::Expired),
        ..ApprovalFilter::default()
    };
    let listed = w
        .control
        .approvals(&w.caller(NOBODY), &expired)
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1, "before anybody wrote it down");
    for _ in 0..2 {
        assert_eq!(
            w.control
                .approval(&w.caller(NOBODY), &asked)
                .await
                .unwrap()
                .state,
            ApprovalState::Expired
        );
    }
    let filter = EntryFilter {
        kinds: vec![EventKind::ApprovalSettled],
        ..EntryFilter::default()
    };
    assert_eq!(
        w.books.opened_entries(&w.org, &filter).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn who_is_not_named_neither_approves_nor_denies() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 1).await;
    for n in [ADMIN, AUDITOR, NOBODY, SPONSOR] {
        assert_eq!(
            refusal(w.control.approve(&w.caller(n), &asked, None).await).0,
            RefusalCode::Forbidden,
            "{n}"
        );
        assert_eq!(
            refusal(w.control.deny(&w.caller(n), &asked, None).await).0,
            RefusalCode::Forbidden,
            "{n}"
        );
    }
    let denied = w
        .control
        .deny(&w.caller(CLERK), &asked, said())
        .await
        .unwrap();
    assert_eq!(
        denied.state,
        ApprovalState::Denied,
        "the requester may take it back"
    );
}

#[tokio::test]
async fn what_waits_for_somebody_is_listed_for_them_alone() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 1).await;
    let mine = ApprovalFilter {
        mine: true,
        ..ApprovalFilter::default()
    };
    let view = &w
        .control
        .approvals(&w.caller(APPROVER), &mine)
        .await
        .unwrap()
        .items[0];
    assert_eq!(
        (&view.id, view.effect, view.system.as_deref()),
        (&asked, Some("purchase"), Some("shop"))
    );
    assert_eq!(
        view.args,
        json!({ "order": "A-118", "amount": 20 }),
        "what is shown is what runs"
    );
    assert!(
        view.opens.contains("support") && view.opens.contains("once"),
        "{}",
        view.opens
    );
    assert!(view.may_approve.contains_key("p5@acme.example"));
    assert!(
        w.control
            .approvals(&w.caller(CLERK), &mine)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn an_agent_sees_its_own_approval_without_names_and_no_other() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 1).await;
    let own = w
        .control
        .approval_of_agent(&w.org, &id("agt", 1).parse().unwrap(), &asked)
        .await
        .unwrap();
    assert!(
        !serde_json::to_string(&own)
            .unwrap()
            .contains("acme.example")
    );
    let other = w
        .control
        .approval_of_agent(&w.org, &id("agt", 2).parse().unwrap(), &asked)
        .await;
    assert_eq!(refusal(other).0, RefusalCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_verdict_or_with_the_time() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let asked = w.ask_approver(&run, 1).await;
    let waiting = w
        .control
        .wait_approval(&w.caller(CLERK), &asked, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(waiting.state, ApprovalState::Pending);
    let control = w.control.clone();
    let (clerk, id) = (w.caller(CLERK), asked.clone());
    let waiter = tokio::spawn(async move {
        control
            .wait_approval(&clerk, &id, Duration::from_secs(60))
            .await
    });
    tokio::task::yield_now().await;
    let began = tokio::time::Instant::now();
    w.control
        .approve(&w.caller(APPROVER), &asked, None)
        .await
        .unwrap();
    assert_eq!(
        waiter.await.unwrap().unwrap().state,
        ApprovalState::Approved
    );
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn watching_tells_what_is_new_from_where_one_left_off() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let caller = w.caller(APPROVER);
    assert!(
        w.control
            .watch_approvals(&caller, None, Duration::from_secs(1))
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let first = w.ask_approver(&run, 1).await;
    let seen = w
        .control
        .watch_approvals(&caller, None, Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(seen.next, Some(first));
    w.pass(1);
    let control = w.control.clone();
    let next = seen.next.clone();
    let watcher = tokio::spawn(async move {
        control
            .watch_approvals(&caller, next, Duration::from_secs(60))
            .await
    });
    tokio::task::yield_now().await;
    let second = w.ask_approver(&run, 1).await;
    let seen = watcher.await.unwrap().unwrap();
    assert_eq!(
        seen.items.iter().map(|a| a.id.clone()).collect::<Vec<_>>(),
        [second]
    );
}
