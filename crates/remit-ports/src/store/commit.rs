//! Records, and one change of state.

use remit_domain::{Kind, Noun, OrgId, Timestamp};
use remit_ledger::NewEntry;
use serde_json::Value;

use super::Lower;

/// A record as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its kind.
    pub kind: Kind,
    /// Its key.
    pub key: String,
    /// How often it was written; also its ETag.
    pub revision: u64,
    /// The noun.
    pub body: Value,
}

/// What a write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the record is new.
    Absent,
    /// This revision.
    Revision(u64),
    /// Anything.
    Any,
}

/// One record to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    /// Its kind.
    pub kind: Kind,
    /// Its key.
    pub key: String,
    /// The name it is found by.
    pub name: Option<String>,
    /// What it belongs to.
    pub parent: Option<String>,
    /// The word of its state.
    pub state: String,
    /// The noun.
    pub body: Value,
    /// What must be there.
    pub expect: Expect,
}

impl Put {
    /// A write of `noun`.
    pub fn new<N: Noun>(noun: &N, expect: Expect) -> Self {
        Self {
            kind: N::KIND,
            key: noun.key(),
            name: noun.name(),
            parent: noun.parent(),
            state: noun.state().to_owned(),
            body: serde_json::to_value(noun).unwrap_or(Value::Null),
            expect,
        }
    }
}

/// A key that is good for one use until it expires (assertion ids, proofs, codes, subject tokens).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// What was used, with the sort of thing as prefix: `assertion:{client}:{jti}`.
    pub key: String,
    /// When it may be forgotten.
    pub until: Timestamp,
}

/// Content-addressed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256, hex.
    pub hash: String,
    /// The bytes.
    pub body: Vec<u8>,
}

/// One change of state with its ledger entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// In which organization.
    pub org: OrgId,
    /// When.
    pub at: Timestamp,
    /// Records to write, in order.
    pub puts: Vec<Put>,
    /// Entries to append, in order.
    pub entries: Vec<NewEntry>,
    /// Content to keep.
    pub blobs: Vec<Blob>,
    /// Single-use keys to consume.
    pub once: Vec<Once>,
    /// Whether it raises the containment epoch: everything restrictive does.
    pub raise_epoch: bool,
    /// Labels it takes back.
    pub lower: Option<Lower>,
    /// The containment epoch it was decided at; at another one nothing is written. None where it does not matter.
    pub at_epoch: Option<u64>,
}

/// What a commit came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Revision of each record, in the order of the puts.
    pub revisions: Vec<u64>,
    /// Index of the first entry; meaningless without entries.
    pub first_index: u64,
    /// Containment epoch after it.
    pub epoch: u64,
}

/// Which records to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only of this parent.
    pub parent: Option<String>,
    /// Only in this state.
    pub state: Option<String>,
    /// Only with keys after this one.
    pub after: Option<String>,
    /// At most this many, 1 to 1,000; 0 means 100.
    pub limit: u32,
    /// Newest first: descending by key, `after` then means before.
    pub descending: bool,
}

impl Filter {
    /// The limit in force.
    pub fn limit(&self) -> u32 {
        match self.limit {
            0 => 100,
            n => n.min(1_000),
        }
    }
}

/// A page of records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
}
