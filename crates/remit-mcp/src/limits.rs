//! Every bound of this crate, with its reason. Sizes are bytes of UTF-8 unless the name says otherwise.

/// Longest message accepted or held for one call: 1 MiB, which is also the most that a gateway holds per call.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Deepest nesting of arrays and objects. Real tool arguments stay below 10; the bound keeps every recursive
/// walk over a message on a small stack.
pub const DEPTH_MAX: usize = 64;

/// Most values (scalars, arrays, objects) in one message. A parsed value costs tens of bytes where its text may
/// cost two, so a size limit alone does not bound memory.
pub const VALUES_MAX: usize = 262_144;

/// Longest JSON-RPC id or progress token given as a string.
pub const ID_BYTES_MAX: usize = 256;

/// Largest integer that every JSON reader agrees on: 2^53 - 1 (RFC 7493 §2.2, I-JSON).
pub const INTEGER_MAX: i64 = 9_007_199_254_740_991;

/// Most digits after the decimal point in an argument: the scale of a Cedar decimal.
pub const DECIMAL_DIGITS_MAX: usize = 4;

/// Largest magnitude of a number that has a fraction: 2^39. Below it neighbouring doubles are closer together
/// than 0.0001, so each decimal with four digits is a double of its own and is kept exactly. It lies inside the
/// range of a Cedar decimal (±922337203685477.5807).
pub const DECIMAL_ABS_MAX: f64 = 549_755_813_888.0;

/// Longest JSON-RPC method name.
pub const METHOD_BYTES_MAX: usize = 128;

/// Longest tool name (MCP 2026-07-28 server/tools: 1 to 128 characters).
pub const TOOL_NAME_BYTES_MAX: usize = 128;

/// Longest tool title: it is shown on one line.
pub const TOOL_TITLE_BYTES_MAX: usize = 1024;

/// Longest tool description. It goes to a model and to the person who approves the tool.
pub const TOOL_DESCRIPTION_BYTES_MAX: usize = 16 * 1024;

/// Largest input or output schema of a tool, as canonical text.
pub const TOOL_SCHEMA_BYTES_MAX: usize = 256 * 1024;

/// Largest tool annotations object, as canonical text.
pub const TOOL_ANNOTATIONS_BYTES_MAX: usize = 16 * 1024;

/// Most tools on one page of `tools/list`.
pub const TOOLS_PER_PAGE_MAX: usize = 1000;

/// Longest aggregated tool name: common model APIs accept no more.
pub const AGGREGATED_NAME_CHARS_MAX: usize = 64;

/// Longest upstream id, `[a-z][a-z0-9-]{0,19}`.
pub const UPSTREAM_ID_BYTES_MAX: usize = 20;

/// Longest value of one MCP header, before decoding.
pub const HEADER_VALUE_BYTES_MAX: usize = 8 * 1024;

/// Most `Mcp-Param-*` headers on a request, and most `x-mcp-header` annotations in a schema.
pub const PARAM_HEADERS_MAX: usize = 64;

/// Longest `requestState` or pagination cursor accepted from a peer.
pub const HANDLE_BYTES_MAX: usize = 64 * 1024;

/// Longest trace context value that is forwarded (W3C Baggage §3.3.2 asks for at least 8192).
pub const TRACE_VALUE_BYTES_MAX: usize = 8192;

/// Longest thing that a caller says of itself with a call, in bytes: a version or a reference, never content.
pub const SAID_BYTES_MAX: usize = 1024;

/// Most references to retrieved context with one call.
pub const SAID_CONTEXT_MAX: usize = 64;

/// Longest line of a stdio stream, without its end.
pub const LINE_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// Longest reason line of a refusal, in characters: one line that a model can use.
pub const REFUSAL_CHARS_MAX: usize = 1000;

/// Longest JSON pointer quoted in an error, in characters.
pub const POINTER_CHARS_MAX: usize = 200;
