//! Deciding on proposals: approve, reject, try in the shadow, make live.

use remit_books::Versioned;
use remit_domain::bundle::{Acceptance, Proposal, ProposalState, Shadow, Stage};
use remit_domain::event::EventKind;
use remit_domain::{Person, ProposalId, RefusalCode, Role, Separation};

use super::deploy::Accepting;
use super::{ProposalView, StageView, compile, live_sets, report_of, sources, version_of};
use crate::approval::eligible;
use crate::{Caller, Control, ControlError, check, refuse};

/// Refuses what fails a test or a claim, and what the solver has not ended with.
fn is_found_good(proposal: &Proposal) -> Result<(), ControlError> {
    let unreadable = "what was found out about it cannot be read any more: propose it again";
    let report = report_of(proposal).ok_or_else(|| conflict(unreadable))?;
    if report.proving {
        return Err(conflict(
            "the solver is still at work on its claims; look at the proposal again in a moment",
        ));
    }
    if report.tests_failed > 0 || report.claims_failed() > 0 {
        let text = format!(
            "{} of its tests and {} of its claims fail; propose what passes",
            report.tests_failed,
            report.claims_failed()
        );
        return Err(conflict(text));
    }
    Ok(())
}

pub(super) fn conflict(text: impl Into<String>) -> ControlError {
    refuse(RefusalCode::Conflict, text)
}

impl Control {
    /// Approves a proposal: somebody else than who made it, and nobody whom they created or enrolled. In an organization of
    /// one, they may, and a finding says so when it goes live.
    ///
    /// # Errors
    /// `forbidden`; `not-found`; `conflict` when it is decided already, its tests or claims failed, the solver is at work on them, or it is not a change of
    /// what is live any more.
    pub async fn approve_proposal(
        &self,
        caller: &Caller,
        id: &ProposalId,
        comment: Option<String>,
    ) -> Result<ProposalView, ControlError> {
        let person = caller.require(&[Role::Admin])?.clone();
        let found = self.waiting(caller, id).await?;
        self.may_approve(caller, &person, &found.noun)?;
        self.is_current(caller, &found.noun)?;
        is_found_good(&found.noun)?;
        self.decided(caller, found, &person, ProposalState::Approved, comment)
            .await
    }

    /// Rejects a proposal; who made it may take it back so.
    ///
    /// # Errors
    /// `forbidden` for anyone but administrators and who made it; `not-found`; `conflict` when it is decided already.
    pub async fn reject_proposal(
        &self,
        caller: &Caller,
        id: &ProposalId,
        comment: Option<String>,
    ) -> Result<ProposalView, ControlError> {
        let person = caller.person()?.clone();
        let found = self.waiting(caller, id).await?;
        if found.noun.proposed_by != person.id {
            caller.require(&[Role::Admin])?;
        }
        self.decided(caller, found, &person, ProposalState::Rejected, comment)
            .await
    }

    async fn waiting(
        &self,
        caller: &Caller,
        id: &ProposalId,
    ) -> Result<Versioned<Proposal>, ControlError> {
        let found = self.proposed(caller, id).await?;
        if found.noun.state != ProposalState::Proposed {
            let text = format!("the proposal is {} already", found.noun.state.as_str());
            return Err(conflict(text));
        }
        Ok(found)
    }

    fn may_approve(
        &self,
        caller: &Caller,
        person: &Person,
        proposal: &Proposal,
    ) -> Result<(), ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let single = registry
            .organization
            .as_ref()
            .is_some_and(|o| o.separation == Separation::Single);
        let forbidden = |text: String| Err(refuse(RefusalCode::Forbidden, text));
        if proposal.proposed_by == person.id {
            return match single {
                true => Ok(()),
                false => forbidden("you proposed it; somebody else has to approve it".to_owned()),
            };
        }
        match eligible::related(&registry, &proposal.proposed_by, person) {
            Some(why) => forbidden(why),
            None => Ok(()),
        }
    }

    fn is_current(&self, caller: &Caller, proposal: &Proposal) -> Result<(), ControlError> {
        let live = version_of(&live_sets(&*self.book(&caller.org)?))?;
        if proposal.base == live || proposal.bundle == live {
            return Ok(());
        }
        Err(conflict(
            "other policies went live since it was proposed; look at the difference and propose it again",
        ))
    }

    async fn decided(
        &self,
        caller: &Caller,
        found: Versioned<Proposal>,
        person: &Person,
        state: ProposalState,
        comment: Option<String>,
    ) -> Result<ProposalView, ControlError> {
        if let Some(comment) = &comment {
            check::text("comment", comment)?;
        }
        let kind = match state {
            ProposalState::Approved => EventKind::PolicyApproved,
            _ => EventKind::PolicyRejected,
        };
        let proposal = Proposal {
            state,
            decided_by: Some(person.id.clone()),
            decided_at: Some(self.books.now()),
            comment,
            ..found.noun
        };
        let event = self
            .event(caller, kind)
            .about(&proposal.id)
            .fact("bundle", &proposal.bundle)
            .fact("proposed_by", &proposal.proposed_by)
            .content("comment", &proposal.comment);
        let change = remit_books::Change::new()
            .update(&proposal, found.revision)
            .event(event);
        self.books.commit(&caller.org, change).await?;
        self.proposal(caller, &proposal.id).await
    }

    /// Lets a bundle decide in the shadow: beside every call, without any effect. It need not be approved yet.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` when it was rejected or is live; `Policy` when it
    /// does not compile any more.
    pub async fn stage_proposal(
        &self,
        caller: &Caller,
        id: &ProposalId,
    ) -> Result<StageView, ControlError> {
        caller.require(&[Role::Admin])?;
        let found = self.proposed(caller, id).await?.noun;
        let book = self.book(&caller.org)?;
        if found.state == ProposalState::Rejected || found.bundle == version_of(&live_sets(&book))?
        {
            return Err(conflict("it was rejected, or is live already"));
        }
        let bundle = self.bundle_of(caller, &found.bundle).await?.noun;
        compile(&book, &sources(&bundle.sets))?;
        let shadow = Shadow {
            bundle: bundle.version.clone(),
            proposal: found.id.clone(),
            sets: bundle.sets,
            since: self.books.now(),
            by: caller.principal.clone(),
        };
        let event = self
            .event(caller, EventKind::PolicyStaged)
            .about(&found.id)
            .fact("bundle", &found.bundle);
        let next = |stage| Stage {
            shadow: Some(shadow),
            ..stage
        };
        let change = self.staged(caller, next)?.event(event);
        self.books.commit(&caller.org, change).await?;
        self.policy_stage(caller)
    }

    /// Takes the bundle out of the shadow.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `conflict` when none is there.
    pub async fn unstage(&self, caller: &Caller) -> Result<StageView, ControlError> {
        caller.require(&[Role::Admin])?;
        let stage = self.book(&caller.org)?.stage();
        let shadow = stage.and_then(|(_, s)| s.shadow);
        let shadow = shadow.ok_or_else(|| conflict("no bundle is in the shadow"))?;
        let event = self
            .event(caller, EventKind::PolicyUnstaged)
            .about(&shadow.proposal)
            .fact("bundle", &shadow.bundle);
        let next = |stage| Stage {
            shadow: None,
            ..stage
        };
        let change = self.staged(caller, next)?.event(event);
        self.books.commit(&caller.org, change).await?;
        self.policy_stage(caller)
    }

    /// Makes an approved proposal live, in one commit. From there on every call is decided by it, and every decision names
    /// it; a call that was decided before is recorded under the bundle that decided it, or decided again.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` when it is not approved or not a change of what is
    /// live any more; `Policy` when it does not compile any more.
    pub async fn enforce_proposal(
        &self,
        caller: &Caller,
        id: &ProposalId,
    ) -> Result<StageView, ControlError> {
        caller.require(&[Role::Admin])?;
        let found = self.proposed(caller, id).await?;
        if found.noun.state != ProposalState::Approved {
            let text = format!(
                "the proposal is {}, not approved",
                found.noun.state.as_str()
            );
            return Err(conflict(text));
        }
        is_found_good(&found.noun)?;
        self.is_current(caller, &found.noun)?;
        let bundle = self.bundle_of(caller, &found.noun.bundle).await?.noun;
        if version_of(&bundle.sets)? != bundle.version {
            return Err(conflict(
                "the bundle kept under this version is another one: propose it again",
            ));
        }
        let approved_by = found
            .noun
            .decided_by
            .clone()
            .ok_or_else(|| conflict("nobody approved it"))?;
        let proposal = Proposal {
            state: ProposalState::Enforced,
            ..found.noun
        };
        let alone = approved_by == proposal.proposed_by;
        let accepting = Accepting {
            how: if alone {
                Acceptance::Alone
            } else {
                Acceptance::Reviewed
            },
            alone,
            proposed_by: proposal.proposed_by.clone(),
            approved_by,
            proposal: Some(proposal.id.clone()),
        };
        let change = self
            .sets_change(caller, &bundle.sets)?
            .update(&proposal, found.revision)
            .and(
                self.accepted(caller, bundle.sets, accepting, EventKind::PolicyEnforced)
                    .await?,
            );
        self.books.commit(&caller.org, change).await?;
        self.policy_stage(caller)
    }
}
