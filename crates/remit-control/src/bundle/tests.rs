//! Bundles: two people, nothing that does not compile, nothing lost, and always a way back.

use super::*;
use crate::fixture::{ADMIN, ADMIN_TOO, APPROVER, AUDITOR, NOBODY, OWNER, World};
use crate::spec::PolicySetSpec;
use crate::{NewException, Simulation, TestRun};
use remit_domain::RefusalCode;
use serde_json::json;

const ASKS: &str = "@id(\"asks\") @approvers(\"role:approver\") @text(\"refunds need an approver\")\n\
    forbid (principal, action == Action::\"orders/refund\", resource) unless { context.approved };";
const CAP: &str = "@id(\"cap\") @text(\"nobody refunds more than 50\")\n\
    forbid (principal, action == Action::\"orders/refund\", resource)\n\
    when { context.args has amount && context.args.amount.greaterThan(decimal(\"50.0\")) };";
const CASES: &str = "cases: [{ name: a large one is denied, tool: orders/refund, given: { args: { order: A, amount: 60 } }, expect: deny, by: [refunds/cap] }]";

fn code<T: std::fmt::Debug>(result: Result<T, ControlError>) -> RefusalCode {
    result.unwrap_err().code().unwrap()
}

fn new(text: &str, tests: &str) -> NewProposal {
    NewProposal {
        title: "a cap".to_owned(),
        sets: [("refunds".parse().unwrap(), text.to_owned())].into(),
        tests: [("refunds.test.yaml".to_owned(), tests.to_owned())].into(),
        source: None,
    }
}

async fn approved(w: &World, text: &str, tests: &str) -> ProposalView {
    let proposed = w
        .control
        .propose_policies(&w.caller(OWNER), new(text, tests))
        .await
        .unwrap();
    w.control
        .approve_proposal(&w.caller(ADMIN), &proposed.id, None)
        .await
        .unwrap()
}

/// Going back to what allows more: proposed by one administrator, approved and made live by another.
async fn gone_back(w: &World) -> StageView {
    let back = w.control.roll_back(&w.caller(ADMIN), None).await.unwrap();
    let id = back.proposal.unwrap().id;
    let other = w.caller(ADMIN_TOO);
    w.control.approve_proposal(&other, &id, None).await.unwrap();
    w.control.enforce_proposal(&other, &id).await.unwrap()
}

#[tokio::test]
async fn going_back_to_what_allows_more_takes_two_people_and_to_what_forbids_more_one() {
    let w = World::new().await;
    let admin = w.caller(ADMIN);
    let both = format!("{CAP}\n{ASKS}");
    let mut versions = Vec::new();
    for text in [both.as_str(), CAP] {
        let proposal = approved(&w, text, CASES).await;
        let stage = w
            .control
            .enforce_proposal(&admin, &proposal.id)
            .await
            .unwrap();
        versions.push(stage.live);
    }
    // From the cap alone back to cap and ask: nothing is allowed by it that is not now.
    let back = w.control.roll_back(&admin, None).await.unwrap();
    assert!(back.proposal.is_none());
    assert_eq!(back.stage.live, versions[0]);
    let live = w.control.policy_bundle(&admin, "live").await.unwrap();
    let last = live.accepted.last().unwrap();
    assert_eq!(last.how, "rolled_back");
    assert_eq!(last.replaces.as_ref(), Some(&versions[1]));
    let name = "p1@acme.example";
    assert_eq!((&*last.proposed_by, &*last.approved_by), (name, name));
    assert!(last.signature_is_valid);
    for said in [
        "accepted rolled_back".to_owned(),
        format!("replaces {}", versions[1]),
        format!("approved-by {}", crate::fixture::id("per", ADMIN)),
    ] {
        assert!(
            last.note.lines().any(|l| l == said),
            "{said}: {}",
            last.note
        );
    }
    // And forth again: the ask goes, so the administrator who wants it is not enough, whatever was accepted then.
    let forth = w
        .control
        .roll_back(&admin, Some(&versions[1]))
        .await
        .unwrap();
    assert_eq!(forth.stage.live, versions[0], "nothing has changed");
    let id = forth.proposal.unwrap().id;
    let alone = w.control.approve_proposal(&admin, &id, None).await;
    assert_eq!(code(alone), RefusalCode::Forbidden);
    let unapproved = w.control.enforce_proposal(&admin, &id).await;
    assert_eq!(code(unapproved), RefusalCode::Conflict);
    let other = w.caller(ADMIN_TOO);
    w.control.approve_proposal(&other, &id, None).await.unwrap();
    let stage = w.control.enforce_proposal(&admin, &id).await.unwrap();
    assert_eq!(stage.live, versions[1]);
}

#[tokio::test]
async fn a_pair_of_whom_one_enrolled_the_other_approves_no_bundle_in_either_direction() {
    for (puppet, master) in [(OWNER, ADMIN), (ADMIN, OWNER)] {
        let w = World::new().await;
        w.vouch(puppet, master).await;
        let proposed = w
            .control
            .propose_policies(&w.caller(OWNER), new(CAP, CASES))
            .await
            .unwrap();
        let admin = w.caller(ADMIN);
        let pair = w.control.approve_proposal(&admin, &proposed.id, None);
        assert_eq!(code(pair.await), RefusalCode::Forbidden);
        let other = w.caller(ADMIN_TOO);
        let other = w.control.approve_proposal(&other, &proposed.id, None);
        assert_eq!(other.await.unwrap().state, "approved");
    }
}

#[tokio::test]
async fn proposed_by_one_approved_by_another_then_live_signed_and_rolled_back() {
    let w = World::new().await;
    let admin = w.caller(ADMIN);
    let first = w.control.policy_stage(&admin).unwrap().live;
    let proposal = approved(&w, CAP, CASES).await;
    assert_eq!((proposal.state, &proposal.base), ("approved", &first));
    let stage = w
        .control
        .enforce_proposal(&admin, &proposal.id)
        .await
        .unwrap();
    assert_eq!(stage.live, proposal.bundle);
    let engine = w.books.org(&w.org).unwrap().engine().unwrap();
    assert_eq!(engine.bundle(), proposal.bundle);
    let live = w.control.policy_bundle(&admin, "live").await.unwrap();
    assert!(live.accepted[0].signature_is_valid && live.accepted[0].how == "reviewed");
    assert_ne!(live.accepted[0].proposed_by, live.accepted[0].approved_by);
    // What was live before bundles were kept has no bundle to go back to; what was accepted has.
    let second = approved(&w, &format!("{CAP}\n{ASKS}"), CASES).await;
    let stage = w
        .control
        .enforce_proposal(&admin, &second.id)
        .await
        .unwrap();
    assert_eq!(stage.before.as_ref(), Some(&proposal.bundle));
    let back = gone_back(&w).await;
    assert_eq!(back.live, proposal.bundle);
    let text = w
        .control
        .policy_set(&admin, &"refunds".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(text.spec.text, CAP);
    assert_eq!(
        code(w.control.roll_back(&w.caller(APPROVER), None).await),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(w.control.roll_back(&admin, Some(&"0".repeat(64))).await),
        RefusalCode::Conflict
    );
}

#[tokio::test]
async fn nobody_approves_their_own_and_nothing_unapproved_goes_live() {
    let w = World::new().await;
    let admin = w.caller(ADMIN);
    let own = w
        .control
        .propose_policies(&admin, new(CAP, CASES))
        .await
        .unwrap();
    let approve = w.control.approve_proposal(&admin, &own.id, None).await;
    assert_eq!(code(approve), RefusalCode::Forbidden);
    assert_eq!(
        code(w.control.enforce_proposal(&admin, &own.id).await),
        RefusalCode::Conflict
    );
    for n in [NOBODY, AUDITOR, OWNER] {
        let caller = w.caller(n);
        assert_eq!(
            code(w.control.approve_proposal(&caller, &own.id, None).await),
            RefusalCode::Forbidden
        );
        assert_eq!(
            code(w.control.enforce_proposal(&caller, &own.id).await),
            RefusalCode::Forbidden
        );
        assert_eq!(
            code(w.control.stage_proposal(&caller, &own.id).await),
            RefusalCode::Forbidden
        );
    }
    assert_eq!(
        code(
            w.control
                .propose_policies(&w.caller(NOBODY), new(CAP, CASES))
                .await
        ),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(
            w.control
                .propose_policies(&w.agent_caller(), new(CAP, CASES))
                .await
        ),
        RefusalCode::Forbidden
    );
    let broken = w
        .control
        .propose_policies(&admin, new("forbid (", CASES))
        .await;
    assert!(matches!(broken, Err(ControlError::Policy(_))));
    let rejected = w
        .control
        .reject_proposal(&admin, &own.id, Some("no".to_owned()))
        .await
        .unwrap();
    assert_eq!(rejected.state, "rejected");
    assert_eq!(
        code(
            w.control
                .approve_proposal(&w.caller(ADMIN), &own.id, None)
                .await
        ),
        RefusalCode::Conflict
    );
}

#[tokio::test]
async fn what_fails_its_tests_or_is_out_of_date_is_not_approved() {
    let w = World::new().await;
    let admin = w.caller(ADMIN);
    let failing = CASES.replace("expect: deny", "expect: allow");
    let proposed = w
        .control
        .propose_policies(&w.caller(OWNER), new(CAP, &failing))
        .await
        .unwrap();
    assert_eq!(proposed.report["tests_failed"], 1);
    assert_eq!(proposed.report["solver"], serde_json::Value::Null);
    assert!(
        proposed.report["claims"]
            .as_array()
            .unwrap()
            .iter()
            .all(|c| c["result"] == "unproved")
    );
    assert_eq!(
        code(w.control.approve_proposal(&admin, &proposed.id, None).await),
        RefusalCode::Conflict
    );
    let good = w
        .control
        .propose_policies(&w.caller(OWNER), new(CAP, CASES))
        .await
        .unwrap();
    let other = approved(&w, &format!("{CAP}\n{ASKS}"), CASES).await;
    w.control.enforce_proposal(&admin, &other.id).await.unwrap();
    assert_eq!(
        code(w.control.approve_proposal(&admin, &good.id, None).await),
        RefusalCode::Conflict
    );
}

#[tokio::test]
async fn one_administrator_tightens_and_does_not_loosen() {
    let w = World::new().await;
    let admin = w.caller(ADMIN);
    let name: Name = "refunds".parse().unwrap();
    let put = |text: String, enabled| {
        w.control
            .put_policy_set(&admin, &name, PolicySetSpec { text, enabled }, None)
    };
    let text = w.control.policy_set(&admin, &name).await.unwrap().spec.text;
    put(format!("{text}\n{CAP}"), true).await.unwrap();
    let live = w.control.policy_bundle(&admin, "live").await.unwrap();
    assert_eq!((live.state, live.accepted[0].how), ("live", "tightened"));
    assert_eq!(code(put(text.clone(), true).await), RefusalCode::Forbidden);
    assert_eq!(
        code(put(format!("{text}\n{CAP}"), false).await),
        RefusalCode::Forbidden
    );
    assert_eq!(code(put(String::new(), true).await), RefusalCode::Forbidden);
}

#[tokio::test]
async fn the_shadow_decides_nothing_and_is_taken_out_when_it_goes_live() {
    let w = World::new().await;
    let admin = w.caller(ADMIN);
    let proposal = approved(&w, CAP, CASES).await;
    let stage = w
        .control
        .stage_proposal(&admin, &proposal.id)
        .await
        .unwrap();
    assert_eq!(stage.shadow.as_ref(), Some(&proposal.bundle));
    let book = w.books.org(&w.org).unwrap();
    assert_eq!(book.shadow().unwrap().bundle, proposal.bundle);
    assert_ne!(book.engine().unwrap().bundle(), proposal.bundle);
    assert_eq!(w.control.shadow_report(&admin).await.unwrap().decisions, 0);
    let stage = w
        .control
        .enforce_proposal(&admin, &proposal.id)
        .await
        .unwrap();
    assert_eq!(stage.shadow, None);
    assert!(book.shadow().is_none());
    assert_eq!(
        code(w.control.shadow_report(&admin).await),
        RefusalCode::Conflict
    );
}

#[tokio::test]
async fn a_swap_under_load_loses_no_decision_and_mixes_none() {
    let w = std::sync::Arc::new(World::new().await);
    let (_, _, run, _) = w.chain().await;
    let one = approved(&w, CAP, CASES).await;
    let admin = w.caller(ADMIN);
    w.control.enforce_proposal(&admin, &one.id).await.unwrap();
    let two = approved(&w, &format!("{CAP}\n{ASKS}"), CASES).await;
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (w, run) = (w.clone(), run.clone());
            tokio::spawn(async move {
                let mut decided = Vec::new();
                for _ in 0..10 {
                    let args = json!({ "order": "A", "amount": 20 });
                    // A call that meets the moved epoch is decided again, as the gateway does.
                    loop {
                        if let Ok((id, decision)) = w.admit(&run, "refund", args.clone()).await {
                            decided.push((id, decision.outcome.as_str()));
                            break;
                        }
                    }
                    tokio::task::yield_now().await;
                }
                decided
            })
        })
        .collect();
    w.control.enforce_proposal(&admin, &two.id).await.unwrap();
    gone_back(&w).await;
    let mut all = Vec::new();
    for caller in callers {
        all.extend(caller.await.unwrap());
    }
    assert_eq!(all.len(), 40);
    for (id, outcome) in all {
        let found = w.control.decision(&w.caller(AUDITOR), &id).await.unwrap();
        let by = if outcome == "ask" {
            &two.bundle
        } else {
            &one.bundle
        };
        assert_eq!(found.facts["bundle"], json!(by), "{outcome}");
        assert!(
            w.control
                .replay(&w.caller(AUDITOR), &id)
                .await
                .unwrap()
                .same
        );
    }
}

#[tokio::test]
async fn a_simulation_reproduces_what_was_recorded_and_lists_exactly_what_flips() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let small = w
        .admit(&run, "refund", json!({ "order": "A", "amount": 5 }))
        .await
        .unwrap();
    let large = w
        .admit(&run, "refund", json!({ "order": "A", "amount": 500 }))
        .await
        .unwrap();
    w.admit(&run, "status", json!({ "order": "A" }))
        .await
        .unwrap();
    let auditor = w.caller(AUDITOR);
    let live = w
        .control
        .simulate(&auditor, Simulation::default())
        .await
        .unwrap();
    assert_eq!((live.decisions, live.reproduced, live.same), (3, 3, 3));
    assert!(live.is_live && live.flips.is_empty() && live.not_reproduced.is_empty());
    let asked = Simulation {
        sets: Some(new(CAP, CASES).sets),
        ..Simulation::default()
    };
    let other = w.control.simulate(&auditor, asked).await.unwrap();
    assert_eq!((other.reproduced, other.same), (3, 1));
    let flips: Vec<_> = other
        .flips
        .iter()
        .map(|f| (&f.decision, f.after.as_str()))
        .collect();
    assert!(
        flips.contains(&(&small.0, "allow")) && flips.contains(&(&large.0, "deny")),
        "{flips:?}"
    );
    assert!(
        other
            .flips
            .iter()
            .any(|f| f.because.iter().any(|b| b.contains("more than 50")))
    );
    assert_eq!(
        code(
            w.control
                .simulate(&w.caller(NOBODY), Simulation::default())
                .await
        ),
        RefusalCode::Forbidden
    );
}

#[tokio::test]
async fn tests_tell_what_they_cover() {
    let w = World::new().await;
    let run = TestRun {
        sets: Some(new(&format!("{CAP}\n{ASKS}"), CASES).sets),
        tests: Some(new(CAP, CASES).tests),
        ..TestRun::default()
    };
    let report = w
        .control
        .test_policies(&w.caller(NOBODY), run)
        .await
        .unwrap();
    assert!(report.passed);
    assert_eq!(report.coverage_percent, 50);
    let uncovered: Vec<_> = report.coverage.iter().filter(|c| c.cases == 0).collect();
    assert_eq!(uncovered[0].policy, "refunds/asks");
}

fn lift(policy: &str) -> NewException {
    NewException {
        policy: policy.to_owned(),
        agent: "support".parse().unwrap(),
        tool: None,
        secs: 3_600,
        reason: "the approvers are at a funeral".to_owned(),
    }
}

#[tokio::test]
async fn an_exception_takes_two_people_is_named_and_ends_by_itself() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let args = json!({ "order": "A", "amount": 5 });
    let asked = w
        .control
        .request_exception(&w.caller(OWNER), lift("refunds/asks"))
        .await
        .unwrap();
    let before = w.admit(&run, "refund", args.clone()).await.unwrap().1;
    assert_eq!(before.outcome.as_str(), "ask");
    for n in [OWNER, NOBODY, APPROVER] {
        let approve = w.control.approve_exception(&w.caller(n), &asked.id).await;
        assert_eq!(code(approve), RefusalCode::Forbidden);
    }
    w.control
        .approve_exception(&w.caller(ADMIN), &asked.id)
        .await
        .unwrap();
    let (id, during) = w.admit(&run, "refund", args.clone()).await.unwrap();
    assert_eq!(during.outcome.as_str(), "allow");
    assert_eq!(during.exceptions, [asked.id.to_string()]);
    assert!(
        w.control
            .replay(&w.caller(AUDITOR), &id)
            .await
            .unwrap()
            .same
    );
    let unrelated = w
        .admit(&run, "status", json!({ "order": "A" }))
        .await
        .unwrap()
        .1;
    assert!(unrelated.exceptions.is_empty());
    w.clock.advance(std::time::Duration::from_secs(3_600));
    assert_eq!(
        w.control
            .exception(&w.caller(NOBODY), &asked.id)
            .unwrap()
            .state,
        "expired"
    );
    let (_, _, run, _) = w.chain().await;
    let after = w.admit(&run, "refund", args).await.unwrap().1;
    assert_eq!(after.outcome.as_str(), "ask");
    assert!(after.exceptions.is_empty());
}

#[tokio::test]
async fn guardrails_have_no_exceptions_and_one_can_be_taken_back() {
    let w = World::new().await;
    for bad in [
        "guardrail/high-risk-asks",
        "guardrail/grant",
        "refunds/nothing",
    ] {
        let asked = w
            .control
            .request_exception(&w.caller(OWNER), lift(bad))
            .await;
        assert_eq!(code(asked), RefusalCode::InvalidRequest, "{bad}");
    }
    let own = w
        .control
        .request_exception(&w.caller(ADMIN), lift("refunds/asks"))
        .await
        .unwrap();
    assert_eq!(
        code(w.control.approve_exception(&w.caller(ADMIN), &own.id).await),
        RefusalCode::Forbidden
    );
    let revoked = w
        .control
        .revoke_exception(&w.caller(ADMIN), &own.id)
        .await
        .unwrap();
    assert_eq!(revoked.state, "revoked");
    assert_eq!(
        code(w.control.approve_exception(&w.caller(ADMIN), &own.id).await),
        RefusalCode::Conflict
    );
}
