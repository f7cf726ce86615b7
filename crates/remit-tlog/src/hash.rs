//! The one hash of a log: SHA-256 with a prefix byte, so that a leaf is never taken for a node.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Hash of a leaf, a node or a whole tree (RFC 6962 §2.1). Shown to people, and in JSON, as 64
/// lowercase hexadecimal digits; the C2SP texts use [`Hash::to_base64`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

/// Root of the tree without leaves: the SHA-256 of nothing (RFC 6962 §2.1).
pub const EMPTY_ROOT: Hash = Hash(tlog_tiles::EMPTY_HASH.0);

/// Hashes one entry: SHA-256 of the byte 0x00 and the entry.
///
/// Source: RFC 6962 §2.1.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    tlog_tiles::record_hash(entry).into()
}

/// Hashes two neighbours into their parent: SHA-256 of the byte 0x01, the left and the right hash.
///
/// Source: RFC 6962 §2.1.
#[must_use]
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    tlog_tiles::node_hash(left.into(), right.into()).into()
}

/// A text that is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a hash is 32 bytes as {form}, got {characters} characters that are not that")]
pub struct HashError {
    form: &'static str,
    characters: usize,
}

impl Hash {
    /// Takes the 32 bytes of a hash made elsewhere.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Writes 44 characters of padded standard base64 (RFC 4648 §4).
    #[must_use]
    pub fn to_base64(&self) -> String {
        tlog_tiles::Hash(self.0).to_string()
    }

    /// Reads what [`Hash::to_base64`] writes.
    ///
    /// # Errors
    /// [`HashError`] if `text` is not the canonical base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, HashError> {
        // Decoding takes memory in proportion to the text, so a long one is refused unread.
        if text.len() != 44 {
            return Err(not_a_hash("44 characters of base64", text));
        }
        tlog_tiles::Hash::parse_hash(text)
            .map(Self::from)
            .map_err(|_| not_a_hash("44 characters of base64", text))
    }
}

fn not_a_hash(form: &'static str, text: &str) -> HashError {
    HashError {
        form,
        characters: text.chars().count(),
    }
}

impl FromStr for Hash {
    type Err = HashError;

    /// Reads 64 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, HashError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| not_a_hash("64 hexadecimal digits", text))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Hash {
    type Error = HashError;

    fn try_from(text: String) -> Result<Self, HashError> {
        text.parse()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl From<tlog_tiles::Hash> for Hash {
    fn from(hash: tlog_tiles::Hash) -> Self {
        Self(hash.0)
    }
}

impl From<Hash> for tlog_tiles::Hash {
    fn from(hash: Hash) -> Self {
        Self(hash.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_entry_and_an_empty_tree_differ() {
        let leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(leaf_hash(b"").to_string(), leaf);
        assert_eq!(EMPTY_ROOT.to_string(), empty);
    }

    #[test]
    fn a_node_cannot_be_passed_off_as_a_leaf() {
        let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
        let forged = [left.as_bytes().as_slice(), right.as_bytes().as_slice()].concat();
        assert_ne!(leaf_hash(&forged), node_hash(left, right));
        assert_ne!(node_hash(left, right), node_hash(right, left));
    }

    #[test]
    fn texts_round_trip_and_strangers_are_refused() {
        let hash = leaf_hash(b"x");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{hash}\""));
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);

        for bad in ["", "6e34", "zz", &"0".repeat(63), &"0".repeat(66)] {
            assert!(bad.parse::<Hash>().is_err(), "{bad}");
            assert!(Hash::from_base64(bad).is_err(), "{bad}");
        }
        // The last character before the padding carries two bits that must be zero.
        let loose = format!("{}B=", "A".repeat(42));
        assert!(Hash::from_base64(&loose).is_err());
    }
}
