//! What a link of a chain, an intent or a grant leaves permitted, and the check that every one of them holds.
//!
//! Safety never rests on comparing two authorities: each is checked against the call itself (invariant 4).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::bounds::Bounds;
use crate::name::Name;
use crate::tool::{Classification, DataClass, Effect, ToolRef};

/// A narrowing: absent members narrow nothing, present ones bound the call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Only these tools, each within its bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<BTreeMap<ToolRef, Bounds>>,
    /// Only these effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<BTreeSet<Effect>>,
    /// Only these data classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_classes: Option<BTreeSet<DataClass>>,
    /// Only these objects, by kind. When present, a call that changes something must name its objects and each must be
    /// listed; a call that reads must not name an unlisted object of a listed kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<BTreeMap<Name, BTreeSet<String>>>,
    /// Only until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// One call, as an authority sees it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Which tool.
    pub tool: &'a ToolRef,
    /// What an administrator declared of it.
    pub classification: &'a Classification,
    /// Canonical arguments.
    pub args: &'a Value,
    /// When.
    pub now: Timestamp,
}

impl Authority {
    /// Every way in which `attempt` is outside this authority, as one line each; empty when it is within.
    pub fn breaches(&self, attempt: Attempt<'_>) -> Vec<String> {
        let Attempt {
            tool,
            classification,
            args,
            now,
        } = attempt;
        let mut out = Vec::new();
        match self.tools.as_ref().map(|tools| tools.get(tool)) {
            Some(None) => out.push(format!("tool {tool} is not included")),
            Some(Some(bounds)) => out.extend(bounds.breaches(args).iter().map(ToString::to_string)),
            None => {}
        }
        if self
            .effects
            .as_ref()
            .is_some_and(|e| !e.contains(&classification.effect))
        {
            out.push(format!(
                "effect {} is not included",
                classification.effect.as_str()
            ));
        }
        if classification.external
            && classification.effect != Effect::External
            && self
                .effects
                .as_ref()
                .is_some_and(|e| !e.contains(&Effect::External))
        {
            out.push("it reaches outside, and effect external is not included".to_owned());
        }
        if let Some(classes) = &self.data_classes {
            let missing = classification
                .data_classes
                .iter()
                .filter(|c| !classes.contains(*c));
            out.extend(missing.map(|c| format!("data class {c} is not included")));
        }
        if let Some(targets) = &self.targets {
            out.extend(target_breaches(targets, classification, args));
        }
        if self.until.is_some_and(|until| now >= until) {
            out.push("its time has run out".to_owned());
        }
        out
    }
}

fn target_breaches(
    targets: &BTreeMap<Name, BTreeSet<String>>,
    classification: &Classification,
    args: &Value,
) -> Vec<String> {
    let reads = classification.effect == Effect::Read && !classification.external;
    let mut out = Vec::new();
    if classification.targets.is_empty() && !reads {
        out.push("the tool does not say which object it acts on".to_owned());
    }
    for (path, kind) in &classification.targets {
        let Some(listed) = targets.get(kind) else {
            if !reads {
                out.push(format!("no {kind} is a declared target"));
            }
            continue;
        };
        match path.find(args) {
            Some(named) if is_listed(named, listed) => {}
            Some(_) => out.push(format!(
                "{kind} in argument {path} is not a declared target"
            )),
            None if reads => {}
            None => out.push(format!("argument {path} does not name its {kind}")),
        }
    }
    out
}

/// Whether a target argument names objects, and listed ones only: a string or integer, or a non-empty array of them.
fn is_listed(value: &Value, listed: &BTreeSet<String>) -> bool {
    match value {
        Value::String(text) => listed.contains(text),
        Value::Number(n) if n.is_i64() || n.is_u64() => listed.contains(&n.to_string()),
        Value::Array(elements) => {
            let each = |e: &Value| !e.is_array() && is_listed(e, listed);
            !elements.is_empty() && elements.iter().all(each)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn classification(effect: Effect) -> Classification {
        serde_json::from_value(json!({ "effect": effect, "targets": { "order": "order" } }))
            .unwrap()
    }

    fn breaches(authority: Value, effect: Effect, args: Value) -> Vec<String> {
        let authority: Authority = serde_json::from_value(authority).unwrap();
        let tool = "orders/refund".parse().unwrap();
        let classification = classification(effect);
        let attempt = Attempt {
            tool: &tool,
            classification: &classification,
            args: &args,
            now: Timestamp::from_secs(10),
        };
        authority.breaches(attempt)
    }

    #[test]
    fn an_empty_authority_narrows_nothing() {
        assert!(breaches(json!({}), Effect::Purchase, json!({})).is_empty());
    }

    #[test]
    fn an_object_outside_the_intent_is_a_breach() {
        let intent = json!({ "targets": { "order": ["A-118"] } });
        assert!(
            breaches(
                intent.clone(),
                Effect::Purchase,
                json!({ "order": "A-118" })
            )
            .is_empty()
        );
        for bad in [
            json!({ "order": "A-119" }),
            json!({}),
            json!({ "order": ["A-118", "A-119"] }),
            json!({ "order": {} }),
        ] {
            assert_eq!(
                breaches(intent.clone(), Effect::Purchase, bad.clone()).len(),
                1,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_change_of_a_kind_nobody_declared_is_a_breach_and_a_read_is_not() {
        let intent = json!({ "targets": { "ticket": ["T-1"] } });
        assert_eq!(
            breaches(intent.clone(), Effect::Write, json!({ "order": "A-118" })).len(),
            1
        );
        assert!(breaches(intent, Effect::Read, json!({ "order": "A-118" })).is_empty());
    }

    #[test]
    fn time_runs_out_at_the_instant() {
        assert_eq!(
            breaches(
                json!({ "until": "1970-01-01T00:00:10Z" }),
                Effect::Read,
                json!({})
            )
            .len(),
            1
        );
        assert!(
            breaches(
                json!({ "until": "1970-01-01T00:00:11Z" }),
                Effect::Read,
                json!({})
            )
            .is_empty()
        );
    }
}
