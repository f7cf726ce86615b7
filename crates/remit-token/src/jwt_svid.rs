//! JWT-SVIDs: a SPIFFE ID for one or a few audiences, as a JWT.
//!
//! Source: JWT-SVID §2 (header), §3 (claims). Signed with a key that signs nothing else, published in the bundle of the
//! trust domain with `use` `jwt-svid`.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::claims::{Audience, Times, check_id, check_span, check_uri};
use crate::error::TokenError;
use crate::jws::{self, HeaderRules};
use crate::keys::{PublicJwk, SigningKey};
use crate::limits::JWT_SVID_TTL_S_MAX;
use crate::spiffe_id::SpiffeId;

/// The `typ` of a JWT-SVID (JWT-SVID §2.3).
pub const TYP: &str = "JWT";

const RULES: HeaderRules = HeaderRules::own(&[TYP]);

/// The claims of a JWT-SVID. Times are seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwtSvidClaims {
    /// The issuer, for validators that are no SPIFFE ones.
    pub iss: String,
    /// Whose it is.
    pub sub: SpiffeId,
    /// Where it is good.
    pub aud: Audience,
    /// When it ends.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its id, unique at the issuer.
    pub jti: String,
}

impl JwtSvidClaims {
    fn check(&self) -> Result<(), TokenError> {
        check_uri("iss", &self.iss)?;
        check_id("jti", &self.jti)?;
        if self.sub.path().is_empty() {
            return Err(TokenError::ClaimInvalid {
                name: "sub",
                problem: "the trust domain itself, not a workload",
            });
        }
        self.aud.iter().try_for_each(|aud| check_uri("aud", aud))?;
        check_span(self.iat, self.exp, JWT_SVID_TTL_S_MAX)
    }
}

/// What a verifier expects of a JWT-SVID.
#[derive(Debug, Clone, Copy)]
pub struct ExpectSvid<'a> {
    /// The trust domain whose keys are looked at.
    pub trust_domain: &'a str,
    /// The audience that has to be named.
    pub audience: &'a str,
    /// Whether it has to be the only one.
    pub sole_audience: bool,
    /// Seconds since 1970-01-01 UTC.
    pub now: i64,
    /// Clock difference allowed for, in seconds; counts as at most [`crate::limits::LEEWAY_S_MAX`].
    pub leeway_s: u32,
}

/// Signs a JWT-SVID with ES256.
///
/// # Errors
/// `ClaimInvalid`, `LifetimeTooLong`, `TooLarge`, `SigningFailed`.
pub fn sign(claims: &JwtSvidClaims, key: &SigningKey) -> Result<String, TokenError> {
    claims.check()?;
    jws::seal(TYP, claims, key)
}

/// Verifies a JWT-SVID of our own trust domain.
///
/// - `key`: the key of that `kid` in the bundle of the trust domain, if there is one.
///
/// # Errors
/// Any [`TokenError`] but `ClientMismatch`, `ActorChainTooDeep` and `SigningFailed`.
pub fn verify(
    token: &str,
    key: impl FnOnce(&str) -> Option<PublicJwk>,
    expect: &ExpectSvid<'_>,
) -> Result<JwtSvidClaims, TokenError> {
    let header = jws::check_header(token, &RULES)?;
    let kid = header.kid.as_deref().ok_or(TokenError::KeyIdMissing)?;
    let key = key(kid).ok_or(TokenError::KeyUnknown)?;
    let claims: JwtSvidClaims = jws::open(token, &header, &key)?;
    if claims.sub.trust_domain() != expect.trust_domain {
        return Err(TokenError::IssuerWrong);
    }
    let named = claims.aud.is_any_of(&[expect.audience]);
    if !named || (expect.sole_audience && claims.aud.single().is_none()) {
        return Err(TokenError::AudienceWrong);
    }
    let times = Times {
        iat: Some(claims.iat),
        nbf: None,
        exp: claims.exp,
        ttl_s_max: JWT_SVID_TTL_S_MAX,
    };
    times.check(expect.now, expect.leeway_s)?;
    claims.check()?;
    Ok(claims)
}

/// Reads whose JWT-SVID it says it is; nothing is proved.
///
/// # Errors
/// `TooLarge`, `OpaqueSecret`, `Malformed`, `AlgorithmRefused`, `HeaderRefused`, `TypeRefused`.
pub fn unverified_subject(token: &str) -> Result<SpiffeId, TokenError> {
    #[derive(Deserialize)]
    struct Who {
        sub: SpiffeId,
    }
    jws::check_header(token, &RULES)?;
    Ok(jws::peek::<Who>(token)?.sub)
}
