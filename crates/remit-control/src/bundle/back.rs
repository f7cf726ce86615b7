//! Going back to a bundle that was live: at once where nothing is allowed by it that is not now, by two people otherwise.

use remit_domain::Role;
use remit_domain::bundle::{Acceptance, Bundle};
use remit_domain::event::EventKind;
use schemars::JsonSchema;
use serde::Serialize;

use super::decide::conflict;
use super::deploy::Accepting;
use super::{NewProposal, ProposalView, StageView, live_sets, sources};
use crate::{Caller, Control, ControlError};

/// What going back came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RolledBack {
    /// What is live now.
    #[serde(flatten)]
    pub stage: StageView,
    /// Set where nothing has changed yet, since it takes policies away or changes what they say: somebody else approves this
    /// proposal first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<ProposalView>,
}

impl Control {
    /// Goes back to a bundle that was live: the one before this one, or the one that is named. Its signature is looked at
    /// again. Who goes back, and from what, is signed anew.
    ///
    /// One administrator goes back at once where that only adds policies that forbid or ask, which is the way out in an
    /// emergency. Whatever takes one away or changes one becomes a proposal, unless the organization lets one person do both.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `conflict` when there is nothing to go back to, or it was never accepted;
    /// `Policy` when it does not compile any more.
    pub async fn roll_back(
        &self,
        caller: &Caller,
        to: Option<&str>,
    ) -> Result<RolledBack, ControlError> {
        let person = caller.require(&[Role::Admin])?.id.clone();
        let bundle = self.bundle_before(caller, to).await?;
        let live = live_sets(&*self.book(&caller.org)?);
        let tightens = remit_policy::only_tightens(&sources(&live), &sources(&bundle.sets))
            .map_err(ControlError::Policy)?;
        if !tightens && self.is_dual(&caller.org)? {
            let version: String = bundle.version.chars().take(12).collect();
            let new = NewProposal {
                title: format!("go back to {version}"),
                sets: bundle.sets,
                tests: bundle.tests,
                source: None,
            };
            return Ok(RolledBack {
                proposal: Some(self.propose_policies(caller, new).await?),
                stage: self.policy_stage(caller)?,
            });
        }
        let accepting = Accepting {
            how: Acceptance::RolledBack,
            alone: !tightens,
            proposed_by: person.clone(),
            approved_by: person,
            proposal: None,
        };
        let change = self.sets_change(caller, &bundle.sets)?.and(
            self.accepted(caller, bundle.sets, accepting, EventKind::PolicyRolledBack)
                .await?,
        );
        self.books.commit(&caller.org, change).await?;
        Ok(RolledBack {
            stage: self.policy_stage(caller)?,
            proposal: None,
        })
    }

    /// The bundle to go back to, which somebody accepted then.
    async fn bundle_before(
        &self,
        caller: &Caller,
        to: Option<&str>,
    ) -> Result<Bundle, ControlError> {
        let book = self.book(&caller.org)?;
        let stage = book.stage().map(|(_, s)| s).unwrap_or_default();
        let version = match to {
            Some(version) if stage.live.iter().any(|d| d.bundle == version) => version.to_owned(),
            Some(_) => return Err(conflict("that bundle was not live; propose it instead")),
            None => {
                let before = stage.before();
                let before =
                    before.ok_or_else(|| conflict("nothing was live before this bundle"))?;
                before.bundle.clone()
            }
        };
        let bundle = self.bundle_of(caller, &version).await?.noun;
        let last = bundle.accepted.last();
        let last = last.ok_or_else(|| conflict("that bundle was never accepted"))?;
        if !self.is_signed(caller, &bundle, last).await? {
            return Err(conflict(
                "the signature of that bundle is not valid: propose it again",
            ));
        }
        Ok(bundle)
    }
}
