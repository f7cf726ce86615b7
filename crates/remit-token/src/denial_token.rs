//! Binding tokens: what lets an enforcement point ask for access after a denial, and for nothing else than what was denied.
//!
//! Source: AuthZEN Access Request and Approval Profile, draft 1 (openid/authzen e287920e), "binding_token".

use serde::{Deserialize, Serialize};

use crate::claims::{Expect, Times, check_id, check_span, check_uri};
use crate::error::TokenError;
use crate::jws::{self, HeaderRules};
use crate::keys::{PublicJwk, SigningKey};
use crate::limits::DENIAL_TOKEN_TTL_S_MAX;

/// The `typ` of a binding token.
pub const TYP: &str = "remit-denial+jwt";

const RULES: HeaderRules = HeaderRules::own(&[TYP]);

/// The claims of a binding token. Times are seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialClaims {
    /// The issuer.
    pub iss: String,
    /// The enforcement point that was denied.
    pub sub: String,
    /// Where access is asked for; a single value.
    pub aud: String,
    /// When it ends.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Id of the evaluation.
    pub jti: String,
    /// The organization.
    #[serde(rename = "remit_org")]
    pub org: String,
    /// SHA-256 (hex) over the question that was denied.
    #[serde(rename = "remit_question")]
    pub question: String,
}

impl DenialClaims {
    fn check(&self) -> Result<(), TokenError> {
        check_uri("iss", &self.iss)?;
        check_uri("aud", &self.aud)?;
        check_id("sub", &self.sub)?;
        check_id("jti", &self.jti)?;
        check_id("remit_org", &self.org)?;
        check_id("remit_question", &self.question)?;
        check_span(self.iat, self.exp, DENIAL_TOKEN_TTL_S_MAX)
    }
}

/// Signs a binding token with ES256.
///
/// # Errors
/// `ClaimInvalid`, `LifetimeTooLong`, `TooLarge`, `SigningFailed`.
pub fn sign(claims: &DenialClaims, key: &SigningKey) -> Result<String, TokenError> {
    claims.check()?;
    jws::seal(TYP, claims, key)
}

/// Verifies a binding token. The caller then compares point and question.
///
/// # Errors
/// Any [`TokenError`] but `ClientMismatch` and `SigningFailed`.
pub fn verify(
    token: &str,
    find_key: impl FnOnce(&str) -> Option<PublicJwk>,
    expect: &Expect<'_>,
) -> Result<DenialClaims, TokenError> {
    let header = jws::check_header(token, &RULES)?;
    let kid = header.kid.as_deref().ok_or(TokenError::KeyIdMissing)?;
    let key = find_key(kid).ok_or(TokenError::KeyUnknown)?;
    let claims: DenialClaims = jws::open(token, &header, &key)?;
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
        ttl_s_max: DENIAL_TOKEN_TTL_S_MAX,
    };
    times.check(expect.now, expect.leeway_s)?;
    claims.check()?;
    Ok(claims)
}
