//! A `tools/call` request, and what goes upstream in its place.
//!
//! What is forwarded is built from the canonical call, never copied from the received bytes: members that this
//! module does not name, and `_meta` keys outside the allow-list, do not pass.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::canonical::{CanonicalArgs, CanonicalError};
use crate::json::JsonObject;
use crate::jsonrpc::{ErrorObject, Id, code};
use crate::limits::{HANDLE_BYTES_MAX, SAID_BYTES_MAX, SAID_CONTEXT_MAX};
use crate::protocol::{LogLevel, Revision, forwardable_meta, meta};
use crate::tools::{NameError, check_tool_name};

/// Why a `tools/call` request is refused. All are invalid parameters.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// `name` is missing or cannot be a tool's name.
    #[error("`name`: {0}")]
    Name(#[from] NameError),
    /// The arguments have no canonical reading.
    #[error("`arguments`: {0}")]
    Arguments(#[source] CanonicalError),
    /// The input responses have no canonical reading.
    #[error("`inputResponses`: {0}")]
    InputResponses(#[source] CanonicalError),
    /// Not a string of at most [`HANDLE_BYTES_MAX`] bytes.
    #[error("`requestState` must be a string of at most {HANDLE_BYTES_MAX} bytes")]
    RequestState,
    /// `_meta` or one of its protocol fields is of the wrong type.
    #[error("`_meta` field `{key}` is malformed")]
    Meta {
        /// Which.
        key: &'static str,
    },
}

impl CallError {
    /// The error to answer with.
    #[must_use]
    pub fn to_error(&self) -> ErrorObject {
        ErrorObject::new(code::INVALID_PARAMS, &self.to_string())
    }
}

/// What a caller says of how it came to make a call: recorded as given, never a reason to trust.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Said {
    /// Model version.
    pub model: Option<String>,
    /// Prompt version.
    pub prompt: Option<String>,
    /// Configuration version.
    pub configuration: Option<String>,
    /// References to retrieved context, at most [`SAID_CONTEXT_MAX`].
    pub context: Vec<String>,
}

impl Said {
    fn read(value: &Value) -> Option<Self> {
        let said = Self::deserialize(value).ok()?;
        let texts = [&said.model, &said.prompt, &said.configuration];
        let fits = said.context.len() <= SAID_CONTEXT_MAX
            && texts
                .into_iter()
                .flatten()
                .chain(&said.context)
                .all(|text| text.len() <= SAID_BYTES_MAX);
        fits.then_some(said)
    }
}

/// What `_meta` of a request says, as far as it is used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestMeta {
    /// The caller's progress token; to be replaced per upstream connection.
    pub progress_token: Option<Id>,
    /// Capabilities that the client declares for this request (2026-07-28).
    pub client_capabilities: Option<JsonObject>,
    /// The client's self-reported software; for display only.
    pub client_info: Option<JsonObject>,
    /// Lowest level of log messages that the caller wants; none wants none (2026-07-28).
    pub log_level: Option<LogLevel>,
    /// What a wrapper says of the tool's definition on its side: its hash, in hex.
    pub definition: Option<String>,
    /// What the caller says of itself with this call.
    pub said: Option<Said>,
    /// Trace context that may be forwarded, see [`forwardable_meta`].
    pub forward: JsonObject,
}

impl RequestMeta {
    /// Reads `_meta` of parameters.
    ///
    /// # Errors
    /// [`CallError::Meta`].
    pub fn read(params: Option<&JsonObject>) -> Result<Self, CallError> {
        let found = match params.and_then(|params| params.get("_meta")) {
            None => return Ok(Self::default()),
            Some(Value::Object(found)) => found,
            Some(_) => return Err(CallError::Meta { key: "_meta" }),
        };
        let object = |key: &'static str| match found.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object.clone())),
            Some(_) => Err(CallError::Meta { key }),
        };
        let progress_token = match found.get(meta::PROGRESS_TOKEN) {
            None => None,
            Some(token) => Some(Id::read(token).ok_or(CallError::Meta {
                key: meta::PROGRESS_TOKEN,
            })?),
        };
        Ok(Self {
            progress_token,
            client_capabilities: object(meta::CLIENT_CAPABILITIES)?,
            client_info: object(meta::CLIENT_INFO)?,
            log_level: match found.get(meta::LOG_LEVEL) {
                None => None,
                Some(level) => Some(LogLevel::read(level).ok_or(CallError::Meta {
                    key: meta::LOG_LEVEL,
                })?),
            },
            definition: match found.get(meta::DEFINITION) {
                None => None,
                Some(Value::String(hash)) if hash.len() <= 64 => Some(hash.clone()),
                Some(_) => {
                    return Err(CallError::Meta {
                        key: meta::DEFINITION,
                    });
                }
            },
            said: match found.get(meta::PROVENANCE) {
                None => None,
                Some(said) => Some(Said::read(said).ok_or(CallError::Meta {
                    key: meta::PROVENANCE,
                })?),
            },
            forward: forwardable_meta(found),
        })
    }

    /// What an upstream gets to see: trace context, the log level, and which questions the caller can answer.
    ///
    /// Of the capabilities only [`meta::ASKABLE`] pass, as empty objects with the modes of elicitation: the rest
    /// announces extensions that the gateway itself would have to understand.
    #[must_use]
    pub fn for_upstream(&self) -> JsonObject {
        let mut found = self.forward.clone();
        if let Some(level) = self.log_level {
            found.insert(meta::LOG_LEVEL.to_owned(), json!(level.as_str()));
        }
        let declared = self.client_capabilities.iter().flatten();
        let askable: JsonObject = declared
            .filter(|(key, value)| meta::ASKABLE.contains(&key.as_str()) && value.is_object())
            .map(|(key, value)| {
                let modes = ["form", "url"].into_iter().filter(|mode| {
                    key == "elicitation" && value.get(*mode).is_some_and(Value::is_object)
                });
                let modes: JsonObject = modes.map(|mode| (mode.to_owned(), json!({}))).collect();
                (key.clone(), Value::Object(modes))
            })
            .collect();
        if !askable.is_empty() {
            found.insert(meta::CLIENT_CAPABILITIES.to_owned(), Value::Object(askable));
        }
        found
    }
}

/// One tool call in its canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Name as the caller gave it: an aggregated name at `/mcp`, the upstream's own at `/mcp/{upstream}`.
    pub name: String,
    /// Arguments; absent is the same as `{}`.
    pub arguments: CanonicalArgs,
    /// Answers to input requests of an earlier result (MCP 2026-07-28 basic/patterns/mrtr).
    pub input_responses: Option<CanonicalArgs>,
    /// State to give back to the server, sealed by the gateway; untrusted until opened.
    pub request_state: Option<String>,
    /// Metadata of the request.
    pub meta: RequestMeta,
}

impl ToolCall {
    /// Reads the parameters of a `tools/call` request.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn read(params: Option<&JsonObject>) -> Result<Self, CallError> {
        let member = |key: &str| params.and_then(|params| params.get(key));
        let name = member("name").and_then(Value::as_str).unwrap_or_default();
        check_tool_name(name)?;
        let arguments = match member("arguments") {
            None | Some(Value::Null) => CanonicalArgs::empty(),
            Some(value) => CanonicalArgs::from_value(value.clone()),
        };
        let input_responses = match member("inputResponses") {
            None | Some(Value::Null) => None,
            Some(value) => {
                Some(CanonicalArgs::from_value(value.clone()).map_err(CallError::InputResponses)?)
            }
        };
        let request_state = match member("requestState") {
            None | Some(Value::Null) => None,
            Some(Value::String(state)) if state.len() <= HANDLE_BYTES_MAX => Some(state.clone()),
            Some(_) => return Err(CallError::RequestState),
        };
        Ok(Self {
            name: name.to_owned(),
            arguments: arguments.map_err(CallError::Arguments)?,
            input_responses,
            request_state,
            meta: RequestMeta::read(params)?,
        })
    }

    /// The parameters to send upstream.
    #[must_use]
    pub fn params_for(&self, outgoing: &Outgoing<'_>) -> JsonObject {
        let mut params = JsonObject::new();
        let mut put = |key: &str, value: Value| params.insert(key.to_owned(), value);
        put("name", Value::from(outgoing.tool));
        put("arguments", Value::Object(self.arguments.value().clone()));
        if outgoing.revision.is_stateless() {
            self.input_responses
                .as_ref()
                .map(|answers| put("inputResponses", Value::Object(answers.value().clone())));
            outgoing
                .request_state
                .map(|state| put("requestState", Value::from(state)));
        }
        let found = outgoing.meta(&self.meta.forward);
        if !found.is_empty() {
            put("_meta", Value::Object(found));
        }
        params
    }
}

/// What the gateway adds to a request to an upstream.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// Revision that the upstream speaks.
    pub revision: Revision,
    /// The tool's name at the upstream.
    pub tool: &'a str,
    /// The upstream's own request state, opened from the caller's sealed one.
    pub request_state: Option<&'a str>,
    /// Progress token of this connection.
    pub progress_token: Option<Id>,
    /// Name and version of the gateway.
    pub client_info: Value,
    /// Capabilities that the gateway declares to the upstream.
    pub client_capabilities: JsonObject,
}

impl Outgoing<'_> {
    /// `_meta` of a request to the upstream: allow-listed keys of the caller and the gateway's own fields.
    #[must_use]
    pub fn meta(&self, forward: &JsonObject) -> JsonObject {
        let mut found = forwardable_meta(forward);
        if let Some(token) = &self.progress_token {
            found.insert(meta::PROGRESS_TOKEN.to_owned(), token.to_value());
        }
        if self.revision.is_stateless() {
            found.insert(meta::PROTOCOL_VERSION.to_owned(), json!(self.revision));
            found.insert(meta::CLIENT_INFO.to_owned(), self.client_info.clone());
            found.insert(
                meta::CLIENT_CAPABILITIES.to_owned(),
                Value::Object(self.client_capabilities.clone()),
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: Value) -> Result<ToolCall, CallError> {
        ToolCall::read(params.as_object())
    }

    fn outgoing(revision: Revision) -> Outgoing<'static> {
        Outgoing {
            revision,
            tool: "refund",
            request_state: Some("opened"),
            progress_token: Some(Id::Number(9)),
            client_info: json!({"name": "remit", "version": "0"}),
            client_capabilities: JsonObject::new(),
        }
    }

    #[test]
    fn an_upstream_sees_what_can_be_asked_and_no_more_of_the_client() {
        let params = json!({"_meta": {
            "traceparent": "00-1", "progressToken": 1,
            "io.modelcontextprotocol/logLevel": "info",
            "io.modelcontextprotocol/clientInfo": {"name": "secret"},
            "io.modelcontextprotocol/clientCapabilities": {
                "elicitation": {"form": {"x": 1}, "url": {}, "other": {}}, "sampling": {"tools": {}}, "roots": true,
                "extensions": {"io.modelcontextprotocol/tasks": {}}, "experimental": {},
            },
        }});
        let read = RequestMeta::read(params.as_object()).unwrap();
        assert_eq!(
            Value::Object(read.for_upstream()),
            json!({
                "traceparent": "00-1", "io.modelcontextprotocol/logLevel": "info",
                "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}, "url": {}}, "sampling": {}},
            })
        );
        let nothing = json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": {}}});
        let read = RequestMeta::read(nothing.as_object()).unwrap();
        assert_eq!(read.for_upstream(), JsonObject::new());
        let wrong = json!({"_meta": {"io.modelcontextprotocol/logLevel": "loud"}});
        assert!(RequestMeta::read(wrong.as_object()).is_err());
    }

    #[test]
    fn only_named_members_and_allowed_meta_pass() {
        let call = read(json!({
            "name": "orders__refund",
            "arguments": {"b": 1.0, "a": 2},
            "task": {"ttl": 1},
            "inputResponses": {"q": {"action": "accept"}},
            "requestState": "sealed",
            "_meta": {
                "progressToken": "caller", "traceparent": "00-1", "com.example/secret": "s",
                "io.modelcontextprotocol/clientInfo": {"name": "evil"},
                "io.modelcontextprotocol/clientCapabilities": {"sampling": {}},
            },
        }))
        .unwrap();
        assert_eq!(call.meta.progress_token, Some(Id::Text("caller".into())));
        let sent = Value::Object(call.params_for(&outgoing(Revision::R20260728)));
        assert_eq!(
            sent,
            json!({
                "name": "refund",
                "arguments": {"a": 2, "b": 1},
                "inputResponses": {"q": {"action": "accept"}},
                "requestState": "opened",
                "_meta": {
                    "progressToken": 9, "traceparent": "00-1",
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": {"name": "remit", "version": "0"},
                    "io.modelcontextprotocol/clientCapabilities": {},
                },
            })
        );
        let sent = Value::Object(call.params_for(&outgoing(Revision::R20251125)));
        assert_eq!(
            sent,
            json!({
                "name": "refund",
                "arguments": {"a": 2, "b": 1},
                "_meta": {"progressToken": 9, "traceparent": "00-1"},
            })
        );
    }

    #[test]
    fn what_a_caller_says_of_itself_is_read_and_bounded() {
        let call = |said: Value| {
            read(json!({"name": "a", "_meta": {"dev.remit/provenance": said}}))
                .map(|call| call.meta.said)
        };
        let said = call(json!({"model": "m-1", "context": ["kb:1", "kb:2"]}));
        let said = said.unwrap().unwrap();
        assert_eq!((said.model.as_deref(), said.prompt), (Some("m-1"), None));
        assert_eq!(said.context, ["kb:1", "kb:2"]);
        for wrong in [
            json!("m-1"),
            json!({"modle": "m-1"}),
            json!({"model": 1}),
            json!({"prompt": "x".repeat(2_000)}),
            json!({"context": vec!["r"; 65]}),
        ] {
            let error = call(wrong).unwrap_err().to_string();
            assert!(error.contains("dev.remit/provenance"), "{error}");
        }
    }

    #[test]
    fn absent_arguments_are_empty() {
        assert_eq!(read(json!({"name": "a"})).unwrap().arguments.text(), "{}");
        assert_eq!(
            read(json!({"name": "a", "arguments": null}))
                .unwrap()
                .arguments
                .text(),
            "{}"
        );
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (params, part) in [
            (json!({}), "`name`"),
            (json!({"name": 1}), "`name`"),
            (json!({"name": "r\u{435}fund"}), "`name`"),
            (json!({"name": "a", "arguments": []}), "`arguments`"),
            (
                json!({"name": "a", "arguments": {"n": 9_007_199_254_740_993_u64}}),
                "`/n`",
            ),
            (
                json!({"name": "a", "inputResponses": {"x": 0.00001}}),
                "`inputResponses`",
            ),
            (json!({"name": "a", "requestState": 1}), "`requestState`"),
            (
                json!({"name": "a", "requestState": "x".repeat(70_000)}),
                "`requestState`",
            ),
            (json!({"name": "a", "_meta": []}), "`_meta`"),
            (
                json!({"name": "a", "_meta": {"progressToken": 1.5}}),
                "`progressToken`",
            ),
        ] {
            let error = read(params.clone())
                .expect_err("must be refused")
                .to_error();
            assert_eq!(error.code, code::INVALID_PARAMS);
            assert!(error.message.contains(part), "{params}: {}", error.message);
        }
        assert!(ToolCall::read(None).is_err());
    }
}
