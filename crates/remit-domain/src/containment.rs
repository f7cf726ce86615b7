//! Containment: stopping everything derived from a target, and saying truthfully how far each item has stopped
//! (invariant 8).

mod lineage;

use serde::{Deserialize, Serialize};

use crate::tool::ToolRef;
use crate::upstream::UpstreamName;
use crate::{
    AgentId, ContainmentId, Kind, Noun, OrgId, PersonId, Principal, RunId, Timestamp, WorkflowId,
};

pub use lineage::Lineage;

/// How long a containment that takes two people waits for the second, in seconds.
pub const CONFIRM_SECS: i64 = 3_600;

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

/// What is contained. What falls under it is said in one place, [`Target::holds`].
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
    /// A whole tree of runs with the delegations made in it, by its first run: what a token's `txn` names.
    Chain(RunId),
    /// What a person lets agents do for them: their delegations, with every run and delegation below.
    Person(PersonId),
    /// One key, by thumbprint, or one token or SVID, by id.
    Credential(String),
    /// Every tool of an upstream.
    Upstream(UpstreamName),
    /// One tool.
    Tool(ToolRef),
    /// One definition, by its hash, whatever tool has it.
    Definition(String),
    /// Every agent that is registered with a model, and every run that says it uses it.
    Model(String),
    /// Everything of the organization.
    Organization(OrgId),
    /// Everything of every organization; the operator's alone.
    Everything,
}

impl Target {
    /// Whether it is a tool, or many: no agent is stopped then, only what calls them.
    pub const fn is_of_tools(&self) -> bool {
        matches!(
            self,
            Self::Upstream(_) | Self::Tool(_) | Self::Definition(_)
        )
    }

    /// Whether one person alone contains it.
    pub const fn takes_two(&self) -> bool {
        matches!(self, Self::Organization(_) | Self::Everything)
    }

    /// Whether it can be killed. What many agents share comes back when it is mended, so that it is suspended or quarantined.
    pub const fn can_be_killed(&self) -> bool {
        matches!(
            self,
            Self::Agent(_)
                | Self::Workflow(_)
                | Self::Run(_)
                | Self::Chain(_)
                | Self::Person(_)
                | Self::Credential(_)
        )
    }

    /// Whether a kill of it is lifted. What it ended stays ended: only who or what may begin anew is asked.
    pub const fn outlives_its_kill(&self) -> bool {
        matches!(self, Self::Person(_))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "agent {id}"),
            Self::Workflow(id) => write!(f, "workflow {id}"),
            Self::Run(id) => write!(f, "run {id}"),
            Self::Chain(id) => write!(f, "chain {id}"),
            Self::Person(id) => write!(f, "person {id}"),
            Self::Credential(id) => write!(f, "credential {id}"),
            Self::Upstream(name) => write!(f, "upstream {name}"),
            Self::Tool(tool) => write!(f, "tool {tool}"),
            Self::Definition(hash) => write!(f, "definition {hash}"),
            Self::Model(model) => write!(f, "model {model}"),
            Self::Organization(id) => write!(f, "organization {id}"),
            Self::Everything => f.write_str("everything"),
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

/// A credential that Remit did not issue, and that what is contained could reach: stopping it is its owner's.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Outside {
    /// Where it is kept: `vault`, `file`, `environment`.
    pub kind: String,
    /// By what it is named there.
    pub id: String,
    /// The upstream that takes it.
    pub of: UpstreamName,
    /// Who answers for the upstream's system, and has a finding to look at it.
    pub owner: Option<PersonId>,
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
    /// What Remit did not issue and does not stop: never counted as stopped, nor in the residual.
    #[serde(default)]
    pub outside: Vec<Outside>,
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
            outside: Vec::new(),
        }
    }
}

/// Whether the second person has spoken, where a containment takes two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Confirmation {
    /// It takes one.
    #[default]
    NotNeeded,
    /// Another person has to say yes. It contains nothing until then.
    Waits {
        /// Until when they may.
        until: Timestamp,
    },
    /// Another person said yes.
    Given {
        /// When.
        at: Timestamp,
        /// Who.
        by: Principal,
    },
    /// A break-glass account, or the operator in an emergency, did it alone; that raised an alarm.
    BreakGlass,
    /// Somebody took it back before it contained anything.
    Withdrawn {
        /// When.
        at: Timestamp,
        /// Who.
        by: Principal,
    },
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
    /// Whether the second person has spoken, where it takes two.
    #[serde(default)]
    pub confirmation: Confirmation,
    /// When it was lifted, and by whom. A kill is lifted only where its target outlives it.
    pub lifted: Option<(Timestamp, Principal)>,
    /// First certificate at once, final one when the last bound has passed.
    pub certificates: Vec<Certificate>,
}

impl Containment {
    /// A containment that one person ordered and nobody certified yet.
    pub fn new(
        id: ContainmentId,
        (target, level): (Target, Level),
        reason: impl Into<String>,
        by: Principal,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            target,
            level,
            reason: reason.into(),
            by,
            at,
            confirmation: Confirmation::NotNeeded,
            lifted: None,
            certificates: Vec::new(),
        }
    }

    /// Since when it has been in force, where it is: when it was confirmed, or ordered where nobody had to.
    pub const fn since(&self) -> Timestamp {
        match &self.confirmation {
            Confirmation::Given { at, .. } => *at,
            _ => self.at,
        }
    }

    /// Whether it contains anything: it was not lifted, and nobody has to say yes to it.
    pub const fn is_in_force(&self) -> bool {
        self.lifted.is_none()
            && !matches!(
                self.confirmation,
                Confirmation::Waits { .. } | Confirmation::Withdrawn { .. }
            )
    }
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
            Target::Run(id) | Target::Chain(id) => id.to_string(),
            Target::Person(id) => id.to_string(),
            Target::Credential(id) | Target::Definition(id) | Target::Model(id) => id.clone(),
            Target::Upstream(name) => name.to_string(),
            Target::Tool(tool) => tool.to_string(),
            Target::Organization(id) => id.to_string(),
            Target::Everything => "everything".to_owned(),
        })
    }
    fn state(&self) -> &'static str {
        match (&self.lifted, &self.confirmation) {
            (Some(_), _) => "lifted",
            (None, Confirmation::Waits { .. }) => "waiting",
            (None, Confirmation::Withdrawn { .. }) => "withdrawn",
            (None, _) => "active",
        }
    }
}
