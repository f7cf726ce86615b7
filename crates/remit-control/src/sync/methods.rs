//! What an upstream offers beside its tools, as tools of ours: reading resources, getting prompts, completing arguments.
//!
//! Whoever classifies and grants tools can so classify and grant these, with bounds on their parameters (say, a prefix of
//! `uri`), and each request of such a method is decided as a call of its tool. The definitions are ours and closed: a
//! parameter that MCP does not name is refused.
//!
//! Source: MCP 2026-07-28 and 2025-11-25, server/resources, server/prompts, server/utilities/completion.

use remit_mcp::ToolDefinition;
use remit_mcp::tools::confusable;
use serde_json::{Value, json};

/// What names of these tools begin with, and no name of an upstream's own tool may.
const PREFIX: &str = "mcp.";

/// Every such tool: its name, the capability that announces it, what people read, and the schema of its parameters.
fn all() -> [(&'static str, &'static str, &'static str, Value); 5] {
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

/// The tools that stand for what `discovered` (a result of `server/discover`) announces.
pub(super) fn tools(discovered: &Value) -> Vec<ToolDefinition> {
    let announced = |capability: &str| {
        let capabilities = discovered.get("capabilities");
        capabilities.is_some_and(|c| c.get(capability).is_some_and(Value::is_object))
    };
    all()
        .into_iter()
        .filter(|(_, capability, ..)| announced(capability))
        .filter_map(|(name, _, description, schema)| {
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
    let alike = || all().iter().any(|(ours, ..)| confusable(ours, name));
    (begins || alike()).then_some(
        "names that are or look like `mcp.…` stand for MCP's own methods; the upstream has to choose another",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_definition_and_only_announced_ones_are_offered() {
        let every = json!({ "capabilities": { "resources": {}, "prompts": { "listChanged": true }, "completions": {} } });
        assert_eq!(tools(&every).len(), all().len());
        let some = json!({ "capabilities": { "tools": {}, "prompts": {}, "resources": true } });
        let names: Vec<_> = tools(&some).into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["mcp.prompts.list", "mcp.prompts.get"]);
        for nothing in [json!({}), json!({ "capabilities": [] }), Value::Null] {
            assert!(tools(&nothing).is_empty(), "{nothing}");
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
