//! One JSON-RPC connection to a process: many calls at once over two pipes, each answered by its own id.
//!
//! Knows no process, only a reader and a writer, so that every lie of a server can be tested without one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use remit_mcp::{Id, JsonObject, Message};
use remit_ports::upstreams::{Updated, UpstreamError};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::counters::{Counters, count};
use crate::flight::Flight;
use crate::limits::{MESSAGE_BYTES_MAX, QUEUE_MAX, SUBSCRIPTIONS_MAX};
use crate::outgoing;
use crate::route::Route;
use crate::slots::lock;

mod incoming;

/// Why a connection ended.
#[derive(Debug, Clone)]
pub(super) enum Closing {
    /// The process or its pipe is gone.
    Ended(String),
    /// A line was longer than Remit holds.
    TooLarge,
}

impl Closing {
    fn error(&self, sent: bool) -> UpstreamError {
        match self {
            Self::Ended(why) if sent => UpstreamError::Ambiguous(why.clone()),
            Self::TooLarge if sent => UpstreamError::TooLarge(MESSAGE_BYTES_MAX),
            Self::Ended(why) => UpstreamError::Unreachable(format!("{why}, nothing was sent")),
            Self::TooLarge => {
                UpstreamError::Unreachable("it wrote too long a line, nothing was sent".to_owned())
            }
        }
    }
}

/// A line that waits to be written; with a flight it belongs to a call and is only written if that is still wanted.
#[derive(Debug)]
struct Frame {
    flight: Option<Arc<Flight>>,
    bytes: Vec<u8>,
}

impl Frame {
    fn of(message: Message) -> Self {
        let mut bytes = message.into_bytes();
        bytes.push(b'\n');
        Self {
            flight: None,
            bytes,
        }
    }
}

#[derive(Debug)]
struct Waiting {
    flight: Arc<Flight>,
    reply: oneshot::Sender<Result<JsonObject, UpstreamError>>,
    route: Arc<Route>,
    gone: CancellationToken,
}

#[derive(Debug, Default)]
struct Calls {
    open: HashMap<u64, Waiting>,
    closing: Option<Closing>,
}

/// What the tasks of a connection share.
pub(super) struct Shared {
    calls: Mutex<Calls>,
    /// Fires when the connection is of no use any more.
    pub(super) closed: CancellationToken,
    next_id: AtomicU64,
    last_used: Mutex<Instant>,
    /// Whether the handshake is over: before, lines that are not MCP are a banner.
    greeted: AtomicBool,
    banner_lines: AtomicUsize,
    /// Questions of the server that are open.
    asking: Arc<AtomicUsize>,
    /// Who hears of changes of which resource.
    subscriptions: Mutex<HashMap<u64, (String, Updated)>>,
    /// Whether calls of several runs use the connection.
    several_runs: bool,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// When the last call ended; `None` while one is open, or somebody waits for news.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        let open = lock(&self.calls).open.len() + lock(&self.subscriptions).len();
        (open == 0).then(|| *lock(&self.last_used))
    }

    /// Ends the connection: every open call is told whether it may have been acted on. The first reason stays.
    pub(super) fn close(&self, closing: Closing) {
        let open = {
            let mut calls = lock(&self.calls);
            if calls.closing.is_none() {
                calls.closing = Some(closing.clone());
            }
            std::mem::take(&mut calls.open)
        };
        for waiting in open.into_values() {
            let sent = !waiting.flight.withdraw();
            // A caller that has left needs no answer.
            let _ = waiting.reply.send(Err(closing.error(sent)));
        }
        self.closed.cancel();
    }

    fn answer(&self, id: u64, answer: Result<JsonObject, UpstreamError>) {
        let waiting = lock(&self.calls).open.remove(&id);
        match waiting {
            Some(waiting) => drop(waiting.reply.send(answer)),
            None => count(&self.counters.stray_answers),
        }
    }
}

/// The caller's side of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    queue: mpsc::Sender<Frame>,
}

/// A call that could not even be queued because the connection had ended; another connection may take it.
#[derive(Debug)]
pub(super) struct NotOpen(pub(super) UpstreamError);

impl Connection {
    /// Starts talking over `reader` and `writer`.
    ///
    /// - `several_runs`: calls of several runs will share it; log messages, which name no request, then go to nobody.
    pub(super) fn start(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        several_runs: bool,
        counters: Arc<Counters>,
    ) -> Self {
        let shared = Arc::new(Shared {
            calls: Mutex::default(),
            closed: CancellationToken::new(),
            next_id: AtomicU64::new(1),
            last_used: Mutex::new(Instant::now()),
            greeted: AtomicBool::new(false),
            banner_lines: AtomicUsize::new(0),
            asking: Arc::default(),
            subscriptions: Mutex::default(),
            several_runs,
            counters,
        });
        let (queue, frames) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(write(writer, frames, Arc::clone(&shared)));
        // A weak end: the writer, and with it the process's input, ends when the last caller is gone.
        tokio::spawn(incoming::read(
            reader,
            Arc::clone(&shared),
            queue.downgrade(),
        ));
        Self { shared, queue }
    }

    /// An id that is unique on this connection; also serves as progress token.
    pub(super) fn next_id(&self) -> u64 {
        self.shared.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// From now on, every line has to be MCP.
    pub(super) fn greeted(&self) {
        self.shared.greeted.store(true, Ordering::Relaxed);
    }

    /// Sends one request and waits for its answer. Dropping the future withdraws or cancels it.
    ///
    /// # Errors
    /// `NotOpen` when the connection had ended before; else what became of the call.
    pub(super) async fn call(
        &self,
        id: u64,
        bytes: Vec<u8>,
        flight: &Arc<Flight>,
        route: Route,
    ) -> Result<Result<JsonObject, UpstreamError>, NotOpen> {
        let (reply, answer) = oneshot::channel();
        let gone = CancellationToken::new();
        let waiting = Waiting {
            flight: Arc::clone(flight),
            reply,
            route: Arc::new(route),
            gone: gone.clone(),
        };
        {
            let mut calls = lock(&self.shared.calls);
            if let Some(closing) = &calls.closing {
                return Err(NotOpen(closing.error(false)));
            }
            calls.open.insert(id, waiting);
        }
        let _leave = Leave {
            connection: self,
            id,
            flight,
            gone,
        };
        let mut bytes = bytes;
        bytes.push(b'\n');
        // When the writer is gone the connection is closing, and the answer says so.
        let _ = self
            .queue
            .send(Frame {
                flight: Some(Arc::clone(flight)),
                bytes,
            })
            .await;
        Ok(answer.await.unwrap_or_else(|_| {
            let sent = !flight.withdraw();
            Err(Closing::Ended("the connection ended".to_owned()).error(sent))
        }))
    }

    /// From now on `updated` hears of changes of `uri`; false when there are too many who do.
    pub(super) fn listen(&self, id: u64, uri: &str, updated: Updated) -> bool {
        let mut subscriptions = lock(&self.shared.subscriptions);
        let room = subscriptions.len() < SUBSCRIPTIONS_MAX;
        if room {
            subscriptions.insert(id, (uri.to_owned(), updated));
        }
        room
    }

    /// Nobody hears of it any more under this id; the server is told when it was the last one for that resource.
    pub(super) fn unlisten(&self, id: u64) {
        let uri = {
            let mut subscriptions = lock(&self.shared.subscriptions);
            let Some((uri, _)) = subscriptions.remove(&id) else {
                return;
            };
            if subscriptions.values().any(|(of, _)| *of == uri) {
                return;
            }
            uri
        };
        *lock(&self.shared.last_used) = Instant::now();
        let mut params = JsonObject::new();
        params.insert("uri".to_owned(), Value::from(uri));
        let id = i64::try_from(self.next_id()).unwrap_or(i64::MAX);
        let message = Message::request(Id::Number(id), "resources/unsubscribe", Some(params));
        // Its answer is counted as a stray one; a server that reads nothing will not read this either.
        let _ = self.queue.try_send(Frame::of(message));
    }

    /// Queues a notification that belongs to no call.
    pub(super) async fn notify(&self, method: &str) {
        let _ = self
            .queue
            .send(Frame::of(Message::notification(method, None)))
            .await;
    }
}

/// Cleans up after a call, however it ends.
struct Leave<'c> {
    connection: &'c Connection,
    id: u64,
    flight: &'c Flight,
    gone: CancellationToken,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.gone.cancel();
        let shared = &self.connection.shared;
        let unanswered = lock(&shared.calls).open.remove(&self.id).is_some();
        *lock(&shared.last_used) = Instant::now();
        if unanswered && !self.flight.withdraw() {
            let mut params = JsonObject::new();
            params.insert("requestId".to_owned(), json!(self.id));
            params.insert(
                "reason".to_owned(),
                Value::from("the caller left or the call was stopped"),
            );
            let message = Message::notification("notifications/cancelled", Some(params));
            // A server that reads nothing will not read this either.
            let _ = self.connection.queue.try_send(Frame::of(message));
        }
    }
}

async fn write(
    mut writer: impl AsyncWrite + Send + Unpin,
    mut frames: mpsc::Receiver<Frame>,
    shared: Arc<Shared>,
) {
    loop {
        let frame = tokio::select! {
            () = shared.closed.cancelled() => return,
            frame = frames.recv() => match frame {
                Some(frame) => frame,
                None => return,
            },
        };
        if frame.flight.is_some_and(|flight| !flight.begin()) {
            continue;
        }
        let written = async {
            writer.write_all(&frame.bytes).await?;
            writer.flush().await
        };
        let written = tokio::select! {
            () = shared.closed.cancelled() => return,
            written = written => written,
        };
        if let Err(error) = written {
            shared.close(Closing::Ended(format!(
                "its input is closed ({})",
                error.kind()
            )));
            return;
        }
    }
}

/// An answer to what a server asks of its client: it may ask whether the client is there, and nothing else.
pub(crate) fn reply_to(id: Id, method: &str) -> Message {
    if method == "ping" {
        return Message::Response {
            id,
            result: JsonObject::new(),
        };
    }
    let error = remit_mcp::ErrorObject::new(
        remit_mcp::jsonrpc::code::METHOD_NOT_FOUND,
        &format!(
            "`{}` is not offered by this client",
            outgoing::reason(method)
        ),
    );
    Message::Error {
        id: Some(id),
        error,
    }
}

#[cfg(test)]
mod tests;
