//! From event to entry to leaf, and back: sealing, receipts, offline verification.
//!
//! Pure: keys, salts and nonces are arguments. A leaf holds opaque ids, hashes, codes and numbers in clear and commits to
//! everything else (HMAC-SHA-256 under a random per-entry salt kept with the sealed body), so that destroying the key of a
//! sealed body breaks no proof.

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

pub mod certificate;
pub mod entry;
pub mod leaf;
pub mod seal;
pub mod verify;

pub use entry::NewEntry;
pub use leaf::{LEAF_BYTES_MAX, Leaf};
pub use seal::{Body, DataKey, SealError, open, seal};
pub use verify::{Report, Verifier, VerifyError};
