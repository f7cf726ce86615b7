//! What tests of every floor share: a clock that is set, entropy from a seed, a store in memory that passes the same
//! contract as the real ones, and a real PostgreSQL for the length of a test.
//!
//! Nothing here is part of the product; crates name it under `dev-dependencies` only.

#![warn(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and only tests call this"
)]

pub mod clock;
pub mod entropy;
pub mod postgres;
pub mod signer;
pub mod store;
pub mod upstreams;

pub use clock::SimClock;
pub use entropy::SeededEntropy;
pub use postgres::TestDatabase;
pub use signer::FakeSigner;

pub use store::FakeStore;
pub use upstreams::{FakeSecrets, FakeUpstreams, FakeVault, NoSecrets, Script};
