//! Key sets, ours and those that clients register (RFC 7517 §5).

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};

use super::{KeyError, PublicJwk, Thumbprint};
use crate::limits::{JWK_BYTES_MAX, JWKS_KEYS_MAX};

/// At most [`JWKS_KEYS_MAX`] public keys, each found by its thumbprint.
///
/// Serialised as served at `/oauth2/jwks`: every key with `use`, `alg` and `kid`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Jwks {
    keys: Vec<(Thumbprint, PublicJwk)>,
}

impl Jwks {
    /// Makes a set; a repeated key is kept once.
    ///
    /// # Errors
    /// `TooManyKeys`.
    pub fn new(keys: impl IntoIterator<Item = PublicJwk>) -> Result<Self, KeyError> {
        let mut set = Self::default();
        for key in keys {
            if set.keys.len() >= JWKS_KEYS_MAX {
                return Err(KeyError::TooManyKeys);
            }
            let kid = key.thumbprint();
            if set.find(kid.as_str()).is_none() {
                set.keys.push((kid, key));
            }
        }
        Ok(set)
    }

    /// Reads a key set in JSON. A key that we cannot use makes the whole set an error, so that nobody believes
    /// it to be registered.
    ///
    /// # Errors
    /// `TooLarge`, `TooManyKeys`, `Malformed`, or that of the first key that is refused.
    pub fn from_json(text: &str) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            keys: Vec<&'a serde_json::value::RawValue>,
        }
        if text.len() > JWK_BYTES_MAX.saturating_mul(JWKS_KEYS_MAX) {
            return Err(KeyError::TooLarge);
        }
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|_| KeyError::Malformed)?;
        if wire.keys.len() > JWKS_KEYS_MAX {
            return Err(KeyError::TooManyKeys);
        }
        let keys: Result<Vec<_>, _> = wire
            .keys
            .iter()
            .map(|raw| PublicJwk::from_json(raw.get()))
            .collect();
        Self::new(keys?)
    }

    /// The key whose thumbprint is `kid`.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<PublicJwk> {
        self.keys
            .iter()
            .find(|(have, _)| have.as_str() == kid)
            .map(|(_, key)| *key)
    }

    /// The keys, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &PublicJwk> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Serialize for Jwks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys: Vec<_> = self
            .keys
            .iter()
            .map(|(kid, key)| Published { kid, key })
            .collect();
        let mut set = serializer.serialize_struct("Jwks", 1)?;
        set.serialize_field("keys", &keys)?;
        set.end()
    }
}

struct Published<'a> {
    kid: &'a Thumbprint,
    key: &'a PublicJwk,
}

impl Serialize for Published<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.key.write_members(&mut map)?;
        map.serialize_entry("use", "sig")?;
        map.serialize_entry("alg", self.key.algorithm().as_str())?;
        map.serialize_entry("kid", self.kid)?;
        map.end()
    }
}
