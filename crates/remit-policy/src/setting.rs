//! Settings in a decision: what denies, what is owed, what is taken.

use remit_domain::setting::{Level, Rule, Transform, Value, denying, in_force};
use serde::{Deserialize, Serialize};

use crate::breaches::Findings;
use crate::facts::Facts;
use crate::reserve::Reservation;

pub(crate) const SETTING_DENIED: &str = "setting-denied";

/// What whoever lets the call through owes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Obligation {
    /// A finding is opened.
    Flag {
        /// The setting that says so.
        setting: String,
        /// How specific it is.
        level: Level,
    },
    /// Arguments were masked before the call was decided; fields of its result are before anybody sees it.
    Transform {
        /// The setting that says so.
        setting: String,
        /// How specific it is.
        level: Level,
        /// What is masked or left out.
        transform: Transform,
    },
}

/// What the settings about the call come to.
pub(crate) fn apply(facts: Facts<'_>, out: &mut Findings) {
    let rules = &facts.fixed.settings;
    if rules.is_empty() {
        return;
    }
    if let Some(Rule { id, level, .. }) = denying(rules) {
        let text = format!("setting {id} (level {}) denies it", level.as_str());
        out.add(SETTING_DENIED, text);
    }
    for rule in in_force(rules) {
        let (setting, level) = (rule.id.clone(), rule.level);
        match &rule.value {
            Value::Flag => out.obligations.push(Obligation::Flag { setting, level }),
            Value::Transform(transform) => out.obligations.push(Obligation::Transform {
                setting,
                level,
                transform: transform.clone(),
            }),
            Value::Allow | Value::Deny | Value::Rate { .. } => {}
        }
    }
}

/// What the rates about the call take: each counts for everything of one sponsor together.
pub(crate) fn rates(facts: Facts<'_>) -> Vec<Reservation> {
    let rate = |rule: &Rule| {
        let Value::Rate { calls, per } = &rule.value else {
            return None;
        };
        let key = format!(
            "setting:{}|sponsor:{}|calls",
            rule.id, facts.fixed.agent.sponsor
        );
        let (max, now) = (i64::from(*calls), facts.dynamic.now);
        let of = format!("setting {} (level {})", rule.id, rule.level.as_str());
        Some(Reservation::sliding(&key, 1, max, per.secs(), now).of(of))
    };
    in_force(&facts.fixed.settings).filter_map(rate).collect()
}
