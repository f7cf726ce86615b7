//! One message to the gateway, and what comes back.
//!
//! Source: MCP 2026-07-28 and 2025-11-25, basic/transports/streamable-http.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::StreamExt;
use remit_mcp::headers::derive;
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::header;
use remit_mcp::{
    ErrorObject, Id, JsonObject, Message, Method, MethodKind, ParamHeaders, Revision, Sender,
    results,
};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use sse_stream::SseByteStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::identity::Identity;
use super::wrap::{EXECUTE, Wrapped};
use crate::problem;

/// Longest a call may take; approvals are waited for at the gateway, not here.
const CALL_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Largest answer that is not a stream, in bytes; the gateway's own messages are smaller.
const BODY_BYTES_MAX: usize = 4 * 1_048_576;

/// What is known of the connection.
#[derive(Debug, Default)]
struct Era {
    revision: Option<Revision>,
    session: Option<String>,
    /// Headers that a tool's schema asks for, by tool (2026-07-28).
    params: HashMap<String, ParamHeaders>,
}

/// Carries messages.
pub(crate) struct Relay {
    identity: Identity,
    endpoint: url::Url,
    era: Mutex<Era>,
    /// The server on this machine that the decided calls are run on; none when that is the gateway's to do.
    wrapped: Option<Wrapped>,
    /// Itself, for what it runs meanwhile.
    this: Weak<Self>,
    lines: mpsc::Sender<Message>,
}

impl Relay {
    /// - `lines`: where answers go.
    pub(crate) fn new(
        identity: Identity,
        wrapped: Option<Wrapped>,
        lines: mpsc::Sender<Message>,
    ) -> anyhow::Result<Arc<Self>> {
        let endpoint = identity.endpoint()?;
        Ok(Arc::new_cyclic(|this| Self {
            identity,
            endpoint,
            era: Mutex::default(),
            wrapped,
            this: this.clone(),
            lines,
        }))
    }

    /// Itself, when there is a server to run calls on.
    fn running(&self) -> Option<Arc<Self>> {
        self.wrapped.as_ref()?;
        self.this.upgrade()
    }

    fn era(&self) -> std::sync::MutexGuard<'_, Era> {
        self.era.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to the client.
    pub(crate) async fn say(&self, message: Message) {
        // A client that has gone away hears nothing.
        let _ = self.lines.send(message).await;
    }

    /// The revision of a message: its own, or that of the connection.
    fn revision(&self, message: &Message) -> Result<Revision, ErrorObject> {
        let own = remit_mcp::headers::detect_stdio(message).map_err(|e| e.to_error())?;
        let mut era = self.era();
        if let Some(own) = own {
            era.revision = Some(own);
        }
        Ok(era.revision.unwrap_or(Revision::R20251125))
    }

    /// Whether cancelling is told by ending the exchange (2026-07-28), not by a message.
    pub(crate) fn cancels_by_hanging_up(&self) -> bool {
        self.era().revision.is_some_and(Revision::is_stateless)
    }

    /// Carries one message; whatever goes wrong is told to the client, never left open.
    pub(crate) async fn carry(&self, message: Message) {
        let id = match &message {
            Message::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        let tool_call = message.method() == Some(Method::ToolsCall.as_str());
        let carried = match self.revision(&message) {
            Ok(revision) if revision.is_stateless() && self.wrapped.is_some() => {
                // The calls are handed back on the stream of a session, which only the older revision has.
                let text = "a wrapped server is spoken to in 2025-11-25; begin with initialize";
                Err(ErrorObject::new(code::METHOD_NOT_FOUND, text))
            }
            Ok(revision) => Ok((revision, tool_call)),
            Err(error) => Err(error),
        };
        let carried = match carried {
            Ok((revision, _)) => {
                let message = match &self.wrapped {
                    Some(wrapped) => wrapped.said(message).await,
                    None => message,
                };
                self.exchange(revision, message).await
            }
            Err(error) => {
                self.say(Message::Error { id, error }).await;
                return;
            }
        };
        if let Err(error) = carried {
            let told = crate::print::error_text(&error).replace("\n  because: ", ": ");
            match id {
                // Models see the text of a result; many clients show them nothing of an error.
                Some(id) if tool_call => {
                    let mut result = results::refused_text(&broken(&told), None, JsonObject::new());
                    if self.cancels_by_hanging_up() {
                        result.insert("resultType".to_owned(), "complete".into());
                    }
                    self.say(Message::Response { id, result }).await
                }
                Some(id) => {
                    self.say(Message::Error {
                        id: Some(id),
                        error: ErrorObject::new(code::INTERNAL_ERROR, &told),
                    })
                    .await
                }
                None => crate::print::note(&told),
            }
        }
    }

    async fn exchange(&self, revision: Revision, message: Message) -> anyhow::Result<()> {
        let (asked, method, tools) = match &message {
            Message::Request(r) => (
                Some(r.id.clone()),
                Some(r.method.clone()),
                r.method == Method::ToolsList.as_str(),
            ),
            other => (None, other.method().map(str::to_owned), false),
        };
        let headers = self.headers(revision, &message);
        let body = message.into_bytes();
        let response = self.post(&headers, &body).await?;
        if method.as_deref() == Some(Method::Initialize.as_str()) {
            let session = response
                .headers()
                .get(header::SESSION_ID)
                .and_then(|v| v.to_str().ok());
            self.era().session = session.map(str::to_owned);
        }
        if response.status() == StatusCode::ACCEPTED {
            return Ok(());
        }
        let kind = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            return self.stream(response, asked, tools).await;
        }
        let status = response.status();
        match (read(response).await?, asked) {
            (body, Some(asked)) => self.answer(status, &body, asked, tools).await,
            (_, None) if status.is_success() => Ok(()),
            (body, None) => Err(problem::refusal(status.as_u16(), &body).into()),
        }
    }

    /// Posts, once more with a new token when the first was not taken: nothing was done with it then.
    async fn post(&self, headers: &[(String, String)], body: &[u8]) -> anyhow::Result<Response> {
        let mut tried = false;
        loop {
            let held = self.identity.held().await?;
            let mut request = self
                .identity
                .http()
                .post(self.endpoint.clone())
                .timeout(CALL_TIMEOUT);
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .header(reqwest::header::ACCEPT, header::ACCEPT_BOTH);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request.body(body.to_vec());
            let sent = self.identity.send(request, &held).await;
            let sent = sent.map_err(|error| {
                let Some(broken) = error.downcast_ref::<reqwest::Error>() else {
                    return error;
                };
                let what = if broken.is_connect() {
                    NOT_REACHED
                } else {
                    "the exchange with the gateway broke off; the call may have had its effect, so find out before calling again"
                };
                crate::proof::without_url(error).context(what)
            })?;
            if sent.status() != StatusCode::UNAUTHORIZED || tried {
                return Ok(sent);
            }
            self.identity.refused(&held).await;
            tried = true;
        }
    }

    fn headers(&self, revision: Revision, message: &Message) -> Vec<(String, String)> {
        let era = self.era();
        let known =
            |wire: &str| Method::sent_by(revision, Sender::Client, MethodKind::Request, wire);
        let nothing = JsonObject::new();
        let params = message.params().unwrap_or(&nothing);
        let mut headers = match message {
            Message::Request(request) => match known(&request.method) {
                Some(method) => {
                    let defined = params
                        .get("name")
                        .and_then(Value::as_str)
                        .and_then(|name| era.params.get(name));
                    derive(revision, method, params, defined)
                }
                None => vec![
                    version(revision),
                    (header::METHOD.to_owned(), request.method.clone()),
                ],
            },
            _ => vec![version(revision)],
        };
        let initialize = message.method() == Some(Method::Initialize.as_str());
        if let Some(session) = era
            .session
            .as_ref()
            .filter(|_| !revision.is_stateless() && !initialize)
        {
            headers.push((header::SESSION_ID.to_owned(), session.clone()));
        }
        headers
    }

    async fn answer(
        &self,
        status: StatusCode,
        body: &[u8],
        asked: Id,
        tools: bool,
    ) -> anyhow::Result<()> {
        match Message::parse(body) {
            Ok(Message::Response { id, result }) if id == asked => {
                if tools {
                    self.learn(&result);
                }
                self.say(Message::Response { id, result }).await;
                Ok(())
            }
            Ok(Message::Error { error, .. }) => {
                self.say(Message::Error {
                    id: Some(asked),
                    error,
                })
                .await;
                Ok(())
            }
            Ok(_) => bail!("the gateway answered something else than was asked"),
            Err(_) if !status.is_success() => Err(problem::refusal(status.as_u16(), body).into()),
            Err(error) => Err(anyhow!(error).context("the gateway's answer is not a message")),
        }
    }

    /// An event stream: every message becomes a line, the answer ends it.
    async fn stream(
        &self,
        response: Response,
        asked: Option<Id>,
        tools: bool,
    ) -> anyhow::Result<()> {
        let mut events = SseByteStream::new(
            response
                .bytes_stream()
                .map(|chunk| chunk.map_err(reqwest::Error::without_url)),
        );
        // Ends with the stream: what was handed back and nobody waits for is stopped.
        let mut running = JoinSet::new();
        while let Some(event) = events.next().await {
            let event = event.map_err(|e| anyhow!("{e}")).context("the stream broke off; the call may have had its effect, so find out before calling again")?;
            let Some(data) = event.data.filter(|d| !d.is_empty()) else {
                continue;
            };
            let message = Message::parse(data.as_bytes())
                .context("the gateway sent something that is not a message")?;
            let message = match message {
                Message::Request(request) if request.method == EXECUTE => {
                    if let Some(relay) = self.running() {
                        running.spawn(async move { relay.run(request).await });
                    }
                    continue;
                }
                message => message,
            };
            let last = match &message {
                Message::Response { id, result } => {
                    if tools {
                        self.learn(result);
                    }
                    Some(id) == asked.as_ref()
                }
                Message::Error { id, .. } => id.is_none() || id.as_ref() == asked.as_ref(),
                _ => false,
            };
            self.say(message).await;
            if last {
                return Ok(());
            }
        }
        if asked.is_some() {
            bail!(
                "the stream ended without an answer; the call may have had its effect, so find out before calling again"
            );
        }
        Ok(())
    }

    /// Runs a decided call on the wrapped server, and tells Remit what came of it.
    async fn run(self: Arc<Self>, request: remit_mcp::Request) {
        let Some(wrapped) = &self.wrapped else { return };
        let answer = wrapped.execute(request.id, request.params).await;
        let revision = Revision::R20251125;
        let headers = self.headers(revision, &answer);
        if let Err(error) = self.post(&headers, &answer.into_bytes()).await {
            crate::print::note(&format!(
                "what came of a call could not be told to Remit: {error:#}"
            ));
        }
    }

    /// Remembers which arguments a tool wants as headers.
    fn learn(&self, result: &JsonObject) {
        let tools = result
            .get("tools")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut era = self.era();
        for tool in tools {
            let (Some(name), Some(schema)) = (
                tool.get("name").and_then(Value::as_str),
                tool.get("inputSchema").and_then(Value::as_object),
            ) else {
                continue;
            };
            // One that cannot be read is refused by the gateway, with its reason.
            if let Ok(params) = ParamHeaders::of_schema(schema) {
                if params.is_empty() {
                    era.params.remove(name)
                } else {
                    era.params.insert(name.to_owned(), params)
                };
            }
        }
    }

    /// The client is gone: ends the session and the run.
    pub(crate) async fn end(&self, outcome: &str) {
        let session = self.era().session.take();
        if let (Some(session), Ok(held)) = (session, self.identity.held().await) {
            let request = self
                .identity
                .http()
                .delete(self.endpoint.clone())
                .timeout(Duration::from_secs(5));
            let _ = self
                .identity
                .send(request.header(header::SESSION_ID, session), &held)
                .await;
        }
        if let Err(error) = self.identity.end(outcome).await {
            crate::print::note(&format!(
                "the run could not be ended and ends by itself: {error:#}"
            ));
        }
    }
}

/// What a model is told when a call did not come back: whether it may have had its effect.
fn broken(why: &str) -> String {
    if why.contains(NOT_REACHED)
        || why.contains("got no token")
        || why.contains("could not be opened")
    {
        format!(
            "DENIED: no answer from Remit means no. {why}. Nothing was called; do not retry before that is mended"
        )
    } else {
        format!("AMBIGUOUS: {why}. Do not retry it; find out first")
    }
}

/// Said when not one byte came through.
const NOT_REACHED: &str = "the gateway cannot be reached; nothing was sent";

fn version(revision: Revision) -> (String, String) {
    (
        header::PROTOCOL_VERSION.to_owned(),
        revision.as_str().to_owned(),
    )
}

async fn read(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)
        .context("the answer broke off")?
    {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            bail!("the gateway's answer is larger than 4 MiB");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
