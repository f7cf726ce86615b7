//! Settings and limits in decisions: what holds for any of them, and for any order and time of calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use remit_domain::{Timestamp, Tool};
use remit_policy::{Decision, Dynamic, Engine, Facts, Fixed, Obligation, Outcome};
use serde_json::{Value, json};

static BASE: LazyLock<Value> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("base.yaml")).unwrap());

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let tool = |(name, tool): (&String, &Value)| -> Tool {
        let class = tool
            .get("classification")
            .unwrap_or(&BASE["fixed"]["tool"]["classification"]);
        let body = json!({ "inputSchema": tool["schema"] });
        serde_json::from_value(
            json!({ "tool": name, "definition": { "hash": "11", "body": body }, "pending": null,
                                       "classification": class, "state": "enabled" }),
        )
        .unwrap()
    };
    let tools: Vec<Tool> = BASE["tools"]
        .as_object()
        .unwrap()
        .iter()
        .map(tool)
        .collect();
    Engine::compile(&tools.iter().collect::<Vec<_>>(), &[]).unwrap()
});

fn fixed(with: Value) -> Fixed {
    let mut fixed = BASE["fixed"].clone();
    let members = with.as_object().unwrap().clone();
    fixed.as_object_mut().unwrap().extend(members);
    serde_json::from_value(fixed).unwrap()
}

fn dynamic() -> Dynamic {
    serde_json::from_value(BASE["dynamic"].clone()).unwrap()
}

fn decide(fixed: &Fixed, dynamic: &Dynamic) -> Decision {
    ENGINE.decide(Facts { fixed, dynamic })
}

fn rule(level: &str, value: Value, locked: bool) -> Value {
    json!({ "id": level, "level": level, "value": value, "locked": locked })
}

fn quota(name: &str, with: Value) -> Value {
    let mut quota =
        json!({ "name": name, "measure": "calls", "max": 5, "over": "day", "per": "sponsor" });
    quota
        .as_object_mut()
        .unwrap()
        .extend(with.as_object().unwrap().clone());
    quota
}

fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Deny => 0,
        Outcome::Ask(_) => 1,
        Outcome::Allow => 2,
    }
}

prop_compose! {
    fn any_settings()(cells in prop::collection::vec(prop::option::of((0_u8..5, any::<bool>())), 5)) -> Value {
        let levels = ["organization", "mode", "tool", "person", "person_tool"];
        let value = |n| match n {
            0 => json!("allow"),
            1 => json!("flag"),
            2 => json!("deny"),
            3 => json!({ "rate": { "calls": 5, "per": "hour" } }),
            _ => json!({ "transform": { "result": { "iban": "mask" } } }),
        };
        let cells = levels.into_iter().zip(cells);
        cells.filter_map(|(level, cell)| cell.map(|(n, locked)| rule(level, value(n), locked))).collect()
    }
}

proptest! {
    #[test]
    fn no_setting_lets_through_what_would_be_refused_without_it(
        settings in any_settings(),
        granted in any::<bool>(),
        amount in prop::sample::select(vec![20, 99, 130]),
    ) {
        let mut facts = json!({ "settings": settings });
        if !granted {
            let mut workflow = BASE["fixed"]["workflow"].clone();
            workflow["grants"] = json!([]);
            facts["workflow"] = workflow;
        }
        let with = fixed(facts);
        let without = Fixed { settings: Vec::new(), ..with.clone() };
        let mut dynamic = dynamic();
        dynamic.args["amount"] = json!(amount);
        let (with, without) = (decide(&with, &dynamic), decide(&without, &dynamic));
        prop_assert!(rank(&with.outcome) <= rank(&without.outcome), "{with:?}");
        prop_assert!(!with.is_deny() || (with.obligations.is_empty() && with.reserve.is_empty()));
    }

    /// Calls at any times; the counters are kept as a store keeps them.
    #[test]
    fn no_window_of_a_rate_ever_holds_more_than_it_may(
        gaps in prop::collection::vec(0_i64..20_000_000, 1..120),
        max in 1_u32..8,
    ) {
        let fixed = fixed(json!({ "settings": [rule("organization", json!({ "rate": { "calls": max, "per": "minute" } }), false)] }));
        let mut dynamic = dynamic();
        let mut counters: BTreeMap<String, i64> = BTreeMap::new();
        let mut admitted: Vec<Timestamp> = Vec::new();
        for gap in gaps {
            dynamic.now = Timestamp::from_micros(dynamic.now.as_micros() + gap);
            // The chain's delegation ends in between; that is not what is looked at here.
            let mut fixed = fixed.clone();
            fixed.chain[0].expires = dynamic.now.plus_secs(60);
            fixed.run.deadline = dynamic.now.plus_secs(60);
            let decision = decide(&fixed, &dynamic);
            let rate = decision.reserve.iter().find(|r| r.of.is_some()).expect("a rate is reserved");
            let used: i64 = rate.also.iter().chain([&rate.key]).filter_map(|k| counters.get(k)).sum();
            if used + rate.amount <= rate.max {
                *counters.entry(rate.key.clone()).or_default() += rate.amount;
                admitted.push(dynamic.now);
            }
        }
        for (at, first) in admitted.iter().enumerate() {
            let within = admitted[at..].iter().take_while(|t| t.as_micros() - first.as_micros() < 60_000_000).count();
            prop_assert!(within <= max as usize, "{within} calls in one minute, {max} are permitted");
        }
        prop_assert!(!admitted.is_empty());
    }

    #[test]
    fn a_limit_that_is_used_up_denies_and_a_wider_one_never_less(used in 0_i64..20, max in 0_u32..10) {
        let of = |max: u32| fixed(json!({ "limits": [quota("calls", json!({ "max": max }))] }));
        let mut dynamic = dynamic();
        let key = decide(&of(100), &dynamic).reserve[0].key.clone();
        dynamic.counters.insert(key, used);
        let denied = decide(&of(max), &dynamic);
        prop_assert_eq!(denied.is_deny(), used + 1 > i64::from(max));
        if denied.is_deny() {
            prop_assert_eq!(&denied.reasons[0].code, "limit-exceeded");
            prop_assert!(denied.reasons[0].text.contains("limit calls (per sponsor)"));
        }
        prop_assert!(rank(&denied.outcome) <= rank(&decide(&of(max + 1), &dynamic).outcome));
    }
}

fn keys(fixed: &Fixed) -> Vec<String> {
    let decision = decide(fixed, &dynamic());
    assert!(!decision.is_deny(), "{decision:?}");
    decision.reserve.iter().map(|r| r.key.clone()).collect()
}

#[test]
fn agents_of_one_sponsor_share_and_an_agent_pays_for_those_that_act_for_it() {
    let sub = "agt_00000000000000000000000002";
    let of = |per: &str, acts_for: bool| {
        let mut fixed = BASE["fixed"].clone();
        fixed["limits"] = json!([quota("calls", json!({ "per": per }))]);
        if acts_for {
            // The same person's work, handed on to a second agent of the same sponsor.
            fixed["agent"]["id"] = json!(sub);
            fixed["workflow"]["agent"] = json!(sub);
            let first = fixed["chain"][0].clone();
            let mut second = first.clone();
            second["from"] = json!({ "type": "agent", "id": first["to"] });
            second["to"] = json!(sub);
            fixed["chain"] = json!([first, second]);
        }
        serde_json::from_value::<Fixed>(fixed).unwrap()
    };
    for per in ["organization", "sponsor", "person", "run", "tool"] {
        assert_eq!(keys(&of(per, false)), keys(&of(per, true)), "{per}");
    }
    let (alone, both) = (keys(&of("agent", false)), keys(&of("agent", true)));
    assert_eq!((alone.len(), both.len()), (1, 2));
    assert!(
        both.contains(&alone[0]),
        "the first agent's counter was not touched"
    );
}

#[test]
fn what_cannot_be_counted_is_denied() {
    let sum = quota("sum", json!({ "measure": { "sum": { "arg": "missing" } } }));
    let decision = decide(&fixed(json!({ "limits": [sum] })), &dynamic());
    assert!(decision.is_deny());
    assert_eq!(decision.reasons[0].code, "limit-exceeded");
}

#[test]
fn a_value_that_is_counted_by_is_not_in_the_key() {
    let by = quota("by", json!({ "by": "order" }));
    let keys = keys(&fixed(json!({ "limits": [by] })));
    assert!(
        keys[0].contains("|by:order=") && !keys[0].contains("A-118"),
        "{keys:?}"
    );
}

#[test]
fn flags_and_transforms_are_owed_only_where_the_call_goes_on() {
    let settings = json!([
        rule("organization", json!("flag"), true),
        rule(
            "tool",
            json!({ "transform": { "result": { "iban": "mask" } } }),
            false
        )
    ]);
    let decision = decide(&fixed(json!({ "settings": settings })), &dynamic());
    assert!(matches!(
        decision.obligations.as_slice(),
        [Obligation::Flag { .. }, Obligation::Transform { .. }]
    ));
    let denied = json!([
        rule("organization", json!("flag"), true),
        rule("tool", json!("deny"), false)
    ]);
    let decision = decide(&fixed(json!({ "settings": denied })), &dynamic());
    assert!(decision.is_deny() && decision.obligations.is_empty());
    assert!(
        decision
            .reasons
            .iter()
            .any(|r| r.code == "setting-denied" && r.text.contains("setting tool (level tool)"))
    );
}

#[test]
fn facts_written_before_there_were_settings_keep_their_hash() {
    let text = serde_json::to_string(&fixed(json!({}))).unwrap();
    for word in ["settings", "limits\":[{\"name", "times"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}
