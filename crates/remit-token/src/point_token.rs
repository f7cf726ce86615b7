//! Access tokens of enforcement points: JWTs that say which gateway asks, and nothing of any agent.
//!
//! Source: RFC 9068 (claims), RFC 8725 §3.11: their `typ` is their own, so that no agent's token passes for one, nor the
//! reverse.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::claims::{Expect, Times, check_id, check_span, check_uri};
use crate::error::TokenError;
use crate::jws::{self, HeaderRules};
use crate::keys::{PublicJwk, SigningKey};
use crate::limits::POINT_TOKEN_TTL_S_MAX;

/// The `typ` of a point's token.
pub const TYP: &str = "remit-enforcement-point+jwt";

const RULES: HeaderRules = HeaderRules::own(&[TYP]);

/// The claims of a point's token. Times are seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointClaims {
    /// The issuer, byte for byte as in its metadata.
    pub iss: String,
    /// The point.
    pub sub: String,
    /// The point again, as the client that asked.
    pub client_id: String,
    /// Where it is good; a single value.
    pub aud: String,
    /// When it ends.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its id.
    pub jti: String,
    /// The organization.
    #[serde(rename = "remit_org")]
    pub org: String,
    /// RFC 7638 thumbprint of the key that asked for it: it ends with that key.
    #[serde(rename = "remit_key")]
    pub key: String,
}

impl PointClaims {
    fn check(&self) -> Result<(), TokenError> {
        check_uri("iss", &self.iss)?;
        check_uri("aud", &self.aud)?;
        check_id("sub", &self.sub)?;
        check_id("jti", &self.jti)?;
        check_id("remit_org", &self.org)?;
        check_id("remit_key", &self.key)?;
        if self.client_id != self.sub {
            return Err(TokenError::ClaimInvalid {
                name: "client_id",
                problem: "not the subject",
            });
        }
        check_span(self.iat, self.exp, POINT_TOKEN_TTL_S_MAX)
    }
}

/// Signs a point's token with ES256.
///
/// # Errors
/// `ClaimInvalid`, `LifetimeTooLong`, `TooLarge`, `SigningFailed`.
pub fn sign(claims: &PointClaims, key: &SigningKey) -> Result<String, TokenError> {
    claims.check()?;
    jws::seal(TYP, claims, key)
}

/// Verifies a point's token. The caller then looks whether the point still is in use and holds the key.
///
/// - `find_key`: the trusted key of a `kid`, or none.
///
/// # Errors
/// Any [`TokenError`] but `ClientMismatch` and `SigningFailed`.
pub fn verify(
    token: &str,
    find_key: impl FnOnce(&str) -> Option<PublicJwk>,
    expect: &Expect<'_>,
) -> Result<PointClaims, TokenError> {
    let header = jws::check_header(token, &RULES)?;
    let kid = header.kid.as_deref().ok_or(TokenError::KeyIdMissing)?;
    let key = find_key(kid).ok_or(TokenError::KeyUnknown)?;
    let claims: PointClaims = jws::open(token, &header, &key)?;
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
        ttl_s_max: POINT_TOKEN_TTL_S_MAX,
    };
    times.check(expect.now, expect.leeway_s)?;
    claims.check()?;
    Ok(claims)
}
