//! From a message to an HTTP answer.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use remit_domain::Refusal;
use remit_mcp::jsonrpc::code;
use remit_mcp::{ErrorObject, Id, Message, Method, Revision, results};
use serde_json::json;

use super::Object;
use super::describe;
use super::door::Door;
use super::read::Incoming;
use crate::refusals::{McpShape, row_of};

/// An answer, not sent yet.
pub(super) struct Reply(Box<Response>);

impl Reply {
    /// One message as the whole answer.
    pub(super) fn message(status: StatusCode, message: Message) -> Self {
        let mut response = (status, message.into_bytes()).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        Self(Box::new(response))
    }

    pub(super) fn error(id: Option<Id>, error: ErrorObject) -> Self {
        Self::message(StatusCode::OK, Message::Error { id, error })
    }

    /// Taken, with nothing to say.
    pub(super) fn accepted() -> Self {
        Self(Box::new(StatusCode::ACCEPTED.into_response()))
    }

    /// An event stream. `X-Accel-Buffering` asks proxies not to hold events back (MCP 2026-07-28).
    pub(super) fn stream(body: Body) -> Self {
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        );
        headers.insert(
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        );
        Self(Box::new(response))
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        *self.0.status_mut() = status;
        self
    }

    pub(super) fn with_header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            self.0.headers_mut().insert(name, value);
        }
        self
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// The HTTP status of a JSON-RPC error: 2026-07-28 gives some errors their own, 2025-11-25 answers 200.
pub(super) fn status_of(revision: Revision, error: i64) -> StatusCode {
    match error {
        code::METHOD_NOT_FOUND if revision.is_stateless() => StatusCode::NOT_FOUND,
        code::HEADER_MISMATCH
        | code::MISSING_CLIENT_CAPABILITY
        | code::UNSUPPORTED_PROTOCOL_VERSION => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// The answer to a request that was itself wrong.
pub(super) fn rpc_error(incoming: &Incoming, error: ErrorObject) -> Reply {
    let status = status_of(incoming.revision, error.code);
    Reply::error(incoming.id().cloned(), error).with_status(status)
}

/// The answer to a request that went well.
pub(super) fn result(incoming: &Incoming, method: Method, mut body: Object, ttl_ms: u64) -> Reply {
    let Some(id) = incoming.id().cloned() else {
        return Reply::accepted();
    };
    results::finish(
        incoming.revision,
        method,
        &mut body,
        &describe::server(),
        ttl_ms,
    );
    Reply::message(StatusCode::OK, Message::Response { id, result: body })
}

/// The answer to a request whose caller was refused, before there is any result to put it into.
pub(super) fn refused(door: &Door, incoming: &Incoming, refusal: &Refusal) -> Reply {
    match door.refused(refusal) {
        Some(challenge) => challenge.into(),
        None => {
            let row = row_of(refusal.code);
            let reply = rpc_error(incoming, error_of(refusal, Object::new()));
            // A refusal that may pass is told to HTTP too, so that a client waits.
            if row.later {
                reply.with_status(row.status)
            } else {
                reply
            }
        }
    }
}

/// A refusal as a JSON-RPC error, for methods that have no tool result to put it into.
pub(super) fn error_of(refusal: &Refusal, mut data: Object) -> ErrorObject {
    let row = row_of(refusal.code);
    let code = match row.mcp {
        McpShape::Protocol(code) => code,
        _ => i64::from(row.status.as_u16()),
    };
    data.insert("code".to_owned(), json!(refusal.code));
    ErrorObject::new(code, &refusal.text).with_data(data.into())
}
