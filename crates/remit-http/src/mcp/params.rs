//! Finding the tool that a call names, for what has to be known of it before the call and for its refusal.
//!
//! Nothing is decided on it: the gateway resolves the name again, by itself, when it decides.

use std::sync::Arc;

use remit_domain::Tool;
use remit_domain::tool::ToolRef;
use remit_gateway::Endpoint;
use remit_mcp::limits::AGGREGATED_NAME_CHARS_MAX;
use remit_mcp::tools::aggregated_name;
use remit_mcp::{ErrorObject, ParamHeaders, ToolCall, headers};
use serde_json::Value;

use super::Turn;

/// The tool of that name at this endpoint.
pub(super) fn find(turn: &Turn, name: &str) -> Option<Arc<Tool>> {
    let registry = turn.door.place.book.registry();
    let tool = match &turn.door.endpoint {
        Endpoint::One(upstream) => ToolRef::new(upstream.clone(), name).ok()?,
        // A name below the limit was not shortened, and an upstream's name holds no `_`.
        Endpoint::All if name.len() < AGGREGATED_NAME_CHARS_MAX => {
            let (upstream, tool) = name.split_once("__")?;
            ToolRef::new(upstream.parse().ok()?, tool).ok()?
        }
        Endpoint::All => {
            let mut all = registry.tools.keys();
            all.find(|t| aggregated_name(t.upstream().as_str(), t.tool()) == name)?
                .clone()
        }
    };
    registry.tools.get(&tool).cloned()
}

/// Whether the tool declares the form of its results: then a refusal has no structured content, since some clients hold it
/// against that form even on errors.
pub(super) fn declares_output(tool: &Tool) -> bool {
    tool.definition
        .body
        .get("outputSchema")
        .is_some_and(Value::is_object)
}

/// Checks the `Mcp-Param-*` headers of a 2026-07-28 call against its arguments.
pub(super) fn agree(turn: &Turn, tool: &Tool, call: &ToolCall) -> Result<(), ErrorObject> {
    if !turn.incoming.revision.is_stateless() {
        return Ok(());
    }
    let Value::Object(schema) = tool.input_schema() else {
        return Ok(());
    };
    // A schema whose annotations are wrong was refused when it was found.
    let Ok(defined) = ParamHeaders::of_schema(schema) else {
        return Ok(());
    };
    headers::agree_params(&turn.incoming.headers, &defined, &call.arguments)
        .map_err(|e| e.to_error())
}
