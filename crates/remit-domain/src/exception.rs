//! Exceptions: for a while, one agent is not bound by one policy of its organization. Never by a guardrail.

use serde::{Deserialize, Serialize};

use crate::tool::ToolRef;
use crate::{ExceptionId, Kind, Noun, PersonId, Timestamp, name::Name};

/// Longest life of an exception: what is needed for longer is a policy.
pub const EXCEPTION_SECS_MAX: i64 = 7 * 86_400;
/// Most exceptions that are in force at once: each is a clause in its policy.
pub const EXCEPTIONS_MAX: usize = 100;

/// Where an exception stands. That it has run out is read off its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionState {
    /// It waits for a second person.
    Requested,
    /// It holds until its end.
    Approved,
    /// It was refused, or taken back.
    Revoked,
}

impl ExceptionState {
    /// The state as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Revoked => "revoked",
        }
    }
}

/// One agent is not bound by one policy, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Its id, which every decision it changes names.
    pub id: ExceptionId,
    /// Which policy, as `SET/NAME`.
    pub policy: String,
    /// Which agent.
    pub agent: Name,
    /// For one tool only.
    pub tool: Option<ToolRef>,
    /// Why.
    pub reason: String,
    /// For how long, in seconds from its approval.
    pub secs: i64,
    /// Who asked for it.
    pub requested_by: PersonId,
    /// When.
    pub requested_at: Timestamp,
    /// Who approved it.
    pub approved_by: Option<PersonId>,
    /// From when it holds.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// Who took it back, or refused it.
    pub revoked_by: Option<PersonId>,
    /// Where it stands.
    pub state: ExceptionState,
}

impl Exception {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.state == ExceptionState::Approved
            && self.from.is_some_and(|from| from <= now)
            && self.until.is_some_and(|until| now < until)
    }

    /// `requested`, `approved`, `revoked`, or `expired` when its end has passed.
    pub fn state_at(&self, now: Timestamp) -> &'static str {
        match self.state {
            ExceptionState::Approved if self.until.is_none_or(|until| until <= now) => "expired",
            state => state.as_str(),
        }
    }
}

impl Noun for Exception {
    const KIND: Kind = Kind::PolicyException;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.agent.to_string())
    }
    fn state(&self) -> &'static str {
        self.state.as_str()
    }
}
