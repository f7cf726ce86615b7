//! Standard input to the gateway, and back: one line a message, many calls at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use remit_mcp::framing::line;
use remit_mcp::jsonrpc::code;
use remit_mcp::{ErrorObject, Id, LineFramer, Message, Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::Bridge;
use super::identity::Identity;
use super::relay::Relay;
use super::wrap::Wrapped;
use crate::connection::Connection;
use crate::exit::{Done, ERROR, OK};
use crate::print::note;

/// Calls in flight at the same time.
const CALLS_MAX: usize = 64;
/// Answers that wait to be written.
const LINES_MAX: usize = 256;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1_024;
/// How long calls in flight may go on once the client is gone.
const GRACE: Duration = Duration::from_secs(10);

/// Why the bridge ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closed its side.
    Closed,
    /// The client wrote what is no stream of messages.
    Broken,
    /// The process was told to end.
    Told,
}

/// Runs the bridge over standard input and output until the client closes them.
pub(crate) async fn run(connection: &Connection, args: Bridge) -> Done {
    over_stdio(connection, args, None).await
}

/// The same, in front of a server on this machine.
pub(crate) async fn wrapping(connection: &Connection, args: Bridge, wrapped: Wrapped) -> Done {
    over_stdio(connection, args, Some(wrapped)).await
}

async fn over_stdio(connection: &Connection, args: Bridge, wrapped: Option<Wrapped>) -> Done {
    let identity = Identity::new(connection.anonymous()?, connection.plain_http, args)?;
    let end = serve(identity, wrapped, tokio::io::stdin(), tokio::io::stdout()).await?;
    Ok(if end == End::Broken { ERROR } else { OK })
}

async fn serve(
    identity: Identity,
    wrapped: Option<Wrapped>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<End> {
    let (lines, written) = mpsc::channel(LINES_MAX);
    let writer = tokio::spawn(write(written, output));
    let relay = Relay::new(identity, wrapped, lines)?;
    let mut calls = Calls {
        relay: Arc::clone(&relay),
        tasks: JoinSet::new(),
        open: Arc::default(),
        free: Arc::new(Semaphore::new(CALLS_MAX)),
    };
    let end = tokio::select! {
        end = calls.read(input) => end,
        () = told_to_end() => End::Told,
    };
    calls
        .finish(if end == End::Closed {
            GRACE
        } else {
            Duration::ZERO
        })
        .await;
    relay
        .end(if end == End::Closed {
            "done"
        } else {
            "abandoned"
        })
        .await;
    drop((calls, relay));
    // Every sender is gone, so the writer ends once all is written.
    let _ = tokio::time::timeout(GRACE, writer).await;
    Ok(end)
}

/// Waits until the process is told to end.
pub(crate) async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => std::future::pending().await,
    }
}

async fn write(mut lines: mpsc::Receiver<Message>, mut output: impl AsyncWrite + Unpin) {
    while let Some(message) = lines.recv().await {
        let id = match &message {
            Message::Response { id, .. } => Some(id.clone()),
            _ => None,
        };
        let bytes = line(message).or_else(|error| {
            line(Message::Error {
                id,
                error: ErrorObject::new(code::INTERNAL_ERROR, &error.to_string()),
            })
        });
        let Ok(bytes) = bytes else { continue };
        if output.write_all(&bytes).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

/// Calls in flight.
struct Calls {
    relay: Arc<Relay>,
    tasks: JoinSet<()>,
    open: Arc<Mutex<HashMap<Id, AbortHandle>>>,
    free: Arc<Semaphore>,
}

impl Calls {
    /// Reads messages until the client closes its side.
    async fn read(&mut self, mut input: impl AsyncRead + Unpin) -> End {
        let (mut framer, mut lines) = (LineFramer::default(), Vec::new());
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        loop {
            let read = match input.read(&mut chunk).await {
                Ok(0) | Err(_) => return End::Closed,
                Ok(n) => n,
            };
            let framed = framer.push(chunk.get(..read).unwrap_or_default(), &mut lines);
            for line in lines.drain(..) {
                self.line(&line).await;
            }
            if let Err(error) = framed {
                note(&format!("error: {error}"));
                let told = ErrorObject::new(code::INVALID_REQUEST, &error.to_string());
                self.relay
                    .say(Message::Error {
                        id: None,
                        error: told,
                    })
                    .await;
                return End::Broken;
            }
            while self.tasks.try_join_next().is_some() {}
        }
    }

    async fn line(&mut self, line: &[u8]) {
        let message = match Message::parse(line) {
            Ok(message) => message,
            Err(error) => return self.relay.say(error.to_message()).await,
        };
        match &message {
            // The session it opens is needed by what follows.
            Message::Request(request) if request.method == Method::Initialize.as_str() => {
                self.relay.carry(message).await
            }
            Message::Request(request) => {
                let id = request.id.clone();
                self.start(id, message).await;
            }
            Message::Notification(told)
                if told.method == Method::Cancelled.as_str()
                    && self.relay.cancels_by_hanging_up() =>
            {
                let id = told
                    .params
                    .as_ref()
                    .and_then(|p| p.get("requestId"))
                    .and_then(Id::read);
                let call = id.and_then(|id| {
                    self.open
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&id)
                });
                if let Some(call) = call {
                    call.abort();
                }
            }
            _ => self.relay.carry(message).await,
        }
    }

    async fn start(&mut self, id: Id, message: Message) {
        // Beyond the limit the client waits: what it writes stays in the pipe.
        let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else {
            return;
        };
        let (relay, open, key) = (Arc::clone(&self.relay), Arc::clone(&self.open), id.clone());
        // Held until the call is entered, so that a call that is over at once is not entered after it was removed.
        let mut entered = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let call = self.tasks.spawn(async move {
            relay.carry(message).await;
            open.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&key);
            drop(permit);
        });
        entered.insert(id, call);
    }

    async fn finish(&mut self, grace: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests;
