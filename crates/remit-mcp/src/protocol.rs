//! What the two revisions name: versions, headers, `_meta` keys, methods. What is not named here is denied.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

use crate::json::JsonObject;
use crate::limits::TRACE_VALUE_BYTES_MAX;

mod level;
mod method;

pub use level::LogLevel;
pub use method::{Method, MethodKind, Sender};

/// A revision of MCP that is spoken. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Revision {
    /// Stateful: `initialize`, sessions, requests from server to client.
    #[serde(rename = "2025-11-25")]
    R20251125,
    /// Stateless: every request carries its metadata.
    #[serde(rename = "2026-07-28")]
    R20260728,
}

impl Revision {
    /// Every revision, newest first, as lists of supported versions give them.
    pub const SUPPORTED: [Self; 2] = [Self::R20260728, Self::R20251125];

    /// Reads a version string; `None` when it is not spoken here.
    #[must_use]
    pub fn read(version: &str) -> Option<Self> {
        Self::SUPPORTED
            .into_iter()
            .find(|revision| revision.as_str() == version)
    }

    /// The version string.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::R20251125 => "2025-11-25",
            Self::R20260728 => "2026-07-28",
        }
    }

    /// Whether requests stand alone (no handshake, no session).
    #[must_use]
    pub const fn is_stateless(self) -> bool {
        matches!(self, Self::R20260728)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Header names. Compared without case (RFC 9110 §5.1).
///
/// Source: MCP 2026-07-28 basic/transports/streamable-http "Request Metadata"; MCP 2025-11-25 basic/transports.
pub mod header {
    /// Protocol version of the request; required on every POST.
    pub const PROTOCOL_VERSION: &str = "MCP-Protocol-Version";
    /// Mirror of the method; required on every 2026-07-28 request.
    pub const METHOD: &str = "Mcp-Method";
    /// Mirror of `params.name`, `params.uri` or `params.taskId`.
    pub const NAME: &str = "Mcp-Name";
    /// Start of the mirrors of single arguments.
    pub const PARAM_PREFIX: &str = "Mcp-Param-";
    /// Session of a 2025-11-25 client; ignored in 2026-07-28.
    pub const SESSION_ID: &str = "Mcp-Session-Id";
    /// Resumption point of a 2025-11-25 stream; ignored in 2026-07-28.
    pub const LAST_EVENT_ID: &str = "Last-Event-ID";
    /// Value of `Accept` that clients must send.
    pub const ACCEPT_BOTH: &str = "application/json, text/event-stream";
}

/// Keys of `_meta`.
///
/// Source: MCP 2026-07-28 basic "`_meta`".
pub mod meta {
    /// Asks for progress notifications. Rewritten per connection, so never forwarded as it came.
    pub const PROGRESS_TOKEN: &str = "progressToken";
    /// Protocol version of the request; required in 2026-07-28.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Capabilities of the client for this request; required in 2026-07-28.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Name and version of the client's software, self-reported.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Lowest log level to send for this request.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Name and version of the server's software, on results.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// Id of the `subscriptions/listen` request, on its notifications.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// W3C Trace Context.
    pub const TRACEPARENT: &str = "traceparent";
    /// W3C Trace Context.
    pub const TRACESTATE: &str = "tracestate";
    /// W3C Baggage.
    pub const BAGGAGE: &str = "baggage";
    /// The only keys that go from a caller to an upstream.
    pub const FORWARDED: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];
    /// Client capabilities that let a server ask something with the result of a call (MCP 2026-07-28 basic/patterns/mrtr).
    pub const ASKABLE: [&str; 3] = ["elicitation", "sampling", "roots"];
    /// Hash of a tool's definition, on calls from the wrapper of a server beside its agent.
    pub const DEFINITION: &str = "dev.remit/definition";
    /// What the caller says of model, prompt, configuration and context of this call, for the record.
    pub const PROVENANCE: &str = "dev.remit/provenance";
    /// Decision id, on results of this product.
    pub const DECISION: &str = "dev.remit/decision";
}

/// Extension ids (`capabilities.extensions`).
pub mod extension {
    /// Tasks (SEP-2663).
    pub const TASKS: &str = "io.modelcontextprotocol/tasks";
}

/// The part of a caller's `_meta` that an upstream may see: allow-listed keys with short, visible ASCII text.
/// Everything else is dropped, since a key that nobody decided about is a channel around the decision.
#[must_use]
pub fn forwardable_meta(meta: &JsonObject) -> JsonObject {
    let fits = |text: &str| {
        text.len() <= TRACE_VALUE_BYTES_MAX
            && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
    };
    meta::FORWARDED
        .iter()
        .filter_map(|key| Some((*key, meta.get(*key)?.as_str()?)))
        .filter(|(_, text)| fits(text))
        .map(|(key, text)| (key.to_owned(), Value::String(text.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_spoken_versions_are_read() {
        assert_eq!(Revision::read("2026-07-28"), Some(Revision::R20260728));
        assert_eq!(Revision::read("2025-11-25"), Some(Revision::R20251125));
        for other in ["2025-06-18", "2026-07-28 ", "2026-7-28", "", "draft"] {
            assert_eq!(Revision::read(other), None, "{other}");
        }
        assert_eq!(
            serde_json::to_value(Revision::R20260728).unwrap(),
            json!("2026-07-28")
        );
    }

    #[test]
    fn only_trace_context_is_forwarded() {
        let meta = json!({
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            "tracestate": "a\r\nX: y",
            "baggage": "x".repeat(9000),
            "progressToken": 1,
            "io.modelcontextprotocol/clientInfo": {"name": "x"},
            "com.example/secret": "s",
            "Traceparent": "00",
        });
        let kept = forwardable_meta(meta.as_object().unwrap());
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["traceparent"]);
    }
}
