//! Cumulative limits of grants: which counters a call takes from, and how much.
//!
//! A counter belongs to the tool and to what it counts over, not to the grant or the agent: two agents of one sponsor
//! share a day's budget, and a tree of runs shares the budget of its run, so that neither a second grant nor a
//! sub-agent starts again from nothing.

use remit_domain::Timestamp;
use remit_domain::bounds::{Cumulative, Decimal, Span};
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
}

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
        Cumulative::Count { max, .. } => Ok(Reservation {
            key: format!("{over}|{tool}|count"),
            amount: 1,
            max: i64::from(*max),
            until,
        }),
        Cumulative::Sum { arg, max, by, .. } => {
            let value = arg
                .find(&dynamic.args)
                .ok_or_else(|| format!("argument {arg}, which is counted, is missing"))?;
            let amount = Decimal::from_json(value)
                .map_err(|e| format!("argument {arg} cannot be counted: {e}"))?
                .units();
            if amount < 0 {
                return Err(format!("argument {arg} is counted and must be at least 0"));
            }
            let by = match by {
                None => String::new(),
                Some(path) => {
                    let value = path
                        .find(&dynamic.args)
                        .ok_or_else(|| format!("argument {path}, counted by, is missing"))?;
                    format!("|by:{path}={}", address(value)?)
                }
            };
            Ok(Reservation {
                key: format!("{over}|{tool}|sum:{arg}{by}"),
                amount,
                max: max.units(),
                until,
            })
        }
    }
}

/// Values may be personal, and a key is kept in clear: it holds a digest of the value.
fn address(value: &Value) -> Result<String, String> {
    crate::digest::canonical(value).map_err(|e| e.to_string())
}
