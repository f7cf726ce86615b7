//! Change freezes and time windows: times that an organization declares, for its policies to look at.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::system::Environment;
use crate::{Kind, Noun, Principal, SystemId, Timestamp, name::Name};

/// Most freezes and windows of one organization.
pub const FREEZES_MAX: usize = 100;
/// Most spans of one freeze.
pub const SPANS_MAX: usize = 64;

/// What a declared time means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// Nothing should change: `context.freezes` holds its name.
    Freeze,
    /// Something may be done: `context.windows` holds its name.
    Window,
}

impl Means {
    /// What it means, as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Window => "window",
        }
    }
}

/// A time of day, as minutes since midnight; `HH:MM` on the wire.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Clock(u16);

impl FromStr for Clock {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let text: String = text.chars().take(16).collect();
            format!("`{text}` is not a time of day such as 08:30")
        };
        let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
        let two = |part: &str, below: u16| {
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            let n = part.parse::<u16>().ok().filter(|n| digits && *n < below);
            n.ok_or_else(wrong)
        };
        Ok(Self(two(hour, 24)? * 60 + two(minute, 60)?))
    }
}

impl TryFrom<String> for Clock {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Clock> for String {
    fn from(clock: Clock) -> String {
        clock.to_string()
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A time that is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Span {
    /// From one time until another.
    Once {
        /// From then, included.
        from: Timestamp,
        /// Until then, not included.
        until: Timestamp,
    },
    /// Each week on the same days.
    Weekly {
        /// Days on which it begins: 1 Monday to 7 Sunday.
        days: BTreeSet<u8>,
        /// From then, included.
        from: Clock,
        /// Until then, not included; at or before `from` it is on the next day.
        until: Clock,
        /// Minutes by which the clock is ahead of UTC, -720 to 840. There is no daylight saving here: 60 is one hour all year.
        #[serde(default)]
        utc_offset_minutes: i16,
    },
}

impl Span {
    /// Whether `now` is within it.
    pub fn holds(&self, now: Timestamp) -> bool {
        match self {
            Self::Once { from, until } => *from <= now && now < *until,
            Self::Weekly {
                days,
                from,
                until,
                utc_offset_minutes,
            } => {
                let local = now.as_secs() + i64::from(*utc_offset_minutes) * 60;
                let minute = local.rem_euclid(86_400) / 60;
                let (from, until) = (i64::from(from.0), i64::from(until.0));
                let begins = |days_back: i64| {
                    // 1970-01-01 was a Thursday.
                    let day = (local.div_euclid(86_400) - days_back + 3).rem_euclid(7) + 1;
                    u8::try_from(day).is_ok_and(|day| days.contains(&day))
                };
                if from < until {
                    begins(0) && from <= minute && minute < until
                } else {
                    (begins(0) && from <= minute) || (begins(1) && minute < until)
                }
            }
        }
    }

    /// Why it is no span, in one line.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Once { from, until } if from >= until => {
                Err("`until`: must be after `from`".to_owned())
            }
            Self::Weekly { days, .. }
                if days.is_empty() || days.iter().any(|d| !(1..=7).contains(d)) =>
            {
                Err("`days`: are 1 (Monday) to 7 (Sunday), at least one".to_owned())
            }
            Self::Weekly {
                utc_offset_minutes: offset,
                ..
            } if !(-720..=840).contains(offset) => {
                Err("`utc_offset_minutes`: is -720 to 840".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// What a decision is told of a declared time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// Its name.
    pub name: Name,
    /// What it means.
    pub means: Means,
    /// When; within any of them it holds.
    pub spans: Vec<Span>,
}

impl Time {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.spans.iter().any(|span| span.holds(now))
    }
}

/// A change freeze or a time window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// When, and what that means.
    #[serde(flatten)]
    pub time: Time,
    /// Only for tools of systems in one of these environments; empty means any.
    pub environments: BTreeSet<Environment>,
    /// Only for tools of one of these systems; empty means any.
    pub systems: BTreeSet<SystemId>,
    /// Why, for people.
    pub reason: String,
    /// Whether it counts.
    pub enabled: bool,
    /// Who changed it last.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl Freeze {
    /// Whether it is about a system; a tool of no known system is in every freeze and in no window.
    pub fn is_about(&self, system: Option<(&SystemId, Environment)>) -> bool {
        match system {
            None => self.time.means == Means::Freeze,
            Some((id, environment)) => {
                (self.environments.is_empty() || self.environments.contains(&environment))
                    && (self.systems.is_empty() || self.systems.contains(id))
            }
        }
    }
}

impl Noun for Freeze {
    const KIND: Kind = Kind::Freeze;
    fn key(&self) -> String {
        self.time.name.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.time.name.to_string())
    }
    fn state(&self) -> &'static str {
        if self.enabled { "active" } else { "disabled" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn span(json: serde_json::Value) -> Span {
        serde_json::from_value(json).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_span_holds_from_its_start_and_not_at_its_end() {
        let once = span(
            json!({ "once": { "from": "2026-12-20T00:00:00Z", "until": "2027-01-04T00:00:00Z" } }),
        );
        assert!(!once.holds(at("2026-12-19T23:59:59Z")));
        assert!(once.holds(at("2026-12-20T00:00:00Z")));
        assert!(!once.holds(at("2027-01-04T00:00:00Z")));
    }

    #[test]
    fn a_night_goes_on_after_midnight_and_into_the_week() {
        // 2026-11-22 is a Sunday.
        let night = span(json!({ "weekly": { "days": [7], "from": "22:00", "until": "06:00" } }));
        assert!(night.holds(at("2026-11-22T22:00:00Z")));
        assert!(night.holds(at("2026-11-23T05:59:59Z")));
        assert!(!night.holds(at("2026-11-23T06:00:00Z")));
        assert!(!night.holds(at("2026-11-22T05:00:00Z")), "Saturday's night");
        let ahead = span(
            json!({ "weekly": { "days": [1], "from": "00:00", "until": "08:00", "utc_offset_minutes": 120 } }),
        );
        assert!(ahead.holds(at("2026-11-22T22:30:00Z")));
        assert!(!ahead.holds(at("2026-11-22T21:30:00Z")));
    }

    #[test]
    fn what_is_no_span_is_said() {
        for wrong in [
            json!({ "once": { "from": "2026-12-20T00:00:00Z", "until": "2026-12-20T00:00:00Z" } }),
            json!({ "weekly": { "days": [], "from": "00:00", "until": "08:00" } }),
            json!({ "weekly": { "days": [8], "from": "00:00", "until": "08:00" } }),
            json!({ "weekly": { "days": [1], "from": "00:00", "until": "08:00", "utc_offset_minutes": 900 } }),
        ] {
            assert!(span(wrong.clone()).check().is_err(), "{wrong}");
        }
        for wrong in ["24:00", "8:00", "08:60", "0800", "+8:00"] {
            assert!(wrong.parse::<Clock>().is_err(), "{wrong}");
        }
    }
}
