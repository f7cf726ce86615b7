//! The one point of effect, and what follows it.

use std::collections::BTreeMap;

use remit_domain::{AgentId, DecisionId, OrgId, RunId, Timestamp, tool::ToolRef};
use remit_ledger::NewEntry;

use super::{Blob, Put, StoreError};

/// An amount to reserve on a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// Which counter: holds its span and what it counts by.
    pub key: String,
    /// How much (ten-thousandths for money, ones for counts), at least 0.
    pub amount: i64,
    /// The most that may be used, this amount included.
    pub max: i64,
    /// When the counter may be forgotten.
    pub until: Timestamp,
    /// Counters whose use counts towards `max` besides this one's: the earlier slots of a sliding window.
    pub also: Vec<String>,
    /// Whether it is given back when the call closes, whatever came of it: a place among calls at the same time.
    pub held: bool,
}

/// One decision to record, and what it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Admit {
    /// In which organization.
    pub org: OrgId,
    /// The decision, which is also the call.
    pub decision: DecisionId,
    /// Which agent.
    pub agent: AgentId,
    /// Which run.
    pub run: RunId,
    /// Which tool.
    pub tool: ToolRef,
    /// When it was decided.
    pub at: Timestamp,
    /// Containment epoch it was decided at.
    pub epoch: u64,
    /// Scope of the run's labels (its root run) and the version it was decided at.
    pub labels: (String, u64),
    /// Scope and stamp of labels that came from beside the run, where the decision looked at any: those its agent raised.
    pub carried: Option<(String, u64)>,
    /// Labels the call raises, on these scopes.
    pub raise: Vec<(String, String)>,
    /// Limits it reserves.
    pub reserve: Vec<Reserve>,
    /// Records it writes: the approval it consumes or asks for.
    pub puts: Vec<Put>,
    /// Content it refers to.
    pub blobs: Vec<Blob>,
    /// The decision's entry, and an approval's after it.
    pub entries: Vec<NewEntry>,
    /// Whether the call goes on: it is registered as in flight until its outcome. Which node sends it.
    pub sends: Option<String>,
}

impl Admit {
    /// What the call holds until it closes, as a store keeps it beside the call: a JSON array of `[counter, amount]`. None
    /// where it holds nothing.
    pub fn held(&self) -> Option<String> {
        let held: Vec<(&str, i64)> = self
            .reserve
            .iter()
            .filter(|r| r.held && r.amount > 0)
            .map(|r| (r.key.as_str(), r.amount))
            .collect();
        (!held.is_empty()).then(|| serde_json::json!(held).to_string())
    }
}

/// Reads what [`Admit::held`] wrote: counters to give back, and how much of each. What cannot be read gives nothing back.
pub fn held(text: Option<&str>) -> Vec<(String, i64)> {
    text.and_then(|t| serde_json::from_str(t).ok())
        .unwrap_or_default()
}

/// What an admission came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Index of the decision's entry.
    pub index: u64,
    /// Version of the run's labels after it.
    pub labels: u64,
}

/// Why a decision was not admitted. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// Something was contained, ended or narrowed since it was decided: decide again.
    #[error("the containment epoch is {0} now; decide again")]
    EpochMoved(u64),
    /// The labels it was decided on have grown or were raised again: decide again. Holds those of the run.
    #[error("the labels of the run have grown; decide again")]
    LabelsMoved(LabelState),
    /// A limit would be exceeded.
    #[error("limit `{key}` would be exceeded: {used} of {max} used")]
    LimitExceeded {
        /// Which counter.
        key: String,
        /// Used before.
        used: i64,
        /// The most.
        max: i64,
    },
    /// The store could not; an approval used meanwhile shows as `Conflict`.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A label of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// When it was last raised.
    pub at: Timestamp,
    /// The call that raised it first; none of those that were raised before that was kept.
    pub by: Option<DecisionId>,
}

/// A row of a scope, as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRow {
    /// A label, a mark that it was taken back, or the label raised after that; see [`LabelState`].
    pub label: String,
    /// When it was last raised.
    pub at: Timestamp,
    /// What it comes of: a call, or a declassification.
    pub by: Option<String>,
}

/// Labels of a scope.
///
/// Rows are only ever added, so that their number is their version. A label `pii` that people take back gets a mark
/// `pii~1` beside it; a call that raises it again adds `pii+1`, and so on. What holds is the label with as many marks as there
/// are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelState {
    /// Each label that holds.
    pub labels: BTreeMap<String, Raised>,
    rows: u64,
    newest: i64,
}

impl LabelState {
    /// Of every row of a scope.
    pub fn of(rows: &[LabelRow]) -> Self {
        let marks = |label: &str| {
            let mark = |row: &&LabelRow| row.label.split_once('~').is_some_and(|(l, _)| l == label);
            rows.iter().filter(mark).count()
        };
        let holds = |row: &LabelRow| {
            let (label, generation) = match row.label.split_once('+') {
                Some((label, n)) => (label, n.parse().ok()?),
                None if row.label.contains('~') => return None,
                None => (row.label.as_str(), 0),
            };
            let raised = Raised {
                at: row.at,
                by: row.by.as_deref().and_then(|by| by.parse().ok()),
            };
            (generation == marks(label)).then(|| (label.to_owned(), raised))
        };
        Self {
            labels: rows.iter().filter_map(holds).collect(),
            rows: u64::try_from(rows.len()).unwrap_or(u64::MAX),
            newest: rows.iter().map(|row| row.at.as_micros()).max().unwrap_or(0),
        }
    }

    /// The version: how many rows there are.
    pub fn version(&self) -> u64 {
        self.rows
    }

    /// Moves whenever a row is new or raised again, which the version does not: for labels whose age counts.
    pub fn stamp(&self) -> u64 {
        stamp(self.rows, self.newest)
    }
}

/// Labels that people take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lower {
    /// The scopes, with the stamp that each was looked at with.
    pub scopes: Vec<(String, u64)>,
    /// The labels; one that does not hold in a scope is left as it is there.
    pub labels: Vec<String>,
    /// Agents that may have no call in flight: what such a call brings back was looked at by nobody.
    pub agents: Vec<AgentId>,
    /// What takes them back, as it is kept beside them.
    pub by: String,
}

/// [`LabelState::stamp`] of `count` rows, the newest of which was raised at `newest` (microseconds since 1970). Both only
/// grow, so that their sum moves when one of them does.
pub fn stamp(count: u64, newest: i64) -> u64 {
    count.saturating_add(u64::try_from(newest).unwrap_or(0))
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// In which organization.
    pub org: OrgId,
    /// Which call.
    pub decision: DecisionId,
    /// When.
    pub at: Timestamp,
    /// Entries to append (the outcome, a finding).
    pub entries: Vec<NewEntry>,
    /// Labels it raises, on these scopes.
    pub raise: Vec<(String, String)>,
    /// Amounts to give back, by counter: on a proved failure, or what was reserved and turned out not to be used. What is
    /// [held](Reserve::held) is given back without being named here.
    pub release: Vec<(String, i64)>,
    /// Records it writes (an approval that turned out ambiguous).
    pub puts: Vec<Put>,
}

/// A call without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCall {
    /// Which call.
    pub decision: DecisionId,
    /// Index of its decision.
    pub index: u64,
    /// Which agent.
    pub agent: AgentId,
    /// Which run.
    pub run: RunId,
    /// Which tool.
    pub tool: String,
    /// Which node sent it.
    pub node: String,
    /// When it was decided.
    pub at: Timestamp,
}
