//! Policy sets: Cedar text an organization adds on top of the guardrails.

use serde::{Deserialize, Serialize};

use crate::{Kind, Noun, Principal, Timestamp, name::Name};

/// Largest policy set, in bytes.
pub const POLICY_BYTES_MAX: usize = 256 * 1_024;

/// One named set of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySet {
    /// Its name.
    pub name: Name,
    /// Cedar text.
    pub text: String,
    /// Whether it counts.
    pub enabled: bool,
    /// Who changed it last.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl Noun for PolicySet {
    const KIND: Kind = Kind::PolicySet;
    fn key(&self) -> String {
        self.name.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
    fn state(&self) -> &'static str {
        if self.enabled { "active" } else { "disabled" }
    }
}
