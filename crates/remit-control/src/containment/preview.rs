//! What a containment would stop, told before it is ordered.

use std::collections::BTreeSet;

use remit_domain::containment::{Level, Lineage, Target};
use remit_domain::credential::{Svid, SvidForm};
use remit_domain::{DecisionId, Registry, Timestamp, WorkflowId};

use super::PreviewItem;
use super::scope::Scope;
use super::stop_all::Derived;
use crate::names;

/// The same, by name.
pub(super) fn workflows(registry: &Registry, scope: &Scope, derived: &Derived) -> BTreeSet<String> {
    let ids = workflow_ids(registry, scope, derived);
    ids.iter().map(|id| names::workflow(registry, id)).collect()
}

/// The workflows that could do nothing more: the target's own, and those of everything below it.
pub(super) fn workflow_ids(
    registry: &Registry,
    scope: &Scope,
    derived: &Derived,
) -> BTreeSet<WorkflowId> {
    // A key opens runs in every workflow of its agent.
    let keys = scope.keys.iter().filter_map(|key| registry.keys.get(key));
    let whole: BTreeSet<_> = keys.map(|key| &key.agent).collect();
    let all = registry.workflows.values();
    let own = all
        .filter(|w| {
            let agent = registry.agents.get(&w.agent);
            let mut of = agent.map_or_else(Lineage::default, |a| Lineage::of_agent(a));
            of.workflows.push(&w.id);
            whole.contains(&w.agent) || scope.target.holds(&of)
        })
        .map(|w| &w.id);
    let runs = scope.runs.iter().filter_map(|id| registry.runs.get(id));
    let tokens = derived.tokens.iter().map(|t| &t.noun.workflow);
    own.chain(runs.map(|r| &r.workflow))
        .chain(tokens)
        .cloned()
        .collect()
}

/// The people it concerns: for whom things are done, and who answers for the agents that do them.
pub(super) fn people(registry: &Registry, scope: &Scope, derived: &Derived) -> BTreeSet<String> {
    let runs = scope.runs.iter().filter_map(|id| registry.runs.get(id));
    let links = scope.delegations.iter();
    let links = links.filter_map(|id| registry.delegations.get(id));
    let approvals = derived.approvals.iter();
    let whom = runs
        .filter_map(|run| run.person.as_ref())
        .chain(links.map(|link| &link.person))
        .chain(approvals.filter_map(|a| a.noun.person.as_ref()));
    let target = match &scope.target {
        Target::Person(id) => Some(id),
        _ => None,
    };
    let agents = scope.agents(registry);
    let agents = agents.iter().filter_map(|id| registry.agents.get(id));
    let answer = agents.flat_map(|a| [&a.profile.owner, &a.profile.sponsor]);
    whom.chain(target)
        .chain(answer)
        .map(|id| names::person(registry, id))
        .collect()
}

/// The form of an SVID, as the standard names it.
pub(super) fn form(form: SvidForm) -> &'static str {
    match form {
        SvidForm::X509 => "X.509",
        SvidForm::Jwt => "JWT",
        SvidForm::Wit => "WIT",
    }
}

fn told(registry: &Registry, svid: &Svid) -> String {
    let workflow = names::workflow(registry, &svid.workflow);
    format!(
        "{}-SVID of {workflow}, until {}",
        form(svid.form),
        svid.expires
    )
}

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
        let becomes = if kill { "ended" } else { "suspended" };
        add("run", id.to_string(), label, becomes);
    }
    for token in derived.tokens.iter().map(|t| &t.noun) {
        let workflow = names::workflow(registry, &token.workflow);
        let until = Timestamp::from_secs(token.expires.as_secs());
        let label = format!("{workflow}, until {until}");
        add("token", token.id.to_string(), Some(label), "revoked");
    }
    for svid in derived.svids.iter().map(|s| &s.noun) {
        let becomes = "withdrawn; whoever believes it elsewhere does so until it ends";
        add(
            "svid",
            svid.id.to_string(),
            Some(told(registry, svid)),
            becomes,
        );
    }
    for key in &scope.keys {
        let agent = registry.keys.get(key).map(|key| &key.agent);
        let label = agent.map(|agent| names::agent(registry, agent));
        let becomes = if kill { "removed" } else { waits };
        add("key", key.clone(), label, becomes);
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
