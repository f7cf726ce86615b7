//! Workflows and the grants in them.

use remit_domain::event::EventKind;
use remit_domain::finding::FindingKind;
use remit_domain::{RefusalCode, Separation};
use serde_json::json;

use super::house::{House, code, wf};
use crate::Action;
use crate::spec::WorkflowSpec;

#[tokio::test]
async fn grants_come_and_go_as_events_and_one_without_an_end_is_a_finding() {
    let house = House::active().await;
    let refund = wf("returns-bot/refund");
    let now = house.control.workflow(&house.admin(), &refund).unwrap();
    let mut standing = now.spec.clone();
    standing
        .grants
        .push(serde_json::from_value(json!({ "tool": "orders/lookup" })).unwrap());
    let saved = house
        .control
        .put_workflow(
            &house.admin(),
            &refund,
            standing.clone(),
            Some(now.revision),
        )
        .await
        .unwrap();
    // The grant that did not change keeps its id.
    assert_eq!(saved.view.grant_ids[0], now.grant_ids[0]);
    assert_eq!(
        house.open_findings().await,
        [(
            FindingKind::StandingAccess,
            saved.view.grant_ids[1].to_string()
        )]
    );
    let again = house
        .control
        .put_workflow(&house.admin(), &refund, standing, None)
        .await
        .unwrap();
    assert_eq!(again.action, Action::None);
    let stale = house
        .control
        .put_workflow(
            &house.admin(),
            &refund,
            now.spec.clone(),
            Some(now.revision),
        )
        .await;
    assert_eq!(code(stale), RefusalCode::Conflict);
    let before = house.epoch();
    house
        .control
        .put_workflow(&house.admin(), &refund, now.spec, None)
        .await
        .unwrap();
    assert!(house.epoch() > before);
    assert!(house.open_findings().await.is_empty());
    assert_eq!(
        (
            house.entries(EventKind::GrantAdded).await,
            house.entries(EventKind::GrantRevoked).await
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn a_workflow_names_only_what_is_there_and_can_hold() {
    let house = House::new(Separation::Dual).await;
    let refund = wf("returns-bot/refund");
    let cases = [
        (
            json!({ "grants": [{ "tool": "orders/nothing" }] }),
            "orders/nothing",
        ),
        (
            json!({ "grants": [{ "tool": "orders/refund", "bounds": { "amount": [{ "integer": { "min": 5, "max": 1 } }] } }] }),
            "greater",
        ),
        (
            json!({ "grants": [{ "tool": "orders/refund", "bounds": { "amount": [{ "one_of": [] }] } }] }),
            "lists nothing",
        ),
        (
            json!({ "grants": [{ "tool": "orders/refund", "bounds": { "amount": [] } }] }),
            "1 to 16",
        ),
        (
            json!({ "grants": [{ "tool": "orders/refund", "expires": "2020-01-01T00:00:00Z" }] }),
            "expired",
        ),
        (json!({ "run_secs_max": 0 }), "run_secs_max"),
        (
            json!({ "run_idle_secs_max": 99_999_999 }),
            "run_idle_secs_max",
        ),
        (json!({ "spawnable": ["returns-bot/none"] }), "spawnable"),
    ];
    for (body, said) in cases {
        let spec: WorkflowSpec = serde_json::from_value(body).unwrap();
        let refused = house
            .control
            .put_workflow(&house.admin(), &refund, spec, None)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Some(RefusalCode::InvalidRequest));
        assert!(refused.to_string().contains(said), "{said}: {refused}");
    }
    assert_eq!(
        code(
            house
                .control
                .put_workflow(
                    &house.as_("owner"),
                    &refund,
                    serde_json::from_value(json!({})).unwrap(),
                    None
                )
                .await
        ),
        RefusalCode::Forbidden
    );
}
