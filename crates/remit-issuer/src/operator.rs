//! The operator: creates and contains organizations, and reads nothing inside one.
//!
//! The operator's token is a record of the operator's own organization, under a person id that no person can have.

use remit_books::{Change, OPERATOR_ORG};
use remit_domain::credential::PersonToken;
use remit_domain::{OrgId, PersonId, Principal, Refusal, RefusalCode};
use remit_token::SecretKind;
use secrecy::SecretString;

use crate::Issuer;
use crate::limits::OPERATOR_TOKEN_SECS;
use crate::refusal::{from_books, no};

/// The id under which the operator's tokens are kept: ids of people come from the clock and are never all zero.
fn operator() -> PersonId {
    PersonId::from_uuid(uuid::Uuid::nil())
}

fn operator_org() -> Result<OrgId, Refusal> {
    OPERATOR_ORG.parse().map_err(|_| {
        no(
            RefusalCode::NotFound,
            "the operator's own organization is not here",
        )
    })
}

impl Issuer {
    /// Makes the operator's first token; none when there is one already, so that it can be called on every start.
    ///
    /// # Errors
    /// `ledger-unavailable`.
    pub async fn init_operator(&self) -> Result<Option<SecretString>, Refusal> {
        let org = operator_org()?;
        if !self.person_tokens(&org, &operator()).await?.is_empty() {
            return Ok(None);
        }
        self.make_operator_token(&org, Change::new())
            .await
            .map(Some)
    }

    /// Makes a new operator's token and revokes every other. For whoever holds the machine, never over the network.
    ///
    /// # Errors
    /// `ledger-unavailable`, `conflict` when it was done twice at once.
    pub async fn reset_operator(&self) -> Result<SecretString, Refusal> {
        let org = operator_org()?;
        let now = self.books().now();
        let mut change = Change::new();
        for token in self.person_tokens(&org, &operator()).await? {
            let found = self
                .books()
                .get::<PersonToken>(&org, &token.digest)
                .await
                .map_err(from_books)?;
            if let Some(found) = found {
                let next = PersonToken {
                    revoked: Some(now),
                    ..found.noun
                };
                change = change.and(self.plan_token_revocation(
                    &next,
                    found.revision,
                    Principal::Operator,
                    now,
                ));
            }
        }
        self.make_operator_token(&org, change).await
    }

    async fn make_operator_token(
        &self,
        org: &OrgId,
        change: Change,
    ) -> Result<SecretString, Refusal> {
        let secret = self.new_secret(SecretKind::AdminBootstrap);
        let created = self.books().now();
        let token = PersonToken {
            digest: secret.digest,
            person: operator(),
            label: "operator".to_owned(),
            created,
            expires: created.plus_secs(OPERATOR_TOKEN_SECS),
            revoked: None,
        };
        let change = change.and(self.plan_token(&token, Principal::Operator));
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(secret.text)
    }

    /// Checks the operator's token (`rmt_adm_…`). A refusal is recorded in the operator's own ledger.
    ///
    /// # Errors
    /// `unauthenticated`, `ledger-unavailable`.
    pub async fn authenticate_operator(&self, token: &str) -> Result<(), Refusal> {
        let org = operator_org()?;
        match self
            .known_token(&org, token, SecretKind::AdminBootstrap)
            .await
        {
            Ok(known) if known.person == operator() => Ok(()),
            Ok(_) => Err(self
                .refuse(&org, "operator", None, None, crate::person::not_good())
                .await),
            Err(refusal) if refusal.code == RefusalCode::Unauthenticated => {
                Err(self.refuse(&org, "operator", None, None, refusal).await)
            }
            Err(refusal) => Err(refusal),
        }
    }
}
