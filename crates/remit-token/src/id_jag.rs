//! Identity assertions that we make: a person's word, through the organization's identity provider, that an agent may act for them
//! at an authorization server of somebody else.
//!
//! Source: draft-ietf-oauth-identity-assertion-authz-grant-04 §3 and §4.3.

use serde::Serialize;

use crate::claims::{Actor, check_id, check_span, check_uri};
use crate::error::TokenError;
use crate::foreign::TYP_ID_JAG;
use crate::jws;
use crate::keys::SigningKey;
use crate::limits::ID_JAG_TTL_S_MAX;
use crate::scope::Scope;

/// What an identity assertion says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdJagClaims {
    /// This issuer.
    pub iss: String,
    /// The person, by the id that they have here.
    pub sub: String,
    /// The authorization server that it is for: its issuer, and nobody else.
    pub aud: String,
    /// The client id of the agent at that server.
    pub client_id: String,
    /// Its id.
    pub jti: String,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub iat: i64,
    /// When it ends; at most [`ID_JAG_TTL_S_MAX`] after `iat`.
    pub exp: i64,
    /// What may be asked for there.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// Where what it gives is to be good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Who acts.
    pub act: Actor,
    /// The person's address, where the server is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// Signs an identity assertion with ES256.
///
/// # Errors
/// `ClaimInvalid`, `LifetimeTooLong`, `ActorChainTooDeep`, `TooLarge`, `SigningFailed`.
pub fn sign(claims: &IdJagClaims, key: &SigningKey) -> Result<String, TokenError> {
    check_uri("iss", &claims.iss)?;
    check_uri("sub", &claims.sub)?;
    check_uri("aud", &claims.aud)?;
    check_uri("client_id", &claims.client_id)?;
    check_id("jti", &claims.jti)?;
    claims.act.check()?;
    check_span(claims.iat, claims.exp, ID_JAG_TTL_S_MAX)?;
    jws::seal(TYP_ID_JAG, claims, key)
}
