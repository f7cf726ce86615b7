//! Delegations: a person lets an agent act for them, and takes it back.
//!
//! What is granted is only ever narrowed on the way down; that is checked at each call, link by link, never here
//! (invariant 4). What is taken back ends at once, with everything below it, in one commit.

mod hop;
mod narrowing;
mod revoke;
mod tree;

use remit_books::entitled::{ActsFor, Withheld};
use remit_books::hop::{HOP_TRIES, HopKind};
use remit_books::{Books, BooksError, Change, Versioned};
use remit_domain::authority::Authority;
use remit_domain::containment::Lineage;
use remit_domain::delegation::{Delegation, DelegationState, DelegationUse};
use remit_domain::event::{Event, EventKind};
use remit_domain::limits::{CHAIN_DEPTH_MAX, DELEGATION_SECS_MAX};
use remit_domain::name::Name;
use remit_domain::ticket::{TICKET_BYTES_MAX, is_ticket_id};
use remit_domain::{DelegationId, OrgId, Principal, RefusalCode, Registry, RunId, Timestamp};
use remit_ports::store::Filter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{invalid, not_found};
use crate::{Caller, Control, ControlError, names, refuse};

pub(crate) use narrowing::lines as narrowing_lines;
pub(crate) use revoke::{plan_end_all, plan_revoke, revoke_each, topmost, with_below};
pub use tree::{Hop, PersonTree, RunNode, TreeFilter, TreeWatch};

/// Hops that may follow a delegation where nobody says: one sub-agent, no further.
const DEPTH_DEFAULT: u8 = 1;

/// What a person delegates.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDelegation {
    /// To which agent, by name.
    pub agent: Name,
    /// In which of its workflows, by name.
    pub workflow: Name,
    /// `interactive` or `standing`.
    pub kind: DelegationUse,
    /// For how long, in seconds; 1 to [`DELEGATION_SECS_MAX`].
    pub for_secs: i64,
    /// The id of the ticket it is for: it ends when that ticket is told to be over.
    #[serde(default)]
    pub ticket: Option<String>,
    /// What it narrows to; nothing where absent.
    #[serde(default)]
    pub authority: Authority,
    /// How many hops may follow it; 1 where absent.
    #[serde(default)]
    pub depth: Option<u8>,
}

/// Which delegations to list.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DelegationFilter {
    /// Only the caller's own.
    pub mine: bool,
    /// Only to or from this agent, by name.
    pub agent: Option<Name>,
    /// Only for this ticket.
    pub ticket: Option<String>,
    /// `active`, `expired` or `revoked`.
    pub state: Option<String>,
}

/// A delegation, as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DelegationView {
    /// Its id.
    pub id: DelegationId,
    /// `active`, `expired` or `revoked`.
    pub state: &'static str,
    /// Its revision, which is also its ETag.
    pub revision: u64,
    /// Address of the person at the root of the chain.
    pub person: String,
    /// Who delegates: an address or an agent's name.
    pub from: String,
    /// Which agent may act, by name.
    pub agent: String,
    /// In which workflow, as `agent/workflow`.
    pub workflow: String,
    /// What for.
    pub kind: DelegationUse,
    /// What it narrows to.
    pub authority: Authority,
    /// The same, one line each, for people.
    pub narrows: Vec<String>,
    /// The ticket it is for.
    pub ticket: Option<String>,
    /// How many hops may follow it.
    pub depth_left: u8,
    /// The delegation it is cut from.
    pub parent: Option<DelegationId>,
    /// The run it was made in.
    pub run: Option<RunId>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// How it was ended before its time: who, when and why.
    pub revoked: Option<Revocation>,
    /// Runs that act under it now.
    pub runs: Vec<RunId>,
}

/// How a delegation was ended before its time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// By whom, by name.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What ended with a delegation.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Revoked {
    /// Delegations: the one that was named, and those below it.
    pub delegations: Vec<DelegationId>,
    /// Runs.
    pub runs: Vec<RunId>,
    /// How many access tokens.
    pub tokens: usize,
    /// How many approvals that waited or were not used.
    pub approvals: usize,
    /// Upstream processes and sessions.
    pub processes: Vec<String>,
}

impl Control {
    /// Delegates: the caller lets an agent act for them in one workflow, for a time.
    ///
    /// # Errors
    /// `forbidden` for anyone but a person, and for a standing delegation by anyone but the agent's sponsor;
    /// `invalid-request` for times, depths and narrowings that cannot be; `denied` where a policy about hops forbids it, which is
    /// recorded; whatever the agent or workflow refuses with.
    pub async fn grant_delegation(
        &self,
        caller: &Caller,
        new: NewDelegation,
    ) -> Result<DelegationView, ControlError> {
        self.delegate(caller, &new, hop::kind_of(&new)).await
    }

    /// Delegates as [`Control::grant_delegation`], to an agent whose client has asked the caller in a browser.
    ///
    /// # Errors
    /// As there.
    pub async fn consent_delegation(
        &self,
        caller: &Caller,
        new: NewDelegation,
    ) -> Result<DelegationView, ControlError> {
        self.delegate(caller, &new, HopKind::Consent).await
    }

    async fn delegate(
        &self,
        caller: &Caller,
        new: &NewDelegation,
        kind: HopKind,
    ) -> Result<DelegationView, ControlError> {
        let book = self.book(&caller.org)?;
        for _ in 0..HOP_TRIES {
            let delegation = self.plan_delegation(caller, new)?;
            let answer = self.may_delegate(caller, &delegation, kind).await?;
            let now = delegation.created;
            let event = granted(&delegation, caller.principal.clone(), now);
            let event = answer.recorded(event);
            let change = answer.binds(Change::new().create(&delegation).event(event));
            let committed = match self.books.commit(&caller.org, change).await {
                Ok(committed) => committed,
                Err(error) if self.books.decided_too_early(&caller.org, &error).await => continue,
                Err(error) => return Err(error.into()),
            };
            let made = Versioned {
                noun: delegation,
                revision: committed.revisions.first().copied().unwrap_or(1),
            };
            return Ok(view(&book.registry(), &made, now));
        }
        let text = "what is permitted keeps changing here; ask again";
        Err(refuse(RefusalCode::SnapshotStale, text))
    }

    /// The delegation as it would be, where it can be at all.
    fn plan_delegation(
        &self,
        caller: &Caller,
        new: &NewDelegation,
    ) -> Result<Delegation, ControlError> {
        let person = caller.person()?;
        let book = self.book(&caller.org)?;
        let now = self.books.now();
        check_extent(new)?;
        let registry = book.registry();
        registry.not_held(|| Lineage::of_person(&person.id))?;
        let agent = registry
            .agent_named(new.agent.as_str())
            .ok_or_else(|| not_found("agent", new.agent.as_str()))?;
        let agent = registry.standing_agent(&agent.id)?;
        let workflow = registry
            .workflow_named(&agent.id, new.workflow.as_str())
            .ok_or_else(|| not_found("workflow", new.workflow.as_str()))?;
        let workflow = registry.standing_workflow(&agent.id, &workflow.id)?;
        if new.kind == DelegationUse::Standing && agent.profile.sponsor != person.id {
            let text = "only the agent's sponsor makes a standing delegation; ask them, or delegate interactively";
            return Err(refuse(RefusalCode::Forbidden, text));
        }
        narrowing::check(&registry, &workflow, &new.authority, now)?;
        let who = ActsFor {
            agent: &agent,
            workflow: &workflow,
            person: registry.people.get(&person.id),
        };
        let engine = book.engine();
        let withheld = Withheld::of(&registry, engine.as_deref(), who, &new.authority, now);
        if !withheld.is_empty() {
            let more = withheld.lines().join(", ");
            let text = format!("more is delegated than the person may do: {more}; leave it out");
            return Err(refuse(RefusalCode::Wider, text));
        }
        check_ticket(&registry, new.ticket.as_deref())?;
        Ok(Delegation {
            id: self.books.id(DelegationId::from_uuid),
            person: person.id.clone(),
            from: Principal::Person(person.id.clone()),
            to: agent.id.clone(),
            workflow: workflow.id.clone(),
            kind: new.kind,
            authority: new.authority.clone(),
            ticket: new.ticket.clone(),
            depth_left: new.depth.unwrap_or(DEPTH_DEFAULT),
            parent: None,
            run: None,
            token: None,
            federated: None,
            created: now,
            expires: now.plus_secs(new.for_secs),
            state: DelegationState::Active,
        })
    }

    /// Delegations, newest first.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn delegations(
        &self,
        caller: &Caller,
        wanted: &DelegationFilter,
    ) -> Result<Vec<DelegationView>, ControlError> {
        let person = caller.person()?;
        let parent = wanted.mine.then(|| person.id.to_string());
        let all = all_delegations(&self.books, &caller.org, parent).await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let agent = match &wanted.agent {
            None => None,
            Some(name) => {
                let found = registry
                    .agent_named(name.as_str())
                    .ok_or_else(|| not_found("agent", name.as_str()))?;
                Some(found.id.clone())
            }
        };
        let concerns = |d: &Delegation| {
            agent
                .as_ref()
                .is_none_or(|a| d.to == *a || d.from.agent() == Some(a))
        };
        let now = self.books.now();
        Ok(all
            .iter()
            .filter(|d| concerns(&d.noun))
            .filter(|d| wanted.ticket.is_none() || d.noun.ticket == wanted.ticket)
            .map(|d| view(&registry, d, now))
            .filter(|v| wanted.state.as_deref().is_none_or(|s| s == v.state))
            .collect())
    }

    /// One delegation.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for anyone but people of the organization.
    pub async fn delegation(
        &self,
        caller: &Caller,
        id: &DelegationId,
    ) -> Result<DelegationView, ControlError> {
        caller.person()?;
        let found = self
            .books
            .get::<Delegation>(&caller.org, id.as_str())
            .await?;
        let found = found.ok_or_else(|| not_found("delegation", id.as_str()))?;
        Ok(view(
            &self.book(&caller.org)?.registry(),
            &found,
            self.books.now(),
        ))
    }
}

fn check_extent(new: &NewDelegation) -> Result<(), ControlError> {
    let wrong = |text: String| Err(refuse(RefusalCode::InvalidRequest, text));
    if new.kind == DelegationUse::SubAgent {
        return wrong("a person delegates as `interactive` or `standing`; an agent's token exchange makes `sub_agent`".to_owned());
    }
    if !(1..=DELEGATION_SECS_MAX).contains(&new.for_secs) {
        return wrong(format!(
            "for_secs `{}` is not within 1 to {DELEGATION_SECS_MAX} (90 days)",
            new.for_secs
        ));
    }
    // The delegation itself is one link of the chain.
    let deepest = CHAIN_DEPTH_MAX.saturating_sub(1);
    if new.depth.is_some_and(|d| usize::from(d) > deepest) {
        return wrong(format!(
            "depth is more than {deepest}; a chain has at most {CHAIN_DEPTH_MAX} links"
        ));
    }
    Ok(())
}

/// That a ticket can be told of, and is not over. One that nobody has told of yet is open until somebody does.
fn check_ticket(registry: &Registry, ticket: Option<&str>) -> Result<(), ControlError> {
    let Some(id) = ticket else { return Ok(()) };
    if !is_ticket_id(id) {
        let why = format!("is not 1 to {TICKET_BYTES_MAX} visible ASCII characters");
        return Err(invalid("ticket", why));
    }
    match registry.tickets.get(id) {
        Some(there) if there.is_over() => Err(refuse(
            RefusalCode::Conflict,
            format!(
                "ticket `{id}` is {}, so nothing is delegated for it; name another, or have it reopened",
                there.state
            ),
        )),
        _ => Ok(()),
    }
}

fn granted(delegation: &Delegation, actor: Principal, now: Timestamp) -> Event {
    Event::new(EventKind::DelegationGranted, now, actor)
        .about(&delegation.id)
        .agent(&delegation.to)
        .fact("person", &delegation.person)
        .fact("to", &delegation.to)
        .fact("workflow", &delegation.workflow)
        .fact("kind", delegation.kind)
        .fact("depth_left", delegation.depth_left)
        .fact("expires", delegation.expires)
        .content("authority", &delegation.authority)
        .content("ticket", &delegation.ticket)
}

/// Every delegation of an organization, or of one person, newest first.
pub(crate) async fn all_delegations(
    books: &Books,
    org: &OrgId,
    parent: Option<String>,
) -> Result<Vec<Versioned<Delegation>>, BooksError> {
    let mut filter = Filter {
        parent,
        limit: 1_000,
        descending: true,
        ..Filter::default()
    };
    let mut all = Vec::new();
    loop {
        let (page, next) = books.list::<Delegation>(org, &filter).await?;
        all.extend(page);
        match next {
            Some(next) => filter.after = Some(next),
            None => return Ok(all),
        }
    }
}

pub(crate) fn view(
    registry: &Registry,
    delegation: &Versioned<Delegation>,
    now: Timestamp,
) -> DelegationView {
    let d = &delegation.noun;
    let (state, revoked) = match &d.state {
        DelegationState::Revoked { at, by, reason } => {
            let by = names::principal(registry, by);
            (
                "revoked",
                Some(Revocation {
                    at: *at,
                    by,
                    reason: reason.clone(),
                }),
            )
        }
        DelegationState::Active if now >= d.expires => ("expired", None),
        DelegationState::Active => ("active", None),
    };
    DelegationView {
        id: d.id.clone(),
        state,
        revision: delegation.revision,
        person: names::person(registry, &d.person),
        from: names::principal(registry, &d.from),
        agent: names::agent(registry, &d.to),
        workflow: names::workflow(registry, &d.workflow),
        kind: d.kind,
        authority: d.authority.clone(),
        narrows: narrowing::lines(&d.authority),
        ticket: d.ticket.clone(),
        depth_left: d.depth_left,
        parent: d.parent.clone(),
        run: d.run.clone(),
        created: d.created,
        expires: d.expires,
        revoked,
        runs: runs_under(registry, &d.id, now),
    }
}

/// Live runs whose chain ends with this delegation.
pub(crate) fn runs_under(registry: &Registry, id: &DelegationId, now: Timestamp) -> Vec<RunId> {
    let mut runs: Vec<RunId> = registry
        .runs
        .values()
        .filter(|r| r.chain.last() == Some(id) && r.is_live(now))
        .map(|r| r.id.clone())
        .collect();
    runs.sort();
    runs
}

#[cfg(test)]
mod tests;
