//! What is claimed of every organization's policies, and which tools have to be looked at to prove a claim for all.

use std::collections::BTreeMap;

use cedar_policy::ActionConstraint;
use remit_domain::tool::{Classification, ToolRef};
use serde_json::Value;

use crate::ask::mentions;
use crate::engine::Engine;
use crate::load::Loaded;
use crate::schema::groups;
use crate::test_case::Never;

/// Claims that hold in every organization: id, sentence, condition.
const CLAIMS: [(&str, &str, &str); 10] = [
    (
        "tier-1-never-writes",
        "an agent of tier 1 never does more than read",
        r#"principal.tier == 1 && (resource.effect != "read" || resource.external)"#,
    ),
    (
        "tier-2-never-writes",
        "an agent of tier 2 never does more than read and draft",
        r#"principal.tier == 2 && (resource.external || !["read", "draft"].contains(resource.effect))"#,
    ),
    (
        "tier-3-never-alone",
        "an agent of tier 3 does not do more than read and draft without approval",
        r#"principal.tier == 3 && (resource.external || !["read", "draft"].contains(resource.effect)) && !context.approved"#,
    ),
    (
        "high-risk-never-alone",
        "what deletes, runs code, buys, sends outside or changes privileges is released for autonomy or approved",
        r#"principal.tier >= 1 && principal.tier <= 4 && !context.released && !context.approved && (resource.external || ["destructive", "external", "execute", "purchase", "privilege"].contains(resource.effect))"#,
    ),
    (
        "regulated-data-stays",
        "there is no way to an external sink with regulated data without approval",
        r"resource.external && (context.regulated || resource.regulated) && !context.approved",
    ),
    (
        "stopped-agent-is-stopped",
        "an agent that is suspended, quarantined, killed or not activated yet is never allowed anything",
        r#"principal.state != "active""#,
    ),
    (
        "nothing-without-a-grant",
        "nothing is allowed that is not granted, or outside the bounds of the grant, of the intent or of a delegation",
        r#"!context.granted || context.breaches.containsAny(["grant-bounds", "limit-exceeded", "intent-bounds", "chain-broken", "chain-too-deep", "delegation-expired", "delegation-bounds", "arguments-invalid", "discovery-bounds"])"#,
    ),
    (
        "nothing-after-the-run",
        "nothing is allowed in a run that has ended",
        r"!context.live",
    ),
    (
        "nothing-unclassified",
        "a tool that is not classified, not in use or changed since it was approved is never called",
        r"!resource.classified || !resource.usable || resource.changed",
    ),
    (
        "agents-never-govern",
        "no agent changes what governs agents",
        r#"(resource.upstream == "remit" || resource.system.name == "remit") && resource.effect != "read""#,
    ),
];

/// The claims that hold in every organization.
pub fn claims() -> Vec<Never> {
    CLAIMS
        .iter()
        .filter_map(|(id, text, when)| {
            Some(Never {
                id: id.parse().ok()?,
                text: (*text).to_owned(),
                when: (*when).to_owned(),
            })
        })
        .collect()
}

/// Whether a claim can only be looked at tool by tool.
pub fn is_of_one_tool(condition: &str) -> bool {
    condition.contains("args") || condition.contains("action")
}

/// What tells tools apart: the policies that can matter, and the tool itself where one of them looks closer.
type Group<'a> = (Vec<&'a str>, Option<String>);

impl Engine {
    /// Tools, as `upstream/tool`, that stand for all: two tools for which the same policies can matter, none of which looks
    /// at the arguments or the action, differ in nothing that an evaluation sees.
    pub fn representatives(&self) -> Vec<String> {
        firsts(self.grouped())
    }

    /// Tools that stand for all under both engines at once: those that either tells apart are apart.
    pub fn representatives_beside(&self, other: &Self) -> Vec<String> {
        let others = other.grouped();
        let both = self.grouped().into_iter().map(|(name, group)| {
            let beside = others.get(&name).cloned();
            (name, (group, beside))
        });
        firsts(both.collect())
    }

    fn grouped(&self) -> BTreeMap<String, Group<'_>> {
        // Asked once of each policy: to look into one is not cheap.
        let closer: Vec<(&Loaded, bool)> = self
            .policies()
            .iter()
            .map(|l| (l, l.mentions_args || mentions_action(l)))
            .collect();
        let group = |(tool, classification): (&ToolRef, Option<&Classification>)| {
            let name = tool.to_string();
            let mut actions = groups(classification);
            actions.push(name.clone());
            let matter = closer.iter().filter(|(l, _)| can_matter(l, &actions));
            let own = matter.clone().any(|(_, closer)| *closer);
            let ids = matter.map(|(l, _)| l.id.as_str()).collect();
            (name.clone(), (ids, own.then_some(name)))
        };
        self.tools().map(group).collect()
    }
}

/// The first tool of each group, in order.
fn firsts<G: Ord>(tools: BTreeMap<String, G>) -> Vec<String> {
    let mut chosen: BTreeMap<G, String> = BTreeMap::new();
    for (name, group) in tools {
        chosen.entry(group).or_insert(name);
    }
    let mut names: Vec<_> = chosen.into_values().collect();
    names.sort();
    names
}

fn can_matter(loaded: &Loaded, actions: &[String]) -> bool {
    let meant = |uid: &cedar_policy::EntityUid| actions.iter().any(|a| a == uid.id().unescaped());
    match loaded.policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => meant(&uid),
        ActionConstraint::In(uids) => uids.iter().any(meant),
    }
}

fn mentions_action(loaded: &Loaded) -> bool {
    fn any(expr: &Value) -> bool {
        match expr {
            Value::Array(items) => items.iter().any(any),
            Value::Object(object) => {
                object.get("Var").and_then(Value::as_str) == Some("action")
                    || object.values().any(any)
            }
            _ => false,
        }
    }
    let json = loaded.policy.to_json().unwrap_or_default();
    let conditions = json.get("conditions").unwrap_or(&Value::Null);
    any(conditions) || mentions(conditions, "args")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::PolicySource;
    use crate::test_case::Suite;

    fn engine(policies: &str) -> Engine {
        let yaml = "tools: { a/read: { effect: read }, a/see: { effect: read }, a/send: { effect: external, input_schema: { type: object, properties: { to: { type: string } } } }, a/post: { effect: external } }";
        let tools = Suite::parse(yaml).unwrap().tools().unwrap();
        let tools: Vec<_> = tools.iter().collect();
        let sets = [PolicySource {
            name: "own",
            text: policies,
        }];
        Engine::compile(&tools, &sets).unwrap()
    }

    #[test]
    fn every_claim_is_there_and_is_one_expression() {
        assert_eq!(claims().len(), CLAIMS.len());
        for claim in claims() {
            let text = format!(
                "permit (principal, action, resource) when {{ {} }};",
                claim.when
            );
            assert!(text.parse::<cedar_policy::Policy>().is_ok(), "{}", claim.id);
            assert!(!is_of_one_tool(&claim.when), "{}", claim.id);
        }
    }

    #[test]
    fn tools_that_nothing_tells_apart_are_looked_at_once() {
        assert_eq!(engine("").representatives(), ["a/post"]);
        let external = r#"forbid (principal, action in Action::"external", resource) when { context.hour < 6 };"#;
        assert_eq!(engine(external).representatives(), ["a/post", "a/read"]);
        let args = r#"forbid (principal, action == Action::"a/send", resource) when { context.args has to };"#;
        assert_eq!(engine(args).representatives(), ["a/post", "a/send"]);
        let action = r#"forbid (principal, action, resource) when { action == Action::"a/see" };"#;
        assert_eq!(engine(action).representatives().len(), 4);
        assert_eq!(
            engine(external).representatives_beside(&engine(args)),
            ["a/post", "a/read", "a/send"]
        );
    }
}
