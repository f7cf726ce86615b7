//! The store: records, single-use keys, the ledger's entries, labels, limits and calls, in one unit of work.
//!
//! Every change of state and its ledger entries commit together or not at all. A commit is durable when it returns.

mod admit;
mod commit;
mod error;
mod ledger;

use async_trait::async_trait;
use remit_domain::{Kind, OrgId};
use tokio::sync::broadcast;

pub use admit::{
    Admit, AdmitError, Admitted, LabelRow, LabelState, Lower, OpenCall, Outcome, Raised, Reserve,
    held, stamp,
};
pub use commit::{Blob, Commit, Committed, Expect, Filter, Once, Page, Put, Record};
pub use error::StoreError;
pub use ledger::{EntryFilter, StoredEntry, TreeAppend};

/// What changed, for whoever keeps a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// In which organization.
    pub org: OrgId,
    /// Containment epoch after the change.
    pub epoch: u64,
    /// Which records; empty means: read everything again (the feed has lost its place).
    pub keys: Vec<(Kind, String)>,
}

/// The store.
///
/// Contract, held by `contract::suite` against the fake, SQLite and PostgreSQL:
/// - Nothing of one organization is ever returned for another.
/// - Records are never deleted; ids and names are never reused, whatever the record's state.
/// - `commit` and `admit` are atomic and durable; on any error nothing has changed.
/// - Ledger indexes of an organization are 0, 1, 2 … without gaps, in commit order.
/// - Not found is `Ok(None)`.
/// - Keys are ordered by their bytes.
/// - `Unavailable` from a write that was sent over a network can mean that only its answer was lost. Whoever gets it acts as
///   if nothing was written, which is safe: a decision without an effect is found again as an open call.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Every organization's own record, the operator's included.
    async fn organizations(&self) -> Result<Vec<Record>, StoreError>;

    /// One record.
    async fn get(&self, org: &OrgId, kind: Kind, key: &str) -> Result<Option<Record>, StoreError>;

    /// The record of that name.
    async fn find(&self, org: &OrgId, kind: Kind, name: &str)
    -> Result<Option<Record>, StoreError>;

    /// Records of a kind, ordered by key, a page at a time.
    async fn list(&self, org: &OrgId, kind: Kind, filter: &Filter) -> Result<Page, StoreError>;

    /// One change of state with its ledger entries.
    ///
    /// # Errors
    /// `Conflict` when an expected revision has moved, `NameTaken` (by any record that ever had the name), `Replayed` when a
    /// single-use key was used, `EpochMoved` (before any of these) when it was decided at another containment epoch than the one
    /// there is, `Unavailable` when it cannot be made durable. Nothing has changed then. Where it takes labels
    /// back: `Conflict` of a declassification, with the scope as key, when its stamp has moved, or with the agent as key when it
    /// has a call in flight.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError>;

    /// The one point of effect: checks the containment epoch and the label version, consumes the approval, reserves
    /// limits, registers the call as in flight, and appends the decision. Many share one group commit.
    ///
    /// Checks in this order: epoch, labels, limits, records, and that the decision is not in flight already (`Replayed`).
    /// Amounts below 0 count as 0. What a reservation finds used is the sum of its own counter and those it counts besides.
    ///
    /// # Errors
    /// [`AdmitError`]; nothing has changed then.
    async fn admit(&self, admit: Admit) -> Result<Admitted, AdmitError>;

    /// Queues an outcome: it rides with the next commit or goes within 50 ms, and is not awaited. Closes the open call.
    ///
    /// Its entries are appended whatever has changed meanwhile, even when the call was closed before. What the call holds is
    /// given back by whoever closes it, on whichever node. Amounts are given back
    /// (never below 0) only if this closes the call, so that a second report gives back nothing. A record that has moved on
    /// is left as it is. Outcomes that find the database unavailable are kept and tried again.
    ///
    /// # Errors
    /// `Unavailable` when the queue is full or closed: the call stays open and is reported as a gap.
    fn outcome(&self, outcome: Outcome) -> Result<(), StoreError>;

    /// Waits until every queued outcome is durable.
    async fn flush(&self) -> Result<(), StoreError>;

    /// Containment epoch of an organization.
    async fn epoch(&self, org: &OrgId) -> Result<u64, StoreError>;

    /// Calls without an outcome, oldest first, at most `limit`.
    async fn open_calls(&self, org: &OrgId, limit: u32) -> Result<Vec<OpenCall>, StoreError>;

    /// Labels of a scope (a root run, or an agent).
    async fn labels(&self, org: &OrgId, scope: &str) -> Result<LabelState, StoreError>;

    /// What is used of each counter, zero where none.
    async fn counters(&self, org: &OrgId, keys: &[String]) -> Result<Vec<i64>, StoreError>;

    /// Counters whose keys begin with `prefix`, ordered by key, at most `limit`; those that may be forgotten perhaps included.
    async fn counters_under(
        &self,
        org: &OrgId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(String, i64)>, StoreError>;

    /// Content-addressed bytes, by SHA-256 (hex).
    async fn blob(&self, org: &OrgId, hash: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// How many entries an organization's ledger has.
    async fn entry_count(&self, org: &OrgId) -> Result<u64, StoreError>;

    /// Entries that match, ordered by index.
    async fn entries(
        &self,
        org: &OrgId,
        filter: &EntryFilter,
    ) -> Result<Vec<StoredEntry>, StoreError>;

    /// Stored tree hashes, from number `from` (in stored-hash order), at most `limit`.
    async fn tree_hashes(
        &self,
        org: &OrgId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<[u8; 32]>, StoreError>;

    /// The newest signed checkpoint (size, note).
    async fn checkpoint(&self, org: &OrgId) -> Result<Option<(u64, String)>, StoreError>;

    /// Appends to the derived tree: compare-and-swap on the size of the newest checkpoint.
    ///
    /// # Errors
    /// `Conflict` when another node has appended meanwhile.
    async fn append_tree(&self, org: &OrgId, append: TreeAppend) -> Result<(), StoreError>;

    /// Overwrites the body of `scope`'s shred key with null (its state becomes `shredded`), in the same transaction as
    /// `commit`: what it sealed is gone. `commit` is of the same organization.
    ///
    /// # Errors
    /// As [`Self::commit`]; `Conflict` when there is no such key.
    async fn shred(
        &self,
        org: &OrgId,
        scope: &str,
        commit: Commit,
    ) -> Result<Committed, StoreError>;

    /// Changes, as they commit, from here and from other nodes; told after they are durable. A receiver that has lagged
    /// behind (`RecvError::Lagged`) reads everything again.
    fn changes(&self) -> broadcast::Receiver<Changed>;

    /// How many changes have been given out, so far as that is counted: read before looking whether a receiver is empty.
    fn given_out(&self) -> u64 {
        0
    }

    /// Whoever keeps a snapshot says that it holds every change up to that many: only then does it count as fresh.
    fn taken_in(&self, _up_to: u64) {}

    /// Whether changes of other nodes arrive, and are taken in. `false` makes every decision refuse with `snapshot-stale`.
    fn is_fresh(&self) -> bool;

    /// Whether other nodes may write to the same database, so that their changes have to be followed.
    fn has_other_nodes(&self) -> bool {
        true
    }

    /// One round trip, for readiness.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Ends: writes what is queued, then closes.
    async fn close(&self);
}
