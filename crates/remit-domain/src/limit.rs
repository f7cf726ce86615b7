//! Limits: how much may be done in a time, by whom together.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::bounds::{ArgPath, Decimal};
use crate::run::Mode;
use crate::tool::{Effect, ToolRef};
use crate::{AgentId, Kind, Noun, PersonId, Principal, Timestamp, WorkflowId, name::Name};

/// Most limits of one organization: each that fits is looked at on every call.
pub const LIMITS_MAX: usize = 200;
/// Most rows or tokens that one call may reserve.
pub const EACH_MAX: u32 = 10_000_000;

/// What a limit counts.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Measure {
    /// Calls that were let through.
    Calls,
    /// Calls under way at the same time.
    Concurrent,
    /// Values of one argument, which must be a number of at least zero: money, mostly.
    Sum {
        /// Which argument.
        arg: ArgPath,
    },
    /// Rows of results.
    Rows {
        /// Which list of the result's structured content holds the rows; where absent, lines of its text are counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<ArgPath>,
        /// Most rows that one call may bring: they are reserved when it is decided, and a result that holds more is withheld.
        each: u32,
    },
    /// Tokens of results, taken as one for every four bytes of their JSON text, rounded up.
    Tokens {
        /// Most tokens that one call may bring: they are reserved when it is decided, and a result that holds more is
        /// withheld.
        each: u32,
    },
}

impl Measure {
    /// The measure as its stable word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Concurrent => "concurrent",
            Self::Sum { .. } => "sum",
            Self::Rows { .. } => "rows",
            Self::Tokens { .. } => "tokens",
        }
    }

    /// Whether it counts in ten-thousandths, as sums do, rather than in ones.
    pub const fn is_decimal(&self) -> bool {
        matches!(self, Self::Sum { .. })
    }

    /// A number of units in words people read.
    pub fn shown(&self, units: i64) -> String {
        if self.is_decimal() {
            Decimal::from_units(units).to_string()
        } else {
            units.to_string()
        }
    }
}

/// Over what time a limit counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Any 60 seconds.
    Minute,
    /// Any 3,600 seconds.
    Hour,
    /// One UTC day.
    Day,
    /// One calendar month, UTC: what budgets and invoices count by.
    Month,
    /// The whole tree of runs below one root run.
    Run,
}

impl Over {
    /// The time as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Run => "run",
        }
    }
}

/// Whose use is counted together.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Everybody's.
    Organization,
    /// That of every agent of one sponsor, sub-agents included.
    #[default]
    Sponsor,
    /// What is done for one person; where there is none, for the agent's sponsor.
    Person,
    /// One agent's, with what its sub-agents do for it.
    Agent,
    /// One workflow's.
    Workflow,
    /// That of one tree of runs.
    Run,
    /// One tool's, by everybody.
    Tool,
}

impl Per {
    /// Whose, as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Sponsor => "sponsor",
            Self::Person => "person",
            Self::Agent => "agent",
            Self::Workflow => "workflow",
            Self::Run => "run",
            Self::Tool => "tool",
        }
    }
}

/// Which calls a limit is about: all that fit every member that is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Of this agent, or of one that acts for it.
    pub agent: Option<AgentId>,
    /// Of this workflow.
    pub workflow: Option<WorkflowId>,
    /// Of this tool.
    pub tool: Option<ToolRef>,
    /// For this person.
    pub person: Option<PersonId>,
    /// Of runs of this mode.
    pub mode: Option<Mode>,
    /// Of tools of one of these effects; empty means any.
    pub effects: BTreeSet<Effect>,
}

/// One call, as a limit sees it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The agent, and every agent it acts for.
    pub agents: &'a [AgentId],
    /// The workflow.
    pub workflow: &'a WorkflowId,
    /// The tool.
    pub tool: &'a ToolRef,
    /// The person at the root of the chain.
    pub person: Option<&'a PersonId>,
    /// The run's mode.
    pub mode: Mode,
    /// The tool's declared effect; an unclassified tool has none, and fits every effect.
    pub effect: Option<Effect>,
}

impl Match {
    /// Whether a call fits.
    pub fn fits(&self, call: Subject<'_>) -> bool {
        self.agent.as_ref().is_none_or(|a| call.agents.contains(a))
            && self.workflow.as_ref().is_none_or(|w| w == call.workflow)
            && self.tool.as_ref().is_none_or(|t| t == call.tool)
            && self.person.as_ref().is_none_or(|p| Some(p) == call.person)
            && self.mode.is_none_or(|m| m == call.mode)
            && (self.effects.is_empty() || call.effect.is_none_or(|e| self.effects.contains(&e)))
    }
}

/// How much, counted how; what a decision is told of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The limit's name.
    pub name: Name,
    /// What is counted.
    pub measure: Measure,
    /// The most; whole for everything but sums.
    pub max: Decimal,
    /// Over what time; for calls at the same time this says nothing.
    pub over: Over,
    /// Whose use is counted together.
    pub per: Per,
    /// Count apart for each value of this argument (refunds a day *per customer*).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ArgPath>,
}

impl Quota {
    /// The most, in the units of the measure: ten-thousandths for sums, ones for everything else.
    pub const fn max_units(&self) -> i64 {
        if self.measure.is_decimal() {
            self.max.units()
        } else {
            self.max.units().div_euclid(10_000)
        }
    }

    /// Why it cannot be a limit, in one line.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self, which: &Match) -> Result<(), String> {
        if self.max.units() < 0 {
            return Err("`max`: is below 0".to_owned());
        }
        if !self.measure.is_decimal() && self.max.units() % 10_000 != 0 {
            return Err("`max`: is not whole; only sums have fractions".to_owned());
        }
        if matches!(self.measure, Measure::Sum { .. }) && which.tool.is_none() {
            return Err("`tool`: a sum is of one tool's argument; name the tool".to_owned());
        }
        if self.by.is_some() && which.tool.is_none() {
            return Err("`by`: is an argument of one tool; name the tool".to_owned());
        }
        match self.measure {
            Measure::Rows { each, .. } | Measure::Tokens { each }
                if each == 0 || each > EACH_MAX =>
            {
                Err(format!("`each`: must be 1 to {EACH_MAX}"))
            }
            _ => Ok(()),
        }
    }
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// How much, counted how.
    #[serde(flatten)]
    pub quota: Quota,
    /// Which calls it is about.
    pub which: Match,
    /// Why, for people.
    pub reason: String,
    /// Whether it counts.
    pub enabled: bool,
    /// Who changed it last.
    pub by_whom: Principal,
    /// When.
    pub at: Timestamp,
}

impl Noun for Limit {
    const KIND: Kind = Kind::Limit;
    fn key(&self) -> String {
        self.quota.name.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.quota.name.to_string())
    }
    fn state(&self) -> &'static str {
        if self.enabled { "active" } else { "disabled" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn quota(json: serde_json::Value) -> Quota {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_sum_needs_its_tool_and_a_count_is_whole() {
        let sum = quota(
            json!({ "name": "a", "measure": { "sum": { "arg": "amount" } }, "max": "500.5", "over": "day", "per": "sponsor" }),
        );
        assert!(sum.check(&Match::default()).is_err());
        let with = Match {
            tool: Some("orders/refund".parse().unwrap()),
            ..Match::default()
        };
        sum.check(&with).unwrap();
        assert_eq!(sum.max_units(), 5_005_000);
        let half = quota(
            json!({ "name": "a", "measure": "calls", "max": "1.5", "over": "day", "per": "sponsor" }),
        );
        assert!(half.check(&with).is_err());
        let count = quota(
            json!({ "name": "a", "measure": "calls", "max": 3, "over": "day", "per": "sponsor" }),
        );
        assert_eq!(count.max_units(), 3);
    }

    #[test]
    fn a_limit_of_an_agent_is_about_those_that_act_for_it_too() {
        let id = |n| AgentId::from_uuid(uuid::Uuid::from_u128(n));
        let which = Match {
            agent: Some(id(1)),
            ..Match::default()
        };
        let tool = "orders/refund".parse().unwrap();
        let workflow = WorkflowId::from_uuid(uuid::Uuid::nil());
        let call = |agents| Subject {
            agents,
            workflow: &workflow,
            tool: &tool,
            person: None,
            mode: Mode::Subagent,
            effect: None,
        };
        let (acting_for_it, other) = ([id(2), id(1)], [id(2)]);
        assert!(which.fits(call(&acting_for_it)));
        assert!(!which.fits(call(&other)));
    }
}
