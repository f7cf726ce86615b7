//! One upstream process: started in a clean environment, in a process group of its own, which ends as a whole.
//!
//! What leaves its group on purpose (`setsid`) is not reached by a signal to the group; run such a server under an
//! account of its own, or in a container.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use remit_domain::upstream::MayAsk;
use remit_mcp::JsonObject;
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::Revision;
use remit_ports::upstreams::UpstreamError;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::ExposeSecret as _;
use tokio::process::{Child, Command};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::{Closing, Connection, Shared};
use super::launch::Launch;
use super::{StdioLimits, allowlist, stderr};
use crate::counters::{Counters, count};
use crate::flight::Flight;
use crate::greeting::Greeting;
use crate::outgoing;
use crate::route::Route;
use crate::slots::{Held, Live};

/// A process that has introduced itself.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) connection: Connection,
    pub(super) greeting: Greeting,
    /// What it was started with: command and lent secrets, as a digest.
    pub(super) fingerprint: [u8; 32],
    /// Ends the process when the last call lets go of it.
    _stop: DropGuard,
}

impl Held for Process {
    fn is_over(&self) -> bool {
        self.connection.shared.closed.is_cancelled()
    }
}

/// What a start needs beside the launch itself.
pub(super) struct Start<'a> {
    pub(super) limits: &'a StdioLimits,
    pub(super) several_runs: bool,
    /// Fires when the run ends.
    pub(super) stop: CancellationToken,
    pub(super) counters: &'a Arc<Counters>,
}

impl Process {
    /// Starts the command and introduces Remit to it. Dropping the future ends what was started.
    ///
    /// - `started`: told about the process as soon as it exists.
    ///
    /// # Errors
    /// `Unreachable`, with the reason.
    pub(super) async fn start(
        launch: Launch,
        start: Start<'_>,
        started: impl FnOnce(Live),
    ) -> Result<Self, UpstreamError> {
        verify(&launch).await?;
        let mut child = spawn(&launch)?;
        count(&start.counters.processes_started);
        let pid = child.id().unwrap_or_default();
        let label = format!("stdio {} pid {pid}", launch.upstream);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(errors)) = pipes else {
            return Err(unreachable("its pipes could not be made"));
        };
        let connection = Connection::start(
            stdout,
            stdin,
            start.several_runs,
            Arc::clone(start.counters),
        );
        tokio::spawn(stderr::drain(errors, label.clone(), launch.redactor));
        let ended = CancellationToken::new();
        let keeper = Keeper {
            child,
            group: Group::of(pid),
            shared: Arc::clone(&connection.shared),
            stop: start.stop.clone(),
            grace: start.limits.grace,
            idle: start.limits.idle,
            counters: Arc::clone(start.counters),
            ended: ended.clone().drop_guard(),
        };
        tokio::spawn(keeper.run(label.clone()));
        let stop = start.stop.drop_guard();
        started(Live { label, ended });
        let greeting =
            tokio::time::timeout(start.limits.handshake, greet(&connection, &launch.may_ask)).await;
        let greeting = greeting.unwrap_or_else(|_| {
            Err(unreachable(&format!(
                "it did not introduce itself within {:?}",
                start.limits.handshake
            )))
        })?;
        connection.greeted();
        Ok(Self {
            connection,
            greeting,
            fingerprint: launch.fingerprint,
            _stop: stop,
        })
    }
}

fn unreachable(why: &str) -> UpstreamError {
    UpstreamError::Unreachable(format!("the process is of no use: {why}"))
}

async fn verify(launch: &Launch) -> Result<(), UpstreamError> {
    let (path, sha256) = (launch.command.path.clone(), launch.command.sha256.clone());
    let checked = tokio::task::spawn_blocking(move || allowlist::verify(&path, sha256.as_deref()));
    match checked.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(UpstreamError::Unreachable(why)),
        Err(_) => Err(UpstreamError::Unreachable(
            "the program could not be checked".to_owned(),
        )),
    }
}

fn spawn(launch: &Launch) -> Result<Child, UpstreamError> {
    let allowed = &launch.command;
    let mut command = Command::new(&allowed.path);
    command
        .args(&allowed.args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .envs(&allowed.env)
        .envs(
            launch
                .secrets
                .iter()
                .map(|(name, value)| (name, value.expose_secret())),
        )
        .current_dir(allowed.cwd.as_deref().unwrap_or(Path::new("/")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let (Some(uid), Some(gid)) = (allowed.uid, allowed.gid) {
        command.uid(uid).gid(gid);
    }
    command.spawn().map_err(|error| {
        UpstreamError::Unreachable(format!(
            "`{}` cannot be started: {}",
            allowed.path.display(),
            error.kind()
        ))
    })
}

/// Source: MCP 2025-11-25 basic/lifecycle "Initialization". A server that knows only the stateless revision refuses
/// `initialize` and is asked with `server/discover`.
async fn greet(
    connection: &Connection,
    may_ask: &BTreeSet<MayAsk>,
) -> Result<Greeting, UpstreamError> {
    let params = Greeting::initialize_params(may_ask);
    match ask(connection, "initialize", params).await {
        Ok(info) => {
            let greeting = Greeting::of_initialize(info)?;
            connection.notify("notifications/initialized").await;
            Ok(greeting)
        }
        Err(UpstreamError::Rpc {
            code: code::METHOD_NOT_FOUND | code::UNSUPPORTED_PROTOCOL_VERSION,
            ..
        }) => {
            let id = connection.next_id();
            let prepared =
                outgoing::prepare(serde_json::Value::Null, Revision::R20260728, id, false)?;
            let info = ask(connection, "server/discover", prepared.params)
                .await
                .map_err(refused)?;
            Greeting::of_discover(info)
                .ok_or_else(|| unreachable("it speaks no version that is spoken here"))
        }
        Err(error) => Err(refused(error)),
    }
}

/// What went wrong in the handshake concerns no call: nothing of it was sent.
fn refused(error: UpstreamError) -> UpstreamError {
    unreachable(&error.to_string())
}

async fn ask(
    connection: &Connection,
    method: &str,
    params: JsonObject,
) -> Result<JsonObject, UpstreamError> {
    let id = connection.next_id();
    let bytes = outgoing::encode(id, method, &params)?;
    let flight = Arc::new(Flight::default());
    match connection.call(id, bytes, &flight, Route::none()).await {
        Ok(answer) => answer,
        Err(not_open) => Err(not_open.0),
    }
}

/// The process group of a child, ended with it even when the task that keeps it is dropped.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    /// - `pid`: of the leader; 0 when it has already ended.
    fn of(pid: u32) -> Self {
        Self(i32::try_from(pid).ok().and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Fails when nothing of the group is left, which is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Watches one process until it ends, or ends it.
struct Keeper {
    child: Child,
    group: Group,
    shared: Arc<Shared>,
    stop: CancellationToken,
    grace: Duration,
    idle: Duration,
    counters: Arc<Counters>,
    /// Fires last, after the group is gone.
    ended: DropGuard,
}

enum Why {
    Exited(Option<ExitStatus>),
    Stopped,
    Broken,
    Idle,
}

impl Keeper {
    async fn run(mut self, label: String) {
        let why = tokio::select! {
            status = self.child.wait() => Why::Exited(status.ok()),
            () = self.stop.cancelled() => Why::Stopped,
            () = self.shared.closed.cancelled() => Why::Broken,
            () = idle(&self.shared, self.idle) => Why::Idle,
        };
        let text = match &why {
            Why::Exited(Some(status)) => format!("the process ended ({status})"),
            Why::Exited(None) => "the process ended".to_owned(),
            Why::Stopped => "the process was stopped".to_owned(),
            Why::Broken => "the connection broke".to_owned(),
            Why::Idle => "the process was idle and was ended".to_owned(),
        };
        tracing::debug!(process = %label, "{text}");
        self.shared.close(Closing::Ended(text));
        if !matches!(why, Why::Exited(_)) {
            self.group.signal(Signal::TERM);
            if tokio::time::timeout(self.grace, self.child.wait())
                .await
                .is_err()
            {
                self.group.signal(Signal::KILL);
                let _ = self.child.wait().await;
            }
        }
        // What the leader left behind. Its number cannot be taken by another group while a member lives, and
        // with none left the signal finds nobody.
        self.group.signal(Signal::KILL);
        self.group.0 = None;
        count(&self.counters.processes_ended);
        drop(self.ended);
    }
}

/// Returns when no call was open for `limit`.
async fn idle(shared: &Shared, limit: Duration) {
    loop {
        let wake = match shared.quiet_since() {
            Some(since) if since.elapsed() >= limit => return,
            Some(since) => since.checked_add(limit),
            None => tokio::time::Instant::now().checked_add(limit),
        };
        match wake {
            Some(wake) => tokio::time::sleep_until(wake).await,
            None => std::future::pending().await,
        }
    }
}
