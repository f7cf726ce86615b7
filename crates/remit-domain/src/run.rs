//! Runs: one execution of a workflow, with an intent that bounds it.

use serde::{Deserialize, Serialize};

use crate::authority::Authority;
use crate::discovery::Discovery;
use crate::{AgentId, DelegationId, Kind, Noun, PersonId, Principal, RunId, Timestamp, WorkflowId};

/// How a run came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A person is at work with the agent.
    Interactive,
    /// Another agent's run spawned it.
    Subagent,
    /// The agent opened it itself.
    Api,
    /// An event or a schedule started it.
    Background,
}

impl Mode {
    /// The mode as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Subagent => "subagent",
            Self::Api => "api",
            Self::Background => "background",
        }
    }
}

/// Declared purpose of a run; what it names bounds the run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// What for.
    #[serde(default)]
    pub purpose: String,
    /// The ticket, case or alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Whether it only looks around, and how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// Tools, effects, data classes and objects it declares.
    #[serde(default)]
    pub authority: Authority,
}

/// What the caller says about itself; recorded as given, `unknown` where not, and never a reason to trust.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Model version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Prompt version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Configuration version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// References to retrieved context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<String>,
}

/// How a run went, in the words of who ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the outcome of the same name")]
pub enum RunOutcome {
    Done,
    Failed,
    Abandoned,
    Corrected,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the cause of the same name")]
pub enum RunEnd {
    Agent,
    Person,
    Deadline,
    Idle,
    SponsorLeft,
    SponsorSuspended,
    ParentEnded,
    DelegationEnded,
    Contained,
    Signalled,
}

/// Whether a run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RunState {
    /// It goes on.
    Active,
    /// It may not call, but its record stands and it may be resumed by lifting.
    Suspended,
    /// It is over; nothing brings it back.
    Ended {
        /// When.
        at: Timestamp,
        /// Who ended it.
        by: Principal,
        /// Why.
        cause: RunEnd,
        /// How it went.
        outcome: Option<RunOutcome>,
        /// Measures reported with the outcome (name to number or text), at most 32.
        #[serde(default)]
        measures: std::collections::BTreeMap<String, serde_json::Value>,
    },
}

/// One execution of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Which agent.
    pub agent: AgentId,
    /// Which workflow.
    pub workflow: WorkflowId,
    /// How it came to be.
    pub mode: Mode,
    /// What started it (event, schedule), where something did.
    pub trigger: Option<String>,
    /// Its declared purpose.
    pub intent: Intent,
    /// The person at the root of its chain; none for what an agent does by itself.
    pub person: Option<PersonId>,
    /// The chain of delegations, from the person's to this run's, at most [`crate::limits::CHAIN_DEPTH_MAX`].
    pub chain: Vec<DelegationId>,
    /// The run that spawned it.
    pub parent: Option<RunId>,
    /// The first run of its tree: itself when nothing spawned it. Labels and limits belong to it.
    pub root: RunId,
    /// Key (RFC 7638 thumbprint) an implicit run belongs to; none for an opened one.
    pub implicit_key: Option<String>,
    /// What the caller says about itself.
    pub provenance: Provenance,
    /// When it started.
    pub started: Timestamp,
    /// When it ends at the latest.
    pub deadline: Timestamp,
    /// Longest idle time, in seconds.
    pub idle_secs_max: i64,
    /// Whether it goes on.
    #[serde(flatten)]
    pub state: RunState,
}

impl Run {
    /// The key, by its thumbprint, or the enforcement point that started it by asking for something; none for a run that was
    /// started as such.
    pub fn started_with(&self) -> Option<&str> {
        let key = self.implicit_key.as_deref()?;
        // What comes after tells apart those that one key has started on purpose.
        Some(key.split_once('+').map_or(key, |(key, _)| key))
    }

    /// Whether it goes on at `now`, by state and deadline. Idleness is known to whoever saw its last call.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.state == RunState::Active && now < self.deadline
    }
}

impl Noun for Run {
    const KIND: Kind = Kind::Run;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.agent.to_string())
    }
    fn state(&self) -> &'static str {
        match self.state {
            RunState::Active => "active",
            RunState::Suspended => "suspended",
            RunState::Ended { .. } => "ended",
        }
    }
}
