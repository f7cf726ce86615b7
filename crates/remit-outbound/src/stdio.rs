//! MCP servers over stdio: they run code on the server's machine, so their commands come only from the operator's
//! allowlist, and a process belongs to one run unless the operator's upstream is stateless and gets no secret.
//!
//! Source: MCP 2025-11-25 basic/transports "stdio" and basic/lifecycle "Shutdown".

use std::sync::Arc;
use std::time::Duration;

use remit_domain::upstream::Transport;
use remit_domain::{OrgId, RunId};
use remit_ports::upstreams::{Subscribed, Updated, UpstreamError, UpstreamRequest};
use serde_json::Value;

mod allowlist;
mod connection;
mod launch;
mod process;
mod stderr;

pub use allowlist::{AllowedCommand, Allowlist, AllowlistError};
pub(crate) use connection::reply_to;

use crate::counters::Counters;
use crate::flight::Flight;
use crate::limits;
use crate::outgoing;
use crate::redact::Redactor;
use crate::route::Route;
use crate::slots::{Emptied, Key, Scope, Slot, Slots};
use launch::Launch;
use process::{Process, Start};

/// Bounds of stdio upstreams that an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StdioLimits {
    /// Most processes of one organization.
    pub processes_per_org: usize,
    /// How long a process may be without a call.
    pub idle: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Longest start, including the handshake.
    pub handshake: Duration,
}

impl Default for StdioLimits {
    fn default() -> Self {
        Self {
            processes_per_org: limits::PROCESSES_PER_ORG_MAX,
            idle: limits::IDLE,
            grace: limits::GRACE,
            handshake: limits::HANDSHAKE,
        }
    }
}

/// The processes of all organizations.
#[derive(Debug)]
pub(crate) struct StdioUpstreams {
    allowlist: Allowlist,
    limits: StdioLimits,
    slots: Slots<Process>,
    counters: Arc<Counters>,
}

/// A subscription at a process.
#[derive(Debug)]
struct Here {
    process: Arc<Process>,
    id: u64,
}

impl Subscribed for Here {}

impl Drop for Here {
    fn drop(&mut self) {
        self.process.connection.unlisten(self.id);
    }
}

/// How often a call that was not yet queued moves to a fresh process, when the one it found ended just then.
const PROCESSES_TRIED: usize = 2;

impl StdioUpstreams {
    pub(crate) fn new(allowlist: Allowlist, limits: StdioLimits, counters: Arc<Counters>) -> Self {
        let slots = Slots::new(limits.processes_per_org, "stdio processes");
        Self {
            allowlist,
            limits,
            slots,
            counters,
        }
    }

    /// Sends one request to the process it belongs to, which is started if need be.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn request(
        &self,
        request: &mut UpstreamRequest,
        flight: &Arc<Flight>,
        redactor: &Arc<Redactor>,
    ) -> Result<Value, UpstreamError> {
        let Transport::Stdio { command } = &request.upstream.transport else {
            return Err(UpstreamError::Unreachable(
                "the upstream is not one over stdio".to_owned(),
            ));
        };
        let command = command.clone();
        let params = request.params.take();
        let key = Key::of(request, !request.lease.environment.is_empty());
        let mut last = None;
        for _ in 0..PROCESSES_TRIED {
            let launch = Launch::new(&self.allowlist, &command, request, redactor)?;
            let slot = self.slots.slot(&request.org, key.clone())?;
            let process = self.process(&slot, launch).await?;
            let greeting = &process.greeting;
            if request.method == "server/discover" && !greeting.revision.is_stateless() {
                return Ok(greeting.discover_result());
            }
            let id = process.connection.next_id();
            outgoing::method(greeting.revision, &request.method)?;
            let listens = request.notifications.is_some();
            let prepared = outgoing::prepare(params.clone(), greeting.revision, id, listens)?;
            let bytes = outgoing::encode(id, &request.method, &prepared.params)?;
            let route = Route {
                to: request.notifications.clone(),
                token: prepared.token,
                questions: request.questions.clone(),
                redactor: Arc::clone(redactor),
            };
            match process.connection.call(id, bytes, flight, route).await {
                Ok(answer) => return answer.map(Value::Object),
                Err(not_open) => last = Some(not_open.0),
            }
        }
        Err(last.unwrap_or_else(|| UpstreamError::Unreachable("the process ended".to_owned())))
    }

    /// Subscribes at the run's process. The process lives as long as the subscription, or until the run ends.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn subscribe(
        &self,
        request: &mut UpstreamRequest,
        redactor: &Arc<Redactor>,
        updated: Updated,
    ) -> Result<Box<dyn Subscribed>, UpstreamError> {
        let Transport::Stdio { command } = &request.upstream.transport else {
            return Err(UpstreamError::Unreachable(
                "the upstream is not one over stdio".to_owned(),
            ));
        };
        let launch = Launch::new(&self.allowlist, command, request, redactor)?;
        let key = Key::of(request, !request.lease.environment.is_empty());
        let slot = self.slots.slot(&request.org, key)?;
        let process = self.process(&slot, launch).await?;
        outgoing::method(process.greeting.revision, &request.method)?;
        let uri = request.params.get("uri").and_then(Value::as_str);
        let uri = uri.unwrap_or_default().to_owned();
        let id = process.connection.next_id();
        let prepared =
            outgoing::prepare(request.params.take(), process.greeting.revision, id, false)?;
        let bytes = outgoing::encode(id, &request.method, &prepared.params)?;
        // Before it is asked for: the first news may come with the answer.
        let here = Here { process, id };
        if !here.process.connection.listen(id, &uri, updated) {
            return Err(UpstreamError::Unreachable(
                "too many subscriptions of this run are there already".to_owned(),
            ));
        }
        let flight = Arc::new(Flight::default());
        let route = Route::none();
        match here
            .process
            .connection
            .call(id, bytes, &flight, route)
            .await
        {
            Ok(answer) => answer.map(|_| Box::new(here) as Box<dyn Subscribed>),
            Err(not_open) => Err(not_open.0),
        }
    }

    /// The process of a slot. Whoever finds none starts it, and others wait for that start.
    async fn process(
        &self,
        slot: &Arc<Slot<Process>>,
        launch: Launch,
    ) -> Result<Arc<Process>, UpstreamError> {
        use crate::slots::Held as _;
        let mut held = slot.held.lock().await;
        if let Some(process) = held.as_ref()
            && !process.is_over()
            && process.fingerprint == launch.fingerprint
        {
            return Ok(Arc::clone(process));
        }
        // One with another secret goes on until its calls are done: the last of them lets go of it.
        *held = None;
        let start = Start {
            limits: &self.limits,
            several_runs: slot.key.scope == Scope::Shared,
            stop: slot.stop.child_token(),
            counters: &self.counters,
        };
        let process = tokio::select! {
            biased;
            () = slot.stop.cancelled() => {
                return Err(UpstreamError::Unreachable("the run has ended, nothing was sent".to_owned()));
            }
            process = Process::start(launch, start, |live| slot.started(live)) => Arc::new(process?),
        };
        *held = Some(Arc::clone(&process));
        Ok(process)
    }

    /// Ends every process of a run and waits until their groups are gone.
    pub(crate) async fn end_run(&self, org: &OrgId, run: &RunId) -> Vec<String> {
        self.wait(self.slots.end_run(org, run)).await
    }

    /// Ends every process.
    pub(crate) async fn end_all(&self) -> Vec<String> {
        self.wait(self.slots.end_all()).await
    }

    async fn wait(&self, emptied: Vec<Emptied<Process>>) -> Vec<String> {
        let limit = self.limits.grace.saturating_add(limits::FAREWELL);
        let waits =
            emptied
                .into_iter()
                .flat_map(|emptied| emptied.running)
                .map(|live| async move {
                    // What has not ended by then is not reported as ended.
                    tokio::time::timeout(limit, live.ended.cancelled())
                        .await
                        .ok()
                        .map(|()| live.label)
                });
        let mut ended: Vec<String> = futures_util::future::join_all(waits)
            .await
            .into_iter()
            .flatten()
            .collect();
        ended.sort();
        ended
    }
}
