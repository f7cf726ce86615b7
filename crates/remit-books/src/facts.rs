//! From the registry to the facts of a decision: the slice a call touches, taken in one look.

use std::sync::Arc;

use remit_domain::delegation::Delegation;
use remit_domain::run::{Intent, Mode};
use remit_domain::standing::Standing;
use remit_domain::tool::ToolRef;
use remit_domain::{Agent, Person, Registry, RunId, Timestamp, Workflow};
use remit_policy::Fixed;
use remit_policy::facts::{
    AgentFacts, Link, PersonFacts, RunFacts, SystemFacts, ToolFacts, WorkflowFacts,
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
        }
    }
}

/// The facts of a call of `tool` by `who`; none when no such tool is known.
pub fn fixed_facts(registry: &Registry, who: &Who, tool: &ToolRef) -> Option<Fixed> {
    let found = registry.tools.get(tool)?;
    let upstream = registry.upstreams.get(tool.upstream())?;
    let system = registry.systems.get(&upstream.system);
    let living = |person| registry.people.get(person).is_some_and(|p| p.is_active());
    let profile = &who.agent.profile;
    Some(Fixed {
        agent: AgentFacts {
            id: who.agent.id.clone(),
            name: who.agent.name.clone(),
            state: who.agent.state,
            tier: profile.tier,
            environment: profile.environment,
            data_classes: profile.data_classes.clone(),
            systems: profile.systems.clone(),
            enforcement: profile.enforcement,
            sponsor: profile.sponsor.clone(),
            owner_living: living(&profile.owner),
            sponsor_living: living(&profile.sponsor),
        },
        workflow: WorkflowFacts {
            id: who.workflow.id.clone(),
            name: who.workflow.name.clone(),
            agent: who.workflow.agent.clone(),
            data_classes: who.workflow.data_classes.clone(),
            enabled: who.workflow.enabled,
            grants: who
                .workflow
                .grants
                .iter()
                .filter(|g| g.tool == *tool)
                .cloned()
                .collect(),
        },
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
        }),
        person: who.person.as_ref().map(|p| person_facts(registry, p)),
        chain: who.chain.iter().map(|d| link(d)).collect(),
        run: RunFacts {
            root: who.root.clone(),
            intent: who.intent.clone(),
            mode: who.mode,
            deadline: who.deadline,
        },
    })
}

fn person_facts(registry: &Registry, person: &Person) -> PersonFacts {
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
