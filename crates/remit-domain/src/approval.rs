//! Approvals: people's verdicts on one exact call, known by its digest, once, until they expire (invariant 6).

mod ask;
mod terms;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tool::ToolRef;
use crate::{
    AgentId, ApprovalId, DecisionId, Kind, Noun, PasskeyId, PersonId, RunId, Timestamp, WorkflowId,
};

pub use ask::{Approvers, Ask, AskSet, ESCALATIONS_MAX, Escalation};
pub use terms::{
    LaterCall, NotCovered, RUN_COUNT_MAX, RUN_SECS_MAX, RunTerms, TermsError, is_severe, may_stand,
};

/// Under which key the store counts the calls that an approval for a run has let pass.
pub fn counter(id: &ApprovalId) -> String {
    format!("{COUNTER_PREFIX}{id}")
}

/// How these keys begin.
pub const COUNTER_PREFIX: &str = "approval:";

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

/// How long a claim holds, in seconds: long enough to look into a call, short enough that nobody waits for somebody who left.
pub const CLAIM_SECS: i64 = 600;

/// Who looks into it now. It gives no right and takes none, and lapses by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who.
    pub by: PersonId,
    /// Until when.
    pub until: Timestamp,
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
    /// What they said yes to besides this call: others like it in the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_run: Option<RunTerms>,
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
    /// A yes was taken back before it was used up.
    Withdrawn,
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
            Self::Withdrawn => "withdrawn",
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
    /// Somebody else looks into it.
    #[error("somebody else looks into it until {0}")]
    Claimed(Timestamp),
    /// There is nothing to give back.
    #[error("you have not claimed it, or not any more")]
    NotClaimed,
    /// What was asked for besides this call cannot be had.
    #[error("it cannot be approved for the run: {0}")]
    Terms(#[from] TermsError),
    /// There is no yes to take back.
    #[error("the approval is {}: there is no yes to take back", .0.as_str())]
    NotGiven(ApprovalState),
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
    /// Who looks into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// How many steps of its escalation were told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub escalated: u8,
    /// Where it was approved for the run: how many calls, and with which arguments. Then it is not used up by one call, and the
    /// store counts those that it lets pass ([`counter`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_run: Option<RunTerms>,
}

fn is_zero(n: &u8) -> bool {
    *n == 0
}

impl Approval {
    /// The approval with `verdict` counted; whoever looked into it is done. Where every ask has its quorum of people who said
    /// the same terms, it holds for the run by these; the caller sets when that ends. `satisfied` says, given the people who approved, whether every ask has its
    /// quorum; who may approve what is decided by the caller, who knows the people.
    ///
    /// # Errors
    /// [`VerdictError`] when it is settled, expired, or this person has spoken.
    pub fn decide(
        &self,
        verdict: Verdict,
        satisfied: impl Fn(&[&PersonId]) -> bool,
    ) -> Result<Self, VerdictError> {
        self.is_open(verdict.at)?;
        if self.verdicts.iter().any(|v| v.person == verdict.person) {
            return Err(VerdictError::Twice);
        }
        let mut next = self.clone();
        let (approve, terms) = (verdict.approve, verdict.for_run.clone());
        next.verdicts.push(verdict);
        next.claim = None;
        let said = |counts: &dyn Fn(&Verdict) -> bool| {
            let yes = next.verdicts.iter().filter(|v| v.approve && counts(v));
            satisfied(&yes.map(|v| &v.person).collect::<Vec<_>>())
        };
        let approved = said(&|_| true);
        // For the run it is approved only by as many as say the same terms.
        let for_run = terms.filter(|terms| said(&|v| v.for_run.as_ref() == Some(terms)));
        if !approve {
            next.state = ApprovalState::Denied;
        } else if approved {
            next.state = ApprovalState::Approved;
            next.for_run = for_run;
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

    /// The approval, which `by` looks into until `until`. Whoever has it already may go on.
    ///
    /// # Errors
    /// [`VerdictError`] when it is settled or expired, or somebody else looks into it.
    pub fn claimed(&self, claim: Claim, now: Timestamp) -> Result<Self, VerdictError> {
        self.is_open(now)?;
        if let Some(other) = self.claim_at(now).filter(|c| c.by != claim.by) {
            return Err(VerdictError::Claimed(other.until));
        }
        Ok(Self {
            claim: Some(claim),
            ..self.clone()
        })
    }

    /// The approval, into which `by` looks no more.
    ///
    /// # Errors
    /// [`VerdictError`] when it is settled or expired, or `by` does not look into it.
    pub fn released(&self, by: &PersonId, now: Timestamp) -> Result<Self, VerdictError> {
        self.is_open(now)?;
        self.claim_at(now)
            .filter(|c| c.by == *by)
            .ok_or(VerdictError::NotClaimed)?;
        Ok(Self {
            claim: None,
            ..self.clone()
        })
    }

    /// The claim that holds at `now`.
    pub fn claim_at(&self, now: Timestamp) -> Option<&Claim> {
        self.claim.as_ref().filter(|c| now < c.until)
    }

    /// How many steps of its escalation are due at `now`, of the ask that has the most.
    pub fn escalations_due(&self, now: Timestamp) -> u8 {
        let waited = now.secs_since(self.requested);
        let due = self.asks.iter().map(|ask| ask.steps_due(waited)).max();
        due.unwrap_or(0)
    }

    /// The approval without the yes that was given and not used up.
    ///
    /// # Errors
    /// [`VerdictError`] when there is none.
    pub fn withdrawn(&self) -> Result<Self, VerdictError> {
        if self.state != ApprovalState::Approved {
            return Err(VerdictError::NotGiven(self.state));
        }
        Ok(Self {
            state: ApprovalState::Withdrawn,
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
