//! What time does by itself.

use super::*;
use crate::fixture::{ADMIN, AUDITOR, CLERK, NOBODY, OWNER, SPONSOR, World, id};
use remit_domain::person::PersonState;
use remit_domain::run::{RunOutcome, RunState};
use serde_json::json;

async fn ended(w: &World, run: &Run) -> Option<RunEnd> {
    match w
        .books
        .get::<Run>(&w.org, run.id.as_str())
        .await
        .unwrap()
        .unwrap()
        .noun
        .state
    {
        RunState::Ended { cause, .. } => Some(cause),
        _ => None,
    }
}

#[tokio::test]
async fn time_ends_what_it_has_to_end_once() {
    let w = World::new().await;
    let (_, _, run, child) = w.chain().await;
    w.ask_approver(&run, 1).await;
    assert_eq!(w.control.tick(&w.org).await.unwrap(), Swept::default());
    w.pass(3_600);
    let swept = w.control.tick(&w.org).await.unwrap();
    assert_eq!(
        (swept.approvals, swept.runs),
        (1, 2),
        "the delegations ended, and the runs under them"
    );
    assert_eq!(ended(&w, &run).await, Some(RunEnd::DelegationEnded));
    assert_eq!(ended(&w, &child).await, Some(RunEnd::ParentEnded));
    assert_eq!(w.control.tick(&w.org).await.unwrap(), Swept::default());
    let alone = w.start(1, None, Vec::new(), None).await;
    w.pass(7_200);
    w.control.tick(&w.org).await.unwrap();
    assert_eq!(ended(&w, &alone).await, Some(RunEnd::Deadline));
}

#[tokio::test]
async fn a_run_of_someone_who_left_ends() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let at = w.books.now();
    w.change_person(CLERK, |p| p.state = PersonState::Left { at })
        .await;
    w.control.tick(&w.org).await.unwrap();
    assert_eq!(ended(&w, &run).await, Some(RunEnd::SponsorLeft));
}

#[tokio::test]
async fn an_orphan_is_found_and_settled_when_somebody_answers_again() {
    let w = World::new().await;
    let at = w.books.now();
    w.change_person(SPONSOR, |p| p.state = PersonState::Left { at })
        .await;
    assert_eq!(
        w.control.tick(&w.org).await.unwrap().findings,
        2,
        "both agents"
    );
    assert_eq!(
        w.control.tick(&w.org).await.unwrap().findings,
        0,
        "seen already"
    );
    let checks = w.control.doctor(&w.caller(ADMIN)).await.unwrap();
    assert!(
        checks
            .iter()
            .any(|c| c.name.starts_with("finding ") && !c.ok && c.name.contains("orphan")),
        "{checks:#?}"
    );
    w.change_person(SPONSOR, |p| p.state = PersonState::Active)
        .await;
    assert_eq!(w.control.tick(&w.org).await.unwrap().findings, 2);
    assert!(w.control.open_findings(&w.org).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_outcome_makes_its_approval_ambiguous() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let (decision, _) = w
        .admit(&run, "status", json!({ "order": "A" }))
        .await
        .unwrap();
    assert_eq!(
        w.control.report_gaps(&w.org).await.unwrap(),
        0,
        "it may still come"
    );
    w.pass(181);
    assert_eq!(w.control.report_gaps(&w.org).await.unwrap(), 1);
    let open = w.control.open_findings(&w.org).await.unwrap();
    assert!(open.contains(&(FindingKind::UnreportedOutcome, decision.to_string())));
    assert!(
        w.books
            .store()
            .open_calls(&w.org, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn the_doctor_sees_people_who_may_and_names_what_to_do() {
    let w = World::new().await;
    for n in [CLERK, NOBODY, OWNER] {
        assert!(w.control.doctor(&w.caller(n)).await.is_err());
    }
    let checks = w.control.doctor(&w.caller(AUDITOR)).await.unwrap();
    assert!(
        checks.iter().all(|c| c.ok && c.fix.is_empty()),
        "{checks:#?}"
    );
    let operator = w
        .control
        .doctor(&w.control.operator().unwrap())
        .await
        .unwrap();
    assert_eq!(
        operator.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["store", "clock", "ledger"]
    );
    w.clock.set(w.books.now().plus_secs(-3_600));
    let checks = w.control.doctor(&w.caller(AUDITOR)).await.unwrap();
    assert!(
        checks
            .iter()
            .any(|c| c.name == "clock" && !c.ok && !c.fix.is_empty())
    );
}

#[tokio::test]
async fn a_run_is_ended_by_those_concerned_and_told_as_a_story() {
    let w = World::new().await;
    let (_, _, run, child) = w.chain().await;
    let (decision, _) = w
        .admit(&run, "status", json!({ "order": "SECRET-1" }))
        .await
        .unwrap();
    let story = w
        .control
        .run_story(&w.caller(NOBODY), &run.id)
        .await
        .unwrap();
    assert_eq!(story.without_outcome, [decision]);
    assert_eq!(story.chain.len(), 1);
    assert!(
        story
            .events
            .iter()
            .any(|e| e.text.starts_with("allow orders/status")),
        "{story:#?}"
    );
    assert!(!serde_json::to_string(&story).unwrap().contains("SECRET-1"));
    let whole = w
        .control
        .run_story(&w.caller(CLERK), &run.id)
        .await
        .unwrap();
    assert!(serde_json::to_string(&whole).unwrap().contains("SECRET-1"));

    let report = crate::RunReport {
        outcome: Some(RunOutcome::Corrected),
        ..Default::default()
    };
    let agent = id("agt", 1).parse().unwrap();
    assert!(
        w.control
            .end_run_of_agent(&w.org, &agent, &run.id, &report)
            .await
            .is_err(),
        "only a person says corrected"
    );
    assert!(
        w.control
            .end_run_of_agent(&w.org, &agent, &child.id, &Default::default())
            .await
            .is_err(),
        "not its own"
    );
    assert!(
        w.control
            .end_run(&w.caller(NOBODY), &run.id, &report)
            .await
            .is_err()
    );
    let over = w
        .control
        .end_run(&w.caller(CLERK), &run.id, &report)
        .await
        .unwrap();
    assert_eq!(
        (over.runs.len(), over.run.ended.unwrap().outcome),
        (2, Some(RunOutcome::Corrected))
    );
    assert!(
        w.control
            .end_run(&w.caller(CLERK), &run.id, &report)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn credentials_show_ages_and_what_is_wrong() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let token = w.token(&run).await;
    let seen = w
        .control
        .credentials(&w.caller(NOBODY), None)
        .await
        .unwrap();
    assert_eq!(
        (seen.keys[0].live_tokens, &seen.keys[0].findings[..]),
        (1, &[][..])
    );
    assert_eq!(
        (seen.tokens[0].id.as_str(), seen.tokens[0].expires_in),
        (token.id.as_str(), 300)
    );
    w.pass(91 * 86_400);
    let seen = w
        .control
        .credentials(&w.caller(NOBODY), Some(&"support".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(
        (&seen.keys[0].findings[..], seen.tokens.len()),
        (&["old", "unused"][..], 0)
    );
    let _ = CLERK;
}
