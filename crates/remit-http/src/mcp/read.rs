//! From an HTTP request to one checked message.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use remit_mcp::jsonrpc::code;
use remit_mcp::{ErrorObject, HeaderError, Id, McpHeaders, Message, Revision, headers};

use super::answer::Reply;
use crate::body::{self, BodyError};

/// A message whose headers and body agree.
pub(super) struct Incoming {
    pub(super) revision: Revision,
    pub(super) headers: McpHeaders,
    pub(super) message: Message,
    /// Whether the client takes an event stream for an answer.
    pub(super) streams: bool,
}

impl Incoming {
    /// The id to answer to.
    pub(super) fn id(&self) -> Option<&Id> {
        match &self.message {
            Message::Request(request) => Some(&request.id),
            _ => None,
        }
    }

    /// The 2025-11-25 session that is named; 2026-07-28 has none, whatever the header says.
    pub(super) fn session(&self) -> Option<&str> {
        self.headers
            .session_id()
            .filter(|_| !self.revision.is_stateless())
    }
}

/// Reads a POST.
pub(super) async fn incoming(map: &HeaderMap, body: Body) -> Result<Incoming, Reply> {
    let wrong = |status, text: &str| {
        Reply::error(None, ErrorObject::new(code::INVALID_REQUEST, text)).with_status(status)
    };
    if !body::is(map, "application/json") {
        return Err(wrong(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "`Content-Type` must be application/json",
        ));
    }
    if map.contains_key(header::CONTENT_ENCODING) {
        return Err(wrong(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "compressed bodies are not accepted",
        ));
    }
    let (json, streams) = accepted(map);
    if !json {
        return Err(wrong(
            StatusCode::NOT_ACCEPTABLE,
            "`Accept` must name application/json and text/event-stream",
        ));
    }
    let bytes = body::read(body).await.map_err(|error| {
        let status = match error {
            BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken => StatusCode::BAD_REQUEST,
        };
        wrong(status, &error.to_string())
    })?;
    let message = Message::parse(&bytes)
        .map_err(|e| Reply::message(StatusCode::BAD_REQUEST, e.to_message()))?;
    let id = match &message {
        Message::Request(request) => Some(request.id.clone()),
        _ => None,
    };
    let disagree = |error: HeaderError| {
        Reply::error(id.clone(), error.to_error()).with_status(StatusCode::BAD_REQUEST)
    };
    let pairs = map
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let found = McpHeaders::collect(pairs).map_err(disagree)?;
    let revision = headers::detect(&found, &message).map_err(disagree)?;
    headers::agree(revision, &found, &message).map_err(disagree)?;
    Ok(Incoming {
        revision,
        headers: found,
        message,
        streams,
    })
}

/// Whether JSON and event streams are accepted. No header accepts everything (RFC 9110 §12.5.1).
fn accepted(map: &HeaderMap) -> (bool, bool) {
    let mut values = map.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return (true, false);
    }
    let (mut json, mut stream) = (false, false);
    for range in values
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        if parts.any(|p| matches!(p, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")) {
            continue;
        }
        json |= matches!(kind.as_str(), "application/json" | "application/*" | "*/*");
        stream |= matches!(kind.as_str(), "text/event-stream" | "text/*");
    }
    (json, stream)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert("content-type", HeaderValue::from_static("application/json"));
        map.insert(
            "accept",
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn ping() -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    }

    async fn status(map: &HeaderMap, body: impl Into<Body>) -> u16 {
        incoming(map, body.into())
            .await
            .map_or_else(|reply| reply.status().as_u16(), |_| 200)
    }

    #[tokio::test]
    async fn a_message_of_each_era_is_read() {
        let old = map(&[
            ("mcp-protocol-version", "2025-11-25"),
            ("mcp-session-id", "x"),
        ]);
        let read = incoming(&old, ping().to_string().into())
            .await
            .ok()
            .unwrap();
        assert_eq!(
            (read.revision, read.session()),
            (Revision::R20251125, Some("x"))
        );
        assert!(read.streams);
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}});
        let new = map(&[
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "server/discover"),
            ("mcp-session-id", "x"),
        ]);
        let read = incoming(&new, body.to_string().into()).await.ok().unwrap();
        assert_eq!((read.revision, read.session()), (Revision::R20260728, None));
    }

    #[tokio::test]
    async fn headers_that_lie_are_refused() {
        let old = ("mcp-protocol-version", "2025-11-25");
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "refund", "arguments": {}}});
        for lie in [
            ("mcp-method", "tools/list"),
            ("mcp-name", "read_ticket"),
            ("mcp-protocol-version", "2026-07-28"),
        ] {
            assert_eq!(
                status(&map(&[old, lie]), call.to_string()).await,
                400,
                "{lie:?}"
            );
        }
        assert_eq!(
            status(
                &map(&[("mcp-protocol-version", "2024-11-05")]),
                ping().to_string()
            )
            .await,
            400
        );
        assert_eq!(status(&map(&[]), ping().to_string()).await, 400);
        assert_eq!(status(&map(&[old]), call.to_string()).await, 200);
    }

    #[tokio::test]
    async fn bodies_that_are_not_one_message_are_refused() {
        let old = map(&[("mcp-protocol-version", "2025-11-25")]);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let batch = json!([ping(), ping()]).to_string();
        let twice = r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#;
        for body in ["", "{", "[]", "null", twice, &deep, &batch] {
            assert_eq!(
                status(&old, body.to_owned()).await,
                400,
                "{}",
                body.chars().take(60).collect::<String>()
            );
        }
        assert_eq!(
            status(&old, vec![b' '; crate::limits::BODY_BYTES_MAX + 1]).await,
            413
        );
    }

    #[tokio::test]
    async fn media_types_are_held_to() {
        let with = |name: &'static str, value: &'static str| {
            let mut map = map(&[("mcp-protocol-version", "2025-11-25")]);
            map.insert(name, HeaderValue::from_static(value));
            map
        };
        assert_eq!(
            status(&with("content-type", "text/plain"), ping().to_string()).await,
            415
        );
        assert_eq!(
            status(&with("content-encoding", "gzip"), ping().to_string()).await,
            415
        );
        assert_eq!(
            status(&with("accept", "text/html"), ping().to_string()).await,
            406
        );
        assert_eq!(
            status(&with("accept", "application/json;q=0"), ping().to_string()).await,
            406
        );
        assert_eq!(accepted(&with("accept", "application/json")), (true, false));
        assert_eq!(accepted(&with("accept", "*/*")), (true, false));
    }
}
