//! The names of keys.

use std::fmt;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::{KeyError, b64, coordinate};

/// The name of a key: 43 base64url characters (RFC 7638 §3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Thumbprint(String);

impl Thumbprint {
    /// Hashes a JWK that is already in the form of RFC 7638 §3.2.
    pub(super) fn of(canonical: &str) -> Self {
        Self(b64(
            digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref()
        ))
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// `Malformed` unless it is the canonical unpadded base64url of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        coordinate(Some(text))?;
        Ok(Self(text.to_owned()))
    }

    /// The wire form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Thumbprint {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::parse(&text)
    }
}

impl From<Thumbprint> for String {
    fn from(thumbprint: Thumbprint) -> Self {
        thumbprint.0
    }
}
