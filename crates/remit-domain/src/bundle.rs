//! Policy bundles: everything an organization's own policies say, under the hash of what they say.
//!
//! A bundle never changes and is never deleted. A proposal leads to one; the stage says which one is live and which one
//! decides in the shadow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Kind, Noun, PersonId, Principal, ProposalId, Timestamp, name::Name};

/// Most bytes of all policies of one bundle.
pub const BUNDLE_BYTES_MAX: usize = 1_024 * 1_024;
/// Most test files of one bundle.
pub const TEST_FILES_MAX: usize = 64;
/// Most bytes of all test files of one bundle.
pub const TEST_BYTES_MAX: usize = 1_024 * 1_024;
/// Most acceptances that a bundle lists: going back and forth adds one each time.
pub const ACCEPTANCES_MAX: usize = 100;
/// Most earlier bundles that the stage lists.
pub const HISTORY_MAX: usize = 100;

/// How a bundle came to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// Proposed by one person and approved by another.
    Reviewed,
    /// Proposed and approved by the same person, where the organization permits it.
    Alone,
    /// It only adds policies that forbid or ask to what was live.
    Tightened,
    /// It was accepted before, and one person went back to it.
    RolledBack,
}

impl Acceptance {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reviewed => "reviewed",
            Self::Alone => "alone",
            Self::Tightened => "tightened",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// Who accepted a bundle, signed by the organization's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// How.
    pub how: Acceptance,
    /// Who proposed it.
    pub proposed_by: PersonId,
    /// Who approved it.
    pub approved_by: PersonId,
    /// By which proposal; none for what was put directly.
    pub proposal: Option<ProposalId>,
    /// What was live until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// When.
    pub at: Timestamp,
    /// A signed note (c2sp.org/signed-note) that says all this and names the bundle.
    pub note: String,
}

/// Policies under their content's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// SHA-256 (lower-case hex) over the RFC 8785 form of the sets.
    pub version: String,
    /// Cedar text by name of the set.
    pub sets: BTreeMap<Name, String>,
    /// YAML by name of the test file, as last proposed with these sets.
    pub tests: BTreeMap<String, String>,
    /// When it was first seen.
    pub created: Timestamp,
    /// Who accepted it, oldest first; empty while it is only proposed.
    pub accepted: Vec<Accepted>,
}

impl Noun for Bundle {
    const KIND: Kind = Kind::PolicyBundle;
    fn key(&self) -> String {
        self.version.clone()
    }
    fn state(&self) -> &'static str {
        if self.accepted.is_empty() {
            "proposed"
        } else {
            "accepted"
        }
    }
}

/// Where a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// It waits for somebody else.
    Proposed,
    /// It may go live.
    Approved,
    /// It will not.
    Rejected,
    /// It went live.
    Enforced,
}

impl ProposalState {
    /// The state as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Enforced => "enforced",
        }
    }
}

/// Somebody's wish that a bundle go live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its id.
    pub id: ProposalId,
    /// Which bundle.
    pub bundle: String,
    /// What was live when it was proposed.
    pub base: String,
    /// One line on what it is for.
    pub title: String,
    /// Where it comes from: a commit, a ticket.
    pub source: Option<String>,
    /// Who proposes it.
    pub proposed_by: PersonId,
    /// When.
    pub proposed_at: Timestamp,
    /// Where it stands.
    pub state: ProposalState,
    /// Who decided on it.
    pub decided_by: Option<PersonId>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// What they said.
    pub comment: Option<String>,
    /// What the tests, the prover and the comparison with what is live said when it was proposed.
    pub report: serde_json::Value,
}

impl Noun for Proposal {
    const KIND: Kind = Kind::PolicyProposal;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.bundle.clone())
    }
    fn state(&self) -> &'static str {
        self.state.as_str()
    }
}

/// A bundle that decides beside the live one, without any effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// Which.
    pub bundle: String,
    /// By which proposal.
    pub proposal: ProposalId,
    /// Its sets, so that it is compiled without another look.
    pub sets: BTreeMap<Name, String>,
    /// Since when.
    pub since: Timestamp,
    /// Who put it there.
    pub by: Principal,
}

/// A bundle that was live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// Which.
    pub bundle: String,
    /// Since when.
    pub at: Timestamp,
    /// Who made it live.
    pub by: Principal,
}

/// Which bundle is live, which were, and which one decides in the shadow: one record of an organization.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// What is and was live, newest last.
    pub live: Vec<Deployed>,
    /// What decides in the shadow.
    pub shadow: Option<Shadow>,
}

/// The key of the one stage.
pub const STAGE: &str = "stage";

impl Stage {
    /// With another bundle live.
    #[must_use]
    pub fn deploy(mut self, next: Deployed) -> Self {
        if self
            .shadow
            .as_ref()
            .is_some_and(|s| s.bundle == next.bundle)
        {
            self.shadow = None;
        }
        self.live.push(next);
        let over = self.live.len().saturating_sub(HISTORY_MAX);
        self.live.drain(..over);
        self
    }

    /// The bundle that was live before the one that is, and differs from it.
    pub fn before(&self) -> Option<&Deployed> {
        let now = self.live.last()?;
        self.live.iter().rev().find(|d| d.bundle != now.bundle)
    }
}

impl Noun for Stage {
    const KIND: Kind = Kind::PolicyStage;
    fn key(&self) -> String {
        STAGE.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployed(bundle: &str) -> Deployed {
        Deployed {
            bundle: bundle.to_owned(),
            at: Timestamp::from_micros(0),
            by: Principal::Operator,
        }
    }

    #[test]
    fn what_was_live_before_differs_from_what_is() {
        let stage = Stage::default().deploy(deployed("a"));
        assert_eq!(stage.before(), None);
        let stage = stage.deploy(deployed("b")).deploy(deployed("b"));
        assert_eq!(stage.before().unwrap().bundle, "a");
        let stage = (0..2 * HISTORY_MAX).fold(stage, |s, n| s.deploy(deployed(&n.to_string())));
        assert_eq!(stage.live.len(), HISTORY_MAX);
    }
}
