//! Which revision a server speaks, and the sessions of those that have some.
//!
//! A server is asked with `server/discover` first (2026-07-28). One that does not know it is greeted with `initialize`
//! (2025-11-25); its session then belongs to one run.
//!
//! Source: MCP 2026-07-28 basic/lifecycle and server/discover; MCP 2025-11-25 basic/lifecycle and basic/transports
//! "Session Management".

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method as HttpMethod, StatusCode};
use remit_domain::upstream::MayAsk;
use remit_mcp::Message;
use remit_mcp::protocol::{Revision, header};
use remit_ports::upstreams::UpstreamError;
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;

use super::call::{Call, Caller};
use super::peer::{Failure, Peer};
use crate::flight::Flight;
use crate::greeting::Greeting;
use crate::limits::{
    DISCOVER, FAREWELL, IDLE, REVISION_BELIEVED, SESSION_ID_BYTES_MAX, SESSION_QUIET,
};
use crate::slots::{Held, lock};

/// What is known of a server: the revision it speaks, for a while.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) url: String,
    pub(super) revision: Revision,
    at: Instant,
}

impl Held for Known {
    fn is_over(&self) -> bool {
        self.at.elapsed() >= REVISION_BELIEVED
    }
}

impl Known {
    /// Asks the server. Anything but a clear answer means the stateful revision, whose own handshake then fails if
    /// the server speaks neither.
    ///
    /// # Errors
    /// `Unreachable` when there is no connection or the credential is refused, which no handshake would mend.
    pub(super) async fn ask(caller: &Caller<'_>, url: &str) -> Result<Self, UpstreamError> {
        let known = |revision| Self {
            url: url.to_owned(),
            revision,
            at: Instant::now(),
        };
        let flight = Arc::new(Flight::default());
        let call = Call::of(Revision::R20260728, "server/discover", Value::Null, &flight);
        let revision = match tokio::time::timeout(DISCOVER, caller.call(call)).await {
            Ok(Ok(answered)) => match Greeting::of_discover(answered.result) {
                Some(_) => Revision::R20260728,
                None => Revision::R20251125,
            },
            Ok(Err(failure @ Failure::NotSent(_))) => return Err(failure.before_call()),
            Ok(Err(Failure::Status(
                status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
                _,
            ))) => {
                return Err(Failure::Status(status, None).before_call());
            }
            Ok(Err(_)) | Err(_) => Revision::R20251125,
        };
        Ok(known(revision))
    }
}

/// A session with a server of the stateful revision, or the agreement that there is none.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) url: String,
    /// What was declared that it may ask for.
    pub(super) may_ask: BTreeSet<MayAsk>,
    pub(super) greeting: Greeting,
    /// Version and session id, for every further message.
    pub(super) headers: HeaderMap,
    peer: Peer,
    last_used: Mutex<Instant>,
    lost: AtomicBool,
}

impl Held for Session {
    fn is_over(&self) -> bool {
        self.lost.load(Ordering::Relaxed) || lock(&self.last_used).elapsed() >= IDLE
    }
}

impl Session {
    /// Introduces Remit to the server. A session that is lost before the first call is opened once more; a call that
    /// was sent is never repeated.
    ///
    /// # Errors
    /// `Unreachable`, with the reason.
    pub(super) async fn open(
        caller: &Caller<'_>,
        url: &str,
        may_ask: &BTreeSet<MayAsk>,
    ) -> Result<Self, UpstreamError> {
        match Self::try_open(caller, url, may_ask).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => match Self::try_open(caller, url, may_ask).await? {
                Some(session) => Ok(session),
                None => Err(UpstreamError::Unreachable(
                    "it forgets its sessions at once".to_owned(),
                )),
            },
            Err(error) => Err(error),
        }
    }

    async fn try_open(
        caller: &Caller<'_>,
        url: &str,
        may_ask: &BTreeSet<MayAsk>,
    ) -> Result<Option<Self>, UpstreamError> {
        let flight = Arc::new(Flight::default());
        let params = Value::Object(Greeting::initialize_params(may_ask));
        let call = Call::of(Revision::R20251125, "initialize", params, &flight);
        let answered = caller.call(call).await.map_err(Failure::before_call)?;
        let greeting = Greeting::of_initialize(answered.result)?;
        let mut headers = HeaderMap::new();
        headers.insert(
            lower(header::PROTOCOL_VERSION),
            HeaderValue::from_static(greeting.version),
        );
        if let Some(id) = answered.session {
            let visible =
                id.len() <= SESSION_ID_BYTES_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic);
            if !visible {
                return Err(UpstreamError::Unreachable(
                    "its session id is not visible ASCII".to_owned(),
                ));
            }
            headers.insert(lower(header::SESSION_ID), id);
        }
        let initialized = Message::notification("notifications/initialized", None);
        let status = caller
            .peer
            .tell(headers.clone(), initialized)
            .await
            .map_err(Failure::before_call)?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(Failure::Status(status, None).before_call());
        }
        Ok(Some(Self {
            url: url.to_owned(),
            may_ask: may_ask.clone(),
            greeting,
            headers,
            peer: caller.peer.clone(),
            last_used: Mutex::new(Instant::now()),
            lost: AtomicBool::new(false),
        }))
    }

    /// Whether the session is still known after a quiet time, asked with a ping before a call is risked on it.
    pub(super) async fn is_alive(&self, caller: &Caller<'_>) -> bool {
        if lock(&self.last_used).elapsed() < SESSION_QUIET {
            return true;
        }
        let flight = Arc::new(Flight::default());
        let mut call = Call::of(Revision::R20251125, "ping", Value::Null, &flight);
        call.session = Some(self);
        match tokio::time::timeout(FAREWELL, caller.call(call)).await {
            Ok(Ok(_) | Err(Failure::Rpc(_))) => {
                self.used();
                true
            }
            _ => false,
        }
    }

    pub(super) fn used(&self) {
        *lock(&self.last_used) = Instant::now();
    }

    /// The server says that it does not know the session: the next call opens another one.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_id(&self) -> bool {
        self.headers.contains_key(lower(header::SESSION_ID))
    }

    /// Tells the server that the session is over; whether it agreed.
    pub(super) async fn end(&self) -> bool {
        if !self.has_id() || self.lost.swap(true, Ordering::Relaxed) {
            return false;
        }
        let flight = Arc::new(Flight::default());
        let sent = self.peer.send(
            HttpMethod::DELETE,
            self.headers.clone(),
            hyper::body::Bytes::new(),
            &flight,
        );
        match tokio::time::timeout(FAREWELL, sent).await {
            Ok(Ok(response)) => {
                response.status().is_success() || response.status() == StatusCode::NOT_FOUND
            }
            _ => false,
        }
    }

    /// The server's peer, for a farewell that outlives the call.
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// A header name of the protocol as the HTTP library wants it.
pub(super) fn lower(name: &'static str) -> HeaderName {
    // Both are fixed names; the fallback keeps the function total.
    HeaderName::from_bytes(name.as_bytes()).unwrap_or(HeaderName::from_static("mcp-unknown"))
}
