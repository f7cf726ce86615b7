//! Containment: stopping everything derived from a target, and saying truthfully how far each item has stopped
//! (invariant 8).

use serde::{Deserialize, Serialize};

use crate::{AgentId, ContainmentId, Kind, Noun, Principal, RunId, Timestamp, WorkflowId};

/// How far containment goes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing goes on; lifting restores the target, never its tokens.
    Suspend,
    /// Nothing goes on and evidence is kept; lifting needs a responder.
    Quarantine,
    /// Final for what is derived: keys removed, runs ended. An agent returns only with new keys and a new activation.
    Kill,
}

impl Level {
    /// The level as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Quarantine => "quarantine",
            Self::Kill => "kill",
        }
    }
}

/// What is contained.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Target {
    /// An agent, with all its workflows, runs and keys.
    Agent(AgentId),
    /// One workflow of an agent.
    Workflow(WorkflowId),
    /// One run, with its children.
    Run(RunId),
    /// One key, by thumbprint, or one token or SVID, by id.
    Credential(String),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "agent {id}"),
            Self::Workflow(id) => write!(f, "workflow {id}"),
            Self::Run(id) => write!(f, "run {id}"),
            Self::Credential(id) => write!(f, "credential {id}"),
        }
    }
}

/// How far one item has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ItemStatus {
    /// It has stopped.
    Stopped {
        /// How that was verified.
        verified: String,
    },
    /// It ends by itself.
    Bounded {
        /// When at the latest.
        until: Timestamp,
        /// Why it could not be stopped now.
        why: String,
    },
    /// Nobody can say.
    NotProved {
        /// Why.
        why: String,
    },
}

/// One thing derived from the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Item {
    /// `run`, `token`, `svid`, `key`, `delegation`, `approval`, `call`, `lease`, `upstream_process`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// How far it has stopped.
    #[serde(flatten)]
    pub status: ItemStatus,
}

/// What a containment stopped, and what it could not prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Certificate {
    /// The containment epoch it raised; every call that is sent has read a lower one before or was refused.
    pub epoch: u64,
    /// When it was drawn up.
    pub at: Timestamp,
    /// Whether the last bound has passed. Only then may the residual be 0.
    pub is_final: bool,
    /// Everything derived.
    pub items: Vec<Item>,
    /// How many items are not stopped.
    pub residual: u32,
}

impl Certificate {
    /// Draws up a certificate: the residual counts what is not stopped.
    ///
    /// It is final only when nothing is merely bounded or unproved.
    pub fn new(epoch: u64, at: Timestamp, items: Vec<Item>) -> Self {
        let open = items
            .iter()
            .filter(|i| !matches!(i.status, ItemStatus::Stopped { .. }))
            .count();
        Self {
            epoch,
            at,
            is_final: open == 0,
            items,
            residual: u32::try_from(open).unwrap_or(u32::MAX),
        }
    }
}

/// One containment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containment {
    /// Its id, which is also its certificate's.
    pub id: ContainmentId,
    /// What is contained.
    pub target: Target,
    /// How far.
    pub level: Level,
    /// Why.
    pub reason: String,
    /// Who ordered it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// When it was lifted, and by whom. A kill is never lifted.
    pub lifted: Option<(Timestamp, Principal)>,
    /// First certificate at once, final one when the last bound has passed.
    pub certificates: Vec<Certificate>,
}

impl Noun for Containment {
    const KIND: Kind = Kind::Containment;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(match &self.target {
            Target::Agent(id) => id.to_string(),
            Target::Workflow(id) => id.to_string(),
            Target::Run(id) => id.to_string(),
            Target::Credential(id) => id.clone(),
        })
    }
    fn state(&self) -> &'static str {
        if self.lifted.is_some() {
            "lifted"
        } else {
            "active"
        }
    }
}
