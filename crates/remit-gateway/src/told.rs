//! An upstream's own error that its caller can do something about, and that passes as what it is.
//!
//! Every other error of an upstream is told as a refusal in one line. Of these few, only the members that MCP names
//! pass, and only with what the caller itself had said.

use remit_mcp::ErrorObject;
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::meta;
use remit_ports::upstreams::UpstreamError;
use serde_json::{Map, Value, json};

use crate::call::{Action, Received};

/// The error to pass on, if this is one.
///
/// - A resource, prompt or argument that is not there: `-32602`, from older servers `-32002`, with the `uri` asked for.
/// - A capability that the client did not declare: `-32021`, with those of [`meta::ASKABLE`] that it lacks.
///
/// Source: MCP 2026-07-28 server/resources "Error Handling", basic "Error Codes"; MCP 2025-11-25 server/resources.
pub(crate) fn told(received: &Received, error: &UpstreamError) -> Option<ErrorObject> {
    let UpstreamError::Rpc {
        code,
        message,
        data,
    } = error
    else {
        return None;
    };
    let found = |key: &str| data.as_ref().and_then(|data| data.get(key));
    let mut kept = Map::new();
    match (*code, received.action) {
        (code::MISSING_CLIENT_CAPABILITY, _) => {
            let lacking = found("requiredCapabilities").and_then(Value::as_object)?;
            let lacking: Map<_, _> = meta::ASKABLE
                .into_iter()
                .filter(|key| lacking.contains_key(*key))
                .map(|key| (key.to_owned(), json!({})))
                .collect();
            kept.insert("requiredCapabilities".to_owned(), Value::Object(lacking));
        }
        (code::INVALID_PARAMS | code::RESOURCE_NOT_FOUND_2025, action)
            if action != Action::Tool =>
        {
            let asked = received.call.arguments.value().get("uri");
            if let Some(uri) = found("uri").filter(|uri| asked == Some(*uri)) {
                kept.insert("uri".to_owned(), uri.clone());
            }
        }
        _ => return None,
    }
    Some(ErrorObject::new(*code, message).with_data(Value::Object(kept)))
}
