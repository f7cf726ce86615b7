//! What an endpoint says about itself.

use remit_domain::tool::{ToolRef, ToolState};
use remit_gateway::Endpoint;
use remit_mcp::{Revision, ServerInfo};
use serde_json::{Value, json};

use super::Object;
use super::door::Door;

/// For models: what the words at the start of a refused result mean.
pub(super) const INSTRUCTIONS: &str = "Every call here is decided by policy. A result that begins with DENIED is final: do not \
repeat the call, tell the person instead. A result that begins with PENDING waits for a person: ask `remit_approval_status`, and \
make the same call again, with the same arguments, once it is approved. A result that begins with AMBIGUOUS may have had its \
effect: never repeat it, find out first. One that begins with UNAVAILABLE was not sent.";

/// Name and version of this server.
pub(super) fn server() -> ServerInfo {
    ServerInfo {
        name: "remit".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        title: Some("Remit".to_owned()),
    }
}

/// `ServerCapabilities`. One upstream's endpoint has what an administrator enabled of it; what is granted to whom is decided
/// at each call.
pub(super) fn capabilities(door: &Door, revision: Revision) -> Object {
    let mut capabilities = Object::new();
    let mut put = |name: &str, value: Value| capabilities.insert(name.to_owned(), value);
    put("tools", json!({ "listChanged": false }));
    // Log lines of a call pass (MCP 2025-11-25 server/utilities/logging "Capabilities": then this is declared).
    put("logging", json!({}));
    if let Endpoint::One(upstream) = &door.endpoint {
        let registry = door.place.book.registry();
        let enabled = |pseudo: &str| {
            let tool = ToolRef::new(upstream.clone(), pseudo).ok();
            tool.and_then(|t| registry.tools.get(&t))
                .is_some_and(|t| t.state == ToolState::Enabled)
        };
        if enabled("mcp.resources.list") || enabled("mcp.resources.read") {
            put(
                "resources",
                // `subscriptions/listen` of 2026-07-28 is not offered.
                json!({
                    "subscribe": !revision.is_stateless() && enabled("mcp.resources.subscribe"),
                    "listChanged": false,
                }),
            );
        }
        if enabled("mcp.prompts.list") || enabled("mcp.prompts.get") {
            put("prompts", json!({ "listChanged": false }));
        }
        if enabled("mcp.completion.complete") {
            put("completions", json!({}));
        }
    }
    capabilities
}
