//! A limit for each client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::limits::ADDRESSES_MAX;

type Instant = <DefaultClock as Clock>::Instant;

/// How often addresses that have recovered are forgotten, in checks.
const SWEEP_EVERY: u32 = 4096;

/// A limit for each client address.
pub(crate) struct Limiter {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    checks: AtomicU32,
    /// How long one request takes to be forgotten.
    each: Duration,
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
            each,
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

/// A limit for each client address that counts only what went wrong: whoever is over it gets nothing until it recovers.
pub(crate) struct Failures {
    limiter: Limiter,
    /// Addresses that are over it, and until when.
    over: Mutex<HashMap<IpAddr, Instant>>,
}

impl Failures {
    /// `burst` at once, refilled evenly within `secs` seconds.
    pub(crate) fn new(burst: u32, secs: u64) -> Self {
        Self {
            limiter: Limiter::new(burst, secs),
            over: Mutex::default(),
        }
    }

    /// Whether something more may be tried from `address`.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let until = over.get(&address);
        until.is_none_or(|until| self.now() >= *until)
    }

    /// Counts something that went wrong.
    pub(crate) fn count(&self, address: IpAddr) {
        if self.limiter.allows(address) {
            return;
        }
        let now = self.now();
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.retain(|_, until| now < *until);
        // Each one more is waited for: what was sent at once is paid for afterwards.
        if let Some(until) = over.get_mut(&address) {
            *until = *until + self.limiter.each.into();
        } else if over.len() < ADDRESSES_MAX {
            over.insert(address, now + self.limiter.each.into());
        }
    }

    fn now(&self) -> Instant {
        self.limiter.limiter.clock().now()
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

    #[test]
    fn only_what_goes_wrong_counts_and_then_nothing_goes() {
        let failures = Failures::new(3, 36_000);
        let (a, b) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert!((0..1_000).all(|_| failures.allows(a)));
        for _ in 0..3 {
            failures.count(a);
            assert!(failures.allows(a));
        }
        failures.count(a);
        assert!(!failures.allows(a));
        assert!(failures.allows(b));
    }

    #[test]
    fn what_was_sent_at_once_is_paid_for_afterwards() {
        let failures = Failures::new(1, 36_000);
        let a = [192, 0, 2, 1].into();
        let until = |failures: &Failures| failures.over.lock().unwrap().get(&a).copied();
        failures.count(a);
        assert!(failures.allows(a));
        failures.count(a);
        let before = until(&failures);
        assert!(before.is_some() && !failures.allows(a));
        failures.count(a);
        assert!(until(&failures) > before);
    }
}
