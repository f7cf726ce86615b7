//! Delegations: rights of an actor to act for a subject, nested, only ever narrower (RFC 8693 section 4.1).

use serde::{Deserialize, Serialize};

use crate::authority::Authority;
use crate::credential::Federated;
use crate::{
    AgentId, CredentialId, DelegationId, Kind, Noun, PersonId, Principal, RunId, Timestamp,
    WorkflowId,
};

/// What a delegation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DelegationUse {
    /// A person, at work, lets an agent act for them.
    Interactive,
    /// A sponsor lets runs start on events and schedules in their name.
    Standing,
    /// An agent hands part of its right to a sub-agent.
    SubAgent,
}

/// Whether a delegation still counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DelegationState {
    /// It counts until it expires.
    Active,
    /// Ended before its time.
    Revoked {
        /// When.
        at: Timestamp,
        /// By whom.
        by: Principal,
        /// Why.
        reason: String,
    },
}

/// The right of `to` to act for `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// Its id.
    pub id: DelegationId,
    /// The person at the root of the chain.
    pub person: PersonId,
    /// Who delegates: the person, or an agent in a run of its own.
    pub from: Principal,
    /// Who may act.
    pub to: AgentId,
    /// In which workflow.
    pub workflow: WorkflowId,
    /// What for.
    pub kind: DelegationUse,
    /// What it narrows to.
    pub authority: Authority,
    /// The ticket it is for.
    pub ticket: Option<String>,
    /// How many hops may follow this one.
    pub depth_left: u8,
    /// The delegation this one is cut from.
    pub parent: Option<DelegationId>,
    /// The run this one was made in, which it ends with.
    pub run: Option<RunId>,
    /// The token with which an agent made it: it falls with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<CredentialId>,
    /// The trust in another issuer by whose word it was made; none where the person made it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federated: Option<Federated>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Whether it still counts.
    #[serde(flatten)]
    pub state: DelegationState,
}

impl Delegation {
    /// Whether it counts at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.state == DelegationState::Active && now < self.expires
    }
}

impl Noun for Delegation {
    const KIND: Kind = Kind::Delegation;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.person.to_string())
    }
    fn state(&self) -> &'static str {
        match self.state {
            DelegationState::Active => "active",
            DelegationState::Revoked { .. } => "revoked",
        }
    }
}
