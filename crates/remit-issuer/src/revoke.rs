//! Token revocation (RFC 7009).

use remit_books::{BooksError, Change};
use remit_domain::credential::Token;
use remit_domain::event::{Event, EventKind};
use remit_domain::{CredentialId, OrgId, Principal};
use remit_token::{ClientAuth, OAuthError};

use crate::Issuer;
use crate::client::Client;
use crate::door::Denied;
use crate::mint::spent;

impl Issuer {
    /// Revokes a client's own access token. What is no token, or another's, is left alone and is no error (RFC 7009 §2.2):
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
        let mut change = once.into_iter().fold(Change::new(), Change::once);
        if let Some(own) = verified.filter(|verified| verified.agent == agent.id) {
            let by = Principal::Agent(agent.id.clone());
            change = change.and(self.plan_revocation(org, &own.token, by).await?);
        }
        self.books()
            .commit(org, change)
            .await
            .map_err(|error| spent(error).by(&agent.id))?;
        Ok(())
    }

    /// Takes back a token that was issued while its run was being stopped.
    pub(crate) async fn withdraw(&self, org: &OrgId, token: &CredentialId) {
        let revoked = self
            .books()
            .retrying(org, async || {
                Ok((
                    (),
                    Some(self.plan_revocation(org, token, Principal::Remit).await?),
                ))
            })
            .await;
        if let Err(error) = revoked {
            // It is refused wherever it is used: its run does not stand.
            tracing::error!(%org, %token, %error, "a token could not be taken back");
        }
    }

    async fn plan_revocation(
        &self,
        org: &OrgId,
        token: &CredentialId,
        by: Principal,
    ) -> Result<Change, BooksError> {
        let found = self.books().get::<Token>(org, token.as_str()).await?;
        let Some(found) = found.filter(|found| found.noun.revoked.is_none()) else {
            return Ok(Change::new());
        };
        let next = Token {
            revoked: Some(self.books().now()),
            ..found.noun
        };
        // What was asked for with it goes with it.
        let mut svids = self.books().live_svids(org, Some(&next.agent)).await?;
        svids.retain(|svid| svid.noun.token.as_ref() == Some(token));
        let withdrawn = self.books().plan_withdrawal(svids, &by);
        let event = Event::new(EventKind::TokenRevoked, self.books().now(), by)
            .about(&next.id)
            .agent(&next.agent)
            .run(&next.run);
        Ok(Change::new()
            .update(&next, found.revision)
            .event(event)
            .and(withdrawn)
            .restrict())
    }
}
