//! Which labels a run has: those of its tree, and those that its agent brings along.

use std::collections::BTreeSet;

use remit_domain::limits::{LABEL_CARRY_SECS, LABEL_REFRESH_SECS};
use remit_domain::run::{Mode, Run};
use remit_domain::{AgentId, Timestamp};
use remit_ports::store::LabelState;

/// Scope of an agent's own labels, which follow it into runs it opens by itself.
pub fn agent_scope(agent: &AgentId) -> String {
    format!("agent:{agent}")
}

/// Whether labels of its agent follow into a tree of runs: where the agent opened its first run by itself. What a person
/// delegates there and then starts clean.
///
/// - `root`: the first run of the tree.
pub fn carries(root: &Run) -> bool {
    !matches!(root.mode, Mode::Interactive | Mode::Subagent)
}

/// Labels that follow the agent of the first run into its tree, sub-agents included: those it raised in the last 24 hours.
///
/// - `own`: the labels of that agent.
pub fn carried(root: &Run, own: &LabelState, now: Timestamp) -> BTreeSet<String> {
    if !carries(root) {
        return BTreeSet::new();
    }
    let kept = LABEL_CARRY_SECS.saturating_add(LABEL_REFRESH_SECS);
    let recent = own
        .labels
        .iter()
        .filter(|(_, raised)| now.secs_since(raised.at) < kept);
    recent.map(|(label, _)| label.clone()).collect()
}
