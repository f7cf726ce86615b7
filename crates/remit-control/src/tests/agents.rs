//! Registering, completing and activating agents, and their keys.

use remit_domain::agent::{AgentState, Tier};
use remit_domain::finding::FindingKind;
use remit_domain::{RefusalCode, Separation};
use serde_json::json;

use super::house::{House, code, email, key, name, wf};
use crate::spec::AgentSpec;
use crate::{Action, Transfer};

pub(super) fn spec(house: &House) -> AgentSpec {
    house
        .control
        .agent(&house.admin(), &name("returns-bot"))
        .unwrap()
        .spec
        .unwrap()
}

#[tokio::test]
async fn activation_says_everything_that_is_missing() {
    let house = House::empty(Separation::Dual).await;
    house.apply(super::house::PEOPLE).await;
    let bare: AgentSpec = serde_json::from_value(json!({
        "owner": "owner@acme.example", "sponsor": "sponsor@acme.example", "environment": "test", "tier": 1
    }))
    .unwrap();
    house
        .control
        .put_agent(&house.as_("owner"), &name("bare"), bare, None)
        .await
        .unwrap();
    let found = house
        .control
        .completeness(&house.as_("deputy"), &name("bare"))
        .unwrap();
    assert!(!found.complete);
    let missing = found.missing.join("\n");
    for field in [
        "purpose",
        "business_process",
        "model",
        "provider",
        "runtime",
        "systems",
        "responsible_team",
        "platform_team",
        "key",
        "workflow",
    ] {
        assert!(
            missing.contains(&format!("{field}:")),
            "{field} in {missing}"
        );
    }
    let refused = house
        .control
        .activate_agent(&house.as_("sponsor"), &name("bare"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(RefusalCode::Conflict));
    assert!(refused.to_string().contains("purpose"), "{refused}");
}

#[tokio::test]
async fn an_unclassified_tool_keeps_an_agent_a_draft() {
    let house = House::new(Separation::Dual).await;
    house
        .control
        .disable_tool(&house.admin(), &"orders/refund".parse().unwrap(), "why not")
        .await
        .unwrap();
    let refused = house
        .control
        .activate_agent(&house.as_("sponsor"), &name("returns-bot"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("orders/refund: is disabled"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_owner_does_not_activate_their_own_agent() {
    let house = House::new(Separation::Dual).await;
    let bot = name("returns-bot");
    assert_eq!(
        code(
            house
                .control
                .activate_agent(&house.as_("owner"), &bot)
                .await
        ),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(
            house
                .control
                .activate_agent(&house.as_("deputy"), &bot)
                .await
        ),
        RefusalCode::Forbidden
    );
    // Nor when they are an administrator and its sponsor as well.
    let transfer = Transfer {
        owner: Some(email("admin")),
        ..Transfer::default()
    };
    house
        .control
        .transfer_agent(&house.admin(), &bot, transfer)
        .await
        .unwrap();
    assert_eq!(
        code(house.control.activate_agent(&house.admin(), &bot).await),
        RefusalCode::Forbidden
    );
    let transfer = Transfer {
        owner: Some(email("owner")),
        ..Transfer::default()
    };
    house
        .control
        .transfer_agent(&house.admin(), &bot, transfer)
        .await
        .unwrap();
    let active = house
        .control
        .activate_agent(&house.as_("sponsor"), &bot)
        .await
        .unwrap();
    assert_eq!(active.state, AgentState::Active);
    assert!(active.spec.unwrap().next_review.is_some());
    assert!(house.open_findings().await.is_empty());
    assert_eq!(
        code(
            house
                .control
                .activate_agent(&house.as_("sponsor"), &bot)
                .await
        ),
        RefusalCode::Conflict
    );
}

#[tokio::test]
async fn in_single_an_owner_may_and_it_stays_a_finding() {
    let house = House::new(Separation::Single).await;
    let bot = name("returns-bot");
    house
        .control
        .activate_agent(&house.as_("owner"), &bot)
        .await
        .unwrap();
    let open = house.open_findings().await;
    assert_eq!(
        open,
        [(FindingKind::SelfActivated, house.agent_id().to_string())]
    );
}

#[tokio::test]
async fn whoever_self_activated_does_not_close_the_finding() {
    let house = House::new(Separation::Single).await;
    let bot = name("returns-bot");
    let transfer = Transfer {
        owner: Some(email("admin")),
        ..Transfer::default()
    };
    house
        .control
        .transfer_agent(&house.admin(), &bot, transfer)
        .await
        .unwrap();
    house
        .control
        .activate_agent(&house.admin(), &bot)
        .await
        .unwrap();
    let found = house
        .control
        .findings(&house.admin(), &Default::default())
        .await
        .unwrap();
    let refused = house
        .control
        .close_finding(&house.admin(), &found.items[0].id, "it is fine")
        .await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
}

#[tokio::test]
async fn an_owner_does_not_give_their_active_agent_more() {
    let house = House::active().await;
    let bot = name("returns-bot");
    let mut wider = spec(&house);
    wider.tier = Tier::try_from(4).unwrap();
    assert_eq!(
        code(
            house
                .control
                .put_agent(&house.as_("owner"), &bot, wider.clone(), None)
                .await
        ),
        RefusalCode::Forbidden
    );
    let mut described = spec(&house);
    described.purpose = "answers returns, politely".to_owned();
    described.tier = Tier::try_from(2).unwrap();
    let saved = house
        .control
        .put_agent(&house.as_("owner"), &bot, described, None)
        .await
        .unwrap();
    assert_eq!(saved.action, Action::Update);
    // An administrator who owns it may not either, on grants as little as on the tier.
    let transfer = Transfer {
        owner: Some(email("admin")),
        ..Transfer::default()
    };
    house
        .control
        .transfer_agent(&house.admin(), &bot, transfer)
        .await
        .unwrap();
    wider.owner = email("admin");
    assert_eq!(
        code(
            house
                .control
                .put_agent(&house.admin(), &bot, wider, None)
                .await
        ),
        RefusalCode::Forbidden
    );
    let mut workflow = house
        .control
        .workflow(&house.admin(), &wf("returns-bot/refund"))
        .unwrap()
        .spec;
    workflow.grants[0].expires = None;
    let refused = house
        .control
        .put_workflow(&house.admin(), &wf("returns-bot/refund"), workflow, None)
        .await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
}

#[tokio::test]
async fn a_developer_registers_only_what_they_own() {
    let house = House::new(Separation::Dual).await;
    let mut other = spec(&house);
    other.owner = email("deputy");
    assert_eq!(
        code(
            house
                .control
                .put_agent(&house.as_("owner"), &name("b"), other, None)
                .await
        ),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(
            house
                .control
                .put_agent(&house.as_("sponsor"), &name("b"), spec(&house), None)
                .await
        ),
        RefusalCode::Forbidden
    );
    let mut unknown = spec(&house);
    unknown.sponsor = email("nobody");
    let refused = house
        .control
        .put_agent(&house.admin(), &name("b"), unknown, None)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("`sponsor`")
            && refused.to_string().contains("nobody@acme.example"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_key_belongs_to_one_agent_for_ever() {
    let house = House::new(Separation::Dual).await;
    let (bot, other) = (name("returns-bot"), name("other-bot"));
    house
        .control
        .put_agent(&house.admin(), &other, spec(&house), None)
        .await
        .unwrap();
    assert_eq!(
        code(house.control.add_key(&house.admin(), &other, &key(7)).await),
        RefusalCode::Conflict
    );
    let thumbprint = house.control.keys(&house.admin(), &bot).unwrap()[0]
        .thumbprint
        .clone();
    assert_eq!(
        house.open_findings().await,
        [(FindingKind::SharedKey, thumbprint.clone())]
    );
    // Removed, and still nobody's: not another's, not its own.
    let before = house.epoch();
    let removed = house
        .control
        .remove_key(&house.admin(), &bot, &thumbprint)
        .await
        .unwrap();
    assert_eq!(removed.state, "removed");
    assert!(house.epoch() > before);
    assert_eq!(
        code(house.control.add_key(&house.admin(), &other, &key(7)).await),
        RefusalCode::Conflict
    );
    assert_eq!(
        code(house.control.add_key(&house.admin(), &bot, &key(7)).await),
        RefusalCode::Conflict
    );
    assert_eq!(
        code(
            house
                .control
                .remove_key(&house.admin(), &bot, &thumbprint)
                .await
        ),
        RefusalCode::Conflict
    );
    // Another agent's key is not found under this one's name.
    house
        .control
        .add_key(&house.admin(), &other, &key(8))
        .await
        .unwrap();
    let others = house.control.keys(&house.admin(), &other).unwrap()[0]
        .thumbprint
        .clone();
    assert_eq!(
        code(
            house
                .control
                .remove_key(&house.admin(), &bot, &others)
                .await
        ),
        RefusalCode::NotFound
    );
    assert_eq!(
        code(
            house
                .control
                .add_key(&house.as_("sponsor"), &other, &key(9))
                .await
        ),
        RefusalCode::Forbidden
    );
}

#[tokio::test]
async fn keys_are_few_and_public() {
    let house = House::new(Separation::Dual).await;
    let bot = name("returns-bot");
    for seed in 10..13 {
        house
            .control
            .add_key(&house.as_("owner"), &bot, &key(seed))
            .await
            .unwrap();
    }
    assert_eq!(
        code(
            house
                .control
                .add_key(&house.as_("owner"), &bot, &key(13))
                .await
        ),
        RefusalCode::Conflict
    );
    let mut private = key(14);
    if let Some(jwk) = &mut private.jwk {
        jwk["d"] = json!("AAAA");
    }
    assert_eq!(
        code(
            house
                .control
                .add_key(&house.as_("owner"), &bot, &private)
                .await
        ),
        RefusalCode::InvalidRequest
    );
    assert_eq!(
        code(
            house
                .control
                .add_key(&house.as_("owner"), &bot, &Default::default())
                .await
        ),
        RefusalCode::InvalidRequest
    );
}

/// An administrator who makes up the owner, or whom the owner made up, is nobody else for the owner's agent.
#[tokio::test]
async fn whoever_created_the_owner_does_not_activate_their_agent() {
    let house = House::new(Separation::Dual).await;
    let bot = name("returns-bot");
    // The administrator created the owner.
    let refused = house
        .control
        .activate_agent(&house.admin(), &bot)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(RefusalCode::Forbidden));
    let text = refused.to_string();
    assert!(
        text.contains("you created or enrolled owner@acme.example")
            && text.contains("ask somebody"),
        "{text}"
    );
    // The other way round: the administrator owns it, and lets the sponsor whom they created activate it.
    let transfer = Transfer {
        owner: Some(email("admin")),
        ..Transfer::default()
    };
    house
        .control
        .transfer_agent(&house.admin(), &bot, transfer)
        .await
        .unwrap();
    let sponsor = house.as_("sponsor");
    let puppet = house.control.activate_agent(&sponsor, &bot);
    assert_eq!(code(puppet.await), RefusalCode::Forbidden);
}

/// In `dual` an administrator gives neither themselves nor whoever created them anything, by whichever member of a person.
#[tokio::test]
async fn nobody_gives_themselves_a_team_or_a_report_nor_their_master_a_role() {
    let house = House::new(Separation::Dual).await;
    let control = &house.control;
    let spec = |who: &str| control.person(&house.admin(), &email(who)).unwrap().spec;
    let put = async |by: &str, who: &str, spec| {
        let by = house.as_(by);
        control.put_person(&by, &email(who), spec, None).await
    };
    // A team approves where a policy names it, and a manager where it says so.
    let mut own = spec("admin");
    own.teams.insert(name("support"));
    assert_eq!(
        code(put("admin", "admin", own).await),
        RefusalCode::Forbidden
    );
    let mut report = spec("sponsor");
    report.manager = Some(email("admin"));
    assert_eq!(
        code(put("admin", "sponsor", report).await),
        RefusalCode::Forbidden
    );
    // A puppet gives its master what the master may not take.
    let mut puppet = spec("deputy");
    puppet.roles.insert(remit_domain::Role::Admin);
    put("admin", "deputy", puppet).await.unwrap();
    let mut master = spec("admin");
    master.roles.insert(remit_domain::Role::Approver);
    assert_eq!(
        code(put("deputy", "admin", master).await),
        RefusalCode::Forbidden
    );
}

#[tokio::test]
async fn nobody_makes_themselves_the_sponsor_of_an_agent_that_acts() {
    let house = House::active().await;
    let transfer = Transfer {
        sponsor: Some(email("admin")),
        ..Transfer::default()
    };
    let bot = name("returns-bot");
    let admin = house.admin();
    let taken = house.control.transfer_agent(&admin, &bot, transfer).await;
    assert_eq!(code(taken), RefusalCode::Forbidden);
    let mut profile = spec(&house);
    profile.sponsor = email("admin");
    let put = house.control.put_agent(&admin, &bot, profile, None).await;
    assert_eq!(code(put.map(|saved| saved.action)), RefusalCode::Forbidden);
}
