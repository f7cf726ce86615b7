//! Agents, as a directory sees them: it reads which there are, and stops one. It registers and activates none: people do, who
//! answer for them.

use std::sync::Arc;

use remit_domain::agent::AgentState;
use remit_domain::name::Name;
use remit_domain::{Agent, AgentId, Kind, Noun, PersonId, RefusalCode, Registry};

use super::DirectoryCaller;
use crate::error::not_found;
use crate::{Control, ControlError, names, refuse};

/// An agent, as a directory sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryAgent {
    /// Opaque id.
    pub id: AgentId,
    /// Revision.
    pub revision: u64,
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub purpose: String,
    /// Whether it may act.
    pub active: bool,
    /// Owner and sponsor: id and address.
    pub owners: Vec<(PersonId, String)>,
}

impl Control {
    /// Agents that are not retired, in the order of their making.
    ///
    /// # Errors
    /// `forbidden` for a revoked directory.
    pub fn directory_agents(
        &self,
        by: &DirectoryCaller,
    ) -> Result<Vec<DirectoryAgent>, ControlError> {
        self.directory(by, |registry, _| {
            let living = registry.agents.values().filter(|a| is_here(a));
            let mut all: Vec<_> = living.map(|a| view(registry, a)).collect();
            all.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(all)
        })
    }

    /// One of them.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for a revoked directory.
    pub fn directory_agent(
        &self,
        by: &DirectoryCaller,
        id: &str,
    ) -> Result<DirectoryAgent, ControlError> {
        self.directory(by, |registry, _| Ok(view(registry, &*found(registry, id)?)))
    }

    /// Suspends an agent: its runs end at once, with their tokens. One that is not active stays as it is.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for a revoked directory.
    pub async fn stop_directory_agent(
        &self,
        by: &DirectoryCaller,
        id: &str,
    ) -> Result<DirectoryAgent, ControlError> {
        let agent = self.directory(by, |registry, _| found(registry, id))?;
        if agent.state == AgentState::Active {
            let may = |_: &Agent| self.directory(by, |_, _| Ok(()));
            let reason = "the directory set it to not active";
            let to = AgentState::Suspended;
            let caller = by.caller();
            let stopped = self.stop_whom(&caller, &agent.name, reason, to, may);
            match stopped.await {
                // Somebody else stopped it at this moment.
                Err(error) if error.code() == Some(RefusalCode::Conflict) => {}
                other => drop(other?),
            }
        }
        let now = self.directory_agent(by, id)?;
        if now.active {
            let text = "it could not be stopped; repeat";
            return Err(refuse(RefusalCode::Conflict, text));
        }
        Ok(now)
    }
}

fn is_here(agent: &Agent) -> bool {
    agent.state != AgentState::Retired
}

fn found(registry: &Registry, id: &str) -> Result<Arc<Agent>, ControlError> {
    let id = id.parse::<AgentId>().ok();
    id.and_then(|id| registry.agents.get(&id))
        .filter(|a| is_here(a))
        .cloned()
        .ok_or_else(|| not_found("agent", "of that id"))
}

fn view(registry: &Registry, agent: &Agent) -> DirectoryAgent {
    let mut owners = vec![agent.profile.owner.clone(), agent.profile.sponsor.clone()];
    owners.dedup();
    DirectoryAgent {
        id: agent.id.clone(),
        revision: registry.revision(Kind::Agent, &agent.key()).unwrap_or(0),
        name: agent.name.clone(),
        purpose: agent.profile.purpose.clone(),
        active: agent.state == AgentState::Active,
        owners: owners
            .into_iter()
            .map(|id| {
                let name = names::person(registry, &id);
                (id, name)
            })
            .collect(),
    }
}
