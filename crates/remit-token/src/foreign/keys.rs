//! Key sets of other issuers (RFC 7517 §5): what cannot be used is left out, since they publish keys for others too.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::keys::{KeyAlgorithm, KeyError, PublicJwk};
use crate::limits::{FOREIGN_JWKS_BYTES_MAX, FOREIGN_KEYS_MAX, JWK_BYTES_MAX, KID_BYTES_MAX};
use crate::strict_json::UniqueObject;

/// Bytes of the modulus of an RSA key that is accepted: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// What a key says it is for, where that is a signature: `jwt-svid` is of SPIFFE bundles.
const USES: [&str; 2] = ["sig", "jwt-svid"];

/// A signature algorithm of another issuer (RFC 7518 §3.1, RFC 8037 §3.1). There is no symmetric one, and no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForeignAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl ForeignAlgorithm {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Rs256,
        Self::Ps256,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The `alg` name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == name)
    }

    pub(super) fn library(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Ps256 => Algorithm::PS256,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// A key of another issuer, with what it may verify: decided by its type, and narrowed by its own `alg`.
#[derive(Clone)]
pub(super) struct ForeignKey {
    pub(super) kid: Option<String>,
    pub(super) decoding: DecodingKey,
    algorithms: Vec<ForeignAlgorithm>,
}

impl ForeignKey {
    pub(super) fn is_for(&self, algorithm: ForeignAlgorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// The key of a JWK; none where it is no public key for signatures of an algorithm that is known here.
    fn read(text: &str) -> Option<Self> {
        if text.len() > JWK_BYTES_MAX {
            return None;
        }
        let object: UniqueObject = serde_json::from_str(text).ok()?;
        let member = |name| object.text(name).ok().flatten();
        let uses = object.text("use").ok()?;
        let private = ["d", "k", "p", "q"];
        if uses.is_some_and(|used| !USES.contains(&used))
            || object.0.get("key_ops").is_some_and(|ops| !verifies(ops))
            || private.iter().any(|name| object.0.contains_key(*name))
        {
            return None;
        }
        let (decoding, mut algorithms) = match (member("kty")?, member("crv")) {
            ("RSA", None) => (
                rsa(member("n")?, member("e")?)?,
                vec![ForeignAlgorithm::Rs256, ForeignAlgorithm::Ps256],
            ),
            ("EC", Some("P-384")) => (
                p384(member("x")?, member("y")?)?,
                vec![ForeignAlgorithm::Es384],
            ),
            (kty @ ("EC" | "OKP"), Some(_)) => {
                // Only what names the point: the rest was looked at here.
                let names = ["crv", "x", "y"].map(|name| (name, member(name)));
                let mut point = serde_json::Map::new();
                point.insert("kty".to_owned(), kty.into());
                let given = names.into_iter().filter_map(|(n, v)| Some((n, v?)));
                point.extend(given.map(|(n, v)| (n.to_owned(), v.into())));
                let point = serde_json::Value::Object(point).to_string();
                let key = PublicJwk::from_json(&point).ok()?;
                let algorithm = match key.algorithm() {
                    KeyAlgorithm::Es256 => ForeignAlgorithm::Es256,
                    KeyAlgorithm::EdDsa => ForeignAlgorithm::EdDsa,
                };
                (key.decoding_key(), vec![algorithm])
            }
            _ => return None,
        };
        if let Some(alg) = object.text("alg").ok()? {
            algorithms.retain(|algorithm| {
                // RFC 9864 §2.2 gives Ed25519 its own name.
                algorithm.as_str() == alg
                    || (*algorithm == ForeignAlgorithm::EdDsa && alg == "Ed25519")
            });
        }
        let kid = object.text("kid").ok()?.map(str::to_owned);
        let fits = kid.as_ref().is_none_or(|kid| kid.len() <= KID_BYTES_MAX);
        (fits && !algorithms.is_empty()).then_some(Self {
            kid,
            decoding,
            algorithms,
        })
    }
}

/// Whether a key's operations have the one it is used for here (RFC 7517 section 4.3).
fn verifies(operations: &serde_json::Value) -> bool {
    let listed = operations.as_array();
    listed.is_some_and(|all| all.iter().any(|op| op == "verify"))
}

fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    let modulus = URL_SAFE_NO_PAD.decode(n).ok()?;
    let size = modulus.iter().skip_while(|byte| **byte == 0).count();
    if !RSA_BYTES.contains(&size) {
        return None;
    }
    DecodingKey::from_rsa_components(n, e).ok()
}

fn p384(x: &str, y: &str) -> Option<DecodingKey> {
    let mut point = vec![0x04];
    for coordinate in [x, y] {
        let bytes = URL_SAFE_NO_PAD.decode(coordinate).ok()?;
        point.extend(<[u8; 48]>::try_from(bytes.as_slice()).ok()?);
    }
    // The library checks the curve equation.
    ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &point).ok()?;
    DecodingKey::from_ec_components(x, y).ok()
}

/// The usable keys of another issuer, at most [`FOREIGN_KEYS_MAX`].
#[derive(Clone, Default)]
pub struct ForeignJwks {
    keys: Vec<ForeignKey>,
}

impl ForeignJwks {
    /// Reads a key set in JSON. Keys that are for something else, or of a type that is not known here, are left out.
    ///
    /// # Errors
    /// `TooLarge`, `Malformed`, `TooManyKeys`; `Unsupported` when no key is left.
    pub fn from_json(text: &str) -> Result<Self, KeyError> {
        Self::read(text, |_| true)
    }

    /// Reads the bundle of a SPIFFE trust domain: only its keys for JWT-SVIDs count (SPIFFE Trust Domain and Bundle §4.2), which
    /// have a name (JWT-SVID §6.1).
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_spiffe_bundle(text: &str) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Use {
            #[serde(rename = "use")]
            named: String,
            kid: String,
        }
        Self::read(text, |raw| {
            let used = serde_json::from_str::<Use>(raw);
            used.is_ok_and(|used| used.named == "jwt-svid" && !used.kid.is_empty())
        })
    }

    fn read(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            keys: Vec<&'a serde_json::value::RawValue>,
        }
        if text.len() > FOREIGN_JWKS_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|_| KeyError::Malformed)?;
        if wire.keys.len() > FOREIGN_KEYS_MAX {
            return Err(KeyError::TooManyKeys);
        }
        let keys: Vec<_> = wire
            .keys
            .iter()
            .filter(|raw| wanted(raw.get()))
            .filter_map(|raw| ForeignKey::read(raw.get()))
            .collect();
        if keys.is_empty() {
            return Err(KeyError::Unsupported);
        }
        Ok(Self { keys })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ForeignKey> {
        self.keys.iter()
    }
}

impl std::fmt::Debug for ForeignJwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignJwks")
            .field("keys", &self.keys.len())
            .finish()
    }
}
