//! Who looks into an approval, and taking a yes back.

use remit_domain::approval::{Approval, CLAIM_SECS, Claim};
use remit_domain::event::EventKind;
use remit_domain::{ApprovalId, Person, Registry, Role, Timestamp};

use super::decide::{may_not, refused};
use super::{ApprovalView, eligible};
use crate::{Caller, Control, ControlError, check};

impl Control {
    /// Says that the caller looks into it, for ten minutes: the others see it, and may decide it all the same. Said again, it
    /// holds for another ten.
    ///
    /// # Errors
    /// `forbidden` for who may not decide it, with why; `conflict` while somebody else looks into it; as [`Control::approve`]
    /// for one that is settled.
    pub async fn claim_approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
    ) -> Result<ApprovalView, ControlError> {
        self.changed_approval(caller, id, |registry, approval, person| {
            let now = self.books.now();
            eligible::counts_for(registry, approval, person, now).map_err(|why| may_not(&why))?;
            let claim = Claim {
                by: person.id.clone(),
                until: now.plus_secs(CLAIM_SECS).min(approval.expires),
            };
            let until = claim.until;
            let next = approval.claimed(claim, now).map_err(refused)?;
            let event = self
                .about_approval(caller, EventKind::ApprovalClaimed, &next)
                .fact("until", until);
            Ok((next, event))
        })
        .await
    }

    /// Says that the caller looks into it no more.
    ///
    /// # Errors
    /// `conflict` where they do not; as [`Control::approve`] for one that is settled.
    pub async fn release_approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
    ) -> Result<ApprovalView, ControlError> {
        self.changed_approval(caller, id, |_, approval, person| {
            let released = approval.released(&person.id, self.books.now());
            let next = released.map_err(refused)?;
            let event = self.about_approval(caller, EventKind::ApprovalReleased, &next);
            Ok((next, event))
        })
        .await
    }

    /// Takes back a yes that was not used up: whoever gave it, whoever may say no to it, who answers for the call, and
    /// administrators and responders. What it would have let pass asks anew; what was sent stays sent.
    ///
    /// # Errors
    /// `forbidden` for anybody else; `conflict` where there is no yes to take back; `invalid-request`.
    pub async fn withdraw_approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        reason: Option<String>,
    ) -> Result<ApprovalView, ControlError> {
        if let Some(reason) = &reason {
            check::said("reason", reason)?;
        }
        self.changed_approval(caller, id, |registry, approval, person| {
            if !may_withdraw(registry, approval, person, self.books.now()) {
                return Err(may_not(
                    "who gave it takes it back, who may say no to it, who answers for the call, or an administrator or responder",
                ));
            }
            let next = approval.withdrawn().map_err(refused)?;
            let event = self
                .about_approval(caller, EventKind::ApprovalWithdrawn, &next)
                .fact("state", next.state)
                .fact("for_run", next.for_run.is_some())
                .content("reason", &reason);
            Ok((next, event))
        })
        .await
    }
}

/// Whether this person may take a yes back.
pub(super) fn may_withdraw(
    registry: &Registry,
    approval: &Approval,
    person: &Person,
    now: Timestamp,
) -> bool {
    let gave = approval.verdicts.iter();
    let gave = gave.filter(|v| v.approve).any(|v| v.person == person.id);
    let holds = |role| person.roles.contains(&role);
    (person.is_active() && (gave || holds(Role::Admin) || holds(Role::Responder)))
        || eligible::may_deny(registry, approval, person, now)
        || eligible::may_answer(registry, approval, person)
}

#[cfg(test)]
mod tests;
