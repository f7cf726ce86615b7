//! A limit for each client address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::limits::ADDRESSES_MAX;

/// How often addresses that have recovered are forgotten, in checks.
const SWEEP_EVERY: u32 = 4096;

/// A limit for each client address.
pub(crate) struct Limiter {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    checks: AtomicU32,
}

impl Limiter {
    /// `burst` at once, refilled evenly within `secs` seconds.
    pub(crate) fn new(burst: u32, secs: u64) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let each = Duration::from_secs(secs.max(1)) / burst.get();
        let quota = Quota::with_period(each)
            .unwrap_or(Quota::per_second(burst))
            .allow_burst(burst);
        Self {
            limiter: RateLimiter::keyed(quota),
            checks: AtomicU32::new(0),
        }
    }

    /// Counts one request of `address`; false when it is one too many.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
            // So many addresses within one window is itself an attack: nobody unknown is let in until it has passed.
            if self.limiter.len() > ADDRESSES_MAX {
                return false;
            }
        }
        self.limiter.check_key(&address).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_use_up_anothers_share() {
        let limiter = Limiter::new(3, 3600);
        let (a, b) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let allowed = (0..10).filter(|_| limiter.allows(a)).count();
        assert_eq!(allowed, 3);
        assert!(limiter.allows(b));
    }
}
