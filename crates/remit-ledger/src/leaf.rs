//! The leaf: what the tree commits to. RFC 8785 JSON, version 1, never changed once released.
//!
//! ```text
//! {"actor":{"id":"per_…","type":"person"},"agent":"agt_…","at":"2026-11-22T08:00:00.000001Z",
//!  "commit":{"args":"base64url of HMAC-SHA-256"},"decision":"dec_…","facts":{"effect":"read",…},
//!  "kind":"call.decided","org":"org_…","run":"run_…","subject":"dec_…","v":1}
//! ```

use std::collections::BTreeMap;

use remit_domain::event::EventKind;
use remit_domain::{AgentId, DecisionId, OrgId, Principal, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Largest leaf, in bytes.
pub const LEAF_BYTES_MAX: usize = 4_096;

/// A leaf, read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Format version, 1.
    pub v: u8,
    /// Whose ledger.
    pub org: OrgId,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Principal,
    /// The record it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The agent it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The run it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The decision it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// Opaque ids, hashes, codes and numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
    /// Commitment to each member of the sealed content: base64url of HMAC-SHA-256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commit: BTreeMap<String, String>,
}

impl Leaf {
    /// Reads a leaf.
    ///
    /// # Errors
    /// When the bytes are not a version 1 leaf of at most [`LEAF_BYTES_MAX`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(LeafError::TooLarge(bytes.len()));
        }
        let leaf: Self = serde_json::from_slice(bytes)?;
        if leaf.v == 1 {
            Ok(leaf)
        } else {
            Err(LeafError::Version(leaf.v))
        }
    }

    /// The leaf's bytes, RFC 8785.
    ///
    /// # Errors
    /// `TooLarge` above [`LEAF_BYTES_MAX`].
    pub fn encode(&self) -> Result<Vec<u8>, LeafError> {
        let bytes = remit_mcp::canonical::jcs_value(&serde_json::to_value(self)?)?.into_bytes();
        if bytes.len() > LEAF_BYTES_MAX {
            Err(LeafError::TooLarge(bytes.len()))
        } else {
            Ok(bytes)
        }
    }
}

/// Why bytes are not a leaf, or an event does not fit one.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// Larger than a leaf may be.
    #[error(
        "the leaf has {0} bytes; at most 4096 are permitted, so facts must be ids, hashes, codes and numbers"
    )]
    TooLarge(usize),
    /// A version this program does not know.
    #[error("leaf version {0} is not known; verify with a newer remit")]
    Version(u8),
    /// Not JSON of the form.
    #[error("the leaf cannot be read")]
    Json(#[from] serde_json::Error),
    /// A fact has no canonical form.
    #[error("the leaf cannot be written")]
    Canonical(#[from] remit_mcp::canonical::EncodeError),
}
