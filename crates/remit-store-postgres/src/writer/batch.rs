//! One transaction of many requests, each of which can fail alone.
//!
//! A request checks everything before it writes anything, so that a refused one leaves nothing behind. In the rare case
//! that one fails after its first write, or that PostgreSQL refuses its values, the whole transaction is rolled back and
//! done again without it. That saves two round trips a request, which savepoints would cost.

use std::time::Duration;

use remit_ports::store::{AdmitError, Admitted, Changed, Committed, StoreError};
use sqlx::PgPool;

use super::Request;
use super::unit::Unit;
use crate::error::{Stop, is_passing, is_requests_fault, timed_out, unavailable};

/// How long a transaction may take, whatever the network does.
const WRITE: Duration = Duration::from_secs(30);

/// Attempts when the server asks for another one (deadlock, serialization failure).
const PASSING: u32 = 3;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

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
        let none = Committed {
            revisions: Vec::new(),
            first_index: 0,
            epoch: 0,
        };
        self.committed.unwrap_or(none)
    }

    pub(crate) fn admitted(self) -> Admitted {
        self.admitted.unwrap_or(Admitted {
            index: 0,
            labels: 0,
        })
    }
}

/// Why a batch was not confirmed.
pub(crate) struct Fault {
    pub(crate) error: StoreError,
    /// It may have been committed all the same: the connection was lost while waiting for the answer.
    pub(crate) ambiguous: bool,
}

type Results = Vec<Result<Done, AdmitError>>;

/// Writes `requests`, and returns what each came to once all that succeeded are durable.
pub(crate) async fn write(
    pool: &PgPool,
    node: &str,
    requests: &[Request],
) -> Result<Results, Fault> {
    let mut failed: Vec<Option<AdmitError>> = requests.iter().map(|_| None).collect();
    let mut passing = 0;
    // Each round takes one request out, so that there are at most as many rounds as requests.
    for _round in 0..=requests.len() {
        let attempt = attempt(pool, node, requests, &mut failed);
        let Ok(result) = tokio::time::timeout(WRITE, attempt).await else {
            return Err(Fault {
                error: timed_out(),
                ambiguous: true,
            });
        };
        match result {
            Ok(Some(results)) => return Ok(results),
            Ok(None) => {}
            Err((error, _)) if is_passing(&error) && passing < PASSING => passing += 1,
            Err((error, committing)) => {
                // Where the server has answered, it has not committed.
                let ambiguous = committing && error.as_database_error().is_none();
                return Err(Fault {
                    error: unavailable(&error),
                    ambiguous,
                });
            }
        }
    }
    let error = StoreError::Unavailable("no request of the batch could be written".to_owned());
    Err(Fault {
        error,
        ambiguous: false,
    })
}

/// One attempt; `None` when a request failed in a way that takes the transaction with it, which `failed` then tells. An
/// error says whether the commit was under way. Dropping the transaction rolls it back.
async fn attempt(
    pool: &PgPool,
    node: &str,
    requests: &[Request],
    failed: &mut [Option<AdmitError>],
) -> Result<Option<Results>, (sqlx::Error, bool)> {
    let before = |error| (error, false);
    let mut tx = pool.begin_with(BEGIN).await.map_err(before)?;
    let orgs = requests.iter().map(org).cloned().collect();
    let mut unit = Unit::lock(&mut tx, orgs).await.map_err(before)?;
    let mut results = Vec::with_capacity(requests.len());
    for (request, failed) in requests.iter().zip(failed.iter_mut()) {
        if let Some(error) = failed {
            results.push(Err(error.clone()));
            continue;
        }
        unit.start();
        match one(&mut unit, request).await {
            Ok(done) => results.push(Ok(done)),
            Err(Stop::Refused(error)) if !unit.wrote() => results.push(Err(error)),
            Err(Stop::Refused(error)) => {
                *failed = Some(error);
                return Ok(None);
            }
            Err(Stop::Sql(error)) if is_requests_fault(&error) => {
                *failed = Some(AdmitError::Store(unavailable(&error)));
                return Ok(None);
            }
            Err(Stop::Sql(error)) => return Err(before(error)),
        }
    }
    let changes = results
        .iter()
        .flatten()
        .filter_map(|done| done.changed.as_ref());
    unit.notify(node, changes).await.map_err(before)?;
    unit.finish().await.map_err(before)?;
    tx.commit().await.map_err(|error| (error, true))?;
    Ok(Some(results))
}

fn org(request: &Request) -> &remit_domain::OrgId {
    match request {
        Request::Commit(commit, _) => &commit.org,
        Request::Shred(shred, _) => &shred.1.org,
        Request::Admit(admit, _) => &admit.org,
        Request::Outcome(outcome, _) => &outcome.org,
        Request::Tree(tree, _) => &tree.0,
    }
}

async fn one(unit: &mut Unit<'_>, request: &Request) -> Result<Done, Stop> {
    match request {
        Request::Commit(commit, _) => unit.commit(commit, None).await,
        Request::Shred(shred, _) => unit.commit(&shred.1, Some(&shred.0)).await,
        Request::Admit(admit, _) => unit.admit(admit).await,
        Request::Outcome(outcome, again) => unit.outcome(outcome, *again).await,
        Request::Tree(tree, _) => unit.append_tree(&tree.0, &tree.1).await,
    }
}
