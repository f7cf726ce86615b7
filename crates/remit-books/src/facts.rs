//! From the registry to the facts of a decision: the slice a call touches, taken in one look.

use std::collections::BTreeSet;
use std::sync::Arc;

use remit_domain::delegation::Delegation;
use remit_domain::discovery::Discovery;
use remit_domain::freeze::Time;
use remit_domain::limit::{Quota, Subject};
use remit_domain::limits::CHAIN_DEPTH_MAX;
use remit_domain::run::{Intent, Mode};
use remit_domain::setting::{Rule, Scope};
use remit_domain::standing::Standing;
use remit_domain::system::System;
use remit_domain::ticket;
use remit_domain::tool::ToolRef;
use remit_domain::workflow::Grant;
use remit_domain::{Agent, AgentId, Person, Registry, Run, RunId, Timestamp, Workflow};
use remit_policy::Fixed;
use remit_policy::facts::{
    AgentFacts, DiscoveryFacts, Link, PersonFacts, RunFacts, SystemFacts, ToolFacts, WorkflowFacts,
};

/// Who would make a call, as what and for whom: a run that stands, or one that might be.
#[derive(Debug, Clone)]
pub struct Who {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Its workflow.
    pub workflow: Arc<Workflow>,
    /// The person at the root of the chain.
    pub person: Option<Arc<Person>>,
    /// The chain.
    pub chain: Vec<Arc<Delegation>>,
    /// First run of the tree.
    pub root: RunId,
    /// Declared purpose.
    pub intent: Intent,
    /// How the run came to be.
    pub mode: Mode,
    /// When it ends at the latest.
    pub deadline: Timestamp,
    /// When it started, and in which run; none for one that might be.
    pub run: Option<(RunId, Timestamp)>,
}

impl From<&Standing> for Who {
    fn from(s: &Standing) -> Self {
        Self {
            agent: Arc::clone(&s.agent),
            workflow: Arc::clone(&s.workflow),
            person: s.person.clone(),
            chain: s.chain.clone(),
            root: s.run.root.clone(),
            intent: s.run.intent.clone(),
            mode: s.run.mode,
            deadline: s.run.deadline,
            run: Some((s.run.id.clone(), s.run.started)),
        }
    }
}

/// The facts of a call of `tool` by `who`; none when no such tool is known.
pub fn fixed_facts(registry: &Registry, who: &Who, tool: &ToolRef) -> Option<Fixed> {
    let found = registry.tools.get(tool)?;
    let upstream = registry.upstreams.get(tool.upstream())?;
    let system = registry.systems.get(&upstream.system);
    let grants = who.workflow.grants.iter();
    let grants = grants.filter(|g| g.tool == *tool).cloned().collect();
    let fixed = Fixed {
        agent: acting_facts(registry, &who.agent),
        workflow: workflow_facts(&who.workflow, grants),
        tool: ToolFacts {
            tool: tool.clone(),
            definition_hash: found.definition.hash.clone(),
            state: found.state,
            upstream_enabled: upstream.enabled,
            classification: found.classification.clone(),
        },
        system: system.map(|s| SystemFacts {
            id: s.id.clone(),
            name: s.name.clone(),
            environment: s.environment,
            criticality: s.criticality,
            trust: s.trust(),
        }),
        person: who.person.as_ref().map(|p| person_facts(registry, p)),
        chain: who.chain.iter().map(|d| link(d)).collect(),
        run: RunFacts {
            root: who.root.clone(),
            intent: who.intent.clone(),
            mode: who.mode,
            deadline: who.deadline,
            discovery: discovery(registry, who),
        },
        regulated: registry
            .organization
            .as_ref()
            .map(|o| o.regulated.clone())
            .unwrap_or_default(),
        settings: settings(registry, who, tool),
        limits: Vec::new(),
        times: times(registry, system.map(Arc::as_ref)),
    };
    Some(Fixed {
        limits: limits(registry, &fixed),
        ..fixed
    })
}

/// How a run that only looks around is boxed in: by what it or its workflow declares, or the nearest run above that does. A
/// run that both declare is held to the smaller of each.
fn discovery(registry: &Registry, who: &Who) -> Option<DiscoveryFacts> {
    let smaller = |a: Discovery, b: Discovery| Discovery {
        secs: a.secs.min(b.secs),
        calls: a.calls.min(b.calls),
        tokens: a.tokens.min(b.tokens),
    };
    let declared = |intent: &Intent, workflow: Option<&Workflow>| {
        let both = [intent.discovery, workflow.and_then(|w| w.discovery)];
        both.into_iter().flatten().reduce(smaller)
    };
    let boxed = |over: RunId, from: Timestamp, within: Discovery| DiscoveryFacts {
        over,
        until: from.plus_secs(within.secs.into()),
        within,
    };
    let (own, started) = match &who.run {
        Some((run, started)) => (run.clone(), *started),
        None => (who.root.clone(), Timestamp::from_secs(0)),
    };
    // A run that was only narrowed from another one looks around within what is left of that.
    let narrowed = |run: &Run| run.implicit_key.is_some() && run.parent.is_some();
    let is_own = !registry.runs.get(&own).is_some_and(|run| narrowed(run));
    if let Some(within) = declared(&who.intent, Some(&who.workflow)).filter(|_| is_own) {
        return Some(match &who.run {
            Some(_) => boxed(own, started, within),
            // A run that might be has all its time before it.
            None => DiscoveryFacts {
                over: own,
                until: who.deadline,
                within,
            },
        });
    }
    let mut above = registry.runs.get(&own)?.parent.clone();
    for _ in 0..CHAIN_DEPTH_MAX {
        let run = registry.runs.get(&above?)?;
        let workflow = registry.workflows.get(&run.workflow);
        let within = declared(&run.intent, workflow.map(Arc::as_ref));
        if let Some(within) = within.filter(|_| !narrowed(run)) {
            return Some(boxed(run.id.clone(), run.started, within));
        }
        above = run.parent.clone();
    }
    None
}

/// The settings about a call, from wide to narrow.
fn settings(registry: &Registry, who: &Who, tool: &ToolRef) -> Vec<Rule> {
    if registry.settings.is_empty() {
        return Vec::new();
    }
    let person = who.person.as_ref().map(|p| &p.id);
    let scopes = Scope::of_call(who.mode, tool, person);
    let found = scopes
        .iter()
        .filter_map(|scope| registry.settings.get(&scope.key()));
    found.filter(|s| s.enabled).map(|s| s.rule()).collect()
}

/// The limits about a call, ordered by name.
fn limits(registry: &Registry, fixed: &Fixed) -> Vec<Quota> {
    if registry.limits.is_empty() {
        return Vec::new();
    }
    let agents = remit_policy::agents(fixed);
    let subject = Subject {
        agents: &agents,
        workflow: &fixed.workflow.id,
        tool: &fixed.tool.tool,
        person: fixed.person.as_ref().map(|p| &p.id),
        mode: fixed.run.mode,
        effect: fixed.tool.classification.as_ref().map(|c| c.effect),
    };
    let about = registry.limits.values();
    about
        .filter(|l| l.enabled && l.which.fits(subject))
        .map(|l| l.quota.clone())
        .collect()
}

/// The freezes and windows about a system, ordered by name.
fn times(registry: &Registry, system: Option<&System>) -> Vec<Time> {
    let system = system.map(|s| (&s.id, s.environment));
    let about = registry.freezes.values();
    about
        .filter(|f| f.enabled && f.is_about(system))
        .map(|f| f.time.clone())
        .collect()
}

/// What changes from call to call without anybody changing the registry: what is known of the run's ticket, and what is found
/// about the agent and its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// State of the ticket: `none`, `unknown`, or what was pushed.
    pub ticket: String,
    /// Kinds of the open findings.
    pub findings: BTreeSet<String>,
    /// Their greatest risk, 0 to 3.
    pub risk: u8,
}

impl Situation {
    /// As it is at `now`, for an agent with this intent, in runs of these ids.
    pub fn of(
        registry: &Registry,
        agent: &AgentId,
        intent: &Intent,
        runs: &[&RunId],
        now: Timestamp,
    ) -> Self {
        let ticket = match &intent.ticket {
            None => ticket::NONE,
            Some(id) => registry
                .tickets
                .get(id)
                .map_or(ticket::UNKNOWN, |t| t.state_at(now)),
        };
        let subjects = std::iter::once(agent.as_str()).chain(runs.iter().map(|r| r.as_str()));
        let (mut findings, mut risk) = (BTreeSet::new(), 0);
        for finding in subjects
            .filter_map(|subject| registry.findings.get(subject))
            .flat_map(|about| about.values())
        {
            findings.insert(finding.kind.as_str().to_owned());
            risk = risk.max(finding.kind.risk());
        }
        Self {
            ticket: ticket.to_owned(),
            findings,
            risk,
        }
    }
}

/// An agent, as a decision sees it.
pub(crate) fn acting_facts(registry: &Registry, agent: &Agent) -> AgentFacts {
    let living = |person| registry.people.get(person).is_some_and(|p| p.is_active());
    let profile = &agent.profile;
    AgentFacts {
        id: agent.id.clone(),
        name: agent.name.clone(),
        state: agent.state,
        tier: profile.tier,
        environment: profile.environment,
        data_classes: profile.data_classes.clone(),
        systems: profile.systems.clone(),
        enforcement: profile.enforcement,
        sponsor: profile.sponsor.clone(),
        owner_living: living(&profile.owner),
        sponsor_living: living(&profile.sponsor),
    }
}

/// A workflow, as a decision sees it, with these of its grants.
pub(crate) fn workflow_facts(workflow: &Workflow, grants: Vec<Grant>) -> WorkflowFacts {
    WorkflowFacts {
        id: workflow.id.clone(),
        name: workflow.name.clone(),
        agent: workflow.agent.clone(),
        data_classes: workflow.data_classes.clone(),
        enabled: workflow.enabled,
        attested: workflow.attestation.is_some(),
        grants,
    }
}

pub(crate) fn person_facts(registry: &Registry, person: &Person) -> PersonFacts {
    PersonFacts {
        id: person.id.clone(),
        active: person.is_active(),
        entitlements: person.entitlements.clone(),
        roles: person.roles.clone(),
        teams: person
            .teams
            .iter()
            .filter_map(|t| registry.teams.get(t))
            .map(|t| t.name.clone())
            .collect(),
    }
}

fn link(delegation: &Delegation) -> Link {
    Link {
        from: delegation.from.clone(),
        to: delegation.to.clone(),
        delegation: delegation.id.clone(),
        authority: delegation.authority.clone(),
        expires: delegation.expires,
        depth_left: delegation.depth_left,
    }
}
