//! Settings: what an organization makes of calls at five levels, from the whole organization to one person with one tool.
//!
//! The most specific one wins over wider ones, unless a wider one is locked: that one holds too. Rates hold at every level.
//! A setting never permits anything: `allow` only lifts a wider setting's deny.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bounds::ArgPath;
use crate::name::Name;
use crate::run::Mode;
use crate::tool::ToolRef;
use crate::{Kind, Noun, PersonId, Principal, Timestamp};

/// Most calls that a rate may name.
pub const RATE_CALLS_MAX: u32 = 1_000_000;
/// Most paths that a transformation may name, arguments and result fields together.
pub const PATHS_MAX: usize = 32;

/// How specific a setting is, from wide to narrow.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every call.
    Organization,
    /// Calls of runs of one mode.
    Mode,
    /// Calls of one tool.
    Tool,
    /// Calls for one person.
    Person,
    /// Calls of one tool for one person.
    PersonTool,
}

impl Level {
    /// The level as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Mode => "mode",
            Self::Tool => "tool",
            Self::Person => "person",
            Self::PersonTool => "person_tool",
        }
    }
}

/// Which calls a setting is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "snake_case")]
pub enum Scope {
    /// Every call.
    Organization,
    /// Calls of runs of one mode.
    Mode {
        /// Which mode.
        mode: Mode,
    },
    /// Calls of one tool.
    Tool {
        /// Which tool.
        tool: ToolRef,
    },
    /// Calls for one person.
    Person {
        /// Which person.
        person: PersonId,
    },
    /// Calls of one tool for one person.
    PersonTool {
        /// Which person.
        person: PersonId,
        /// Which tool.
        tool: ToolRef,
    },
}

impl Scope {
    /// How specific it is.
    pub const fn level(&self) -> Level {
        match self {
            Self::Organization => Level::Organization,
            Self::Mode { .. } => Level::Mode,
            Self::Tool { .. } => Level::Tool,
            Self::Person { .. } => Level::Person,
            Self::PersonTool { .. } => Level::PersonTool,
        }
    }

    /// The person it is about, where it is about one.
    pub const fn person(&self) -> Option<&PersonId> {
        match self {
            Self::Person { person } | Self::PersonTool { person, .. } => Some(person),
            _ => None,
        }
    }

    /// Its key: `organization`, `mode:background`, `tool:orders/refund`, `person:per_…`, `person:per_…/tool:orders/refund`.
    pub fn key(&self) -> String {
        match self {
            Self::Organization => "organization".to_owned(),
            Self::Mode { mode } => format!("mode:{}", mode.as_str()),
            Self::Tool { tool } => format!("tool:{tool}"),
            Self::Person { person } => format!("person:{person}"),
            Self::PersonTool { person, tool } => format!("person:{person}/tool:{tool}"),
        }
    }

    /// The scopes of one call, from wide to narrow. The person is the one the agent acts for, where there is one.
    pub fn of_call(mode: Mode, tool: &ToolRef, person: Option<&PersonId>) -> Vec<Self> {
        let mut scopes = vec![
            Self::Organization,
            Self::Mode { mode },
            Self::Tool { tool: tool.clone() },
        ];
        if let Some(person) = person {
            scopes.push(Self::Person {
                person: person.clone(),
            });
            scopes.push(Self::PersonTool {
                person: person.clone(),
                tool: tool.clone(),
            });
        }
        scopes
    }
}

/// The window of a rate: it slides.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
}

impl Window {
    /// The window as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Its length, in seconds.
    pub const fn secs(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// What becomes of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Masking {
    /// Text becomes `[masked]`, anything else null.
    Mask,
    /// The member is left out.
    Redact,
}

/// What is masked or left out of a call, and of its result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// Arguments, by path: before anything is decided, so that what is decided is what is sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<ArgPath, Masking>,
    /// Fields of the result's structured content, by path: before the agent sees it. Elements of a list are each looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub result: BTreeMap<ArgPath, Masking>,
    /// Classes of content, such as `payment-card`: covered wherever they are found in the result, before the agent sees it. What
    /// cannot be looked into is withheld then. Source: `docs/reference/classifiers.md`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<Name, Masking>,
}

/// What a setting does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Lifts the deny of a wider setting that is not locked; permits nothing.
    Allow,
    /// Goes on, is written into the decision and opens a finding.
    Flag,
    /// Denies.
    Deny,
    /// At most so many calls in any window of that length, by everything of one sponsor together.
    Rate {
        /// Most calls.
        calls: u32,
        /// In which time.
        per: Window,
    },
    /// Masks or leaves out arguments and result fields.
    Transform(Transform),
}

impl Value {
    /// The value as its stable word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Flag => "flag",
            Self::Deny => "deny",
            Self::Rate { .. } => "rate",
            Self::Transform(_) => "transform",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Which calls it is about; there is one setting for each scope.
    pub scope: Scope,
    /// What it does.
    pub value: Value,
    /// Whether nothing narrower takes it away.
    pub locked: bool,
    /// Why, for people.
    pub reason: String,
    /// Whether it counts; one that was removed does not.
    pub enabled: bool,
    /// Who changed it last.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl Setting {
    /// What a decision is told of it.
    pub fn rule(&self) -> Rule {
        Rule {
            id: self.scope.key(),
            level: self.scope.level(),
            value: self.value.clone(),
            locked: self.locked,
        }
    }
}

impl Noun for Setting {
    const KIND: Kind = Kind::Setting;
    fn key(&self) -> String {
        self.scope.key()
    }
    fn parent(&self) -> Option<String> {
        self.scope.person().map(ToString::to_string)
    }
    fn state(&self) -> &'static str {
        if self.enabled { "active" } else { "removed" }
    }
}

/// A setting that is about a call, as its decision sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The setting's key.
    pub id: String,
    /// How specific it is.
    pub level: Level,
    /// What it does.
    pub value: Value,
    /// Whether nothing narrower takes it away.
    pub locked: bool,
}

/// Why a rule holds, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is the most specific one.
    MostSpecific,
    /// It is locked.
    Locked,
    /// It is a rate, and all rates hold.
    Rate,
    /// A more specific one takes its place.
    Overridden,
}

impl Standing {
    /// Whether the rule holds.
    pub const fn holds(self) -> bool {
        !matches!(self, Self::Overridden)
    }
}

/// Which of the rules about one call hold, and why; in the order of `rules`, of which each level has at most one.
pub fn standings(rules: &[Rule]) -> impl Iterator<Item = (&Rule, Standing)> {
    let narrowest = rules.iter().map(|r| r.level).max();
    let standing = move |rule: &Rule| {
        if Some(rule.level) == narrowest {
            Standing::MostSpecific
        } else if rule.locked {
            Standing::Locked
        } else if matches!(rule.value, Value::Rate { .. }) {
            Standing::Rate
        } else {
            Standing::Overridden
        }
    };
    rules.iter().map(move |rule| (rule, standing(rule)))
}

/// The rules about one call that hold.
pub fn in_force(rules: &[Rule]) -> impl Iterator<Item = &Rule> {
    standings(rules)
        .filter(|(_, standing)| standing.holds())
        .map(|(rule, _)| rule)
}

/// The rule that denies the call: of several the widest, since lifting a narrower one would not help.
pub fn denying(rules: &[Rule]) -> Option<&Rule> {
    in_force(rules)
        .filter(|r| r.value == Value::Deny)
        .min_by_key(|r| r.level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(level: Level, value: Value, locked: bool) -> Rule {
        Rule {
            id: level.as_str().to_owned(),
            level,
            value,
            locked,
        }
    }

    const LEVELS: [Level; 5] = [
        Level::Organization,
        Level::Mode,
        Level::Tool,
        Level::Person,
        Level::PersonTool,
    ];

    prop_compose! {
        fn any_rules()(cells in prop::collection::vec(prop::option::of((0_u8..5, any::<bool>())), 5)) -> Vec<Rule> {
            let value = |n| match n {
                0 => Value::Allow,
                1 => Value::Flag,
                2 => Value::Deny,
                3 => Value::Rate { calls: 5, per: Window::Minute },
                _ => Value::Transform(Transform::default()),
            };
            let cells = LEVELS.into_iter().zip(cells);
            cells.filter_map(|(level, cell)| cell.map(|(n, locked)| rule(level, value(n), locked))).collect()
        }
    }

    proptest! {
        #[test]
        fn a_call_is_denied_by_the_narrowest_rule_or_by_a_locked_one(rules in any_rules()) {
            let narrowest = rules.last().is_some_and(|r| r.value == Value::Deny);
            let locked = rules.iter().any(|r| r.locked && r.value == Value::Deny);
            prop_assert_eq!(denying(&rules).is_some(), narrowest || locked);
        }

        #[test]
        fn nothing_narrower_takes_a_locked_rule_away(rules in any_rules(), level in 0_usize..5, deny in any::<bool>()) {
            let value = if deny { Value::Deny } else { Value::Flag };
            let locked = rule(LEVELS[level], value, true);
            let mut with: Vec<Rule> = rules.into_iter().filter(|r| r.level != locked.level).collect();
            with.push(locked.clone());
            with.sort_by_key(|r| r.level);
            prop_assert!(in_force(&with).any(|r| *r == locked));
            prop_assert!(!deny || denying(&with).is_some());
        }

        #[test]
        fn an_allow_denies_nothing_and_every_rate_holds(rules in any_rules()) {
            let rates = rules.iter().filter(|r| matches!(r.value, Value::Rate { .. })).count();
            prop_assert_eq!(in_force(&rules).filter(|r| matches!(r.value, Value::Rate { .. })).count(), rates);
            let allows: Vec<Rule> = rules.iter().map(|r| Rule { value: Value::Allow, ..r.clone() }).collect();
            prop_assert!(denying(&allows).is_none());
        }

        #[test]
        fn the_order_in_which_rules_are_read_is_irrelevant(rules in any_rules()) {
            let mut other = rules.clone();
            other.reverse();
            let mut a: Vec<_> = in_force(&rules).map(|r| r.id.clone()).collect();
            let mut b: Vec<_> = in_force(&other).map(|r| r.id.clone()).collect();
            a.sort();
            b.sort();
            prop_assert_eq!(a, b);
            prop_assert_eq!(denying(&rules), denying(&other));
        }
    }

    #[test]
    fn allow_lifts_a_wider_deny_unless_that_is_locked() {
        let deny = |locked| rule(Level::Organization, Value::Deny, locked);
        let allow = rule(Level::PersonTool, Value::Allow, false);
        assert!(denying(&[deny(false), allow.clone()]).is_none());
        let rules = [deny(true), allow];
        assert_eq!(denying(&rules).unwrap().level, Level::Organization);
    }
}
