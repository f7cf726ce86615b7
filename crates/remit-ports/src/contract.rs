//! The contract of [`Store`], as checks that every store passes: the fake, SQLite and PostgreSQL.
//!
//! Each check works in organizations of its own, so that all of them can share one store. A check that attacks says what
//! it attacks in its name. Run [`suite`] on a multi-threaded runtime: the races are meant to happen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "checks fail by panicking, and only tests call them"
)]

mod admits;
mod commits;
mod data;
mod isolation;
mod ledger;
mod lowers;
mod outcomes;
mod races;
mod records;
mod reopen;
mod signers;

use std::future::Future;
use std::sync::Arc;

use crate::Store;

pub use signers::signer_suite;

/// Runs every check against what `open` gives: a store with nothing in it.
///
/// # Panics
/// When a check fails.
pub async fn suite<F, O>(open: F)
where
    F: Fn() -> O,
    O: Future<Output = Arc<dyn Store>>,
{
    let store = open().await;
    records::all(&store).await;
    commits::all(&store).await;
    admits::all(&store).await;
    outcomes::all(&store).await;
    ledger::all(&store).await;
    lowers::all(&store).await;
    isolation::all(&store).await;
    races::all(&store).await;
    store.close().await;
}

/// Runs the checks of durability: `open` gives the same data each time, after the store before was closed.
///
/// # Panics
/// When a check fails.
pub async fn reopen_suite<F, O>(open: F)
where
    F: Fn() -> O,
    O: Future<Output = Arc<dyn Store>>,
{
    reopen::all(&open).await;
}
