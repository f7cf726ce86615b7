//! Decision tables: `tests/cases/*.yaml`, each a list of facts and what is decided on them, over `tests/base.yaml`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use remit_domain::Tool;
use remit_policy::{Decision, Dynamic, Engine, Facts, Fixed, Outcome, PolicySource};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "for readers of the table")]
    about: String,
    #[serde(default)]
    policies: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    tool: Option<String>,
    #[serde(default)]
    with: Value,
    expect: String,
    #[serde(default)]
    codes: Vec<String>,
    #[serde(default)]
    asks: Vec<String>,
    says: Option<String>,
    grant: Option<String>,
    reserves: Option<BTreeMap<String, i64>>,
}

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let object = target.as_object_mut().unwrap();
    for (key, value) in patch {
        match value {
            Value::Null => drop(object.remove(key)),
            value => merge(object.entry(key).or_insert(Value::Null), value),
        }
    }
}

fn facts(base: &Value, case: &Case) -> (Fixed, Dynamic) {
    let mut all = base.clone();
    if let Some(tool) = &case.tool {
        let class = base["tools"][tool]["classification"].clone();
        all["fixed"]["tool"]["tool"] = json!(tool);
        all["fixed"]["tool"]["classification"] = class;
        all["dynamic"]["args"] = json!({});
    }
    if !case.with.is_null() {
        merge(&mut all, &case.with);
    }
    for optional in ["/fixed/person", "/fixed/system"] {
        if all.pointer(optional).is_none() {
            all["fixed"][optional.rsplit('/').next().unwrap()] = Value::Null;
        }
    }
    let fixed = serde_json::from_value(all["fixed"].clone())
        .unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let dynamic = serde_json::from_value(all["dynamic"].clone())
        .unwrap_or_else(|e| panic!("{}: {e}", case.name));
    (fixed, dynamic)
}

fn tools(base: &Value) -> Vec<Tool> {
    let tool = |(name, tool): (&String, &Value)| {
        let class = tool
            .get("classification")
            .unwrap_or(&base["fixed"]["tool"]["classification"]);
        serde_json::from_value(json!({
            "tool": name, "definition": { "hash": "11", "body": { "inputSchema": tool["schema"] } },
            "pending": null, "classification": class, "state": "enabled"
        }))
        .unwrap()
    };
    base["tools"]
        .as_object()
        .unwrap()
        .iter()
        .map(tool)
        .collect()
}

fn check(case: &Case, decision: &Decision) -> Result<(), String> {
    let same = |what: &str, expected: &dyn std::fmt::Debug, found: &dyn std::fmt::Debug| {
        let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
        if expected == found {
            Ok(())
        } else {
            Err(format!(
                "{}: {what}: expected {expected}, found {found}",
                case.name
            ))
        }
    };
    same("outcome", &case.expect, &decision.outcome.as_str())?;
    if case.expect != "allow" {
        let codes: std::collections::BTreeSet<_> =
            decision.reasons.iter().map(|r| r.code.clone()).collect();
        same(
            "codes",
            &case.codes.iter().collect::<std::collections::BTreeSet<_>>(),
            &codes,
        )?;
    }
    if let Outcome::Ask(asks) = &decision.outcome {
        let line = |ask: &remit_domain::approval::Ask| {
            let by: Vec<_> = ask.approvers.iter().map(ToString::to_string).collect();
            let quorum = if ask.quorum == 1 {
                String::new()
            } else {
                format!(" quorum {}", ask.quorum)
            };
            let standing = if ask.standing { " standing" } else { "" };
            let waives = if ask.waives_four_eyes {
                " waives four eyes"
            } else {
                ""
            };
            format!(
                "{} by {}{quorum}{standing}{waives}",
                ask.policy,
                by.join(",")
            )
        };
        same(
            "asks",
            &case.asks,
            &asks.iter().map(line).collect::<Vec<_>>(),
        )?;
    }
    if let Some(says) = &case.says {
        let said = decision.reasons.iter().any(|r| r.text.contains(says));
        same("says", &true, &said).map_err(|e| format!("{e}: {:?}", decision.reasons))?;
    }
    if let Some(grant) = &case.grant {
        same(
            "grant",
            &Some(grant),
            &decision.grant.as_ref().map(ToString::to_string).as_ref(),
        )?;
    }
    if let Some(reserves) = &case.reserves {
        let found: BTreeMap<_, _> = decision
            .reserve
            .iter()
            .map(|r| (r.key.clone(), r.amount))
            .collect();
        same("reserves", reserves, &found)?;
    }
    Ok(())
}

#[test]
fn every_table_decides_as_it_says() {
    let base: Value = serde_saphyr::from_str(&read("base.yaml")).unwrap();
    let tools = tools(&base);
    let tools: Vec<_> = tools.iter().collect();
    let (mut cases, mut wrong) = (0, Vec::new());
    for name in [
        "guardrails",
        "tiers",
        "bounds",
        "chains",
        "policies",
        "flow",
    ] {
        let table: Table = serde_saphyr::from_str(&read(&format!("cases/{name}.yaml")))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let sets: Vec<_> = table
            .policies
            .iter()
            .map(|(name, text)| PolicySource { name, text })
            .collect();
        let engine = Engine::compile(&tools, &sets).unwrap_or_else(|e| panic!("{name}: {e}"));
        for case in &table.cases {
            let (fixed, dynamic) = facts(&base, case);
            let decision = engine.decide(Facts {
                fixed: &fixed,
                dynamic: &dynamic,
            });
            wrong.extend(check(case, &decision).err());
            let prepared = engine.prepare(fixed.into());
            assert_eq!(
                engine.decide_prepared(&prepared, &dynamic),
                decision,
                "{}: prepared",
                case.name
            );
            cases += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 60, "only {cases} cases were found");
}
