//! Suspending, resuming, retiring, and coming back from a kill.

use remit_domain::RefusalCode;
use remit_domain::agent::AgentState;
use remit_domain::event::EventKind;

use super::house::{House, code, key, name};

#[tokio::test]
async fn what_is_retired_never_returns() {
    let house = House::active().await;
    let bot = name("returns-bot");
    let before = house.epoch();
    let retired = house
        .control
        .retire_agent(&house.as_("owner"), &bot, "no longer needed")
        .await
        .unwrap();
    assert_eq!((retired.state, retired.keys), (AgentState::Retired, 0));
    assert!(house.epoch() > before);
    assert_eq!(house.entries(EventKind::AgentRetired).await, 1);
    assert_eq!(house.entries(EventKind::AgentKeyRemoved).await, 1);
    let again = house
        .control
        .agent(&house.admin(), &bot)
        .unwrap()
        .spec
        .unwrap();
    assert_eq!(
        code(
            house
                .control
                .put_agent(&house.admin(), &bot, again, None)
                .await
        ),
        RefusalCode::Conflict
    );
    assert_eq!(
        code(
            house
                .control
                .activate_agent(&house.as_("sponsor"), &bot)
                .await
        ),
        RefusalCode::Conflict
    );
    assert_eq!(
        code(
            house
                .control
                .resume_agent(&house.as_("sponsor"), &bot, "please")
                .await
        ),
        RefusalCode::Conflict
    );
    assert_eq!(
        code(house.control.add_key(&house.admin(), &bot, &key(20)).await),
        RefusalCode::Conflict
    );
    assert_eq!(
        code(
            house
                .control
                .suspend_agent(&house.admin(), &bot, "please")
                .await
        ),
        RefusalCode::Conflict
    );
}

#[tokio::test]
async fn suspending_is_for_those_who_answer_and_resuming_for_others() {
    let house = House::active().await;
    let bot = name("returns-bot");
    assert_eq!(
        code(
            house
                .control
                .suspend_agent(&house.as_("deputy"), &bot, "odd")
                .await
        ),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(
            house
                .control
                .suspend_agent(&house.as_("owner"), &bot, " ")
                .await
        ),
        RefusalCode::InvalidRequest
    );
    let suspended = house
        .control
        .suspend_agent(&house.as_("owner"), &bot, "odd")
        .await
        .unwrap();
    assert_eq!(suspended.state_reason.as_deref(), Some("odd"));
    assert_eq!(
        code(
            house
                .control
                .resume_agent(&house.as_("owner"), &bot, "fine")
                .await
        ),
        RefusalCode::Forbidden
    );
    assert_eq!(
        house
            .control
            .resume_agent(&house.as_("sponsor"), &bot, "fine")
            .await
            .unwrap()
            .state,
        AgentState::Active
    );
}

#[tokio::test]
async fn a_killed_agent_returns_only_with_new_keys_and_a_new_activation() {
    use remit_domain::containment::{Containment, Level, Target};
    let house = House::active().await;
    let (bot, id) = (name("returns-bot"), house.agent_id());
    house
        .control
        .suspend_agent(&house.admin(), &bot, "rogue")
        .await
        .unwrap();
    let kill = Containment {
        id: house
            .control
            .books()
            .id(remit_domain::ContainmentId::from_uuid),
        target: Target::Agent(id),
        level: Level::Kill,
        reason: "rogue".to_owned(),
        by: remit_domain::Principal::Remit,
        at: house.control.books().now(),
        confirmation: Default::default(),
        lifted: None,
        certificates: Vec::new(),
    };
    house
        .control
        .books()
        .commit(&house.org, remit_books::Change::new().create(&kill))
        .await
        .unwrap();
    let thumbprint = house.control.keys(&house.admin(), &bot).unwrap()[0]
        .thumbprint
        .clone();
    house
        .control
        .remove_key(&house.admin(), &bot, &thumbprint)
        .await
        .unwrap();
    assert_eq!(
        code(
            house
                .control
                .resume_agent(&house.as_("sponsor"), &bot, "please")
                .await
        ),
        RefusalCode::Conflict
    );
    let refused = house
        .control
        .activate_agent(&house.as_("sponsor"), &bot)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("key:"), "{refused}");
    house
        .control
        .add_key(&house.admin(), &bot, &key(30))
        .await
        .unwrap();
    house
        .control
        .activate_agent(&house.as_("sponsor"), &bot)
        .await
        .unwrap();
    let book = house.control.books().org(&house.org).unwrap();
    assert!(book.registry().containments.is_empty());
    assert!(book.registry().standing_agent(&house.agent_id()).is_ok());
}

#[tokio::test]
async fn a_quarantined_agent_is_lifted_not_activated_over() {
    use remit_domain::containment::{Containment, Level, Target};
    let house = House::active().await;
    let bot = name("returns-bot");
    house
        .control
        .suspend_agent(&house.admin(), &bot, "odd")
        .await
        .unwrap();
    let held = Containment {
        id: house
            .control
            .books()
            .id(remit_domain::ContainmentId::from_uuid),
        target: Target::Agent(house.agent_id()),
        level: Level::Quarantine,
        reason: "evidence".to_owned(),
        by: remit_domain::Principal::Remit,
        at: house.control.books().now(),
        confirmation: Default::default(),
        lifted: None,
        certificates: Vec::new(),
    };
    house
        .control
        .books()
        .commit(&house.org, remit_books::Change::new().create(&held))
        .await
        .unwrap();
    assert_eq!(
        code(
            house
                .control
                .activate_agent(&house.as_("sponsor"), &bot)
                .await
        ),
        RefusalCode::Contained
    );
    assert_eq!(
        code(
            house
                .control
                .resume_agent(&house.as_("sponsor"), &bot, "please")
                .await
        ),
        RefusalCode::Contained
    );
}
