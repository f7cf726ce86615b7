//! What becomes of an agent when someone it rests on leaves: it goes to whom was named beforehand, or stops.

use remit_books::Change;
use remit_domain::agent::AgentState;
use remit_domain::event::EventKind;
use remit_domain::finding::FindingKind;
use remit_domain::{Agent, Kind, Noun, Person, PersonId, RefusalCode, Registry};

use crate::agent::{agent_event, transferred};
use crate::error::not_found;
use crate::{Caller, Control, ControlError, refuse};

/// What became of an agent whose owner, sponsor or deputy left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bereaved {
    /// It went to the deputy.
    Transferred,
    /// It was suspended.
    Suspended,
    /// It was not active, and nobody answers for it.
    Orphaned,
    /// It lost its deputy only.
    Deputy,
}

/// Who takes over from somebody who leaves: the deputy, or else who has been longest of the deputies' team, so that it is always the same
/// one. Not who answers for the agent in the other role where somebody else is there too.
fn heir(registry: &Registry, agent: &Agent, gone: &Person) -> Option<PersonId> {
    let p = &agent.profile;
    let here =
        |id: &PersonId| *id != gone.id && registry.people.get(id).is_some_and(|p| p.is_active());
    if let Some(deputy) = p.deputy.clone().filter(|d| here(d)) {
        return Some(deputy);
    }
    let team = p.deputy_team.as_ref()?;
    let members = registry.people.values().filter(|m| m.teams.contains(team));
    let mut members: Vec<&PersonId> = members.map(|m| &m.id).filter(|id| here(id)).collect();
    members.sort();
    let other = |id: &&&PersonId| ***id != p.owner && ***id != p.sponsor;
    members
        .iter()
        .find(other)
        .or(members.first())
        .map(|id| (*id).clone())
}

impl Control {
    /// The change that hands an agent to its deputy, or suspends it where nobody was named, because `gone` has left.
    pub(crate) async fn plan_bereavement(
        &self,
        caller: &Caller,
        agent: &Agent,
        gone: &Person,
    ) -> Result<(Bereaved, Change), ControlError> {
        let (revision, deputy) = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let deputy = heir(&registry, agent, gone);
            (
                registry
                    .revision(Kind::Agent, &agent.key())
                    .ok_or_else(|| not_found("agent", &agent.name))?,
                deputy,
            )
        };
        let mut next = agent.clone();
        let p = &mut next.profile;
        if p.owner != gone.id && p.sponsor != gone.id {
            p.deputy = None;
            let event = agent_event(self.event(caller, EventKind::AgentChanged), &next)
                .fact("deputy_left", &gone.id);
            return Ok((
                Bereaved::Deputy,
                Change::new().update(&next, revision).event(event),
            ));
        }
        if let Some(deputy) = deputy {
            for role in [&mut p.owner, &mut p.sponsor] {
                if *role == gone.id {
                    *role = deputy.clone();
                }
            }
            p.deputy = p.deputy.take().filter(|d| *d != deputy && *d != gone.id);
            let event = transferred(
                self.event(caller, EventKind::AgentTransferred),
                agent,
                &next,
            )
            .fact("because_left", &gone.id);
            return Ok((
                Bereaved::Transferred,
                Change::new().update(&next, revision).event(event),
            ));
        }
        let text = format!(
            "agent {} has nobody: {} left, and no deputy was named",
            agent.name, gone.display_name
        );
        let finding = self
            .opening(caller, FindingKind::Orphan, agent.id.as_str(), text)
            .await?;
        if agent.state != AgentState::Active {
            return Ok((Bereaved::Orphaned, finding));
        }
        let reason = "owner or sponsor left, and no deputy was named".to_owned();
        let next = agent
            .transition(AgentState::Suspended, Some(reason.clone()))
            .map_err(|e| refuse(RefusalCode::Conflict, e.to_string()))?;
        let event = agent_event(self.event(caller, EventKind::AgentSuspended), &next)
            .content("reason", reason);
        Ok((
            Bereaved::Suspended,
            Change::new()
                .update(&next, revision)
                .event(event)
                .and(finding),
        ))
    }
}

#[cfg(test)]
mod tests;
