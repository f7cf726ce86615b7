//! Upstreams.

use remit_domain::name::Name;
use remit_domain::upstream::{Injection, Transport};
use remit_domain::{Registry, Upstream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::any::{Reference, References};

/// A governed server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSpec {
    /// The system it belongs to.
    pub system: Name,
    /// How it is reached.
    pub transport: Transport,
    /// Where the secret it needs is kept, and how it is put into a call; never the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Injection>,
    /// Whether one process or session may serve several runs.
    #[serde(default)]
    pub stateless: bool,
    /// Whether it is in use.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

impl UpstreamSpec {
    /// As it is now; none when its system is not known.
    pub fn of(registry: &Registry, upstream: &Upstream) -> Option<Self> {
        Some(Self {
            system: registry.systems.get(&upstream.system)?.name.clone(),
            transport: upstream.transport.clone(),
            secret: upstream.secret.clone(),
            stateless: upstream.stateless,
            enabled: upstream.enabled,
        })
    }
}

impl References for UpstreamSpec {
    fn references(&self) -> Vec<Reference> {
        vec![Reference::system("system", &self.system)]
    }
}
