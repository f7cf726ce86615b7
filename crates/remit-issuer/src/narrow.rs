//! Narrowing: what a parent has, whether a sub-agent asks for more, and the link that says what it gets.
//!
//! The comparison is an early, friendly no. Safety rests on the link itself: it carries the parent's own bounds, and
//! every link is checked at every call (invariant 4).

use std::collections::{BTreeMap, BTreeSet};

use remit_domain::authority::Authority;
use remit_domain::bounds::Bounds;
use remit_domain::name::Name;
use remit_domain::standing::Standing;
use remit_domain::tool::{Effect, ToolRef};
use remit_domain::{Registry, Timestamp, Workflow};

/// What holds only where both hold. It may be narrower than both, never wider than either.
pub(crate) fn meet(a: &Authority, b: &Authority) -> Authority {
    Authority {
        tools: both(a.tools.as_ref(), b.tools.as_ref(), |a, b| {
            a.iter()
                .filter_map(|(tool, bounds)| Some((tool.clone(), all_of(bounds, b.get(tool)?))))
                .collect()
        }),
        effects: both(a.effects.as_ref(), b.effects.as_ref(), |a, b| a & b),
        data_classes: both(a.data_classes.as_ref(), b.data_classes.as_ref(), |a, b| {
            a & b
        }),
        targets: both(a.targets.as_ref(), b.targets.as_ref(), |a, b| {
            // A kind that only one of them lists stays listed, with nothing in it: neither lets its objects through.
            let kinds: BTreeSet<&Name> = a.keys().chain(b.keys()).collect();
            let objects = |kind: &Name| match (a.get(kind), b.get(kind)) {
                (Some(a), Some(b)) => a & b,
                _ => BTreeSet::new(),
            };
            kinds
                .into_iter()
                .map(|kind| (kind.clone(), objects(kind)))
                .collect()
        }),
        until: both(a.until.as_ref(), b.until.as_ref(), |a, b| *a.min(b)),
    }
}

fn both<T: Clone>(a: Option<&T>, b: Option<&T>, meet: impl FnOnce(&T, &T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(meet(a, b)),
        (a, b) => a.or(b).cloned(),
    }
}

/// Both sets of bounds at once: every bound listed for an argument has to hold.
fn all_of(a: &Bounds, b: &Bounds) -> Bounds {
    let mut all = a.clone();
    for (path, bounds) in &b.0 {
        let at = all.0.entry(path.clone()).or_default();
        at.extend(
            bounds
                .iter()
                .filter(|bound| !a.0.get(path).is_some_and(|have| have.contains(bound)))
                .cloned(),
        );
    }
    all
}

/// What a workflow may do by its grants at `now`. Where several grants give one tool, any of them may be used, which bounds
/// cannot say: all of them together are carried, which is narrower and never wider.
pub(crate) fn of_workflow(workflow: &Workflow, now: Timestamp) -> Authority {
    let mut tools: BTreeMap<ToolRef, Bounds> = BTreeMap::new();
    for grant in workflow
        .grants
        .iter()
        .filter(|grant| grant.expires.is_none_or(|end| now < end))
    {
        let either = |have: &mut Bounds| {
            let free = have.0.is_empty() || grant.bounds.0.is_empty();
            *have = if free {
                Bounds::default()
            } else {
                all_of(have, &grant.bounds)
            };
        };
        tools
            .entry(grant.tool.clone())
            .and_modify(either)
            .or_insert_with(|| grant.bounds.clone());
    }
    Authority {
        tools: Some(tools),
        data_classes: Some(workflow.data_classes.clone()),
        ..Authority::default()
    }
}

/// When the first of the tools that are carried on ends by the workflow's grants; none where none does.
///
/// Of several grants of one tool the last one counts, but where one of them leaves its arguments free, what is carried is free as
/// well: then only those count that do.
pub(crate) fn ends(workflow: &Workflow, carried: &Authority, now: Timestamp) -> Option<Timestamp> {
    let end = |tool: &ToolRef| {
        let grants = || workflow.grants_of(tool, now);
        let free = grants().any(|grant| grant.bounds.0.is_empty());
        let counts = grants().filter(|grant| !free || grant.bounds.0.is_empty());
        let ends: Option<Vec<Timestamp>> = counts.map(|grant| grant.expires).collect();
        ends.and_then(|ends| ends.into_iter().max())
    };
    let tools = carried.tools.iter().flat_map(BTreeMap::keys);
    tools.filter_map(end).min()
}

/// What a run has by itself: its workflow's grants, within its intent.
pub(crate) fn of_run(standing: &Standing, now: Timestamp) -> Authority {
    meet(
        &of_workflow(&standing.workflow, now),
        &standing.run.intent.authority,
    )
}

/// What a run has in the end: what it has by itself, within every link of its chain.
pub(crate) fn in_all(standing: &Standing, now: Timestamp) -> Authority {
    standing
        .chain
        .iter()
        .fold(of_run(standing, now), |have, link| {
            meet(&have, &link.authority)
        })
}

/// Every tool in `asked` that is not granted, or that one of `held` does not name, and every argument that is left freer than
/// there, one line each. Of several grants of one tool any may be used, so it is enough to stay within one.
pub(crate) fn freer<'a>(
    asked: &Authority,
    workflow: &Workflow,
    held: impl Iterator<Item = &'a Authority>,
    now: Timestamp,
) -> Vec<String> {
    let held: Vec<&Authority> = held.collect();
    let mut out = Vec::new();
    for (tool, bounds) in asked.tools.iter().flatten() {
        let grants: Vec<&Bounds> = workflow.grants_of(tool, now).map(|g| &g.bounds).collect();
        let links = held.iter().filter_map(|authority| authority.tools.as_ref());
        if grants.is_empty() || links.clone().any(|tools| !tools.contains_key(tool)) {
            out.push(format!("tool {tool}"));
            continue;
        }
        let freer = |have: &Bounds| bounds.freer_than(have).next().cloned();
        let by_grants: Vec<_> = grants.iter().map(|grant| freer(grant)).collect();
        let granted = by_grants.iter().any(Option::is_none);
        let by_grants = by_grants.into_iter().flatten().take(usize::from(!granted));
        let by_links = links.filter_map(|tools| freer(tools.get(tool)?));
        out.extend(
            by_grants
                .chain(by_links)
                .map(|path| format!("argument {path} of {tool}")),
        );
    }
    out.dedup();
    out
}

/// Everything in `asked` that `have` lacks, one line each; empty when nothing is.
pub(crate) fn wider(asked: &Authority, have: &Authority, registry: &Registry) -> Vec<String> {
    let mut out = Vec::new();
    let has_tool = |tool: &ToolRef| {
        have.tools
            .as_ref()
            .is_none_or(|tools| tools.contains_key(tool))
    };
    let tools = asked.tools.iter().flat_map(|tools| tools.keys());
    out.extend(
        tools
            .filter(|tool| !has_tool(tool))
            .map(|tool| format!("tool {tool}")),
    );
    let effects = effects_of(have, registry);
    let lacks = |effect: &&Effect| !effects.contains(effect);
    out.extend(
        asked
            .effects
            .iter()
            .flatten()
            .filter(lacks)
            .map(|effect| format!("effect {}", effect.as_str())),
    );
    if let Some(classes) = &have.data_classes {
        let lacking = asked
            .data_classes
            .iter()
            .flatten()
            .filter(|class| !classes.contains(*class));
        out.extend(lacking.map(|class| format!("data class {class}")));
    }
    if let (Some(asked), Some(have)) = (&asked.targets, &have.targets) {
        for (kind, objects) in asked {
            let lacking = objects
                .iter()
                .any(|object| !have.get(kind).is_some_and(|have| have.contains(object)));
            out.extend(lacking.then(|| format!("a target of kind {kind}")));
        }
    }
    if let (Some(asked), Some(have)) = (asked.until, have.until)
        && asked > have
    {
        out.push("more time".to_owned());
    }
    out
}

/// The effects of the tools that `have` includes, as far as it includes effects.
fn effects_of(have: &Authority, registry: &Registry) -> BTreeSet<Effect> {
    let included = |tool: &ToolRef| {
        have.tools
            .as_ref()
            .is_none_or(|tools| tools.contains_key(tool))
    };
    let tools = registry.tools.values().filter(|tool| included(&tool.tool));
    let effects = tools.filter_map(|tool| tool.classification.as_ref().map(|c| c.effect));
    effects
        .filter(|effect| {
            have.effects
                .as_ref()
                .is_none_or(|effects| effects.contains(effect))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn authority(body: Value) -> Authority {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn what_meets_is_never_wider_than_either() {
        let a = authority(json!({
            "tools": { "o/refund": { "amount": [{ "decimal": { "max": "100" } }] }, "o/read": {} },
            "effects": ["read", "purchase"], "targets": { "order": ["A-1", "A-2"] }, "until": "2026-01-02T00:00:00Z"
        }));
        let b = authority(json!({
            "tools": { "o/refund": { "amount": [{ "decimal": { "max": "50" } }] }, "o/write": {} },
            "data_classes": ["pii"], "targets": { "order": ["A-2", "A-3"], "person": ["P-1"] }, "until": "2026-01-01T00:00:00Z"
        }));
        let met = meet(&a, &b);
        let expected = authority(json!({
            "tools": { "o/refund": { "amount": [{ "decimal": { "max": "100" } }, { "decimal": { "max": "50" } }] } },
            "effects": ["read", "purchase"], "data_classes": ["pii"],
            "targets": { "order": ["A-2"], "person": [] }, "until": "2026-01-01T00:00:00Z"
        }));
        assert_eq!(met, expected);
        assert_eq!(meet(&met, &met), met);
        assert_eq!(meet(&a, &Authority::default()), a);
    }

    #[test]
    fn several_grants_of_one_tool_are_never_carried_wider() {
        let grant = |id: u128, bounds: Value| {
            let now = Timestamp::from_secs(0);
            let id = remit_domain::GrantId::from_uuid(uuid::Uuid::from_u128(id));
            let by = remit_domain::PersonId::from_uuid(uuid::Uuid::nil());
            json!({ "id": id, "tool": "o/refund", "bounds": bounds, "expires": null, "granted_by": by, "granted_at": now })
        };
        let low = json!({ "amount": [{ "decimal": { "max": "50" } }] });
        let own = json!({ "order": [{ "one_of": ["A-1"] }] });
        let carried = |grants: Vec<Value>| {
            let workflow: Workflow = serde_json::from_value(json!({
                "id": remit_domain::WorkflowId::from_uuid(uuid::Uuid::nil()), "name": "w", "purpose": "",
                "agent": remit_domain::AgentId::from_uuid(uuid::Uuid::nil()), "grants": grants, "data_classes": [],
                "run_secs_max": 1, "run_idle_secs_max": 1, "spawnable": [], "enabled": true
            }))
            .unwrap();
            let tools = of_workflow(&workflow, Timestamp::from_secs(1))
                .tools
                .unwrap();
            serde_json::to_value(&tools["o/refund".parse::<ToolRef>().as_ref().unwrap()]).unwrap()
        };
        let both = json!({ "amount": low["amount"], "order": own["order"] });
        assert_eq!(
            carried(vec![grant(1, low.clone()), grant(2, own.clone())]),
            both
        );
        assert_eq!(
            carried(vec![grant(1, low), grant(2, json!({})), grant(3, own)]),
            json!({})
        );
    }

    #[test]
    fn asking_for_more_is_noticed_on_every_axis() {
        let registry = Registry::default();
        let have = authority(json!({
            "tools": { "o/read": {} }, "data_classes": ["pii"], "targets": { "order": ["A-1"] }, "until": "2026-01-01T00:00:00Z"
        }));
        for more in [
            json!({ "tools": { "o/refund": {} } }),
            json!({ "effects": ["purchase"] }),
            json!({ "data_classes": ["secret"] }),
            json!({ "targets": { "order": ["A-2"] } }),
            json!({ "targets": { "person": ["P-1"] } }),
            json!({ "until": "2026-01-01T00:00:01Z" }),
        ] {
            assert_eq!(
                wider(&authority(more.clone()), &have, &registry).len(),
                1,
                "{more}"
            );
        }
        let same = json!({ "tools": { "o/read": {} }, "data_classes": ["pii"], "targets": { "order": ["A-1"] } });
        assert!(wider(&authority(same), &have, &registry).is_empty());
    }
}
