//! Ports: the traits for everything outside, with their contracts in prose.
//!
//! Services (floor 5) know these traits and never an adapter; adapters (floor 4) implement them and know no service.
//! The feature `contract` holds the one test suite that every store has to pass.

#![warn(missing_docs)]

pub mod clock;
pub mod leases;
pub mod prover;
pub mod signer;
pub mod store;
pub mod upstreams;
pub mod vault;
pub mod web;

#[cfg(feature = "contract")]
pub mod contract;

pub use clock::{Clock, Entropy};
pub use leases::{Leases, NoLeases};
pub use prover::{NoProver, Prover};
pub use signer::Signer;
pub use store::Store;
pub use upstreams::Upstreams;
pub use vault::{Secrets, Vault};
pub use web::Web;
