//! An entry, ready to append.

use remit_domain::event::EventKind;
use remit_domain::{AgentId, DecisionId, RunId, Timestamp};

/// An entry, ready to append: the leaf the tree commits to, and the sealed body kept beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// What happened; an index for searching, repeated in the leaf.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// The agent it concerns.
    pub agent: Option<AgentId>,
    /// The run it concerns.
    pub run: Option<RunId>,
    /// The decision it concerns.
    pub decision: Option<DecisionId>,
    /// The leaf, at most 4,096 bytes.
    pub leaf: Vec<u8>,
    /// Salt and content, sealed under the key of its shred scope; empty when there is no content.
    pub sealed: Vec<u8>,
}
