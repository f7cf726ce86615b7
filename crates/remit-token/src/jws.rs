//! The one way in and out for signed JWTs: compact JWS with a pinned algorithm and `typ`.
//!
//! Everything that could let a token choose its own verification is settled here, before the signature is
//! looked at: size, number of parts, repeated header members, `alg`, `typ`, and every header parameter that
//! carries or points to a key (RFC 8725 §3.1, §3.10, §3.11). Time is checked by [`crate::claims`], because the
//! library would read the wall clock.

use std::sync::Once;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::TokenError;
use crate::keys::{KeyAlgorithm, PublicJwk, SigningKey};
use crate::limits::{HEADER_BYTES_MAX, KID_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::opaque_secret;
use crate::strict_json::UniqueObject;

/// Header parameters that are refused by name: they bring a key, point to one, or change the processing
/// (RFC 7515 §4.1.2 to §4.1.6 and §4.1.11, RFC 7516 §4.1, RFC 7797 §3).
const FORBIDDEN: [&str; 9] = [
    "jwk", "jku", "x5u", "x5c", "crit", "b64", "enc", "zip", "cty",
];
/// What the tokens that we sign have, and nothing else.
const OWN: [&str; 3] = ["alg", "typ", "kid"];

/// What a verifier accepts in a header, decided before it has seen the token.
pub(crate) struct HeaderRules {
    /// Accepted media types without `application/`, the first being the proper one.
    pub(crate) typ: &'static [&'static str],
    /// Whether a header without `typ` is refused.
    pub(crate) typ_required: bool,
    /// Whether any parameter but `alg`, `typ` and `kid` is refused.
    pub(crate) only_own: bool,
    /// Whether the header brings the key, in `jwk`: only a proof of possession does (RFC 9449 §4.2).
    pub(crate) embeds_key: bool,
    /// Accepted algorithms.
    pub(crate) algorithms: &'static [KeyAlgorithm],
    /// The same, for people.
    pub(crate) algorithm_names: &'static str,
}

impl HeaderRules {
    /// The rules for a token that we sign ourselves.
    pub(crate) const fn own(typ: &'static [&'static str]) -> Self {
        Self {
            typ,
            typ_required: true,
            only_own: true,
            embeds_key: false,
            algorithms: &[KeyAlgorithm::Es256],
            algorithm_names: "ES256",
        }
    }
}

/// A header that kept the rules.
pub(crate) struct CheckedHeader {
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) kid: Option<String>,
    /// The key that the header brings, not looked at yet; none where it may not bring one.
    pub(crate) jwk: Option<Value>,
}

/// Signs `claims` with ES256, `typ` and the key's `kid`.
///
/// # Errors
/// `SigningFailed`, `TooLarge`.
pub(crate) fn seal<T: Serialize>(
    typ: &str,
    claims: &T,
    key: &SigningKey,
) -> Result<String, TokenError> {
    let mut header = Header::new(KeyAlgorithm::Es256.library());
    header.typ = Some(typ.to_owned());
    header.kid = Some(key.kid().as_str().to_owned());
    encode(&header, claims, key)
}

/// Signs `claims` with ES256, `typ`, and the public half of the key in `jwk`.
///
/// # Errors
/// `SigningFailed`, `TooLarge`.
pub(crate) fn seal_with_key<T: Serialize>(
    typ: &str,
    claims: &T,
    key: &SigningKey,
) -> Result<String, TokenError> {
    let jwk = serde_json::to_value(key.public()).and_then(serde_json::from_value);
    let mut header = Header::new(KeyAlgorithm::Es256.library());
    header.typ = Some(typ.to_owned());
    header.jwk = Some(jwk.map_err(|_| TokenError::SigningFailed)?);
    encode(&header, claims, key)
}

fn encode<T: Serialize>(
    header: &Header,
    claims: &T,
    key: &SigningKey,
) -> Result<String, TokenError> {
    choose_provider();
    let part = |json: serde_json::Result<Vec<u8>>| {
        json.map(|json| URL_SAFE_NO_PAD.encode(json))
            .map_err(|_| TokenError::SigningFailed)
    };
    let header = part(serde_json::to_vec(header))?;
    let claims = part(serde_json::to_vec(claims))?;
    let message = format!("{header}.{claims}");
    let signature = key.sign(message.as_bytes());
    let token = format!("{message}.{}", signature.ok_or(TokenError::SigningFailed)?);
    check_size(&token)?;
    Ok(token)
}

/// Checks shape and header, not the signature.
///
/// # Errors
/// `TooLarge`, `OpaqueSecret`, `Malformed`, `AlgorithmRefused`, `HeaderRefused`, `TypeRefused`.
pub(crate) fn check_header(token: &str, rules: &HeaderRules) -> Result<CheckedHeader, TokenError> {
    let header = header_of(token)?;
    let alg = text_of(&header, "alg")?;
    let algorithm = rules
        .algorithms
        .iter()
        .copied()
        .find(|algorithm| Some(algorithm.as_str()) == alg)
        .ok_or(TokenError::AlgorithmRefused {
            accepted: rules.algorithm_names,
        })?;
    no_key_inside(&header, rules.embeds_key)?;
    if rules.only_own && header.0.keys().any(|name| !OWN.contains(&name.as_str())) {
        return Err(TokenError::HeaderRefused { name: "other" });
    }
    typ_fits(&header, rules.typ, rules.typ_required)?;
    Ok(CheckedHeader {
        algorithm,
        kid: kid_of(&header)?,
        jwk: header.0.get("jwk").cloned(),
    })
}

/// The header of a token of another issuer, of acceptable shape: what it names, for whoever pins the algorithm.
pub(crate) struct ForeignHeader {
    pub(crate) alg: String,
    pub(crate) typ: Option<String>,
    pub(crate) kid: Option<String>,
}

/// Checks shape and header of a token of another issuer, not the signature. Neither `alg` nor `typ` is judged here.
///
/// # Errors
/// `TooLarge`, `OpaqueSecret`, `Malformed`, `HeaderRefused`.
pub(crate) fn foreign_header(token: &str) -> Result<ForeignHeader, TokenError> {
    let header = header_of(token)?;
    let alg = text_of(&header, "alg")?;
    no_key_inside(&header, false)?;
    Ok(ForeignHeader {
        alg: alg
            .ok_or(TokenError::Malformed { part: "header" })?
            .to_owned(),
        typ: text_of(&header, "typ")?.map(str::to_owned),
        kid: kid_of(&header)?,
    })
}

fn header_of(token: &str) -> Result<UniqueObject, TokenError> {
    check_size(token)?;
    if opaque_secret::has_prefix(token) {
        return Err(TokenError::OpaqueSecret);
    }
    read_header(token)
}

fn text_of<'a>(header: &'a UniqueObject, name: &str) -> Result<Option<&'a str>, TokenError> {
    header
        .text(name)
        .map_err(|()| TokenError::Malformed { part: "header" })
}

fn kid_of(header: &UniqueObject) -> Result<Option<String>, TokenError> {
    let kid = text_of(header, "kid")?;
    if kid.is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
        return Err(TokenError::Malformed { part: "header" });
    }
    Ok(kid.map(str::to_owned))
}

fn no_key_inside(header: &UniqueObject, embeds_key: bool) -> Result<(), TokenError> {
    match FORBIDDEN
        .into_iter()
        .filter(|name| !(embeds_key && *name == "jwk"))
        .find(|name| header.0.contains_key(*name))
    {
        Some(name) => Err(TokenError::HeaderRefused { name }),
        None => Ok(()),
    }
}

fn typ_fits(
    header: &UniqueObject,
    accepted: &'static [&'static str],
    required: bool,
) -> Result<(), TokenError> {
    let fits = match text_of(header, "typ")? {
        None => !required,
        Some(typ) => accepted.iter().any(|accepted| is_media_type(typ, accepted)),
    };
    if fits {
        return Ok(());
    }
    Err(TokenError::TypeRefused {
        expected: accepted.first().copied().unwrap_or(""),
    })
}

/// Verifies the signature with `key` and gives the claims, whose content is not checked yet.
///
/// # Errors
/// `SignatureInvalid`; `AlgorithmRefused` if the key is not for the header's algorithm; `Malformed`.
pub(crate) fn open<T: DeserializeOwned>(
    token: &str,
    header: &CheckedHeader,
    key: &PublicJwk,
) -> Result<T, TokenError> {
    if key.algorithm() != header.algorithm {
        return Err(TokenError::AlgorithmRefused {
            accepted: key.algorithm().as_str(),
        });
    }
    open_with(token, key.algorithm().library(), &key.decoding_key())
}

/// Verifies the signature under `algorithm` with `key` and gives the claims, whose content is not checked yet.
///
/// # Errors
/// `SignatureInvalid`, `Malformed`.
pub(crate) fn open_with<T: DeserializeOwned>(
    token: &str,
    algorithm: Algorithm,
    key: &DecodingKey,
) -> Result<T, TokenError> {
    choose_provider();
    let mut validation = Validation::new(algorithm);
    // Claims are checked by ourselves: the library takes the time from the machine.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.leeway = 0;
    match jsonwebtoken::decode::<T>(token, key, &validation) {
        Ok(data) => Ok(data.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature => TokenError::SignatureInvalid,
            ErrorKind::Base64(_) | ErrorKind::InvalidToken => {
                TokenError::Malformed { part: "shape" }
            }
            _ => TokenError::Malformed { part: "claims" },
        }),
    }
}

/// Reads claims of a token whose signature is not checked; only good for finding the key to check it with.
///
/// # Errors
/// `Malformed`.
pub(crate) fn peek<T: DeserializeOwned>(token: &str) -> Result<T, TokenError> {
    jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|_| TokenError::Malformed { part: "claims" })
}

fn check_size(token: &str) -> Result<(), TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLarge {
            max: TOKEN_BYTES_MAX,
        });
    }
    Ok(())
}

fn read_header(token: &str) -> Result<UniqueObject, TokenError> {
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed { part: "shape" });
    };
    let json = URL_SAFE_NO_PAD
        .decode(header)
        .ok()
        .filter(|json| json.len() <= HEADER_BYTES_MAX);
    json.and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or(TokenError::Malformed { part: "header" })
}

/// Media types are compared without regard to case, and `application/` may be left out (RFC 7515 §4.1.9).
pub(crate) fn is_media_type(typ: &str, accepted: &str) -> bool {
    let short = match typ.split_once('/') {
        Some((tree, rest)) if tree.eq_ignore_ascii_case("application") => rest,
        _ => typ,
    };
    short.eq_ignore_ascii_case(accepted)
}

/// Settles which implementation the library uses. Left alone it panics if another crate in the build turns a
/// second one on.
fn choose_provider() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        // An error means that one is installed already, which is what we want.
        let _ = aws_lc::DEFAULT_PROVIDER.install_default();
    });
}
