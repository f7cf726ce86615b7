//! An HTTP server that answers as each test says, and remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use remit_domain::upstream::Transport;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::Ask;

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) verb: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn result(&self, result: Value) -> Value {
        json!({"jsonrpc": "2.0", "id": self.body["id"], "result": result})
    }

    pub(crate) fn error(&self, code: i64) -> Value {
        json!({"jsonrpc": "2.0", "id": self.body["id"], "error": {"code": code, "message": "no"}})
    }
}

/// What to do with it.
pub(crate) enum Reply {
    /// A status and a body of a type.
    Body(u16, &'static str, String),
    /// A status and one header.
    Header(u16, &'static str, String),
    /// A result with a session id.
    Session(Value, &'static str),
    /// Events; then the end of the stream, or silence.
    Events(Vec<String>, bool),
    /// The connection is closed without a word.
    Close,
    /// Nothing, for ever.
    Hang,
}

impl Reply {
    pub(crate) fn json(value: Value) -> Self {
        Self::Body(200, "application/json", value.to_string())
    }

    pub(crate) fn status(code: u16) -> Self {
        Self::Body(code, "text/plain", String::new())
    }
}

pub(crate) fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn response(reply: Reply) -> Response<Body> {
    let full = |text: String| Full::new(Bytes::from(text)).boxed_unsync();
    let built = match reply {
        Reply::Body(status, kind, text) => Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(full(text)),
        Reply::Header(status, name, value) => Response::builder()
            .status(status)
            .header(name, value)
            .body(Empty::new().boxed_unsync()),
        Reply::Session(value, id) => Response::builder()
            .header("content-type", "application/json; charset=utf-8")
            .header("mcp-session-id", id)
            .body(full(value.to_string())),
        Reply::Events(events, ends) => {
            let events = futures_util::stream::iter(events);
            let silence = futures_util::stream::once(async move {
                if !ends {
                    std::future::pending::<()>().await;
                }
                String::new()
            });
            let frames = events
                .chain(silence)
                .map(|text| Ok(Frame::data(Bytes::from(text))));
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(StreamBody::new(frames).boxed_unsync())
        }
        Reply::Close | Reply::Hang => unreachable!("handled before"),
    };
    built.unwrap()
}

/// A running server.
pub(crate) struct Fake {
    pub(crate) at: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub(crate) async fn start(handle: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, handle) = (Arc::clone(&seen), Arc::new(handle));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (log, handle) = (Arc::clone(&log), Arc::clone(&handle));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (log, handle) = (Arc::clone(&log), Arc::clone(&handle));
                    async move {
                        let (head, body) = request.into_parts();
                        let bytes = body
                            .collect()
                            .await
                            .map_err(std::io::Error::other)?
                            .to_bytes();
                        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                        let seen = Seen {
                            verb: head.method.to_string(),
                            headers: head.headers,
                            body,
                        };
                        log.lock().unwrap().push(seen.clone());
                        match handle(&seen) {
                            Reply::Close => Err(std::io::Error::other("closed")),
                            Reply::Hang => std::future::pending().await,
                            reply => Ok(response(reply)),
                        }
                    }
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service);
                tokio::spawn(async move { serving.await.ok() });
            }
        });
        Self { at, seen }
    }

    pub(crate) fn ask(&self, tool: &str) -> Ask {
        Ask::new(
            Transport::Http {
                url: format!("http://{}/mcp", self.at),
            },
            tool,
        )
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The methods of the messages that arrived, in order; other verbs as they are.
    pub(crate) fn heard(&self) -> Vec<String> {
        let name = |seen: &Seen| match seen.verb.as_str() {
            "POST" if seen.method().is_empty() => "answer".to_owned(),
            "POST" => seen.method().to_owned(),
            verb => verb.to_owned(),
        };
        self.seen().iter().map(name).collect()
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.heard().iter().filter(|heard| *heard == method).count()
    }
}

/// A server of 2026-07-28, whose calls are answered by `calls`.
pub(crate) async fn modern(calls: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |seen| match seen.method() {
        "server/discover" => {
            Reply::json(seen.result(json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}})))
        }
        _ => calls(seen),
    })
    .await
}

/// A server of 2025-11-25 with sessions, whose calls are answered by `calls`.
pub(crate) async fn stateful(calls: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Fake {
    let sessions = std::sync::atomic::AtomicUsize::new(0);
    Fake::start(move |seen| match seen.method() {
        "initialize" => {
            let n = sessions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let id = ["first", "second", "third", "fourth"][n];
            Reply::Session(
                seen.result(
                    json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}),
                ),
                id,
            )
        }
        "server/discover" => Reply::Body(400, "application/json", seen.error(-32600).to_string()),
        "notifications/initialized" | "notifications/cancelled" => Reply::status(202),
        _ if seen.verb == "DELETE" => Reply::status(200),
        _ => calls(seen),
    })
    .await
}

/// Answers every call with its own parameters and session.
pub(crate) fn echo(seen: &Seen) -> Reply {
    Reply::json(
        seen.result(
            json!({"params": seen.body["params"], "session": seen.header("mcp-session-id")}),
        ),
    )
}
