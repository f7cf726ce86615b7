//! Cumulative limits of grants: which counters a call takes from, and how much.

use serde::{Deserialize, Serialize};

use remit_domain::Timestamp;

/// An amount that a call takes from one counter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reservation {
    /// Which counter, unique within the organization: what is counted, for whom, over what.
    pub key: String,
    /// How much, at least 0: ten-thousandths of a sum, ones of a count.
    pub amount: i64,
    /// The most that may be used, this amount included.
    pub max: i64,
    /// When the counter may be forgotten.
    pub until: Timestamp,
}
