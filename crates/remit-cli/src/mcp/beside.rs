//! The server beside its agent: a child process that is called only with what Remit decided.
//!
//! Source: MCP 2025-11-25 basic/transports "stdio", basic/lifecycle.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use remit_mcp::framing::line;
use remit_mcp::jsonrpc::code;
use remit_mcp::tools::ToolDefinition;
use remit_mcp::{ErrorObject, Id, JsonObject, LineFramer, Message};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use super::Server;

/// Variables that a server gets without being named: where programs are, where its person's files are, and its language.
const ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];
/// Longest start, with the handshake: package runners may have to unpack first.
const START: Duration = Duration::from_secs(60);
/// Most pages of its list of tools.
const PAGES_MAX: usize = 100;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1_024;

type Reply = oneshot::Sender<Result<JsonObject, ErrorObject>>;

#[derive(Default)]
struct State {
    open: HashMap<i64, Reply>,
    ended: bool,
    /// Hashes of its tools' definitions, as it lists them now.
    hashes: HashMap<String, String>,
    changed: bool,
}

/// The process. Its whole group ends with this.
pub(crate) struct Beside {
    state: Arc<Mutex<State>>,
    input: tokio::sync::Mutex<ChildStdin>,
    next: AtomicI64,
    group: Option<Pid>,
    _child: tokio::process::Child,
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Fails when nothing of the group is left, which is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Beside {
    /// Starts the server and introduces itself; what it announces.
    pub(crate) async fn start(server: &Server) -> anyhow::Result<(Arc<Self>, JsonObject)> {
        let (program, args) = server
            .command
            .split_first()
            .context("name the server's command after --")?;
        let kept = ENVIRONMENT
            .iter()
            .copied()
            .chain(server.env.iter().map(String::as_str));
        let kept = kept.filter_map(|name| Some((name, crate::edge::inherited(name)?)));
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(kept)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("`{}` cannot be started", program.display()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the server's pipes could not be made");
        };
        let group = child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let beside = Arc::new(Self {
            state: Arc::default(),
            input: tokio::sync::Mutex::new(input),
            next: AtomicI64::new(1),
            group,
            _child: child,
        });
        tokio::spawn(read(
            output,
            Arc::clone(&beside.state),
            Arc::downgrade(&beside),
        ));
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "remit", "version": env!("CARGO_PKG_VERSION") },
        });
        let greeting = tokio::time::timeout(START, beside.ask("initialize", object(params)));
        let said = greeting
            .await
            .context("the server did not introduce itself in time")?;
        let said = said.map_err(|e| anyhow!("the server refused to begin: {}", e.message))?;
        beside
            .tell(Message::notification("notifications/initialized", None))
            .await?;
        Ok((beside, said))
    }

    /// Its tools, as it lists them now; remembers the hash of each definition.
    pub(crate) async fn tools(&self) -> anyhow::Result<Vec<Value>> {
        let (mut tools, mut cursor) = (Vec::new(), None::<Value>);
        lock(&self.state).changed = false;
        for _ in 0..PAGES_MAX {
            let params = cursor.take().map(|cursor| json!({ "cursor": cursor }));
            let page = self.ask("tools/list", params.and_then(object)).await;
            let mut page =
                page.map_err(|e| anyhow!("the server does not list its tools: {}", e.message))?;
            if let Some(Value::Array(found)) = page.remove("tools") {
                tools.extend(found);
            }
            match page.remove("nextCursor").filter(|c| !c.is_null()) {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let hashed = |tool: &Value| {
            let read = ToolDefinition::parse(tool.clone()).ok()?;
            Some((read.name.clone(), read.definition_hash().to_string()))
        };
        lock(&self.state).hashes = tools.iter().filter_map(hashed).collect();
        Ok(tools)
    }

    /// The hash of a tool's definition as the server describes it now; none for one that it does not have.
    pub(crate) async fn hash_of(&self, tool: &str) -> Option<String> {
        let changed = lock(&self.state).changed;
        if changed && self.tools().await.is_err() {
            return None;
        }
        lock(&self.state).hashes.get(tool).cloned()
    }

    /// Sends one request and waits for its answer. Dropping the future tells the server that nobody waits any more.
    pub(crate) async fn ask(
        &self,
        method: &str,
        params: Option<JsonObject>,
    ) -> Result<JsonObject, ErrorObject> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            if state.ended {
                return Err(not_sent("the wrapped server has ended"));
            }
            state.open.insert(id, reply);
        }
        let mut open = Open {
            beside: self,
            id: Some(id),
        };
        let sent = self
            .tell(Message::request(Id::Number(id), method, params))
            .await;
        if sent.is_err() {
            return Err(not_sent("the wrapped server does not read"));
        }
        let answered = answer.await;
        open.id = None;
        answered.unwrap_or_else(|_| {
            let text =
                "the wrapped server ended before it answered; the call may have had its effect";
            Err(ErrorObject::new(code::INTERNAL_ERROR, text))
        })
    }

    async fn tell(&self, message: Message) -> anyhow::Result<()> {
        let bytes = line(message)?;
        let mut input = self.input.lock().await;
        input.write_all(&bytes).await?;
        input.flush().await?;
        Ok(())
    }
}

/// A request that waits for its answer.
struct Open<'b> {
    beside: &'b Beside,
    id: Option<i64>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        lock(&self.beside.state).open.remove(&id);
        // The pipe is small and the message short; a server that reads nothing will not read this either.
        let params = object(json!({ "requestId": id, "reason": "the call was stopped" }));
        if let (Ok(bytes), Ok(mut input)) = (
            line(Message::notification("notifications/cancelled", params)),
            self.beside.input.try_lock(),
        ) {
            let mut written = std::pin::pin!(input.write_all(&bytes));
            let waker = std::task::Waker::noop();
            let _ = written
                .as_mut()
                .poll(&mut std::task::Context::from_waker(waker));
        }
    }
}

fn object(value: Value) -> Option<JsonObject> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// An error that says that nothing reached the server.
fn not_sent(text: &str) -> ErrorObject {
    ErrorObject::new(code::INTERNAL_ERROR, text).with_data(json!({ "sent": false }))
}

async fn read(mut output: ChildStdout, state: Arc<Mutex<State>>, beside: std::sync::Weak<Beside>) {
    let (mut framer, mut lines) = (LineFramer::default(), Vec::new());
    let mut chunk = vec![0_u8; CHUNK_BYTES];
    loop {
        let read = match output.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(n) => n,
        };
        let framed = framer.push(chunk.get(..read).unwrap_or_default(), &mut lines);
        for line in lines.drain(..) {
            take(&line, &state, &beside).await;
        }
        if framed.is_err() {
            break;
        }
    }
    let mut state = lock(&state);
    state.ended = true;
    state.open.clear();
}

async fn take(line: &[u8], state: &Mutex<State>, beside: &std::sync::Weak<Beside>) {
    let reply = |id: &Id| match id {
        Id::Number(id) => lock(state).open.remove(id),
        Id::Text(_) => None,
    };
    match Message::parse(line) {
        Ok(Message::Response { id, result }) => {
            reply(&id).map(|reply| reply.send(Ok(result)));
        }
        Ok(Message::Error {
            id: Some(id),
            error,
        }) => {
            reply(&id).map(|reply| {
                reply.send(Err(ErrorObject {
                    data: None,
                    ..error
                }))
            });
        }
        Ok(Message::Notification(told)) if told.method == "notifications/tools/list_changed" => {
            lock(state).changed = true;
        }
        // It may ask whether the client is there, and nothing else.
        Ok(Message::Request(request)) => {
            let Some(beside) = beside.upgrade() else {
                return;
            };
            let answer = match request.method.as_str() {
                "ping" => Message::Response {
                    id: request.id,
                    result: JsonObject::new(),
                },
                _ => Message::Error {
                    id: Some(request.id),
                    error: ErrorObject::new(
                        code::METHOD_NOT_FOUND,
                        "this is not offered to a wrapped server",
                    ),
                },
            };
            let _ = beside.tell(answer).await;
        }
        // Banners, progress and log lines concern nobody here.
        Ok(_) | Err(_) => {}
    }
}
