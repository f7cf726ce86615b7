//! Time and randomness, so that nothing in the middle reads a clock or draws a number by itself.

use std::time::Duration;

use remit_domain::Timestamp;

/// The clocks.
///
/// Contract: `now` is wall-clock time and may jump; `monotonic` never goes backwards within a process and is what
/// leases and staleness are measured with.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// Time since some fixed point in this process.
    fn monotonic(&self) -> Duration;
}

/// Random bytes fit for keys.
///
/// Contract: bytes are unpredictable and never repeat; a source that fails stops the process rather than weaken.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);

    /// A version 7 UUID (RFC 9562 section 5.7) for `now`: ids sort by creation.
    fn uuid(&self, now: Timestamp) -> uuid::Uuid {
        let mut random = [0u8; 10];
        self.fill(&mut random);
        let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}
