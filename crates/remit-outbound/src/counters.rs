//! What upstreams did that they should not, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since start, over all organizations.
#[derive(Debug, Default)]
pub struct Counters {
    /// Answers to no open request (wrong id, late, twice).
    pub stray_answers: AtomicU64,
    /// Messages that are not MCP.
    pub invalid_messages: AtomicU64,
    /// Messages larger than [`crate::limits::MESSAGE_BYTES_MAX`].
    pub oversize_messages: AtomicU64,
    /// Notifications dropped because nobody waited for them.
    pub dropped_notifications: AtomicU64,
    /// Processes started.
    pub processes_started: AtomicU64,
    /// Processes that ended.
    pub processes_ended: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
