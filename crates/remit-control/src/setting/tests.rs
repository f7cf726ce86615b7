//! Who may set what, and what a setting changes of decisions that were recorded before it.

use remit_domain::RefusalCode;
use serde_json::json;

use super::*;
use crate::fixture::{ADMIN, APPROVER, AUDITOR, CLERK, OWNER, RESPONDER, World, noun};

fn spec(value: serde_json::Value) -> SettingSpec {
    noun(json!({ "value": value, "reason": "test" }))
}

#[tokio::test]
async fn only_administrators_write_settings_and_never_their_own() {
    let w = World::new().await;
    let name: SettingName = "organization".parse().unwrap();
    for who in [OWNER, RESPONDER, APPROVER, AUDITOR, CLERK] {
        let caller = w.caller(who);
        let refused = w
            .control
            .put_setting(&caller, &name, spec(json!("allow")), None);
        assert_eq!(
            refused.await.unwrap_err().code(),
            Some(RefusalCode::Forbidden),
            "{who}"
        );
    }
    let agent = w.agent_caller();
    let refused = w
        .control
        .put_setting(&agent, &name, spec(json!("allow")), None);
    assert_eq!(
        refused.await.unwrap_err().code(),
        Some(RefusalCode::Forbidden)
    );
    let admin = w.caller(ADMIN);
    let own = format!("person:{}", admin.person().unwrap().email);
    for own in [own.clone(), format!("{own}/tool:orders/status")] {
        let own: SettingName = own.parse().unwrap();
        let refused = w
            .control
            .put_setting(&admin, &own, spec(json!("allow")), None);
        assert_eq!(
            refused.await.unwrap_err().code(),
            Some(RefusalCode::Forbidden)
        );
    }
    let made = w
        .control
        .put_setting(&admin, &name, spec(json!("flag")), None)
        .await
        .unwrap();
    assert_eq!(made.view.revision, 1);
    let same = w
        .control
        .put_setting(&admin, &name, spec(json!("flag")), None)
        .await
        .unwrap();
    assert_eq!(same.action, crate::Action::None);
    let late = w
        .control
        .put_setting(&admin, &name, spec(json!("deny")), Some(7));
    assert_eq!(late.await.unwrap_err().code(), Some(RefusalCode::Conflict));
}

#[tokio::test]
async fn a_decision_is_replayed_by_the_settings_it_was_made_by() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let args = || json!({ "order": "A" });
    let (before, _) = w.admit(&run, "status", args()).await.unwrap();
    let admin = w.caller(ADMIN);
    let name: SettingName = "tool:orders/status".parse().unwrap();
    w.control
        .put_setting(&admin, &name, spec(json!("deny")), None)
        .await
        .unwrap();
    let (denied, _) = w.admit(&run, "status", args()).await.unwrap();
    w.control.remove_setting(&admin, &name).await.unwrap();
    for (id, outcome) in [(before, "allow"), (denied, "deny")] {
        let replay = w.control.replay(&w.caller(AUDITOR), &id).await.unwrap();
        assert!(replay.same, "{replay:#?}");
        assert_eq!(replay.recorded.outcome.as_str(), outcome);
    }
    let query = SettingQuery {
        tool: "orders/status".to_owned(),
        ..SettingQuery::default()
    };
    let now = w.control.explain_settings(&admin, &query).unwrap();
    assert_eq!((now.outcome, now.settings.len()), ("none", 0));
}
