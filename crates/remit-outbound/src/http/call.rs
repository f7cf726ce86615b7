//! One request and its answer over HTTP, in either revision.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::Method as HttpMethod;
use http::header::{HeaderMap, HeaderValue};
use remit_mcp::protocol::{Revision, header};
use remit_mcp::{JsonObject, Message, ParamHeaders};
use serde_json::{Value, json};

use super::answer::Reading;
use super::peer::{Failure, Peer, put};
use super::session::{Session, lower};
use crate::counters::Counters;
use crate::flight::Flight;
use crate::outgoing;
use crate::redact::Redactor;
use crate::route::Route;
use remit_ports::upstreams::{Question, UpstreamError};
use tokio::sync::mpsc;

/// What every call of a caller shares.
pub(super) struct Caller<'a> {
    pub(super) peer: Peer,
    pub(super) ids: &'a AtomicU64,
    pub(super) counters: &'a Counters,
}

/// One request.
pub(super) struct Call<'a> {
    pub(super) revision: Revision,
    pub(super) method: &'a str,
    pub(super) params: Value,
    pub(super) defined: Option<ParamHeaders>,
    pub(super) session: Option<&'a Session>,
    pub(super) notifications: Option<mpsc::Sender<Value>>,
    pub(super) questions: Option<mpsc::Sender<Question>>,
    pub(super) redactor: Arc<Redactor>,
    pub(super) flight: &'a Arc<Flight>,
}

impl<'a> Call<'a> {
    /// A request of Remit's own.
    pub(super) fn of(
        revision: Revision,
        method: &'a str,
        params: Value,
        flight: &'a Arc<Flight>,
    ) -> Self {
        Self {
            revision,
            method,
            params,
            defined: None,
            session: None,
            notifications: None,
            questions: None,
            redactor: Arc::default(),
            flight,
        }
    }
}

/// A result, and the session that the response opened.
pub(super) struct Answered {
    pub(super) result: JsonObject,
    pub(super) session: Option<HeaderValue>,
}

fn not_sent(error: UpstreamError) -> Failure {
    match error {
        UpstreamError::Rpc {
            code,
            message,
            data,
        } => Failure::Rpc(remit_mcp::ErrorObject {
            code,
            message,
            data,
        }),
        UpstreamError::Unreachable(why) => Failure::NotSent(why),
        other => Failure::NotSent(other.to_string()),
    }
}

impl Caller<'_> {
    /// Sends a request and reads its answer. Dropping the future closes the response, which is how the stateless
    /// revision cancels; a stateful server is also told.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answered, Failure> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let method = outgoing::method(call.revision, call.method).map_err(not_sent)?;
        let listens = call.notifications.is_some();
        let prepared =
            outgoing::prepare(call.params, call.revision, id, listens).map_err(not_sent)?;
        let body = outgoing::encode(id, call.method, &prepared.params).map_err(not_sent)?;
        let session = call
            .session
            .map(|session| session.headers.clone())
            .unwrap_or_default();
        let mut headers = session.clone();
        if call.revision.is_stateless() {
            let derived = remit_mcp::headers::derive(
                call.revision,
                method,
                &prepared.params,
                call.defined.as_ref(),
            );
            put(&mut headers, derived)?;
        }
        let route = Route {
            to: call.notifications,
            token: prepared.token,
            questions: call.questions,
            redactor: call.redactor,
        };
        let mut farewell = Farewell {
            session: call.session,
            id,
            flight: call.flight,
        };
        let response = self
            .peer
            .send(HttpMethod::POST, headers, body.into(), call.flight)
            .await;
        let response = match response {
            Ok(response) => response,
            Err(failure) => {
                farewell.done();
                return Err(failure);
            }
        };
        let opened = response.headers().get(lower(header::SESSION_ID)).cloned();
        let reading = Reading {
            peer: &self.peer,
            id,
            revision: call.revision,
            session,
            route: &route,
            counters: self.counters,
            asked: AtomicUsize::new(0),
        };
        let answer = reading.answer(response).await;
        farewell.done();
        Ok(Answered {
            result: answer?,
            session: opened,
        })
    }
}

/// Tells a stateful server that a call was cancelled, when the call's future is dropped before its end.
///
/// Source: MCP 2025-11-25 basic/utilities/cancellation.
struct Farewell<'a> {
    session: Option<&'a Session>,
    id: u64,
    flight: &'a Flight,
}

impl Farewell<'_> {
    fn done(&mut self) {
        self.session = None;
    }
}

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        if self.flight.withdraw() {
            return;
        }
        // Without a runtime the process is ending, and the connection with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let mut params = JsonObject::new();
        params.insert("requestId".to_owned(), json!(self.id));
        params.insert(
            "reason".to_owned(),
            json!("the caller left or the call was stopped"),
        );
        let message = Message::notification("notifications/cancelled", Some(params));
        let (peer, headers): (Peer, HeaderMap) = (session.peer().clone(), session.headers.clone());
        runtime.spawn(async move { peer.tell(headers, message).await.map(drop) });
    }
}
