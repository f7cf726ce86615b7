//! Token revocation (RFC 7009).

use remit_books::{BooksError, Change};
use remit_domain::{CredentialId, OrgId, Principal};
use remit_token::{ClientAuth, OAuthError};

use crate::Issuer;
use crate::client::Client;
use crate::door::Denied;
use crate::spent::spent;

impl Issuer {
    /// Revokes a client's own access token, with everything that was got with it: tokens, SVIDs, runs of sub-agents. What is no token, or another's, is left alone and is no error (RFC 7009 §2.2):
    /// the answer tells nobody what a found string is.
    ///
    /// # Errors
    /// `invalid_client`, `temporarily_unavailable`.
    pub async fn revoke(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
        token: &str,
    ) -> Result<(), OAuthError> {
        match self.revoke_inner(org, auth, token).await {
            Ok(()) => Ok(()),
            Err(denied) => Err(self.deny(org, "revoke", denied).await),
        }
    }

    async fn revoke_inner(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
        token: &str,
    ) -> Result<(), Denied> {
        let Client { agent, once, .. } = self.authenticate(org, auth).await?;
        let verified = match self.inspect(org, token).await {
            Ok(verified) => Some(verified),
            // Its run may be contained or over: the token itself can be revoked all the same.
            Err(refused) => refused.verified,
        };
        let change = once.into_iter().fold(Change::new(), Change::once);
        let Some(own) = verified.filter(|verified| verified.agent == agent.id) else {
            let committed = self.books().commit(org, change).await;
            return committed
                .map(drop)
                .map_err(|error| spent(error).by(&agent.id));
        };
        let by = Principal::Agent(agent.id.clone());
        let revocation = self.plan_revocation(org, &own.token, &by).await?;
        let change = change.and(revocation.unwrap_or_default());
        let committed = self.books().commit(org, change).await;
        committed.map_err(|error| spent(error).by(&agent.id))?;
        self.end_spawned_with(org, &own.token, &by).await;
        Ok(())
    }

    /// Takes back a token that was issued while its run was being stopped.
    pub(crate) async fn withdraw(&self, org: &OrgId, token: &CredentialId) {
        let plan = async || {
            Ok((
                (),
                self.plan_revocation(org, token, &Principal::Remit).await?,
            ))
        };
        if let Err(error) = self.books().retrying(org, plan).await {
            // It is refused wherever it is used: its run does not stand.
            tracing::error!(%org, %token, %error, "a token could not be taken back");
        }
    }

    async fn plan_revocation(
        &self,
        org: &OrgId,
        token: &CredentialId,
        by: &Principal,
    ) -> Result<Option<Change>, BooksError> {
        self.books()
            .plan_token_revocation(org, token, by, |event| event)
            .await
    }

    async fn end_spawned_with(&self, org: &OrgId, token: &CredentialId, by: &Principal) {
        if let Err(error) = self.books().end_spawned_with(org, token, by).await {
            // Their tokens are refused wherever they are used: what they were spawned with is revoked.
            tracing::error!(%org, %token, %error, "runs of sub-agents could not be ended");
        }
    }
}
