//! What the store keeps of a ledger.

use remit_domain::event::EventKind;
use remit_domain::{AgentId, DecisionId, RunId, Timestamp};

/// An entry as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its index, from 0.
    pub index: u64,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// The agent it concerns.
    pub agent: Option<AgentId>,
    /// The run it concerns.
    pub run: Option<RunId>,
    /// The decision it concerns.
    pub decision: Option<DecisionId>,
    /// The leaf: what the tree commits to.
    pub leaf: Vec<u8>,
    /// The sealed body beside it.
    pub sealed: Vec<u8>,
}

/// Which entries to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryFilter {
    /// Only from this index.
    pub from: u64,
    /// Only of these kinds; empty means all.
    pub kinds: Vec<EventKind>,
    /// Only of this agent.
    pub agent: Option<AgentId>,
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only of this decision.
    pub decision: Option<DecisionId>,
    /// Only at or after this time.
    pub since: Option<Timestamp>,
    /// Only before this time.
    pub until: Option<Timestamp>,
    /// At most this many, 1 to 10,000; 0 means 1,000.
    pub limit: u32,
    /// Newest first; `from` is then the index to start below, 0 for the end.
    pub descending: bool,
    /// Without the sealed bodies, which stay empty: what makes or checks the tree needs the leaves alone.
    pub leaves_only: bool,
}

impl EntryFilter {
    /// The limit in force.
    pub fn limit(&self) -> u32 {
        match self.limit {
            0 => 1_000,
            n => n.min(10_000),
        }
    }
}

/// One step of the derived tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeAppend {
    /// Size of the newest checkpoint, 0 where none.
    pub old_size: u64,
    /// Size of the tree now.
    pub new_size: u64,
    /// Hashes to store after those there are, in stored-hash order.
    pub hashes: Vec<[u8; 32]>,
    /// The signed checkpoint of the new size.
    pub checkpoint: String,
}
