//! The store on SQLite: one machine, one process, one file.
//!
//! One thread writes. It drains what is waiting into one transaction and commits once, so that many admissions share one
//! `fsync` (group commit). Reads go to a few read-only connections and never wait for the writer (WAL). Nothing is
//! acknowledged before it is on disk (`synchronous=FULL`).
//!
//! | module | what |
//! |---|---|
//! | `store` | the port, implemented: reads go to `read`, writes to `writer` |
//! | `open` | data directory, lock against a second process, file modes, pragmas |
//! | `migrate` | embedded migrations |
//! | `writer` | the writing thread, its batches, and the change that each request makes |
//! | `read` | read-only connections and queries |
//!
//! Knows the port and the nouns it stores; no service, and no meaning of what it stores.

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

#[cfg(feature = "baseline")]
mod baseline;
mod checkpointer;
mod error;
mod migrate;
mod number;
mod open;
mod read;
mod store;
mod writer;

#[cfg(test)]
mod tests;

#[cfg(feature = "baseline")]
pub use baseline::raw_appends_per_second;
pub use migrate::pending;
pub use open::SqliteOptions;
pub use store::SqliteStore;
