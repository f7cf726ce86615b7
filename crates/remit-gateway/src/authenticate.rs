//! Who calls.

use async_trait::async_trait;
use remit_domain::attestation::Trust;
use remit_domain::{AgentId, OrgId, PersonId, Refusal, RunId, WorkflowId};
use secrecy::SecretString;

use crate::Gateway;
use crate::call::{Authenticated, Received};

/// A token as it was presented, once for a request: whoever uses one that is bound to a key has proved that key by then, and
/// the walk of the call does not ask for the proof again.
#[derive(Debug, Clone, Default)]
pub struct Presented {
    /// The token.
    pub token: SecretString,
    /// Thumbprint of the key that was proved with it (RFC 9449); none for a bearer token.
    pub key: Option<String>,
    /// SHA-256 of the certificate that the connection shows (RFC 8705); none where it shows none.
    pub certificate: Option<String>,
}

impl Presented {
    /// A token that nothing was proved with.
    pub fn bearer(token: impl Into<SecretString>) -> Self {
        Self {
            token: token.into(),
            key: None,
            certificate: None,
        }
    }
}

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
    /// How well it proved what it is.
    pub trust: Trust,
}

/// Checks tokens. Implemented by whoever issues them; the gateway knows only this.
///
/// Contract: a caller is returned only for an unexpired, unrevoked token of this organization, good for `resource`, and for one
/// that is bound to a key only where that key was proved. The token itself goes no further.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Who presents a token.
    ///
    /// # Errors
    /// `unauthenticated` or `proof-invalid`, without saying more than the caller may learn.
    async fn authenticate(
        &self,
        org: &OrgId,
        presented: &Presented,
        resource: &str,
    ) -> Result<Caller, NotLetIn>;
}

/// Somebody who is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLetIn {
    /// Why.
    pub refusal: Refusal,
    /// What is wrong, for the record: finer than what they are told, where that is known.
    pub reason: Option<&'static str>,
    /// Who they are, as far as a signature of ours proves it: for the record, never as a permission.
    pub known: Option<(AgentId, RunId)>,
}

impl From<Refusal> for NotLetIn {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            reason: None,
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
        self.caller(&received.org, &received.presented, &received.resource)
            .await
    }

    /// Who presents a token, for a caller that has no call to make yet.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`]; not recorded, which [`Self::turn_away`] does.
    pub async fn caller(
        &self,
        org: &OrgId,
        presented: &Presented,
        resource: &str,
    ) -> Result<Caller, NotLetIn> {
        self.inner
            .authenticator
            .authenticate(org, presented, resource)
            .await
    }
}
