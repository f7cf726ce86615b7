//! Attacks on who may approve, first; then what has to work.

use super::*;
use proptest::prelude::*;
use remit_domain::{Kind, Noun, Role};
use serde_json::{Value, json};

fn id(prefix: &str, n: u128) -> String {
    let person = PersonId::from_uuid(uuid::Uuid::from_u128(n));
    person.as_str().replacen("per", prefix, 1)
}

fn person(n: u128, roles: &[&str], created_by: Option<u128>) -> Value {
    json!({
        "id": id("per", n), "email": format!("p{n}@acme.example"), "display_name": "P", "teams": [], "roles": roles,
        "entitlements": [], "manager": null, "created_by": created_by.map(|n| id("per", n)), "state": "active"
    })
}

fn agent(owner: u128, sponsor: u128) -> Value {
    json!({
        "id": id("agt", 1), "name": "orders", "owner": id("per", owner), "sponsor": id("per", sponsor), "deputy": null,
        "responsible_team": null, "platform_team": null, "purpose": "p", "business_process": "", "model": "",
        "provider": "", "runtime": "", "environment": "production", "data_classes": [], "systems": [],
        "expected_actions": [], "tier": 3, "review_cadence_days": 90, "next_review": null, "enforcement": "gateway",
        "registered_by": id("per", owner), "state": "active", "state_reason": null
    })
}

fn tool(effect: &str) -> Value {
    json!({
        "tool": "shop/refund", "definition": { "hash": "h", "body": {} }, "pending": null,
        "classification": { "effect": effect }, "state": "enabled"
    })
}

fn registry(people: &[Value], effect: &str) -> Registry {
    let mut registry = Registry::default();
    for p in people {
        let key = p["id"].as_str().unwrap();
        registry.apply(Kind::Person, key, 1, p).unwrap();
    }
    registry
        .apply(Kind::Agent, &id("agt", 1), 1, &agent(1, 2))
        .unwrap();
    registry
        .apply(Kind::Tool, "shop/refund", 1, &tool(effect))
        .unwrap();
    registry
}

fn approval(requester: Option<u128>, asks: Value) -> Approval {
    serde_json::from_value(json!({
        "id": id("apr", 1), "digest": "d", "decision": id("dec", 1), "agent": id("agt", 1), "workflow": id("wf", 1),
        "run": id("run", 1), "person": requester.map(|n| id("per", n)), "tool": "shop/refund", "definition_hash": "h",
        "args": {}, "asks": asks, "reasons": [], "requested": "2026-11-22T08:00:00Z",
        "expires": "2026-11-22T09:00:00Z", "verdicts": [], "state": "pending"
    }))
    .unwrap()
}

fn ask(policy: &str, approvers: Value, quorum: u8, waives: bool) -> Value {
    json!({ "policy": policy, "approvers": approvers, "quorum": quorum, "standing": false, "waives_four_eyes": waives })
}

/// When it was asked.
fn now() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

fn at(registry: &Registry, n: u128) -> std::sync::Arc<Person> {
    registry.people[&id("per", n).parse::<PersonId>().unwrap()].clone()
}

#[test]
fn nobody_approves_what_is_done_for_themselves() {
    let r = registry(&[person(1, &["approver"], None)], "purchase");
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 1, false)]),
    );
    assert!(
        counts_for(&r, &a, &at(&r, 1), now())
            .unwrap_err()
            .contains("acts for you")
    );
}

#[test]
fn a_waiver_counts_only_for_mild_effects_and_only_when_every_ask_waives() {
    let people = [person(1, &["approver"], None)];
    let waived = ask("x", json!([{ "role": "approver" }]), 1, true);
    let strict = ask("y", json!([{ "role": "approver" }]), 1, false);
    for (effect, asks, may) in [
        ("draft", json!([waived]), true),
        ("read", json!([waived]), true),
        ("write", json!([waived]), false),
        ("purchase", json!([waived]), false),
        ("draft", json!([waived, strict]), false),
    ] {
        let r = registry(&people, effect);
        let a = approval(Some(1), asks);
        assert_eq!(
            counts_for(&r, &a, &at(&r, 1), now()).is_ok(),
            may,
            "{effect}"
        );
    }
}

#[test]
fn an_external_read_is_not_mild() {
    let mut r = registry(&[person(1, &["approver"], None)], "read");
    let mut external = tool("read");
    external["classification"]["external"] = json!(true);
    r.apply(Kind::Tool, "shop/refund", 2, &external).unwrap();
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 1, true)]),
    );
    assert!(four_eyes_apply(&r, &a));
}

#[test]
fn a_puppet_of_the_requester_does_not_approve_nor_does_a_puppet_of_a_puppet() {
    let people = [
        person(1, &["admin"], None),
        person(2, &["approver"], Some(1)),
        person(3, &["approver"], Some(2)),
    ];
    let r = registry(&people, "purchase");
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 1, false)]),
    );
    for puppet in [2, 3] {
        assert!(
            counts_for(&r, &a, &at(&r, puppet), now())
                .unwrap_err()
                .contains("created or enrolled"),
            "{puppet}"
        );
    }
}

#[test]
fn who_created_the_requester_does_not_approve_nor_whom_the_requester_created_but_somebody_else_does()
 {
    let people = [
        person(1, &["admin", "approver"], None),
        person(2, &[], Some(1)),
        person(3, &["approver"], Some(1)),
    ];
    let r = registry(&people, "purchase");
    let a = approval(
        Some(2),
        json!([ask("x", json!([{ "role": "approver" }]), 1, false)]),
    );
    // 1 made person 2 up, let them ask, and would now answer.
    assert!(
        counts_for(&r, &a, &at(&r, 1), now())
            .unwrap_err()
            .contains("you created or enrolled p2@acme.example")
    );
    assert!(counts_for(&r, &a, &at(&r, 3), now()).is_ok());
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 1, false)]),
    );
    assert!(counts_for(&r, &a, &at(&r, 3), now()).is_err());
}

#[test]
fn a_ring_of_creators_is_not_walked_for_ever() {
    let people = [
        person(1, &[], Some(2)),
        person(2, &["approver"], Some(3)),
        person(3, &["approver"], Some(2)),
    ];
    let r = registry(&people, "purchase");
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 1, false)]),
    );
    assert!(counts_for(&r, &a, &at(&r, 2), now()).is_err());
}

#[test]
fn one_person_never_fills_a_quorum_of_two() {
    let people = [
        person(1, &[], None),
        person(2, &["approver"], None),
        person(3, &["approver"], None),
    ];
    let r = registry(&people, "purchase");
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 2, false)]),
    );
    let (two, three) = (at(&r, 2), at(&r, 3));
    assert!(!satisfied(&r, &a, &[&two.id], now()));
    assert!(!satisfied(&r, &a, &[&two.id, &two.id], now()));
    assert!(satisfied(&r, &a, &[&two.id, &three.id], now()));
}

#[test]
fn somebody_and_their_puppet_never_fill_a_quorum_of_two() {
    let people = [
        person(1, &[], None),
        person(2, &["approver"], None),
        person(3, &["approver"], Some(2)),
        person(4, &["approver"], Some(2)),
    ];
    let r = registry(&people, "purchase");
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 2, false)]),
    );
    let (two, three, four) = (at(&r, 2), at(&r, 3), at(&r, 4));
    assert!(!satisfied(&r, &a, &[&two.id, &three.id], now()));
    assert!(satisfied(&r, &a, &[&two.id, &three.id, &four.id], now()));
}

#[test]
fn who_made_the_link_that_the_requester_used_does_not_approve() {
    let mut enrolled = person(1, &[], None);
    enrolled["vouched_by"] = json!({ id("per", 2): { "first": "2026-11-22T08:00:00Z", "last": "2026-11-22T08:00:00Z" } });
    let people = [
        enrolled,
        person(2, &["approver"], None),
        person(3, &["approver"], None),
    ];
    let r = registry(&people, "purchase");
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 1, false)]),
    );
    assert!(counts_for(&r, &a, &at(&r, 2), now()).is_err());
    assert!(counts_for(&r, &a, &at(&r, 3), now()).is_ok());
}

#[test]
fn a_quorum_of_none_still_needs_somebody() {
    let people = [person(2, &["approver"], None)];
    let r = registry(&people, "purchase");
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 0, false)]),
    );
    assert!(!satisfied(&r, &a, &[], now()));
    assert!(!satisfied(
        &r,
        &approval(Some(1), json!([])),
        &[&at(&r, 2).id],
        now()
    ));
}

#[test]
fn a_yes_of_someone_who_left_no_longer_counts() {
    let mut r = registry(
        &[person(1, &[], None), person(2, &["approver"], None)],
        "purchase",
    );
    let a = approval(
        Some(1),
        json!([ask("x", json!([{ "role": "approver" }]), 1, false)]),
    );
    let two = at(&r, 2);
    assert!(satisfied(&r, &a, &[&two.id], now()));
    let mut left = person(2, &["approver"], None);
    left["state"] = json!("left");
    left["at"] = json!("2026-11-22T08:00:00Z");
    r.apply(Kind::Person, two.id.as_str(), 2, &left).unwrap();
    assert!(!satisfied(&r, &a, &[&two.id], now()));
    assert!(!may_deny(&r, &a, &at(&r, 2), now()));
}

#[test]
fn every_sort_of_approver_is_found() {
    let mut manager = person(1, &[], None);
    manager["manager"] = json!(id("per", 4));
    let mut member = person(5, &[], None);
    member["teams"] = json!([id("tm", 1)]);
    let people = [
        manager,
        person(2, &[], None),
        person(3, &["approver"], None),
        person(4, &[], None),
        member,
        person(6, &[], None),
    ];
    let mut r = registry(&people, "purchase");
    r.apply(
        Kind::Team,
        &id("tm", 1),
        1,
        &json!({ "id": id("tm", 1), "name": "finance" }),
    )
    .unwrap();
    for (approvers, n) in [
        (json!(["sponsor"]), 2),
        (json!([{ "role": "approver" }]), 3),
        (json!(["manager"]), 4),
        (json!([{ "team": "finance" }]), 5),
        (json!([{ "person": "p6@acme.example" }]), 6),
    ] {
        let a = approval(Some(1), json!([ask("x", approvers.clone(), 1, false)]));
        let found: Vec<_> = super::approvers(&r, &a, now())
            .iter()
            .map(|p| p.key())
            .collect();
        assert_eq!(found, [id("per", n)], "{approvers}");
    }
    let a = approval(Some(1), json!([ask("x", json!(["owner"]), 1, false)]));
    assert!(
        super::approvers(&r, &a, now()).is_empty(),
        "the owner is the requester here"
    );
    assert!(may_deny(&r, &a, &at(&r, 1), now()), "but may say no");
    assert!(!may_deny(&r, &a, &at(&r, 6), now()));
}

proptest! {
    /// Whoever is created, however deep, and whatever roles are held: nobody in the requester's own line approves.
    #[test]
    fn nobody_in_the_requesters_line_approves(creators in prop::collection::vec(0usize..8, 8), roles in prop::collection::vec(0usize..6, 9)) {
        let mut people = vec![person(100, &["approver"], None)];
        for (n, creator) in creators.iter().enumerate() {
            // Number 0 is the requester; every other is created by someone with a lower number.
            let by = if *creator > n { 100 } else { 100 + *creator as u128 };
            let role = Role::ALL[roles[n]].as_str();
            people.push(person(101 + n as u128, &[role, "approver"], Some(by)));
        }
        let r = registry(&people, "write");
        let a = approval(Some(100), json!([ask("x", json!([{ "role": "approver" }]), 1, true)]));
        prop_assert!(super::approvers(&r, &a, now()).is_empty());
    }
}
