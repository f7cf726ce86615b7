//! Limits.

use std::collections::BTreeSet;

use remit_domain::Registry;
use remit_domain::bounds::{ArgPath, Decimal};
use remit_domain::limit::{Limit, Measure, Over, Per};
use remit_domain::name::{Email, Name};
use remit_domain::run::Mode;
use remit_domain::tool::{Effect, ToolRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WorkflowRef;
use super::any::{Reference, References};

/// A limit: how much may be done in a time, by whom together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    /// What is counted: `calls`, `concurrent`, or `sum`, `rows`, `tokens` with what they take.
    pub measure: Measure,
    /// The most; whole for everything but sums.
    pub max: Decimal,
    /// Over what time: any `minute`, any `hour`, the UTC `day`, or the whole tree of a `run`. Nothing for `concurrent`.
    #[serde(default = "day")]
    pub over: Over,
    /// Whose use is counted together.
    #[serde(default)]
    pub per: Per,
    /// Count apart for each value of this argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ArgPath>,
    /// Only calls of this agent, or of one that acts for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Name>,
    /// Only calls of this workflow, `agent/workflow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowRef>,
    /// Only calls of this tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolRef>,
    /// Only calls for this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Email>,
    /// Only calls of runs of this mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Only calls of tools of these effects.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub effects: BTreeSet<Effect>,
    /// Why, for people.
    pub reason: String,
    /// Whether it counts.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

fn day() -> Over {
    Over::Day
}

impl LimitSpec {
    /// As it is now; none when what it is about is not known any more.
    pub fn of(registry: &Registry, limit: &Limit) -> Option<Self> {
        let (quota, which) = (&limit.quota, &limit.which);
        let agent = |id| registry.agents.get(id).map(|a| a.name.clone());
        let workflow = |id| {
            let workflow = registry.workflows.get(id)?;
            Some(WorkflowRef {
                agent: agent(&workflow.agent)?,
                workflow: workflow.name.clone(),
            })
        };
        let person = |id| registry.people.get(id).map(|p| p.email.clone());
        Some(Self {
            measure: quota.measure.clone(),
            max: quota.max,
            over: quota.over,
            per: quota.per,
            by: quota.by.clone(),
            agent: known(which.agent.as_ref(), agent)?,
            workflow: known(which.workflow.as_ref(), workflow)?,
            tool: which.tool.clone(),
            person: known(which.person.as_ref(), person)?,
            mode: which.mode,
            effects: which.effects.clone(),
            reason: limit.reason.clone(),
            enabled: limit.enabled,
        })
    }
}

/// Nothing stays nothing; an id nobody knows is none at all.
fn known<I, N>(id: Option<I>, name: impl Fn(I) -> Option<N>) -> Option<Option<N>> {
    match id {
        None => Some(None),
        Some(id) => name(id).map(Some),
    }
}

impl References for LimitSpec {
    fn references(&self) -> Vec<Reference> {
        let agent = self.agent.iter().map(|a| Reference::agent("agent", a));
        let workflow = self.workflow.iter();
        let workflow = workflow.map(|w| Reference::workflow("workflow", w));
        let tool = self.tool.iter().map(|t| Reference::tool("tool", t));
        let person = self.person.iter().map(|p| Reference::person("person", p));
        agent.chain(workflow).chain(tool).chain(person).collect()
    }
}
