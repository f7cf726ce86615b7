//! An independent evaluator: cedarpy (PyPI, another release of Cedar) decides random calls by the plain rule, two
//! evaluations over every policy, and comes to what the engine's short way comes to.

use std::io::Write;
use std::process::{Command, Stdio};

use remit_policy::{Dynamic, Engine, Facts, Fixed, PolicySource};
use serde_json::{Value, json};

/// The plain rule, in a few lines of somebody else's language.
const SCRIPT: &str = r#"
import json, sys, cedarpy
asked = json.load(sys.stdin)
policies = "\n".join(asked["policies"])
def decide(call, approved):
    request = {k: call[k] for k in ("principal", "action", "resource")}
    request["context"] = dict(call["context"], approved=approved)
    result = cedarpy.is_authorized(request, policies, call["entities"])
    return result.allowed and not result.diagnostics.errors, bool(result.diagnostics.errors)
def outcome(call):
    approved, failed = decide(call, True)
    unapproved, failed_too = decide(call, False)
    if failed or failed_too or not approved:
        return "deny"
    return "allow" if unapproved else "ask"
print(json.dumps([outcome(call) for call in asked["calls"]]))
"#;

const POLICIES: &str = r#"
@id("large") @approvers("role:approver") forbid (principal, action == Action::"orders/refund", resource) when { context.args.amount.greaterThan(decimal("50.0")) } unless { context.approved };
@id("never") forbid (principal, action == Action::"orders/refund", resource) when { context.args.amount.greaterThan(decimal("80.0")) };
@id("flow") @approvers("sponsor") forbid (principal, action in Action::"external", resource) when { context.labels.contains("x") } unless { context.approved };
@id("night") forbid (principal in Workflow::"support/refund", action in Action::"effect:read", resource in System::"shop") when { context.hour < 6 };
@id("note") forbid (principal, action == Action::"orders/refund", resource) when { context.args has note && context.args.note like "*card*" };
@id("overflow") forbid (principal is Agent, action, resource) when { context.run.mode == "background" && context.hour * 1152921504606846976 > 9 };
"#;

/// xorshift64: the same calls each time.
struct Dice(u64);

impl Dice {
    fn one_of<'a>(&mut self, all: &'a [Value]) -> &'a Value {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        &all[usize::try_from(self.0 % all.len() as u64).unwrap()]
    }
}

fn call(base: &Value, dice: &mut Dice) -> (Fixed, Dynamic) {
    let (mut fixed, mut dynamic) = (base["fixed"].clone(), base["dynamic"].clone());
    let mut pick = |all: Value| dice.one_of(all.as_array().unwrap()).clone();
    let tool = pick(json!([
        "orders/refund",
        "orders/refund",
        "orders/lookup",
        "mail/send"
    ]));
    if let Some(class) = base["tools"][tool.as_str().unwrap()].get("classification") {
        fixed["tool"]["classification"] = class.clone();
    }
    fixed["tool"]["tool"] = tool;
    fixed["agent"]["state"] = pick(json!(["active", "active", "active", "active", "suspended"]));
    fixed["agent"]["tier"] = pick(json!([1, 2, 3, 4, 4, 4]));
    fixed["agent"]["environment"] = pick(json!(["production", "production", "test"]));
    fixed["run"]["mode"] = pick(json!(["interactive", "background"]));
    fixed["system"]["criticality"] = pick(json!(["low", "critical"]));
    if pick(json!([true, false, false, false])) == true {
        for grant in fixed["workflow"]["grants"].as_array_mut().unwrap() {
            grant.as_object_mut().unwrap().remove("autonomy");
        }
    }
    dynamic["labels"] = pick(json!([[], ["x"], ["customer-pii"], ["untrusted", "x"]]));
    dynamic["now"] = pick(json!([
        "2026-11-22T03:00:00Z",
        "2026-11-22T08:00:00Z",
        "2026-11-22T09:00:00Z"
    ]));
    dynamic["args"] = json!({
        "order": pick(json!(["A-118", "A-118", "A-119"])), "amount": pick(json!([1, 20.5, 60, 90, 130])),
        "note": pick(json!(["lamp", "my card"])), "to": ["a"], "body": "b",
    });
    (
        serde_json::from_value(fixed).unwrap(),
        serde_json::from_value(dynamic).unwrap(),
    )
}

#[test]
fn another_evaluator_decides_the_same() {
    let base: Value =
        serde_saphyr::from_str(include_str!("../../crates/remit-policy/tests/base.yaml")).unwrap();
    let tool = |(name, tool): (&String, &Value)| {
        let class = tool
            .get("classification")
            .unwrap_or(&base["fixed"]["tool"]["classification"]);
        serde_json::from_value(
            json!({ "tool": name, "classification": class, "state": "enabled", "pending": null,
            "definition": { "hash": "11", "body": { "inputSchema": tool["schema"] } } }),
        )
        .unwrap()
    };
    let tools: Vec<remit_domain::Tool> = base["tools"]
        .as_object()
        .unwrap()
        .iter()
        .map(tool)
        .collect();
    let tools: Vec<_> = tools.iter().collect();
    let sets = [PolicySource {
        name: "acme",
        text: POLICIES,
    }];
    let engine = Engine::compile(&tools, &sets).unwrap();
    let mut dice = Dice(0x5eed_cede_2026_1122);
    let (mut calls, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..600 {
        let (fixed, dynamic) = call(&base, &mut dice);
        let facts = Facts {
            fixed: &fixed,
            dynamic: &dynamic,
        };
        let Some(portable) = engine.portable(facts, false) else {
            continue;
        };
        calls.push(portable);
        ours.push(engine.decide(facts).outcome.as_str());
    }
    let texts: Vec<String> = engine.texts().into_iter().map(|(_, text)| text).collect();
    let asked = json!({ "policies": texts, "calls": calls }).to_string();
    let python = crate::server::installed("REMIT_TEST_PY");
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(asked.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let theirs: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(theirs.len(), calls.len());
    for (at, (mine, other)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(
            mine,
            other,
            "{}",
            serde_json::to_string_pretty(&calls[at]).unwrap()
        );
    }
    for outcome in ["allow", "ask", "deny"] {
        let seen = ours.iter().filter(|o| **o == outcome).count();
        assert!(
            seen > 10,
            "only {seen} calls are {outcome}: {} calls",
            calls.len()
        );
    }
}
