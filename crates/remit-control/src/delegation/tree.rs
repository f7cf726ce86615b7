//! The tree of delegations: which person stands behind which agent, hop by hop.

use remit_books::Versioned;
use remit_domain::delegation::Delegation;
use remit_domain::limits::CHAIN_DEPTH_MAX;
use remit_domain::name::{Email, Name};
use remit_domain::{AgentId, Kind, Registry, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DelegationView, view};
use crate::error::not_found;
use crate::{Caller, Control, ControlError, names};

/// Which part of the tree.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TreeFilter {
    /// Only below this person, by address.
    pub person: Option<Email>,
    /// Only chains that pass this agent, by name.
    pub agent: Option<Name>,
}

/// What one person has delegated.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PersonTree {
    /// Address.
    pub person: String,
    /// How to call them.
    pub display_name: String,
    /// Delegations that the person made.
    pub delegations: Vec<Hop>,
}

/// One hop of a chain.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Hop {
    /// The delegation; `narrows` is what this hop took away.
    #[serde(flatten)]
    pub delegation: DelegationView,
    /// Address of the agent's sponsor.
    pub sponsor: String,
    /// Seconds until it ends.
    pub expires_in: i64,
    /// Delegations cut from it.
    pub below: Vec<Hop>,
}

impl Control {
    /// Delegations that count now, as a tree: person, agents, sub-agents.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found` for a person or agent that is not here.
    pub fn delegation_tree(
        &self,
        caller: &Caller,
        wanted: &TreeFilter,
    ) -> Result<Vec<PersonTree>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let now = self.books.now();
        let agent = match &wanted.agent {
            None => None,
            Some(n) => Some(
                registry
                    .agent_named(n.as_str())
                    .ok_or_else(|| not_found("agent", n.as_str()))?
                    .id
                    .clone(),
            ),
        };
        let person = match &wanted.person {
            None => None,
            Some(e) => Some(
                registry
                    .person_named(e.as_str())
                    .ok_or_else(|| not_found("person", e.as_str()))?
                    .id
                    .clone(),
            ),
        };
        let mut people: Vec<_> = registry
            .people
            .values()
            .filter(|p| person.as_ref().is_none_or(|id| p.id == *id))
            .collect();
        people.sort_by(|a, b| a.email.cmp(&b.email));
        let mut trees = Vec::new();
        for person in people {
            let roots = registry
                .delegations
                .values()
                .filter(|d| d.parent.is_none() && d.person == person.id);
            let delegations = hops(
                &registry,
                &mut roots.map(AsRef::as_ref),
                agent.as_ref(),
                now,
                CHAIN_DEPTH_MAX,
            );
            if !delegations.is_empty() {
                trees.push(PersonTree {
                    person: person.email.to_string(),
                    display_name: person.display_name.clone(),
                    delegations,
                });
            }
        }
        Ok(trees)
    }
}

fn hops(
    registry: &Registry,
    delegations: &mut dyn Iterator<Item = &Delegation>,
    passes: Option<&AgentId>,
    now: Timestamp,
    depth: usize,
) -> Vec<Hop> {
    let mut found: Vec<&Delegation> = delegations.filter(|d| d.is_live(now)).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let Some(depth) = depth.checked_sub(1) else {
        return Vec::new();
    };
    found
        .into_iter()
        .filter_map(|d| {
            let here = passes.is_none_or(|agent| d.to == *agent);
            let mut children = registry
                .delegations
                .values()
                .filter(|c| c.parent.as_ref() == Some(&d.id))
                .map(AsRef::as_ref);
            // Below the agent that was asked for, everything counts; above it, only what leads to it.
            let below = hops(
                registry,
                &mut children,
                passes.filter(|_| !here),
                now,
                depth,
            );
            (here || !below.is_empty()).then(|| hop(registry, d, below, now))
        })
        .collect()
}

fn hop(registry: &Registry, delegation: &Delegation, below: Vec<Hop>, now: Timestamp) -> Hop {
    let revision = registry
        .revision(Kind::Delegation, delegation.id.as_str())
        .unwrap_or(0);
    let sponsor = registry
        .agents
        .get(&delegation.to)
        .map(|a| names::person(registry, &a.profile.sponsor));
    Hop {
        delegation: view(
            registry,
            &Versioned {
                noun: delegation.clone(),
                revision,
            },
            now,
        ),
        sponsor: sponsor.unwrap_or_default(),
        expires_in: delegation.expires.secs_since(now),
        below,
    }
}
