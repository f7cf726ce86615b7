//! One question instead of many: does any forbid hold?
//!
//! Most calls are allowed, and Cedar pays for each policy it looks at. So the forbids of a slice are also joined into
//! one, the disjunction of their conditions, with the clause about approval left out of those that ask. It is asked
//! where nothing was found in breach, so that conditions on single breaches are left out too. Where Cedar
//! allows under that one, without an error, each condition was evaluated and none held: the answer is allow, with the
//! same permits. In every other case the slice itself is evaluated, for its reasons.

use cedar_policy::{Policy, PolicyId};
use cedar_policy_core::ast::{self, Expr, Literal, SlotEnv, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use serde_json::{Value, json};

use crate::ask::is_ask;
use crate::load::Loaded;

/// The id of the joined forbid.
pub(crate) const ANY_FORBID: &str = "guardrail/any-forbid";

/// The condition of a policy apart from its action scope and from approval, as an expression of Cedar's JSON format.
/// None where the policy has a shape that is not known here.
pub(crate) fn condition(policy: &Value) -> Option<Value> {
    let mut parts = Vec::new();
    for variable in ["principal", "resource"] {
        parts.extend(scope(variable, policy.get(variable)?)?);
    }
    for clause in policy
        .get("conditions")?
        .as_array()?
        .iter()
        .filter(|c| !is_ask(c))
    {
        let body = clause.get("body")?.clone();
        parts.push(match clause.get("kind")?.as_str()? {
            "when" => body,
            "unless" => json!({ "!": { "arg": body } }),
            _ => return None,
        });
    }
    let all = |left: Value, right: Value| json!({ "&&": { "left": left, "right": right } });
    Some(
        parts
            .into_iter()
            .reduce(all)
            .unwrap_or_else(|| json!({ "Value": true })),
    )
}

/// A scope constraint as an expression; nothing where it constrains nothing.
fn scope(variable: &str, constraint: &Value) -> Option<Option<Value>> {
    let var = json!({ "Var": variable });
    let entity =
        |constraint: &Value| Some(json!({ "Value": { "__entity": constraint.get("entity")? } }));
    let expr = match constraint.get("op")?.as_str()? {
        "All" => return Some(None),
        op @ ("==" | "in") => {
            let mut expr = serde_json::Map::new();
            expr.insert(
                op.to_owned(),
                json!({ "left": var, "right": entity(constraint)? }),
            );
            Value::Object(expr)
        }
        "is" => {
            let mut is = json!({ "left": var, "entity_type": constraint.get("entity_type")? });
            if let (Some(within), Some(is)) = (constraint.get("in"), is.as_object_mut()) {
                is.insert("in".to_owned(), entity(within)?);
            }
            json!({ "is": is })
        }
        _ => return None,
    };
    Some(Some(expr))
}

/// Whether a condition is `context.breaches.contains("…")` and nothing else: false while there are no breaches, which
/// is when the joined forbid is asked.
fn is_breach(condition: &Value) -> bool {
    let left = json!({ ".": { "left": { "Var": "context" }, "attr": "breaches" } });
    let contains = condition.get("contains");
    contains.is_some_and(|c| {
        c.get("left") == Some(&left)
            && c.get("right")
                .and_then(|r| r.get("Value"))
                .is_some_and(Value::is_string)
    })
}

/// Whether an expression looks at the call: at the context, whatever of it.
fn looks_at_call(expr: &Value) -> bool {
    match expr {
        Value::Array(items) => items.iter().any(looks_at_call),
        Value::Object(object) => {
            object.get("Var").and_then(Value::as_str) == Some("context")
                || object.values().any(looks_at_call)
        }
        _ => false,
    }
}

/// An expression that is true or false of a call, ready to be evaluated: its place in the text left out, since Cedar would
/// carry it along with each value.
#[derive(Debug)]
pub(crate) struct Condition(Expr);

impl Condition {
    /// When a policy of Cedar's JSON format holds, scope included. None where Cedar does not take it.
    fn of(policy: Value) -> Option<Self> {
        let policy = Policy::from_json(Some(PolicyId::new(ANY_FORBID)), policy).ok()?;
        let policy: &ast::Policy = policy.as_ref();
        Some(Self(policy.condition()))
    }

    /// Whether it is true. None where that cannot be said: an error, or no boolean.
    pub(crate) fn hold(&self, evaluator: &Evaluator<'_>) -> Option<bool> {
        let value = evaluator.interpret(&self.0, &SlotEnv::new()).ok()?;
        match value.value {
            ValueKind::Lit(Literal::Bool(holds)) => Some(holds),
            _ => None,
        }
    }
}

/// The policies of a slice, good for calls without breaches.
#[derive(Debug)]
pub(crate) struct Quick {
    /// The permits, by position in the list of policies.
    pub(crate) permits: Vec<(usize, Condition)>,
    /// Every forbid as one; none where there are none.
    pub(crate) all: Option<Condition>,
    /// As one the forbids that look at the call. Good where none of the others holds.
    pub(crate) of_call: Option<Condition>,
    /// The forbids that look at nothing but the principal, the action and the resource, as one: found out once for each
    /// registry slice, whatever the call.
    pub(crate) of_slice: Option<Condition>,
}

impl Quick {
    /// None where a policy has a shape that is not known here.
    pub(crate) fn of(policies: &[Loaded], at: &[usize]) -> Option<Self> {
        let chosen = at.iter().filter_map(|at| Some((*at, policies.get(*at)?)));
        let (forbids, permits): (Vec<_>, Vec<_>) = chosen.partition(|(_, l)| l.is_forbid());
        let permit =
            |(at, l): (usize, &Loaded)| Some((at, Condition::of(l.policy.to_json().ok()?)?));
        let conditions = forbids.iter().map(|(_, l)| l.condition.clone());
        let mut conditions = conditions.collect::<Option<Vec<_>>>()?;
        conditions.retain(|c| !is_breach(c));
        let (of_call, of_slice): (Vec<_>, Vec<_>) =
            conditions.iter().cloned().partition(looks_at_call);
        Some(Self {
            permits: permits.into_iter().map(permit).collect::<Option<_>>()?,
            all: join(conditions)?,
            of_call: join(of_call)?,
            of_slice: join(of_slice)?,
        })
    }
}

/// The disjunction of these conditions, Some(None) where there are none; None where Cedar does not take it.
fn join(mut conditions: Vec<Value>) -> Option<Option<Condition>> {
    // A balanced tree, so that Cedar's limit on depth is far away however many policies there are.
    while conditions.len() > 1 {
        let mut pairs = conditions.into_iter();
        let mut joined = Vec::new();
        while let Some(left) = pairs.next() {
            joined.push(match pairs.next() {
                Some(right) => json!({ "||": { "left": left, "right": right } }),
                None => left,
            });
        }
        conditions = joined;
    }
    let any = json!({ "op": "All" });
    match conditions.pop() {
        None => Some(None),
        Some(body) => Condition::of(json!({
            "effect": "forbid", "principal": any, "action": any, "resource": any,
            "conditions": [{ "kind": "when", "body": body }],
        }))
        .map(Some),
    }
}
