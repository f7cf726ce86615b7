//! A person's verdict on one exact call.

use remit_books::{Change, Versioned};
use remit_domain::approval::{Approval, ApprovalState, Verdict, VerdictError};
use remit_domain::event::{Event, EventKind};
use remit_domain::{ApprovalId, RefusalCode};
use remit_ports::store::StoreError;

use super::{ApprovalView, eligible, view};
use crate::{Caller, Control, ControlError, check, refuse};

/// How often a verdict that lost a race is given anew: two approvers may speak at once.
const TRIES: u32 = 5;

impl Control {
    /// Says yes to one call.
    ///
    /// # Errors
    /// `forbidden` for who may not, with why; `conflict` for a second verdict or an approval that was approved already;
    /// `approval-denied`, `-expired`, `-cancelled`, `-stale`, `-used` or `ambiguous` for one that is settled.
    pub async fn approve(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        reason: Option<String>,
    ) -> Result<ApprovalView, ControlError> {
        self.decide(caller, id, true, reason).await
    }

    /// Says no to one call: it is settled at once.
    ///
    /// # Errors
    /// As [`Control::approve`].
    pub async fn deny(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        reason: Option<String>,
    ) -> Result<ApprovalView, ControlError> {
        self.decide(caller, id, false, reason).await
    }

    async fn decide(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        approve: bool,
        reason: Option<String>,
    ) -> Result<ApprovalView, ControlError> {
        caller.person()?;
        if let Some(reason) = &reason {
            check::said("reason", reason)?;
        }
        let mut tries = 0;
        loop {
            let found = self.current(&caller.org, id).await?;
            let revision = found.revision;
            let next = self.with_verdict(caller, found, approve, reason.clone())?;
            let change = Change::new().update(&next, revision).event(self.told(
                caller,
                &next,
                approve,
                reason.as_deref(),
            ));
            match self.books.commit(&caller.org, change).await {
                Ok(committed) => {
                    let revision = committed.revisions.first().copied().unwrap_or(revision);
                    let book = self.book(&caller.org)?;
                    let registry = book.registry();
                    return Ok(view(
                        &registry,
                        &Versioned {
                            noun: next,
                            revision,
                        },
                        Some(caller),
                        self.books.now(),
                    ));
                }
                Err(remit_books::BooksError::Store(StoreError::Conflict { .. }))
                    if tries < TRIES =>
                {
                    tries += 1
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The approval with the caller's verdict. Who may speak, and who of those who spoke before still counts, is looked up
    /// now: a role or a person may have gone since they were asked.
    fn with_verdict(
        &self,
        caller: &Caller,
        found: Versioned<Approval>,
        approve: bool,
        reason: Option<String>,
    ) -> Result<Approval, ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let asked = caller.person()?;
        // The registry's own record counts, not the one the caller came with; but no role that their session has not.
        let person = registry
            .people
            .get(&asked.id)
            .cloned()
            .ok_or_else(|| may_not("you are not a person of this organization"))?
            .with_at_most(&asked.roles);
        let person = &*person;
        let approval = found.noun;
        if approval.state == ApprovalState::Pending {
            if approve {
                eligible::counts_for(&registry, &approval, person).map_err(|why| may_not(&why))?;
            } else if !eligible::may_deny(&registry, &approval, person) {
                let why = eligible::counts_for(&registry, &approval, person).err();
                return Err(may_not(why.as_deref().unwrap_or("it is not for you")));
            }
        }
        let verdict = Verdict {
            person: person.id.clone(),
            approve,
            reason,
            at: self.books.now(),
        };
        let satisfied =
            |yes: &[&remit_domain::PersonId]| eligible::satisfied(&registry, &approval, yes);
        approval.decide(verdict, satisfied).map_err(refused)
    }

    fn told(&self, caller: &Caller, next: &Approval, approve: bool, reason: Option<&str>) -> Event {
        Event::new(
            EventKind::ApprovalDecided,
            self.books.now(),
            caller.principal.clone(),
        )
        .about(&next.id)
        .run(&next.run)
        .agent(&next.agent)
        .decision(&next.decision)
        .fact("approve", approve)
        .fact("state", next.state)
        .fact("digest", &next.digest)
        .fact("verdicts", next.verdicts.len())
        .content("reason", reason)
    }
}

fn may_not(why: &str) -> ControlError {
    refuse(
        RefusalCode::Forbidden,
        VerdictError::NotApprover(why.to_owned()).to_string(),
    )
}

fn refused(error: VerdictError) -> ControlError {
    let (code, hint) = match &error {
        VerdictError::NotApprover(_) => (RefusalCode::Forbidden, ""),
        VerdictError::Twice => (RefusalCode::Conflict, "; another person has to decide"),
        VerdictError::Expired(_) => (RefusalCode::ApprovalExpired, ""),
        VerdictError::Settled(state) => match state {
            ApprovalState::Pending | ApprovalState::Approved => {
                (RefusalCode::Conflict, "; there is nothing left to decide")
            }
            ApprovalState::Denied => (
                RefusalCode::ApprovalDenied,
                "; a no is final, the agent has to ask again",
            ),
            ApprovalState::Expired => {
                (RefusalCode::ApprovalExpired, "; the agent has to ask again")
            }
            ApprovalState::Cancelled => (
                RefusalCode::ApprovalCancelled,
                ": its run ended or was contained",
            ),
            ApprovalState::Stale => (
                RefusalCode::ApprovalStale,
                ": the policies have changed since it was asked",
            ),
            ApprovalState::Used => (RefusalCode::ApprovalUsed, ": the call was sent"),
            ApprovalState::Ambiguous => (
                RefusalCode::Ambiguous,
                ": the call was sent and no answer came",
            ),
        },
    };
    refuse(code, format!("{error}{hint}"))
}
