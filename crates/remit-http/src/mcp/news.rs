//! What a 2025-11-25 client hears of beside its calls: that a resource it subscribed to has changed.
//!
//! A subscription is decided like a call. Each piece of news is decided again before it is told, with the token of the
//! stream that it is told on; it says which resource, and no more. What waits to be told is at most one piece for each
//! subscription, however often the upstream says it.
//!
//! Source: MCP 2025-11-25 server/resources "Subscriptions", basic/transports "Listening for Messages from the Server".

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use remit_gateway::{Action, Presented, Received, Subscription};
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::header as mcp_header;
use remit_mcp::sse;
use remit_mcp::{ErrorObject, Message, Method};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::answer::{Reply, result, rpc_error};
use super::call::Call;
use super::door::Door;
use super::outcome::Asked;
use super::{Object, Turn, no_stream, session};
use crate::limits::{KEEP_ALIVE, SESSION_SUBSCRIPTIONS_MAX};
use crate::problem::Problem;
use crate::site::Site;

/// What one session hears of.
#[derive(Default)]
pub(crate) struct News {
    held: Mutex<HashMap<String, Held>>,
    /// What has changed and was not told.
    waiting: Mutex<BTreeSet<String>>,
    wake: Notify,
    /// Whether somebody listens: one stream a session.
    heard: AtomicBool,
    over: AtomicBool,
}

/// A subscription, and the call that it was decided as.
struct Held {
    call: Received,
    _at_upstream: Subscription,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl News {
    /// Ends every subscription, and the stream.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        lock(&self.held).clear();
        self.wake.notify_one();
    }

    fn changed(&self, uri: &str) {
        lock(&self.waiting).insert(uri.to_owned());
        self.wake.notify_one();
    }

    fn next(&self) -> Option<String> {
        lock(&self.waiting).pop_first()
    }

    fn call_of(&self, uri: &str) -> Option<Received> {
        lock(&self.held).get(uri).map(|held| held.call.clone())
    }
}

impl Turn {
    /// `resources/subscribe`.
    pub(super) async fn subscribe(&self) -> Reply {
        let wrong = |code, text: &str| rpc_error(&self.incoming, ErrorObject::new(code, text));
        let Some(session) = self.incoming.session() else {
            let text = "a subscription belongs to a session; begin with initialize";
            return wrong(code::INVALID_REQUEST, text);
        };
        let Some(uri) = self.uri() else {
            return wrong(
                code::INVALID_PARAMS,
                "`uri` must be the address of a resource",
            );
        };
        let news = self.site.sessions.news(session);
        let (there, many) = {
            let held = lock(&news.held);
            (
                held.contains_key(&uri),
                held.len() >= SESSION_SUBSCRIPTIONS_MAX,
            )
        };
        if many && !there {
            let text = "this session has as many subscriptions as one may have; end some";
            return wrong(code::INVALID_REQUEST, text);
        }
        let mut call = match Call::action(self, Action::Subscribe) {
            Ok(call) => call,
            Err(error) => return rpc_error(&self.incoming, error),
        };
        let received = call.received(self);
        let told = Arc::downgrade(&news);
        let updated = Arc::new(move |uri: &str| {
            if let Some(news) = told.upgrade() {
                news.changed(uri);
            }
        });
        let gateway = self.site.app.gateway.clone();
        match gateway.subscribe(received.clone(), updated).await {
            Ok(subscription) => {
                let call = received;
                let held = Held {
                    call,
                    _at_upstream: subscription,
                };
                lock(&news.held).insert(uri, held);
                result(&self.incoming, Method::ResourcesSubscribe, Object::new(), 0)
            }
            Err(refused) => {
                if let Some(challenge) = self.door.refused(&refused.refusal) {
                    return challenge.into();
                }
                let Some(id) = self.incoming.id().cloned() else {
                    return Reply::accepted();
                };
                let asked = Asked::plain(id, Method::ResourcesSubscribe, self.incoming.revision);
                Reply::message(StatusCode::OK, asked.message(Err(refused)))
            }
        }
    }

    /// `resources/unsubscribe`: to hear less is always allowed.
    pub(super) fn unsubscribe(&self) -> Reply {
        let (Some(session), Some(uri)) = (self.incoming.session(), self.uri()) else {
            let text = "`uri` must be the address of a resource that this session subscribed to";
            return rpc_error(&self.incoming, ErrorObject::new(code::INVALID_PARAMS, text));
        };
        let news = self.site.sessions.news(session);
        let gone = lock(&news.held).remove(&uri);
        lock(&news.waiting).remove(&uri);
        drop(gone);
        result(
            &self.incoming,
            Method::ResourcesUnsubscribe,
            Object::new(),
            0,
        )
    }

    fn uri(&self) -> Option<String> {
        let uri = self.incoming.message.params()?.get("uri")?.as_str()?;
        Some(uri.to_owned())
    }
}

/// The stream beside the calls of a session. 2026-07-28 has none.
pub(super) async fn listen(State(site): State<Site>, door: Door, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let presented = match door.token(&site, &parts).await {
        Ok(presented) => presented,
        Err(away) => return away,
    };
    let headers = &parts.headers;
    let text_of = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let stateful = text_of(mcp_header::PROTOCOL_VERSION) == Some("2025-11-25");
    let Some(id) = text_of(mcp_header::SESSION_ID)
        .filter(|_| stateful)
        .map(str::to_owned)
    else {
        return no_stream().await;
    };
    let accepts = text_of("accept").is_some_and(|v| v.contains("text/event-stream"));
    if !accepts {
        let problem = Problem::invalid("`Accept` must name text/event-stream");
        return problem
            .with_status(StatusCode::NOT_ACCEPTABLE)
            .into_response();
    }
    let gateway = &site.app.gateway;
    let caller = gateway
        .caller(door.place.org(), &presented, &door.resource)
        .await;
    let caller = match caller {
        Ok(caller) => caller,
        Err(not) => {
            let away = gateway.turn_away(door.place.org(), "subscribe", not);
            let refusal = away.await.refusal;
            return door
                .refused(&refusal)
                .unwrap_or_else(|| Problem::from(refusal).into_response());
        }
    };
    let bound = session::Bound::new(door.place.org(), &caller, &door.resource);
    if !site.sessions.holds(&site.app.books, &id, &bound) {
        return Problem::not_found("this session is not known").into_response();
    }
    let news = site.sessions.news(&id);
    if news.heard.swap(true, Ordering::SeqCst) {
        let problem = Problem::invalid("this session listens already; one stream is enough");
        return problem.with_status(StatusCode::CONFLICT).into_response();
    }
    let mut epoch = door.place.book.watch_epoch();
    epoch.borrow_and_update();
    let stream = Stream {
        site,
        door,
        presented,
        news: Heard(news),
        epoch,
        begun: false,
    };
    Reply::stream(Body::from_stream(events(stream))).into_response()
}

/// Who listens; another one may when it is gone.
struct Heard(Arc<News>);

impl Drop for Heard {
    fn drop(&mut self) {
        self.0.heard.store(false, Ordering::SeqCst);
    }
}

struct Stream {
    site: Site,
    door: Door,
    presented: Presented,
    news: Heard,
    epoch: watch::Receiver<u64>,
    begun: bool,
}

impl Stream {
    /// What comes next; none when whoever listens may do so no more. They come back with a new token.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(sse::KEEP_ALIVE.to_owned());
        }
        let news = Arc::clone(&self.news.0);
        loop {
            if news.over.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(uri) = news.next() {
                match self.told(&uri).await {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let quiet = tokio::select! {
                () = news.wake.notified() => false,
                moved = self.epoch.changed() => moved.is_err() || !self.stands().await,
                () = sleep_until(Instant::now() + KEEP_ALIVE) => {
                    return self.stands().await.then(|| sse::KEEP_ALIVE.to_owned());
                }
            };
            if quiet {
                return None;
            }
        }
    }

    async fn stands(&self) -> bool {
        let gateway = &self.site.app.gateway;
        gateway
            .stands(self.door.place.org(), &self.presented, &self.door.resource)
            .await
    }

    /// The event that a resource changed, if its subscription would be decided as it was.
    async fn told(&self, uri: &str) -> Option<String> {
        let mut call = self.news.0.call_of(uri)?;
        call.presented = self.presented.clone();
        if !self.site.app.gateway.may_still(call).await {
            return None;
        }
        let params: Value = json!({ "uri": uri });
        let method = Method::ResourceUpdated.as_str();
        Some(sse::message_event(Message::notification(
            method,
            params.as_object().cloned(),
        )))
    }
}

fn events(stream: Stream) -> impl futures_util::Stream<Item = Result<String, Infallible>> {
    futures_util::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok(event), stream))
    })
}
