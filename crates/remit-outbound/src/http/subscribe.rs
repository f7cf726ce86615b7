//! Subscriptions to resources over HTTP: what a server says of its own accord is read on a stream of its own, of which only
//! the addresses of changed resources are taken.
//!
//! Source: MCP 2025-11-25 server/resources "Subscriptions" and basic/transports "Listening for Messages from the Server";
//! MCP 2026-07-28 basic/patterns/subscriptions (`subscriptions/listen`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use hyper::body::{Bytes, Incoming};
use remit_domain::upstream::Transport;
use remit_mcp::Message;
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::{Method as Known, Revision};
use remit_ports::upstreams::{Subscribed, Updated, UpstreamError, UpstreamRequest};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer::{Metered, sse};
use super::call::{Call, Caller};
use super::peer::{Failure, Peer, put};
use super::session::Session;
use super::target::Target;
use super::{HttpUpstreams, Key};
use crate::flight::Flight;
use crate::limits::{RESUME_WAIT_MAX, STREAM_RESTARTS_MAX};
use crate::outgoing;
use crate::redact::Redactor;

/// A subscription. Dropping it ends the stream, and says so to a server of the stateful revision.
#[derive(Debug)]
struct There {
    uri: String,
    session: Option<Arc<Session>>,
    _stop: DropGuard,
}

impl Subscribed for There {}

impl Drop for There {
    fn drop(&mut self) {
        let (Some(session), Ok(runtime)) =
            (self.session.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let params = json!({ "uri": self.uri });
        let id = remit_mcp::Id::Text("remit-unsubscribe".to_owned());
        let message = Message::request(
            id,
            Known::ResourcesUnsubscribe.as_str(),
            params.as_object().cloned(),
        );
        runtime.spawn(async move {
            session
                .peer()
                .tell(session.headers.clone(), message)
                .await
                .map(drop)
        });
    }
}

impl HttpUpstreams {
    /// Subscribes, and reads what the server says until the result is dropped or the run ends.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn subscribe(
        &self,
        request: &mut UpstreamRequest,
        redactor: &Arc<Redactor>,
        updated: Updated,
    ) -> Result<Box<dyn Subscribed>, UpstreamError> {
        let upstream = Arc::clone(&request.upstream);
        let Transport::Http { url } = &upstream.transport else {
            return Err(UpstreamError::Unreachable(
                "the upstream is not one over HTTP".to_owned(),
            ));
        };
        let target = Target::read(url, self.loopback)
            .map_err(|error| UpstreamError::Unreachable(error.to_string()))?;
        let peer = Peer::new(self.wire.client(&request.org), target, &request.lease)?;
        let caller = Caller {
            peer,
            ids: &self.ids,
            counters: &self.counters,
        };
        let uri = request
            .params
            .get("uri")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let revision = self.revision(request, &caller, url).await?;
        let key = Key::of(request, request.lease.lends());
        let run_ends = self.sessions.slot(&request.org, key)?.stop.child_token();
        let stop = CancellationToken::new();
        let there = |session| There {
            uri: uri.clone(),
            session,
            _stop: stop.clone().drop_guard(),
        };
        let reader = |session: HeaderMap| Reader {
            peer: caller.peer.clone(),
            session,
            uri: uri.clone(),
            updated: Arc::clone(&updated),
        };
        if revision.is_stateless() {
            let (reader, taken) = (reader(HeaderMap::new()), oneshot::channel());
            let id = self.ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (at, end) = (taken.0, until(&stop, &run_ends));
            tokio::spawn(async move {
                tokio::select! { () = end => {}, () = reader.listen(id, at) => {} }
            });
            let there = there(None);
            return match taken.1.await {
                Ok(Ok(())) => Ok(Box::new(there)),
                Ok(Err(failure)) => Err(failure.into_error()),
                Err(_) => Err(UpstreamError::Unreachable("the run has ended".to_owned())),
            };
        }
        let session = self.session(request, &caller, url).await?;
        let flight = Arc::new(Flight::default());
        let mut call = Call::of(revision, &request.method, request.params.take(), &flight);
        call.session = Some(&session);
        call.redactor = Arc::clone(redactor);
        let answered = caller.call(call).await;
        session.used();
        answered.map_err(Failure::into_error)?;
        let (reader, end) = (reader(session.headers.clone()), until(&stop, &run_ends));
        tokio::spawn(async move {
            tokio::select! { () = end => {}, () = reader.follow() => {} }
        });
        Ok(Box::new(there(Some(session))))
    }
}

fn until(stop: &CancellationToken, run: &CancellationToken) -> impl Future<Output = ()> + use<> {
    let (stop, run) = (stop.clone(), run.clone());
    async move {
        tokio::select! { () = stop.cancelled() => {}, () = run.cancelled() => {} }
    }
}

/// Reads one stream for one subscription.
struct Reader {
    peer: Peer,
    session: HeaderMap,
    uri: String,
    updated: Updated,
}

impl Reader {
    /// The stream beside the calls of a session (2025-11-25). A server may decline it, and may close it at any time.
    async fn follow(&self) {
        for _ in 0..STREAM_RESTARTS_MAX {
            let mut headers = self.session.clone();
            headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
            let flight = Arc::new(Flight::default());
            match self
                .peer
                .send(Method::GET, headers, Bytes::new(), &flight)
                .await
            {
                Ok(response) if response.status() == StatusCode::OK => {
                    self.read(response.into_body(), None).await;
                }
                Ok(response) if response.status().is_client_error() => return,
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(RESTART_WAIT).await;
        }
    }

    /// A stream that is asked for with what to hear of (2026-07-28); `taken` hears whether the server does.
    async fn listen(&self, id: u64, taken: oneshot::Sender<Result<(), Failure>>) {
        let mut taken = Some(taken);
        for _ in 0..STREAM_RESTARTS_MAX {
            match self.ask(id).await {
                Ok(body) => self.read(body, taken.take()).await,
                Err(failure) => match taken.take() {
                    Some(taken) => return drop(taken.send(Err(failure))),
                    None => return,
                },
            }
            tokio::time::sleep(RESTART_WAIT).await;
        }
    }

    async fn ask(&self, id: u64) -> Result<Incoming, Failure> {
        let params = json!({ "notifications": { "resourceSubscriptions": [self.uri] } });
        let unfit = |error: UpstreamError| Failure::NotSent(error.to_string());
        let revision = Revision::R20260728;
        let prepared = outgoing::prepare(params, revision, id, false).map_err(unfit)?;
        let method = Known::SubscriptionsListen;
        let body = outgoing::encode(id, method.as_str(), &prepared.params).map_err(unfit)?;
        let mut headers = HeaderMap::new();
        put(
            &mut headers,
            remit_mcp::headers::derive(revision, method, &prepared.params, None),
        )?;
        let flight = Arc::new(Flight::default());
        let response = self
            .peer
            .send(Method::POST, headers, body.into(), &flight)
            .await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(Failure::Status(status, None)),
        }
    }

    /// Reads until the stream ends. Of all that can be said on it, the address of the resource is what counts.
    async fn read(&self, body: Incoming, mut taken: Option<oneshot::Sender<Result<(), Failure>>>) {
        let (metered, held) = Metered::new(body);
        let mut events = sse(metered);
        while let Some(Ok(event)) = events.next().await {
            held.store(0, std::sync::atomic::Ordering::Relaxed);
            let Some(data) = event.data.filter(|data| !data.is_empty()) else {
                continue;
            };
            match Message::parse(data.as_bytes()) {
                Ok(Message::Notification(told))
                    if told.method == Known::SubscriptionsAcknowledged.as_str() =>
                {
                    let honoured = told.params.as_ref().and_then(|p| {
                        p.get("notifications")?
                            .get("resourceSubscriptions")?
                            .as_array()
                    });
                    let heard =
                        honoured.is_some_and(|uris| uris.iter().any(|u| *u == self.uri.as_str()));
                    let answer = if heard { Ok(()) } else { Err(not_told()) };
                    taken.take().map(|taken| taken.send(answer));
                }
                Ok(Message::Notification(told))
                    if told.method == Known::ResourceUpdated.as_str() =>
                {
                    let of = told
                        .params
                        .as_ref()
                        .and_then(|p| p.get("uri"))
                        .and_then(Value::as_str);
                    if of == Some(self.uri.as_str()) {
                        (self.updated)(&self.uri);
                    }
                }
                Ok(Message::Error { error, .. }) => {
                    taken
                        .take()
                        .map(|taken| taken.send(Err(Failure::Rpc(error))));
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
        if let Some(taken) = taken {
            let _ = taken.send(Err(Failure::Lost(
                "its stream ended before it began".to_owned(),
            )));
        }
    }
}

/// Time before a stream that ended is asked for again.
const RESTART_WAIT: Duration = RESUME_WAIT_MAX;

fn not_told() -> Failure {
    let text = "this server tells of no changes of that resource";
    Failure::Rpc(remit_mcp::ErrorObject::new(code::METHOD_NOT_FOUND, text))
}
