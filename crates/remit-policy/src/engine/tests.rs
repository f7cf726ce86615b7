//! What holds for every policy and every call, and attacks on it. Decision tables are in `tests/cases`.

use proptest::prelude::*;
use remit_domain::Tool;
use serde_json::{Value, json};

use super::*;
use crate::decision::Outcome;
use crate::load::PolicySource;

fn base() -> Value {
    static BASE: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| {
        serde_saphyr::from_str(include_str!("../../tests/base.yaml")).unwrap()
    });
    BASE.clone()
}

fn tools() -> Vec<Tool> {
    let base = base();
    let tool = |(name, tool): (&String, &Value)| {
        let class = tool
            .get("classification")
            .unwrap_or(&base["fixed"]["tool"]["classification"]);
        let body = json!({ "inputSchema": tool["schema"] });
        let json = json!({ "tool": name, "definition": { "hash": "11", "body": body }, "pending": null, "classification": class, "state": "enabled" });
        serde_json::from_value(json).unwrap()
    };
    base["tools"]
        .as_object()
        .unwrap()
        .iter()
        .map(tool)
        .collect()
}

pub(super) fn engine(policies: &[&str]) -> Result<Engine, crate::PolicyError> {
    let tools = tools();
    let text = policies.join("\n");
    Engine::compile(
        &tools.iter().collect::<Vec<_>>(),
        &[PolicySource {
            name: "acme",
            text: &text,
        }],
    )
}

fn facts() -> (Fixed, Dynamic) {
    let base = base();
    (
        serde_json::from_value(base["fixed"].clone()).unwrap(),
        serde_json::from_value(base["dynamic"].clone()).unwrap(),
    )
}

/// Policies that can stand together in any number and order.
const POOL: [&str; 17] = [
    r#"@id("a") forbid (principal, action == Action::"orders/refund", resource) when { context.args.amount.greaterThan(decimal("50.0")) };"#,
    r#"@id("b") @approvers("sponsor") forbid (principal, action, resource) when { context.labels.contains("x") } unless { context.approved };"#,
    r#"@id("c") @approvers("role:approver") @quorum("2") forbid (principal, action == Action::"orders/refund", resource) when { context.args.amount.greaterThan(decimal("20.0")) } unless { context.approved };"#,
    r#"@id("d") forbid (principal == Agent::"other", action, resource);"#,
    r#"@id("e") forbid (principal in Workflow::"support/refund", action in Action::"effect:read", resource);"#,
    r#"@id("f") permit (principal, action, resource) when { context.weekday == 7 };"#,
    r#"@id("g") forbid (principal, action == Action::"orders/refund", resource in Upstream::"orders") when { context.args has note && context.args.note == "no" };"#,
    r#"@id("h") @approvers("owner") forbid (principal, action, resource == Tool::"orders/refund") unless { context.approved } when { context.hour * 1152921504606846976 > 0 };"#,
    r#"@id("i") forbid (principal, action, resource in System::"shop") when { context.hour * 1152921504606846976 > 9 };"#,
    r#"@id("j") forbid (principal is Agent, action in [Action::"call"], resource is Tool) when { context.run.mode == "background" };"#,
    r#"@id("k") permit (principal == Agent::"support", action, resource) when { context.hour < 30 };"#,
    r#"@id("l") forbid (principal == Agent::"support", action, resource) when { context.labels.contains("y") };"#,
    r#"@id("m") forbid (principal == Agent::"support", action == Action::"orders/lookup", resource in System::"shop");"#,
    r#"@id("n") forbid (principal, action, resource) when { context.hour * 1152921504606846976 > 0 && resource.external };"#,
    r#"@id("o") forbid (principal, action, resource) when { resource.external && context.hour * 1152921504606846976 > 0 };"#,
    r#"@id("p") forbid (principal, action, resource) when { context.person.present && context.chain_depth > 0 } when { context.run.mode == "background" && context.labels.contains("y") };"#,
    r#"@id("q") forbid (principal, action, resource) when { (context.labels.contains("y") || resource.external) && principal.tier < 3 };"#,
];

prop_compose! {
    fn any_facts()(
        state in prop::sample::select(vec!["active", "active", "active", "suspended"]),
        tier in 1u8..=4,
        environment in prop::sample::select(vec!["production", "production", "test"]),
        tool in prop::sample::select(vec!["orders/refund", "orders/refund", "orders/lookup", "mail/send"]),
        name in prop::sample::select(vec!["support", "other"]),
        amount in prop::sample::select(vec![json!(0), json!(20.5), json!(60), json!(130), json!("x"), Value::Null]),
        order in prop::sample::select(vec!["A-118", "A-119"]),
        note in prop::option::of(prop::sample::select(vec!["no", "yes"])),
        label in prop::option::of(prop::sample::select(vec!["x", "y"])),
        mode in prop::sample::select(vec!["interactive", "background"]),
        hour in prop::sample::select(vec![0i64, 1, 7, 8, 9]),
        live in prop::bool::weighted(0.9),
        granted in prop::bool::weighted(0.9),
        person in prop::bool::weighted(0.8),
    ) -> (Fixed, Dynamic) {
        let base = base();
        let mut fixed = base["fixed"].clone();
        fixed["agent"]["state"] = json!(state);
        fixed["agent"]["tier"] = json!(tier);
        fixed["agent"]["environment"] = json!(environment);
        fixed["agent"]["name"] = json!(name);
        fixed["tool"]["tool"] = json!(tool);
        if let Some(class) = base["tools"][tool].get("classification") {
            fixed["tool"]["classification"] = class.clone();
        }
        fixed["run"]["mode"] = json!(mode);
        if !granted {
            fixed["workflow"]["grants"] = json!([]);
        }
        if !person {
            fixed["person"] = Value::Null;
            fixed["chain"] = json!([]);
        }
        let mut dynamic = base["dynamic"].clone();
        dynamic["args"] = json!({ "order": order, "amount": amount, "to": ["a"], "body": "b" });
        if let Some(note) = note {
            dynamic["args"]["note"] = json!(note);
        }
        dynamic["labels"] = json!(label.into_iter().collect::<Vec<_>>());
        dynamic["now"] = json!(format!("2026-11-22T0{hour}:00:00Z"));
        dynamic["run_active"] = json!(live);
        (serde_json::from_value(fixed).unwrap(), serde_json::from_value(dynamic).unwrap())
    }
}

fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Deny => 0,
        Outcome::Ask(_) => 1,
        Outcome::Allow => 2,
    }
}

proptest! {
    // Compiling an engine takes most of a case, so that each has many calls.
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn the_short_way_gives_what_the_rule_gives(
        chosen in prop::sample::subsequence(POOL.to_vec(), 0..=POOL.len()),
        calls in prop::collection::vec(any_facts(), 32),
    ) {
        let engine = engine(&chosen).unwrap();
        for (fixed, dynamic) in &calls {
            let facts = Facts { fixed, dynamic };
            prop_assert_eq!(engine.decide(facts), engine.decide_plainly(facts));
        }
    }

    #[test]
    fn another_forbid_never_allows_more(
        chosen in prop::sample::subsequence(POOL.to_vec(), 0..POOL.len()),
        added in prop::sample::select(POOL.to_vec()),
        calls in prop::collection::vec(any_facts(), 32),
    ) {
        prop_assume!(!chosen.contains(&added) && added.contains("forbid"));
        let fewer = engine(&chosen).unwrap();
        let more = engine(&[&chosen[..], &[added][..]].concat()).unwrap();
        for (fixed, dynamic) in &calls {
            let facts = Facts { fixed, dynamic };
            let (before, after) = (fewer.decide(facts).outcome, more.decide(facts).outcome);
            prop_assert!(rank(&after) <= rank(&before));
            if let (Outcome::Ask(before), Outcome::Ask(after)) = (before, after) {
                prop_assert!(before.is_subset(&after));
            }
        }
    }

    #[test]
    fn approval_never_turns_a_deny_into_an_allow(
        chosen in prop::sample::subsequence(POOL.to_vec(), 0..=POOL.len()),
        calls in prop::collection::vec(any_facts(), 32),
    ) {
        let (bare, own) = (engine(&[]).unwrap(), engine(&chosen).unwrap());
        for (fixed, dynamic) in &calls {
            let facts = Facts { fixed, dynamic };
            if bare.decide(facts).is_deny() {
                prop_assert_ne!(bare.allowed_if_approved(facts), Some(true));
                prop_assert!(own.decide(facts).is_deny());
            }
            // What fails without the approval is denied for that, whatever it would be with it.
            let decided = own.decide(facts);
            if decided.is_deny() && decided.errors.is_empty() {
                prop_assert_ne!(own.allowed_if_approved(facts), Some(true));
            }
        }
    }

    #[test]
    fn an_exception_lifts_its_own_policy_for_its_agent_in_its_time_and_no_guardrail(
        calls in prop::collection::vec(any_facts(), 32),
    ) {
        use crate::except::ExceptionSource;
        let tools = tools();
        let tools: Vec<_> = tools.iter().collect();
        let text = [POOL[0], POOL[2]].join("\n");
        let sets = [PolicySource { name: "acme", text: &text }];
        let time = |text: &str| serde_json::from_value(json!(text)).unwrap();
        let exception = |policy: &'static str| ExceptionSource {
            id: "exc_1", policy, agent: "support", tool: None,
            from: time("2026-11-22T07:00:00Z"), until: time("2026-11-22T09:00:00Z"),
        };
        let all = ["acme/a", "guardrail/tier-1-reads", "guardrail/grant", "acme/gone"].map(exception);
        let with = Engine::compile_with(&tools, &sets, &all).unwrap();
        let (plain, without) = (engine(&[POOL[0], POOL[2]]).unwrap(), engine(&[POOL[2]]).unwrap());
        prop_assert_eq!(with.bundle(), plain.bundle());
        for (fixed, dynamic) in &calls {
            let facts = Facts { fixed, dynamic };
            let hour = dynamic.now.as_secs().rem_euclid(86_400) / 3_600;
            let holds = fixed.agent.name.as_str() == "support" && (7..9).contains(&hour);
            let mut found = with.decide(facts);
            let named = std::mem::take(&mut found.exceptions);
            let expected = if holds { without.decide(facts) } else { plain.decide(facts) };
            prop_assert_eq!(&found, &expected);
            let stands = plain.decide(facts).policies.contains(&"acme/a".to_owned());
            prop_assert!(!stands || !holds || named == ["exc_1"], "{:?}", named);
            prop_assert!(holds || named.is_empty());
        }
    }

    #[test]
    fn the_order_of_policies_is_irrelevant(
        chosen in prop::sample::subsequence(POOL.to_vec(), 2..=POOL.len()).prop_shuffle(),
        calls in prop::collection::vec(any_facts(), 32),
    ) {
        let mut sorted = chosen.clone();
        sorted.sort_unstable();
        let (one, other) = (engine(&chosen).unwrap(), engine(&sorted).unwrap());
        for (fixed, dynamic) in &calls {
            let facts = Facts { fixed, dynamic };
            prop_assert_eq!(one.decide(facts), other.decide(facts));
        }
    }

    #[test]
    fn nothing_an_organization_writes_allows_what_guardrails_alone_do_not(
        chosen in prop::sample::subsequence(POOL.to_vec(), 0..=POOL.len()),
        calls in prop::collection::vec(any_facts(), 32),
    ) {
        let bare = engine(&[]).unwrap();
        let own = engine(&[&chosen[..], &[r#"permit (principal, action, resource);"#][..]].concat()).unwrap();
        for (fixed, dynamic) in &calls {
            let facts = Facts { fixed, dynamic };
            let (bare, own) = (bare.decide(facts), own.decide(facts));
            prop_assert!(rank(&own.outcome) <= rank(&bare.outcome), "{own:?}");
        }
    }

    #[test]
    fn what_is_surely_denied_is_denied_with_any_arguments(
        chosen in prop::sample::subsequence(POOL.to_vec(), 0..=POOL.len()),
        calls in prop::collection::vec(any_facts(), 32),
    ) {
        let engine = engine(&chosen).unwrap();
        for (fixed, dynamic) in &calls {
            let facts = Facts { fixed, dynamic };
            if engine.surely_denied(facts) {
                prop_assert!(engine.decide(facts).is_deny());
            }
        }
    }

    #[test]
    fn facts_and_decisions_survive_storage((fixed, dynamic) in any_facts()) {
        let engine = engine(&POOL[..7]).unwrap();
        let decision = engine.decide(Facts { fixed: &fixed, dynamic: &dynamic });
        let again: Fixed = serde_json::from_str(&serde_json::to_string(&fixed).unwrap()).unwrap();
        let call: Dynamic = serde_json::from_str(&serde_json::to_string(&dynamic).unwrap()).unwrap();
        prop_assert_eq!(again.hash().unwrap(), fixed.hash().unwrap());
        prop_assert_eq!(engine.decide(Facts { fixed: &again, dynamic: &call }), decision.clone());
        let stored: Decision = serde_json::from_str(&serde_json::to_string(&decision).unwrap()).unwrap();
        prop_assert_eq!(stored, decision);
    }
}

#[test]
fn approval_is_seen_in_one_way_only() {
    let head = r#"@approvers("sponsor") forbid (principal, action, resource) "#;
    for bad in [
        "when { context.approved }",
        "when { !context.approved }",
        "unless { context.approved && context.live }",
        "unless { context.approved || true }",
        "unless { context.approved } unless { context.approved }",
        "unless { context.approved } when { context.approved }",
        "unless { context.approved } when { context has approved }",
        "unless { context.approved } when { context[\"approved\"] == true }",
        "unless { context.approved } when { context == context }",
        "unless { context.approved } when { [context].contains(context) }",
        "unless { context.approved } when { (if context.live then context else context).approved }",
        "unless { context.approved } when { {a: context}.a.approved }",
        "when { !(context has approved) }",
    ] {
        let error = engine(&[&format!("{head}{bad};")]).unwrap_err();
        assert!(error.to_string().contains("approved"), "{bad}: {error}");
    }
    assert!(engine(&[&format!("{head}unless {{ context.approved }};")]).is_ok());
    let permit = r#"@approvers("sponsor") permit (principal, action, resource) unless { context.approved };"#;
    assert!(engine(&[permit]).is_err());
}

#[test]
fn what_does_not_go_live_says_where_and_why() {
    let text = "// fine\n@id(\"ok\") forbid (principal, action, resource) when { context.hour < 6 };\n\n  forbid (principal, action, resource)\n  when { context.args.amuont > 1 };\n";
    let error = engine(&[text]).unwrap_err();
    let problem = &error.problems()[0];
    assert_eq!(
        (
            problem.set.as_str(),
            problem.line,
            problem.policy.as_deref()
        ),
        ("acme", 5, Some("acme/policy1")),
        "{problem}"
    );
    let error =
        engine(&["forbid (principal, action, resource)\nwhen { context.hour << 6 };"]).unwrap_err();
    assert_eq!(
        (error.problems()[0].line, error.problems()[0].column),
        (2, 22),
        "{error}"
    );
    for (bad, why) in [
        (
            r#"forbid (principal == Agent::"agt_00000000000000000000000001", action, resource);"#,
            "write names",
        ),
        (
            r#"forbid (principal, action == Action::"orders/nothing", resource);"#,
            "orders/nothing",
        ),
        (
            r#"forbid (principal == ?principal, action, resource);"#,
            "templates",
        ),
        (
            r#"@id("x") forbid (principal, action, resource); @id("x") forbid (principal, action, resource);"#,
            "same `@id`",
        ),
        (
            r#"forbid (principal, action, resource) when { context.args.note == "x" };"#,
            "note",
        ),
        (
            r#"forbid (principal, action == Action::"orders/refund", resource) when { context.args.note == "x" };"#,
            "note",
        ),
    ] {
        let error = engine(&[bad]).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
}

#[test]
fn sets_cannot_pose_as_guardrails_or_as_each_other() {
    let set = |name| PolicySource { name, text: "" };
    for bad in [
        vec![set("guardrail")],
        vec![set("Acme")],
        vec![set("a"), set("a")],
        vec![set("")],
    ] {
        assert!(Engine::compile(&[], &bad).is_err());
    }
    assert!(Engine::compile(&[], &[set("a"), set("b")]).is_ok());
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    for text in [
        POOL[8],
        POOL[7],
        // What comes later in it would be false for every call of this slice.
        POOL[13],
        r#"permit (principal, action, resource) when { context.hour * 1152921504606846976 > 0 };"#,
    ] {
        let engine = engine(&[text]).unwrap();
        let (fixed, dynamic) = facts();
        let decision = engine.decide(Facts {
            fixed: &fixed,
            dynamic: &dynamic,
        });
        assert!(
            decision.is_deny() && decision.reasons.iter().any(|r| r.code == "policy-error"),
            "{decision:?}"
        );
        assert_eq!(decision.errors.len(), 1);
    }
    let (engine, (fixed, dynamic)) = (engine(&[POOL[14]]).unwrap(), facts());
    let facts = Facts {
        fixed: &fixed,
        dynamic: &dynamic,
    };
    assert_eq!(engine.decide(facts).outcome, Outcome::Allow);
}

#[test]
fn a_slice_made_ready_by_another_engine_denies() {
    let (old, new) = (engine(&[]).unwrap(), engine(&[POOL[0]]).unwrap());
    let (fixed, dynamic) = facts();
    let prepared = old.prepare(Arc::new(fixed));
    assert_eq!(
        old.decide_prepared(&prepared, &dynamic).outcome,
        Outcome::Allow
    );
    assert_eq!(
        new.decide_prepared(&prepared, &dynamic).reasons[0].code,
        "snapshot-stale"
    );
}

#[test]
fn a_version_is_of_the_content_and_not_of_its_order() {
    let tools = tools();
    let forward: Vec<_> = tools.iter().collect();
    let backward: Vec<_> = tools.iter().rev().collect();
    let sets = [
        PolicySource {
            name: "a",
            text: POOL[0],
        },
        PolicySource {
            name: "b",
            text: POOL[1],
        },
    ];
    let one = Engine::compile(&forward, &sets).unwrap();
    let other = Engine::compile(&backward, &[sets[1], sets[0]]).unwrap();
    assert_eq!(one.version(), other.version());
    let mut changed = tools.clone();
    changed[0].definition.hash = "12".to_owned();
    assert_ne!(
        Engine::compile(&changed.iter().collect::<Vec<_>>(), &sets)
            .unwrap()
            .version(),
        one.version()
    );
    assert_ne!(engine(&[POOL[0]]).unwrap().version(), one.version());
}

#[test]
fn every_code_found_in_rust_has_its_guardrail() {
    use crate::breaches::*;
    let text = include_str!("../guardrails.cedar");
    for code in [
        GRANT_BOUNDS,
        LIMIT_EXCEEDED,
        INTENT_BOUNDS,
        CHAIN_BROKEN,
        CHAIN_TOO_DEEP,
        DELEGATION_EXPIRED,
        DELEGATION_BOUNDS,
        ARGUMENTS_INVALID,
        DISCOVERY_BOUNDS,
        CUSTOMER_MIXED,
    ] {
        assert!(text.contains(&format!("@code(\"{code}\")")), "{code}");
        assert!(
            text.contains(&format!("context.breaches.contains(\"{code}\")")),
            "{code}"
        );
    }
}

#[test]
fn a_tool_nobody_knows_is_denied() {
    let engine = Engine::compile(&[], &[]).unwrap();
    let (fixed, dynamic) = facts();
    assert_eq!(
        engine
            .decide(Facts {
                fixed: &fixed,
                dynamic: &dynamic
            })
            .reasons[0]
            .code,
        "tool-unknown"
    );
}

#[test]
fn access_shows_what_arguments_must_keep() {
    let engine = engine(&POOL[..3]).unwrap();
    let (fixed, dynamic) = facts();
    let access = engine.access(&fixed, dynamic.now);
    assert_eq!(access.decision.outcome, Outcome::Allow);
    let all = access.conditions.join("\n");
    for part in [
        "argument amount from ",
        "order is one of A-118",
        "may ask: ",
        "may deny: ",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
}

#[test]
fn an_explanation_points_to_the_line() {
    let engine = engine(&["// first line", POOL[0]]).unwrap();
    let (fixed, mut dynamic) = facts();
    dynamic.args["amount"] = json!(60);
    let explanation = engine.explain(Facts {
        fixed: &fixed,
        dynamic: &dynamic,
    });
    assert_eq!(
        (
            explanation.policies[0].id.as_str(),
            explanation.policies[0].line
        ),
        ("acme/a", 2)
    );
    assert!(explanation.policies[0].forbids && explanation.policies[0].source.contains("50.0"));
}
