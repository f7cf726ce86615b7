//! What policies about hops may speak of: a schema of its own, so that a policy about calls is checked against none of it.

use cedar_policy::{Schema, SchemaFragment};
use serde_json::{Value, json};

use super::entity_types_of_hops;
use super::table::{FactNote, On, Row, Since, Type, note, record_of};
use crate::error::PolicyError;
use crate::hop::HopAction;

/// The group of both actions.
pub(crate) const HOP: &str = "hop";

use On::Hop;
use Since::{Hop as EachHop, Registry, Run};
use Type::{Boolean, Entity, Long, Maybe, MaybeLong, String as Text, Strings};

/// The table.
#[rustfmt::skip]
const FACTS: &[Row] = &[
    (Hop, "kind", Text, "what is asked for", EachHop, "how it comes about. Of `delegate`: `consent`, `grant`, `standing`, `ticket`, `approval`, `sub_agent`, `id_jag`. Of `issue`: `client_credentials`, `code`, `assertion`, `sub_agent`, `exchange`, `id_jag`, `workload`, `identity_assertion`"),
    (Hop, "from", Text, "who hands on", EachHop, "`person`, `agent`, or `itself` where an agent acts for nobody"),
    (Hop, "from_agent", Maybe, "who hands on", EachHop, "name of the agent that hands on"),
    (Hop, "depth", Long, "delegations", EachHop, "links from the person to the agent, this hop included"),
    (Hop, "hops_left", Long, "delegations", EachHop, "how many hops may follow"),
    (Hop, "tools", Strings, "grants, delegations, intent", EachHop, "tools that it gives, as `upstream/tool`"),
    (Hop, "effects", Strings, "their classification", Registry, "effects of those tools; `unclassified` for one that nobody has declared"),
    (Hop, "external", Boolean, "their classification", Registry, "whether one of them reaches outside the organization"),
    (Hop, "data_classes", Strings, "their classification, delegations, intent", EachHop, "data classes that it gives: those of the tools, within what the links let"),
    (Hop, "systems", Strings, "their upstreams", Registry, "names of the systems that those tools belong to"),
    (Hop, "secs", Long, "what is asked for", EachHop, "seconds that it lives: the delegation's, or the token's"),
    (Hop, "labels", Strings, "calls of the run before", EachHop, "labels of the run that hands on, or that the token is for"),
    (Hop, "regulated", Boolean, "calls of the run before", EachHop, "whether one of the labels is a regulated data class"),
    (Hop, "private", Boolean, "calls of the run before", EachHop, "whether one of the labels is a data class, or a customer"),
    (Hop, "ticket", Text, "tickets that were pushed", EachHop, "state of the ticket it is for; `none` where it is for none, `unknown` where nobody has told of it"),
    (Hop, "risk", Long, "open findings", EachHop, "greatest risk of the open findings about the agent that receives, and its run: 0 none to 3 high"),
    (Hop, "findings", Strings, "open findings", EachHop, "kinds of those findings"),
    (Hop, "trust", MaybeLong, "the credential", EachHop, "how well whoever asks for a token has proved what it is, 0 to 2; absent of `delegate`"),
    (Hop, "now", Long, "the clock", EachHop, "seconds since 1970, UTC"),
    (Hop, "hour", Long, "the clock", EachHop, "hour of the day, 0 to 23, UTC"),
    (Hop, "weekday", Long, "the clock", EachHop, "1 Monday to 7 Sunday, UTC"),
    (Hop, "person", Entity("Person"), "delegations", Run, "the person at the root of the chain; `present` says whether there is one"),
];

/// The schema, and its text for people.
pub(crate) fn build() -> Result<(Schema, String), PolicyError> {
    let applies = json!({
        "principalTypes": ["Agent"], "resourceTypes": ["Workflow"],
        "context": record_of(FACTS, Hop, &Value::Null),
    });
    let action = json!({ "memberOf": [{ "id": HOP }], "appliesTo": applies });
    let actions = json!({
        HOP: {}, HopAction::Delegate.as_str(): action.clone(), HopAction::Issue.as_str(): action,
    });
    let json = json!({ "": { "entityTypes": entity_types_of_hops(), "actions": actions } });
    let wrong = |e: &dyn std::fmt::Display| PolicyError::Schema(e.to_string());
    let fragment = SchemaFragment::from_json_value(json).map_err(|e| wrong(&e))?;
    let text = fragment.to_cedarschema().map_err(|e| wrong(&e))?;
    let schema = Schema::from_schema_fragments([fragment]).map_err(|e| wrong(&e))?;
    Ok((schema, text))
}

/// The Cedar schema that policies about hops are checked against, as text for their authors. It is the same everywhere.
///
/// # Errors
/// [`PolicyError`] never, in a binary whose tests have run.
pub fn hop_schema_text() -> Result<String, PolicyError> {
    build().map(|(_, text)| text)
}

/// Every fact that only policies about hops may look at. `principal` is the agent that receives, `resource` the workflow it
/// receives it for; they and `context.person` have what [`super::fact_table`] says of agents, workflows and people.
pub fn hop_fact_table() -> Vec<FactNote> {
    FACTS.iter().map(|row| note("hops", row)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_fact_is_there_twice_and_each_says_something() {
        let names: BTreeSet<_> = hop_fact_table().into_iter().map(|f| f.name).collect();
        assert_eq!(names.len(), FACTS.len());
        assert!(hop_fact_table().iter().all(|f| !f.about.is_empty()));
    }

    #[test]
    fn the_schema_is_one() {
        let (_, text) = build().unwrap();
        assert!(
            text.contains("delegate") && text.contains("Workflow"),
            "{text}"
        );
    }
}
