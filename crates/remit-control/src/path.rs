//! Privileged paths: what an agent can put together through its tools and those it may delegate to, and what stops it.

use std::collections::BTreeSet;
use std::sync::Arc;

use remit_books::Change;
use remit_books::facts::fixed_facts;
use remit_domain::finding::FindingKind;
use remit_domain::name::Name;
use remit_domain::tool::{Classification, Effect, ToolRef, is_regulated};
use remit_domain::{Agent, Registry, Timestamp, Workflow, WorkflowId};
use remit_policy::{Decision, Dynamic, Engine, Facts, Outcome};
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::{entitled, no_engine, who};
use crate::error::not_found;
use crate::{Caller, Control, ControlError};

/// Most workflows that are followed from one agent.
const WORKFLOWS_MAX: usize = 500;
/// Most paths that are told.
const PATHS_MAX: usize = 500;

/// One combination that no single tool has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccessPath {
    /// What sort: `exfiltration` (regulated data, then a way out), `lethal-trifecta` (regulated data and content nobody
    /// vouches for, then a way out), `injected-effect` (such content, then an effect beyond drafting) or `escalation` (an
    /// effect that the agent itself is not granted, through another one).
    pub sort: &'static str,
    /// The calls in order, as `agent/workflow: upstream/tool`.
    pub steps: Vec<String>,
    /// What the last one would be decided: `allow`, `ask` or `deny`.
    pub last: &'static str,
    /// Policies that stop it, or ask; empty where nothing does.
    pub stopped_by: Vec<String>,
    /// Whether nothing stands against it, so that a finding was opened.
    pub is_open: bool,
}

/// A tool that can be reached.
struct Reach {
    place: String,
    own: bool,
    workflow: Arc<Workflow>,
    agent: Arc<Agent>,
    tool: ToolRef,
    classification: Classification,
}

impl Control {
    /// Privileged combinations that an agent can reach in one tree of runs, each with the policy that stops it. Where nothing
    /// does, and `record` is set, a finding opens.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`; `denied` while policies do not compile.
    pub async fn access_paths(
        &self,
        caller: &Caller,
        agent: &Name,
        record: bool,
    ) -> Result<Vec<AccessPath>, ControlError> {
        caller.person()?;
        let (id, paths) = {
            let book = self.book(&caller.org)?;
            let engine = book.engine().ok_or_else(no_engine)?;
            let registry = book.registry();
            let agent = registry
                .agent_named(agent.as_str())
                .ok_or_else(|| not_found("agent", agent))?;
            let reached = reach(&registry, agent);
            let now = self.books.now();
            (agent.id.clone(), paths(&registry, &engine, &reached, now))
        };
        let open: Vec<_> = paths.iter().filter(|p| p.is_open).collect();
        if record && !open.is_empty() {
            let text = format!(
                "{} privileged combinations are open to this agent, such as {}",
                open.len(),
                open.first()
                    .map(|p| p.steps.join(" then "))
                    .unwrap_or_default()
            );
            let change: Change = self
                .opening(caller, FindingKind::PrivilegedPath, id.as_str(), text)
                .await?;
            self.books.commit(&caller.org, change).await?;
        }
        Ok(paths)
    }
}

/// Every granted tool of the agent's workflows and of those they may spawn, however far.
fn reach(registry: &Registry, agent: &Arc<Agent>) -> Vec<Reach> {
    let mut seen: BTreeSet<WorkflowId> = BTreeSet::new();
    let mut next: Vec<Arc<Workflow>> = registry
        .workflows_of(&agent.id)
        .into_iter()
        .cloned()
        .collect();
    let mut out = Vec::new();
    while let Some(workflow) = next.pop() {
        if seen.len() >= WORKFLOWS_MAX || !seen.insert(workflow.id.clone()) {
            continue;
        }
        let Some(owner) = registry.agents.get(&workflow.agent) else {
            continue;
        };
        let spawned = workflow.spawnable.iter();
        next.extend(spawned.filter_map(|id| registry.workflows.get(id).cloned()));
        let tools: BTreeSet<&ToolRef> = workflow.grants.iter().map(|g| &g.tool).collect();
        for tool in tools {
            let classified = registry
                .tools
                .get(tool)
                .and_then(|t| t.classification.clone());
            out.extend(classified.map(|classification| Reach {
                place: format!("{}/{}", owner.name, workflow.name),
                own: owner.id == agent.id,
                workflow: Arc::clone(&workflow),
                agent: Arc::clone(owner),
                tool: tool.clone(),
                classification,
            }));
        }
    }
    out.sort_by(|a, b| (&a.place, &a.tool).cmp(&(&b.place, &b.tool)));
    out
}

fn is_out(c: &Classification) -> bool {
    c.external || c.effect == Effect::External
}

fn is_mild(c: &Classification) -> bool {
    matches!(c.effect, Effect::Read | Effect::Draft) && !is_out(c)
}

fn paths(registry: &Registry, engine: &Engine, all: &[Reach], now: Timestamp) -> Vec<AccessPath> {
    let mut out = Vec::new();
    // A source that cannot be called raises nothing.
    let can: Vec<&Reach> = all
        .iter()
        .filter(|r| {
            decide(registry, engine, r, &BTreeSet::new(), now).is_some_and(|d| !d.is_deny())
        })
        .collect();
    let none = BTreeSet::new();
    let own = registry
        .organization
        .as_ref()
        .map_or(&none, |o| &o.regulated);
    let regulated = |r: &&&Reach| {
        r.classification
            .data_classes
            .iter()
            .any(|c| is_regulated(c.as_str(), own))
    };
    let private: Vec<&&Reach> = can.iter().filter(regulated).collect();
    let untrusted: Vec<&&Reach> = can
        .iter()
        .filter(|r| r.classification.untrusted_content)
        .collect();
    for sink in all {
        let mut tell = |sort, sources: &[&Reach]| {
            let labels = sources
                .iter()
                .flat_map(|s| remit_policy::labels::kinds(&s.classification));
            let decision = decide(registry, engine, sink, &labels.collect(), now);
            out.extend(decision.map(|d| path(sort, sources, sink, &d)));
        };
        if is_out(&sink.classification) {
            for (source, content) in each(&private, &untrusted) {
                match content {
                    Some(content) if content.tool != source.tool => {
                        tell("lethal-trifecta", &[content, source])
                    }
                    _ => tell("exfiltration", &[source]),
                }
            }
        } else if !is_mild(&sink.classification)
            && let Some(content) = untrusted.first()
        {
            tell("injected-effect", &[content]);
        }
        if !sink.own
            && !is_mild(&sink.classification)
            && !all.iter().any(|r| r.own && r.tool == sink.tool)
        {
            tell("escalation", &[]);
        }
    }
    out.sort_by(|a, b| (!a.is_open, a.sort, &a.steps).cmp(&(!b.is_open, b.sort, &b.steps)));
    out.dedup();
    out.truncate(PATHS_MAX);
    out
}

/// Each private source, alone and with the first content that nobody vouches for.
fn each<'a>(
    private: &'a [&&'a Reach],
    untrusted: &'a [&&'a Reach],
) -> impl Iterator<Item = (&'a Reach, Option<&'a Reach>)> {
    private.iter().flat_map(move |source| {
        let alone = std::iter::once((**source as &Reach, None));
        alone.chain(
            untrusted
                .first()
                .map(|c| (**source as &Reach, Some(**c as &Reach))),
        )
    })
}

fn path(sort: &'static str, sources: &[&Reach], sink: &Reach, decision: &Decision) -> AccessPath {
    let step = |r: &Reach| format!("{}: {}", r.place, r.tool);
    let steps = sources.iter().copied().chain([sink]).map(step).collect();
    let is_open = decision.outcome == Outcome::Allow;
    AccessPath {
        sort,
        steps,
        last: decision.outcome.as_str(),
        stopped_by: if is_open {
            Vec::new()
        } else {
            decision.policies.clone()
        },
        is_open,
    }
}

/// What a call in a run with these labels would be decided, whatever its arguments.
fn decide(
    registry: &Registry,
    engine: &Engine,
    reach: &Reach,
    labels: &BTreeSet<String>,
    now: Timestamp,
) -> Option<Decision> {
    let who = who(&reach.agent, &reach.workflow, None, Default::default(), now);
    let mut fixed = fixed_facts(registry, &who, &reach.tool)?;
    entitled(registry, &reach.agent, &mut fixed, now);
    let dynamic = Dynamic {
        labels: labels.clone(),
        trust: fixed.trust_within_reach(),
        ..Dynamic::at(now)
    };
    Some(engine.decide_without_args(Facts {
        fixed: &fixed,
        dynamic: &dynamic,
    }))
}
