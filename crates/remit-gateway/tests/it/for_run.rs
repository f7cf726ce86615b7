//! An approval for the run lets as many calls pass as people said, with such arguments as they said, and no other.

use std::sync::Arc;
use std::time::Duration;

use remit_books::{Change, Ending};
use remit_domain::approval::{Approval, ApprovalState, RunTerms};
use remit_domain::event::EventKind;
use remit_domain::person::PersonState;
use remit_domain::policy_set::PolicySet;
use remit_domain::run::RunEnd;
use remit_domain::{ApprovalId, Person, Principal, RefusalCode, Tool, Workflow};
use remit_gateway::{Answer, Refused};
use remit_ports::upstreams::UpstreamError;
use remit_testkit::Script;
use serde_json::{Value, json};

use crate::world::{World, id, noun, tool};

const POLICY: &str = "@id(\"ask-reply\") @approvers(\"role:approver\") @standing @text(\"replies need an approver\")\n\
    forbid (principal, action == Action::\"orders/reply\", resource) unless { context.approved };\n\
    @id(\"large\") @approvers(\"role:admin\") @text(\"large ones need an administrator\")\n\
    forbid (principal, action == Action::\"orders/reply\", resource)\n\
    when { context.args has amount && context.args.amount.greaterThan(decimal(\"90.0\")) } unless { context.approved };";

/// A world with a tool that changes something, and a policy that lets people approve it for a run.
async fn world() -> World {
    let world = World::new().await;
    let key = id("wf", 1);
    let found = world.books.get::<Workflow>(&world.org, &key).await.unwrap();
    let mut found = found.unwrap();
    found.noun.grants.push(noun(json!({
        "id": id("grt", 9), "tool": "orders/reply", "bounds": {}, "limits": [], "expires": null,
        "autonomy": "tested", "granted_by": id("per", 1), "granted_at": "2026-11-01T00:00:00Z" })));
    let change = Change::new()
        .create(&tool("reply", json!({ "effect": "write" })))
        .update(&found.noun, found.revision)
        .create::<PolicySet>(&noun(
            json!({ "name": "replies", "enabled": true, "text": POLICY,
            "by": { "type": "person", "id": id("per", 1) }, "at": "2026-11-01T00:00:00Z" }),
        ))
        .restrict();
    world.books.commit(&world.org, change).await.unwrap();
    world
}

fn terms(count: u32) -> RunTerms {
    noun(
        json!({ "count": count, "secs": 1_800, "bounds": { "amount": [{ "decimal": { "min": 0, "max": 100 } }] } }),
    )
}

async fn reply(world: &World, amount: u32) -> Result<Answer, Refused> {
    let args = json!({ "order": "A-118", "amount": amount });
    world.call("reply", args).await
}

async fn code(world: &World, args: Value) -> RefusalCode {
    world.code("reply", args).await
}

/// One approval for the run, given for the call with amount 1.
async fn given(world: &World, count: u32) -> ApprovalId {
    let asked = reply(world, 1).await.unwrap_err();
    assert_eq!(asked.refusal.code, RefusalCode::ApprovalRequired);
    world.approve_with(Some(terms(count))).await
}

async fn state(world: &World, id: &ApprovalId) -> ApprovalState {
    let found = world.books.get::<Approval>(&world.org, id.as_str()).await;
    found.unwrap().unwrap().noun.state
}

#[tokio::test]
async fn it_lets_as_many_calls_pass_as_were_approved_and_then_asks() {
    let world = world().await;
    given(&world, 3).await;
    for amount in [1, 7, 7] {
        reply(&world, amount).await.unwrap();
    }
    for amount in [1, 7, 8] {
        let refused = reply(&world, amount).await.unwrap_err();
        assert_eq!(refused.refusal.code, RefusalCode::ApprovalRequired);
        assert!(refused.refusal.text.contains("are used up"), "{refused:?}");
    }
    assert_eq!(world.upstreams.reached().len(), 3);
    assert_eq!(
        world.recorded(EventKind::CallDecided, "consent").await,
        [
            "asked", "given", "given", "given", "asked", "asked", "asked"
        ]
    );
}

#[tokio::test]
async fn two_hundred_calls_at_once_never_exceed_the_count() {
    let world = Arc::new(world().await);
    given(&world, 5).await;
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { reply(&world, n % 80).await.is_ok() })
        })
        .collect();
    let mut passed = 0;
    for call in calls {
        passed += usize::from(call.await.unwrap());
    }
    assert_eq!(passed, 5);
    assert_eq!(world.upstreams.reached().len(), 5);
}

#[tokio::test]
async fn nothing_outside_of_what_was_approved_passes() {
    let world = world().await;
    given(&world, 50).await;
    for (args, why) in [
        (json!({ "order": "A-118", "amount": -1 }), "outside"),
        (json!({ "order": "A-118" }), "missing"),
        (json!({ "order": "A-119", "amount": 1 }), "order is not as"),
        // It looks the same to whoever reads it.
        (
            json!({ "order": "\u{410}-118", "amount": 1 }),
            "order is not as",
        ),
        (
            json!({ "order": "A-118\u{200b}", "amount": 1 }),
            "order is not as",
        ),
        // Within the bounds, but another policy asks for it, which lets nobody approve it for a run.
        (
            json!({ "order": "A-118", "amount": 95 }),
            "other policies ask",
        ),
    ] {
        let refused = world.call("reply", args.clone()).await.unwrap_err();
        assert_eq!(refused.refusal.code, RefusalCode::ApprovalRequired);
        assert!(refused.refusal.text.contains(why), "{args}: {refused:?}");
    }
    assert!(world.upstreams.reached().is_empty());
    reply(&world, 2).await.unwrap();
}

#[tokio::test]
async fn a_no_to_exactly_this_call_stands_against_it() {
    let world = world().await;
    let asked = reply(&world, 2).await.unwrap_err().approval.unwrap();
    let found = world
        .books
        .get::<Approval>(&world.org, asked.as_str())
        .await;
    let found = found.unwrap().unwrap();
    let no = Approval {
        state: ApprovalState::Denied,
        ..found.noun
    };
    let change = Change::new().update(&no, found.revision);
    world.books.commit(&world.org, change).await.unwrap();
    given(&world, 5).await;
    let args = json!({ "order": "A-118", "amount": 2 });
    assert_eq!(
        code(&world, args.clone()).await,
        RefusalCode::ApprovalDenied
    );
    reply(&world, 3).await.unwrap();
    // Nor when the no is old: then people are asked anew.
    let found = world
        .books
        .get::<Approval>(&world.org, asked.as_str())
        .await;
    let found = found.unwrap().unwrap();
    let old = Approval {
        expires: world.books.now(),
        ..found.noun.clone()
    };
    let change = Change::new().update(&old, found.revision);
    world.books.commit(&world.org, change).await.unwrap();
    assert_eq!(
        code(&world, args.clone()).await,
        RefusalCode::ApprovalRequired
    );
    assert_eq!(world.upstreams.reached().len(), 1);
}

/// A yes that was taken back is asked for anew, whatever else was said of the run.
#[tokio::test]
async fn a_yes_that_was_taken_back_is_not_had_by_the_one_for_the_run() {
    let world = world().await;
    let asked = reply(&world, 2).await.unwrap_err().approval.unwrap();
    let found = world
        .books
        .get::<Approval>(&world.org, asked.as_str())
        .await;
    let found = found.unwrap().unwrap();
    let withdrawn = Approval {
        state: ApprovalState::Withdrawn,
        ..found.noun
    };
    let change = Change::new().update(&withdrawn, found.revision);
    world.books.commit(&world.org, change).await.unwrap();
    given(&world, 5).await;
    let args = json!({ "order": "A-118", "amount": 2 });
    assert_eq!(code(&world, args).await, RefusalCode::ApprovalRequired);
    assert!(world.upstreams.reached().is_empty());
}

/// The call that got no answer may be this one: no other yes for the run repeats it.
#[tokio::test]
async fn a_doubt_about_one_is_a_doubt_about_all_of_them() {
    let world = world().await;
    given(&world, 2).await;
    let gone = UpstreamError::Ambiguous("gone".to_owned());
    world.upstreams.script(Script::Fail(gone));
    let args = json!({ "order": "A-118", "amount": 5 });
    assert_eq!(code(&world, args.clone()).await, RefusalCode::Ambiguous);
    world.books.store().flush().await.unwrap();
    // Another one, as broad.
    let asked = reply(&world, 6).await.unwrap_err();
    assert_eq!(asked.refusal.code, RefusalCode::ApprovalRequired);
    world.approve_with(Some(terms(5))).await;
    let sent = world.upstreams.reached().len();
    assert_eq!(code(&world, args).await, RefusalCode::ApprovalRequired);
    assert_eq!(world.upstreams.reached().len(), sent);
}

#[tokio::test]
async fn another_policy_and_another_definition_or_effect_end_it() {
    for what in ["policy", "definition", "effect"] {
        let world = world().await;
        given(&world, 5).await;
        let change = match what {
            "policy" => {
                let set = world.books.get::<PolicySet>(&world.org, "replies").await;
                let set = set.unwrap().unwrap();
                let text = set.noun.text.replacen("role:approver", "role:admin", 1);
                let next = PolicySet { text, ..set.noun };
                Change::new().update(&next, set.revision).restrict()
            }
            _ => {
                let found = world.books.get::<Tool>(&world.org, "orders/reply").await;
                let mut found = found.unwrap().unwrap();
                if what == "definition" {
                    found.noun.definition.hash = "ab".repeat(32);
                } else {
                    found.noun.classification = noun(json!({ "effect": "purchase" }));
                }
                Change::new().update(&found.noun, found.revision).restrict()
            }
        };
        world.books.commit(&world.org, change).await.unwrap();
        let args = json!({ "order": "A-118", "amount": 7 });
        let refused = code(&world, args).await;
        assert_eq!(refused, RefusalCode::ApprovalRequired, "{what}");
        assert!(world.upstreams.reached().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn time_the_run_and_who_approved_end_it() {
    let world = world().await;
    given(&world, 50).await;
    for _ in 0..4 {
        world.clock.advance(Duration::from_secs(450));
        let _ = world.call("order_status", json!({ "order": "A" })).await;
    }
    let late = code(&world, json!({ "order": "A-118", "amount": 7 })).await;
    assert_eq!(late, RefusalCode::ApprovalRequired);
    let shown = code(&world, json!({ "order": "A-118", "amount": 1 })).await;
    assert_eq!(shown, RefusalCode::ApprovalExpired);

    given(&world, 50).await;
    reply(&world, 6).await.unwrap();
    let key = world.approver.to_string();
    let found = world.books.get::<Person>(&world.org, &key).await.unwrap();
    let mut found = found.unwrap();
    found.noun.state = PersonState::Left {
        at: world.books.now(),
    };
    let change = Change::new().update(&found.noun, found.revision).restrict();
    world.books.commit(&world.org, change).await.unwrap();
    let refused = reply(&world, 8).await.unwrap_err();
    assert!(
        refused.refusal.text.contains("not here any more"),
        "{refused:?}"
    );

    let ending = Ending::because(Principal::Remit, RunEnd::Person);
    let ended = world.books.end_run(&world.org, &world.run.id, &ending);
    let ended = ended.await.unwrap();
    assert!(!ended.approvals.is_empty());
    assert_eq!(world.approvals(ApprovalState::Approved).await, 0);
    let over = code(&world, json!({ "order": "A-118", "amount": 7 })).await;
    assert_eq!(over, RefusalCode::RunEnded);
}

#[tokio::test]
async fn taken_back_it_lets_nothing_pass_that_was_decided_before() {
    let world = Arc::new(world().await);
    let id = given(&world, 100).await;
    let callers: Vec<_> = (0..40)
        .map(|n| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { reply(&world, n).await.is_ok() })
        })
        .collect();
    let found = world.books.get::<Approval>(&world.org, id.as_str()).await;
    let found = found.unwrap().unwrap();
    let next = found.noun.withdrawn().unwrap();
    let change = Change::new().update(&next, found.revision).restrict();
    world.books.commit(&world.org, change).await.unwrap();
    let before = world.recorded(EventKind::CallDecided, "consent").await;
    for caller in callers {
        caller.await.unwrap();
    }
    let given = |all: &[String]| all.iter().filter(|c| *c == "given").count();
    let after = world.recorded(EventKind::CallDecided, "consent").await;
    assert_eq!(
        given(&after),
        given(&before),
        "one was admitted after it was taken back"
    );
    assert_eq!(state(&world, &id).await, ApprovalState::Withdrawn);
    let again = code(&world, json!({ "order": "A-118", "amount": 1 })).await;
    assert!(matches!(
        again,
        RefusalCode::ApprovalRequired | RefusalCode::ApprovalPending
    ));
}

#[tokio::test]
async fn a_call_without_an_answer_ends_it_and_one_that_was_not_sent_costs_nothing() {
    let world = world().await;
    let id = given(&world, 2).await;
    let down = || Script::Fail(UpstreamError::Unreachable("down".to_owned()));
    for _ in 0..3 {
        world.upstreams.script(down());
        let args = json!({ "order": "A-118", "amount": 5 });
        assert_eq!(code(&world, args).await, RefusalCode::UpstreamUnreachable);
        world.books.store().flush().await.unwrap();
    }
    assert_eq!(state(&world, &id).await, ApprovalState::Approved);
    let gone = UpstreamError::Ambiguous("gone".to_owned());
    world.upstreams.script(Script::Fail(gone));
    let args = json!({ "order": "A-118", "amount": 5 });
    assert_eq!(code(&world, args.clone()).await, RefusalCode::Ambiguous);
    world.books.store().flush().await.unwrap();
    assert_eq!(state(&world, &id).await, ApprovalState::Ambiguous);
    // Nothing of it is sent again unless somebody says so, and they are told.
    let sent = world.upstreams.reached().len();
    let refused = world.call("reply", args).await.unwrap_err();
    assert_eq!(refused.refusal.code, RefusalCode::ApprovalRequired);
    assert!(
        refused.refusal.text.contains("got no answer"),
        "{refused:?}"
    );
    assert_eq!(world.upstreams.reached().len(), sent);
}
