//! Approvals: what waits for people, who may say yes, what they said.
//!
//! What is shown is what runs: the canonical arguments whose digest the approval is bound to (invariant 6). Who may
//! approve is decided in [`eligible`], from the registry as it is at that moment.

mod claim;
mod decide;
pub mod eligible;
mod escalate;
mod funnel;
mod talk;
mod view;
mod wait;

use remit_books::{BooksError, Change, Versioned};
use remit_domain::approval::{Approval, ApprovalState, counter};
use remit_domain::event::{Event, EventKind};
use remit_domain::{AgentId, ApprovalId, OrgId, Person, Principal, RefusalCode, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Between, Caller, Control, ControlError, ListQuery, Listing, newest, refuse};

pub use decide::BySession;
pub use funnel::ApprovalFunnel;
use view::agent_view;
pub(crate) use view::view;
pub use view::{
    AgentApprovalView, ApprovalView, AskView, EscalationView, ForRunView, NoteView, VerdictView,
};
pub(crate) use wait::heard;
pub use wait::{WAIT_SECS_MAX, Watch};

/// Which approvals to list.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApprovalFilter {
    /// Only in this state.
    pub state: Option<ApprovalState>,
    /// Only those the caller may decide now.
    pub mine: bool,
    /// Only after this one, which is older: the list is newest first.
    pub after: Option<ApprovalId>,
    /// At most this many, 1 to 1,000.
    pub limit: Option<u32>,
    /// Only those that were asked for at or after this time.
    pub since: Option<Timestamp>,
    /// Only those that were asked for before this time.
    pub until: Option<Timestamp>,
}

impl Control {
    /// Approvals, newest first, and where to go on.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn approvals(
        &self,
        caller: &Caller,
        wanted: &ApprovalFilter,
    ) -> Result<Listing<ApprovalView>, ControlError> {
        let person = caller.person()?;
        let query = ListQuery {
            // What has expired may still be stored as waiting.
            state: wanted
                .state
                .filter(|s| *s != ApprovalState::Expired)
                .map(|s| s.as_str().to_owned()),
            after: wanted.after.as_ref().map(ToString::to_string),
            limit: wanted.limit.and_then(|n| usize::try_from(n).ok()),
            between: Between {
                since: wanted.since,
                until: wanted.until,
            },
        };
        let (page, next) = newest::page(
            &self.books,
            &caller.org,
            &query,
            None,
            |id| ApprovalId::from_uuid(id).to_string(),
            |one: &Approval| one.requested,
        )
        .await?;
        let mut items = self.told_of(caller, person, wanted, &page)?;
        self.count_used(&caller.org, &mut items).await?;
        Ok(Listing { items, next })
    }

    /// Those of a page that are wanted, as the caller sees them.
    fn told_of(
        &self,
        caller: &Caller,
        person: &Person,
        wanted: &ApprovalFilter,
        page: &[Versioned<Approval>],
    ) -> Result<Vec<ApprovalView>, ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let now = self.books.now();
        let in_state = |a: &Approval| wanted.state.is_none_or(|s| s == state_at(a, now));
        // What was handed on is the other's to decide; everybody else may still.
        let handed_on = |a: &Approval| {
            a.given
                .as_ref()
                .is_some_and(|g| g.by == person.id && g.to != person.id)
        };
        let for_caller = |a: &Approval| {
            !wanted.mine
                || (state_at(a, now) == ApprovalState::Pending
                    && eligible::counts_for(&registry, a, person, now).is_ok()
                    && !handed_on(a))
        };
        let told = page
            .iter()
            .filter(|a| in_state(&a.noun) && for_caller(&a.noun));
        Ok(told
            .map(|a| view(&registry, a, Some(caller), now))
            .collect())
    }

    /// One approval. One whose time has run out is settled as expired first.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for anyone but people of the organization.
    pub async fn approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
    ) -> Result<ApprovalView, ControlError> {
        caller.person()?;
        let found = self.current(&caller.org, id).await?;
        let seen = view(
            &self.book(&caller.org)?.registry(),
            &found,
            Some(caller),
            self.books.now(),
        );
        let mut seen = [seen];
        self.count_used(&caller.org, &mut seen).await?;
        let [seen] = seen;
        Ok(seen)
    }

    /// Fills in how many calls those that were approved for their run have let pass.
    pub(crate) async fn count_used(
        &self,
        org: &OrgId,
        views: &mut [ApprovalView],
    ) -> Result<(), ControlError> {
        let for_run = |view: &&mut ApprovalView| view.for_run.is_some();
        let mut standing: Vec<&mut ApprovalView> = views.iter_mut().filter(for_run).collect();
        if standing.is_empty() {
            return Ok(());
        }
        let keys: Vec<String> = standing.iter().map(|v| counter(&v.id)).collect();
        let used = self.books.store().counters(org, &keys).await?;
        for (view, used) in standing.iter_mut().zip(used) {
            if let Some(for_run) = &mut view.for_run {
                for_run.used = u32::try_from(used).unwrap_or(0);
            }
        }
        Ok(())
    }

    /// One approval of an agent's own, for that agent.
    ///
    /// # Errors
    /// `not-found`, also for another agent's.
    pub async fn approval_of_agent(
        &self,
        org: &OrgId,
        agent: &AgentId,
        id: &ApprovalId,
    ) -> Result<AgentApprovalView, ControlError> {
        let found = self.current(org, id).await?.noun;
        if found.agent != *agent {
            return Err(unknown(id));
        }
        Ok(agent_view(&found, self.books.now()))
    }

    /// The approval as stored, after expiry.
    pub(crate) async fn current(
        &self,
        org: &OrgId,
        id: &ApprovalId,
    ) -> Result<Versioned<Approval>, ControlError> {
        let found = self
            .books
            .get::<Approval>(org, id.as_str())
            .await?
            .ok_or_else(|| unknown(id))?;
        if !is_overdue(&found.noun, self.books.now()) {
            return Ok(found);
        }
        self.expire(org, id).await?;
        self.books
            .get::<Approval>(org, id.as_str())
            .await?
            .ok_or_else(|| unknown(id))
    }

    /// Settles an approval whose time has run out. Does nothing when it has not, or was settled meanwhile.
    pub(crate) async fn expire(&self, org: &OrgId, id: &ApprovalId) -> Result<bool, BooksError> {
        self.books
            .retrying(org, || async {
                let Some(Versioned { noun, revision }) =
                    self.books.get::<Approval>(org, id.as_str()).await?
                else {
                    return Ok((false, None));
                };
                let now = self.books.now();
                if !is_overdue(&noun, now) {
                    return Ok((false, None));
                }
                let next = Approval {
                    state: ApprovalState::Expired,
                    ..noun
                };
                let change = Change::new().update(&next, revision).event(settled(
                    &next,
                    Principal::Remit,
                    now,
                ));
                Ok((true, Some(change)))
            })
            .await
    }
}

fn unknown(id: &ApprovalId) -> ControlError {
    refuse(RefusalCode::NotFound, format!("no approval `{id}` is here"))
}

/// The entry that tells how an approval was settled without a verdict.
pub(crate) fn settled(approval: &Approval, by: Principal, now: Timestamp) -> Event {
    Event::new(EventKind::ApprovalSettled, now, by)
        .about(&approval.id)
        .run(&approval.run)
        .agent(&approval.agent)
        .decision(&approval.decision)
        .fact("state", approval.state)
}

fn is_overdue(approval: &Approval, now: Timestamp) -> bool {
    matches!(
        approval.state,
        ApprovalState::Pending | ApprovalState::Approved
    ) && now >= approval.expires
}

/// Where an approval stands at `now`: what waits too long has expired, whether or not it was written down yet.
pub(crate) fn state_at(approval: &Approval, now: Timestamp) -> ApprovalState {
    if is_overdue(approval, now) {
        ApprovalState::Expired
    } else {
        approval.state
    }
}

#[cfg(test)]
mod tests;
