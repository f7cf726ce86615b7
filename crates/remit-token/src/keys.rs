//! Public keys: P-256 and Ed25519, nothing else.
//!
//! A [`PublicJwk`] that exists is a valid key: its point is on the curve and it is not one of the Ed25519 points
//! under which anybody can make a signature. Its name is its RFC 7638 thumbprint, both as our `kid` and as the
//! `jkt` that a token is bound to; a name that a key file brings along is not used.

mod jwks;
mod signing;
#[cfg(test)]
mod tests;
mod thumbprint;
mod weak;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::limits::{JWK_BYTES_MAX, PEM_BYTES_MAX};
use crate::strict_json::UniqueObject;

pub use jwks::Jwks;
pub use signing::{Es256Sign, SigningKey};
pub use thumbprint::Thumbprint;
use weak::is_weak_ed25519;

/// Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4.1; RFC 8037 §2).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "k", "p", "q", "dp", "dq", "qi", "oth"];

/// DER before the point of an uncompressed P-256 key (RFC 5480 §2). DER has one encoding for one value, so
/// comparing this prefix is a complete parse.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// DER before the 32 bytes of an Ed25519 key (RFC 8410 §4).
const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// First byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 0x04;

/// Why a key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Longer than its limit.
    #[error("the key text is larger than {JWK_BYTES_MAX} bytes; give one key")]
    TooLarge,
    /// Not a JSON object with unique members, or not PEM, or not the expected DER.
    #[error("the key cannot be read; give a JWK or a PEM `PUBLIC KEY`")]
    Malformed,
    /// A private or symmetric key was given where a public one is needed.
    #[error(
        "the key has private parts; give the public key only and replace this one, as it was exposed"
    )]
    Private,
    /// Neither P-256 nor Ed25519.
    #[error("the key type is not supported; use an EC key on P-256 or an Ed25519 key")]
    Unsupported,
    /// The point is not on the curve, or is one under which anybody can sign.
    #[error("the key is not a valid point of its curve")]
    InvalidPoint,
    /// `use`, `alg` or `key_ops` of the JWK says that the key is not for these signatures.
    #[error("the key says it is for another use or algorithm; a signature key is needed")]
    WrongUse,
    /// More keys than allowed in a set.
    #[error("the key set has too many keys")]
    TooManyKeys,
    /// Not a P-256 private key in PKCS#8.
    #[error("the private key cannot be read; give an unencrypted PKCS#8 key on P-256")]
    PrivateKeyUnreadable,
}

impl KeyError {
    /// The stable kebab-case code of this refusal.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "key-too-large",
            Self::Malformed => "key-malformed",
            Self::Private => "key-private",
            Self::Unsupported => "key-unsupported",
            Self::InvalidPoint => "key-invalid-point",
            Self::WrongUse => "key-wrong-use",
            Self::TooManyKeys => "key-set-too-large",
            Self::PrivateKeyUnreadable => "key-private-unreadable",
        }
    }
}

/// The signature algorithm that a key is for; the key decides it, never a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// Ed25519 (RFC 8037 §3.1).
    EdDsa,
}

impl KeyAlgorithm {
    /// The `alg` name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) fn library(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// A valid public key on P-256 or Ed25519.
///
/// Source: RFC 7517 §4, RFC 7518 §6.2.1, RFC 8037 §2. Its JSON form has only the members of the thumbprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicJwk(Point);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Point {
    P256 { x: [u8; 32], y: [u8; 32] },
    Ed25519 { x: [u8; 32] },
}

impl PublicJwk {
    /// Reads a JWK or a PEM `PUBLIC KEY`, whichever it is.
    ///
    /// # Errors
    /// [`KeyError`] as for [`Self::from_json`] and [`Self::from_pem`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.trim_start().starts_with('{') {
            Self::from_json(text)
        } else {
            Self::from_pem(text)
        }
    }

    /// Reads one JWK in JSON. Members that RFC 7517 does not require us to know are ignored.
    ///
    /// # Errors
    /// `TooLarge`, `Malformed` (also for a repeated member), `Private`, `Unsupported`, `WrongUse`, `InvalidPoint`.
    pub fn from_json(text: &str) -> Result<Self, KeyError> {
        if text.len() > JWK_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        let object = serde_json::from_str(text).map_err(|_| KeyError::Malformed)?;
        Self::from_members(&object)
    }

    /// Reads one PEM block `PUBLIC KEY` (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// `TooLarge`, `Private` if the text holds any private key, `Malformed`, `Unsupported`, `InvalidPoint`.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.len() > PEM_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
            .map_err(|_| KeyError::Malformed)?;
        Self::from_spki_der(&der)
    }

    /// Reads a SubjectPublicKeyInfo in DER: 91 bytes for P-256 (uncompressed point), 44 for Ed25519.
    ///
    /// # Errors
    /// `Unsupported` for any other key type or form, `InvalidPoint`.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Some(point) = der.strip_prefix(&P256_SPKI_PREFIX) {
            return Self::from_p256_point(point);
        }
        if let Some(x) = der.strip_prefix(&ED25519_SPKI_PREFIX) {
            return Self::ed25519(x.try_into().map_err(|_| KeyError::Malformed)?);
        }
        Err(KeyError::Unsupported)
    }

    /// The algorithm of this key's signatures.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        match self.0 {
            Point::P256 { .. } => KeyAlgorithm::Es256,
            Point::Ed25519 { .. } => KeyAlgorithm::EdDsa,
        }
    }

    /// The key's name: SHA-256 over its required members in lexicographic order.
    ///
    /// Source: RFC 7638 §3, RFC 8037 §2. This is our `kid` and `jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        let canonical = match &self.0 {
            Point::P256 { x, y } => {
                format!(
                    r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                    b64(x),
                    b64(y)
                )
            }
            Point::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(x)),
        };
        Thumbprint::of(&canonical)
    }

    /// The key in the verifying library's form.
    pub(crate) fn decoding_key(&self) -> DecodingKey {
        match &self.0 {
            Point::P256 { x, y } => DecodingKey::from_ec_der(&uncompressed(x, y)),
            Point::Ed25519 { x } => DecodingKey::from_ed_der(x),
        }
    }

    /// `point`: 65 bytes, SEC 1 uncompressed.
    pub(crate) fn from_p256_point(point: &[u8]) -> Result<Self, KeyError> {
        let Some((&UNCOMPRESSED, rest)) = point.split_first() else {
            return Err(KeyError::Unsupported);
        };
        let (x, y) = rest.split_at_checked(32).ok_or(KeyError::Malformed)?;
        let x = x.try_into().map_err(|_| KeyError::Malformed)?;
        let y = y.try_into().map_err(|_| KeyError::Malformed)?;
        Self::p256(x, y)
    }

    fn p256(x: [u8; 32], y: [u8; 32]) -> Result<Self, KeyError> {
        // The library checks the curve equation.
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, uncompressed(&x, &y))
            .map_err(|_| KeyError::InvalidPoint)?;
        Ok(Self(Point::P256 { x, y }))
    }

    fn ed25519(x: [u8; 32]) -> Result<Self, KeyError> {
        if is_weak_ed25519(&x) {
            return Err(KeyError::InvalidPoint);
        }
        ParsedPublicKey::new(&ED25519, x).map_err(|_| KeyError::InvalidPoint)?;
        Ok(Self(Point::Ed25519 { x }))
    }

    fn from_members(object: &UniqueObject) -> Result<Self, KeyError> {
        if PRIVATE_MEMBERS
            .iter()
            .any(|name| object.0.contains_key(*name))
        {
            return Err(KeyError::Private);
        }
        let text = |name| object.text(name).map_err(|()| KeyError::Malformed);
        let key = match (text("kty")?, text("crv")?) {
            (Some("EC"), Some("P-256")) => {
                Self::p256(coordinate(text("x")?)?, coordinate(text("y")?)?)?
            }
            (Some("OKP"), Some("Ed25519")) => Self::ed25519(coordinate(text("x")?)?)?,
            (Some(_), _) => return Err(KeyError::Unsupported),
            (None, _) => return Err(KeyError::Malformed),
        };
        let alg_fits = match text("alg")? {
            None => true,
            // RFC 9864 §2.2 gives Ed25519 its own name; both mean the same for this curve.
            Some("Ed25519") => key.algorithm() == KeyAlgorithm::EdDsa,
            Some(alg) => alg == key.algorithm().as_str(),
        };
        let use_fits = matches!(text("use")?, None | Some("sig"));
        if alg_fits && use_fits {
            Ok(key)
        } else {
            Err(KeyError::WrongUse)
        }
    }
}

impl Serialize for PublicJwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_members(&mut map)?;
        map.end()
    }
}

impl PublicJwk {
    /// Writes `kty`, `crv` and the coordinates.
    pub(crate) fn write_members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match &self.0 {
            Point::P256 { x, y } => {
                map.serialize_entry("kty", "EC")?;
                map.serialize_entry("crv", "P-256")?;
                map.serialize_entry("x", &b64(x))?;
                map.serialize_entry("y", &b64(y))
            }
            Point::Ed25519 { x } => {
                map.serialize_entry("kty", "OKP")?;
                map.serialize_entry("crv", "Ed25519")?;
                map.serialize_entry("x", &b64(x))
            }
        }
    }
}

impl<'de> Deserialize<'de> for PublicJwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = UniqueObject::deserialize(deserializer)?;
        Self::from_members(&object).map_err(serde::de::Error::custom)
    }
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Exactly 32 bytes in canonical base64url; RFC 7518 §6.2.1.2 demands the full length.
fn coordinate(text: Option<&str>) -> Result<[u8; 32], KeyError> {
    let text = text
        .filter(|text| text.len() == 43)
        .ok_or(KeyError::Malformed)?;
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| KeyError::Malformed)?;
    bytes.try_into().map_err(|_| KeyError::Malformed)
}

fn uncompressed(x: &[u8; 32], y: &[u8; 32]) -> Vec<u8> {
    [&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat()
}
