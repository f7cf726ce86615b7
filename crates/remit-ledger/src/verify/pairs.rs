//! Every decision that let a call go on is followed by its outcome, or by a reported gap (invariant 2).

use std::collections::{BTreeMap, BTreeSet};

use remit_domain::event::EventKind;
use remit_domain::{DecisionId, Timestamp};
use serde_json::Value;

use crate::Leaf;

/// A call that went on and has no outcome in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// Record of its decision.
    pub record: u64,
    /// Its decision.
    pub decision: DecisionId,
    /// When it was decided.
    pub at: Timestamp,
    /// Whether the ledger itself says so; otherwise the call may still be under way.
    pub reported: bool,
}

/// Decisions that wait for their outcome.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    open: BTreeMap<DecisionId, (u64, Timestamp)>,
    reported: BTreeMap<u64, Gap>,
    late: BTreeSet<DecisionId>,
}

impl Pairs {
    /// Takes the next leaf; says what is wrong with it.
    pub(super) fn take(&mut self, at: u64, leaf: &Leaf) -> Result<(), String> {
        let Some(decision) = &leaf.decision else {
            return if is_of_call(leaf.kind) {
                Err("speaks of a call and names no decision".to_owned())
            } else {
                Ok(())
            };
        };
        match leaf.kind {
            EventKind::CallDecided if goes_on(leaf) => {
                match self.open.insert(decision.clone(), (at, leaf.at)) {
                    None => Ok(()),
                    Some((first, _)) => Err(format!(
                        "decides {decision} again, which record {first} decided"
                    )),
                }
            }
            EventKind::CallCompleted => self.completed(decision, leaf),
            EventKind::CallGap => match self.open.remove(decision) {
                Some((record, decided)) => {
                    self.late.insert(decision.clone());
                    let gap = Gap {
                        record,
                        decision: decision.clone(),
                        at: decided,
                        reported: true,
                    };
                    self.reported.insert(record, gap);
                    Ok(())
                }
                None => Err(format!(
                    "reports a gap after {decision}, which no record before it let go on"
                )),
            },
            _ => Ok(()),
        }
    }

    fn completed(&mut self, decision: &DecisionId, leaf: &Leaf) -> Result<(), String> {
        match self.open.remove(decision) {
            Some((record, _)) => match leaf.facts.get("decided_at").and_then(Value::as_u64) {
                Some(said) if said != record => Err(format!(
                    "says that {decision} was decided in record {said}; it was in record {record}"
                )),
                _ => Ok(()),
            },
            // The outcome of a call whose gap was reported came after all.
            None if self.late.remove(decision) => Ok(()),
            None => Err(format!(
                "is the outcome of {decision}, which no record before it let go on"
            )),
        }
    }

    /// What is left, by record.
    pub(super) fn into_gaps(self) -> Vec<Gap> {
        let open = self.open.into_iter().map(|(decision, (record, at))| Gap {
            record,
            decision,
            at,
            reported: false,
        });
        let mut gaps: Vec<Gap> = self.reported.into_values().chain(open).collect();
        gaps.sort_by_key(|gap| gap.record);
        gaps
    }
}

fn is_of_call(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::CallDecided | EventKind::CallCompleted | EventKind::CallGap
    )
}

/// Whether the decision let the call go on: it was not denied, and asked for nothing that was not given.
fn goes_on(leaf: &Leaf) -> bool {
    let word = |name: &str| {
        leaf.facts
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    word("outcome") != "deny" && matches!(word("consent"), "not_needed" | "given")
}
