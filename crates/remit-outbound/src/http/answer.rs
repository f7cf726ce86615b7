//! Reads the answer to one request from a JSON body or an event stream, holding at most one message.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt as _;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use remit_mcp::json::JsonError;
use remit_mcp::jsonrpc::MessageFault;
use remit_mcp::protocol::Revision;
use remit_mcp::{Id, JsonObject, Message, Notification, Request};
use serde_json::Value;
use sse_stream::{Sse, SseStream};

use super::peer::{Failure, Peer};
use super::wire::chain;
use crate::counters::{Counters, count};
use crate::flight::Flight;
use crate::limits::{
    ERROR_BODY_BYTES_MAX, MESSAGE_BYTES_MAX, NOTIFICATION_BYTES_MAX, RESUME_WAIT_MAX, RESUMES_MAX,
    SERVER_REQUESTS_MAX,
};
use crate::outgoing::reason;
use crate::route::Route;

/// What reading needs to know of the request.
pub(super) struct Reading<'a> {
    pub(super) peer: &'a Peer,
    pub(super) id: u64,
    pub(super) revision: Revision,
    /// Headers of further messages on the same session (2025-11-25).
    pub(super) session: HeaderMap,
    pub(super) route: &'a Route,
    pub(super) counters: &'a Counters,
    /// Requests of the server that were answered so far.
    pub(super) asked: AtomicUsize,
}

enum Kind {
    Json,
    Events,
    Other(String),
}

fn kind(headers: &HeaderMap) -> Kind {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            Kind::Other("an encoded body, though none was accepted".to_owned())
        }
        _ if essence.eq_ignore_ascii_case("application/json") => Kind::Json,
        _ if essence.eq_ignore_ascii_case("text/event-stream") => Kind::Events,
        _ => Kind::Other(format!("a body of type `{}`", reason(text))),
    }
}

impl Reading<'_> {
    /// The result of the request.
    ///
    /// # Errors
    /// [`Failure`]; never `NotSent`.
    pub(super) async fn answer(&self, response: Response<Incoming>) -> Result<JsonObject, Failure> {
        let status = response.status();
        if status != StatusCode::OK {
            return Err(self.failed(status, response).await);
        }
        match kind(response.headers()) {
            Kind::Json => {
                let body = collect(response.into_body(), MESSAGE_BYTES_MAX).await?;
                match self.take(&body).await? {
                    Some(result) => Ok(result),
                    None => Err(Failure::Invalid(
                        "the body is not the answer to this request".to_owned(),
                    )),
                }
            }
            Kind::Events => self.stream(response.into_body()).await,
            Kind::Other(what) => Err(Failure::Invalid(format!("it answered with {what}"))),
        }
    }

    async fn failed(&self, status: StatusCode, response: Response<Incoming>) -> Failure {
        if !matches!(kind(response.headers()), Kind::Json) || status.is_success() {
            return Failure::Status(status, None);
        }
        let body = collect(response.into_body(), ERROR_BODY_BYTES_MAX)
            .await
            .unwrap_or_default();
        match Message::parse(&body) {
            Ok(Message::Error { id, error }) if id.is_none() || id == Some(self.id()) => {
                Failure::Status(status, Some(error))
            }
            _ => Failure::Status(status, None),
        }
    }

    fn id(&self) -> Id {
        Id::Number(i64::try_from(self.id).unwrap_or(i64::MAX))
    }

    /// One message; `None` when it is not the answer.
    async fn take(&self, bytes: &[u8]) -> Result<Option<JsonObject>, Failure> {
        let message = Message::parse(bytes).map_err(|error| {
            if matches!(error.fault, MessageFault::Json(JsonError::TooLarge { .. })) {
                count(&self.counters.oversize_messages);
                return Failure::TooLarge;
            }
            count(&self.counters.invalid_messages);
            Failure::Invalid(reason(&error.to_string()))
        })?;
        match message {
            Message::Response { id, result } if id == self.id() => return Ok(Some(result)),
            Message::Error { id, error } if id.is_none() || id == Some(self.id()) => {
                return Err(Failure::Rpc(error));
            }
            Message::Response { .. } | Message::Error { .. } => count(&self.counters.stray_answers),
            Message::Notification(_) if bytes.len() > NOTIFICATION_BYTES_MAX => {
                count(&self.counters.dropped_notifications);
            }
            Message::Notification(notification) => self.pass_on(notification).await,
            Message::Request(request) => self.refuse(request, bytes.len()).await?,
        }
        Ok(None)
    }

    async fn pass_on(&self, notification: Notification) {
        let params = notification.params.unwrap_or_default();
        let value = match notification.method.as_str() {
            "notifications/progress" => {
                let ours = params.get("progressToken").and_then(Value::as_u64) == Some(self.id);
                ours.then(|| self.route.progress(&params)).flatten()
            }
            "notifications/message" => self.route.log(&params),
            _ => None,
        };
        match (value, &self.route.to) {
            // Waits for room: the stream is not read meanwhile, which slows the server down.
            (Some(value), Some(to)) => drop(to.send(value).await),
            _ => count(&self.counters.dropped_notifications),
        }
    }

    /// Only servers of the stateful revision may ask their client: for its presence, and for what the caller's side takes
    /// questions about. The stream is not read meanwhile, which holds the server to one question at a time.
    async fn refuse(&self, request: Request, bytes: usize) -> Result<(), Failure> {
        if self.revision.is_stateless() {
            count(&self.counters.invalid_messages);
            return Ok(());
        }
        if self.asked.fetch_add(1, Ordering::Relaxed) >= SERVER_REQUESTS_MAX {
            return Err(Failure::Invalid(format!(
                "it asked its client more than {SERVER_REQUESTS_MAX} times"
            )));
        }
        let otherwise = crate::stdio::reply_to(request.id.clone(), &request.method);
        let reply = self.route.ask(request, bytes).await.unwrap_or(otherwise);
        // One that does not take the reply goes on, or not; either way its answer is what counts.
        let _ = self.peer.tell(self.session.clone(), reply).await;
        Ok(())
    }

    async fn stream(&self, body: Incoming) -> Result<JsonObject, Failure> {
        let mut body = body;
        let mut resume = Resume::default();
        for _ in 0..=RESUMES_MAX {
            if let Some(result) = self.events(body, &mut resume).await? {
                return Ok(result);
            }
            body = self.resume(&mut resume).await?;
        }
        Err(Failure::Lost(
            "its stream ended too often without the answer".to_owned(),
        ))
    }

    /// Reads events until the answer; `None` when the stream ended before.
    async fn events(
        &self,
        body: Incoming,
        resume: &mut Resume,
    ) -> Result<Option<JsonObject>, Failure> {
        let (metered, held) = Metered::new(body);
        let mut events = sse(metered);
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(sse_stream::Error::Body(error)) => match error.downcast_ref() {
                    Some(BodyError::TooLarge) => {
                        count(&self.counters.oversize_messages);
                        return Err(Failure::TooLarge);
                    }
                    // A broken connection may be resumed like an ended one.
                    _ => {
                        return resume
                            .possible(self.revision, chain(&*error))
                            .map(|()| None);
                    }
                },
                Err(error) => return Err(Failure::Invalid(reason(&error.to_string()))),
            };
            held.store(0, Ordering::Relaxed);
            resume.note(&event);
            if event
                .event
                .as_deref()
                .is_some_and(|name| !name.is_empty() && name != "message")
            {
                continue;
            }
            // An event without data only carries an id (MCP 2025-11-25 basic/transports "Sending Messages").
            let Some(data) = event.data.filter(|data| !data.is_empty()) else {
                continue;
            };
            resume.count_messages()?;
            if let Some(result) = self.take(data.as_bytes()).await? {
                return Ok(Some(result));
            }
        }
        resume
            .possible(
                self.revision,
                "its stream ended without the answer".to_owned(),
            )
            .map(|()| None)
    }

    /// Goes on reading a stream that the server closed early. This repeats no request: the server only says what it
    /// has not said yet.
    ///
    /// Source: MCP 2025-11-25 basic/transports "Resumability and Redelivery".
    async fn resume(&self, resume: &mut Resume) -> Result<Incoming, Failure> {
        let lost = |why: String| {
            Failure::Lost(format!("its stream ended and could not be resumed: {why}"))
        };
        let Some(last) = resume.last.take() else {
            return Err(lost("it gave no event id".to_owned()));
        };
        tokio::time::sleep(resume.wait).await;
        let mut headers = self.session.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert("last-event-id", last);
        let flight = Arc::new(Flight::default());
        let sent = self
            .peer
            .send(Method::GET, headers, Bytes::new(), &flight)
            .await;
        let response = sent.map_err(|failure| lost(failure.into_error().to_string()))?;
        match (response.status(), kind(response.headers())) {
            (StatusCode::OK, Kind::Events) => Ok(response.into_body()),
            (status, _) => Err(lost(format!("HTTP {}", status.as_u16()))),
        }
    }
}

/// What is remembered of a stream in order to resume it.
struct Resume {
    last: Option<HeaderValue>,
    wait: Duration,
    messages: usize,
}

impl Default for Resume {
    fn default() -> Self {
        Self {
            last: None,
            wait: Duration::from_millis(500),
            messages: 0,
        }
    }
}

/// Most messages of one answer: more are a server that never comes to the point.
const MESSAGES_MAX: usize = 100_000;

impl Resume {
    fn note(&mut self, event: &Sse) {
        if let Some(id) = &event.id {
            self.last = HeaderValue::from_str(id).ok().filter(|id| id.len() <= 1024);
        }
        if let Some(retry) = event.retry {
            self.wait = Duration::from_millis(retry).min(RESUME_WAIT_MAX);
        }
    }

    fn count_messages(&mut self) -> Result<(), Failure> {
        self.messages = self.messages.saturating_add(1);
        if self.messages > MESSAGES_MAX {
            return Err(Failure::Invalid(format!(
                "it sent more than {MESSAGES_MAX} messages for one call"
            )));
        }
        Ok(())
    }

    fn possible(&self, revision: Revision, why: String) -> Result<(), Failure> {
        if !revision.is_stateless() && self.last.is_some() {
            Ok(())
        } else {
            Err(Failure::Lost(why))
        }
    }
}

/// Reads a whole body of at most `max` bytes.
async fn collect(mut body: Incoming, max: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Lost(chain(&error)))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len().saturating_add(data.len()) > max {
            return Err(Failure::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("an event is larger than {MESSAGE_BYTES_MAX} bytes")]
    TooLarge,
    #[error(transparent)]
    Hyper(hyper::Error),
}

/// A stream of events over such a body.
pub(super) fn sse(body: Metered) -> SseStream<Metered> {
    SseStream::new(body)
}

/// A body that fails when more than one message's worth was read since the last event.
pub(super) struct Metered {
    inner: Incoming,
    held: Arc<AtomicUsize>,
}

impl Metered {
    /// With the count of what was read since the last event, which the reader puts back to zero.
    pub(super) fn new(inner: Incoming) -> (Self, Arc<AtomicUsize>) {
        let held = Arc::new(AtomicUsize::new(0));
        let body = Self {
            inner,
            held: Arc::clone(&held),
        };
        (body, held)
    }
}

/// Beyond the message itself: field names, and the rest of a chunk that begins the next event.
const SLACK: usize = 64 * 1024;

impl Body for Metered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(BodyError::Hyper);
        if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
            let before = self.held.fetch_add(data.len(), Ordering::Relaxed);
            if before.saturating_add(data.len()) > MESSAGE_BYTES_MAX.saturating_add(SLACK) {
                return Poll::Ready(Some(Err(BodyError::TooLarge)));
            }
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}
