//! Result shapes of both revisions.
//!
//! A refusal of a tool call is a normal result with `isError`: several clients turn a JSON-RPC error into a generic
//! text or end the run, while the line of a tool result reaches the model.
//!
//! Source: MCP 2026-07-28 schema (`Result`, `CacheableResult`, `DiscoverResult`, `CallToolResult`,
//! `InputRequiredResult`); MCP 2025-11-25 schema (`InitializeResult`).

use serde::Serialize;
use serde_json::{Value, json};

use crate::json::JsonObject;
use crate::limits::REFUSAL_CHARS_MAX;
use crate::protocol::{Method, Revision, meta};
use crate::text::one_line;

/// What a result is (`resultType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultType {
    /// Finished.
    Complete,
    /// Asks the client for input and is to be retried.
    InputRequired,
    /// A task to poll (Tasks extension).
    Task,
}

impl ResultType {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::InputRequired => "input_required",
            Self::Task => "task",
        }
    }

    /// The type of a peer's result; absent is complete. `None` for one that is not known, which makes the result
    /// invalid (MCP 2026-07-28 basic "ResultType").
    #[must_use]
    pub fn of(result: &JsonObject) -> Option<Self> {
        match result.get("resultType") {
            None => Some(Self::Complete),
            Some(found) => [Self::Complete, Self::InputRequired, Self::Task]
                .into_iter()
                .find(|known| found == known.as_str()),
        }
    }
}

/// Name and version of this server's software.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerInfo {
    /// Programmatic name.
    pub name: String,
    /// Version of the software.
    pub version: String,
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl ServerInfo {
    fn to_value(&self) -> Value {
        let mut info = JsonObject::new();
        info.insert("name".to_owned(), json!(self.name));
        info.insert("version".to_owned(), json!(self.version));
        self.title
            .as_ref()
            .map(|title| info.insert("title".to_owned(), json!(title)));
        Value::Object(info)
    }
}

/// Gives a result the members that `revision` requires of every result and of the results of `method`, and takes
/// away those that it does not know.
///
/// For 2026-07-28: `resultType` (absent means complete), `serverInfo` in `_meta`, and for lists and reads `ttlMs` and
/// `cacheScope`. The scope is always `private`: what a gateway returns was filtered for one principal. For 2025-11-25
/// those members are removed; a result that is not complete cannot be said in it, so its caller checks
/// [`ResultType::of`] first. `ttl_ms` is in milliseconds, 0 for "do not keep".
pub fn finish(
    revision: Revision,
    method: Method,
    result: &mut JsonObject,
    server: &ServerInfo,
    ttl_ms: u64,
) {
    if !revision.is_stateless() {
        for key in ["resultType", "ttlMs", "cacheScope"] {
            result.remove(key);
        }
        if let Some(Value::Object(found)) = result.get_mut("_meta") {
            found.remove(meta::SERVER_INFO);
        }
        return;
    }
    let kind = ResultType::of(result);
    if !result.contains_key("resultType") {
        result.insert(
            "resultType".to_owned(),
            json!(ResultType::Complete.as_str()),
        );
    }
    if method.is_cacheable() && kind == Some(ResultType::Complete) {
        result.insert("ttlMs".to_owned(), json!(ttl_ms));
        result.insert("cacheScope".to_owned(), json!("private"));
    }
    match result.get_mut("_meta") {
        Some(Value::Object(found)) => {
            found.insert(meta::SERVER_INFO.to_owned(), server.to_value());
        }
        _ => {
            result.insert(
                "_meta".to_owned(),
                json!({ meta::SERVER_INFO: server.to_value() }),
            );
        }
    }
}

/// A tool result that says no.
///
/// - `line`: what a model can use: what was refused, why, what to do. Made one line of at most
///   [`REFUSAL_CHARS_MAX`] characters.
/// - `structured`: the same for programs. Leave it out for a tool that declares an output schema: some clients
///   validate structured content against it even on errors.
/// - `found_meta`: for `_meta`, such as [`meta::DECISION`].
/// - returns: a `CallToolResult` with `isError: true`, to be completed by [`finish`].
#[must_use]
pub fn refused_text(
    line: &str,
    structured: Option<JsonObject>,
    found_meta: JsonObject,
) -> JsonObject {
    let mut result = tool_text(line, structured, found_meta);
    result.insert("isError".to_owned(), json!(true));
    result
}

/// A tool result of the product itself (such as the state of an approval); parameters as in [`refused_text`].
#[must_use]
pub fn tool_text(line: &str, structured: Option<JsonObject>, found_meta: JsonObject) -> JsonObject {
    let mut result = JsonObject::new();
    let text = one_line(line, REFUSAL_CHARS_MAX);
    result.insert(
        "content".to_owned(),
        json!([{ "type": "text", "text": text }]),
    );
    structured.map(|object| result.insert("structuredContent".to_owned(), Value::Object(object)));
    if !found_meta.is_empty() {
        result.insert("_meta".to_owned(), Value::Object(found_meta));
    }
    result
}

/// A result that asks the client for input (2026-07-28 only).
///
/// - `requests`: key to request (`elicitation/create`, …); may be empty when there is a state.
/// - `state`: opaque, sealed by the caller of this function.
#[must_use]
pub fn input_required(requests: JsonObject, state: Option<&str>) -> JsonObject {
    let mut result = JsonObject::new();
    result.insert(
        "resultType".to_owned(),
        json!(ResultType::InputRequired.as_str()),
    );
    if !requests.is_empty() {
        result.insert("inputRequests".to_owned(), Value::Object(requests));
    }
    state.map(|state| result.insert("requestState".to_owned(), json!(state)));
    result
}

/// Result of `tools/list`.
///
/// - `tools`: as [`crate::ToolDefinition::listed_as`] gives them.
/// - `ttl_ms`: how long a client may keep the list.
#[must_use]
pub fn tools_list(
    revision: Revision,
    tools: Vec<Value>,
    next_cursor: Option<&str>,
    server: &ServerInfo,
    ttl_ms: u64,
) -> JsonObject {
    let mut result = JsonObject::new();
    result.insert("tools".to_owned(), Value::Array(tools));
    next_cursor.map(|cursor| result.insert("nextCursor".to_owned(), json!(cursor)));
    finish(revision, Method::ToolsList, &mut result, server, ttl_ms);
    result
}

/// Result of `server/discover`.
///
/// - `capabilities`: `ServerCapabilities` of the endpoint.
#[must_use]
pub fn discover(
    capabilities: JsonObject,
    instructions: Option<&str>,
    server: &ServerInfo,
    ttl_ms: u64,
) -> JsonObject {
    let mut result = JsonObject::new();
    result.insert("supportedVersions".to_owned(), json!(Revision::SUPPORTED));
    result.insert("capabilities".to_owned(), Value::Object(capabilities));
    instructions.map(|text| result.insert("instructions".to_owned(), json!(text)));
    finish(
        Revision::R20260728,
        Method::Discover,
        &mut result,
        server,
        ttl_ms,
    );
    result
}

/// Result of `initialize`. The only stateful revision spoken is offered, whatever the client asked for; a client that
/// does not speak it disconnects (MCP 2025-11-25 basic/lifecycle "Version Negotiation").
#[must_use]
pub fn initialize(
    capabilities: JsonObject,
    instructions: Option<&str>,
    server: &ServerInfo,
) -> JsonObject {
    let mut result = JsonObject::new();
    result.insert("protocolVersion".to_owned(), json!(Revision::R20251125));
    result.insert("capabilities".to_owned(), Value::Object(capabilities));
    result.insert("serverInfo".to_owned(), server.to_value());
    instructions.map(|text| result.insert("instructions".to_owned(), json!(text)));
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use Revision::{R20251125, R20260728};

    fn server() -> ServerInfo {
        ServerInfo {
            name: "remit".into(),
            version: "0.1.0".into(),
            title: None,
        }
    }

    fn object(value: Value) -> JsonObject {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_refusal_is_a_tool_result_of_one_line() {
        let meta = object(json!({ meta::DECISION: "dec_1" }));
        let mut result = refused_text("DENIED by policy x:\namount 500 > 100\u{202e}", None, meta);
        finish(R20260728, Method::ToolsCall, &mut result, &server(), 0);
        assert_eq!(
            Value::Object(result),
            json!({
                "content": [{"type": "text", "text": "DENIED by policy x: amount 500 > 100 "}],
                "isError": true,
                "resultType": "complete",
                "_meta": {
                    "dev.remit/decision": "dec_1",
                    "io.modelcontextprotocol/serverInfo": {"name": "remit", "version": "0.1.0"},
                },
            })
        );
        let mut old = refused_text(
            &"x".repeat(5000),
            Some(object(json!({"a": 1}))),
            JsonObject::new(),
        );
        finish(R20251125, Method::ToolsCall, &mut old, &server(), 0);
        assert_eq!(old["structuredContent"], json!({"a": 1}));
        assert_eq!(
            old["content"][0]["text"].as_str().unwrap().chars().count(),
            REFUSAL_CHARS_MAX
        );
        assert_eq!(old.get("resultType"), None);
    }

    #[test]
    fn lists_are_private_whatever_the_upstream_said() {
        let mut result =
            object(json!({"resources": [], "ttlMs": 99_999_999, "cacheScope": "public"}));
        finish(
            R20260728,
            Method::ResourcesList,
            &mut result,
            &server(),
            1000,
        );
        assert_eq!(
            (&result["ttlMs"], &result["cacheScope"]),
            (&json!(1000), &json!("private"))
        );
        let list = tools_list(R20260728, vec![], Some("c"), &server(), 5);
        assert_eq!(
            (
                &list["resultType"],
                &list["ttlMs"],
                &list["cacheScope"],
                &list["nextCursor"]
            ),
            (
                &json!("complete"),
                &json!(5),
                &json!("private"),
                &json!("c")
            )
        );
        let list = tools_list(R20251125, vec![], None, &server(), 5);
        assert_eq!(Value::Object(list), json!({"tools": []}));
    }

    #[test]
    fn results_change_era() {
        let mut result = object(json!({
            "resultType": "complete", "ttlMs": 1, "cacheScope": "public", "contents": [],
            "_meta": {"io.modelcontextprotocol/serverInfo": {}, "a/b": 1},
        }));
        finish(R20251125, Method::ResourcesRead, &mut result, &server(), 0);
        assert_eq!(
            Value::Object(result),
            json!({"contents": [], "_meta": {"a/b": 1}})
        );
        let mut asked = input_required(
            object(json!({"q": {"method": "elicitation/create"}})),
            Some("sealed"),
        );
        finish(R20260728, Method::ResourcesRead, &mut asked, &server(), 0);
        assert_eq!(
            (&asked["resultType"], asked.get("ttlMs")),
            (&json!("input_required"), None)
        );
    }

    #[test]
    fn unknown_result_types_are_seen() {
        let of = |value: Value| ResultType::of(&object(value));
        assert_eq!(of(json!({})), Some(ResultType::Complete));
        assert_eq!(of(json!({"resultType": "task"})), Some(ResultType::Task));
        for wrong in [json!("Complete"), json!("other"), json!(1), Value::Null] {
            assert_eq!(of(json!({ "resultType": wrong })), None);
        }
    }

    #[test]
    fn handshakes_say_what_is_spoken() {
        let capabilities = || object(json!({"tools": {}}));
        let found = discover(capabilities(), Some("hi"), &server(), 60_000);
        assert_eq!(
            found["supportedVersions"],
            json!(["2026-07-28", "2025-11-25"])
        );
        assert_eq!(
            (&found["cacheScope"], &found["ttlMs"]),
            (&json!("private"), &json!(60_000))
        );
        let found = initialize(capabilities(), None, &server());
        assert_eq!(
            Value::Object(found),
            json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "remit", "version": "0.1.0"},
            })
        );
    }
}
