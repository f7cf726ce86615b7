//! Tokens of upstreams' own authorization servers.

use async_trait::async_trait;
use remit_domain::upstream::Injection;
use remit_domain::{LeaseId, OrgId, Principal, Refusal, RunId, Upstream};
use secrecy::SecretString;

/// What a token is asked for.
#[derive(Debug, Clone, Copy)]
pub struct LeaseWanted<'a> {
    /// Whose call.
    pub org: &'a OrgId,
    /// To which upstream.
    pub upstream: &'a Upstream,
    /// Of which tool.
    pub tool: Option<&'a str>,
    /// In which run; none for what an administrator does.
    pub run: Option<&'a RunId>,
    /// The lease whose token the upstream refused: another one is given instead.
    pub refused: Option<&'a LeaseId>,
}

/// A token, for one call.
#[derive(Debug, Clone)]
pub struct LentToken {
    /// Whose it is.
    pub lease: LeaseId,
    /// The token.
    pub token: SecretString,
}

/// There is no token. Never carries what was sent or answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's authorization server gave no token: {0}")]
pub struct NoToken(pub String);

/// Gets tokens of upstreams' own authorization servers, and gives them back.
///
/// Contract: a token is of one run of one upstream and never lent to another run; it is a record before it is lent; a run that has
/// ended gets none. Whoever gives back looks for the leases of every node.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// The token that an upstream needs; none where it needs none.
    ///
    /// # Errors
    /// [`NoToken`]: nothing may be sent to the upstream.
    async fn lend(&self, wanted: LeaseWanted<'_>) -> Result<Option<LentToken>, NoToken>;

    /// Ends the leases of a run, and tries once to revoke each at its source. What does not succeed is tried again later.
    ///
    /// # Errors
    /// `ledger-unavailable`: nobody knows which there are.
    async fn give_back(&self, org: &OrgId, run: &RunId) -> Result<(), Refusal>;

    /// Ends one lease, and tries once to revoke it.
    ///
    /// # Errors
    /// `not-found`, `conflict` when it is over, `ledger-unavailable`.
    async fn revoke(
        &self,
        org: &OrgId,
        lease: &LeaseId,
        by: &Principal,
        reason: &str,
    ) -> Result<(), Refusal>;
}

/// Where no token can be got.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLeases;

#[async_trait]
impl Leases for NoLeases {
    async fn lend(&self, wanted: LeaseWanted<'_>) -> Result<Option<LentToken>, NoToken> {
        match wanted.upstream.secret {
            Some(Injection::Oauth(_)) => Err(NoToken("this process asks for none".to_owned())),
            _ => Ok(None),
        }
    }

    async fn give_back(&self, _: &OrgId, _: &RunId) -> Result<(), Refusal> {
        Ok(())
    }

    async fn revoke(&self, _: &OrgId, _: &LeaseId, _: &Principal, _: &str) -> Result<(), Refusal> {
        Ok(())
    }
}
