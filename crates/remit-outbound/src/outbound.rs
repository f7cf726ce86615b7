//! The [`Upstreams`] port over both transports.

use std::sync::Arc;

use async_trait::async_trait;
use remit_domain::upstream::Transport;
use remit_domain::{OrgId, RunId};
use remit_ports::Upstreams;
use remit_ports::upstreams::{Subscribed, Updated, UpstreamError, UpstreamRequest};
use serde_json::Value;

use crate::counters::Counters;
use crate::flight::{self, Flight};
use crate::http::{HttpUpstreams, Roots};
use crate::redact::Redactor;
use crate::stdio::{Allowlist, StdioLimits, StdioUpstreams};

/// What the operator decides about upstreams.
#[derive(Debug, Clone)]
pub struct OutboundConfig {
    /// Commands that may be started. Empty by default: stdio upstreams run code on this machine.
    pub allowlist: Allowlist,
    /// Bounds of those processes.
    pub stdio: StdioLimits,
    /// Whether HTTP upstreams may be on this machine's loopback addresses. An instance whose organizations do not
    /// trust each other should say no: whatever listens there would be within their reach.
    pub loopback: bool,
    /// Authorities whose certificates are trusted besides those of this machine.
    pub roots: Roots,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            allowlist: Allowlist::default(),
            stdio: StdioLimits::default(),
            loopback: true,
            roots: Roots::new(),
        }
    }
}

/// Every governed server, reached over stdio or HTTP. Must be used inside a Tokio runtime.
#[derive(Debug)]
pub struct Outbound {
    stdio: StdioUpstreams,
    http: HttpUpstreams,
    counters: Arc<Counters>,
}

impl Outbound {
    /// Nothing is started or connected before the first request.
    #[must_use]
    pub fn new(config: OutboundConfig) -> Self {
        let counters = Arc::new(Counters::default());
        Self {
            stdio: StdioUpstreams::new(config.allowlist, config.stdio, Arc::clone(&counters)),
            http: HttpUpstreams::new(config.loopback, &config.roots, Arc::clone(&counters)),
            counters,
        }
    }

    /// What upstreams did that they should not.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Ends every process and session, for a graceful shutdown; returns the labels of those that ended.
    pub async fn shutdown(&self) -> Vec<String> {
        let (mut ended, sessions) = tokio::join!(self.stdio.end_all(), self.http.end_all());
        ended.extend(sessions);
        ended
    }
}

/// Nobody reaches a server behind an enforcement point through Remit.
fn guarded() -> UpstreamError {
    UpstreamError::Unreachable(
        "the server is behind an enforcement point and is reached through that only".to_owned(),
    )
}

#[async_trait]
impl Upstreams for Outbound {
    /// Sends one request, with the metadata of the revision that the upstream speaks.
    ///
    /// `server/discover` is answered for servers of both revisions in the form of 2026-07-28. Secrets of the lease
    /// are taken out of results, errors and notifications.
    async fn request(&self, mut request: UpstreamRequest) -> Result<Value, UpstreamError> {
        let redactor = Redactor::of(&request.lease);
        let flight = Arc::new(Flight::default());
        let (cancel, timeout) = (request.cancel.clone(), request.timeout);
        let call = async {
            match request.upstream.transport {
                Transport::Stdio { .. } => {
                    self.stdio.request(&mut request, &flight, &redactor).await
                }
                Transport::Http { .. } => self.http.request(&mut request, &flight, &redactor).await,
                Transport::Wrapped => Err(UpstreamError::Unreachable(
                    "the server runs beside its agent and is reached through `remit mcp wrap` there only"
                        .to_owned(),
                )),
                Transport::Guarded => Err(guarded()),
            }
        };
        match flight::bounded(&cancel, timeout, &flight, call).await {
            Ok(mut result) => {
                redactor.answer(&mut result);
                Ok(result)
            }
            Err(error) => Err(redactor.error(error)),
        }
    }

    async fn subscribe(
        &self,
        mut request: UpstreamRequest,
        updated: Updated,
    ) -> Result<Box<dyn Subscribed>, UpstreamError> {
        let redactor = Redactor::of(&request.lease);
        let (cancel, timeout) = (request.cancel.clone(), request.timeout);
        let subscribing = async {
            match request.upstream.transport {
                Transport::Stdio { .. } => {
                    self.stdio.subscribe(&mut request, &redactor, updated).await
                }
                Transport::Http { .. } => {
                    self.http.subscribe(&mut request, &redactor, updated).await
                }
                Transport::Wrapped => Err(UpstreamError::Unreachable(
                    "a wrapped server tells its own agent".to_owned(),
                )),
                Transport::Guarded => Err(guarded()),
            }
        };
        let subscribed = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(UpstreamError::Cancelled),
            done = tokio::time::timeout(timeout, subscribing) => done.unwrap_or_else(|_| {
                Err(UpstreamError::Ambiguous(format!("no answer within {timeout:?}")))
            }),
        };
        subscribed.map_err(|error| redactor.error(error))
    }

    async fn end_run(&self, org: &OrgId, run: &RunId) -> Vec<String> {
        let (mut ended, sessions) =
            tokio::join!(self.stdio.end_run(org, run), self.http.end_run(org, run));
        ended.extend(sessions);
        ended
    }
}
