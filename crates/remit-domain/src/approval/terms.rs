//! An approval for a run: the same tool again, a counted number of times, with arguments that keep bounds. What is not bounded is
//! exactly as it was shown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Approval, ApprovalState, AskSet};
use crate::bounds::{ArgPath, Bounds};
use crate::tool::{Classification, Effect, ToolRef};
use crate::{RunId, Timestamp};

/// Most calls that one approval lets pass.
pub const RUN_COUNT_MAX: u32 = 100;
/// Longest that it holds, in seconds (8 hours), and shortest.
pub const RUN_SECS_MAX: u32 = 8 * 3_600;
const RUN_SECS_MIN: u32 = 60;
/// Most arguments that are bounded, and bounds of one.
const BOUNDED_MAX: usize = 32;
const BOUNDS_MAX: usize = 4;
/// Longest text of the bounds, in bytes.
const BOUNDS_BYTES_MAX: usize = 8 * 1024;

/// What people said yes to besides the call that they were shown. The people of a quorum say the same terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunTerms {
    /// How many calls, the one that was shown included; 1 to 100.
    pub count: u32,
    /// For how long, in seconds, from when the last yes was said; 60 to 28,800, and no longer than the run.
    pub secs: u32,
    /// What arguments may be. Those that are not named here are as they were shown.
    #[serde(default)]
    pub bounds: Bounds,
}

/// Why a call cannot be approved for its run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// A policy wants each call looked at.
    #[error(
        "policy {0} wants each call looked at (it says no `@standing`); approve this call once"
    )]
    EachAlone(String),
    /// What it does is too grave, or not known.
    #[error(
        "a {0} effect is approved call by call, whatever a policy says; approve this call once"
    )]
    Severe(&'static str),
    /// Out of range.
    #[error("`{name}` is {value}, and has to be from {min} to {max}")]
    Range {
        /// Which.
        name: &'static str,
        /// As it was given.
        value: u32,
        /// Least.
        min: u32,
        /// Most.
        max: u32,
    },
    /// More bounds than anybody reads.
    #[error(
        "at most {BOUNDED_MAX} arguments may be bounded, {BOUNDS_MAX} times each, in {BOUNDS_BYTES_MAX} bytes"
    )]
    TooMany,
    /// The call that was shown is outside.
    #[error("the call that is asked for is outside: {0}")]
    Outside(String),
}

/// Why an approval for a run does not let a call pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCovered {
    /// It is not for a run, or holds no more.
    #[error("it does not hold")]
    NotHeld,
    /// Another run or another tool.
    #[error("it is for something else")]
    Other,
    /// The tool is another one under the same name.
    #[error("the tool's definition has changed")]
    Definition,
    /// The tool does something else than when it was given.
    #[error("the tool's effect is one that is approved call by call")]
    Severe,
    /// The policies ask for something else.
    #[error("other policies ask for this call, or ask otherwise")]
    Asks,
    /// An argument is outside.
    #[error("{0}")]
    Bounds(String),
    /// An argument that may not vary does.
    #[error("argument {0} is not as it was approved")]
    Differs(String),
}

/// A call that comes later in the run.
#[derive(Debug, Clone, Copy)]
pub struct LaterCall<'a> {
    /// In which run.
    pub run: &'a RunId,
    /// Which tool.
    pub tool: &'a ToolRef,
    /// Hash of its definition.
    pub definition_hash: &'a str,
    /// What it does.
    pub classification: Option<&'a Classification>,
    /// Canonical arguments.
    pub args: &'a Value,
    /// What the live policies ask for it.
    pub asks: &'a AskSet,
}

/// Whether what a tool does cannot be taken back, spends, or gives rights. What nobody has classified is not known to be
/// harmless.
pub const fn is_severe(effect: Option<Effect>) -> bool {
    match effect {
        None => true,
        Some(effect) => matches!(
            effect,
            Effect::Destructive | Effect::Purchase | Effect::Privilege | Effect::Execute
        ),
    }
}

/// Whether a call reaches outside the organization: declared so, or by its effect.
fn leaves(classification: Option<&Classification>) -> bool {
    classification.is_some_and(|c| c.external || c.effect == Effect::External)
}

/// Whether a call may be approved for its run at all: every policy that asks says so, and what it does is not severe.
///
/// # Errors
/// [`TermsError`]: the policy, or the effect, that speaks against it.
pub fn may_stand(asks: &AskSet, classification: Option<&Classification>) -> Result<(), TermsError> {
    let effect = classification.map(|c| c.effect);
    if is_severe(effect) {
        return Err(TermsError::Severe(effect.map_or("unknown", Effect::as_str)));
    }
    // What leaves is seen by somebody each time.
    if leaves(classification) {
        return Err(TermsError::Severe(Effect::External.as_str()));
    }
    match asks.iter().find(|ask| !ask.standing) {
        Some(ask) => Err(TermsError::EachAlone(ask.policy.clone())),
        None => Ok(()),
    }
}

impl RunTerms {
    /// Whether these terms can be said yes to, for a call with these arguments.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn check(&self, args: &Value) -> Result<(), TermsError> {
        let range = |name, value, min, max| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(TermsError::Range {
                    name,
                    value,
                    min,
                    max,
                })
            }
        };
        range("count", self.count, 1, RUN_COUNT_MAX)?;
        range("secs", self.secs, RUN_SECS_MIN, RUN_SECS_MAX)?;
        let bytes = serde_json::to_string(&self.bounds).map_or(usize::MAX, |text| text.len());
        let many = |bounds: &Vec<_>| bounds.is_empty() || bounds.len() > BOUNDS_MAX;
        if self.bounds.0.len() > BOUNDED_MAX
            || self.bounds.0.values().any(many)
            || bytes > BOUNDS_BYTES_MAX
        {
            return Err(TermsError::TooMany);
        }
        match self.bounds.breaches(args).first() {
            Some(breach) => Err(TermsError::Outside(breach.to_string())),
            None => Ok(()),
        }
    }

    /// In words: how often, how long, and what may vary.
    pub fn in_words(&self) -> String {
        let mut text = format!("{} calls within {} s", self.count, self.secs);
        for (path, bounds) in &self.bounds.0 {
            let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
            text.push_str(&format!("; {path} {}", bounds.join(", and ")));
        }
        text.push_str("; every other argument exactly as shown");
        text
    }
}

impl Approval {
    /// Whether this approval, given for a run, lets another call of it pass at `now`. How many it has let pass is counted by
    /// the store.
    ///
    /// # Errors
    /// [`NotCovered`]: the first thing that speaks against it.
    pub fn covers(&self, call: &LaterCall<'_>, now: Timestamp) -> Result<(), NotCovered> {
        let Some(terms) = self.for_run.as_ref() else {
            return Err(NotCovered::NotHeld);
        };
        if self.state != ApprovalState::Approved || now >= self.expires {
            return Err(NotCovered::NotHeld);
        }
        if self.run != *call.run || self.tool != *call.tool {
            return Err(NotCovered::Other);
        }
        if self.definition_hash != call.definition_hash {
            return Err(NotCovered::Definition);
        }
        if is_severe(call.classification.map(|c| c.effect)) || leaves(call.classification) {
            return Err(NotCovered::Severe);
        }
        if self.asks != *call.asks || may_stand(call.asks, call.classification).is_err() {
            return Err(NotCovered::Asks);
        }
        if let Some(breach) = terms.bounds.breaches(call.args).first() {
            return Err(NotCovered::Bounds(breach.to_string()));
        }
        let paths: Vec<&ArgPath> = terms.bounds.0.keys().collect();
        match differs(&without(&self.args, &paths), &without(call.args, &paths)) {
            Some(name) => Err(NotCovered::Differs(name)),
            None => Ok(()),
        }
    }
}

/// The arguments that are not bounded.
fn without(args: &Value, paths: &[&ArgPath]) -> Value {
    let mut left = args.clone();
    for path in paths {
        let (above, last) = match path.as_str().rsplit_once('.') {
            Some((above, last)) => (above.split('.').collect(), last),
            None => (Vec::new(), path.as_str()),
        };
        let holder = above
            .into_iter()
            .try_fold(&mut left, |at, member| at.as_object_mut()?.get_mut(member));
        if let Some(Value::Object(members)) = holder {
            members.remove(last);
        }
    }
    left
}

/// The first argument that is not the same in both.
fn differs(approved: &Value, args: &Value) -> Option<String> {
    if approved == args {
        return None;
    }
    let none = Map::new();
    let approved = approved.as_object().unwrap_or(&none);
    let args = args.as_object().unwrap_or(&none);
    let names = approved.keys().chain(args.keys());
    let mut other = names.filter(|name| approved.get(*name) != args.get(*name));
    let name = other.next().map_or("list", String::as_str);
    Some(name.chars().take(80).collect())
}

#[cfg(test)]
mod tests;
