//! What a delegation narrows to: whether it can hold at all, and how it reads.

use remit_domain::authority::Authority;
use remit_domain::bounds::{Bound, Bounds};
use remit_domain::limits::LIST_MAX;
use remit_domain::{RefusalCode, Registry, Timestamp, Workflow};

use crate::{ControlError, refuse};

/// Longest name of a target object, in bytes.
const TARGET_BYTES_MAX: usize = 256;

/// Refuses a narrowing that leaves nothing or is too large; a mistake is better told now than at the first call.
///
/// # Errors
/// `invalid-request`.
pub(super) fn check(
    registry: &Registry,
    workflow: &Workflow,
    authority: &Authority,
    now: Timestamp,
) -> Result<(), ControlError> {
    let wrong = |text: String| Err(refuse(RefusalCode::InvalidRequest, text));
    let sizes = [
        authority
            .tools
            .as_ref()
            .map_or(0, std::collections::BTreeMap::len),
        authority
            .effects
            .as_ref()
            .map_or(0, std::collections::BTreeSet::len),
        authority
            .data_classes
            .as_ref()
            .map_or(0, std::collections::BTreeSet::len),
        authority
            .targets
            .as_ref()
            .map_or(0, std::collections::BTreeMap::len),
    ];
    let targets = authority
        .targets
        .iter()
        .flat_map(std::collections::BTreeMap::values);
    if sizes
        .into_iter()
        .chain(targets.map(std::collections::BTreeSet::len))
        .any(|n| n > LIST_MAX)
    {
        return wrong(format!(
            "a list of the authority has more than {LIST_MAX} members"
        ));
    }
    let names = authority
        .targets
        .iter()
        .flat_map(std::collections::BTreeMap::values)
        .flatten();
    if names
        .into_iter()
        .any(|name| name.is_empty() || name.len() > TARGET_BYTES_MAX)
    {
        return wrong(format!(
            "a target of the authority is empty or has more than {TARGET_BYTES_MAX} bytes"
        ));
    }
    for (tool, bounds) in authority.tools.iter().flatten() {
        if !registry.tools.contains_key(tool) {
            return wrong(format!("tool `{tool}` is not registered here"));
        }
        if workflow.grants_of(tool, now).next().is_none() {
            return wrong(format!(
                "tool `{tool}` is not granted to workflow `{}`, so nothing would be delegated",
                workflow.name
            ));
        }
        if bounds.0.len() > LIST_MAX || bounds.0.values().any(|b| b.len() > LIST_MAX) {
            return wrong(format!(
                "the bounds of tool `{tool}` have more than {LIST_MAX} members"
            ));
        }
    }
    if let Some(until) = authority.until.filter(|until| *until <= now) {
        return wrong(format!("authority.until `{until}` is past"));
    }
    Ok(())
}

/// What an authority leaves, one line each; empty when it narrows nothing.
pub(crate) fn lines(authority: &Authority) -> Vec<String> {
    let mut out = Vec::new();
    for (tool, bounds) in authority.tools.iter().flatten() {
        out.push(format!("tool {tool}{}", bounds_text(bounds)));
    }
    if authority
        .tools
        .as_ref()
        .is_some_and(std::collections::BTreeMap::is_empty)
    {
        out.push("no tool".to_owned());
    }
    if let Some(effects) = &authority.effects {
        out.push(format!(
            "effects {}",
            join(effects.iter().map(|e| e.as_str().to_owned()))
        ));
    }
    if let Some(classes) = &authority.data_classes {
        out.push(format!(
            "data classes {}",
            join(classes.iter().map(ToString::to_string))
        ));
    }
    for (kind, objects) in authority.targets.iter().flatten() {
        out.push(format!("{kind} {}", join(objects.iter().cloned())));
    }
    if let Some(until) = authority.until {
        out.push(format!("until {until}"));
    }
    out
}

fn join(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

/// Bounds in words: ` with amount 0..50, order one of "A-118"`; empty for none.
pub(crate) fn bounds_text(bounds: &Bounds) -> String {
    let each: Vec<String> = bounds
        .0
        .iter()
        .flat_map(|(path, bounds)| {
            bounds
                .iter()
                .map(move |b| format!("{path} {}", bound_text(b)))
        })
        .collect();
    if each.is_empty() {
        String::new()
    } else {
        format!(" with {}", each.join(", "))
    }
}

fn bound_text(bound: &Bound) -> String {
    fn range<T: std::fmt::Display>(min: Option<&T>, max: Option<&T>) -> String {
        let end = |e: Option<&T>| e.map(ToString::to_string).unwrap_or_default();
        format!("{}..{}", end(min), end(max))
    }
    match bound {
        Bound::OneOf(values) => format!("one of {}", join(values.iter().map(ToString::to_string))),
        Bound::Integer { min, max } => range(min.as_ref(), max.as_ref()),
        Bound::Decimal { min, max } => range(min.as_ref(), max.as_ref()),
        Bound::Prefix { prefix, .. } => format!("within {prefix}"),
        Bound::Length { max } => format!("at most {max} long"),
    }
}
