//! Settings, limits, freezes, tickets and the breaker, on the way of a call; each rule with what tries to get round it.

use std::time::Duration;

use remit_books::Change;
use remit_domain::breaker::Breaker;
use remit_domain::event::EventKind;
use remit_domain::finding::Finding;
use remit_domain::freeze::Freeze;
use remit_domain::limit::Limit;
use remit_domain::policy_set::PolicySet;
use remit_domain::setting::Setting;
use remit_domain::ticket::Ticket;
use remit_domain::{Noun, RefusalCode};
use remit_ports::store::Filter;
use remit_ports::upstreams::UpstreamError;
use remit_testkit::Script;
use serde_json::{Value, json};

use crate::world::World;

const BY: &str = "2026-11-22T07:00:00Z";

async fn put<N: Noun>(world: &World, noun: Value) {
    let noun: N = serde_json::from_value(noun).unwrap();
    let there = world.books.get::<N>(&world.org, &noun.key()).await.unwrap();
    let change = match there {
        None => Change::new().create(&noun),
        Some(there) => Change::new().update(&noun, there.revision),
    };
    world
        .books
        .commit(&world.org, change.restrict())
        .await
        .unwrap();
}

async fn setting(world: &World, scope: Value, value: Value, locked: bool) {
    let setting = json!({
        "scope": scope, "value": value, "locked": locked, "reason": "test", "enabled": true,
        "by": { "type": "remit" }, "at": BY,
    });
    put::<Setting>(world, setting).await;
}

fn organization() -> Value {
    json!({ "level": "organization" })
}

fn tool(name: &str) -> Value {
    json!({ "level": "tool", "tool": format!("orders/{name}") })
}

async fn limit(world: &World, quota: Value, tool: Option<&str>) {
    let mut limit = json!({
        "over": "day", "per": "sponsor", "reason": "test", "enabled": true, "by_whom": { "type": "remit" }, "at": BY,
        "which": { "agent": null, "workflow": null, "tool": tool.map(|t| format!("orders/{t}")), "person": null, "mode": null, "effects": [] },
    });
    limit
        .as_object_mut()
        .unwrap()
        .extend(quota.as_object().unwrap().clone());
    put::<Limit>(world, limit).await;
}

async fn policy(world: &World, text: &str) {
    let set = json!({ "name": "more", "enabled": true, "by": { "type": "remit" }, "at": BY, "text": text });
    put::<PolicySet>(world, set).await;
}

async fn status(world: &World) -> Result<(), remit_domain::Refusal> {
    let answer = world.call("order_status", json!({ "order": "A" })).await;
    answer.map(|_| ()).map_err(|refused| refused.refusal)
}

#[tokio::test]
async fn a_setting_denies_and_its_reason_names_it() {
    let world = World::new().await;
    setting(&world, organization(), json!("deny"), false).await;
    let refused = status(&world).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::Denied);
    assert!(
        refused
            .text
            .contains("setting organization (level organization)"),
        "{}",
        refused.text
    );
    assert!(world.upstreams.reached().is_empty());
    let narrower = json!({ "level": "tool", "tool": "orders/order_status" });
    setting(&world, narrower, json!("allow"), false).await;
    status(&world).await.unwrap();
}

#[tokio::test]
async fn an_allow_permits_nothing_and_lifts_nothing_that_is_locked() {
    let world = World::new().await;
    // Not granted: no setting makes it so.
    setting(&world, tool("cancel"), json!("allow"), true).await;
    assert_eq!(
        world.code("cancel", json!({ "order": "A" })).await,
        RefusalCode::Denied
    );
    setting(&world, organization(), json!("deny"), true).await;
    setting(&world, tool("order_status"), json!("allow"), true).await;
    assert_eq!(status(&world).await.unwrap_err().code, RefusalCode::Denied);
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn a_flag_lets_through_and_opens_one_finding() {
    let world = World::new().await;
    setting(&world, tool("order_status"), json!("flag"), false).await;
    for _ in 0..3 {
        status(&world).await.unwrap();
    }
    let (findings, _) = world
        .books
        .list::<Finding>(&world.org, &Filter::default())
        .await
        .unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].noun.kind.as_str(), "flagged");
    assert_eq!(
        world.recorded(EventKind::FindingOpened, "kind").await,
        ["flagged"]
    );
    let decided = world.facts(EventKind::CallDecided).await;
    assert!(
        decided
            .iter()
            .all(|f| f["flagged"] == json!(["tool:orders/order_status"])),
        "{decided:?}"
    );
}

#[tokio::test]
async fn what_is_masked_is_masked_before_it_is_sent_and_before_it_is_seen() {
    let world = World::new().await;
    let transform = json!({ "transform": { "args": { "order": "mask" }, "result": { "customer.iban": "redact" } } });
    setting(&world, tool("order_status"), transform, false).await;
    let data = json!({ "customer": { "iban": "DE02", "name": "Ann" } });
    world.upstreams.script(Script::Answer(json!({
        "content": [{ "type": "text", "text": "IBAN DE02" }], "structuredContent": data,
    })));
    let answer = world
        .call("order_status", json!({ "order": "A-118" }))
        .await
        .unwrap();
    assert_eq!(
        world.upstreams.reached()[0]["arguments"],
        json!({ "order": "[masked]" })
    );
    let text = Value::Object(answer.result).to_string();
    assert!(text.contains("Ann") && !text.contains("DE02"), "{text}");
}

#[tokio::test]
async fn a_masked_argument_that_no_longer_fits_is_refused() {
    let world = World::new().await;
    let transform = json!({ "transform": { "args": { "order": "redact" } } });
    setting(&world, tool("order_status"), transform, false).await;
    assert_eq!(
        status(&world).await.unwrap_err().code,
        RefusalCode::ArgumentsInvalid
    );
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn a_rate_slides_and_what_was_refused_does_not_count() {
    let world = World::new().await;
    let rate = json!({ "rate": { "calls": 3, "per": "minute" } });
    setting(&world, organization(), rate, false).await;
    // A narrower allow does not lift a rate.
    setting(&world, tool("order_status"), json!("allow"), false).await;
    for _ in 0..3 {
        status(&world).await.unwrap();
        world.clock.advance(Duration::from_secs(10));
    }
    for _ in 0..5 {
        let refused = status(&world).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::LimitExceeded);
        assert!(refused.text.contains("3 of 3 used"), "{}", refused.text);
    }
    assert_eq!(world.upstreams.reached().len(), 3);
    let decided = world.recorded(EventKind::CallDecided, "outcome").await;
    assert_eq!(
        decided.iter().filter(|o| *o == "deny").count(),
        5,
        "refusals are recorded"
    );
    world.clock.advance(Duration::from_secs(40));
    status(&world).await.expect("the first has left the window");
    assert!(status(&world).await.is_err(), "the second has not");
}

#[tokio::test]
async fn a_sum_is_shared_given_back_on_a_proved_failure_and_kept_where_nobody_knows() {
    let world = World::new().await;
    let sum = json!({ "name": "refunds", "measure": { "sum": { "arg": "amount" } }, "max": 100, "by": "order" });
    limit(&world, sum, Some("refund")).await;
    let refund =
        |order: &'static str| world.call("refund", json!({ "order": order, "amount": 40 }));
    world
        .upstreams
        .script(Script::Fail(UpstreamError::Unreachable("down".to_owned())));
    assert!(refund("A").await.is_err());
    world
        .upstreams
        .script(Script::Fail(UpstreamError::Ambiguous("lost".to_owned())));
    assert!(refund("A").await.is_err());
    refund("A").await.unwrap();
    let over = refund("A").await.unwrap_err().refusal;
    assert_eq!(over.code, RefusalCode::LimitExceeded);
    assert!(over.text.contains("limit refunds"), "{}", over.text);
    assert!(over.text.contains("80 of 100 used"), "{}", over.text);
    refund("B").await.expect("another order is counted apart");
    let negative = world.call("refund", json!({ "order": "A", "amount": -40 }));
    assert!(
        negative.await.is_err(),
        "a negative amount gave something back"
    );
}

#[tokio::test]
async fn one_at_a_time_is_one_at_a_time_and_the_next_one_after_it() {
    let world = World::new().await;
    let one = json!({ "name": "one", "measure": "concurrent", "max": 1 });
    limit(&world, one, None).await;
    for _ in 0..5 {
        status(&world).await.expect("the one before has ended");
    }
    world
        .upstreams
        .script(Script::Wait(json!({ "content": [] })));
    let (first, ()) = tokio::join!(world.call("order_status", json!({ "order": "A" })), async {
        // Those before it have arrived too, and nobody waited for them.
        while world.upstreams.reached().len() < 6 {
            world.upstreams.arrived().await;
        }
        let refused = status(&world).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::LimitExceeded, "{}", refused.text);
        world.upstreams.let_go();
    });
    first.unwrap();
    status(&world).await.unwrap();
}

#[tokio::test]
async fn rows_are_reserved_settled_and_withheld_above_what_was_reserved() {
    let world = World::new().await;
    let rows =
        json!({ "name": "rows", "measure": { "rows": { "at": "items", "each": 5 } }, "max": 10 });
    limit(&world, rows, Some("order_status")).await;
    let brings = |n: usize| {
        let items = vec![1; n];
        world.upstreams.script(Script::Answer(
            json!({ "content": [], "structuredContent": { "items": items } }),
        ));
    };
    brings(2);
    status(&world).await.unwrap();
    brings(2);
    status(&world)
        .await
        .expect("three of the five were given back");
    brings(6);
    let over = status(&world).await.unwrap_err();
    assert_eq!(over.code, RefusalCode::LimitExceeded, "{}", over.text);
    assert!(over.text.contains("withheld"), "{}", over.text);
    let refused = status(&world).await.unwrap_err();
    assert!(refused.text.contains("9 of 10 used"), "{}", refused.text);
}

#[tokio::test]
async fn a_limit_whose_store_cannot_be_reached_denies() {
    let world = World::new().await;
    let calls = json!({ "name": "calls", "measure": "calls", "max": 10 });
    limit(&world, calls, None).await;
    world.store.fail_writes(true);
    assert_eq!(
        status(&world).await.unwrap_err().code,
        RefusalCode::LedgerUnavailable
    );
    assert!(world.upstreams.reached().is_empty());
}

#[tokio::test]
async fn policies_look_at_freezes_and_at_what_is_found() {
    let world = World::new().await;
    policy(
        &world,
        "@id(\"frozen\") forbid (principal, action, resource) when { context.frozen };\n\
         @id(\"risky\") forbid (principal, action, resource) when { context.risk >= 3 };\n\
         @id(\"ticket\") forbid (principal, action, resource) when { context.ticket == \"unknown\" };",
    )
    .await;
    status(&world)
        .await
        .expect("a run without a ticket has none, which is not unknown");
    let freeze = json!({
        "name": "year-end", "means": "freeze", "environments": ["production"], "systems": [], "reason": "test", "enabled": true,
        "spans": [{ "once": { "from": "2026-11-22T09:00:00Z", "until": "2026-11-22T10:00:00Z" } }],
        "by": { "type": "remit" }, "at": BY,
    });
    put::<Freeze>(&world, freeze).await;
    status(&world).await.expect("it has not begun");
    world.clock.advance(Duration::from_secs(3_600));
    let frozen = status(&world).await.unwrap_err();
    assert!(frozen.text.contains("more/frozen"), "{}", frozen.text);
}

#[tokio::test]
async fn a_ticket_nobody_told_of_is_unknown() {
    let mut world = World::new().await;
    world.restart_with_ticket("T-7").await;
    policy(
        &world,
        "@id(\"ticket\") forbid (principal, action, resource) unless { context.ticket == \"approved\" };",
    )
    .await;
    assert_eq!(status(&world).await.unwrap_err().code, RefusalCode::Denied);
    let told = |state: &str| json!({ "id": "T-7", "state": state, "as_of": BY, "by": { "type": "remit" }, "at": BY });
    put::<Ticket>(&world, told("approved")).await;
    status(&world).await.unwrap();
    put::<Ticket>(&world, told("closed")).await;
    assert_eq!(status(&world).await.unwrap_err().code, RefusalCode::Denied);
}

#[tokio::test]
async fn an_agent_that_loops_trips_the_breaker_and_is_refused_at_once() {
    let world = World::new().await;
    for (mode, enforced) in [("dry_run", false), ("enforce", true)] {
        let breaker = json!({
            "mode": mode, "window_secs": 60, "repeats": 5, "failure_percent": 100, "failure_calls": 1000,
            "by": { "type": "remit" }, "at": BY,
        });
        put::<Breaker>(&world, breaker).await;
        for n in 0..5 {
            let code = world.code("cancel", json!({ "order": mode })).await;
            assert_eq!(code, RefusalCode::Denied, "{mode} {n}");
        }
        let trip = world.gateway.next_trip().await.unwrap();
        assert_eq!((trip.enforce, &trip.agent), (enforced, &world.run.agent));
        assert!(trip.cause.contains("5 times"), "{}", trip.cause);
        let after = status(&world).await.map_err(|r| r.code);
        assert_eq!(after.is_err(), enforced, "{mode}");
        assert!(!enforced || after == Err(RefusalCode::Contained));
    }
}

#[tokio::test]
async fn a_policy_that_fails_denies_and_is_found_once() {
    let world = World::new().await;
    policy(
        &world,
        r#"@id("overflow") forbid (principal, action, resource) when { context.now * 4611686018427387904 > 0 };"#,
    )
    .await;
    for _ in 0..3 {
        let refused = status(&world).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Denied);
    }
    let found = world.facts(EventKind::FindingOpened).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["kind"], "policy_error");
    assert!(world.upstreams.reached().is_empty());
}
