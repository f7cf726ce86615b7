//! Every fact that policies may look at. The Cedar schema is made of this table and so is the list for authors: there is
//! no fact that is not listed, and none is listed that is not there.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What a fact belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// The call.
    Context,
    /// `principal`.
    Agent,
    /// `principal.workflow`.
    Workflow,
    /// `resource`.
    Tool,
    /// What `resource` is in.
    Upstream,
    /// `resource.system`.
    System,
    /// `context.run`.
    Run,
    /// `context.person`.
    Person,
    /// The hop.
    Hop,
}

impl On {
    /// How policies reach it; an upstream is only named.
    const fn path(self) -> &'static str {
        match self {
            Self::Context | Self::Hop => "context",
            Self::Agent => "principal",
            Self::Workflow => "principal.workflow",
            Self::Tool => "resource",
            Self::Upstream => "Upstream",
            Self::System => "resource.system",
            Self::Run => "context.run",
            Self::Person => "context.person",
        }
    }
}

/// A type of Cedar's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Boolean,
    Long,
    String,
    /// A string that may be absent: `has` before looking.
    Maybe,
    /// A number that may be absent: `has` before looking.
    MaybeLong,
    Strings,
    Entity(&'static str),
    /// The tool's own arguments.
    Args,
}

impl Type {
    fn schema(self, args: &Value) -> Value {
        match self {
            Self::Boolean => json!({ "type": "Boolean" }),
            Self::Long => json!({ "type": "Long" }),
            Self::String => json!({ "type": "String" }),
            Self::Maybe => json!({ "type": "String", "required": false }),
            Self::MaybeLong => json!({ "type": "Long", "required": false }),
            Self::Strings => json!({ "type": "Set", "element": { "type": "String" } }),
            Self::Entity(name) => json!({ "type": "Entity", "name": name }),
            Self::Args => args.clone(),
        }
    }

    fn named(self) -> String {
        match self {
            Self::Boolean => "Bool".to_owned(),
            Self::Long => "Long".to_owned(),
            Self::String => "String".to_owned(),
            Self::Maybe => "String, may be absent".to_owned(),
            Self::MaybeLong => "Long, may be absent".to_owned(),
            Self::Strings => "Set<String>".to_owned(),
            Self::Entity(name) => name.to_owned(),
            Self::Args => "record of the tool's own arguments".to_owned(),
        }
    }
}

/// Since when a fact is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// Taken anew for each call.
    Call,
    /// Taken anew for each hop.
    Hop,
    /// As the registry has it when the call is decided; it changes when somebody changes the record.
    Registry,
    /// Since the run began.
    Run,
}

impl Since {
    const fn text(self) -> &'static str {
        match self {
            Self::Call => "each call",
            Self::Hop => "each hop",
            Self::Registry => "the last change of the registry",
            Self::Run => "the start of the run",
        }
    }
}

/// One row: what it belongs to, its name, its type, where it comes from, since when it is fixed, what it says.
pub(super) type Row = (On, &'static str, Type, &'static str, Since, &'static str);

use On::{Agent, Context, Person, Run, System, Tool, Upstream, Workflow};
use Since::{Call, Registry, Run as RunStart};
use Type::{Args, Boolean, Entity, Long, Maybe, String as Text, Strings};

/// The table.
#[rustfmt::skip]
pub(super) const FACTS: &[Row] = &[
    (Context, "approved", Boolean, "approvals", Call, "whether people approved exactly this call; only `unless { context.approved }` in a policy with `@approvers`"),
    (Context, "args", Args, "the call", Call, "canonical arguments; numbers that are not whole are decimals"),
    (Context, "labels", Strings, "calls of the run before", Call, "labels of the run: data classes it has read, `untrusted`, `customer:…`"),
    (Context, "regulated", Boolean, "calls of the run before", Call, "whether one of the labels is a regulated data class"),
    (Context, "private", Boolean, "calls of the run before", Call, "whether one of the labels is a data class, or a customer: that the run has read data of somebody's"),
    (Context, "breaches", Strings, "grant, chain, intent, settings, limits", Call, "codes of what is out of bounds; the guardrails deny on them"),
    (Context, "granted", Boolean, "the workflow", Call, "whether a grant of the tool holds"),
    (Context, "released", Boolean, "the workflow", Call, "whether that grant releases the call for autonomy"),
    (Context, "live", Boolean, "the run", Call, "whether the run goes on"),
    (Context, "now", Long, "the clock", Call, "seconds since 1970, UTC"),
    (Context, "hour", Long, "the clock", Call, "hour of the day, 0 to 23, UTC"),
    (Context, "weekday", Long, "the clock", Call, "1 Monday to 7 Sunday, UTC"),
    (Context, "ticket", Text, "tickets that were pushed", Call, "state of the ticket the run names; `none` where it names none, `unknown` where nobody has told of it"),
    (Context, "risk", Long, "open findings", Call, "greatest risk of the open findings about the agent and its run: 0 none, 1 low, 2 medium, 3 high"),
    (Context, "trust", Long, "the credential", Call, "how well whoever calls has proved what it is: 0 an enforcement point vouches for it, 1 it holds a registered key or is vouched for by a trusted issuer, 2 it is attested"),
    (Context, "findings", Strings, "open findings", Call, "kinds of those findings"),
    (Context, "freezes", Strings, "freezes and the clock", Call, "names of the change freezes that hold now for the tool's system"),
    (Context, "frozen", Boolean, "freezes and the clock", Call, "whether any change freeze holds now for the tool's system"),
    (Context, "windows", Strings, "freezes and the clock", Call, "names of the time windows that are open now for the tool's system"),
    (Context, "chain_depth", Long, "delegations", RunStart, "links from the person to the agent"),
    (Context, "run", Entity("Run"), "the run", RunStart, "the run"),
    (Context, "person", Entity("Person"), "delegations", RunStart, "the person the agent acts for; `present` says whether there is one"),
    (Agent, "id", Text, "the registry", Registry, "its id; policies name agents by name"),
    (Agent, "name", Text, "the registry", Registry, "its name"),
    (Agent, "state", Text, "the registry", Registry, "`active` or another word of its life"),
    (Agent, "tier", Long, "the registry", Registry, "1 reads, 2 drafts, 3 asks, 4 acts within bounds"),
    (Agent, "environment", Text, "the registry", Registry, "`development`, `test`, `staging` or `production`"),
    (Agent, "environment_rank", Long, "the registry", Registry, "the same as 1 to 4"),
    (Agent, "data_classes", Strings, "the registry", Registry, "data classes it may touch"),
    (Agent, "systems", Strings, "the registry", Registry, "ids of the systems it may reach"),
    (Agent, "enforcement", Text, "the registry", Registry, "what stands between it and its tools: `gateway`, `adapter`, `external` or `none`"),
    (Agent, "owner_living", Boolean, "the registry", Registry, "whether its owner is here"),
    (Agent, "sponsor_living", Boolean, "the registry", Registry, "whether its sponsor is here"),
    (Agent, "workflow", Entity("Workflow"), "the run", RunStart, "the workflow"),
    (Workflow, "id", Text, "the registry", Registry, "its id"),
    (Workflow, "name", Text, "the registry", Registry, "its name"),
    (Workflow, "enabled", Boolean, "the registry", Registry, "whether it is in use"),
    (Workflow, "attested", Boolean, "the registry", Registry, "whether it declares what may run it"),
    (Workflow, "data_classes", Strings, "the registry", Registry, "data classes it may touch"),
    (Tool, "name", Text, "the upstream", Registry, "its name there"),
    (Tool, "upstream", Text, "the upstream", Registry, "the upstream's name"),
    (Tool, "effect", Text, "its classification", Registry, "what it does, as an administrator declared it; `unclassified` where nobody has"),
    (Tool, "external", Boolean, "its classification", Registry, "whether it reaches outside the organization"),
    (Tool, "classified", Boolean, "its classification", Registry, "whether an administrator has declared it"),
    (Tool, "usable", Boolean, "the registry", Registry, "whether it and its upstream are in use"),
    (Tool, "state", Text, "its definition", Registry, "`enabled`, `changed`, `disabled` or `gone`"),
    (Tool, "changed", Boolean, "its definition", Registry, "whether its definition changed since it was approved"),
    (Tool, "data_classes", Strings, "its classification", Registry, "data classes it touches"),
    (Tool, "regulated", Boolean, "its classification", Registry, "whether one of them is regulated"),
    (Tool, "untrusted_content", Boolean, "its classification", Registry, "whether its results carry content nobody vouches for"),
    (Tool, "metadata", Boolean, "its classification", Registry, "whether its results hold nothing but metadata"),
    (Tool, "entitlements", Strings, "its classification", Registry, "entitlements the person must hold"),
    (Tool, "system", Entity("System"), "the upstream", Registry, "the system it belongs to"),
    (Upstream, "name", Text, "the registry", Registry, "its name; write `resource in Upstream::\"orders\"`"),
    (System, "id", Text, "the registry", Registry, "its id"),
    (System, "name", Text, "the registry", Registry, "its name"),
    (System, "environment", Text, "the registry", Registry, "where it runs; `unknown` where no system is known"),
    (System, "environment_rank", Long, "the registry", Registry, "the same as 1 to 4, and above all where it is unknown"),
    (System, "criticality", Text, "the registry", Registry, "`low`, `medium`, `high` or `critical`"),
    (System, "criticality_rank", Long, "the registry", Registry, "the same as 1 to 4, and above all where it is unknown"),
    (System, "trust", Long, "the registry", Registry, "how well whoever calls has to have proved what it is, 0 to 2 as `context.trust`; what its criticality asks for unless it says another one, and above all where it is unknown"),
    (Run, "purpose", Text, "the intent", RunStart, "what it is for, in the words of who began it"),
    (Run, "mode", Text, "the run", RunStart, "`interactive`, `subagent`, `api` or `background`"),
    (Run, "effects", Strings, "the intent", RunStart, "the effects it declares; empty where it declares none"),
    (Run, "discovery", Boolean, "the intent and the workflow", RunStart, "whether it only looks around"),
    (Run, "ticket", Maybe, "the intent", RunStart, "the ticket it names; its state is `context.ticket`"),
    (Person, "id", Text, "the registry", RunStart, "opaque id; empty where there is nobody"),
    (Person, "present", Boolean, "delegations", RunStart, "whether there is a person"),
    (Person, "active", Boolean, "the registry", Registry, "whether they are still here"),
    (Person, "entitlements", Strings, "the registry", Registry, "scopes that tools may require"),
    (Person, "roles", Strings, "the registry", Registry, "roles in the organization"),
    (Person, "teams", Strings, "the registry", Registry, "names of their teams"),
];

/// The attributes of one thing, as a record of Cedar's JSON schema format.
pub(super) fn record(on: On, args: &Value) -> Value {
    record_of(FACTS, on, args)
}

/// The same, of another table.
pub(super) fn record_of(table: &[Row], on: On, args: &Value) -> Value {
    let rows = table.iter().filter(|row| row.0 == on);
    let attributes: Map<String, Value> = rows
        .map(|(_, name, of_type, ..)| ((*name).to_owned(), of_type.schema(args)))
        .collect();
    json!({ "type": "Record", "attributes": attributes })
}

/// One fact, for authors of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FactNote {
    /// Which policies may look at it: those about `calls`, or those about `hops`.
    pub of: &'static str,
    /// How policies write it.
    pub name: String,
    /// Its Cedar type.
    #[serde(rename = "type")]
    pub of_type: String,
    /// Where it comes from.
    pub from: &'static str,
    /// Since when it is fixed.
    pub fixed_since: &'static str,
    /// What it says.
    pub about: &'static str,
}

/// Every fact that policies may look at, as the schema has them.
pub fn fact_table() -> Vec<FactNote> {
    FACTS.iter().map(|row| note("calls", row)).collect()
}

/// One row, for authors of policies.
pub(super) fn note(of: &'static str, row: &Row) -> FactNote {
    let (on, name, of_type, from, since, about) = row;
    FactNote {
        of,
        name: format!("{}.{name}", on.path()),
        of_type: of_type.named(),
        from,
        fixed_since: since.text(),
        about,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_fact_is_there_twice_and_each_says_something() {
        let names: BTreeSet<_> = fact_table().into_iter().map(|f| f.name).collect();
        assert_eq!(names.len(), FACTS.len());
        assert!(
            fact_table()
                .iter()
                .all(|f| !f.about.is_empty() && !f.from.is_empty())
        );
    }
}
