//! Who calls.

use async_trait::async_trait;
use remit_domain::{AgentId, OrgId, PersonId, Refusal, RunId, WorkflowId};
use secrecy::ExposeSecret;

use crate::Gateway;
use crate::call::{Authenticated, Received};

/// Who calls, as their token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The agent.
    pub agent: AgentId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// Its run.
    pub run: RunId,
    /// The person it acts for.
    pub person: Option<PersonId>,
    /// The token's id.
    pub credential: String,
}

/// Checks tokens. Implemented by whoever issues them; the gateway knows only this.
///
/// Contract: a caller is returned only for an unexpired, unrevoked token of this organization, good for `resource`. The token
/// itself goes no further.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Who the bearer of `token` is.
    ///
    /// # Errors
    /// `unauthenticated` or `proof-invalid`, without saying more than the caller may learn.
    async fn authenticate(
        &self,
        org: &OrgId,
        token: &str,
        resource: &str,
    ) -> Result<Caller, NotLetIn>;
}

/// Somebody who is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLetIn {
    /// Why.
    pub refusal: Refusal,
    /// Who they are, as far as a signature of ours proves it: for the record, never as a permission.
    pub known: Option<(AgentId, RunId)>,
}

impl From<Refusal> for NotLetIn {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            known: None,
        }
    }
}

impl From<NotLetIn> for Refusal {
    fn from(not: NotLetIn) -> Self {
        not.refusal
    }
}

impl Gateway {
    pub(crate) async fn authenticate(
        &self,
        received: Box<Received>,
    ) -> Result<Authenticated, NotLetIn> {
        let caller = self.who_calls(&received).await?;
        Ok(Authenticated { received, caller })
    }

    /// Who calls: by the token, or by the word of an enforcement point that may give it.
    pub(crate) async fn who_calls(&self, received: &Received) -> Result<Caller, NotLetIn> {
        if let Some(vouched) = &received.vouched {
            return Ok(self.vouched_caller(&received.org, vouched)?);
        }
        let token = received.bearer.expose_secret();
        self.caller(&received.org, token, &received.resource).await
    }

    /// Who the bearer of a token is, for a caller that has no call to make yet.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`]; not recorded, which [`Self::turn_away`] does.
    pub async fn caller(
        &self,
        org: &OrgId,
        token: &str,
        resource: &str,
    ) -> Result<Caller, NotLetIn> {
        self.inner
            .authenticator
            .authenticate(org, token, resource)
            .await
    }
}
