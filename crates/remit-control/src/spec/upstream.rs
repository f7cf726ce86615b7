//! Upstreams.

use std::collections::BTreeSet;

use remit_domain::name::Name;
use remit_domain::upstream::{Injection, MayAsk, Transport};
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
    /// What it may ask the agent's side for in the middle of a call; nothing unless said. Each kind becomes a tool
    /// (`mcp.sampling.create`, `mcp.elicitation.create`, `mcp.roots.list`) to classify and grant.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub may_ask: BTreeSet<MayAsk>,
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
            may_ask: upstream.may_ask.clone(),
        })
    }
}

impl References for UpstreamSpec {
    fn references(&self) -> Vec<Reference> {
        vec![Reference::system("system", &self.system)]
    }
}
