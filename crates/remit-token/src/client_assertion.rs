//! Client assertions: a client proves to hold its key (`private_key_jwt`).
//!
//! Source: RFC 7521 §4.2, RFC 7523 §2.2 and §3, and the audience rule of draft-ietf-oauth-rfc7523bis: `aud` is a single
//! value, the issuer. The token endpoint's address may be accepted too, as older clients use it; the caller says.
//!
//! In two steps, since the key is the client's: [`unverified_client_id`] finds the client, [`verify`] proves it.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::claims::{Audience, NumericDate, Times, check_id, check_span, check_uri};
use crate::error::TokenError;
use crate::jws::{self, CheckedHeader, HeaderRules};
use crate::keys::{KeyAlgorithm, PublicJwk, SigningKey, Thumbprint};
use crate::limits::{CLIENT_ASSERTION_TTL_S_MAX, CLIENT_KEYS_MAX};

/// The `typ` that we write (draft-ietf-oauth-rfc7523bis); `JWT` and none are read as well.
pub const TYP: &str = "client-authentication+jwt";

const RULES: HeaderRules = HeaderRules {
    typ: &[TYP, "JWT"],
    typ_required: false,
    only_own: false,
    embeds_key: false,
    algorithms: &[KeyAlgorithm::Es256, KeyAlgorithm::EdDsa],
    algorithm_names: "ES256 or EdDSA",
};

/// Who an assertion says it is from. Nothing is proved yet: good for finding the client's keys only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedClientId(String);

impl UnverifiedClientId {
    /// The claimed id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A client that has proved to hold its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAssertion {
    /// The client.
    pub client_id: String,
    /// The key that it used.
    pub jkt: Thumbprint,
    /// The assertion's id, 1 to 128 bytes, to be accepted once for each client until `exp` and leeway.
    pub jti: String,
    /// When the assertion ends, in seconds since 1970-01-01 UTC.
    pub exp: i64,
}

/// What a verifier expects of an assertion.
#[derive(Debug, Clone, Copy)]
pub struct ExpectAssertion<'a> {
    /// The client whose keys were looked up.
    pub client_id: &'a str,
    /// The accepted audiences, byte for byte: the issuer, and the token endpoint where that is tolerated.
    pub audiences: &'a [&'a str],
    /// Seconds since 1970-01-01 UTC.
    pub now: i64,
    /// Clock difference allowed for, in seconds; counts as at most [`crate::limits::LEEWAY_S_MAX`].
    pub leeway_s: u32,
}

/// The assertion to sign; for clients.
#[derive(Debug, Clone, Copy)]
pub struct NewAssertion<'a> {
    /// The client.
    pub client_id: &'a str,
    /// The issuer of the authorization server, byte for byte as in its metadata.
    pub issuer: &'a str,
    /// Never used before by this client.
    pub jti: &'a str,
    /// Seconds since 1970-01-01 UTC.
    pub iat: i64,
    /// Life in seconds, 1 to [`CLIENT_ASSERTION_TTL_S_MAX`].
    pub ttl_s: i64,
}

#[derive(Clone, Deserialize)]
struct Wire {
    iss: String,
    sub: String,
    aud: Audience,
    exp: NumericDate,
    #[serde(default)]
    iat: Option<NumericDate>,
    #[serde(default)]
    nbf: Option<NumericDate>,
    jti: String,
}

#[derive(Serialize)]
struct OwnWire<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: &'a str,
}

/// Reads who the assertion says it is from, to find that client's keys.
///
/// # Errors
/// `TooLarge`, `OpaqueSecret`, `Malformed`, `AlgorithmRefused`, `HeaderRefused`, `TypeRefused`, `ClientMismatch`.
pub fn unverified_client_id(token: &str) -> Result<UnverifiedClientId, TokenError> {
    #[derive(Deserialize)]
    struct Who {
        iss: String,
        sub: String,
    }
    jws::check_header(token, &RULES)?;
    let who: Who = jws::peek(token)?;
    check_uri("iss", &who.iss)?;
    if who.iss != who.sub {
        return Err(TokenError::ClientMismatch);
    }
    Ok(UnverifiedClientId(who.iss))
}

/// Verifies an assertion with the client's registered keys.
///
/// A `kid` that is the thumbprint of one of `keys` chooses that one; otherwise, since a client may name its
/// keys as it likes, the first [`CLIENT_KEYS_MAX`] keys of the algorithm are tried. Embedded keys are refused.
///
/// # Errors
/// Any [`TokenError`] but `KeyIdMissing`, `IssuerWrong`, `ActorChainTooDeep` and `SigningFailed`.
pub fn verify(
    token: &str,
    keys: &[PublicJwk],
    expect: &ExpectAssertion<'_>,
) -> Result<ClientAssertion, TokenError> {
    let header = jws::check_header(token, &RULES)?;
    let (key, wire) = open_with_any(token, &header, keys)?;

    if wire.iss != expect.client_id || wire.sub != expect.client_id {
        return Err(TokenError::ClientMismatch);
    }
    // One audience only: an assertion for two servers could be replayed by one at the other.
    if !wire
        .aud
        .single()
        .is_some_and(|aud| expect.audiences.contains(&aud))
    {
        return Err(TokenError::AudienceWrong);
    }
    let times = Times {
        iat: wire.iat.map(|date| date.0),
        nbf: wire.nbf.map(|date| date.0),
        exp: wire.exp.0,
        ttl_s_max: CLIENT_ASSERTION_TTL_S_MAX,
    };
    times.check(expect.now, expect.leeway_s)?;
    check_uri("iss", &wire.iss)?;
    check_id("jti", &wire.jti)?;
    Ok(ClientAssertion {
        client_id: wire.iss,
        jkt: key.thumbprint(),
        jti: wire.jti,
        exp: wire.exp.0,
    })
}

/// Signs an assertion with ES256; for clients.
///
/// # Errors
/// `ClaimInvalid`, `LifetimeTooLong`, `TooLarge`, `SigningFailed`.
pub fn sign(new: &NewAssertion<'_>, key: &SigningKey) -> Result<String, TokenError> {
    check_uri("iss", new.client_id)?;
    check_uri("aud", new.issuer)?;
    check_id("jti", new.jti)?;
    let exp = new.iat.saturating_add(new.ttl_s);
    check_span(new.iat, exp, CLIENT_ASSERTION_TTL_S_MAX)?;
    let wire = OwnWire {
        iss: new.client_id,
        sub: new.client_id,
        aud: new.issuer,
        exp,
        iat: new.iat,
        jti: new.jti,
    };
    jws::seal(TYP, &wire, key)
}

fn open_with_any(
    token: &str,
    header: &CheckedHeader,
    keys: &[PublicJwk],
) -> Result<(PublicJwk, Wire), TokenError> {
    let kid = header.kid.as_deref();
    let named = keys
        .iter()
        .find(|key| kid == Some(key.thumbprint().as_str()));
    let candidates = match named {
        Some(key) => std::slice::from_ref(key),
        None => keys,
    };
    let of_algorithm = candidates
        .iter()
        .filter(|key| key.algorithm() == header.algorithm);
    let mut refusal = TokenError::KeyUnknown;
    for key in of_algorithm.take(CLIENT_KEYS_MAX) {
        match jws::open(token, header, key) {
            Ok(wire) => return Ok((*key, wire)),
            // Only a signature that fits another key is worth another try.
            Err(TokenError::SignatureInvalid) => refusal = TokenError::SignatureInvalid,
            Err(other) => return Err(other),
        }
    }
    Err(refusal)
}
