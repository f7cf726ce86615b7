//! Attacks on containment: what slips in beside it, what claims to have stopped, who may contain and who may lift.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

mod busy;
mod calls;
mod everything;
mod file;
mod order;
mod quarantine;
mod race;
mod svid;
mod targets;

use super::*;
use crate::fixture::{
    ADMIN, ADMIN_TOO, APPROVER, AUDITOR, CLERK, NOBODY, OWNER, RESPONDER, SPONSOR, World, id, noun,
};
use remit_books::Change;
use remit_books::in_flight::{Departure, FlightGuard, Progress};
use remit_domain::agent::AgentState;
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::credential::{AgentKey, Token};
use remit_domain::delegation::{Delegation, DelegationState};
use remit_domain::event::EventKind;
use remit_domain::run::RunState;
use remit_domain::{Agent, DecisionId, Run};
use remit_ports::store::EntryFilter;
use serde_json::json;

fn agent_target() -> TargetName {
    noun(json!({ "type": "agent", "name": "support" }))
}

fn code<T: std::fmt::Debug>(result: Result<T, ControlError>) -> RefusalCode {
    result.unwrap_err().code().unwrap()
}

fn departure(w: &World, run: &Run, decision: &DecisionId) -> Departure {
    Departure {
        org: w.org.clone(),
        decision: decision.clone(),
        agent: run.agent.clone(),
        workflow: run.workflow.clone(),
        run: run.id.clone(),
        credential: id("crd", 1),
        tool: "orders/status".parse().unwrap(),
        definition: "ab".repeat(32),
    }
}

async fn get<N: remit_domain::Noun>(w: &World, key: &str) -> N {
    w.books.get::<N>(&w.org, key).await.unwrap().unwrap().noun
}

fn status<'a>(view: &'a ContainmentView, kind: &str) -> Vec<&'a ItemStatus> {
    let items = &view.certificate.as_ref().unwrap().certificate.items;
    items
        .iter()
        .filter(|i| i.kind == kind)
        .map(|i| &i.status)
        .collect()
}

fn is_stopped(status: &ItemStatus) -> bool {
    matches!(status, ItemStatus::Stopped { .. })
}

async fn contain(w: &World, level: Level) -> ContainmentView {
    w.control
        .contain(
            &w.caller(RESPONDER),
            &agent_target(),
            level,
            "it went wrong",
        )
        .await
        .unwrap()
}

#[tokio::test]
async fn who_may_contain_how_far() {
    let w = World::new().await;
    for (n, level, may) in [
        (NOBODY, Level::Suspend, false),
        (CLERK, Level::Suspend, false),
        (AUDITOR, Level::Suspend, false),
        (OWNER, Level::Quarantine, false),
        (SPONSOR, Level::Kill, false),
        (OWNER, Level::Suspend, true),
        (RESPONDER, Level::Quarantine, true),
        (ADMIN, Level::Kill, true),
    ] {
        let result = w
            .control
            .contain(&w.caller(n), &agent_target(), level, "test")
            .await;
        assert_eq!(result.is_ok(), may, "person {n} {level:?}");
    }
    assert_eq!(
        code(
            w.control
                .contain(&w.agent_caller(), &agent_target(), Level::Suspend, "x")
                .await
        ),
        RefusalCode::Forbidden
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case, told whole")]
async fn a_kill_stops_everything_derived_down_to_the_sub_agent() {
    let w = World::new().await;
    let (first, second, run, child) = w.chain().await;
    let tokens = [w.token(&run).await, w.token(&child).await];
    let asked = w.ask_approver(&child, 1).await;
    let used = w.ask_approver(&run, 1).await;
    w.control
        .approve(&w.caller(APPROVER), &used, None)
        .await
        .unwrap();
    let preview = w
        .control
        .preview_containment(&w.caller(RESPONDER), &agent_target(), Level::Kill)
        .await
        .unwrap();
    let of = |kind: &str| preview.items.iter().filter(|i| i.kind == kind).count();
    assert_eq!(
        (
            of("run"),
            of("token"),
            of("key"),
            of("delegation"),
            of("approval")
        ),
        (2, 2, 1, 2, 2)
    );

    let view = contain(&w, Level::Kill).await;
    let certificate = view.certificate.as_ref().unwrap();
    assert!(certificate.certificate.is_final, "{certificate:#?}");
    assert_eq!(
        (
            certificate.certificate.residual,
            certificate.bounded,
            certificate.not_proved
        ),
        (0, 0, 0)
    );
    assert_eq!(status(&view, "upstream_process").len(), 2);
    let how = format!("{:?}", status(&view, "run"));
    assert_eq!(how.matches("`run-ended`").count(), 2, "{how}");
    for run in [&run, &child] {
        assert!(matches!(
            get::<Run>(&w, run.id.as_str()).await.state,
            RunState::Ended { .. }
        ));
    }
    for token in &tokens {
        assert!(get::<Token>(&w, token.id.as_str()).await.revoked.is_some());
    }
    for delegation in [&first, &second] {
        assert!(matches!(
            get::<Delegation>(&w, delegation.id.as_str()).await.state,
            DelegationState::Revoked { .. }
        ));
    }
    for approval in [&asked, &used] {
        assert_eq!(
            get::<Approval>(&w, approval.as_str()).await.state,
            ApprovalState::Cancelled
        );
    }
    assert!(get::<AgentKey>(&w, "thumb-1").await.removed.is_some());
    assert_eq!(
        get::<Agent>(&w, &id("agt", 1)).await.state,
        AgentState::Suspended
    );
    assert_eq!(
        get::<Agent>(&w, &id("agt", 2)).await.state,
        AgentState::Active,
        "the sub-agent itself did nothing"
    );
    let lifted = w
        .control
        .lift_containment(&w.caller(ADMIN), &view.id, "please")
        .await;
    assert_eq!(code(lifted), RefusalCode::Conflict);
}

#[tokio::test]
async fn a_suspension_holds_everything_and_lifting_restores_no_token() {
    let w = World::new().await;
    let (first, _, run, child) = w.chain().await;
    let token = w.token(&run).await;
    let asked = w.ask_approver(&run, 1).await;
    let view = contain(&w, Level::Suspend).await;
    assert!(
        view.certificate.as_ref().unwrap().certificate.is_final,
        "{view:#?}"
    );
    let book = w.books.org(&w.org).unwrap();
    for run in [&run, &child] {
        assert_eq!(
            get::<Run>(&w, run.id.as_str()).await.state,
            RunState::Suspended
        );
        let refused = book
            .registry()
            .standing(&run.id, w.books.now())
            .unwrap_err();
        assert_eq!(refused.code, RefusalCode::Contained);
    }
    assert_eq!(
        get::<Delegation>(&w, first.id.as_str()).await.state,
        DelegationState::Active,
        "kept, and dead meanwhile"
    );
    assert!(get::<AgentKey>(&w, "thumb-1").await.removed.is_none());
    let late = w.token(&run).await;

    let back = w
        .control
        .lift_containment(&w.caller(RESPONDER), &view.id, "all clear")
        .await
        .unwrap();
    assert_eq!(
        (back.runs.len(), back.agent_state, back.containment.state),
        (2, Some("active"), "lifted")
    );
    assert!(book.registry().standing(&child.id, w.books.now()).is_ok());
    for token in [&token, &late] {
        assert!(
            get::<Token>(&w, token.id.as_str()).await.revoked.is_some(),
            "no token comes back"
        );
    }
    assert_eq!(
        get::<Approval>(&w, asked.as_str()).await.state,
        ApprovalState::Cancelled
    );
    assert_eq!(
        code(
            w.control
                .lift_containment(&w.caller(RESPONDER), &view.id, "again")
                .await
        ),
        RefusalCode::Conflict
    );
}

#[tokio::test]
async fn who_contained_their_own_agent_does_not_lift_it() {
    let w = World::new().await;
    let view = w
        .control
        .contain(&w.caller(OWNER), &agent_target(), Level::Suspend, "mine")
        .await
        .unwrap();
    for n in [OWNER, SPONSOR, CLERK, NOBODY] {
        assert_eq!(
            code(
                w.control
                    .lift_containment(&w.caller(n), &view.id, "x")
                    .await
            ),
            RefusalCode::Forbidden
        );
    }
    assert!(
        w.control
            .containment(&w.caller(OWNER), &view.id)
            .await
            .is_ok()
    );
    assert_eq!(
        code(w.control.containment(&w.caller(NOBODY), &view.id).await),
        RefusalCode::Forbidden
    );
}

#[tokio::test]
async fn lifting_one_of_two_containments_frees_nothing_the_other_holds() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let suspended = contain(&w, Level::Suspend).await;
    let quarantined = contain(&w, Level::Quarantine).await;
    assert_eq!(
        get::<Agent>(&w, &id("agt", 1)).await.state,
        AgentState::Quarantined
    );
    assert_eq!(
        code(
            w.control
                .contain(&w.caller(RESPONDER), &agent_target(), Level::Suspend, "x")
                .await
        ),
        RefusalCode::Conflict
    );
    let back = w
        .control
        .lift_containment(&w.caller(RESPONDER), &quarantined.id, "less")
        .await
        .unwrap();
    assert_eq!((back.runs.len(), back.agent_state), (0, Some("suspended")));
    assert_eq!(
        get::<Run>(&w, run.id.as_str()).await.state,
        RunState::Suspended
    );
    let back = w
        .control
        .lift_containment(&w.caller(RESPONDER), &suspended.id, "clear")
        .await
        .unwrap();
    assert_eq!((back.runs.len(), back.agent_state), (2, Some("active")));
}

#[tokio::test]
async fn lifting_wakes_no_agent_that_a_person_had_suspended() {
    let w = World::new().await;
    let found = w
        .books
        .get::<Agent>(&w.org, &id("agt", 1))
        .await
        .unwrap()
        .unwrap();
    let suspended = found
        .noun
        .transition(AgentState::Suspended, Some("on leave".to_owned()))
        .unwrap();
    w.books
        .commit(&w.org, Change::new().update(&suspended, found.revision))
        .await
        .unwrap();
    for level in [Level::Suspend, Level::Quarantine] {
        let view = contain(&w, level).await;
        let back = w
            .control
            .lift_containment(&w.caller(RESPONDER), &view.id, "clear")
            .await
            .unwrap();
        assert_eq!(back.agent_state, Some("suspended"), "{level:?}");
    }
}

#[tokio::test]
async fn lifting_after_the_deadline_ends_the_runs() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let view = contain(&w, Level::Suspend).await;
    w.pass(7_201);
    let back = w
        .control
        .lift_containment(&w.caller(RESPONDER), &view.id, "clear")
        .await
        .unwrap();
    assert_eq!((back.runs.len(), back.ended.len()), (0, 2));
    assert!(matches!(
        get::<Run>(&w, run.id.as_str()).await.state,
        RunState::Ended { .. }
    ));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case, told whole")]
async fn a_workflow_a_run_and_a_credential_are_contained_by_themselves() {
    let w = World::new().await;
    let (_, second, run, child) = w.chain().await;
    let other = w.start(1, None, Vec::new(), None).await;
    let (token, kept) = (w.token(&run).await, w.token(&other).await);
    let by = w.caller(RESPONDER);
    let target = |kind: &str, id: &str| noun::<TargetName>(json!({ "type": kind, "id": id }));

    let one = w
        .control
        .contain(
            &by,
            &target("credential", token.id.as_str()),
            Level::Kill,
            "leaked",
        )
        .await
        .unwrap();
    assert_eq!(status(&one, "token").len(), 1);
    assert!(get::<Token>(&w, token.id.as_str()).await.revoked.is_some());
    assert!(get::<Token>(&w, kept.id.as_str()).await.revoked.is_none());
    assert_eq!(
        get::<Run>(&w, run.id.as_str()).await.state,
        RunState::Active
    );

    w.control
        .contain(&by, &target("run", run.id.as_str()), Level::Kill, "odd")
        .await
        .unwrap();
    assert!(
        matches!(
            get::<Run>(&w, child.id.as_str()).await.state,
            RunState::Ended { .. }
        ),
        "children end with it"
    );
    assert!(matches!(
        get::<Delegation>(&w, second.id.as_str()).await.state,
        DelegationState::Revoked { .. }
    ));
    assert_eq!(
        get::<Run>(&w, other.id.as_str()).await.state,
        RunState::Active
    );

    let name: TargetName = noun(json!({ "type": "workflow", "name": "support/refund" }));
    w.control
        .contain(&by, &name, Level::Suspend, "odd")
        .await
        .unwrap();
    assert_eq!(
        get::<Run>(&w, other.id.as_str()).await.state,
        RunState::Suspended
    );
    assert_eq!(
        get::<Agent>(&w, &id("agt", 1)).await.state,
        AgentState::Active
    );

    let key = w
        .control
        .contain(&by, &target("credential", "thumb-1"), Level::Kill, "leaked")
        .await
        .unwrap();
    assert!(status(&key, "key").into_iter().all(is_stopped));
    assert!(get::<AgentKey>(&w, "thumb-1").await.removed.is_some());
    assert_eq!(
        code(
            w.control
                .contain(&by, &target("run", "run_x"), Level::Kill, "x")
                .await
        ),
        RefusalCode::NotFound
    );
    assert_eq!(
        code(
            w.control
                .contain(&by, &noun(json!({ "type": "run" })), Level::Kill, "x")
                .await
        ),
        RefusalCode::InvalidRequest
    );
}

#[tokio::test]
async fn a_token_is_bounded_where_something_else_than_the_gateway_believes_it() {
    let w = World::new().await;
    let found = w
        .books
        .get::<Agent>(&w.org, &id("agt", 1))
        .await
        .unwrap()
        .unwrap();
    let mut agent = found.noun;
    agent.profile.enforcement = remit_domain::agent::Enforcement::External;
    w.books
        .commit(&w.org, Change::new().update(&agent, found.revision))
        .await
        .unwrap();
    let run = w.start(1, None, Vec::new(), None).await;
    let token = w.token(&run).await;
    let view = contain(&w, Level::Kill).await;
    let first = view.certificate.unwrap();
    assert_eq!(
        (
            first.certificate.residual,
            first.bounded,
            first.certificate.is_final
        ),
        (1, 1, false)
    );
    assert_eq!(first.last_bound, Some(token.expires));
    w.pass(299);
    assert_eq!(w.control.finalize_due(&w.org).await.unwrap(), 0);
    w.pass(1);
    assert_eq!(w.control.finalize_due(&w.org).await.unwrap(), 1);
    let last = w
        .control
        .containment(&w.caller(ADMIN), &view.id)
        .await
        .unwrap()
        .certificate
        .unwrap();
    assert_eq!(
        (last.certificate.residual, last.certificate.is_final),
        (0, true)
    );
}

#[tokio::test]
async fn a_containment_whose_node_died_before_its_certificate_gets_one() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    w.token(&run).await;
    let agent = id("agt", 1).parse().unwrap();
    let what = (Target::Agent(id("agt", 1).parse().unwrap()), Level::Kill);
    let containment = Containment::new(
        w.books.id(ContainmentId::from_uuid),
        what,
        "r",
        w.caller(RESPONDER).principal,
        w.books.now(),
    );
    let order = Order {
        containment: &containment,
        agent: Some(&agent),
        waited: None,
    };
    w.control
        .stop_all(&w.org, order, &Change::new())
        .await
        .unwrap();
    assert_eq!(
        w.control.finalize_due(&w.org).await.unwrap(),
        0,
        "its node may still be at it"
    );
    w.pass(31);
    assert_eq!(w.control.finalize_due(&w.org).await.unwrap(), 1);
    let view = w
        .control
        .containment(&w.caller(ADMIN), &containment.id)
        .await
        .unwrap();
    assert_eq!(
        (status(&view, "run").len(), status(&view, "token").len()),
        (2, 1)
    );
}

#[tokio::test]
async fn nothing_is_contained_when_it_cannot_be_recorded() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let epoch = w.books.org(&w.org).unwrap().epoch();
    w.store.fail_writes(true);
    assert!(
        w.control
            .contain(&w.caller(RESPONDER), &agent_target(), Level::Kill, "x")
            .await
            .is_err()
    );
    w.store.fail_writes(false);
    assert_eq!(w.books.org(&w.org).unwrap().epoch(), epoch);
    assert_eq!(
        get::<Run>(&w, run.id.as_str()).await.state,
        RunState::Active
    );
    assert!(w.processes.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_is_contained_lends_nothing_to_a_chain_through_them() {
    let w = World::new().await;
    let (first, second, _, _) = w.chain().await;
    contain(&w, Level::Suspend).await;
    // The helper opens a run of its own with the chain it was given before.
    let run = w
        .start(2, Some(CLERK), vec![first.id, second.id], None)
        .await;
    let book = w.books.org(&w.org).unwrap();
    let refused = book
        .registry()
        .standing(&run.id, w.books.now())
        .unwrap_err();
    assert_eq!(refused.code, RefusalCode::Contained);
}
