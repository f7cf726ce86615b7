//! Declassification: people take labels back from a run. Labels shrink in no other way.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{AgentId, DeclassificationId, Kind, Noun, PersonId, RunId, Timestamp};

/// Most labels of one request.
pub const LABELS_TAKEN_MAX: usize = 20;
/// How long a request waits for somebody else, in seconds.
pub const DECLASSIFICATION_SECS: i64 = 86_400;

/// Where a declassification stands. That it has run out is read off its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeclassificationState {
    /// It waits for a second person.
    Requested,
    /// The labels were taken back.
    Approved,
    /// Somebody said no, or who asked took it back.
    Refused,
}

impl DeclassificationState {
    /// The state as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Refused => "refused",
        }
    }
}

/// Labels that a run is asked to be rid of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declassification {
    /// Its id.
    pub id: DeclassificationId,
    /// Which run; its whole tree, since labels belong to that.
    pub run: RunId,
    /// The first run of the tree.
    pub root: RunId,
    /// Whose run it is.
    pub agent: AgentId,
    /// Which labels.
    pub labels: BTreeSet<String>,
    /// Why, in the words of who asks.
    pub reason: String,
    /// Who asks.
    pub requested_by: PersonId,
    /// When: what the run has touched since then was looked at by nobody.
    pub requested_at: Timestamp,
    /// Who decided.
    pub decided_by: Option<PersonId>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Why, in the words of who decided.
    pub verdict: Option<String>,
    /// Where it stands.
    pub state: DeclassificationState,
}

impl Declassification {
    /// `requested`, `approved`, `refused`, or `expired` when nobody decided in time.
    pub fn state_at(&self, now: Timestamp) -> &'static str {
        let late = now.secs_since(self.requested_at) >= DECLASSIFICATION_SECS;
        match self.state {
            DeclassificationState::Requested if late => "expired",
            state => state.as_str(),
        }
    }
}

impl Noun for Declassification {
    const KIND: Kind = Kind::Declassification;
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
