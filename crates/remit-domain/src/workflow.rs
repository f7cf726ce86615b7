//! Workflows: declared processes of an agent, each with its own access profile.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::attestation::Attestation;
use crate::bounds::{Bounds, Cumulative};
use crate::discovery::Discovery;
use crate::tool::{DataClass, ToolRef};
use crate::{AgentId, GrantId, Kind, Noun, PersonId, Timestamp, WorkflowId, name::Name};

/// A stored permission to call one tool within bounds, until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Which tool.
    pub tool: ToolRef,
    /// Bounds on its arguments.
    #[serde(default)]
    pub bounds: Bounds,
    /// Cumulative limits.
    #[serde(default)]
    pub limits: Vec<Cumulative>,
    /// When it ends; a grant without an end is standing access, which is a finding.
    pub expires: Option<Timestamp>,
    /// What shows that the agent may do this without asking: the release for autonomy of effects that otherwise ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autonomy: Option<String>,
    /// Who granted it.
    pub granted_by: PersonId,
    /// When.
    pub granted_at: Timestamp,
}

/// A declared process of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    /// Its id.
    pub id: WorkflowId,
    /// Whose it is.
    pub agent: AgentId,
    /// Its name, unique within the agent.
    pub name: Name,
    /// What it is for.
    pub purpose: String,
    /// Tools it may call.
    pub grants: Vec<Grant>,
    /// Data classes it may touch.
    pub data_classes: BTreeSet<DataClass>,
    /// Longest run, in seconds.
    pub run_secs_max: i64,
    /// Longest idle time of a run, in seconds.
    pub run_idle_secs_max: i64,
    /// Whether its runs only look around, and how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// Workflows a run may spawn, its own agent's or another's.
    pub spawnable: BTreeSet<WorkflowId>,
    /// Whether its access tokens are only issued bound to a key of whoever asks (RFC 9449 §5.2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dpop_bound_access_tokens: bool,
    /// Where its client may send people back to who let it act for them (RFC 6749 §3.1.2).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub redirect_uris: BTreeSet<String>,
    /// What may run it: only such a process gets an SVID for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
    /// Clients that act as its agent in it, each known by the address of its metadata document.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub client_ids: BTreeSet<String>,
    /// Whether it is in use.
    pub enabled: bool,
}

impl Workflow {
    /// The grants of `tool` that have not expired at `now`.
    pub fn grants_of<'a>(
        &'a self,
        tool: &'a ToolRef,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Grant> {
        self.grants
            .iter()
            .filter(move |g| g.tool == *tool && g.expires.is_none_or(|end| now < end))
    }
}

impl Noun for Workflow {
    const KIND: Kind = Kind::Workflow;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(format!("{}/{}", self.agent, self.name))
    }
    fn parent(&self) -> Option<String> {
        Some(self.agent.to_string())
    }
    fn state(&self) -> &'static str {
        if self.enabled { "active" } else { "disabled" }
    }
}
