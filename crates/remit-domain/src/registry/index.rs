//! Orders of a registry: what a page of a list, or everything of one agent or person, is found by without looking at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::name::Name;
use crate::{Agent, AgentId, PersonId, WorkflowId};

/// The orders. Every method that changes one is called by [`Registry::apply`](super::Registry::apply) alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Agents by state, then by name.
    agents: BTreeMap<&'static str, BTreeMap<Name, Arc<Agent>>>,
    /// Agents that a person owns or sponsors.
    answered: HashMap<PersonId, BTreeSet<Name>>,
    /// Thumbprints of an agent's keys.
    keys: HashMap<AgentId, BTreeSet<String>>,
    /// Workflows of an agent, by name.
    workflows: HashMap<AgentId, BTreeMap<Name, WorkflowId>>,
}

impl Index {
    pub(super) fn agent(&mut self, before: Option<&Agent>, now: &Arc<Agent>) {
        if let Some(old) = before {
            if let Some(of) = self.agents.get_mut(old.state.as_str()) {
                of.remove(&old.name);
            }
            for person in [&old.profile.owner, &old.profile.sponsor] {
                if let Some(of) = self.answered.get_mut(person) {
                    of.remove(&old.name);
                }
            }
        }
        let of = self.agents.entry(now.state.as_str()).or_default();
        of.insert(now.name.clone(), Arc::clone(now));
        for person in [&now.profile.owner, &now.profile.sponsor] {
            let of = self.answered.entry(person.clone()).or_default();
            of.insert(now.name.clone());
        }
    }

    pub(super) fn key(&mut self, agent: &AgentId, thumbprint: &str) {
        let of = self.keys.entry(agent.clone()).or_default();
        of.insert(thumbprint.to_owned());
    }

    pub(super) fn workflow(&mut self, agent: &AgentId, name: &Name, id: &WorkflowId) {
        let of = self.workflows.entry(agent.clone()).or_default();
        of.insert(name.clone(), id.clone());
    }

    pub(super) fn agents_after(
        &self,
        state: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Arc<Agent>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found: Vec<Arc<Agent>> = self
            .agents
            .iter()
            .filter(|(is, _)| state.is_none_or(|wanted| wanted == **is))
            .flat_map(|(_, of)| of.range::<str, _>((from, Bound::Unbounded)).take(limit))
            .map(|(_, agent)| Arc::clone(agent))
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.truncate(limit);
        found
    }

    pub(super) fn agent_states(&self) -> BTreeMap<&'static str, usize> {
        let counts = self.agents.iter().map(|(state, of)| (*state, of.len()));
        counts.filter(|(_, n)| *n > 0).collect()
    }

    pub(super) fn answered_by(&self, person: &PersonId) -> impl Iterator<Item = &Name> {
        self.answered.get(person).into_iter().flatten()
    }

    pub(super) fn keys_of(&self, agent: &AgentId) -> impl Iterator<Item = &String> {
        self.keys.get(agent).into_iter().flatten()
    }

    pub(super) fn workflows_of(&self, agent: &AgentId) -> impl Iterator<Item = &WorkflowId> {
        self.workflows
            .get(agent)
            .into_iter()
            .flat_map(BTreeMap::values)
    }
}
