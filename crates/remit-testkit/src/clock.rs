//! A clock that stands still until it is moved.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use remit_domain::Timestamp;
use remit_ports::Clock;

/// A clock that stands still until it is moved.
///
/// ```
/// use std::time::Duration;
/// use remit_ports::Clock;
/// use remit_testkit::SimClock;
///
/// let clock = SimClock::at("2026-11-22T08:00:00Z");
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().to_string(), "2026-11-22T08:01:30Z");
/// assert_eq!(clock.monotonic(), Duration::from_secs(90));
/// ```
#[derive(Debug, Default)]
pub struct SimClock {
    /// Microseconds since 1970.
    now: AtomicI64,
    /// Microseconds since this clock was made.
    monotonic: AtomicU64,
}

impl SimClock {
    /// Standing at `now`, RFC 3339.
    ///
    /// # Panics
    /// When `now` is not a time.
    pub fn at(now: &str) -> Self {
        Self::new(now.parse().expect("a time, RFC 3339"))
    }

    /// Standing at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now: AtomicI64::new(now.as_micros()),
            monotonic: AtomicU64::new(0),
        }
    }

    /// Time passes, on both clocks.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.now
            .fetch_add(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.monotonic.fetch_add(micros, Ordering::SeqCst);
    }

    /// The wall clock jumps, forwards or back; the monotonic one does not.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.as_micros(), Ordering::SeqCst);
    }

    /// The monotonic clock alone moves on, as when the wall clock is set back while time passes.
    pub fn advance_monotonic(&self, by: Duration) {
        self.monotonic.fetch_add(
            u64::try_from(by.as_micros()).unwrap_or(u64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_jumps_and_the_monotonic_one_does_not() {
        let clock = SimClock::at("2026-11-22T08:00:00Z");
        clock.advance(Duration::from_millis(1_500));
        clock.set(Timestamp::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_secs(5));
        assert_eq!(clock.monotonic(), Duration::from_millis(1_500));
        clock.advance_monotonic(Duration::from_secs(1));
        assert_eq!(clock.now(), Timestamp::from_secs(5));
        assert_eq!(clock.monotonic(), Duration::from_millis(2_500));
    }
}
