//! What an upstream offers beside its tools, as tools of ours: reading resources, getting prompts, completing arguments.
//!
//! Whoever classifies and grants tools can so classify and grant these, with bounds on their parameters (say, a prefix of
//! `uri`), and each request of such a method is decided as a call of its tool. The definitions are ours and closed: a
//! parameter that MCP does not name is refused.
//!
//! Source: MCP 2026-07-28 and 2025-11-25, server/resources, server/prompts, server/utilities/completion.

use std::collections::BTreeSet;

use remit_domain::upstream::MayAsk;
use remit_mcp::ToolDefinition;
use remit_mcp::tools::confusable;
use serde_json::{Value, json};

/// What names of these tools begin with, and no name of an upstream's own tool may.
const PREFIX: &str = "mcp.";

/// Every such tool: its name, the capability that announces it, what people read, and the schema of its parameters.
#[expect(clippy::too_many_lines, reason = "one table, a line or more each")]
fn all() -> [(&'static str, &'static str, &'static str, Value); 6] {
    let object = |properties: Value, required: Value| {
        json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        })
    };
    let text = |description: &str| json!({ "type": "string", "description": description });
    let page = || {
        object(
            json!({ "cursor": text("Where the page begins") }),
            json!([]),
        )
    };
    let texts = |description: &str| {
        json!({
            "type": "object", "description": description, "additionalProperties": { "type": "string" },
        })
    };
    [
        (
            "mcp.resources.list",
            "resources",
            "Lists the server's resources and resource templates: their addresses, names and descriptions.",
            page(),
        ),
        (
            "mcp.resources.read",
            "resources",
            "Reads one of the server's resources.",
            object(
                json!({ "uri": text("Address of the resource") }),
                json!(["uri"]),
            ),
        ),
        (
            "mcp.resources.subscribe",
            SUBSCRIBE,
            "Tells the agent that one of the server's resources has changed, each time, until the run ends.",
            object(
                json!({ "uri": text("Address of the resource") }),
                json!(["uri"]),
            ),
        ),
        (
            "mcp.prompts.list",
            "prompts",
            "Lists the server's prompts: their names, descriptions and arguments.",
            page(),
        ),
        (
            "mcp.prompts.get",
            "prompts",
            "Gets the text of one of the server's prompts, which the agent's model then reads.",
            object(
                json!({ "name": text("Name of the prompt"), "arguments": texts("What to fill in") }),
                json!(["name"]),
            ),
        ),
        (
            "mcp.completion.complete",
            "completions",
            "Asks the server for values that complete an argument of a prompt or of a resource template.",
            object(
                json!({
                    "ref": object(
                        json!({ "type": text("ref/prompt or ref/resource"), "name": text("Name of the prompt"),
                                "title": text("Title of the prompt"), "uri": text("Template of the resource") }),
                        json!(["type"]),
                    ),
                    "argument": object(
                        json!({ "name": text("Name of the argument"), "value": text("What it begins with") }),
                        json!(["name", "value"]),
                    ),
                    "context": object(json!({ "arguments": texts("What is filled in already") }), json!([])),
                }),
                json!(["ref", "argument"]),
            ),
        ),
    ]
}

/// Questions of a server to the agent's side, as tools: what is decided is who asks for what, in which tool's call.
fn questions(may_ask: &BTreeSet<MayAsk>) -> Vec<(&'static str, &'static str, Value)> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let object = |mut properties: Value, required: Value| {
        if let Some(map) = properties.as_object_mut() {
            map.insert("tool".to_owned(), text("Tool whose call is in work"));
            map.insert(
                "detail".to_owned(),
                text("The whole question, as canonical JSON"),
            );
        }
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    };
    let one = |kind: MayAsk| match kind {
        MayAsk::Sampling => (
            "The server asks the agent's model to write something, in the middle of a call.",
            object(
                json!({ "max_tokens": { "type": "integer", "description": "Most tokens it asks for" },
                        "system_prompt": text("The system prompt it asks for") }),
                json!(["tool", "detail"]),
            ),
        ),
        MayAsk::Elicitation => (
            "The server asks the agent's person for input, in the middle of a call.",
            object(
                json!({ "mode": text("form or url"), "message": text("What the person is told"),
                        "url": text("Where a person is sent to, in mode url") }),
                json!(["tool", "detail", "mode"]),
            ),
        ),
        MayAsk::Roots => (
            "The server asks which directories the agent works in.",
            object(json!({}), json!(["tool", "detail"])),
        ),
    };
    let named = |kind: &MayAsk| {
        let (description, schema) = one(*kind);
        (kind.pseudo_tool(), description, schema)
    };
    may_ask.iter().map(named).collect()
}

/// Stands for the capability to subscribe to resources, which is a member of that of resources.
const SUBSCRIBE: &str = "resources.subscribe";

/// The tools that stand for what `discovered` (a result of `server/discover`) announces, and for what the server may ask.
pub(super) fn tools(discovered: &Value, may_ask: &BTreeSet<MayAsk>) -> Vec<ToolDefinition> {
    let capabilities = discovered.get("capabilities");
    let announced = |capability: &str| match capability {
        SUBSCRIBE => capabilities
            .and_then(|c| c.get("resources")?.get("subscribe"))
            .is_some_and(|s| *s == Value::Bool(true)),
        capability => capabilities.is_some_and(|c| c.get(capability).is_some_and(Value::is_object)),
    };
    all()
        .into_iter()
        .filter(|(_, capability, ..)| announced(capability))
        .map(|(name, _, description, schema)| (name, description, schema))
        .chain(questions(may_ask))
        .filter_map(|(name, description, schema)| {
            let definition =
                json!({ "name": name, "description": description, "inputSchema": schema });
            ToolDefinition::parse(definition).ok()
        })
        .collect()
}

/// Why an upstream's own tool may not have this name.
pub(super) fn taken(name: &str) -> Option<&'static str> {
    let begins = name
        .get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    let every = MayAsk::ALL.map(MayAsk::pseudo_tool);
    let alike = || {
        let mut ours = all().map(|(ours, ..)| ours).into_iter().chain(every);
        ours.any(|ours| confusable(ours, name))
    };
    (begins || alike()).then_some(
        "names that are or look like `mcp.…` stand for MCP's own methods; the upstream has to choose another",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_definition_and_only_announced_ones_are_offered() {
        let none = BTreeSet::new();
        let every = json!({ "capabilities": { "resources": { "subscribe": true }, "prompts": { "listChanged": true }, "completions": {} } });
        assert_eq!(tools(&every, &none).len(), all().len());
        assert_eq!(
            tools(&every, &MayAsk::ALL.into()).len(),
            all().len() + MayAsk::ALL.len()
        );
        let some = json!({ "capabilities": { "tools": {}, "prompts": {}, "resources": true } });
        let names: Vec<_> = tools(&some, &none).into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["mcp.prompts.list", "mcp.prompts.get"]);
        for nothing in [json!({}), json!({ "capabilities": [] }), Value::Null] {
            assert!(tools(&nothing, &none).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn no_tool_of_an_upstream_takes_a_methods_name() {
        for name in [
            "mcp.resources.read",
            "mcp.anything",
            "MCP.prompts.get",
            "mcp_resources_read",
            "mcp-prompts-get",
        ] {
            assert!(taken(name).is_some(), "{name}");
        }
        for name in ["mcp_search", "read", "resources.read", "mcq.x"] {
            assert_eq!(taken(name), None, "{name}");
        }
    }
}
