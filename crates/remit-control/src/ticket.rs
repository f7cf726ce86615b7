//! Tickets: what another system says of the tickets that runs work on. Pushed, never fetched; what nobody has told of is
//! unknown, which is a fact of its own. What a person delegated for a ticket ends when it is told to be over.

use std::collections::BTreeSet;

use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::name::Name;
use remit_domain::ticket::{OVER, TICKET_BYTES_MAX, Ticket, is_ticket_id};
use remit_domain::{
    DelegationId, Kind, Noun, OrgId, Principal, RefusalCode, Registry, Role, RunId, Timestamp,
};
use remit_ports::store::Once;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod hook;

pub use hook::{TicketHook, TicketSigned};

use crate::control::Before;
use crate::delegation::{plan_revoke, with_below};
use crate::error::{invalid, not_found};
use crate::{Action, Caller, Control, ControlError, ListQuery, Listing, Saved, names, refuse};

/// Most tickets of one organization that are known at once.
const TICKETS_MAX: usize = 100_000;

/// What is told of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketSpec {
    /// Its state: `open`, `approved`, `closed`, or another word of its system.
    pub state: Name,
    /// When it was in that state, by the clock of who tells; now where absent. An older word never replaces a newer one.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
}

/// A ticket, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TicketView {
    /// Its id, as runs name it in their intent.
    pub id: String,
    /// Its state; `unknown` once it has not been told for too long.
    pub state: String,
    /// When it was in that state.
    pub as_of: Timestamp,
    /// Who told, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// What is known of tickets, by id.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn tickets(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<TicketView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry.tickets.values();
        let all = all.map(|t| (t.id.clone(), Noun::state(&**t), t));
        Ok(query.page(all, |t| view(&registry, t, self.books.now())))
    }

    /// What is known of one ticket.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn ticket(&self, caller: &Caller, id: &str) -> Result<TicketView, ControlError> {
        caller.person()?;
        self.ticket_view(&caller.org, id)
    }

    /// Tells the state of a ticket.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or responder; `invalid-request`; `limit-exceeded`.
    pub async fn put_ticket(
        &self,
        caller: &Caller,
        id: &str,
        spec: &TicketSpec,
    ) -> Result<Saved<TicketView>, ControlError> {
        caller.require(&[Role::Admin, Role::Responder])?;
        let by = caller.principal.clone();
        self.tell(&caller.org, by, id, spec, None).await
    }

    async fn tell(
        &self,
        org: &OrgId,
        by: Principal,
        id: &str,
        spec: &TicketSpec,
        once: Option<Once>,
    ) -> Result<Saved<TicketView>, ControlError> {
        if !is_ticket_id(id) {
            let why = format!("is not 1 to {TICKET_BYTES_MAX} visible ASCII characters");
            return Err(invalid("id", why));
        }
        let plan = || {
            let (by, once) = (by.clone(), once.clone());
            async move {
                let (action, told) = self.plan_told(org, &by, id, spec)?;
                let (ended, ends) = self.plan_over(org, &by, id, spec, action).await?;
                let change = told.and(ends);
                let change = match once {
                    Some(once) => change.once(once),
                    None => change,
                };
                Ok(((action, ended), change))
            }
        };
        let ((action, ended), _) = self.settle(org, plan).await?;
        self.end_processes(org, &ended).await;
        Ok(Saved {
            action,
            view: self.ticket_view(org, id)?,
        })
    }

    /// The change that writes a newer word; nothing for an older one.
    fn plan_told(
        &self,
        org: &OrgId,
        by: &Principal,
        id: &str,
        spec: &TicketSpec,
    ) -> Result<(Action, Change), ControlError> {
        let now = self.books.now();
        let book = self.book(org)?;
        let registry = book.registry();
        let there = registry.tickets.get(id);
        // A clock that is ahead elsewhere does not lock out what comes later.
        let as_of = spec.as_of.unwrap_or(now).min(now);
        if there.is_some_and(|t| t.as_of > as_of) {
            return Ok((Action::None, Change::new()));
        }
        // What was delegated for it ends, however many tickets are known.
        let ends = OVER.contains(&spec.state.as_str())
            && registry
                .delegations
                .values()
                .any(|d| d.ticket.as_deref() == Some(id));
        if there.is_none() && !ends && registry.tickets.len() >= TICKETS_MAX {
            let text = format!("at most {TICKETS_MAX} tickets are known at once");
            return Err(refuse(RefusalCode::LimitExceeded, text));
        }
        let ticket = Ticket {
            id: id.to_owned(),
            state: spec.state.clone(),
            as_of,
            by: by.clone(),
            at: now,
        };
        let before = Before::of(registry.revision(Kind::Ticket, id), None)?;
        let event = Event::new(EventKind::TicketChanged, now, by.clone())
            .content("ticket", &ticket)
            .content("before", there.map(|t| &t.state));
        let action = match there {
            None => Action::Create,
            Some(_) => Action::Update,
        };
        Ok((action, before.put(&ticket).event(event)))
    }

    /// What was delegated for a ticket ends in the commit that says it is over, with every run under it. An older word ends nothing.
    async fn plan_over(
        &self,
        org: &OrgId,
        by: &Principal,
        id: &str,
        spec: &TicketSpec,
        action: Action,
    ) -> Result<(Vec<RunId>, Change), ControlError> {
        if action == Action::None || !OVER.contains(&spec.state.as_str()) {
            return Ok((Vec::new(), Change::new()));
        }
        let ids: BTreeSet<DelegationId> = {
            let book = self.book(org)?;
            let registry = book.registry();
            let all = registry.delegations.values();
            let of_it = all.filter(|d| d.ticket.as_deref() == Some(id));
            let families = of_it.flat_map(|d| with_below(&registry, &d.id));
            families.collect()
        };
        if ids.is_empty() {
            return Ok((Vec::new(), Change::new()));
        }
        let ids: Vec<DelegationId> = ids.into_iter().collect();
        let reason = format!("ticket {id} is {}", spec.state);
        let (_, ended, change) = plan_revoke(&self.books, org, &ids, by, &reason).await?;
        Ok((ended.runs, change))
    }

    fn ticket_view(&self, org: &OrgId, id: &str) -> Result<TicketView, ControlError> {
        let book = self.book(org)?;
        let registry = book.registry();
        let found = registry.tickets.get(id);
        let found = found.ok_or_else(|| not_found("ticket", id))?;
        Ok(view(&registry, found, self.books.now()))
    }
}

fn view(registry: &Registry, ticket: &Ticket, now: Timestamp) -> TicketView {
    TicketView {
        id: ticket.id.clone(),
        state: ticket.state_at(now).to_owned(),
        as_of: ticket.as_of,
        by: names::principal(registry, &ticket.by),
        at: ticket.at,
        revision: registry.revision(Kind::Ticket, &ticket.id).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
