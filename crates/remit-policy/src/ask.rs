//! Asking, in the policy language: the one way in which a policy may look at `context.approved`.
//!
//! ```cedar
//! @id("large-refund") @approvers("role:approver,oncall:finance") @quorum("2") @escalate("15m role:admin")
//! forbid (principal, action == Action::"orders/refund", resource)
//! when { context.args.amount.greaterThan(decimal("50.0")) }
//! unless { context.approved };
//! ```
//! Anything else that could make a decision depend on approval is refused, on the policy's syntax tree rather than its
//! text: a comparison of the whole context, an alias of it, a test whether it has the member.

use std::collections::BTreeSet;

use remit_domain::approval::{Approvers, Ask, ESCALATIONS_MAX, Escalation};
use remit_domain::limits::APPROVAL_SECS;
use remit_domain::tool::{Classification, Effect};
use serde_json::Value;

use crate::limits::{APPROVERS_MAX, QUORUM_MAX};
use crate::schema::is_external;

/// What the annotations of an asking policy say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    approvers: BTreeSet<Approvers>,
    quorum: u8,
    standing: bool,
    waives_four_eyes: bool,
    escalate: Vec<Escalation>,
}

impl Terms {
    /// The ask of `policy` for a tool so classified. Four eyes are waived only where nothing is changed and nothing
    /// leaves (invariant 5).
    pub(crate) fn ask(&self, policy: &str, classification: &Classification) -> Ask {
        let harmless = matches!(classification.effect, Effect::Read | Effect::Draft)
            && !is_external(classification);
        Ask {
            policy: policy.to_owned(),
            approvers: self.approvers.clone(),
            quorum: self.quorum,
            standing: self.standing,
            waives_four_eyes: self.waives_four_eyes && harmless,
            escalate: self.escalate.clone(),
        }
    }
}

/// What means something only beside the clause that asks.
const IDLE_ALONE: [&str; 5] = [
    "approvers",
    "quorum",
    "escalate",
    "standing",
    "waive_four_eyes",
];

/// The terms of a policy that asks; none for one that does not. `json` is the policy in Cedar's JSON format.
///
/// # Errors
/// One line: `context.approved` is used in another way, or the annotations do not fit.
pub(crate) fn terms<'a>(
    json: &Value,
    annotation: impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<Terms>, String> {
    let none = Vec::new();
    let conditions = json
        .get("conditions")
        .and_then(Value::as_array)
        .unwrap_or(&none);
    let (asks, others): (Vec<_>, Vec<_>) = conditions.iter().partition(|c| is_ask(c));
    for condition in others {
        check(condition.get("body").unwrap_or(&Value::Null))?;
    }
    let approvers = annotation("approvers");
    if asks.is_empty() {
        let idle = IDLE_ALONE.into_iter().find(|a| annotation(a).is_some());
        return match idle {
            Some(idle) => Err(format!(
                "`@{idle}` means nothing without `unless {{ context.approved }}`: add the clause or remove it"
            )),
            None => Ok(None),
        };
    }
    if asks.len() > 1 {
        return Err("`unless { context.approved }` stands here twice: write it once".to_owned());
    }
    if json.get("effect").and_then(Value::as_str) != Some("forbid") {
        return Err(
            "only a forbid may ask: a permit that waits for approval permits nothing more"
                .to_owned(),
        );
    }
    let approvers = approvers
        .ok_or("`unless { context.approved }` needs `@approvers(\"…\")` to say who may approve")?;
    let approvers = parse_approvers(approvers)?;
    let escalate = parse_escalation(annotation("escalate"), &approvers)?;
    let all = escalate.iter().flat_map(|step| &step.approvers);
    let all = approvers.iter().chain(all).collect();
    let quorum = parse_quorum(annotation("quorum"), &all)?;
    let standing = parse_flag("standing", annotation("standing"))?;
    let waives_four_eyes = parse_flag("waive_four_eyes", annotation("waive_four_eyes"))?;
    Ok(Some(Terms {
        approvers,
        quorum,
        standing,
        waives_four_eyes,
        escalate,
    }))
}

/// Who may besides, as time runs: `15m role:admin; 30m team:leads, sponsor-manager`.
fn parse_escalation(
    text: Option<&str>,
    approvers: &BTreeSet<Approvers>,
) -> Result<Vec<Escalation>, String> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let shown: String = text.chars().take(120).collect();
    let wrong = |why: &str| {
        format!(
            "`@escalate(\"{shown}\")` {why}: write `15m role:admin; 30m team:leads`, a time and who may approve from then on"
        )
    };
    let mut steps: Vec<Escalation> = Vec::new();
    let mut known = approvers.clone();
    for step in text.split(';').map(str::trim) {
        let (after, who) = step
            .split_once(char::is_whitespace)
            .ok_or_else(|| wrong("names no time, or nobody"))?;
        let after_secs = parse_minutes(after).ok_or_else(|| {
            wrong("has a time that is not minutes or hours, such as `15m` or `1h`")
        })?;
        if i64::from(after_secs) >= APPROVAL_SECS {
            return Err(wrong(&format!(
                "comes too late: an approval waits for {} minutes",
                APPROVAL_SECS / 60
            )));
        }
        if steps.last().is_some_and(|s| s.after_secs >= after_secs) {
            return Err(wrong("is not in the order of time"));
        }
        let who = parse_approvers(who)?;
        if who.is_subset(&known) {
            return Err(wrong("adds nobody who may not approve already"));
        }
        known.extend(who.iter().cloned());
        steps.push(Escalation {
            after_secs,
            approvers: who,
        });
    }
    if steps.len() > ESCALATIONS_MAX {
        return Err(wrong(&format!("has more than {ESCALATIONS_MAX} steps")));
    }
    Ok(steps)
}

/// Seconds of `15m` or `1h`; at least a minute.
fn parse_minutes(text: &str) -> Option<u32> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits
        .parse::<u32>()
        .ok()?
        .checked_mul(unit)
        .filter(|n| *n > 0)
}

fn parse_approvers(text: &str) -> Result<BTreeSet<Approvers>, String> {
    let approvers = text
        .split(',')
        .map(|a| a.trim().parse())
        .collect::<Result<BTreeSet<Approvers>, String>>()?;
    if approvers.len() > APPROVERS_MAX {
        return Err(format!(
            "{} approvers are named, at most {APPROVERS_MAX} may be: use a team or a role",
            approvers.len()
        ));
    }
    Ok(approvers)
}

fn parse_quorum(text: Option<&str>, approvers: &BTreeSet<&Approvers>) -> Result<u8, String> {
    let Some(text) = text else { return Ok(1) };
    let quorum = text.parse().ok().filter(|q| (1..=QUORUM_MAX).contains(q));
    let quorum = quorum
        .ok_or_else(|| format!("`@quorum(\"{text}\")` is not a number from 1 to {QUORUM_MAX}"))?;
    let many = approvers.iter().any(|a| a.may_be_many());
    if !many && usize::from(quorum) > approvers.len() {
        return Err(format!(
            "`@quorum(\"{quorum}\")` can never be met: only {} may approve",
            approvers.len()
        ));
    }
    Ok(quorum)
}

fn parse_flag(name: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None => Ok(false),
        Some("") => Ok(true),
        Some(_) => Err(format!(
            "`@{name}` takes no value: write it alone, or remove it"
        )),
    }
}

/// Whether a condition is exactly `unless { context.approved }`.
pub(crate) fn is_ask(condition: &Value) -> bool {
    let body = serde_json::json!({ ".": { "left": { "Var": "context" }, "attr": "approved" } });
    condition.get("kind").and_then(Value::as_str) == Some("unless")
        && condition.get("body") == Some(&body)
}

/// Refuses an expression that can see `context.approved`: it may reach members of the context only by name.
fn check(expr: &Value) -> Result<(), String> {
    match expr {
        Value::Array(items) => items.iter().try_for_each(check),
        Value::Object(object) => {
            if is_context(expr) {
                return Err("the context as a whole cannot be used, since it holds `approved`: name a member, such as `context.args`".to_owned());
            }
            for (key, value) in object {
                if (key == "." || key == "has") && value.get("left").is_some_and(is_context) {
                    if member(value) != Some("approved") {
                        continue;
                    }
                    return Err("`context.approved` may only be used as `unless { context.approved }`, alone in its clause".to_owned());
                }
                check(value)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether an expression looks at `context.NAME`.
pub(crate) fn mentions(expr: &Value, name: &str) -> bool {
    match expr {
        Value::Array(items) => items.iter().any(|e| mentions(e, name)),
        Value::Object(object) => object.iter().any(|(key, value)| {
            let named = (key == "." || key == "has") && value.get("left").is_some_and(is_context);
            (named && member(value) == Some(name)) || mentions(value, name)
        }),
        _ => false,
    }
}

fn is_context(expr: &Value) -> bool {
    expr.get("Var").and_then(Value::as_str) == Some("context")
}

/// The first member an access names; `has` also comes with a path.
fn member(access: &Value) -> Option<&str> {
    match access.get("attr")? {
        Value::Array(path) => path.first()?.as_str(),
        attr => attr.as_str(),
    }
}
