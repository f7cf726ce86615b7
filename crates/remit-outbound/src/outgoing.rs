//! What is sent: parameters with the metadata of the upstream's revision, and nothing that a caller could slip in.

use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::{LogLevel, Method, MethodKind, Revision, Sender, forwardable_meta, meta};
use remit_mcp::text::one_line;
use remit_mcp::{ErrorObject, Id, JsonObject};
use remit_ports::upstreams::UpstreamError;
use serde::Serialize;
use serde_json::{Value, json};

use crate::limits::{MESSAGE_BYTES_MAX, REASON_CHARS_MAX, RPC_MESSAGE_CHARS_MAX};

/// Name and version that upstreams see.
pub(crate) fn client_info() -> Value {
    json!({ "name": "remit", "version": env!("CARGO_PKG_VERSION") })
}

/// The method, if a client may send it as a request in `revision`.
///
/// # Errors
/// `Rpc` with code -32601, without anything being sent.
pub(crate) fn method(revision: Revision, wire: &str) -> Result<Method, UpstreamError> {
    Method::sent_by(revision, Sender::Client, MethodKind::Request, wire).ok_or_else(|| {
        UpstreamError::Rpc {
            code: code::METHOD_NOT_FOUND,
            message: format!(
                "the upstream speaks MCP {revision}, which has no method `{}`",
                one_line(wire, 60)
            ),
            data: None,
        }
    })
}

/// Parameters as they go out, and the progress token that the caller chose.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) params: JsonObject,
    pub(crate) token: Option<Id>,
}

/// Gives `params` the `_meta` of `revision`.
///
/// Kept from the caller's `_meta`: trace context; for the stateless revision also the client capabilities and log
/// level that the gateway put there. The caller's progress token is replaced by `id`, which is unique on the
/// connection, or dropped when nobody listens.
///
/// # Errors
/// `Unreachable` when `params` is neither an object nor null.
pub(crate) fn prepare(
    params: Value,
    revision: Revision,
    id: u64,
    listens: bool,
) -> Result<Prepared, UpstreamError> {
    let mut params = match params {
        Value::Object(params) => params,
        Value::Null => JsonObject::new(),
        _ => {
            return Err(UpstreamError::Unreachable(
                "parameters must be an object, nothing was sent".to_owned(),
            ));
        }
    };
    let given = match params.remove("_meta") {
        Some(Value::Object(given)) => given,
        _ => JsonObject::new(),
    };
    let mut found = forwardable_meta(&given);
    let token = given
        .get(meta::PROGRESS_TOKEN)
        .and_then(Id::read)
        .filter(|_| listens);
    if token.is_some() {
        found.insert(meta::PROGRESS_TOKEN.to_owned(), json!(id));
    }
    if revision.is_stateless() {
        let capabilities = given
            .get(meta::CLIENT_CAPABILITIES)
            .filter(|value| value.is_object());
        let capabilities = capabilities.cloned().unwrap_or_else(|| json!({}));
        found.insert(meta::CLIENT_CAPABILITIES.to_owned(), capabilities);
        found.insert(meta::PROTOCOL_VERSION.to_owned(), json!(revision));
        found.insert(meta::CLIENT_INFO.to_owned(), client_info());
        if let Some(level) = given
            .get(meta::LOG_LEVEL)
            .filter(|level| LogLevel::read(level).is_some())
        {
            found.insert(meta::LOG_LEVEL.to_owned(), level.clone());
        }
    }
    if !found.is_empty() {
        params.insert("_meta".to_owned(), Value::Object(found));
    }
    Ok(Prepared { params, token })
}

#[derive(Serialize)]
struct Frame<'a> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a JsonObject,
}

/// A request as bytes, without line end.
///
/// # Errors
/// `Unreachable` when it is larger than [`MESSAGE_BYTES_MAX`].
pub(crate) fn encode(id: u64, method: &str, params: &JsonObject) -> Result<Vec<u8>, UpstreamError> {
    let frame = Frame {
        jsonrpc: "2.0",
        id,
        method,
        params,
    };
    match serde_json::to_vec(&frame) {
        Ok(bytes) if bytes.len() <= MESSAGE_BYTES_MAX => Ok(bytes),
        Ok(_) => Err(UpstreamError::Unreachable(format!(
            "the request is larger than {MESSAGE_BYTES_MAX} bytes, nothing was sent"
        ))),
        Err(_) => Err(UpstreamError::Unreachable(
            "the request cannot be written, nothing was sent".to_owned(),
        )),
    }
}

/// An upstream's error object as an error of the port.
pub(crate) fn rpc(error: ErrorObject) -> UpstreamError {
    let message = one_line(&error.message, RPC_MESSAGE_CHARS_MAX);
    UpstreamError::Rpc {
        code: error.code,
        message,
        data: error.data,
    }
}

/// Text from outside that is safe to quote in an error.
pub(crate) fn reason(text: &str) -> String {
    one_line(text, REASON_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_is_that_of_the_revision() {
        let params = json!({"name": "a", "_meta": {
            "progressToken": "caller", "traceparent": "00-1", "com.example/x": 1,
            "io.modelcontextprotocol/clientInfo": {"name": "evil"},
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
            "io.modelcontextprotocol/logLevel": "info",
        }});
        let sent = prepare(params.clone(), Revision::R20260728, 7, true).unwrap();
        assert_eq!(sent.token, Some(Id::Text("caller".into())));
        assert_eq!(
            Value::Object(sent.params),
            json!({"name": "a", "_meta": {
                "progressToken": 7, "traceparent": "00-1",
                "io.modelcontextprotocol/clientInfo": client_info(),
                "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/logLevel": "info",
            }})
        );
        let sent = prepare(params, Revision::R20251125, 7, false).unwrap();
        assert_eq!(
            Value::Object(sent.params),
            json!({"name": "a", "_meta": {"traceparent": "00-1"}})
        );
        assert_eq!(sent.token, None);
        let sent = prepare(Value::Null, Revision::R20251125, 7, true).unwrap();
        assert_eq!(Value::Object(sent.params), json!({}));
    }

    #[test]
    fn what_cannot_be_sent_is_not_sent() {
        assert!(matches!(
            prepare(json!([1]), Revision::R20260728, 1, false),
            Err(UpstreamError::Unreachable(_))
        ));
        let mut big = JsonObject::new();
        big.insert("a".into(), json!("x".repeat(MESSAGE_BYTES_MAX)));
        assert!(matches!(
            encode(1, "tools/call", &big),
            Err(UpstreamError::Unreachable(_))
        ));
        for wire in ["initialize/x", "notifications/cancelled", "ping"] {
            assert!(matches!(
                method(Revision::R20260728, wire),
                Err(UpstreamError::Rpc { code: -32601, .. })
            ));
        }
    }
}
