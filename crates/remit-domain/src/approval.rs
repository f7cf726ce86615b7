//! Approvals: people's verdicts on one exact call, known by its digest, once, until they expire (invariant 6).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tool::ToolRef;
use crate::{
    AgentId, ApprovalId, DecisionId, Kind, Noun, PasskeyId, PersonId, Role, RunId, Timestamp,
    WorkflowId, name::Name,
};

/// Who may satisfy an ask.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Approvers {
    /// Anyone here with the role.
    Role(Role),
    /// Anyone here in the team.
    Team(Name),
    /// The agent's sponsor.
    Sponsor,
    /// The agent's owner.
    Owner,
    /// The manager of the person the run acts for.
    Manager,
    /// One person, by address.
    Person(crate::name::Email),
}

impl std::fmt::Display for Approvers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(role) => write!(f, "role:{}", role.as_str()),
            Self::Team(team) => write!(f, "team:{team}"),
            Self::Sponsor => f.write_str("sponsor"),
            Self::Owner => f.write_str("owner"),
            Self::Manager => f.write_str("manager"),
            Self::Person(email) => write!(f, "person:{email}"),
        }
    }
}

impl std::str::FromStr for Approvers {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let text: String = text.chars().take(80).collect();
            format!(
                "`{text}` names no approvers: write role:ROLE, team:NAME, person:ADDRESS, sponsor, owner or manager"
            )
        };
        match (text, text.split_once(':')) {
            ("sponsor", _) => Ok(Self::Sponsor),
            ("owner", _) => Ok(Self::Owner),
            ("manager", _) => Ok(Self::Manager),
            (_, Some(("role", role))) => Role::ALL
                .into_iter()
                .find(|r| r.as_str() == role)
                .map(Self::Role)
                .ok_or_else(wrong),
            (_, Some(("team", team))) => team.parse().map(Self::Team).map_err(|_| wrong()),
            (_, Some(("person", email))) => email.parse().map(Self::Person).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// One policy that asks: it is satisfied when `quorum` different people it names have approved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ask {
    /// The policy's id.
    pub policy: String,
    /// Any of these may approve.
    pub approvers: BTreeSet<Approvers>,
    /// How many different people must.
    pub quorum: u8,
    /// Whether a bounded approval for the whole run may be given.
    pub standing: bool,
    /// Whether policy waives four eyes (read and draft effects only).
    pub waives_four_eyes: bool,
}

/// The policies that ask, ordered by id.
pub type AskSet = BTreeSet<Ask>;

/// Most notes on one approval: enough to make it clear, too little to be a chat.
pub const NOTES_MAX: usize = 20;

/// What sort of note it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Whoever decides wants to know something.
    Question,
    /// Whoever answers for the call says it.
    Answer,
}

/// Something said about an approval while it waits. It decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What sort.
    pub kind: NoteKind,
    /// Who.
    pub person: PersonId,
    /// In their words.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// To whom an approval was handed. It gives nobody a right: only who may approve anyway gets it, and the others keep theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// To whom.
    pub to: PersonId,
    /// By whom.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
}

/// What one person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Who.
    pub person: PersonId,
    /// Yes or no.
    pub approve: bool,
    /// Why, in their words.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The passkey with which they proved, over the digest of this call, that it was them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<PasskeyId>,
}

/// What came of an approval. Only `Approved` lets one call pass, and only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Verdicts are missing.
    Pending,
    /// Every ask is satisfied.
    Approved,
    /// Someone said no.
    Denied,
    /// Time ran out.
    Expired,
    /// The run ended or was contained.
    Cancelled,
    /// The policy, the definition or the target changed meanwhile: the call would be decided otherwise.
    Stale,
    /// The call was sent.
    Used,
    /// The call was sent and no answer came: it is never sent again.
    Ambiguous,
}

impl ApprovalState {
    /// The state as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Stale => "stale",
            Self::Used => "used",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// Why a verdict does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerdictError {
    /// It is settled already.
    #[error("the approval is {} already", .0.as_str())]
    Settled(ApprovalState),
    /// Too late.
    #[error("the approval expired at {0}; the agent has to ask again")]
    Expired(Timestamp),
    /// This person has spoken.
    #[error("you have given your verdict on this approval already")]
    Twice,
    /// Enough was said.
    #[error("{0} notes are on the approval already; decide it")]
    Talked(usize),
    /// This person may not.
    #[error("you may not decide this approval: {0}")]
    NotApprover(String),
}

/// One call that waits for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Digest of the exact call (hex), see invariant 6.
    pub digest: String,
    /// The decision that asked.
    pub decision: DecisionId,
    /// Which agent.
    pub agent: AgentId,
    /// Which workflow.
    pub workflow: WorkflowId,
    /// Which run.
    pub run: RunId,
    /// The person the run acts for: never one of the approvers where four eyes apply.
    pub person: Option<PersonId>,
    /// Which tool.
    pub tool: ToolRef,
    /// Hash of the tool's definition when asked.
    pub definition_hash: String,
    /// The canonical arguments: what the approver reads is what runs.
    pub args: Value,
    /// The policies that ask.
    pub asks: AskSet,
    /// Why, one line a policy.
    pub reasons: Vec<String>,
    /// When asked.
    pub requested: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// What people said.
    pub verdicts: Vec<Verdict>,
    /// What came of it.
    pub state: ApprovalState,
    /// Questions and answers, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// To whom it was handed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
    /// The arguments that whoever said no would say yes to. A call with them is another call: it is decided anew, and asks anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Value>,
}

impl Approval {
    /// The approval with `verdict` counted. `satisfied` says, given the people who approved, whether every ask has its
    /// quorum; who may approve what is decided by the caller, who knows the people.
    ///
    /// # Errors
    /// [`VerdictError`] when it is settled, expired, or this person has spoken.
    pub fn decide(
        &self,
        verdict: Verdict,
        satisfied: impl FnOnce(&[&PersonId]) -> bool,
    ) -> Result<Self, VerdictError> {
        self.is_open(verdict.at)?;
        if self.verdicts.iter().any(|v| v.person == verdict.person) {
            return Err(VerdictError::Twice);
        }
        let mut next = self.clone();
        let approve = verdict.approve;
        next.verdicts.push(verdict);
        let yes: Vec<_> = next
            .verdicts
            .iter()
            .filter(|v| v.approve)
            .map(|v| &v.person)
            .collect();
        if !approve {
            next.state = ApprovalState::Denied;
        } else if satisfied(&yes) {
            next.state = ApprovalState::Approved;
        }
        Ok(next)
    }

    /// The approval with a note on it.
    ///
    /// # Errors
    /// [`VerdictError`] when it is settled or expired, or has as many notes as it may.
    pub fn noted(&self, note: Note) -> Result<Self, VerdictError> {
        self.is_open(note.at)?;
        if self.notes.len() >= NOTES_MAX {
            return Err(VerdictError::Talked(NOTES_MAX));
        }
        let mut next = self.clone();
        next.notes.push(note);
        Ok(next)
    }

    /// The approval, handed to somebody.
    ///
    /// # Errors
    /// [`VerdictError`] when it is settled or expired.
    pub fn handed(&self, given: Given) -> Result<Self, VerdictError> {
        self.is_open(given.at)?;
        Ok(Self {
            given: Some(given),
            ..self.clone()
        })
    }

    fn is_open(&self, now: Timestamp) -> Result<(), VerdictError> {
        match self.state {
            ApprovalState::Pending if now < self.expires => Ok(()),
            ApprovalState::Pending => Err(VerdictError::Expired(self.expires)),
            state => Err(VerdictError::Settled(state)),
        }
    }

    /// Whether it still lets a call pass at `now`.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.state == ApprovalState::Approved && now < self.expires
    }
}

impl Noun for Approval {
    const KIND: Kind = Kind::Approval;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.run.to_string())
    }
    fn state(&self) -> &'static str {
        self.state.as_str()
    }
}
