//! Cumulative limits of grants: which counters a call takes from, and how much.
//!
//! A counter belongs to the tool and to what it counts over, not to the grant or the agent: two agents of one sponsor
//! share a day's budget, and a tree of runs shares the budget of its run, so that neither a second grant nor a
//! sub-agent starts again from nothing.

use remit_domain::Timestamp;
use remit_domain::bounds::{ArgPath, Cumulative, Decimal, Span};
use remit_domain::limit::Measure;
use remit_domain::limits::RUN_SECS_MAX;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::facts::Facts;

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
    /// Counters whose use counts besides its own: the earlier slots of a sliding window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Whether it is given back when the call ends, whatever came of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Whose it is, for people: `limit NAME` or `setting ID`; none for a limit of the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What is counted in the result, where that shows how much was really used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
}

impl Reservation {
    /// A reservation on a counter of its own, given back only on a proved failure.
    pub(crate) fn new(key: String, amount: i64, max: i64, until: Timestamp) -> Self {
        Self {
            key,
            amount,
            max,
            until,
            also: Vec::new(),
            held: false,
            of: None,
            measure: None,
        }
    }

    /// The same over a window that slides: counted in tenths of it, with every tenth that the window still touches. Never
    /// more than `max` fall into any window of that length; up to a tenth of it longer, a call may still be refused.
    pub(crate) fn sliding(key: &str, amount: i64, max: i64, secs: i64, now: Timestamp) -> Self {
        let slot_secs = (secs / SLOTS).max(1);
        let slot = now.as_secs().div_euclid(slot_secs);
        let of = format!("{key}|slot:{slot_secs}:");
        let named = |n: i64| of.clone() + &n.to_string();
        let until = Timestamp::from_secs((slot + SLOTS + 2).saturating_mul(slot_secs));
        Self {
            // The next one too: a node whose clock is ahead may have counted there already.
            also: (-1..=SLOTS)
                .filter(|back| *back != 0)
                .map(|back| named(slot - back))
                .collect(),
            ..Self::new(named(slot), amount, max, until)
        }
    }

    /// Says whose it is.
    pub(crate) fn of(self, of: String) -> Self {
        Self {
            of: Some(of),
            ..self
        }
    }

    /// What stands against it when `used` is used already, in one line.
    pub(crate) fn breach(&self, used: i64) -> Option<String> {
        let fits = used
            .checked_add(self.amount)
            .is_some_and(|sum| sum <= self.max);
        if fits {
            return None;
        }
        let shown = |n: i64| self.measure_of(n);
        let of = self
            .of
            .as_ref()
            .map_or_else(String::new, |of| format!("{of}: "));
        Some(format!(
            "{of}{} of {} used, this call takes {}",
            shown(used),
            shown(self.max),
            shown(self.amount)
        ))
    }

    fn measure_of(&self, units: i64) -> String {
        // A sum counts in ten-thousandths, which nobody reads.
        if self.key.contains("|sum:") {
            Decimal::from_units(units).to_string()
        } else {
            units.to_string()
        }
    }
}

/// Slots of a sliding window. A call counts with those of the slot it falls into and of as many before it.
pub const SLOTS: i64 = 10;

/// What `limit` takes for this call.
///
/// # Errors
/// One line when an argument that is counted is missing, no number, or below zero.
pub(crate) fn reservation(facts: Facts<'_>, limit: &Cumulative) -> Result<Reservation, String> {
    let Facts { fixed, dynamic } = facts;
    let span = match limit {
        Cumulative::Count { per, .. } | Cumulative::Sum { per, .. } => *per,
    };
    let (over, until) = match span {
        Span::Run => (
            format!("run:{}", fixed.run.root),
            dynamic.now.plus_secs(RUN_SECS_MAX),
        ),
        Span::Day => {
            let day = dynamic.now.day_start();
            (
                format!(
                    "sponsor:{}|day:{}",
                    fixed.agent.sponsor,
                    day.as_secs().div_euclid(86_400)
                ),
                day.plus_secs(86_400),
            )
        }
    };
    let tool = &fixed.tool.tool;
    match limit {
        Cumulative::Count { max, .. } => {
            let key = format!("{over}|{tool}|count");
            Ok(Reservation::new(key, 1, i64::from(*max), until))
        }
        Cumulative::Sum { arg, max, by, .. } => {
            let amount = amount(facts, arg)?;
            let by = by_value(facts, by.as_ref())?;
            let key = format!("{over}|{tool}|sum:{arg}{by}");
            Ok(Reservation::new(key, amount, max.units(), until))
        }
    }
}

/// How much of an argument is counted, in ten-thousandths.
pub(crate) fn amount(facts: Facts<'_>, arg: &ArgPath) -> Result<i64, String> {
    let value = arg
        .find(&facts.dynamic.args)
        .ok_or_else(|| format!("argument {arg}, which is counted, is missing"))?;
    let amount = Decimal::from_json(value)
        .map_err(|e| format!("argument {arg} cannot be counted: {e}"))?
        .units();
    if amount < 0 {
        return Err(format!("argument {arg} is counted and must be at least 0"));
    }
    Ok(amount)
}

/// The part of a counter's key that keeps the values of an argument apart.
pub(crate) fn by_value(facts: Facts<'_>, by: Option<&ArgPath>) -> Result<String, String> {
    let Some(path) = by else {
        return Ok(String::new());
    };
    let value = path
        .find(&facts.dynamic.args)
        .ok_or_else(|| format!("argument {path}, counted by, is missing"))?;
    Ok(format!("|by:{path}={}", address(value)?))
}

/// Values may be personal, and a key is kept in clear: it holds a digest of the value.
fn address(value: &Value) -> Result<String, String> {
    crate::digest::canonical(value).map_err(|e| e.to_string())
}
