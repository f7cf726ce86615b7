//! What a process says: answers to their calls, notifications to their callers, everything else counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use remit_domain::upstream::MayAsk;
use remit_mcp::protocol::Method;
use remit_mcp::{Id, LineFramer, Message, MessageError, Notification, Request};
use remit_ports::upstreams::{Updated, UpstreamError};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Closing, Frame, Shared, reply_to};
use crate::counters::count;
use crate::limits::{BANNER_LINES_MAX, NOTIFICATION_BYTES_MAX, QUESTIONS_OPEN_MAX};
use crate::outgoing;
use crate::route::Route;
use crate::slots::lock;

/// One question in work, until it is answered or given up.
struct Asking(Arc<AtomicUsize>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

const READ_BYTES: usize = 16 * 1024;

pub(super) async fn read(
    mut reader: impl AsyncRead + Send + Unpin,
    shared: Arc<Shared>,
    queue: mpsc::WeakSender<Frame>,
) {
    let mut framer = LineFramer::default();
    let mut buffer = vec![0u8; READ_BYTES];
    let mut lines = Vec::new();
    loop {
        let read = tokio::select! {
            () = shared.closed.cancelled() => return,
            read = reader.read(&mut buffer) => read,
        };
        let bytes = match read {
            Ok(0) => {
                return shared.close(Closing::Ended(
                    "the process ended or closed its output".to_owned(),
                ));
            }
            Ok(n) => buffer.get(..n).unwrap_or_default(),
            Err(error) => {
                return shared.close(Closing::Ended(format!(
                    "its output is closed ({})",
                    error.kind()
                )));
            }
        };
        let framed = framer.push(bytes, &mut lines);
        for line in lines.drain(..) {
            Shared::take(&shared, &line, &queue).await;
        }
        if framed.is_err() {
            count(&shared.counters.oversize_messages);
            return shared.close(Closing::TooLarge);
        }
    }
}

impl Shared {
    async fn take(this: &Arc<Self>, line: &[u8], queue: &mpsc::WeakSender<Frame>) {
        match Message::parse(line) {
            Ok(Message::Response { id, result }) => this.answer_to(&id, Ok(result)),
            Ok(Message::Error {
                id: Some(id),
                error,
            }) => this.answer_to(&id, Err(outgoing::rpc(error))),
            // An error that names no request cannot be given to one.
            Ok(Message::Error { id: None, .. }) => count(&this.counters.stray_answers),
            Ok(Message::Request(request)) => this.asked(request, line.len(), queue),
            Ok(Message::Notification(notification)) => this.pass_on(notification, line.len()).await,
            Err(error) => this.not_mcp(&error),
        }
    }

    fn answer_to(&self, id: &Id, answer: Result<remit_mcp::JsonObject, UpstreamError>) {
        match id {
            Id::Number(id) if *id > 0 => self.answer(id.unsigned_abs(), answer),
            _ => count(&self.counters.stray_answers),
        }
    }

    /// A request of the server: put to the side of the only call that is open, if that call takes questions, and else
    /// refused. Over stdio nothing says which of several calls a question belongs to, and nobody guesses.
    fn asked(&self, request: Request, bytes: usize, queue: &mpsc::WeakSender<Frame>) {
        let known = MayAsk::of_method(&request.method).is_some();
        let asks = self.only_route().filter(|(route, _)| {
            let room = self.asking.load(Ordering::Relaxed) < QUESTIONS_OPEN_MAX;
            known && room && route.questions.is_some()
        });
        let Some((route, gone)) = asks else {
            // Never waits for room: a server that asks without reading would otherwise stop its own answers.
            if let Some(queue) = queue.upgrade() {
                let _ = queue.try_send(Frame::of(reply_to(request.id, &request.method)));
            }
            return;
        };
        self.asking.fetch_add(1, Ordering::Relaxed);
        let open = Asking(Arc::clone(&self.asking));
        let queue = queue.clone();
        tokio::spawn(async move {
            let _open = open;
            let reply = tokio::select! {
                reply = route.ask(request, bytes) => reply,
                () = gone.cancelled() => return,
            };
            if let (Some(reply), Some(queue)) = (reply, queue.upgrade()) {
                let _ = queue.send(Frame::of(reply)).await;
            }
        });
    }

    /// The text of a banner before the first answer is skipped; later, nobody knows which call it was meant for.
    fn not_mcp(&self, error: &MessageError) {
        count(&self.counters.invalid_messages);
        if !self.greeted.load(Ordering::Relaxed) {
            if self.banner_lines.fetch_add(1, Ordering::Relaxed) >= BANNER_LINES_MAX {
                self.close(Closing::Ended(
                    "it does not speak MCP on its output".to_owned(),
                ));
            }
            return;
        }
        let why = format!(
            "a line of its output is not MCP: {}",
            outgoing::reason(&error.to_string())
        );
        let named = error.id.as_ref().and_then(|id| match id {
            Id::Number(id) => u64::try_from(*id).ok(),
            Id::Text(_) => None,
        });
        let failed: Vec<_> = {
            let mut calls = lock(&self.calls);
            match named.and_then(|id| calls.open.remove(&id)) {
                Some(waiting) => vec![waiting],
                None => {
                    // A call that is still queued is not concerned.
                    let sent = calls.open.extract_if(|_, waiting| waiting.flight.is_sent());
                    sent.map(|(_, waiting)| waiting).collect()
                }
            }
        };
        for waiting in failed {
            let _ = waiting.reply.send(Err(UpstreamError::Invalid(why.clone())));
        }
    }

    async fn pass_on(&self, notification: Notification, bytes: usize) {
        let Some(params) = notification.params else {
            return;
        };
        if notification.method == Method::ResourceUpdated.as_str() {
            return self.updated(&params);
        }
        if bytes > NOTIFICATION_BYTES_MAX {
            return count(&self.counters.dropped_notifications);
        }
        let found = match notification.method.as_str() {
            "notifications/progress" => {
                let token = params.get("progressToken").and_then(Value::as_u64);
                let found = token.and_then(|token| self.route_of(token));
                found.and_then(|(route, gone)| Some((route.progress(&params)?, route, gone)))
            }
            "notifications/message" => self
                .only_route()
                .and_then(|(route, gone)| Some((route.log(&params)?, route, gone))),
            _ => None,
        };
        let Some((value, route, gone)) = found else {
            return count(&self.counters.dropped_notifications);
        };
        let Some(to) = &route.to else { return };
        if self.several_runs {
            // A slow reader of one run must not hold up another's answers.
            if to.try_send(value).is_err() {
                count(&self.counters.dropped_notifications);
            }
            return;
        }
        tokio::select! {
            _ = to.send(value) => {}
            () = gone.cancelled() => {}
            () = self.closed.cancelled() => {}
        }
    }

    fn route_of(&self, id: u64) -> Option<(Arc<Route>, CancellationToken)> {
        let calls = lock(&self.calls);
        let waiting = calls.open.get(&id)?;
        Some((Arc::clone(&waiting.route), waiting.gone.clone()))
    }

    /// The only open call, when the connection belongs to one run: a log message names no request.
    fn only_route(&self) -> Option<(Arc<Route>, CancellationToken)> {
        let calls = lock(&self.calls);
        let mut open = calls.open.values();
        match (open.next(), open.next()) {
            (Some(waiting), None) if !self.several_runs => {
                Some((Arc::clone(&waiting.route), waiting.gone.clone()))
            }
            _ => None,
        }
    }

    /// Tells who subscribed to that resource, and nobody else.
    fn updated(&self, params: &remit_mcp::JsonObject) {
        let Some(uri) = params.get("uri").and_then(Value::as_str) else {
            return;
        };
        let told: Vec<Updated> = lock(&self.subscriptions)
            .values()
            .filter(|(of, _)| of == uri)
            .map(|(_, updated)| Arc::clone(updated))
            .collect();
        if told.is_empty() {
            count(&self.counters.dropped_notifications);
        }
        told.iter().for_each(|updated| updated(uri));
    }
}
