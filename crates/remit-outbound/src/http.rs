//! MCP servers over Streamable HTTP, of both revisions.
//!
//! Source: MCP 2026-07-28 and 2025-11-25, basic/transports.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use remit_domain::upstream::Transport;
use remit_domain::{OrgId, RunId};
use remit_mcp::ParamHeaders;
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::Revision;
use remit_ports::upstreams::{UpstreamError, UpstreamRequest};
use serde_json::Value;

mod answer;
mod call;
mod peer;
mod session;
mod spiffe;
mod subscribe;
mod target;
mod web;
mod wire;

pub use web::HttpWeb;
pub use wire::Roots;

use crate::counters::Counters;
use crate::flight::Flight;
use crate::limits::LINKS_PER_ORG_MAX;
use crate::redact::Redactor;
use crate::slots::{Emptied, Held as _, Key, Scope, Slots};
use call::{Call, Caller};
use peer::{Failure, Peer};
use session::{Known, Session};
use target::Target;
use wire::Wire;

/// The HTTP upstreams of all organizations.
#[derive(Debug)]
pub(crate) struct HttpUpstreams {
    wire: Wire,
    loopback: bool,
    known: Slots<Known>,
    sessions: Slots<Session>,
    ids: AtomicU64,
    counters: Arc<Counters>,
}

impl HttpUpstreams {
    pub(crate) fn new(loopback: bool, roots: &Roots, counters: Arc<Counters>) -> Self {
        Self {
            wire: Wire::new(loopback, roots),
            loopback,
            known: Slots::new(LINKS_PER_ORG_MAX, "known servers"),
            sessions: Slots::new(LINKS_PER_ORG_MAX, "sessions with HTTP upstreams"),
            ids: AtomicU64::new(1),
            counters,
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn request(
        &self,
        request: &mut UpstreamRequest,
        flight: &Arc<Flight>,
        redactor: &Arc<Redactor>,
    ) -> Result<Value, UpstreamError> {
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
        let revision = self.revision(request, &caller, url).await?;
        let session = if revision.is_stateless() {
            None
        } else {
            Some(self.session(request, &caller, url).await?)
        };
        if let Some(session) = &session
            && request.method == "server/discover"
        {
            return Ok(session.greeting.discover_result());
        }
        let mut call = Call::of(revision, &request.method, request.params.take(), flight);
        call.defined = defined(revision, request)?;
        call.session = session.as_deref();
        call.notifications.clone_from(&request.notifications);
        call.questions.clone_from(&request.questions);
        call.redactor = Arc::clone(redactor);
        let answered = caller.call(call).await;
        if let Some(session) = &session {
            session.used();
        }
        answered
            .map(|answered| Value::Object(answered.result))
            .map_err(|failure| {
                self.learn(request, session.as_deref(), &failure);
                failure.into_error()
            })
    }

    /// What a failure says about the next call; this one is never repeated.
    fn learn(&self, request: &UpstreamRequest, session: Option<&Session>, failure: &Failure) {
        if let (Some(session), Failure::Status(status, _)) = (session, failure)
            && status.as_u16() == 404
            && session.has_id()
        {
            session.lose();
        }
        let error = match failure {
            Failure::Rpc(error) | Failure::Status(_, Some(error)) => Some(error),
            _ => None,
        };
        if error.is_some_and(|error| error.code == code::UNSUPPORTED_PROTOCOL_VERSION) {
            self.forget(request);
        }
    }

    async fn revision(
        &self,
        request: &UpstreamRequest,
        caller: &Caller<'_>,
        url: &str,
    ) -> Result<Revision, UpstreamError> {
        let slot = self.known.slot(&request.org, known_key(request))?;
        let mut held = slot.held.lock().await;
        if let Some(known) = held.as_ref()
            && !known.is_over()
            && known.url == url
        {
            return Ok(known.revision);
        }
        let known = Known::ask(caller, url).await?;
        let revision = known.revision;
        *held = Some(Arc::new(known));
        Ok(revision)
    }

    async fn session(
        &self,
        request: &UpstreamRequest,
        caller: &Caller<'_>,
        url: &str,
    ) -> Result<Arc<Session>, UpstreamError> {
        let key = Key::of(request, request.lease.lends());
        let may_ask = &request.upstream.may_ask;
        let slot = self.sessions.slot(&request.org, key)?;
        let mut held = slot.held.lock().await;
        if let Some(session) = held.as_ref()
            && !session.is_over()
            && session.url == url
            && session.may_ask == *may_ask
            && session.is_alive(caller).await
        {
            return Ok(Arc::clone(session));
        }
        *held = None;
        let opened = tokio::select! {
            biased;
            () = slot.stop.cancelled() => {
                return Err(UpstreamError::Unreachable("the run has ended, nothing was sent".to_owned()));
            }
            session = Session::open(caller, url, may_ask) => match session {
                Ok(session) => Arc::new(session),
                Err(error) => {
                    // It may speak another revision by now.
                    self.forget(request);
                    return Err(error);
                }
            },
        };
        *held = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn forget(&self, request: &UpstreamRequest) {
        if let Ok(slot) = self.known.slot(&request.org, known_key(request))
            && let Ok(mut held) = slot.held.try_lock()
        {
            *held = None;
        }
    }

    /// Ends every session of a run; returns those that the server agreed to have ended.
    pub(crate) async fn end_run(&self, org: &OrgId, run: &RunId) -> Vec<String> {
        end(self.sessions.end_run(org, run)).await
    }

    /// Ends every session.
    pub(crate) async fn end_all(&self) -> Vec<String> {
        end(self.sessions.end_all()).await
    }
}

/// What a server speaks does not depend on the run.
fn known_key(request: &UpstreamRequest) -> Key {
    Key {
        upstream: request.upstream.name.clone(),
        scope: Scope::Shared,
    }
}

fn defined(
    revision: Revision,
    request: &UpstreamRequest,
) -> Result<Option<ParamHeaders>, UpstreamError> {
    let Value::Object(schema) = &request.input_schema else {
        return Ok(None);
    };
    if !revision.is_stateless() {
        return Ok(None);
    }
    ParamHeaders::of_schema(schema).map(Some).map_err(|error| {
        UpstreamError::Unreachable(format!(
            "the tool's schema is invalid, nothing was sent: {error}"
        ))
    })
}

async fn end(emptied: Vec<Emptied<Session>>) -> Vec<String> {
    let ends = emptied.into_iter().map(|Emptied { slot, .. }| async move {
        let session = slot.held.lock().await.take()?;
        session
            .end()
            .await
            .then(|| format!("http {} session", slot.key.upstream))
    });
    let mut ended: Vec<String> = futures_util::future::join_all(ends)
        .await
        .into_iter()
        .flatten()
        .collect();
    ended.sort();
    ended
}
