//! Content addresses.

use aws_lc_rs::digest;
use serde::Serialize;

use crate::error::FactsError;

/// SHA-256 (lower-case hex) over the RFC 8785 form.
pub(crate) fn canonical<T: Serialize>(value: &T) -> Result<String, FactsError> {
    Ok(sha256(&serde_json_canonicalizer::to_vec(value)?))
}

/// SHA-256 as lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}
