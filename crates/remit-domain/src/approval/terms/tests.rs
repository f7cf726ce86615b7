//! Attacks on what an approval for a run lets pass, then what has to work.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn id(prefix: &str, n: u128) -> String {
    let id = RunId::from_uuid(uuid::Uuid::from_u128(n));
    id.as_str().replacen("run", prefix, 1)
}

fn classified(effect: &str) -> Classification {
    serde_json::from_value(json!({ "effect": effect })).unwrap()
}

fn asks(standing: &[bool]) -> AskSet {
    let all: Vec<Value> = standing
        .iter()
        .enumerate()
        .map(|(n, standing)| {
            json!({ "policy": format!("p{n}"), "approvers": ["sponsor"], "quorum": 1,
                    "standing": standing, "waives_four_eyes": false })
        })
        .collect();
    serde_json::from_value(json!(all)).unwrap()
}

fn approval() -> Approval {
    serde_json::from_value(json!({
        "id": id("apr", 1), "digest": "d", "decision": id("dec", 1), "agent": id("agt", 1), "workflow": id("wf", 1),
        "run": id("run", 1), "person": null, "tool": "mail/reply", "definition_hash": "h",
        "args": { "to": "p@acme.example", "text": "hello", "case": { "id": 7, "kind": "a" } },
        "asks": asks(&[true]), "reasons": [], "requested": "2026-11-22T08:00:00Z",
        "expires": "2026-11-22T09:00:00Z", "verdicts": [], "state": "approved",
        "for_run": { "count": 5, "secs": 1800, "bounds": {
            "text": [{ "length": { "max": 20 } }], "case.id": [{ "integer": { "min": 1, "max": 9 } }] } }
    }))
    .unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T08:30:00Z".parse().unwrap()
}

/// Whether the approval lets a call pass that differs as told.
fn tried(change: impl FnOnce(&mut Approval, &mut LaterCall<'_>)) -> Result<(), NotCovered> {
    let mut approval = approval();
    let (run, tool) = (approval.run.clone(), approval.tool.clone());
    let (args, asks, class) = (
        approval.args.clone(),
        approval.asks.clone(),
        classified("write"),
    );
    let mut call = LaterCall {
        run: &run,
        tool: &tool,
        definition_hash: "h",
        classification: Some(&class),
        args: &args,
        asks: &asks,
    };
    change(&mut approval, &mut call);
    approval.covers(&call, now())
}

fn with_args(args: Value) -> Result<(), NotCovered> {
    let args = Box::leak(Box::new(args));
    tried(|_, call| call.args = args)
}

#[test]
fn another_run_tool_definition_effect_or_ask_is_not_covered() {
    assert_eq!(tried(|_, _| {}), Ok(()));
    let run: RunId = id("run", 2).parse().unwrap();
    assert_eq!(tried(|a, _| a.run = run), Err(NotCovered::Other));
    let tool = "mail/send".parse().unwrap();
    assert_eq!(tried(|a, _| a.tool = tool), Err(NotCovered::Other));
    assert_eq!(
        tried(|_, c| c.definition_hash = "i"),
        Err(NotCovered::Definition)
    );
    for effect in ["destructive", "purchase", "privilege", "execute"] {
        let class = Box::leak(Box::new(classified(effect)));
        assert_eq!(
            tried(|_, c| c.classification = Some(class)),
            Err(NotCovered::Severe),
            "{effect}"
        );
    }
    assert_eq!(
        tried(|_, c| c.classification = None),
        Err(NotCovered::Severe)
    );
    for other in [asks(&[]), asks(&[true, true]), asks(&[false])] {
        let other = Box::leak(Box::new(other));
        assert_eq!(tried(|_, c| c.asks = other), Err(NotCovered::Asks));
    }
    // Not even where the approval itself was somehow given for such an ask.
    let each = Box::leak(Box::new(asks(&[false])));
    assert_eq!(
        tried(|a, c| (a.asks, c.asks) = (each.clone(), each)),
        Err(NotCovered::Asks)
    );
}

#[test]
fn what_does_not_hold_any_more_covers_nothing() {
    for state in [
        "pending",
        "denied",
        "expired",
        "cancelled",
        "stale",
        "used",
        "ambiguous",
        "withdrawn",
    ] {
        let state: ApprovalState = serde_json::from_value(json!(state)).unwrap();
        assert_eq!(tried(|a, _| a.state = state), Err(NotCovered::NotHeld));
    }
    assert_eq!(tried(|a, _| a.for_run = None), Err(NotCovered::NotHeld));
    assert_eq!(tried(|a, _| a.expires = now()), Err(NotCovered::NotHeld));
}

#[test]
fn what_is_not_bounded_is_exactly_as_it_was_shown() {
    let differs = |name: &str| Err(NotCovered::Differs(name.to_owned()));
    let case = json!({ "id": 8, "kind": "a" });
    assert_eq!(
        with_args(json!({ "to": "p@acme.example", "text": "bye", "case": case })),
        Ok(())
    );
    // Another recipient, one that only looks the same, one more argument, one fewer, one beside what is bounded.
    for (args, name) in [
        (
            json!({ "to": "q@acme.example", "text": "bye", "case": case }),
            "to",
        ),
        (
            json!({ "to": "p@acme\u{200b}.example", "text": "bye", "case": case }),
            "to",
        ),
        (
            json!({ "to": "p@\u{430}cme.example", "text": "bye", "case": case }),
            "to",
        ),
        (
            json!({ "to": "p@acme.example", "text": "bye", "case": case, "bcc": "e@evil.example" }),
            "bcc",
        ),
        (json!({ "text": "bye", "case": case }), "to"),
        (
            json!({ "to": "p@acme.example", "text": "bye", "case": { "id": 8, "kind": "b" } }),
            "case",
        ),
        (
            json!({ "to": "p@acme.example", "text": "bye", "case": { "id": 8, "kind": "a", "all": true } }),
            "case",
        ),
    ] {
        assert_eq!(with_args(args), differs(name));
    }
    for args in [
        json!({ "to": "p@acme.example", "text": "a text that is far too long", "case": case }),
        json!({ "to": "p@acme.example", "case": case }),
        json!({ "to": "p@acme.example", "text": "bye", "case": { "id": 10, "kind": "a" } }),
        json!({ "to": "p@acme.example", "text": "bye", "case": 7 }),
        json!([]),
    ] {
        assert!(
            matches!(with_args(args.clone()), Err(NotCovered::Bounds(_))),
            "{args}"
        );
    }
}

#[test]
fn only_where_every_policy_lets_it_and_never_for_a_severe_effect() {
    let write = classified("write");
    assert_eq!(may_stand(&asks(&[true, true]), Some(&write)), Ok(()));
    let alone = may_stand(&asks(&[true, false]), Some(&write));
    assert_eq!(alone, Err(TermsError::EachAlone("p1".to_owned())));
    for effect in ["destructive", "purchase", "privilege", "execute"] {
        let refused = may_stand(&asks(&[true]), Some(&classified(effect)));
        assert!(matches!(refused, Err(TermsError::Severe(word)) if word == effect));
    }
    assert_eq!(
        may_stand(&asks(&[true]), None),
        Err(TermsError::Severe("unknown"))
    );
    // What leaves the organization is seen each time.
    let mut sends = classified("write");
    sends.external = true;
    for leaves in [sends, classified("external")] {
        let refused = may_stand(&asks(&[true]), Some(&leaves));
        assert_eq!(refused, Err(TermsError::Severe("external")));
    }
}

#[test]
fn terms_have_limits_and_hold_for_the_call_that_was_shown() {
    let terms = |value: Value| serde_json::from_value::<RunTerms>(value).unwrap();
    let args = json!({ "n": 3 });
    for (count, secs) in [(0, 600), (101, 600), (1, 59), (1, 28_801)] {
        let wrong = terms(json!({ "count": count, "secs": secs })).check(&args);
        assert!(
            matches!(wrong, Err(TermsError::Range { .. })),
            "{count} {secs}"
        );
    }
    let outside =
        terms(json!({ "count": 1, "secs": 60, "bounds": { "n": [{ "integer": { "max": 2 } }] } }));
    assert!(matches!(outside.check(&args), Err(TermsError::Outside(_))));
    let none = terms(json!({ "count": 1, "secs": 60, "bounds": { "n": [] } }));
    assert_eq!(
        none.check(&args),
        Err(TermsError::TooMany),
        "no bound at all would be any value at all"
    );
    let good = terms(
        json!({ "count": 5, "secs": 1800, "bounds": { "n": [{ "integer": { "max": 9 } }] } }),
    );
    good.check(&args).unwrap();
    assert_eq!(
        good.in_words(),
        "5 calls within 1800 s; n a whole number, at most 9; every other argument exactly as shown"
    );
    assert!(
        serde_json::from_value::<RunTerms>(json!({ "count": 1, "secs": 60, "bound": {} })).is_err()
    );
}

fn any_args() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(1)),
        Just(json!(2)),
        Just(json!("a")),
        Just(json!({ "x": 1 }))
    ];
    proptest::collection::btree_map("[ab]", leaf, 0..3).prop_map(|map| json!(map))
}

proptest! {
    #[test]
    fn without_bounds_only_the_very_same_arguments_pass(shown in any_args(), args in any_args()) {
        let mut approval = approval();
        approval.args = shown.clone();
        approval.for_run = Some(RunTerms { count: 1, secs: 60, bounds: Bounds::default() });
        let class = classified("write");
        let asks = approval.asks.clone();
        let call = LaterCall {
            run: &approval.run,
            tool: &approval.tool,
            definition_hash: "h",
            classification: Some(&class),
            args: &args,
            asks: &asks,
        };
        prop_assert_eq!(approval.covers(&call, now()).is_ok(), shown == args);
    }
}
