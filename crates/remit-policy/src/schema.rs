//! The Cedar schema of one organization's tools: what policies may speak of, and nothing else.
//!
//! One action for each tool, `Action::"upstream/tool"`, in the group `Action::"call"`, in one group for its effect
//! (`Action::"effect:purchase"`) and, where it reaches outside, in `Action::"external"`. Its context holds the tool's
//! own arguments, typed (see [`crate::args`]).

use cedar_policy::{Schema, SchemaFragment};
use remit_domain::tool::{Classification, Effect};
use serde_json::{Map, Value, json};

use crate::args::ArgType;
use crate::error::PolicyError;

/// Every effect, each of which is a group of actions.
pub(crate) const EFFECTS: [Effect; 8] = [
    Effect::Read,
    Effect::Draft,
    Effect::Write,
    Effect::Destructive,
    Effect::External,
    Effect::Execute,
    Effect::Purchase,
    Effect::Privilege,
];

/// The group of every action.
pub(crate) const CALL: &str = "call";
/// The group of the actions that reach outside the organization.
pub(crate) const EXTERNAL: &str = "external";

/// The group of the actions of one effect.
pub(crate) fn effect_group(effect: Effect) -> String {
    format!("effect:{}", effect.as_str())
}

/// Whether a call reaches outside the organization: declared so, or implied by its effect.
pub(crate) fn is_external(classification: &Classification) -> bool {
    classification.external || classification.effect == Effect::External
}

/// The groups an action is in.
pub(crate) fn groups(classification: Option<&Classification>) -> Vec<String> {
    let mut groups = vec![CALL.to_owned()];
    if let Some(classification) = classification {
        groups.push(effect_group(classification.effect));
        if is_external(classification) {
            groups.push(EXTERNAL.to_owned());
        }
    }
    groups
}

/// One tool, as the schema sees it.
pub(crate) struct Action<'a> {
    pub(crate) id: String,
    pub(crate) groups: Vec<String>,
    pub(crate) args: &'a ArgType,
}

/// The schema of these tools, and its text for people.
pub(crate) fn build<'a>(
    tools: impl Iterator<Item = Action<'a>>,
) -> Result<(Schema, String), PolicyError> {
    let mut actions = Map::new();
    for group in EFFECTS
        .map(effect_group)
        .into_iter()
        .chain([CALL.to_owned(), EXTERNAL.to_owned()])
    {
        actions.insert(group, json!({}));
    }
    for Action { id, groups, args } in tools {
        let parents: Vec<_> = groups.iter().map(|id| json!({ "id": id })).collect();
        let applies = json!({ "principalTypes": ["Agent"], "resourceTypes": ["Tool"], "context": context(args) });
        actions.insert(id, json!({ "memberOf": parents, "appliesTo": applies }));
    }
    let json = json!({ "": { "entityTypes": entity_types(), "actions": actions } });
    let wrong = |e: &dyn std::fmt::Display| PolicyError::Schema(e.to_string());
    let fragment = SchemaFragment::from_json_value(json).map_err(|e| wrong(&e))?;
    let text = fragment.to_cedarschema().map_err(|e| wrong(&e))?;
    let schema = Schema::from_schema_fragments([fragment]).map_err(|e| wrong(&e))?;
    Ok((schema, text))
}

fn context(args: &ArgType) -> Value {
    record(json!({
        "approved": boolean(),
        "args": args.to_schema(),
        "labels": strings(),
        "breaches": strings(),
        "granted": boolean(),
        "live": boolean(),
        "now": long(),
        "hour": long(),
        "weekday": long(),
        "chain_depth": long(),
        "run": entity("Run"),
        "person": entity("Person"),
    }))
}

fn entity_types() -> Value {
    json!({
        "Agent": { "memberOfTypes": ["Workflow"], "shape": record(json!({
            "id": string(), "name": string(), "state": string(), "tier": long(), "environment": string(),
            "environment_rank": long(), "data_classes": strings(), "systems": strings(), "enforcement": string(),
            "owner_living": boolean(), "sponsor_living": boolean(), "workflow": entity("Workflow"),
        }))},
        "Workflow": { "shape": record(json!({
            "id": string(), "name": string(), "enabled": boolean(), "data_classes": strings(),
        }))},
        "Tool": { "memberOfTypes": ["Upstream"], "shape": record(json!({
            "name": string(), "upstream": string(), "effect": string(), "external": boolean(), "classified": boolean(),
            "usable": boolean(), "changed": boolean(), "data_classes": strings(), "untrusted_content": boolean(),
            "entitlements": strings(), "system": entity("System"),
        }))},
        "Upstream": { "memberOfTypes": ["System"], "shape": record(json!({ "name": string() }))},
        "System": { "shape": record(json!({
            "id": string(), "name": string(), "environment": string(), "environment_rank": long(),
            "criticality": string(), "criticality_rank": long(),
        }))},
        "Run": { "shape": record(json!({
            "purpose": string(), "mode": string(), "ticket": { "type": "String", "required": false },
        }))},
        "Person": { "shape": record(json!({
            "id": string(), "present": boolean(), "active": boolean(), "entitlements": strings(), "roles": strings(),
            "teams": strings(),
        }))},
    })
}

fn record(attributes: Value) -> Value {
    json!({ "type": "Record", "attributes": attributes })
}

fn string() -> Value {
    json!({ "type": "String" })
}

fn boolean() -> Value {
    json!({ "type": "Boolean" })
}

fn long() -> Value {
    json!({ "type": "Long" })
}

fn strings() -> Value {
    json!({ "type": "Set", "element": string() })
}

fn entity(name: &str) -> Value {
    json!({ "type": "Entity", "name": name })
}
