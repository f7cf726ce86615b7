//! Proofs of possession: whoever uses a token, or asks for one, shows with each request that they hold a key.
//!
//! Source: RFC 9449 §4 (proof), §4.3 (its checks), §6.1 (`cnf.jkt`), §7.1 (`ath`). The key comes with the proof, so a proof
//! by itself says only "whoever made this holds this key"; that it is the right one is compared by whoever verifies.

#[cfg(test)]
mod tests;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;
use url::Url;

use crate::claims::{NumericDate, check_id};
use crate::error::TokenError;
use crate::jws::{self, HeaderRules};
use crate::keys::{KeyAlgorithm, KeyError, PublicJwk, SigningKey, Thumbprint};
use crate::limits::{LEEWAY_S_MAX, PROOF_AGE_S_MAX, PROOF_BYTES_MAX, URI_BYTES_MAX};

/// The `typ` of a proof (RFC 9449 §4.2).
pub const TYP: &str = "dpop+jwt";

/// The accepted algorithms, as metadata names them.
pub const ALGORITHMS: [&str; 2] = ["ES256", "EdDSA"];

const RULES: HeaderRules = HeaderRules {
    typ: &[TYP],
    typ_required: true,
    only_own: false,
    embeds_key: true,
    algorithms: &[KeyAlgorithm::Es256, KeyAlgorithm::EdDsa],
    algorithm_names: "ES256 or EdDSA",
};

/// What a verifier expects of a proof.
#[derive(Debug, Clone, Copy)]
pub struct ExpectProof<'a> {
    /// The request's method, in capitals.
    pub method: &'a str,
    /// The request's address, as everybody outside calls it; query and fragment do not count.
    pub url: &'a str,
    /// The access token that comes with the request; none at the token endpoint.
    pub access_token: Option<&'a str>,
    /// Seconds since 1970-01-01 UTC.
    pub now: i64,
    /// Clock difference allowed for, in seconds; counts as at most [`LEEWAY_S_MAX`].
    pub leeway_s: u32,
}

/// A proof whose signature, address and time hold. That it is used once, and its nonce, are for the caller to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The key that made it.
    pub key: PublicJwk,
    /// Its thumbprint.
    pub jkt: Thumbprint,
    /// Its id, 1 to 128 bytes; to be accepted once for each key until `iat` + [`PROOF_AGE_S_MAX`] and leeway.
    pub jti: String,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub iat: i64,
    /// The nonce that it answers with.
    pub nonce: Option<String>,
}

/// The proof to sign; for clients.
#[derive(Debug, Clone, Copy)]
pub struct NewProof<'a> {
    /// The request's method, in capitals.
    pub method: &'a str,
    /// The request's address.
    pub url: &'a str,
    /// The access token that goes with the request.
    pub access_token: Option<&'a str>,
    /// The newest nonce that the server gave.
    pub nonce: Option<&'a str>,
    /// Never used before with this key.
    pub jti: &'a str,
    /// Seconds since 1970-01-01 UTC.
    pub iat: i64,
}

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Longer than [`PROOF_BYTES_MAX`].
    #[error(
        "the DPoP proof is larger than {PROOF_BYTES_MAX} bytes; leave out what RFC 9449 does not name"
    )]
    TooLarge,
    /// Its `jwk` is missing or unusable.
    #[error("the DPoP proof's `jwk`: {0}")]
    Key(KeyError),
    /// Its form, header or signature.
    #[error("the DPoP proof is not good: {0}")]
    Token(TokenError),
    /// `htm` is another method.
    #[error("the DPoP proof is for another method; make one for each request")]
    Method,
    /// `htu` is another address.
    #[error(
        "the DPoP proof is for another address; `htu` is the address as the server's metadata names it"
    )]
    Address,
    /// It was made too long ago.
    #[error("the DPoP proof is older than {PROOF_AGE_S_MAX} s; make one for each request")]
    Stale,
    /// It was made in the future.
    #[error("the DPoP proof comes from the future; check the clock of the machine that made it")]
    Early,
    /// There is no `ath`, or it is that of another token.
    #[error("the DPoP proof's `ath` is not the hash of the access token that came with it")]
    AccessToken,
}

impl ProofError {
    /// The stable kebab-case code of this refusal, for records, metrics and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "dpop-too-large",
            Self::Key(KeyError::Private) => "dpop-key-private",
            Self::Key(_) => "dpop-key-invalid",
            Self::Token(TokenError::AlgorithmRefused { .. }) => "dpop-algorithm-refused",
            Self::Token(TokenError::HeaderRefused { .. }) => "dpop-header-refused",
            Self::Token(TokenError::TypeRefused { .. }) => "dpop-type-refused",
            Self::Token(TokenError::SignatureInvalid) => "dpop-signature-invalid",
            Self::Token(TokenError::ClaimInvalid { .. }) => "dpop-claim-invalid",
            Self::Token(_) => "dpop-malformed",
            Self::Method => "dpop-htm-other",
            Self::Address => "dpop-htu-other",
            Self::Stale => "dpop-stale",
            Self::Early => "dpop-early",
            Self::AccessToken => "dpop-ath-other",
        }
    }
}

impl From<TokenError> for ProofError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Wire<D> {
    jti: String,
    htm: String,
    htu: String,
    iat: D,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

/// Verifies a proof with the key that it brings (RFC 9449 §4.3, steps 2 to 9 and 11).
///
/// # Errors
/// [`ProofError`].
pub fn verify(proof: &str, expect: &ExpectProof<'_>) -> Result<Proof, ProofError> {
    if proof.len() > PROOF_BYTES_MAX {
        return Err(ProofError::TooLarge);
    }
    let header = jws::check_header(proof, &RULES)?;
    let jwk = header
        .jwk
        .as_ref()
        .ok_or(ProofError::Key(KeyError::Malformed))?;
    let key = PublicJwk::from_json(&jwk.to_string()).map_err(ProofError::Key)?;
    let wire: Wire<NumericDate> = jws::open(proof, &header, &key)?;

    if wire.htm != expect.method {
        return Err(ProofError::Method);
    }
    if !same_address(&wire.htu, expect.url) {
        return Err(ProofError::Address);
    }
    let leeway = i64::from(expect.leeway_s.min(LEEWAY_S_MAX));
    let iat = wire.iat.0;
    if iat > expect.now.saturating_add(leeway) {
        return Err(ProofError::Early);
    }
    if iat
        < expect
            .now
            .saturating_sub(leeway)
            .saturating_sub(PROOF_AGE_S_MAX)
    {
        return Err(ProofError::Stale);
    }
    if let Some(token) = expect.access_token {
        let said = wire.ath.as_deref().unwrap_or_default();
        if !bool::from(said.as_bytes().ct_eq(hash_of(token).as_bytes())) {
            return Err(ProofError::AccessToken);
        }
    }
    check_id("jti", &wire.jti)?;
    Ok(Proof {
        jkt: key.thumbprint(),
        key,
        jti: wire.jti,
        iat,
        nonce: wire.nonce,
    })
}

/// Signs a proof with ES256; for clients.
///
/// # Errors
/// `ClaimInvalid`, `SigningFailed`, `TooLarge`.
pub fn sign(new: &NewProof<'_>, key: &SigningKey) -> Result<String, TokenError> {
    check_id("jti", new.jti)?;
    let mut htu = Url::parse(new.url).map_err(|_| TokenError::ClaimInvalid {
        name: "htu",
        problem: "not an address",
    })?;
    htu.set_query(None);
    htu.set_fragment(None);
    let wire = Wire {
        jti: new.jti.to_owned(),
        htm: new.method.to_owned(),
        htu: htu.into(),
        iat: new.iat,
        ath: new.access_token.map(hash_of),
        nonce: new.nonce.map(str::to_owned),
    };
    jws::seal_with_key(TYP, &wire, key)
}

/// The `ath` of an access token (RFC 9449 §4.2).
fn hash_of(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()))
}

/// Addresses are compared in normal form, without query and fragment (RFC 9449 §4.3, RFC 3986 §6.2.2 and §6.2.3).
fn same_address(said: &str, expected: &str) -> bool {
    let normal = |text: &str| {
        let mut url = (text.len() <= URI_BYTES_MAX)
            .then(|| Url::parse(text).ok())
            .flatten()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    normal(said).is_some_and(|said| normal(expected) == Some(said))
}
