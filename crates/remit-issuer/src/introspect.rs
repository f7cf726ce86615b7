//! Token introspection (RFC 7662): what does not stand now is not active, whatever the reason.

use remit_books::Change;
use remit_domain::{OrgId, RefusalCode, Role};
use remit_token::{AccessTokenClaims, ClientAuth, OAuthError, OAuthErrorCode};
use serde::Serialize;

use crate::door::Denied;
use crate::spent::spent;
use crate::{Issuer, PersonIdentity};

/// Who asks about a token.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// A client: of another agent's token it learns only whether it is active.
    Client(&'a ClientAuth),
    /// A person with the role admin, responder or auditor.
    Person(&'a PersonIdentity),
}

/// The answer (RFC 7662 §2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Introspection {
    /// Whether the token is good now.
    pub active: bool,
    /// `Bearer` or `DPoP`, where the token is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// Everything it says, where the token is active and the asker may know.
    #[serde(flatten)]
    pub claims: Option<Box<AccessTokenClaims>>,
}

impl Introspection {
    const INACTIVE: Self = Self {
        active: false,
        token_type: None,
        claims: None,
    };
}

impl Issuer {
    /// Says whether a token is good now.
    ///
    /// # Errors
    /// `invalid_client` when the client is not authenticated, `unauthorized_client` when the person may not ask,
    /// `temporarily_unavailable` when we cannot know.
    pub async fn introspect(
        &self,
        org: &OrgId,
        asker: Asker<'_>,
        token: &str,
    ) -> Result<Introspection, OAuthError> {
        match self.introspect_inner(org, asker, token).await {
            Ok(answer) => Ok(answer),
            Err(denied) => Err(self.deny(org, "introspect", denied).await),
        }
    }

    async fn introspect_inner(
        &self,
        org: &OrgId,
        asker: Asker<'_>,
        token: &str,
    ) -> Result<Introspection, Denied> {
        let own = match asker {
            Asker::Client(auth) => {
                let client = self.authenticate(org, auth).await?;
                self.books()
                    .commit(
                        org,
                        client.once.into_iter().fold(Change::new(), Change::once),
                    )
                    .await
                    .map_err(|error| spent(error).by(&client.agent.id))?;
                Some(client.agent.id.clone())
            }
            Asker::Person(person) => {
                if ![Role::Admin, Role::Responder, Role::Auditor]
                    .into_iter()
                    .any(|role| person.holds(role))
                {
                    let text = "only administrators, responders and auditors may ask about tokens";
                    return Err(Denied::new(
                        OAuthErrorCode::UnauthorizedClient,
                        "forbidden",
                        text,
                    ));
                }
                None
            }
        };
        match self.inspect(org, token).await {
            Ok(verified) => {
                let may_know = own.is_none_or(|own| own == verified.agent);
                let claims = may_know.then(|| Box::new(verified.claims.clone()));
                let cnf = verified.claims.cnf.as_ref();
                let token_type = match cnf.and_then(|cnf| cnf.jkt.as_ref()) {
                    Some(_) => "DPoP",
                    None => "Bearer",
                };
                Ok(Introspection {
                    active: true,
                    token_type: may_know.then_some(token_type),
                    claims,
                })
            }
            // We do not know is not the same as not active, but it must not pass for active either.
            Err(refused)
                if matches!(
                    refused.refusal.code,
                    RefusalCode::LedgerUnavailable | RefusalCode::SnapshotStale
                ) =>
            {
                Err(refused.refusal.into())
            }
            Err(_) => Ok(Introspection::INACTIVE),
        }
    }
}
