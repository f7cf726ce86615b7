//! MCP and JSON-RPC as values: bytes in, checked messages out, and back.
//!
//! This crate reads and writes the wire of both living MCP revisions, `2026-07-28` (stateless, one POST per
//! request) and `2025-11-25` (stateful, `initialize` handshake), gives tool arguments their one canonical
//! reading, and computes the two digests that everything else is bound to: the definition hash of a tool and
//! the digest of one exact call.
//!
//! It must not know agents, policies, approvals or ledgers; it does no IO, has no clock and no randomness.
//!
//! Start at [`jsonrpc::Message::parse`], then [`headers::detect`], [`calls::ToolCall::read`] and
//! [`digest::CallDigest::of`].
//!
//! | module | rule it keeps |
//! |---|---|
//! | [`json`] | one strict reading of JSON text: no duplicate keys, no lone surrogates, bounded |
//! | [`jsonrpc`] | one message per body, JSON-RPC 2.0 exactly, no batches |
//! | [`canonical`] | arguments have one reading; what was decided is what is sent |
//! | [`protocol`] | what each revision names; what is not named is denied |
//! | [`headers`] | headers and body say the same, or the request is refused |
//! | [`calls`] | a `tools/call` request, and its canonical form for an upstream |
//! | [`tools`] | tool definitions, their hash, and names that cannot be mistaken |
//! | [`results`] | result shapes of both revisions |
//! | [`digest`] | SHA-256 over RFC 8785 text |
//! | [`framing`], [`sse`] | stdio lines and SSE events |
//!
//! Specifications: MCP 2026-07-28 and 2025-11-25, JSON-RPC 2.0, RFC 8259, RFC 8785 (JCS), RFC 6901, RFC 9110,
//! WHATWG HTML (server-sent events).

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

pub mod calls;
pub mod canonical;
pub mod digest;
pub mod framing;
pub mod headers;
pub mod json;
pub mod jsonrpc;
pub mod limits;
pub mod protocol;
pub mod results;
pub mod sse;
pub mod text;
pub mod tools;

pub use calls::{Outgoing, RequestMeta, Said, ToolCall};
pub use canonical::{CanonicalArgs, CanonicalError};
pub use digest::{CallBinding, CallDigest, ChainLink, Sha256Digest};
pub use framing::{FramingError, LineFramer};
pub use headers::{HeaderError, McpHeaders, ParamHeaders};
pub use json::{JsonError, JsonObject};
pub use jsonrpc::{ErrorObject, Id, Message, MessageError, Notification, Request};
pub use protocol::{Method, MethodKind, Revision, Sender};
pub use results::{ResultType, ServerInfo};
pub use tools::{AggregatedNames, ToolDefinition, ToolError, ToolPage};
