//! Letting a delegation be used once: the subject token that a person, or a parent agent, hands to the agent it names.

use std::sync::Arc;

use remit_domain::delegation::{Delegation, DelegationUse};
use remit_domain::standing::Standing;
use remit_domain::{CredentialId, DelegationId, OrgId, PersonId, Principal, Refusal, RefusalCode};
use remit_token::{DelegationClaims, MayAct, subject_token};
use secrecy::SecretString;

use crate::Issuer;
use crate::limits::SUBJECT_TOKEN_SECS;
use crate::mint::actors;
use crate::refusal::no;

/// A subject token: for one agent, one workflow and one use.
#[derive(Debug)]
pub struct SubjectToken {
    /// The token; its audience is the token endpoint.
    pub token: SecretString,
    /// Seconds until it ends.
    pub expires_in: u32,
}

impl Issuer {
    /// A subject token from a person's own interactive delegation.
    ///
    /// # Errors
    /// `not-found` unless it is this person's own, `chain-broken` when it was revoked or has ended, `invalid-request` for a
    /// standing one, and whatever the agent's standing refuses with.
    pub async fn assertion(
        &self,
        org: &OrgId,
        delegation: &DelegationId,
        by: &PersonId,
    ) -> Result<SubjectToken, Refusal> {
        let link = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            // One that was revoked is not kept in the registry; it is not told apart from another person's.
            let found = registry
                .delegations
                .get(delegation)
                .filter(|link| link.from == Principal::Person(by.clone()));
            let link = found.ok_or_else(|| {
                no(
                    RefusalCode::NotFound,
                    "you have no such delegation that counts",
                )
            })?;
            if !link.is_live(self.books().now())
                || !registry
                    .people
                    .get(by)
                    .is_some_and(|person| person.is_active())
            {
                return Err(no(
                    RefusalCode::ChainBroken,
                    "the delegation has ended; delegate again",
                ));
            }
            if link.kind != DelegationUse::Interactive {
                let text = "a standing delegation starts runs by itself and is not handed out; delegate interactively";
                return Err(no(RefusalCode::InvalidRequest, text));
            }
            registry.not_held(|| registry.lineage_of_delegation(link))?;
            registry.standing_agent(&link.to)?;
            registry.standing_workflow(&link.to, &link.workflow)?;
            Arc::clone(link)
        };
        self.sign_subject(org, &link, None).await
    }

    /// A subject token from the link that a parent has cut for its sub-agent.
    pub(crate) async fn subject_token(
        &self,
        org: &OrgId,
        link: &Delegation,
        parent: &Standing,
    ) -> Result<SubjectToken, Refusal> {
        self.sign_subject(org, link, Some(parent)).await
    }

    async fn sign_subject(
        &self,
        org: &OrgId,
        link: &Delegation,
        parent: Option<&Standing>,
    ) -> Result<SubjectToken, Refusal> {
        let now = self.books().now();
        let exp = now
            .plus_secs(SUBJECT_TOKEN_SECS)
            .min(link.expires)
            .as_secs();
        if exp <= now.as_secs() {
            return Err(no(
                RefusalCode::ChainBroken,
                "the delegation ends now; delegate again",
            ));
        }
        let claims = DelegationClaims {
            iss: self.issuer_url(org)?,
            sub: link.person.to_string(),
            aud: self.token_endpoint(org)?,
            exp,
            iat: now.as_secs(),
            jti: self.books().id(CredentialId::from_uuid).to_string(),
            may_act: MayAct {
                sub: link.to.to_string(),
                workflow: Some(link.workflow.to_string()),
            },
            act: parent.and_then(|parent| actors(&parent.chain)),
            org: org.to_string(),
            delegation: link.id.to_string(),
            run: parent.map(|parent| parent.run.id.to_string()),
        };
        let keys = self.org_keys(org).await?;
        let token = subject_token::sign(&claims, keys.signing()?)
            .map_err(|error| no(RefusalCode::CredentialUnavailable, error.to_string()))?;
        let expires_in = u32::try_from(exp.saturating_sub(claims.iat)).unwrap_or(0);
        Ok(SubjectToken {
            token: SecretString::from(token),
            expires_in,
        })
    }
}
