//! Bundles of other SPIFFE trust domains: by what their SVIDs are checked.
//!
//! Source: SPIFFE Trust Domain and Bundle §4, X509-SVID §6.2, JWT-SVID §6.2.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::ForeignJwks;
use crate::client_certificate::is_authority;
use crate::keys::KeyError;
use crate::limits::{FOREIGN_JWKS_BYTES_MAX, FOREIGN_KEYS_MAX};

/// The bundle of another trust domain. What is of no use here is left out, as the specification says.
#[derive(Debug, Clone, Default)]
pub struct ForeignBundle {
    /// Authorities of its X.509-SVIDs, in DER; none where it has none, and then none of its certificates is believed.
    pub authorities: Vec<Vec<u8>>,
    /// Keys of its JWT-SVIDs; none where none can be used.
    pub keys: Option<ForeignJwks>,
    /// Grows whenever the bundle changes.
    pub sequence: Option<u64>,
    /// How often to look for a change, in seconds.
    pub refresh_hint_s: Option<u64>,
}

#[derive(Deserialize)]
struct Wire {
    keys: Vec<serde_json::Value>,
    #[serde(default)]
    spiffe_sequence: Option<u64>,
    #[serde(default)]
    spiffe_refresh_hint: Option<u64>,
}

impl ForeignBundle {
    /// Reads a bundle in JSON.
    ///
    /// # Errors
    /// `TooLarge`, `Malformed`, `TooManyKeys`.
    pub fn from_json(text: &str) -> Result<Self, KeyError> {
        if text.len() > FOREIGN_JWKS_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        let wire: Wire = serde_json::from_str(text).map_err(|_| KeyError::Malformed)?;
        if wire.keys.len() > FOREIGN_KEYS_MAX {
            return Err(KeyError::TooManyKeys);
        }
        Ok(Self {
            authorities: wire.keys.iter().filter_map(authority).collect(),
            keys: ForeignJwks::from_spiffe_bundle(text).ok(),
            sequence: wire.spiffe_sequence,
            refresh_hint_s: wire.spiffe_refresh_hint,
        })
    }
}

/// The certificate of an entry for X.509-SVIDs: the first one that it has (X509-SVID §6.2).
fn authority(key: &serde_json::Value) -> Option<Vec<u8>> {
    if key.get("use")?.as_str()? != "x509-svid" {
        return None;
    }
    let der = STANDARD.decode(key.get("x5c")?.get(0)?.as_str()?).ok()?;
    is_authority(&der).is_ok().then_some(der)
}
