//! Systems.

use remit_domain::Registry;
use remit_domain::name::Email;
use remit_domain::system::{Criticality, Environment, System};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::any::{Reference, References};

/// A system that upstreams belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemSpec {
    /// Address of who answers for it.
    pub owner: Email,
    /// Where it runs.
    pub environment: Environment,
    /// How much harm misuse does.
    pub criticality: Criticality,
}

impl SystemSpec {
    /// As it is now; none when its owner is not known.
    pub fn of(registry: &Registry, system: &System) -> Option<Self> {
        let owner = registry.people.get(&system.owner)?.email.clone();
        Some(Self {
            owner,
            environment: system.environment,
            criticality: system.criticality,
        })
    }
}

impl References for SystemSpec {
    fn references(&self) -> Vec<Reference> {
        vec![Reference::person("owner", &self.owner)]
    }
}
