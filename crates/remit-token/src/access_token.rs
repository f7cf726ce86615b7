//! Access tokens: JWTs that say who acts for whom, in which run, at which resource.
//!
//! Source: RFC 9068 (profile, `typ` and required claims), RFC 8693 §4 (`act`, `may_act`), RFC 9449 §6.1 (`cnf`), RFC 9396 §9.1.
//! Claims of our own have the prefix `remit_`, which collides with no registered name (RFC 7519 §4.3).

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::authorization_details::AuthorizationDetails;
use crate::claims::{
    Actor, Audience, Confirmation, Expect, MayAct, Times, check_id, check_span, check_uri,
};
use crate::error::TokenError;
use crate::jws::{self, HeaderRules};
use crate::keys::{PublicJwk, SigningKey};
use crate::limits::{ACCESS_TOKEN_TTL_S_MAX, DELEGATIONS_MAX};
use crate::scope::Scope;

/// The `typ` of an access token (RFC 9068 §2.1).
pub const TYP: &str = "at+jwt";

const RULES: HeaderRules = HeaderRules::own(&[TYP]);

/// The claims of an access token.
///
/// Ids are opaque text of at most [`crate::limits::ID_BYTES_MAX`] bytes; `iss`, `sub`, `aud` and `client_id` may be
/// URIs. Times are seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// The issuer, byte for byte as in its metadata.
    pub iss: String,
    /// On whose behalf: the person's id, or the agent's where it acts for itself.
    pub sub: String,
    /// The resource at which the token is good; exactly one when signed.
    pub aud: Audience,
    /// When it ends.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its id, unique at the issuer.
    pub jti: String,
    /// The client that asked for it.
    pub client_id: String,
    /// What was granted; left out when empty.
    #[serde(default, skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// Id shared by every token that descends from one first request, so that all can be stopped together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<String>,
    /// Who acts, where that is not `sub` (RFC 8693 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// Who may become the actor (RFC 8693 §4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_act: Option<MayAct>,
    /// The key that the bearer must prove to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// The organization.
    #[serde(rename = "remit_org")]
    pub org: String,
    /// The agent that acts.
    #[serde(rename = "remit_agent")]
    pub agent: String,
    /// The workflow whose grants apply.
    #[serde(rename = "remit_workflow")]
    pub workflow: String,
    /// The run that the token belongs to and ends with.
    #[serde(rename = "remit_run")]
    pub run: String,
    /// What the bearer may do, where its run or its chain names tools (RFC 9396 §9.1); left out when empty. Information: each
    /// call is decided by the run and the chain themselves.
    #[serde(default, skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub authorization_details: AuthorizationDetails,
    /// The delegations that the chain rests on, first one first; left out when empty.
    #[serde(
        rename = "remit_delegations",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub delegations: Vec<String>,
}

impl AccessTokenClaims {
    /// Checks everything that needs neither a clock nor an expectation.
    fn check(&self) -> Result<(), TokenError> {
        check_uri("iss", &self.iss)?;
        check_uri("sub", &self.sub)?;
        check_uri("client_id", &self.client_id)?;
        self.aud
            .iter()
            .try_for_each(|value| check_uri("aud", value))?;
        check_id("jti", &self.jti)?;
        self.txn
            .as_deref()
            .map_or(Ok(()), |txn| check_id("txn", txn))?;
        check_id("remit_org", &self.org)?;
        check_id("remit_agent", &self.agent)?;
        check_id("remit_workflow", &self.workflow)?;
        check_id("remit_run", &self.run)?;
        if self.delegations.len() > DELEGATIONS_MAX {
            let name = "remit_delegations";
            return Err(TokenError::ClaimInvalid {
                name,
                problem: "too long",
            });
        }
        self.delegations
            .iter()
            .try_for_each(|id| check_id("remit_delegations", id))?;
        self.act.as_ref().map_or(Ok(()), Actor::check)?;
        self.may_act.as_ref().map_or(Ok(()), MayAct::check)?;
        check_span(self.iat, self.exp, ACCESS_TOKEN_TTL_S_MAX)
    }
}

/// Signs an access token with ES256.
///
/// - `claims`: exactly one audience; a life of 1 s to [`ACCESS_TOKEN_TTL_S_MAX`].
/// - returns: a compact JWS of at most [`crate::limits::TOKEN_BYTES_MAX`] bytes.
///
/// # Errors
/// `ClaimInvalid`, `LifetimeTooLong`, `ActorChainTooDeep`, `TooLarge`, `SigningFailed`.
pub fn sign(claims: &AccessTokenClaims, key: &SigningKey) -> Result<String, TokenError> {
    claims.check()?;
    if claims.aud.single().is_none() {
        return Err(TokenError::ClaimInvalid {
            name: "aud",
            problem: "not a single value",
        });
    }
    jws::seal(TYP, claims, key)
}

/// Verifies an access token.
///
/// Source: RFC 9068 §4, RFC 8725 §3.
///
/// - `find_key`: the trusted key of a `kid`, or none; give `|kid| jwks.find(kid)` for a key set.
/// - returns: claims within their limits, for `expect.issuer` and one of `expect.audiences`, valid at `expect.now`.
///
/// # Errors
/// Any [`TokenError`] but `ClientMismatch` and `SigningFailed`.
pub fn verify(
    token: &str,
    find_key: impl FnOnce(&str) -> Option<PublicJwk>,
    expect: &Expect<'_>,
) -> Result<AccessTokenClaims, TokenError> {
    let header = jws::check_header(token, &RULES)?;
    let kid = header.kid.as_deref().ok_or(TokenError::KeyIdMissing)?;
    let key = find_key(kid).ok_or(TokenError::KeyUnknown)?;
    let claims: AccessTokenClaims = jws::open(token, &header, &key)?;

    if claims.iss != expect.issuer {
        return Err(TokenError::IssuerWrong);
    }
    if !claims.aud.is_any_of(expect.audiences) {
        return Err(TokenError::AudienceWrong);
    }
    let times = Times {
        iat: Some(claims.iat),
        nbf: None,
        exp: claims.exp,
        ttl_s_max: ACCESS_TOKEN_TTL_S_MAX,
    };
    times.check(expect.now, expect.leeway_s)?;
    claims.check()?;
    Ok(claims)
}
