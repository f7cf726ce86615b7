//! An access token that was issued here and read, and one that is not good here and now.

use std::sync::Arc;

use remit_domain::attestation::Trust;
use remit_domain::{
    AgentId, CredentialId, OrgId, PersonId, Refusal, RefusalCode, RunId, Timestamp, WorkflowId,
};
use remit_token::AccessTokenClaims;

use crate::Resource;
use crate::refusal::no;

/// An access token that was issued here and read.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Everything it says.
    pub claims: AccessTokenClaims,
    /// The organization.
    pub org: OrgId,
    /// The agent that acts.
    pub agent: AgentId,
    /// The workflow whose grants apply.
    pub workflow: WorkflowId,
    /// The run it belongs to.
    pub run: RunId,
    /// The person it acts for.
    pub person: Option<PersonId>,
    /// Its id.
    pub token: CredentialId,
    /// Thumbprint of the key that asked for it.
    pub thumbprint: String,
    /// How well whoever asked for it had proved what it is.
    pub trust: Trust,
    /// Where it is good.
    pub resource: Resource,
    /// When it ends by itself.
    pub expires: Timestamp,
}

/// What a request proves besides showing a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proved<'a> {
    /// Thumbprint of the key that [`Issuer::prove_key`](crate::Issuer::prove_key) found proved in this request.
    pub key: Option<&'a str>,
    /// SHA-256 of the certificate that its connection shows, base64url.
    pub certificate: Option<&'a str>,
}

impl<'a> From<Option<&'a str>> for Proved<'a> {
    fn from(key: Option<&'a str>) -> Self {
        Self {
            key,
            certificate: None,
        }
    }
}

/// A token that is not good here and now.
#[derive(Debug, Clone)]
pub struct AccessRefused {
    /// Why.
    pub refusal: Refusal,
    /// What is wrong with it, for the record: finer than what its holder is told.
    pub reason: &'static str,
    /// What it is, where its signature is ours: for records and findings, never as a permission.
    pub verified: Option<Arc<Verified>>,
}

impl AccessRefused {
    /// Something is wrong with the token itself: its holder is told to get another one.
    pub(crate) fn unauthenticated(reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            reason,
            ..no(RefusalCode::Unauthenticated, text).into()
        }
    }

    /// The token is bound to nothing, where the organization demands that every one is.
    pub(crate) fn unbound() -> Self {
        let text = "this organization takes tokens only that are bound to a key or a certificate; get one with a DPoP proof or a certificate";
        Self {
            reason: "token-unbound",
            ..no(RefusalCode::ProofInvalid, text).into()
        }
    }

    /// With what it is.
    #[must_use]
    pub(crate) fn of(mut self, verified: &Arc<Verified>) -> Self {
        self.verified = Some(Arc::clone(verified));
        self
    }
}

impl From<Refusal> for AccessRefused {
    fn from(refusal: Refusal) -> Self {
        Self {
            reason: refusal.code.as_str(),
            refusal,
            verified: None,
        }
    }
}

impl From<AccessRefused> for Refusal {
    fn from(refused: AccessRefused) -> Self {
        refused.refusal
    }
}

impl Verified {
    /// Why what was proved is not all that the token is bound to; none where it is.
    pub fn unproved(&self, proved: &Proved<'_>) -> Option<&'static str> {
        let cnf = self.claims.cnf.as_ref()?;
        let other = |bound: Option<&str>, shown: Option<&str>| bound.is_some() && bound != shown;
        if other(cnf.jkt.as_ref().map(|jkt| jkt.as_str()), proved.key) {
            return Some("the token is bound to a key; send it as `DPoP` with a proof by that key");
        }
        if other(cnf.x5t_s256.as_deref(), proved.certificate) {
            return Some("the token is bound to a certificate; connect with that certificate");
        }
        None
    }

    /// Reads claims whose signature holds; none when they do not agree with themselves.
    pub(crate) fn read(org: &OrgId, claims: AccessTokenClaims, resource: Resource) -> Option<Self> {
        if claims.org != org.as_str() || claims.client_id != claims.agent {
            return None;
        }
        let agent: AgentId = claims.agent.parse().ok()?;
        let person = if claims.sub == claims.agent {
            None
        } else {
            Some(claims.sub.parse().ok()?)
        };
        let actor = claims.act.as_ref().map(|act| act.sub.as_str());
        if person.is_some() != actor.is_some() || actor.is_some_and(|actor| actor != claims.agent) {
            return None;
        }
        Some(Self {
            org: org.clone(),
            agent,
            workflow: claims.workflow.parse().ok()?,
            run: claims.run.parse().ok()?,
            person,
            token: claims.jti.parse().ok()?,
            thumbprint: String::new(),
            // Known once its record was looked up.
            trust: Trust::None,
            resource,
            expires: Timestamp::from_secs(claims.exp),
            claims,
        })
    }
}
