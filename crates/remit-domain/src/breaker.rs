//! The circuit breaker: an agent that repeats itself or keeps failing is taken out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{Kind, Noun, Principal, Timestamp};

/// Most calls remembered of one agent.
pub const CALLS_MAX: usize = 1_001;
/// Longest window, in seconds.
pub const WINDOW_SECS_MAX: i64 = 3_600;

/// What the breaker does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BreakerMode {
    /// Nothing.
    Off,
    /// Opens a finding and writes an entry; the agent goes on.
    #[default]
    DryRun,
    /// The same, and quarantines the agent.
    Enforce,
}

impl BreakerMode {
    /// What it does, as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::DryRun => "dry_run",
            Self::Enforce => "enforce",
        }
    }
}

/// When the breaker trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// What happens then.
    #[serde(default)]
    pub mode: BreakerMode,
    /// Over how many seconds it looks, 10 to 3,600.
    #[serde(default = "default_window")]
    pub window_secs: i64,
    /// How often the same call may be refused or fail, 3 to 1,000.
    #[serde(default = "default_repeats")]
    pub repeats: u32,
    /// Which share of an agent's calls may be refused or fail, in percent, 1 to 100.
    #[serde(default = "default_percent")]
    pub failure_percent: u8,
    /// From how many calls on the share counts, 10 to 1,000.
    #[serde(default = "default_calls")]
    pub failure_calls: u32,
    /// How many calls an agent may make in that time, however they end, 10 to 1,000; not looked at where none is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_calls: Option<u32>,
    /// Whether an agent that sends a canary is quarantined at once, whatever the mode; it is a finding in any case.
    #[serde(default)]
    pub canary: bool,
}

fn default_window() -> i64 {
    60
}

fn default_repeats() -> u32 {
    20
}

fn default_percent() -> u8 {
    90
}

fn default_calls() -> u32 {
    100
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            mode: BreakerMode::default(),
            window_secs: default_window(),
            repeats: default_repeats(),
            failure_percent: default_percent(),
            failure_calls: default_calls(),
            rate_calls: None,
            canary: false,
        }
    }
}

impl Thresholds {
    /// Why they cannot be thresholds, in one line.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, is: i64, from: i64, to: i64| {
            if (from..=to).contains(&is) {
                Ok(())
            } else {
                Err(format!("`{name}`: is {from} to {to}"))
            }
        };
        within("window_secs", self.window_secs, 10, WINDOW_SECS_MAX)?;
        within("repeats", self.repeats.into(), 3, 1_000)?;
        within("failure_percent", self.failure_percent.into(), 1, 100)?;
        within("failure_calls", self.failure_calls.into(), 10, 1_000)?;
        let rate = self.rate_calls.map_or(10, i64::from);
        within("rate_calls", rate, 10, 1_000)
    }
}

/// The breaker of an organization: one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// When it trips.
    #[serde(flatten)]
    pub thresholds: Thresholds,
    /// Who changed it last.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl Breaker {
    /// Its key: there is one.
    pub const KEY: &'static str = "breaker";
}

impl Noun for Breaker {
    const KIND: Kind = Kind::Breaker;
    fn key(&self) -> String {
        Self::KEY.to_owned()
    }
}

/// Why the breaker tripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The same call was refused or failed so often.
    Repeated(u32),
    /// So many of so many calls were refused or failed.
    Failing(u32, u32),
    /// So many calls were made, however they ended.
    Rate(u32),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Repeated(n) => write!(f, "the same call was refused or failed {n} times"),
            Self::Failing(bad, all) => write!(f, "{bad} of {all} calls were refused or failed"),
            Self::Rate(n) => write!(f, "{n} calls were made"),
        }
    }
}

/// The last calls of one agent.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    seen: VecDeque<(Timestamp, u64, bool)>,
}

impl Calls {
    /// Takes in one call: a digest of what was called, and whether it was refused or failed. Says why, when that trips the
    /// breaker; it then begins to count anew.
    pub fn saw(
        &mut self,
        now: Timestamp,
        digest: u64,
        bad: bool,
        thresholds: &Thresholds,
    ) -> Option<Cause> {
        while self.seen.len() >= CALLS_MAX
            || self
                .seen
                .front()
                .is_some_and(|(at, ..)| now.secs_since(*at) >= thresholds.window_secs)
        {
            self.seen.pop_front();
        }
        self.seen.push_back((now, digest, bad));
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let made = count(self.seen.len());
        if thresholds.rate_calls.is_some_and(|most| made > most) {
            self.seen.clear();
            return Some(Cause::Rate(made));
        }
        if !bad {
            return None;
        }
        let failed = self.seen.iter().filter(|(.., bad)| *bad);
        let same = count(failed.clone().filter(|(_, d, _)| *d == digest).count());
        let (failed, all) = (count(failed.count()), count(self.seen.len()));
        let cause = if same >= thresholds.repeats {
            Cause::Repeated(same)
        } else if all >= thresholds.failure_calls
            && u64::from(failed) * 100 >= u64::from(thresholds.failure_percent) * u64::from(all)
        {
            Cause::Failing(failed, all)
        } else {
            return None;
        };
        self.seen.clear();
        Some(cause)
    }

    /// When it last saw a call.
    pub fn last(&self) -> Option<Timestamp> {
        self.seen.back().map(|(at, ..)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + secs)
    }

    #[test]
    fn the_same_refused_call_trips_it_and_other_calls_do_not() {
        let thresholds = Thresholds {
            repeats: 3,
            ..Thresholds::default()
        };
        let mut calls = Calls::default();
        assert_eq!(calls.saw(at(0), 1, true, &thresholds), None);
        assert_eq!(calls.saw(at(1), 2, true, &thresholds), None);
        assert_eq!(calls.saw(at(2), 1, false, &thresholds), None);
        assert_eq!(calls.saw(at(3), 1, true, &thresholds), None);
        assert_eq!(
            calls.saw(at(4), 1, true, &thresholds),
            Some(Cause::Repeated(3))
        );
        assert_eq!(calls.saw(at(5), 1, true, &thresholds), None, "counts anew");
    }

    #[test]
    fn what_has_left_the_window_counts_no_more() {
        let thresholds = Thresholds {
            repeats: 3,
            ..Thresholds::default()
        };
        let mut calls = Calls::default();
        for secs in [0, 30, 60, 90, 120] {
            assert_eq!(calls.saw(at(secs), 1, true, &thresholds), None, "{secs}");
        }
    }

    #[test]
    fn a_share_counts_from_enough_calls_on() {
        let thresholds = Thresholds {
            failure_calls: 10,
            failure_percent: 50,
            repeats: 1_000,
            ..Thresholds::default()
        };
        let mut calls = Calls::default();
        for n in 0..9 {
            assert_eq!(calls.saw(at(0), n, n % 2 == 0, &thresholds), None);
        }
        assert_eq!(
            calls.saw(at(0), 9, true, &thresholds),
            Some(Cause::Failing(6, 10))
        );
    }

    #[test]
    fn more_calls_than_the_rate_trip_it_however_they_end() {
        let thresholds = Thresholds {
            rate_calls: Some(10),
            ..Thresholds::default()
        };
        thresholds.check().unwrap();
        let mut calls = Calls::default();
        for n in 0..10 {
            assert_eq!(calls.saw(at(0), n, false, &thresholds), None);
        }
        assert_eq!(
            calls.saw(at(1), 10, false, &thresholds),
            Some(Cause::Rate(11))
        );
        for secs in (60..6_000).step_by(7) {
            assert_eq!(calls.saw(at(secs), 1, false, &thresholds), None, "{secs}");
        }
        // One more than is remembered could never be seen.
        for most in [9, 1_001] {
            let wrong = Thresholds {
                rate_calls: Some(most),
                ..thresholds
            };
            assert!(wrong.check().is_err());
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut calls = Calls::default();
        for n in 0..5_000 {
            calls.saw(at(0), n, false, &Thresholds::default());
        }
        assert!(calls.seen.len() <= CALLS_MAX);
    }
}
