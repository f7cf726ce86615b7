//! Tokens of other issuers: workload tokens of Kubernetes, CI systems and other SPIFFE trust domains, and identity assertions
//! of identity providers, as they come in an assertion of the JWT bearer grant.
//!
//! Source: RFC 7523 §3, RFC 8725, JWT-SVID §3 and §4, draft-ietf-oauth-identity-assertion-authz-grant-04 §4.4.
//!
//! A trust domain is an issuer too, `spiffe://` and its name: a JWT-SVID says it in its `sub`. It needs no `iss`, and one that it has says
//! nothing of the trust domain (JWT-SVID §3 gives it no meaning), unless it names another trust domain.
//!
//! In two steps, since the keys are the issuer's: [`unverified`] finds out whose it says it is, [`verify`] proves it.

mod bundle;
mod keys;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::claims::{Audience, NumericDate, Times, check_id, check_uri};
use crate::error::TokenError;
use crate::jws::{self, ForeignHeader, is_media_type};
use crate::limits::{CLIENT_KEYS_MAX, FOREIGN_CLAIMS_MAX, FOREIGN_TTL_S_MAX};
use crate::spiffe_id::SpiffeId;
use crate::strict_json::UniqueObject;

pub use bundle::ForeignBundle;
use keys::ForeignKey;
pub use keys::{ForeignAlgorithm, ForeignJwks};

/// The `typ` of an identity assertion authorization grant.
pub const TYP_ID_JAG: &str = "oauth-id-jag+jwt";

/// How metadata says that such grants are taken.
pub const GRANT_PROFILE_ID_JAG: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

/// How the name of an issuer begins that is a SPIFFE trust domain.
const SPIFFE: &str = "spiffe://";

/// What an assertion is, by its `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignKind {
    /// A token by which a workload says what it is: `JWT`, `JOSE` or no `typ`.
    Workload,
    /// A token by which an identity provider says for whom a client may act: [`TYP_ID_JAG`].
    IdJag,
}

/// What a token says of itself. Nothing is proved yet: good for finding the issuer's keys only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// Its issuer, as it says.
    pub issuer: String,
    /// The trust domain that its `sub` is of, `spiffe://` and its name, where it is a workload's SPIFFE ID.
    pub trust_domain: Option<String>,
    /// What it is.
    pub kind: ForeignKind,
}

/// What a verifier expects of a token of another issuer.
#[derive(Debug, Clone, Copy)]
pub struct ExpectForeign<'a> {
    /// What it has to be.
    pub kind: ForeignKind,
    /// The only accepted `iss`, byte for byte.
    pub issuer: &'a str,
    /// The accepted audiences, byte for byte; the token has exactly one.
    pub audiences: &'a [&'a str],
    /// The accepted algorithms.
    pub algorithms: &'a [ForeignAlgorithm],
    /// Longest remaining life, in seconds; counts as at most [`FOREIGN_TTL_S_MAX`].
    pub ttl_s_max: i64,
    /// Seconds since 1970-01-01 UTC.
    pub now: i64,
    /// Clock difference allowed for, in seconds; counts as at most [`crate::limits::LEEWAY_S_MAX`].
    pub leeway_s: u32,
}

/// What a token says whose signature, issuer, audience and times hold.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignClaims {
    /// Whom it is about.
    pub sub: String,
    /// When it ends, in seconds since 1970-01-01 UTC.
    pub exp: i64,
    /// What makes it one token: SHA-256 in base64url over its `jti`, or over what was signed where it has none. Other writings
    /// of the same signature do not change it.
    pub id: String,
    /// Every claim.
    pub all: std::collections::BTreeMap<String, Value>,
}

impl ForeignClaims {
    /// The claim of that name, as text; none where it is absent or something else.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name).and_then(Value::as_str)
    }
}

type Claims = UniqueObject<FOREIGN_CLAIMS_MAX>;

/// Reads whose token this says it is, and of what kind.
///
/// # Errors
/// `TooLarge`, `OpaqueSecret`, `Malformed`, `HeaderRefused`, `TypeRefused`, `ClaimInvalid`.
pub fn unverified(token: &str) -> Result<Unverified, TokenError> {
    #[derive(Deserialize)]
    struct Who {
        #[serde(default)]
        iss: Option<String>,
        #[serde(default)]
        sub: Option<String>,
    }
    let kind = kind_of(&jws::foreign_header(token)?)?;
    let who: Who = jws::peek(token)?;
    let domain = || {
        let id = SpiffeId::parse(&who.sub?).ok()?;
        Some(format!("{SPIFFE}{}", id.trust_domain()))
    };
    let trust_domain = (kind == ForeignKind::Workload).then(domain).flatten();
    let issuer = who.iss.or_else(|| trust_domain.clone());
    let issuer = issuer.ok_or(TokenError::ClaimInvalid {
        name: "iss",
        problem: "missing",
    })?;
    check_uri("iss", &issuer)?;
    Ok(Unverified {
        issuer,
        trust_domain,
        kind,
    })
}

/// Verifies a token with its issuer's keys.
///
/// A `kid` chooses among keys of that name; without one, the first [`CLIENT_KEYS_MAX`] keys of the algorithm are tried.
///
/// # Errors
/// Any [`TokenError`] but `KeyIdMissing`, `ActorChainTooDeep`, `ClientMismatch` and `SigningFailed`.
pub fn verify(
    token: &str,
    keys: &ForeignJwks,
    expect: &ExpectForeign<'_>,
) -> Result<ForeignClaims, TokenError> {
    let header = jws::foreign_header(token)?;
    let algorithm = listed(&header, expect.algorithms)?;
    if kind_of(&header)? != expect.kind {
        return Err(TokenError::TypeRefused {
            expected: match expect.kind {
                ForeignKind::Workload => "JWT",
                ForeignKind::IdJag => TYP_ID_JAG,
            },
        });
    }
    let claims: Claims = opened(token, &header, algorithm, keys)?;
    read(token, claims, expect)
}

/// Opens a token of this `typ`: its signature holds, its claims are not looked at yet.
///
/// # Errors
/// `TooLarge`, `OpaqueSecret`, `Malformed`, `HeaderRefused`, `TypeRefused`, `AlgorithmRefused`, `KeyUnknown`, `SignatureInvalid`.
pub(crate) fn open_as<T: DeserializeOwned>(
    token: &str,
    typ: &'static str,
    keys: &ForeignJwks,
    algorithms: &[ForeignAlgorithm],
) -> Result<T, TokenError> {
    let header = jws::foreign_header(token)?;
    let algorithm = listed(&header, algorithms)?;
    if !header.typ.as_deref().is_some_and(|t| is_media_type(t, typ)) {
        return Err(TokenError::TypeRefused { expected: typ });
    }
    opened(token, &header, algorithm, keys)
}

/// The algorithm of a token, which has to be one that is listed.
fn listed(
    header: &ForeignHeader,
    algorithms: &[ForeignAlgorithm],
) -> Result<ForeignAlgorithm, TokenError> {
    ForeignAlgorithm::parse(&header.alg)
        .filter(|algorithm| algorithms.contains(algorithm))
        .ok_or(TokenError::AlgorithmRefused {
            accepted: "an algorithm that is listed for its issuer",
        })
}

fn kind_of(header: &ForeignHeader) -> Result<ForeignKind, TokenError> {
    match header.typ.as_deref() {
        None => Ok(ForeignKind::Workload),
        Some(typ) if is_media_type(typ, "JWT") || is_media_type(typ, "JOSE") => {
            Ok(ForeignKind::Workload)
        }
        Some(typ) if is_media_type(typ, TYP_ID_JAG) => Ok(ForeignKind::IdJag),
        Some(_) => Err(TokenError::TypeRefused { expected: "JWT" }),
    }
}

fn opened<T: DeserializeOwned>(
    token: &str,
    header: &ForeignHeader,
    algorithm: ForeignAlgorithm,
    keys: &ForeignJwks,
) -> Result<T, TokenError> {
    let fits = |key: &&ForeignKey| {
        key.is_for(algorithm) && (header.kid.is_none() || header.kid == key.kid)
    };
    let mut refusal = TokenError::KeyUnknown;
    for key in keys.iter().filter(fits).take(CLIENT_KEYS_MAX) {
        match jws::open_with(token, algorithm.library(), &key.decoding) {
            Err(TokenError::SignatureInvalid) => refusal = TokenError::SignatureInvalid,
            other => return other,
        }
    }
    Err(refusal)
}

fn read(
    token: &str,
    claims: Claims,
    expect: &ExpectForeign<'_>,
) -> Result<ForeignClaims, TokenError> {
    check_issuer(&claims, expect)?;
    let aud: Audience = claim(&claims, "aud")?;
    // One audience only: a token for two servers could be replayed by one at the other.
    if !aud
        .single()
        .is_some_and(|aud| expect.audiences.contains(&aud))
    {
        return Err(TokenError::AudienceWrong);
    }
    let exp = claim::<NumericDate>(&claims, "exp")?.0;
    let times = Times {
        iat: optional::<NumericDate>(&claims, "iat")?.map(|date| date.0),
        nbf: optional::<NumericDate>(&claims, "nbf")?.map(|date| date.0),
        exp,
        ttl_s_max: expect.ttl_s_max.min(FOREIGN_TTL_S_MAX),
    };
    times.check(expect.now, expect.leeway_s)?;
    let sub: String = claim(&claims, "sub")?;
    check_uri("sub", &sub)?;
    let jti: Option<String> = optional(&claims, "jti")?;
    let id = match &jti {
        Some(jti) => {
            check_id("jti", jti)?;
            hash("jti", jti)
        }
        None => {
            let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
            hash("token", signed)
        }
    };
    Ok(ForeignClaims {
        sub,
        exp,
        id,
        all: claims.0,
    })
}

/// That a token is of the issuer that is expected: by its `iss`, or, of a trust domain, by its SPIFFE ID (JWT-SVID §3.1).
fn check_issuer(claims: &Claims, expect: &ExpectForeign<'_>) -> Result<(), TokenError> {
    let iss: Option<String> = optional(claims, "iss")?;
    let Some(domain) = expect.issuer.strip_prefix(SPIFFE) else {
        let iss = iss.ok_or(TokenError::ClaimInvalid {
            name: "iss",
            problem: "missing",
        })?;
        return match iss == expect.issuer {
            true => Ok(()),
            false => Err(TokenError::IssuerWrong),
        };
    };
    let sub: String = claim(claims, "sub")?;
    let id = SpiffeId::parse(&sub).map_err(|_| TokenError::IssuerWrong)?;
    let within = id.trust_domain() == domain && !id.path().is_empty();
    let other = |iss: String| iss.starts_with(SPIFFE) && iss != expect.issuer;
    if within && !iss.is_some_and(other) {
        return Ok(());
    }
    Err(TokenError::IssuerWrong)
}

fn hash(what: &str, text: &str) -> String {
    let hashed = digest::digest(&digest::SHA256, format!("{what}\0{text}").as_bytes());
    URL_SAFE_NO_PAD.encode(hashed)
}

fn claim<T: DeserializeOwned>(claims: &Claims, name: &'static str) -> Result<T, TokenError> {
    optional(claims, name)?.ok_or(TokenError::ClaimInvalid {
        name,
        problem: "missing",
    })
}

fn optional<T: DeserializeOwned>(
    claims: &Claims,
    name: &'static str,
) -> Result<Option<T>, TokenError> {
    let Some(value) = claims.0.get(name) else {
        return Ok(None);
    };
    T::deserialize(value)
        .map(Some)
        .map_err(|_| TokenError::ClaimInvalid {
            name,
            problem: "not of its form",
        })
}
