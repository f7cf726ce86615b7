//! An approval lets exactly one call pass, the one it was given for, once.

use remit_books::Change;
use remit_domain::RefusalCode;
use remit_domain::approval::ApprovalState;
use remit_domain::event::EventKind;
use remit_domain::policy_set::PolicySet;
use remit_ports::upstreams::UpstreamError;
use remit_testkit::Script;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn an_approved_call_passes_once_and_then_asks_again() {
    let world = World::new().await;
    let args = json!({ "order": "A-118", "amount": 120 });
    let asked = world.call("refund", args.clone()).await.unwrap_err();
    assert_eq!(asked.refusal.code, RefusalCode::ApprovalRequired);
    assert!(
        asked
            .refusal
            .text
            .contains("refunds above 50 need an approver"),
        "{}",
        asked.refusal.text
    );
    assert_eq!(
        world.code("refund", args.clone()).await,
        RefusalCode::ApprovalPending
    );
    world.approve().await;
    assert!(world.call("refund", args.clone()).await.is_ok());
    assert_eq!(
        world.code("refund", args).await,
        RefusalCode::ApprovalRequired
    );
    assert_eq!(world.upstreams.reached().len(), 1);
    assert_eq!(
        world.recorded(EventKind::CallDecided, "consent").await,
        ["asked", "withheld", "given", "asked"]
    );
}

#[tokio::test]
async fn a_changed_argument_is_another_call() {
    let world = World::new().await;
    let _ = world
        .call("refund", json!({ "order": "A-118", "amount": 120 }))
        .await;
    world.approve().await;
    assert_eq!(
        world
            .code("refund", json!({ "order": "A-118", "amount": 121 }))
            .await,
        RefusalCode::ApprovalRequired
    );
    assert_eq!(
        world
            .code("refund", json!({ "order": "A-119", "amount": 120 }))
            .await,
        RefusalCode::ApprovalRequired
    );
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn two_calls_at_once_share_no_approval() {
    let world = World::new().await;
    let args = json!({ "order": "A-118", "amount": 120 });
    let _ = world.call("refund", args.clone()).await;
    world.approve().await;
    let (a, b) = tokio::join!(
        world.call("refund", args.clone()),
        world.call("refund", args)
    );
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
    assert_eq!(world.upstreams.reached().len(), 1);
}

#[tokio::test]
async fn an_approval_under_another_policy_is_stale() {
    let world = World::new().await;
    let args = json!({ "order": "A-118", "amount": 120 });
    let _ = world.call("refund", args.clone()).await;
    world.approve().await;
    let set = world
        .books
        .get::<PolicySet>(&world.org, "refunds")
        .await
        .unwrap()
        .unwrap();
    let text = set.noun.text.replace("role:approver", "role:admin");
    let change = Change::new()
        .update(&PolicySet { text, ..set.noun }, set.revision)
        .restrict();
    world.books.commit(&world.org, change).await.unwrap();
    assert_eq!(world.code("refund", args).await, RefusalCode::ApprovalStale);
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn an_approval_that_was_not_used_in_time_lets_nothing_pass() {
    let world = World::new().await;
    let args = json!({ "order": "A-118", "amount": 120 });
    let _ = world.call("refund", args.clone()).await;
    world.approve().await;
    for _ in 0..8 {
        world.clock.advance(std::time::Duration::from_secs(500));
        let _ = world
            .call("order_status", json!({ "order": "A-118" }))
            .await;
    }
    assert_eq!(
        world.code("refund", args).await,
        RefusalCode::ApprovalExpired
    );
}

#[tokio::test]
async fn an_approved_call_without_an_answer_is_never_sent_again() {
    let world = World::new().await;
    let args = json!({ "order": "A-118", "amount": 120 });
    let _ = world.call("refund", args.clone()).await;
    world.approve().await;
    world
        .upstreams
        .script(Script::Fail(UpstreamError::Ambiguous("gone".to_owned())));
    assert_eq!(
        world.code("refund", args.clone()).await,
        RefusalCode::Ambiguous
    );
    world.books.store().flush().await.unwrap();
    assert_eq!(world.approvals(ApprovalState::Ambiguous).await, 1);
    assert_eq!(world.code("refund", args).await, RefusalCode::Ambiguous);
    assert_eq!(world.upstreams.reached().len(), 1);
}

#[tokio::test]
async fn an_approved_call_that_was_never_sent_may_be_made_again() {
    let world = World::new().await;
    let args = json!({ "order": "A-118", "amount": 120 });
    let _ = world.call("refund", args.clone()).await;
    world.approve().await;
    world
        .upstreams
        .script(Script::Fail(UpstreamError::Unreachable("down".to_owned())));
    assert_eq!(
        world.code("refund", args.clone()).await,
        RefusalCode::UpstreamUnreachable
    );
    world.books.store().flush().await.unwrap();
    assert!(world.call("refund", args).await.is_ok());
}

/// An upstream that pays and then says that the credential was refused, its own or that of a server behind it, pays once.
#[tokio::test]
async fn an_upstreams_word_that_nothing_was_done_gives_no_approval_back() {
    let world = World::new().await;
    let args = json!({ "order": "A-118", "amount": 120 });
    let _ = world.call("refund", args.clone()).await;
    world.approve().await;
    let refused = UpstreamError::Unauthorized("HTTP 401".to_owned());
    world.upstreams.script(Script::Fail(refused));
    assert!(world.call("refund", args.clone()).await.is_err());
    world.books.store().flush().await.unwrap();
    assert_eq!(
        world.code("refund", args).await,
        RefusalCode::ApprovalRequired
    );
    assert_eq!(world.upstreams.reached().len(), 1);
}
