//! Lifting: a suspended or quarantined target may go on. Tokens and approvals do not come back, and a kill is never lifted.

use std::collections::BTreeSet;

use remit_books::{BooksError, Change, Ending, Versioned};
use remit_domain::agent::{Agent, AgentState};
use remit_domain::containment::{Confirmation, Containment, Level, Target};
use remit_domain::event::{Event, EventKind};
use remit_domain::run::{Run, RunEnd, RunState};
use remit_domain::vouch::{are_related, stands_behind};
use remit_domain::{
    AgentId, ContainmentId, OrgId, PersonId, Principal, RefusalCode, Registry, Role, RunId,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::ContainmentView;
use super::scope::Scope;
use super::stop_all::told_target;
use crate::delegation::{plan_end_all, topmost};
use crate::{Caller, Control, ControlError, check, refuse};

/// What lifting restored.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Restored {
    /// The containment, lifted.
    pub containment: ContainmentView,
    /// Runs that go on.
    pub runs: Vec<RunId>,
    /// Runs whose deadline passed meanwhile: they have ended.
    pub ended: Vec<RunId>,
    /// The agent's state now.
    pub agent_state: Option<&'static str>,
}

/// That somebody other than its owner lets an agent loose again, as somebody else activated it.
fn not_ones_own(
    registry: &Registry,
    caller: &Caller,
    agent: Option<&AgentId>,
) -> Result<(), ControlError> {
    let person = caller.person()?;
    let Some(agent) = agent.and_then(|id| registry.agents.get(id)) else {
        return Ok(());
    };
    let owner = &agent.profile.owner;
    if *owner != person.id && !stands_behind(registry, owner, &person.id) {
        return Ok(());
    }
    let text = format!(
        "agent `{}` is yours, or of whoever created or enrolled you; somebody else has to lift its quarantine",
        agent.name
    );
    Err(refuse(RefusalCode::Forbidden, text))
}

/// What somebody delegates is contained: they do not lift that themselves, nor does who could act as them.
fn not_of_oneself(
    registry: &Registry,
    caller: &Caller,
    person: &PersonId,
) -> Result<(), ControlError> {
    let by = &caller.person()?.id;
    if by != person && !are_related(registry, by, person) {
        return Ok(());
    }
    let text = "what is contained is what you delegate, or somebody whom you created or enrolled, or who did that for you; somebody else has to lift it";
    Err(refuse(RefusalCode::Forbidden, text))
}

impl Control {
    /// Lifts a suspension or a quarantine.
    ///
    /// # Errors
    /// `forbidden` for anyone but a responder or an administrator, and in `dual` for a quarantine of one's own agent;
    /// `conflict` for a kill, and when it was lifted before; `not-found`.
    pub async fn lift_containment(
        &self,
        caller: &Caller,
        id: &ContainmentId,
        reason: &str,
    ) -> Result<Restored, ControlError> {
        caller.require(&[Role::Responder, Role::Admin])?;
        check::said("reason", reason)?;
        let found = self.find_containment(&caller.org, id).await?.noun;
        if found.target == Target::Everything {
            let text = "the operator contained everything, and lifts it";
            return Err(refuse(RefusalCode::Forbidden, text));
        }
        if let Confirmation::Waits { .. } | Confirmation::Withdrawn { .. } = found.confirmation {
            let text = "it is not in force; one that waits is withdrawn";
            return Err(refuse(RefusalCode::Conflict, text));
        }
        if found.level == Level::Kill && !found.target.outlives_its_kill() {
            let text = "a kill is final; an agent returns with new keys and a new activation, anything else is made anew";
            return Err(refuse(RefusalCode::Conflict, text));
        }
        if let Some((at, _)) = found.lifted {
            return Err(refuse(
                RefusalCode::Conflict,
                format!("the containment was lifted at {at} already"),
            ));
        }
        let agent = self.agent_of(&caller.org, &found.target).await?;
        if self.is_dual(&caller.org)? {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            if found.level == Level::Quarantine {
                not_ones_own(&registry, caller, agent.as_ref())?;
            }
            if let Target::Person(person) = &found.target {
                not_of_oneself(&registry, caller, person)?;
            }
        }
        self.lift(&caller.org, &found, &caller.principal, reason)
            .await
    }

    /// Lifts a containment, whoever may.
    pub(super) async fn lift(
        &self,
        org: &OrgId,
        found: &Containment,
        by: &Principal,
        reason: &str,
    ) -> Result<Restored, ControlError> {
        let agent = self.agent_of(org, &found.target).await?;
        let ended = self
            .books
            .retrying(org, || self.plan_end_late(org, &found.target))
            .await?;
        let runs = self
            .books
            .retrying(org, || {
                self.plan_lift(org, &found.id, agent.as_ref(), by, reason)
            })
            .await?;
        let agent_state = {
            let book = self.book(org)?;
            let registry = book.registry();
            agent.and_then(|id| registry.agents.get(&id).map(|a| a.state.as_str()))
        };
        Ok(Restored {
            containment: self.containment_view(org, &found.id).await?,
            runs,
            ended,
            agent_state,
        })
    }

    async fn plan_lift(
        &self,
        org: &OrgId,
        id: &ContainmentId,
        agent: Option<&AgentId>,
        by: &Principal,
        reason: &str,
    ) -> Result<(Vec<RunId>, Option<Change>), BooksError> {
        let Some(Versioned { noun, revision }) =
            self.books.get::<Containment>(org, id.as_str()).await?
        else {
            return Ok((Vec::new(), None));
        };
        if noun.lifted.is_some() {
            return Ok((Vec::new(), None));
        }
        let now = self.books.now();
        let book = self
            .books
            .org(org)
            .ok_or_else(|| BooksError::NoOrganization(org.to_string()))?;
        let (scope, held) = {
            let registry = book.registry();
            (
                Scope::of(&registry, &noun.target, agent),
                held_by_others(&registry, id),
            )
        };
        let mut change = Change::new();
        let mut runs = Vec::new();
        for run in scope.runs.difference(&held) {
            let Some(found) = self.books.get::<Run>(org, run.as_str()).await? else {
                continue;
            };
            if found.noun.state != RunState::Suspended || now >= found.noun.deadline {
                continue;
            }
            change = change.update(
                &Run {
                    state: RunState::Active,
                    ..found.noun
                },
                found.revision,
            );
            runs.push(run.clone());
        }
        // A token that slipped in beside the containment does not come back either.
        let derived = self.derived(org, &scope).await?;
        let (tokens, _) = self.revoked(derived.tokens);
        change = change.and(tokens);
        if let Target::Agent(agent) = &noun.target {
            change = change.and(self.plan_agent_back(org, agent, &noun).await?);
        }
        let event = Event::new(EventKind::ContainmentLifted, now, by.clone());
        let event = match agent {
            Some(agent) => event.agent(agent),
            None => event,
        };
        let event = told_target(event, &noun.target)
            .about(id)
            .fact("level", noun.level)
            .fact("runs", runs.len())
            .content("reason", reason);
        let lifted = Containment {
            lifted: Some((now, by.clone())),
            ..noun
        };
        Ok((runs, Some(change.update(&lifted, revision).event(event))))
    }

    /// Runs whose deadline passed while they were suspended end, with what is below them.
    async fn plan_end_late(
        &self,
        org: &OrgId,
        target: &Target,
    ) -> Result<(Vec<RunId>, Option<Change>), BooksError> {
        let now = self.books.now();
        let top = match self.books.org(org) {
            Some(book) => {
                let registry = book.registry();
                let scope = Scope::of(&registry, target, None);
                topmost(&registry, |run| {
                    scope.runs.contains(&run.id) && now >= run.deadline
                })
            }
            None => Vec::new(),
        };
        if top.is_empty() {
            return Ok((Vec::new(), None));
        }
        let (ended, change) = plan_end_all(
            &self.books,
            org,
            &top,
            &Ending::because(Principal::Remit, RunEnd::Deadline),
        )
        .await?;
        Ok((ended.runs, Some(change)))
    }

    /// The agent goes back to where it was, if this containment put it where it is.
    async fn plan_agent_back(
        &self,
        org: &OrgId,
        agent: &AgentId,
        lifted: &Containment,
    ) -> Result<Change, BooksError> {
        let Some(found) = self.books.get::<Agent>(org, agent.as_str()).await? else {
            return Ok(Change::new());
        };
        let book = self
            .books
            .org(org)
            .ok_or_else(|| BooksError::NoOrganization(org.to_string()))?;
        let next = {
            let registry = book.registry();
            let other = registry
                .containments
                .values()
                .find(|c| c.id != lifted.id && c.target == lifted.target && c.level != Level::Kill);
            agent_after_lift(&registry, &found.noun, lifted, other.map(AsRef::as_ref))
        };
        let Some(next) = next else {
            return Ok(Change::new());
        };
        let kind = if next.state == AgentState::Active {
            EventKind::AgentActivated
        } else {
            EventKind::AgentSuspended
        };
        let event = Event::new(kind, self.books.now(), Principal::Remit)
            .about(agent)
            .agent(agent)
            .fact("containment", &lifted.id)
            .fact("lifted", true)
            .content("reason", &next.state_reason);
        Ok(Change::new().update(&next, found.revision).event(event))
    }
}

/// The agent after `lifted` is gone and `other` stands; none where its state stays.
fn agent_after_lift(
    registry: &Registry,
    agent: &Agent,
    lifted: &Containment,
    other: Option<&Containment>,
) -> Option<Agent> {
    let reason = agent.state_reason.as_deref().unwrap_or_default();
    let put_here = reason.starts_with(lifted.id.as_str());
    let living = |id| registry.people.get(id).is_some_and(|p| p.is_active());
    match (put_here, other) {
        (true, Some(other)) => {
            // The other one holds it now, no further than its own level.
            let reason = Some(format!("{}: {}", other.id, other.reason));
            match (agent.state, other.level) {
                (AgentState::Quarantined, Level::Suspend) => {
                    agent.transition(AgentState::Suspended, reason).ok()
                }
                _ => Some(Agent {
                    state_reason: reason,
                    ..agent.clone()
                }),
            }
        }
        (true, None) if living(&agent.profile.owner) && living(&agent.profile.sponsor) => {
            agent.transition(AgentState::Active, None).ok()
        }
        (true, None) => {
            let reason = Some(
                "lifted, but owner or sponsor has left; name another and activate it".to_owned(),
            );
            Some(Agent {
                state: AgentState::Suspended,
                state_reason: reason,
                ..agent.clone()
            })
        }
        (false, _)
            if agent.state == AgentState::Quarantined && reason.contains(lifted.id.as_str()) =>
        {
            agent
                .transition(
                    AgentState::Suspended,
                    Some("as it was before it was contained".to_owned()),
                )
                .ok()
        }
        (false, _) => None,
    }
}

/// Runs that another containment holds.
fn held_by_others(registry: &Registry, lifted: &ContainmentId) -> BTreeSet<RunId> {
    let others = registry
        .containments
        .values()
        .filter(|c| c.id != *lifted && c.level != Level::Kill);
    others
        .flat_map(|c| Scope::of(registry, &c.target, None).runs)
        .collect()
}
