//! An access token that was issued here and read, and one that is not good here and now.

use std::sync::Arc;

use remit_domain::attestation::Trust;
use remit_domain::{AgentId, CredentialId, OrgId, PersonId, Refusal, RunId, Timestamp, WorkflowId};
use remit_token::AccessTokenClaims;

use crate::Resource;

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

/// A token that is not good here and now.
#[derive(Debug, Clone)]
pub struct AccessRefused {
    /// Why.
    pub refusal: Refusal,
    /// What it is, where its signature is ours: for records and findings, never as a permission.
    pub verified: Option<Arc<Verified>>,
}

impl From<Refusal> for AccessRefused {
    fn from(refusal: Refusal) -> Self {
        Self {
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
