//! The store on PostgreSQL: any number of nodes over one database.
//!
//! Each process has one task that writes: it puts what is waiting into one transaction and commits once. Whoever writes
//! in an organization locks its row of `orgs_state` first, which makes the ledger's indexes free of gaps and every check of
//! a transaction hold until it commits. Changes reach other nodes by `NOTIFY`; a node that cannot hear them says so
//! (`is_fresh`), and its decisions are refused.
//!
//! | module | what |
//! |---|---|
//! | `store` | the port, implemented: reads go to `read`, writes to `writer` |
//! | `connect` | pools, timeouts, durability of a connection |
//! | `migrate` | embedded migrations |
//! | `writer` | the writing task, its batches, and the change that each request makes |
//! | `read` | queries |
//! | `feed` | changes of other nodes, and whether they arrive |
//!
//! Needs connections of its own: a pooler that hands each transaction to another connection (PgBouncer in transaction
//! mode) does not carry `LISTEN`.
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

mod connect;
mod error;
mod feed;
mod migrate;
mod number;
mod read;
mod store;
mod writer;

#[cfg(test)]
mod tests;

pub use migrate::pending;
pub use store::PostgresStore;
