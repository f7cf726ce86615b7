//! PostgreSQL's integers, and ours.

use std::time::Instant;

/// For storing. Counts never come near 2^63; one that did is stored as the largest and fails its next check.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// From storage, where negative counts are kept out by construction.
pub(crate) fn nat(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures this adapter's own connections; no decision is recorded with it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
