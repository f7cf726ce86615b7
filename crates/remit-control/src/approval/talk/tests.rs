//! Attacks on what is said of an approval beside yes and no, then what has to work.

use remit_domain::approval::{Approval, ApprovalState, NOTES_MAX};
use remit_domain::event::EventKind;
use remit_domain::{ApprovalId, PasskeyId, RefusalCode, Role};
use remit_ports::store::EntryFilter;
use serde_json::{Value, json};

use crate::approval::{ApprovalFilter, BySession};
use crate::fixture::{APPROVER, APPROVER_TOO, CLERK, NOBODY, SPONSOR, World};
use crate::{ApprovalView, ControlError};

fn code(result: Result<ApprovalView, ControlError>) -> RefusalCode {
    match result.unwrap_err() {
        ControlError::Refused(refusal) => refusal.code,
        other => panic!("{other}"),
    }
}

async fn asked(w: &World) -> ApprovalId {
    let (_, _, run, _) = w.chain().await;
    w.ask_approver(&run, 1).await
}

async fn edit(
    w: &World,
    who: u8,
    id: &ApprovalId,
    args: Value,
) -> Result<ApprovalView, ControlError> {
    w.control
        .edit_approval(&w.caller(who), id, args, None)
        .await
}

#[tokio::test]
async fn an_edit_lets_no_call_pass_and_only_an_approver_makes_one() {
    let w = World::new().await;
    let id = asked(&w).await;
    let other = json!({ "amount": 10 });
    for who in [CLERK, NOBODY, SPONSOR] {
        assert_eq!(
            code(edit(&w, who, &id, other.clone()).await),
            RefusalCode::Forbidden
        );
    }
    let caller = w.agent_caller();
    let agent = w.control.edit_approval(&caller, &id, other.clone(), None);
    assert_eq!(code(agent.await), RefusalCode::Forbidden);
    let same = w
        .control
        .approval(&w.caller(APPROVER), &id)
        .await
        .unwrap()
        .args;
    for wrong in [same, json!([1]), json!({ "x": "y".repeat(70_000) })] {
        assert_eq!(
            code(edit(&w, APPROVER, &id, wrong).await),
            RefusalCode::InvalidRequest
        );
    }
    let done = edit(&w, APPROVER, &id, other.clone()).await.unwrap();
    assert_eq!(
        (done.state, &done.edited),
        (ApprovalState::Denied, &Some(other.clone()))
    );
    // It is settled: nobody turns it into a yes afterwards, with these arguments or with others.
    let yes = w.control.approve(&w.caller(APPROVER_TOO), &id, None).await;
    assert_eq!(code(yes), RefusalCode::ApprovalDenied);
    let again = edit(&w, APPROVER_TOO, &id, json!({ "amount": 11 })).await;
    assert_eq!(code(again), RefusalCode::ApprovalDenied);
    // The agent is told, and nobody's name with it.
    let found = w
        .books
        .get::<Approval>(&w.org, id.as_str())
        .await
        .unwrap()
        .unwrap()
        .noun;
    let seen = w
        .control
        .approval_of_agent(&w.org, &found.agent, &id)
        .await
        .unwrap();
    assert_eq!(seen.edited, Some(other));
    assert!(
        !serde_json::to_string(&seen)
            .unwrap()
            .contains("@acme.example")
    );
}

#[tokio::test]
async fn questions_are_for_who_decides_and_answers_for_who_answers() {
    let w = World::new().await;
    let id = asked(&w).await;
    let question = async |who: u8| {
        let text = "which order?".to_owned();
        w.control.question_approval(&w.caller(who), &id, text).await
    };
    let answer = async |who: u8| {
        let text = "A-118".to_owned();
        w.control.answer_approval(&w.caller(who), &id, text).await
    };
    assert_eq!(code(question(NOBODY).await), RefusalCode::Forbidden);
    assert_eq!(code(answer(APPROVER).await), RefusalCode::Forbidden);
    let caller = w.agent_caller();
    let agent = w.control.answer_approval(&caller, &id, "yes".to_owned());
    assert_eq!(code(agent.await), RefusalCode::Forbidden);
    question(APPROVER).await.unwrap();
    let view = answer(CLERK).await.unwrap();
    assert_eq!(view.state, ApprovalState::Pending, "it waits on");
    assert_eq!(view.notes.len(), 2);
    answer(SPONSOR).await.unwrap();
    let told = EntryFilter {
        kinds: vec![EventKind::ApprovalQuestioned, EventKind::ApprovalAnswered],
        limit: 10,
        ..EntryFilter::default()
    };
    let entries = w.books.store().entries(&w.org, &told).await.unwrap();
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        let leaf = String::from_utf8_lossy(&entry.leaf);
        assert!(
            !leaf.contains("order?") && !leaf.contains("A-118"),
            "what people say is sealed"
        );
    }
    for _ in 3..NOTES_MAX {
        question(APPROVER).await.unwrap();
    }
    assert_eq!(code(question(APPROVER).await), RefusalCode::LimitExceeded);
    w.control
        .deny(&w.caller(APPROVER), &id, None)
        .await
        .unwrap();
    assert_eq!(code(answer(CLERK).await), RefusalCode::ApprovalDenied);
}

#[tokio::test]
async fn handing_on_gives_nobody_a_right_and_takes_none() {
    let w = World::new().await;
    let id = asked(&w).await;
    let give = |who: u8, to: &'static str| {
        let (caller, to) = (w.caller(who), to.parse().unwrap());
        let (control, id) = (w.control.clone(), id.clone());
        async move { control.give_approval(&caller, &id, &to).await }
    };
    for (who, to) in [
        (NOBODY, "p6@acme.example"),
        (CLERK, "p6@acme.example"),
        // Neither to the one it is done for, nor to somebody who could not approve it anyway.
        (APPROVER, "p4@acme.example"),
        (APPROVER, "p9@acme.example"),
    ] {
        assert_eq!(
            code(give(who, to).await),
            RefusalCode::Forbidden,
            "{who} to {to}"
        );
    }
    let given = give(APPROVER, "p6@acme.example").await.unwrap();
    assert_eq!(given.given_to.as_deref(), Some("p6@acme.example"));
    let mine = ApprovalFilter {
        mine: true,
        ..ApprovalFilter::default()
    };
    let of = |who: u8| {
        let (control, caller, mine) = (w.control.clone(), w.caller(who), &mine);
        async move { control.approvals(&caller, mine).await.unwrap().items.len() }
    };
    assert_eq!((of(APPROVER).await, of(APPROVER_TOO).await), (0, 1));
    w.change_person(APPROVER_TOO, |p| p.roles.clear()).await;
    let yes = w.control.approve(&w.caller(APPROVER_TOO), &id, None).await;
    assert_eq!(
        code(yes),
        RefusalCode::Forbidden,
        "a role that went is gone"
    );
    let yes = w
        .control
        .approve(&w.caller(APPROVER), &id, None)
        .await
        .unwrap();
    assert_eq!(
        yes.state,
        ApprovalState::Approved,
        "who gave it may still decide it"
    );
}

#[tokio::test]
async fn a_severe_yes_in_a_session_takes_the_passkey_over_this_very_call() {
    let w = World::new().await;
    w.change_person(NOBODY, |p| p.roles.extend([Role::Approver]))
        .await;
    let id = asked(&w).await;
    let view = w.control.approval(&w.caller(APPROVER), &id).await.unwrap();
    assert!(
        view.is_severe,
        "the fixture's tool is not severe: {:?}",
        view.effect
    );
    let passkey = w.books.id(PasskeyId::from_uuid);
    let yes = |proved: Option<(String, i64)>| {
        let session = BySession {
            has_passkey: true,
            proved: proved
                .map(|(digest, ago)| (digest, passkey.clone(), w.books.now().plus_secs(-ago))),
        };
        let (control, caller, id) = (w.control.clone(), w.caller(APPROVER), id.clone());
        async move {
            control
                .approve_in_session(&caller, &id, None, &session)
                .await
        }
    };
    for proved in [
        None,
        Some(("0".repeat(64), 1)),
        Some((view.digest.clone(), 301)),
        Some((view.digest.clone(), -60)),
    ] {
        assert_eq!(
            code(yes(proved.clone()).await),
            RefusalCode::ProofInvalid,
            "{proved:?}"
        );
    }
    let done = yes(Some((view.digest.clone(), 10))).await.unwrap();
    assert!(done.verdicts[0].with_passkey);
    let told = EntryFilter {
        kinds: vec![EventKind::ApprovalDecided],
        limit: 10,
        ..EntryFilter::default()
    };
    let entries = w.books.store().entries(&w.org, &told).await.unwrap();
    let leaf = String::from_utf8_lossy(&entries[0].leaf).into_owned();
    assert!(
        leaf.contains(passkey.as_str()) && leaf.contains(&view.digest),
        "{leaf}"
    );
}
