//! Least privilege from observed use: what a workflow is granted and never used, and bounds that what it used keeps.
//!
//! A suggestion only narrows, by construction and by looking again: every grant of it is one that is there, with the same
//! limits and more bounds. It breaks nothing seen: every recorded call is decided again with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use remit_domain::bounds::{ArgPath, Bound, Bounds, Decimal};
use remit_domain::tool::ToolRef;
use remit_domain::workflow::Grant;
use remit_domain::{DecisionId, GrantId, Timestamp};
use remit_policy::{Facts, Fixed};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::agent::named;
use crate::error::not_found;
use crate::simulate::{DECISIONS_MAX, Past, Recording};
use crate::spec::{GrantSpec, WorkflowRef, WorkflowSpec};
use crate::{Caller, Control, ControlError};

/// Most different values that become a list; more are free text.
const VALUES_MAX: usize = 16;
/// Fewest calls from which bounds are made: one call is no habit.
const CALLS_MIN: usize = 3;

/// A narrower workflow, and what it rests on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Suggestion {
    /// Which workflow.
    pub workflow: String,
    /// Recorded calls it rests on.
    pub calls: usize,
    /// Since when.
    pub since: Timestamp,
    /// What changes, one line each.
    pub changes: Vec<String>,
    /// The workflow as it would be.
    pub spec: WorkflowSpec,
    /// Whether every grant of it is one that is there, with the same limits and the same bounds or more.
    pub only_narrows: bool,
    /// Recorded calls that were allowed or asked, decided again with it: those that come out otherwise. Must be empty.
    pub breaks: Vec<DecisionId>,
    /// Recorded calls that were decided again with it.
    pub replayed: usize,
}

impl Control {
    /// A narrower workflow from what it was used for.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`; when the store cannot be read.
    pub async fn suggest(
        &self,
        caller: &Caller,
        workflow: &WorkflowRef,
        since_secs: i64,
    ) -> Result<Suggestion, ControlError> {
        caller.person()?;
        let since = self
            .books
            .now()
            .plus_secs(-since_secs.clamp(1, 400 * 86_400));
        let recording = self.recording(&caller.org, since, DECISIONS_MAX).await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let agent = named(&registry, &workflow.agent)?;
        let found = registry
            .workflow_named(&agent.id, workflow.workflow.as_str())
            .ok_or_else(|| not_found("workflow", workflow))?;
        let mine: Vec<&Arc<Past>> = recording
            .past
            .iter()
            .filter(|p| p.fixed.workflow.id == found.id && !p.decision.is_deny())
            .collect();
        let (grants, changes) = narrowed(&found.grants, &mine);
        let (replayed, breaks) = replay(&recording, &mine, &grants)?;
        let mut spec = WorkflowSpec::of(&registry, found);
        spec.grants = grants.iter().map(GrantSpec::of).collect();
        Ok(Suggestion {
            workflow: workflow.to_string(),
            calls: mine.len(),
            since,
            changes,
            spec,
            only_narrows: narrows(&found.grants, &grants),
            breaks,
            replayed,
        })
    }
}

/// The grants that were used, with bounds that what was used keeps; and what changes.
fn narrowed(grants: &[Grant], used: &[&Arc<Past>]) -> (Vec<Grant>, Vec<String>) {
    let mut by_grant: BTreeMap<&GrantId, Vec<&Value>> = BTreeMap::new();
    for past in used {
        if let Some(grant) = &past.decision.grant {
            by_grant.entry(grant).or_default().push(&past.dynamic.args);
        }
    }
    let (mut out, mut changes) = (Vec::new(), Vec::new());
    for grant in grants {
        let Some(calls) = by_grant.get(&grant.id) else {
            changes.push(format!("- {}: not used since; take it back", grant.tool));
            continue;
        };
        let mut grant = grant.clone();
        for (path, bound) in observed(calls) {
            if grant.bounds.0.contains_key(&path) {
                continue;
            }
            let json = serde_json::to_string(&bound).unwrap_or_default();
            changes.push(format!(
                "+ {}: argument {path} {json} ({} calls)",
                grant.tool,
                calls.len()
            ));
            grant.bounds.0.insert(path, vec![bound]);
        }
        out.push(grant);
    }
    (out, changes)
}

/// Bounds on the top-level arguments that every call kept.
fn observed(calls: &[&Value]) -> BTreeMap<ArgPath, Bound> {
    let mut out = BTreeMap::new();
    if calls.len() < CALLS_MIN {
        return out;
    }
    let names: BTreeSet<&String> = calls
        .iter()
        .filter_map(|c| c.as_object())
        .flat_map(|o| o.keys())
        .collect();
    for name in names {
        let values: Option<Vec<&Value>> = calls.iter().map(|c| c.get(name)).collect();
        // A missing argument fails its bound: only what every call named is bounded.
        let (Some(values), Ok(path)) = (values, name.parse::<ArgPath>()) else {
            continue;
        };
        out.extend(bound(&values).map(|bound| (path, bound)));
    }
    out
}

fn bound(values: &[&Value]) -> Option<Bound> {
    if values.iter().all(|v| v.is_i64()) {
        let numbers = || values.iter().filter_map(|v| v.as_i64());
        return Some(Bound::Integer {
            min: numbers().min(),
            max: numbers().max(),
        });
    }
    if values.iter().all(|v| v.is_number()) {
        let numbers: Option<Vec<Decimal>> =
            values.iter().map(|v| Decimal::from_json(v).ok()).collect();
        let numbers = numbers?;
        return Some(Bound::Decimal {
            min: numbers.iter().min().copied(),
            max: numbers.iter().max().copied(),
        });
    }
    let words: Option<BTreeSet<&str>> = values.iter().map(|v| v.as_str()).collect();
    let words = words?;
    // As many values as calls is an identifier, which the next call will not repeat.
    (words.len() <= VALUES_MAX && words.len() * 2 <= values.len())
        .then(|| Bound::OneOf(words.into_iter().map(Value::from).collect()))
}

/// Whether every grant is one that was there, with the same limits, and bounds that hold all of the earlier ones.
fn narrows(before: &[Grant], after: &[Grant]) -> bool {
    let kept =
        |old: &Bounds, new: &Bounds| old.0.iter().all(|(path, b)| new.0.get(path) == Some(b));
    after.iter().all(|new| {
        before.iter().any(|old| {
            old.id == new.id
                && old.tool == new.tool
                && old.limits == new.limits
                && old.expires == new.expires
                && old.autonomy == new.autonomy
                && kept(&old.bounds, &new.bounds)
        })
    })
}

/// Decides every call again with the narrower grants, under the policies of its own time.
fn replay(
    recording: &Recording,
    used: &[&Arc<Past>],
    grants: &[Grant],
) -> Result<(usize, Vec<DecisionId>), ControlError> {
    let mut engines = BTreeMap::new();
    let mut breaks = Vec::new();
    for past in used {
        let version = past.engine.as_str();
        if !engines.contains_key(version) {
            let Some(sources) = recording.sources.get(version) else {
                continue;
            };
            engines.insert(version, sources.compile().map_err(ControlError::Policy)?);
        }
        let Some(engine) = engines.get(version) else {
            continue;
        };
        let fixed = with(&past.fixed, grants);
        let again = engine.decide(Facts {
            fixed: &fixed,
            dynamic: &past.dynamic,
        });
        if again.outcome != past.decision.outcome {
            breaks.push(past.id.clone());
        }
    }
    Ok((used.len(), breaks))
}

fn with(fixed: &Fixed, grants: &[Grant]) -> Fixed {
    let tool: &ToolRef = &fixed.tool.tool;
    let mut fixed = fixed.clone();
    fixed.workflow.grants = grants.iter().filter(|g| g.tool == *tool).cloned().collect();
    fixed
}
