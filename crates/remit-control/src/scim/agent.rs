//! Agents, as a directory sees them: it registers them as drafts, reads which there are, and stops one. It activates none and
//! gives none anything: people do, who answer for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use remit_books::Change;
use remit_domain::agent::{AgentState, Enforcement, Tier};
use remit_domain::directory::DRAFTS_MAX;
use remit_domain::event::EventKind;
use remit_domain::name::{Email, Name};
use remit_domain::system::Environment;
use remit_domain::{Agent, AgentId, Kind, Noun, PersonId, RefusalCode, Registry};

use super::{DirectoryCaller, told};
use crate::agent::{agent_event, check_spec, profile};
use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::AgentSpec;
use crate::{Control, ControlError, names, refuse};

/// What a directory tells of an agent that it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTold {
    /// Its name (`agentUserName`), which never changes.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Ids of its owner and, where another person is, its sponsor.
    pub owners: Vec<String>,
}

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

    /// Registers an agent as a draft at the lowest tier, in development, without systems, data classes, keys or workflows:
    /// people give it those, and activate it.
    ///
    /// # Errors
    /// `conflict` for a name that is or was an agent's; `invalid-request`, also for owners who are not here; `limit-exceeded`
    /// while [`DRAFTS_MAX`] drafts wait for people; `forbidden` for a revoked directory.
    pub async fn make_directory_agent(
        &self,
        by: &DirectoryCaller,
        new: &AgentTold,
    ) -> Result<DirectoryAgent, ControlError> {
        told("agentUserName", &new.name)?;
        let name: Name = new
            .name
            .parse()
            .map_err(|e| invalid("agentUserName", format!("{e}")))?;
        let caller = by.caller();
        let plan = || async {
            let (id, draft) = self.directory(by, |registry, client| {
                if registry.agent_named(name.as_str()).is_some() {
                    let text = format!(
                        "`{name}` is or was an agent here; look it up, or give another name: names are not given twice"
                    );
                    return Err(refuse(RefusalCode::Conflict, text));
                }
                let drafts = registry.agents.values();
                let drafts = drafts.filter(|a| a.state == AgentState::Draft);
                if drafts.take(DRAFTS_MAX).count() >= DRAFTS_MAX {
                    let text = format!(
                        "{DRAFTS_MAX} drafts wait for people; they activate or retire some before a directory registers others"
                    );
                    return Err(refuse(RefusalCode::LimitExceeded, text));
                }
                let agent = Agent {
                    id: self.books.id(AgentId::from_uuid),
                    name: name.clone(),
                    profile: profile(registry, drafted(by, registry, new)?, None)?,
                    registered_by: client.made_by.clone(),
                    state: AgentState::Draft,
                    state_reason: None,
                };
                let event = |_| agent_event(self.event(&caller, EventKind::AgentRegistered), &agent);
                let draft = Draft::over(registry, None, &agent, None, event)?;
                // Written as it was read with the drafts: of two at once, one counts again.
                let revision = registry.revision(Kind::ScimClient, &client.key());
                let counted = Change::new().update(client, revision.unwrap_or(0));
                Ok((agent.id.clone(), (draft, counted)))
            })?;
            let (draft, counted) = draft;
            Ok((id, self.completed(&caller, &draft).await?.and(counted)))
        };
        let (id, _) = self.settle(&by.org, plan).await?;
        self.directory_agent(by, id.as_str())
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

/// The least that an agent can be.
fn drafted(
    by: &DirectoryCaller,
    registry: &Registry,
    new: &AgentTold,
) -> Result<AgentSpec, ControlError> {
    let (owner, sponsor) = match new.owners.as_slice() {
        [one] => (one, one),
        [owner, sponsor] => (owner, sponsor),
        _ => {
            let text = "names one or two people: who owns it, and who answers for what it is for";
            return Err(invalid("owners", text));
        }
    };
    let spec = AgentSpec {
        owner: address(by, registry, owner)?,
        sponsor: address(by, registry, sponsor)?,
        deputy: None,
        deputy_team: None,
        responsible_team: None,
        platform_team: None,
        purpose: new.purpose.clone(),
        business_process: String::new(),
        model: String::new(),
        provider: String::new(),
        runtime: String::new(),
        environment: Environment::Development,
        data_classes: BTreeSet::new(),
        systems: BTreeSet::new(),
        expected_actions: BTreeSet::new(),
        tier: Tier::LOWEST,
        review_cadence_days: 90,
        next_review: None,
        rotate_days: None,
        enforcement: Enforcement::Gateway,
    };
    check_spec(&spec)?;
    Ok(spec)
}

/// Of somebody whom this directory may tell of, and who is here: of others it learns nothing.
fn address(by: &DirectoryCaller, registry: &Registry, id: &str) -> Result<Email, ControlError> {
    let person = id.parse::<PersonId>().ok();
    let person = person.and_then(|id| registry.people.get(&id));
    let person = person.filter(|p| p.is_active() && by.tells_of(registry, p));
    person.map(|p| p.email.clone()).ok_or_else(|| {
        invalid(
            "owners",
            "holds an id of nobody here: `value` is that of a user",
        )
    })
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
