//! Systems.

use remit_domain::Registry;
use remit_domain::attestation::Trust;
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
    /// How well whoever calls has to have proved what it is: `none`, `key` (it holds a registered key), `attested` (an attester saw
    /// the registered binary run). Where it is not said, a critical system asks for `attested`, and any other for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
}

impl SystemSpec {
    /// As it is now; none when its owner is not known.
    pub fn of(registry: &Registry, system: &System) -> Option<Self> {
        let owner = registry.people.get(&system.owner)?.email.clone();
        Some(Self {
            owner,
            environment: system.environment,
            criticality: system.criticality,
            trust: system.trust,
        })
    }
}

impl References for SystemSpec {
    fn references(&self) -> Vec<Reference> {
        vec![Reference::person("owner", &self.owner)]
    }
}
