//! Every other way to be told no, each with its own reason and recorded.

use remit_domain::RefusalCode;
use remit_domain::event::EventKind;
use remit_gateway::{Action, Endpoint};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn default_deny_covers_what_is_not_granted_and_what_is_not_there() {
    let world = World::new().await;
    assert_eq!(
        world.code("cancel", json!({ "order": "A" })).await,
        RefusalCode::Denied
    );
    assert_eq!(
        world.code("nothing", json!({})).await,
        RefusalCode::ToolUnknown
    );
    assert_eq!(
        world.code("mcp.resources.read", json!({})).await,
        RefusalCode::ToolUnknown
    );
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn arguments_outside_bounds_or_schema_are_refused_with_the_reason() {
    let world = World::new().await;
    let over = world
        .call("refund", json!({ "order": "A", "amount": 501 }))
        .await
        .unwrap_err();
    assert_eq!(over.refusal.code, RefusalCode::Denied);
    assert!(
        over.refusal.text.contains("amount"),
        "{}",
        over.refusal.text
    );
    assert_eq!(
        world
            .code("refund", json!({ "order": "A", "amount": "50" }))
            .await,
        RefusalCode::ArgumentsInvalid
    );
    assert_eq!(
        world
            .code("refund", json!({ "order": "A", "amount": 5, "extra": 1 }))
            .await,
        RefusalCode::ArgumentsInvalid
    );
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn a_bad_token_is_refused_and_recorded() {
    let world = World::new().await;
    let mut received = world.received("order_status", json!({ "order": "A" }));
    received.presented = remit_gateway::Presented::bearer("another");
    let refused = world.gateway.tool_call(received).await.unwrap_err();
    assert_eq!(refused.refusal.code, RefusalCode::Unauthenticated);
    assert_eq!(
        world
            .recorded(EventKind::AuthenticationRefused, "code")
            .await,
        ["unauthenticated"]
    );
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_fill_the_ledger() {
    let world = World::new().await;
    for _ in 0..500 {
        let _ = world.call("nothing", json!({})).await;
    }
    let one_by_one = world.recorded(EventKind::CallRefused, "code").await.len();
    assert!(one_by_one < 300, "{one_by_one}");
    world.gateway.record_counted_refusals().await.unwrap();
    assert_eq!(
        world.recorded(EventKind::RefusalsCounted, "code").await,
        ["tool-unknown"]
    );
}

#[tokio::test]
async fn a_foreign_request_state_is_refused() {
    let world = World::new().await;
    let mut received = world.received("order_status", json!({ "order": "A" }));
    received.call.request_state = Some("b3RoZXI".to_owned());
    assert_eq!(
        world
            .gateway
            .tool_call(received)
            .await
            .unwrap_err()
            .refusal
            .code,
        RefusalCode::InvalidRequest
    );
}

#[tokio::test]
async fn other_methods_are_decided_like_tools_and_need_one_upstream() {
    let world = World::new().await;
    for (endpoint, code) in [
        (Endpoint::All, RefusalCode::UnknownMethod),
        (
            Endpoint::One("orders".parse().unwrap()),
            RefusalCode::ToolUnknown,
        ),
    ] {
        let mut received = world.received("", json!({}));
        received.endpoint = endpoint;
        received.action = Action::Complete;
        assert_eq!(
            world
                .gateway
                .tool_call(received)
                .await
                .unwrap_err()
                .refusal
                .code,
            code
        );
    }
    assert!(world.upstreams.reached().is_empty());
}
