//! The Cedar schema of one organization's tools: what policies may speak of, and nothing else.
//!
//! One action for each tool, `Action::"upstream/tool"`, in the group `Action::"call"`, in one group for its effect
//! (`Action::"effect:purchase"`) and, where it reaches outside, in `Action::"external"`. Its context holds the tool's
//! own arguments, typed (see [`crate::args`]).

mod hops;
mod table;

use cedar_policy::{Schema, SchemaFragment};
use remit_domain::tool::{Classification, Effect};
use serde_json::{Map, Value, json};

use crate::args::ArgType;
use crate::error::PolicyError;
pub(crate) use hops::{HOP, build as build_hops};
pub use hops::{hop_fact_table, hop_schema_text};
pub use table::{FactNote, fact_table};
use table::{On, record};

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
    record(On::Context, &args.to_schema())
}

fn entity_types() -> Value {
    let shape = |on| record(on, &Value::Null);
    json!({
        "Agent": { "memberOfTypes": ["Workflow"], "shape": shape(On::Agent) },
        "Workflow": { "shape": shape(On::Workflow) },
        "Tool": { "memberOfTypes": ["Upstream"], "shape": shape(On::Tool) },
        "Upstream": { "memberOfTypes": ["System"], "shape": shape(On::Upstream) },
        "System": { "shape": shape(On::System) },
        "Run": { "shape": shape(On::Run) },
        "Person": { "shape": shape(On::Person) },
    })
}

/// What policies about hops name: who receives, what for, and for whom.
fn entity_types_of_hops() -> Value {
    let shape = |on| record(on, &Value::Null);
    json!({
        "Agent": { "memberOfTypes": ["Workflow"], "shape": shape(On::Agent) },
        "Workflow": { "shape": shape(On::Workflow) },
        "Person": { "shape": shape(On::Person) },
    })
}
