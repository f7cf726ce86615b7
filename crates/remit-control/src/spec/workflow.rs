//! Workflows and their grants.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use remit_domain::attestation::Attestation;
use remit_domain::bounds::{Bounds, Cumulative};
use remit_domain::discovery::Discovery;
use remit_domain::name::Name;
use remit_domain::tool::{DataClass, ToolRef};
use remit_domain::workflow::Grant;
use remit_domain::{Registry, Timestamp, Workflow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::any::{Reference, References};

/// A workflow of an agent, written `agent/workflow`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct WorkflowRef {
    /// The agent's name.
    pub agent: Name,
    /// The workflow's name.
    pub workflow: Name,
}

impl FromStr for WorkflowRef {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(a, w)| {
            Some(Self {
                agent: a.parse().ok()?,
                workflow: w.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| {
            let text: String = text.chars().take(160).collect();
            format!("`{text}` names no workflow: write agent/workflow")
        })
    }
}

impl TryFrom<String> for WorkflowRef {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<WorkflowRef> for String {
    fn from(name: WorkflowRef) -> String {
        name.to_string()
    }
}

impl fmt::Display for WorkflowRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agent, self.workflow)
    }
}

/// Permission to call one tool within bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantSpec {
    /// Which tool, as `upstream/tool`.
    pub tool: ToolRef,
    /// Bounds on its arguments.
    #[serde(default)]
    pub bounds: Bounds,
    /// Cumulative limits.
    #[serde(default)]
    pub limits: Vec<Cumulative>,
    /// When it ends; without an end it is standing access, which is a finding.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// What shows that the agent may do this without asking, such as a review or a test report, in at most 500
    /// characters: the release for autonomy of a high-risk effect, which otherwise asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autonomy: Option<String>,
}

impl GrantSpec {
    /// As it is now.
    pub fn of(grant: &Grant) -> Self {
        Self {
            tool: grant.tool.clone(),
            bounds: grant.bounds.clone(),
            limits: grant.limits.clone(),
            expires: grant.expires,
            autonomy: grant.autonomy.clone(),
        }
    }
}

/// A declared process of an agent, with its own access profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowSpec {
    /// What it is for.
    #[serde(default)]
    pub purpose: String,
    /// Tools it may call.
    #[serde(default)]
    pub grants: Vec<GrantSpec>,
    /// Data classes it may touch.
    #[serde(default)]
    pub data_classes: BTreeSet<DataClass>,
    /// Longest run, in seconds; 1 to 30 days.
    #[serde(default = "hour")]
    pub run_secs_max: i64,
    /// Longest idle time of a run, in seconds; 1 to 7 days.
    #[serde(default = "half_hour")]
    pub run_idle_secs_max: i64,
    /// Whether its runs only look around, and how much: they call tools that read metadata, and no others.
    #[serde(default)]
    pub discovery: Option<Discovery>,
    /// Workflows a run may spawn, as `agent/workflow`.
    #[serde(default)]
    pub spawnable: BTreeSet<WorkflowRef>,
    /// Whether its access tokens are only issued bound to a key that whoever uses them proves with each request (DPoP,
    /// RFC 9449): a stolen one is worth nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dpop_bound_access_tokens: bool,
    /// Where the agent's client may send people back to whom it asks for their consent, at most 16: https, or http on this
    /// very machine, where the port does not count. None means that it asks nobody in a browser.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub redirect_uris: BTreeSet<String>,
    /// What may run it: which user, which binary and, where they are named, which systemd unit and control group. Only such a
    /// process gets an SVID for it, from an attester (`remit workload-api`); another one is a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
    /// Clients that act as the agent in this workflow, at most 8, each by the https address of its client ID metadata document:
    /// its keys and redirect addresses are those that the document has. A client is of one agent.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub client_ids: BTreeSet<String>,
    /// Whether it is in use.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

fn hour() -> i64 {
    3_600
}

fn half_hour() -> i64 {
    1_800
}

impl WorkflowSpec {
    /// As it is now.
    pub fn of(registry: &Registry, workflow: &Workflow) -> Self {
        let name = |id| {
            let w = registry.workflows.get(id)?;
            Some(WorkflowRef {
                agent: registry.agents.get(&w.agent)?.name.clone(),
                workflow: w.name.clone(),
            })
        };
        Self {
            purpose: workflow.purpose.clone(),
            grants: workflow.grants.iter().map(GrantSpec::of).collect(),
            data_classes: workflow.data_classes.clone(),
            run_secs_max: workflow.run_secs_max,
            run_idle_secs_max: workflow.run_idle_secs_max,
            discovery: workflow.discovery,
            spawnable: workflow.spawnable.iter().filter_map(name).collect(),
            dpop_bound_access_tokens: workflow.dpop_bound_access_tokens,
            redirect_uris: workflow.redirect_uris.clone(),
            attestation: workflow.attestation.clone(),
            client_ids: workflow.client_ids.clone(),
            enabled: workflow.enabled,
        }
    }
}

impl References for WorkflowSpec {
    fn references(&self) -> Vec<Reference> {
        let tools = self
            .grants
            .iter()
            .map(|g| Reference::tool("grants", &g.tool));
        tools
            .chain(
                self.spawnable
                    .iter()
                    .map(|w| Reference::workflow("spawnable", w)),
            )
            .collect()
    }
}
