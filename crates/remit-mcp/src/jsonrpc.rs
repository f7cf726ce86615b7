//! JSON-RPC 2.0 as MCP narrows it: one message per body, ids are strings or safe integers, parameters are an
//! object, results are an object, batches do not exist.
//!
//! Source: JSON-RPC 2.0 §4 and §5; MCP 2026-07-28 basic "Messages"; MCP 2025-11-25 basic.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

use crate::json::{self, JsonError, JsonObject};
use crate::limits::{ID_BYTES_MAX, INTEGER_MAX, METHOD_BYTES_MAX};
use crate::text::one_line;

/// Error codes of both revisions.
///
/// Source: JSON-RPC 2.0 §5.1; MCP 2026-07-28 basic "Error Codes"; MCP 2025-11-25 schema.
pub mod code {
    /// The text is not acceptable JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// JSON, but not a JSON-RPC message.
    pub const INVALID_REQUEST: i64 = -32600;
    /// The method is unknown or not offered. HTTP 404 in 2026-07-28.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters are wrong.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The receiver failed.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// Headers and body disagree, or a header is missing or malformed. 2026-07-28, HTTP 400.
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The client did not declare a capability that the request needs. 2026-07-28, HTTP 400.
    pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
    /// The protocol version is not supported; data lists those that are. HTTP 400.
    pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;
    /// Resource not found. Only up to 2025-11-25; later `INVALID_PARAMS`.
    pub const RESOURCE_NOT_FOUND_2025: i64 = -32002;
    /// URL elicitation required. Only 2025-11-25; later an `input_required` result.
    pub const URL_ELICITATION_REQUIRED_2025: i64 = -32042;
}

/// The id of a request, or a progress token: a string of at most [`ID_BYTES_MAX`] bytes or an integer within
/// ±(2^53 - 1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Id {
    /// An integer.
    Number(i64),
    /// A string.
    Text(String),
}

impl Id {
    /// Reads an id; `None` when the value is not one.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) if text.len() <= ID_BYTES_MAX => Some(Self::Text(text.clone())),
            Value::Number(number) => number
                .as_i64()
                .filter(|n| n.unsigned_abs() <= INTEGER_MAX.unsigned_abs())
                .map(Self::Number),
            _ => None,
        }
    }

    /// The id as a JSON value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(&one_line(text, ID_BYTES_MAX)),
        }
    }
}

/// A request: something that expects an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Unique among the sender's open requests.
    pub id: Id,
    /// Method name, 1 to [`METHOD_BYTES_MAX`] visible ASCII characters.
    pub method: String,
    /// Parameters; absent and `null` are the same.
    pub params: Option<JsonObject>,
}

impl Request {
    /// The `_meta` object of the parameters, if there is one.
    #[must_use]
    pub fn meta(&self) -> Option<&JsonObject> {
        self.params.as_ref()?.get("_meta")?.as_object()
    }
}

/// A message that expects no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Method name, as in [`Request`].
    pub method: String,
    /// Parameters, as in [`Request`].
    pub params: Option<JsonObject>,
}

/// The error of an error response (JSON-RPC 2.0 §5.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// See [`code`].
    pub code: i64,
    /// One short sentence.
    pub message: String,
    /// Whatever the code defines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl ErrorObject {
    /// An error without data; the message is made one line.
    #[must_use]
    pub fn new(code: i64, message: &str) -> Self {
        Self {
            code,
            message: one_line(message, 500),
            data: None,
        }
    }

    /// The same with data.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

/// One JSON-RPC message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A notification.
    Notification(Notification),
    /// The answer to a request.
    Response {
        /// Id of that request.
        id: Id,
        /// The result.
        result: JsonObject,
    },
    /// The refusal of a request.
    Error {
        /// Id of that request; `None` when it could not be read.
        id: Option<Id>,
        /// The error.
        error: ErrorObject,
    },
}

/// Why bytes are not one acceptable message.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct MessageError {
    /// What is wrong.
    #[source]
    pub fault: MessageFault,
    /// Id of the request, where it could be read, so that the answer can name it.
    pub id: Option<Id>,
}

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
pub enum MessageFault {
    /// Not acceptable JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A batch (removed in MCP 2025-06-18).
    #[error("batches are not supported, send one message per body")]
    Batch,
    /// A scalar.
    #[error("message is not an object")]
    NotAnObject,
    /// `jsonrpc` is missing or not exactly "2.0".
    #[error("`jsonrpc` must be \"2.0\"")]
    Version,
    /// The id is null, a fraction, too large or of another type.
    #[error("`id` must be a string of at most {ID_BYTES_MAX} bytes or an integer within ±(2^53-1)")]
    Id,
    /// Neither or more than one of method, result and error.
    #[error("message must have exactly one of `method`, `result` and `error`")]
    Shape,
    /// Not a method name.
    #[error("`method` must be 1 to {METHOD_BYTES_MAX} visible ASCII characters")]
    Method,
    /// Parameters are an array or a scalar.
    #[error("`params` must be an object")]
    Params,
    /// A result that is not an object.
    #[error("`result` must be an object")]
    Result,
    /// An error without integer code and string message.
    #[error("`error` must have an integer `code` and a string `message`")]
    Error,
}

impl MessageError {
    /// The answer to send back.
    #[must_use]
    pub fn to_message(&self) -> Message {
        let code = match self.fault {
            MessageFault::Json(_) => code::PARSE_ERROR,
            MessageFault::Params => code::INVALID_PARAMS,
            _ => code::INVALID_REQUEST,
        };
        Message::Error {
            id: self.id.clone(),
            error: ErrorObject::new(code, &self.to_string()),
        }
    }
}

impl Message {
    /// Reads exactly one message.
    ///
    /// Members that JSON-RPC does not define are dropped: nothing received is forwarded as bytes, so they have
    /// no reader. `params: null` counts as absent, which some clients send.
    ///
    /// - `bytes`: UTF-8 JSON, at most [`crate::limits::MESSAGE_BYTES_MAX`].
    ///
    /// # Errors
    /// [`MessageError`], with the request's id where it could be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let unread = |fault| MessageError { fault, id: None };
        match json::read(bytes).map_err(|e| unread(e.into()))? {
            Value::Object(object) => Self::from_object(object),
            Value::Array(_) => Err(unread(MessageFault::Batch)),
            _ => Err(unread(MessageFault::NotAnObject)),
        }
    }

    /// Reads a message from an object that [`json::read`] gave.
    ///
    /// # Errors
    /// As [`Message::parse`].
    pub fn from_object(mut object: JsonObject) -> Result<Self, MessageError> {
        let id = object.remove("id");
        let known = id.as_ref().and_then(Id::read);
        read_message(object, id).map_err(|fault| MessageError { fault, id: known })
    }

    /// A request.
    #[must_use]
    pub fn request(id: Id, method: &str, params: Option<JsonObject>) -> Self {
        Self::Request(Request {
            id,
            method: method.to_owned(),
            params,
        })
    }

    /// A notification.
    #[must_use]
    pub fn notification(method: &str, params: Option<JsonObject>) -> Self {
        Self::Notification(Notification {
            method: method.to_owned(),
            params,
        })
    }

    /// The method, of a request or notification.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::Request(request) => Some(&request.method),
            Self::Notification(notification) => Some(&notification.method),
            Self::Response { .. } | Self::Error { .. } => None,
        }
    }

    /// The parameters, of a request or notification.
    #[must_use]
    pub fn params(&self) -> Option<&JsonObject> {
        match self {
            Self::Request(request) => request.params.as_ref(),
            Self::Notification(notification) => notification.params.as_ref(),
            Self::Response { .. } | Self::Error { .. } => None,
        }
    }

    /// The message as a JSON value.
    #[must_use]
    pub fn into_value(self) -> Value {
        let mut object = JsonObject::new();
        object.insert("jsonrpc".to_owned(), json!("2.0"));
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        match self {
            Self::Request(Request { id, method, params }) => {
                put("id", id.to_value());
                put("method", Value::String(method));
                params.map(|params| put("params", Value::Object(params)));
            }
            Self::Notification(Notification { method, params }) => {
                put("method", Value::String(method));
                params.map(|params| put("params", Value::Object(params)));
            }
            Self::Response { id, result } => {
                put("id", id.to_value());
                put("result", Value::Object(result));
            }
            Self::Error { id, error } => {
                id.map(|id| put("id", id.to_value()));
                let mut body = JsonObject::new();
                body.insert("code".to_owned(), json!(error.code));
                body.insert("message".to_owned(), Value::String(error.message));
                error.data.map(|data| body.insert("data".to_owned(), data));
                put("error", Value::Object(body));
            }
        }
        Value::Object(object)
    }

    /// The message as one line of UTF-8 JSON, without a line end.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.into_value().to_string().into_bytes()
    }
}

fn read_message(mut object: JsonObject, id: Option<Value>) -> Result<Message, MessageFault> {
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(MessageFault::Version);
    }
    let (method, result, error) = (
        object.remove("method"),
        object.remove("result"),
        object.remove("error"),
    );
    let need_id = |id: Option<Value>| id.as_ref().and_then(Id::read).ok_or(MessageFault::Id);
    match (method, result, error) {
        (Some(method), None, None) => {
            let method = read_method(method)?;
            let params = match object.remove("params") {
                None | Some(Value::Null) => None,
                Some(Value::Object(params)) => Some(params),
                Some(_) => return Err(MessageFault::Params),
            };
            if id.is_none() {
                return Ok(Message::Notification(Notification { method, params }));
            }
            Ok(Message::Request(Request {
                id: need_id(id)?,
                method,
                params,
            }))
        }
        (None, Some(Value::Object(result)), None) => Ok(Message::Response {
            id: need_id(id)?,
            result,
        }),
        (None, Some(_), None) => Err(MessageFault::Result),
        (None, None, Some(error)) => {
            // JSON-RPC 2.0 §5 says null, MCP says absent, when the id could not be read.
            let id = match id {
                None | Some(Value::Null) => None,
                some => Some(need_id(some)?),
            };
            let error = ErrorObject::deserialize(error).map_err(|_| MessageFault::Error)?;
            Ok(Message::Error { id, error })
        }
        _ => Err(MessageFault::Shape),
    }
}

fn read_method(method: Value) -> Result<String, MessageFault> {
    match method {
        Value::String(name)
            if (1..=METHOD_BYTES_MAX).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Ok(name)
        }
        _ => Err(MessageFault::Method),
    }
}

#[cfg(test)]
mod tests;
