//! No effect without a durable decision; every decision with its outcome; nothing sent twice.

use remit_books::Change;
use remit_domain::event::EventKind;
use remit_domain::upstream::{Injection, SecretRef};
use remit_domain::{RefusalCode, Upstream};
use remit_ports::upstreams::UpstreamError;
use remit_testkit::Script;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn an_allowed_call_is_recorded_then_sent_as_it_was_decided() {
    let world = World::new().await;
    let answer = world
        .call("order_status", json!({ "order": "A-118" }))
        .await
        .unwrap();
    assert_eq!(
        answer.result["_meta"]["dev.remit/decision"],
        json!(answer.decision)
    );
    assert_eq!(
        world.upstreams.reached(),
        [json!({ "name": "order_status", "arguments": { "order": "A-118" } })]
    );
    assert_eq!(
        world.recorded(EventKind::CallDecided, "outcome").await,
        ["allow"]
    );
    assert_eq!(
        world.recorded(EventKind::CallCompleted, "status").await,
        ["ok"]
    );
}

#[tokio::test]
async fn what_the_caller_says_of_itself_is_recorded_and_the_rest_is_unknown() {
    let world = World::new().await;
    world
        .call("order_status", json!({ "order": "A-118" }))
        .await
        .unwrap();
    let mut received = world.received("order_status", json!({ "order": "A-118" }));
    let said = json!({ "model": "model-7", "context": ["kb:12"] });
    let params = json!({ "name": "order_status", "arguments": {}, "_meta": { "dev.remit/provenance": said } });
    received.call.meta = remit_mcp::RequestMeta::read(params.as_object()).unwrap();
    world.gateway.tool_call(received).await.unwrap();
    let said = world.contents(EventKind::CallDecided, "provenance").await;
    let nothing = json!({ "model": "unknown", "prompt": "unknown", "configuration": "unknown", "context": "unknown" });
    let something = json!({ "model": "model-7", "prompt": "unknown", "configuration": "unknown", "context": ["kb:12"] });
    assert_eq!(said, [nothing, something]);
    assert_eq!(
        world.upstreams.reached()[1],
        json!({ "name": "order_status", "arguments": { "order": "A-118" } }),
        "it is for the record, not for the upstream"
    );
}

#[tokio::test]
async fn nothing_is_sent_when_the_record_cannot_be_made() {
    let world = World::new().await;
    world.store.fail_writes(true);
    assert_eq!(
        world
            .code("order_status", json!({ "order": "A-118" }))
            .await,
        RefusalCode::LedgerUnavailable
    );
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn nothing_is_decided_on_a_stale_snapshot() {
    let world = World::new().await;
    world.store.set_fresh(false);
    assert_eq!(
        world
            .code("order_status", json!({ "order": "A-118" }))
            .await,
        RefusalCode::SnapshotStale
    );
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn a_call_without_an_answer_is_ambiguous_and_keeps_what_it_reserved() {
    let world = World::new().await;
    for _ in 0..2 {
        world
            .upstreams
            .script(Script::Fail(UpstreamError::Ambiguous("gone".to_owned())));
        assert_eq!(
            world.code("note", json!({ "order": "A-118" })).await,
            RefusalCode::Ambiguous
        );
    }
    assert_eq!(
        world.code("note", json!({ "order": "A-118" })).await,
        RefusalCode::LimitExceeded
    );
    assert_eq!(world.upstreams.reached().len(), 2);
}

#[tokio::test]
async fn a_call_that_was_never_sent_costs_nothing() {
    let world = World::new().await;
    for _ in 0..4 {
        world
            .upstreams
            .script(Script::Fail(UpstreamError::Unreachable("down".to_owned())));
        assert_eq!(
            world.code("note", json!({ "order": "A-118" })).await,
            RefusalCode::UpstreamUnreachable
        );
        world.books.store().flush().await.unwrap();
    }
    assert!(
        world
            .call("note", json!({ "order": "A-118" }))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn fifty_calls_at_once_never_overshoot_a_limit() {
    let world = std::sync::Arc::new(World::new().await);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                world
                    .call("note", json!({ "order": "A-118" }))
                    .await
                    .is_ok()
            })
        })
        .collect();
    let mut passed = 0;
    for call in calls {
        passed += usize::from(call.await.unwrap());
    }
    assert_eq!(passed, 2);
    assert_eq!(world.upstreams.reached().len(), 2);
}

#[tokio::test]
async fn the_outcome_is_recorded_when_the_caller_leaves() {
    let world = World::new().await;
    world
        .upstreams
        .script(Script::Wait(json!({ "content": [] })));
    {
        let call = world.call("order_status", json!({ "order": "A-118" }));
        tokio::select! {
            _ = call => panic!("the call waits"),
            () = world.upstreams.arrived() => {}
        }
    }
    world.upstreams.let_go();
    while world.books.in_flight().count() > 0 {
        tokio::task::yield_now().await;
    }
    while world.recorded(EventKind::CallCompleted, "status").await != ["ok"] {
        tokio::task::yield_now().await;
    }
}

/// The broker asks for the secret as the organization whose call it is: a reference that got past registration gives nothing.
#[tokio::test]
async fn the_secret_of_another_organization_is_not_lent() {
    let world = World::new().await;
    for (variable, passes) in [
        ("REMIT_SECRET_GLOBEX__ORDERS", false),
        ("REMIT_SECRET_ACME__ORDERS", true),
    ] {
        let orders = world.books.get::<Upstream>(&world.org, "orders").await;
        let orders = orders.unwrap().unwrap();
        let secret = Some(Injection::Bearer(SecretRef::Env(variable.to_owned())));
        let change = Change::new().update(
            &Upstream {
                secret,
                ..orders.noun
            },
            orders.revision,
        );
        world.books.commit(&world.org, change).await.unwrap();
        let sent = world.upstreams.reached().len();
        let answer = world.call("order_status", json!({ "order": "A" })).await;
        if passes {
            answer.unwrap();
        } else {
            let code = answer.unwrap_err().refusal.code;
            assert_eq!(code, RefusalCode::CredentialUnavailable);
            assert_eq!(world.upstreams.reached().len(), sent);
        }
    }
}
