//! Policy sets.

use remit_domain::policy_set::PolicySet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A policy set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySetSpec {
    /// Cedar text, at most 256 KiB.
    pub text: String,
    /// Whether it counts.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

impl PolicySetSpec {
    /// As it is now.
    pub fn of(set: &PolicySet) -> Self {
        Self {
            text: set.text.clone(),
            enabled: set.enabled,
        }
    }
}
