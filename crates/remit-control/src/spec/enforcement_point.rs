//! Enforcement points.

use remit_domain::Registry;
use remit_domain::enforcement_point::{EnforcementPoint, HttpRoute, Subject};
use remit_domain::name::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::any::{Reference, References};
use super::workflow::WorkflowRef;

/// An enforcement point: a gateway that asks for decisions about the agents assigned to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnforcementPointSpec {
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
    /// Its public keys as JWKs (RFC 7517), P-256 or Ed25519: one, or two while one follows the other.
    pub keys: Vec<Value>,
    /// The agents it may ask about; nobody where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AssignedSpec>,
    /// Whether it may have a decision take effect, whose outcome it then reports.
    #[serde(default)]
    pub enforce: bool,
    /// Which HTTP requests are which calls, for Envoy; the first that fits counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<HttpRoute>,
    /// Why, for people.
    pub reason: String,
    /// Whether it may ask at all.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

/// An agent that a point may ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignedSpec {
    /// Its name.
    pub agent: Name,
    /// In which of its workflows, where a question names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Name>,
    /// By what other name the point knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
}

impl EnforcementPointSpec {
    /// As it is now; none when an agent or workflow it names is not known any more.
    pub fn of(registry: &Registry, point: &EnforcementPoint) -> Option<Self> {
        let agents = point.agents.iter().map(|a| {
            let workflow = match &a.workflow {
                Some(id) => Some(registry.workflows.get(id)?.name.clone()),
                None => None,
            };
            Some(AssignedSpec {
                agent: registry.agents.get(&a.agent)?.name.clone(),
                workflow,
                subject: a.subject.clone(),
            })
        });
        Some(Self {
            description: point.description.clone(),
            keys: point.keys.iter().map(|k| k.jwk.clone()).collect(),
            agents: agents.collect::<Option<_>>()?,
            enforce: point.enforce,
            routes: point.routes.clone(),
            reason: point.reason.clone(),
            enabled: point.enabled,
        })
    }
}

impl References for EnforcementPointSpec {
    fn references(&self) -> Vec<Reference> {
        let agents = self.agents.iter().map(|a| match &a.workflow {
            None => Reference::agent("agents", &a.agent),
            Some(workflow) => Reference::workflow(
                "agents",
                &WorkflowRef {
                    agent: a.agent.clone(),
                    workflow: workflow.clone(),
                },
            ),
        });
        let routes = self.routes.iter();
        agents
            .chain(routes.map(|r| Reference::tool("routes", &r.tool)))
            .collect()
    }
}
