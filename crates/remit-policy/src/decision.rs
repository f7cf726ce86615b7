//! What an engine answers: allow, ask or deny, with its reasons.

use remit_domain::GrantId;
use remit_domain::approval::AskSet;
use serde::{Deserialize, Serialize};

use crate::reserve::Reservation;
use crate::setting::Obligation;

/// Allow, ask or deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "asks", rename_all = "snake_case")]
pub enum Outcome {
    /// The call may be sent.
    Allow,
    /// The call may be sent once every one of these is satisfied; never empty.
    Ask(AskSet),
    /// The call may not be sent, and no approval changes that.
    Deny,
}

impl Outcome {
    /// The outcome as its stable word: `allow`, `ask` or `deny`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask(_) => "ask",
            Self::Deny => "deny",
        }
    }
}

/// One reason of a decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// The policy: `guardrail/NAME`, or `SET/NAME` of an organization.
    pub policy: String,
    /// Stable kebab-case code: the policy's `@code`, `policy` where it has none, or the code of a breach.
    pub code: String,
    /// One line for people and models.
    pub text: String,
}

/// What was decided, and why. The same facts under the same engine version give an equal decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Allow, ask or deny.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why, ordered by policy and text.
    pub reasons: Vec<Reason>,
    /// Ids of the determining policies, ordered.
    pub policies: Vec<String>,
    /// Evaluation errors, one line each; any makes the outcome deny, with code `policy-error`.
    pub errors: Vec<String>,
    /// The grant that holds, unless denied.
    pub grant: Option<GrantId>,
    /// Ids of the exceptions without which another policy would have stood against it, ordered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<String>,
    /// What to reserve on limits and rates when the call is admitted; empty when denied.
    pub reserve: Vec<Reservation>,
    /// What is owed when it is let through; empty when denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<Obligation>,
}

impl Decision {
    /// Whether it denies.
    pub const fn is_deny(&self) -> bool {
        matches!(self.outcome, Outcome::Deny)
    }
}
