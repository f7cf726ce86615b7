//! Delegation assertions: a person's word, for one use, that one agent may act in one workflow.
//!
//! Given out by the issuer each time a stored delegation is used, and handed in as `subject_token` of a token
//! exchange (RFC 8693 §2.1). It is not an access token: its `typ` is its own, its audience is the token endpoint,
//! and it lives at most five minutes. That it is used once is for the caller to keep: it records `jti` until
//! `exp`. A person's API token is opaque and can never pass here.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::claims::{Actor, Expect, MayAct, Times, check_id, check_span, check_uri};
use crate::error::TokenError;
use crate::jws::{self, HeaderRules};
use crate::keys::{PublicJwk, SigningKey};
use crate::limits::SUBJECT_TOKEN_TTL_S_MAX;

/// The `typ` of a delegation assertion.
pub const TYP: &str = "remit-delegation+jwt";

const RULES: HeaderRules = HeaderRules::own(&[TYP]);

/// The claims of a delegation assertion. Times are seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegationClaims {
    /// The issuer.
    pub iss: String,
    /// The person who delegates.
    pub sub: String,
    /// The token endpoint's issuer; a single value.
    pub aud: String,
    /// When it ends, at most five minutes after `iat`.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its id, to be accepted once.
    pub jti: String,
    /// The one agent and workflow that it is for; the workflow must be named.
    pub may_act: MayAct,
    /// Who acted before, where an agent asked for this on behalf of its sub-agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The organization.
    #[serde(rename = "remit_org")]
    pub org: String,
    /// The stored delegation that this rests on.
    #[serde(rename = "remit_delegation")]
    pub delegation: String,
    /// The run of the agent that asked, where it is for a sub-agent.
    #[serde(rename = "remit_run", default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl DelegationClaims {
    fn check(&self) -> Result<(), TokenError> {
        check_uri("iss", &self.iss)?;
        check_uri("sub", &self.sub)?;
        check_uri("aud", &self.aud)?;
        check_id("jti", &self.jti)?;
        check_id("remit_org", &self.org)?;
        check_id("remit_delegation", &self.delegation)?;
        self.run
            .as_deref()
            .map_or(Ok(()), |run| check_id("remit_run", run))?;
        self.may_act.check()?;
        if self.may_act.workflow.is_none() {
            return Err(TokenError::ClaimInvalid {
                name: "may_act",
                problem: "without a workflow",
            });
        }
        self.act.as_ref().map_or(Ok(()), Actor::check)?;
        check_span(self.iat, self.exp, SUBJECT_TOKEN_TTL_S_MAX)
    }
}

/// Signs a delegation assertion with ES256.
///
/// # Errors
/// `ClaimInvalid`, `LifetimeTooLong`, `ActorChainTooDeep`, `TooLarge`, `SigningFailed`.
pub fn sign(claims: &DelegationClaims, key: &SigningKey) -> Result<String, TokenError> {
    claims.check()?;
    jws::seal(TYP, claims, key)
}

/// Verifies a delegation assertion. The caller then checks that the client is the one in `may_act`, that the
/// delegation still stands, and that `jti` was not seen before.
///
/// - `find_key`: the trusted key of a `kid`, or none.
/// - `expect.audiences`: the issuer, and nothing wider.
///
/// # Errors
/// Any [`TokenError`] but `ClientMismatch` and `SigningFailed`.
pub fn verify(
    token: &str,
    find_key: impl FnOnce(&str) -> Option<PublicJwk>,
    expect: &Expect<'_>,
) -> Result<DelegationClaims, TokenError> {
    let header = jws::check_header(token, &RULES)?;
    let kid = header.kid.as_deref().ok_or(TokenError::KeyIdMissing)?;
    let key = find_key(kid).ok_or(TokenError::KeyUnknown)?;
    let claims: DelegationClaims = jws::open(token, &header, &key)?;

    if claims.iss != expect.issuer {
        return Err(TokenError::IssuerWrong);
    }
    if !expect.audiences.contains(&claims.aud.as_str()) {
        return Err(TokenError::AudienceWrong);
    }
    let times = Times {
        iat: Some(claims.iat),
        nbf: None,
        exp: claims.exp,
        ttl_s_max: SUBJECT_TOKEN_TTL_S_MAX,
    };
    times.check(expect.now, expect.leeway_s)?;
    claims.check()?;
    Ok(claims)
}
