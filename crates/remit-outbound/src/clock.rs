//! The only place that reads a clock or draws randomness.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use remit_domain::Timestamp;
use remit_ports::{Clock, Entropy};

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the implementation of the clock port"
    )]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the implementation of the clock port"
    )]
    fn now(&self) -> Timestamp {
        // A clock before 1970 reads as 1970: everything is then expired or not valid by then, which fails closed.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The cryptographic random source of aws-lc, seeded by the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        if aws_lc_rs::rand::fill(out).is_err() {
            // The contract: stop rather than weaken. Unwinding could leave `out` in use.
            tracing::error!("the random source failed, the process stops");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_of_this_century_and_monotonic_does_not_go_back() {
        let clock = SystemClock::new();
        assert!(clock.now() > Timestamp::from_secs(1_767_225_600));
        let earlier = clock.monotonic();
        assert!(clock.monotonic() >= earlier);
    }

    #[test]
    fn bytes_differ_each_time() {
        let (mut a, mut b) = ([0u8; 32], [0u8; 32]);
        SystemEntropy.fill(&mut a);
        SystemEntropy.fill(&mut b);
        assert_ne!(a, b);
        let now = SystemClock::new().now();
        assert_ne!(SystemEntropy.uuid(now), SystemEntropy.uuid(now));
    }
}
