//! Change freezes and time windows.

use std::collections::BTreeSet;

use remit_domain::Registry;
use remit_domain::freeze::{Freeze, Means, Span};
use remit_domain::name::Name;
use remit_domain::system::Environment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::any::{Reference, References};

/// A change freeze or a time window: a time that policies may look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeSpec {
    /// What it means.
    #[serde(default = "freeze")]
    pub means: Means,
    /// When; within any of them it holds.
    pub spans: Vec<Span>,
    /// Only for tools of systems in these environments; all where empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub environments: BTreeSet<Environment>,
    /// Only for tools of these systems; all where empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub systems: BTreeSet<Name>,
    /// Why, for people.
    pub reason: String,
    /// Whether it counts.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

fn freeze() -> Means {
    Means::Freeze
}

impl FreezeSpec {
    /// As it is now; none when a system it names is not known any more.
    pub fn of(registry: &Registry, freeze: &Freeze) -> Option<Self> {
        let name = |id| registry.systems.get(id).map(|s| s.name.clone());
        Some(Self {
            means: freeze.time.means,
            spans: freeze.time.spans.clone(),
            environments: freeze.environments.clone(),
            systems: freeze.systems.iter().map(name).collect::<Option<_>>()?,
            reason: freeze.reason.clone(),
            enabled: freeze.enabled,
        })
    }
}

impl References for FreezeSpec {
    fn references(&self) -> Vec<Reference> {
        let systems = self.systems.iter();
        systems.map(|s| Reference::system("systems", s)).collect()
    }
}
