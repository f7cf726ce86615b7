//! What a containment would stop, told before it is ordered.

use remit_domain::containment::Level;
use remit_domain::{DecisionId, Registry};

use super::PreviewItem;
use super::scope::Scope;
use super::stop_all::Derived;
use crate::names;

/// What would become of each thing derived, and of each call on its way.
pub(super) fn items(
    registry: &Registry,
    scope: &Scope,
    derived: &Derived,
    calls: &[(DecisionId, String)],
    level: Level,
) -> Vec<PreviewItem> {
    let kill = level == Level::Kill;
    let waits = "refused while contained";
    let mut items = Vec::new();
    let mut add = |kind, id: String, label: Option<String>, becomes| {
        let label = label.unwrap_or_default();
        items.push(PreviewItem {
            kind,
            id,
            label,
            becomes,
        });
    };
    for id in &scope.runs {
        let run = registry.runs.get(id);
        let label = run.map(|r| names::workflow(registry, &r.workflow));
        add(
            "run",
            id.to_string(),
            label,
            if kill { "ended" } else { "suspended" },
        );
    }
    for token in derived.tokens.iter().map(|t| &t.noun) {
        let workflow = names::workflow(registry, &token.workflow);
        let label = format!("{workflow}, until {}", token.expires);
        add("token", token.id.to_string(), Some(label), "revoked");
    }
    for key in &scope.keys {
        let label = names::agent(registry, &scope.agent);
        add(
            "key",
            key.clone(),
            Some(label),
            if kill { "removed" } else { waits },
        );
    }
    for id in &scope.delegations {
        let label = registry.delegations.get(id).map(|d| {
            let from = names::principal(registry, &d.from);
            format!("{from} to {}", names::agent(registry, &d.to))
        });
        add(
            "delegation",
            id.to_string(),
            label,
            if kill { "revoked" } else { waits },
        );
    }
    for approval in derived.approvals.iter().map(|a| &a.noun) {
        add(
            "approval",
            approval.id.to_string(),
            Some(approval.tool.to_string()),
            "cancelled",
        );
    }
    for (decision, tool) in calls {
        add(
            "call",
            decision.to_string(),
            Some(tool.clone()),
            "stopped where it can be",
        );
    }
    items
}
