//! One transaction of many requests, each of which can fail alone.
//!
//! A request checks everything before it writes anything, so that a refused one leaves nothing behind. In the rare case
//! that one fails after its first write (two records of one commit that exclude each other), the whole transaction is
//! rolled back and done again without it. That costs nothing while it does not happen, where a savepoint per request would.

use remit_ports::store::{AdmitError, Admitted, Changed, Committed, StoreError};
use rusqlite::Connection;

use super::Request;
use super::unit::Unit;
use crate::error::{Stop, unavailable};

/// What a request came to.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Of a commit.
    pub(crate) committed: Option<Committed>,
    /// Of an admission.
    pub(crate) admitted: Option<Admitted>,
    /// What others have to read again.
    pub(crate) changed: Option<Changed>,
}

impl Done {
    pub(crate) fn committed(self) -> Committed {
        self.committed.unwrap_or(Committed {
            revisions: Vec::new(),
            first_index: 0,
            epoch: 0,
        })
    }

    pub(crate) fn admitted(self) -> Admitted {
        self.admitted.unwrap_or(Admitted {
            index: 0,
            labels: 0,
        })
    }
}

type Results = Vec<Result<Done, AdmitError>>;

/// Writes `requests`, and returns what each came to once all that succeeded are durable.
///
/// # Errors
/// When the database failed: nothing was written.
pub(crate) fn write(db: &Connection, requests: &[Request]) -> Result<Results, StoreError> {
    let mut failed: Vec<Option<AdmitError>> = requests.iter().map(|_| None).collect();
    // Each round takes one request out, so that there are at most as many rounds as requests.
    for _round in 0..=requests.len() {
        match attempt(db, requests, &mut failed) {
            Ok(Some(results)) => return Ok(results),
            Ok(None) => rollback(db)?,
            Err(error) => {
                // The first failure says why; a failed rollback after it adds nothing.
                let _ended = rollback(db);
                return Err(unavailable(&error));
            }
        }
    }
    Err(StoreError::Unavailable(
        "no request of the batch could be written".to_owned(),
    ))
}

/// One attempt; `None` when a request failed after it had written, which `failed` then tells.
fn attempt(
    db: &Connection,
    requests: &[Request],
    failed: &mut [Option<AdmitError>],
) -> rusqlite::Result<Option<Results>> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut unit = Unit::new(db);
    let mut results = Vec::with_capacity(requests.len());
    for (request, failed) in requests.iter().zip(failed.iter_mut()) {
        if let Some(error) = failed {
            results.push(Err(error.clone()));
            continue;
        }
        unit.start();
        match one(&mut unit, request) {
            Ok(done) => results.push(Ok(done)),
            Err(Stop::Sql(error)) if Stop::is_fatal_sql(&error) || db.is_autocommit() => {
                return Err(error);
            }
            Err(stop) if unit.wrote() => {
                *failed = Some(stop.into_admit());
                return Ok(None);
            }
            Err(stop) => results.push(Err(stop.into_admit())),
        }
    }
    unit.finish()?;
    db.prepare_cached("COMMIT")?.execute([])?;
    Ok(Some(results))
}

fn one(unit: &mut Unit<'_>, request: &Request) -> Result<Done, Stop> {
    match request {
        Request::Commit(commit, _) => unit.commit(commit, None),
        Request::Shred(shred, _) => unit.commit(&shred.1, Some(&shred.0)),
        Request::Admit(admit, _) => unit.admit(admit),
        Request::Outcome(outcome) => unit.outcome(outcome),
        Request::Tree(tree, _) => unit.append_tree(&tree.0, &tree.1),
    }
}

/// Whether the disk takes a write: there and back, since SQLite writes no row that stays as it is.
///
/// # Errors
/// When it does not.
pub(crate) fn probe(db: &Connection) -> Result<(), StoreError> {
    let there_and_back = "BEGIN IMMEDIATE;
         UPDATE orgs_state SET epoch = epoch + 1;
         UPDATE orgs_state SET epoch = epoch - 1;
         COMMIT";
    db.execute_batch(there_and_back).map_err(|error| {
        let _ended = rollback(db);
        unavailable(&error)
    })
}

/// SQLite has rolled back by itself after some failures.
fn rollback(db: &Connection) -> Result<(), StoreError> {
    if db.is_autocommit() {
        return Ok(());
    }
    db.execute_batch("ROLLBACK").map_err(|e| unavailable(&e))
}
