//! Calls: from a checked message to the gateway, and back as one answer or as a stream.

use remit_gateway::{Action, Line, Received};
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::LogLevel;
use remit_mcp::{CanonicalArgs, ErrorObject, Id, Method, RequestMeta, ToolCall};
use remit_ports::upstreams::Question;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Turn;
use super::answer::{Reply, rpc_error};
use super::approval::{self, Told};
use super::outcome::Asked;
use super::params;
use super::stream::Running;
use crate::limits::{NOTIFICATIONS_WAITING_MAX, QUESTIONS_WAITING_MAX};

/// A call as it goes to the gateway.
pub(super) struct Call {
    action: Action,
    call: ToolCall,
    structured: bool,
    /// How a call that waits for a person is told, where the client can be sent to one.
    told: Option<Told>,
}

impl Call {
    /// As it goes to the gateway, with nobody there to be asked or told meanwhile.
    pub(super) fn received(&mut self, turn: &Turn) -> Received {
        turn.log_level(&mut self.call.meta);
        Received {
            org: turn.door.place.org().clone(),
            endpoint: turn.door.endpoint.clone(),
            presented: turn.presented.clone(),
            resource: turn.door.resource.clone(),
            action: self.action,
            call: self.call.clone(),
            cancel: CancellationToken::new(),
            notifications: None,
            line: None,
            vouched: None,
            continues: None,
        }
    }

    /// A `tools/call` request.
    pub(super) fn tool(turn: &Turn) -> Result<Self, ErrorObject> {
        let mut call = ToolCall::read(turn.incoming.message.params()).map_err(|e| e.to_error())?;
        let again = approval::take_back(turn, &mut call)?;
        let told = Told::of(turn, &call, again);
        let tool = params::find(turn, &call.name);
        if let Some(tool) = &tool {
            params::agree(turn, tool, &call)?;
        }
        let structured = tool.is_none_or(|tool| !params::declares_output(&tool));
        Ok(Self {
            action: Action::Tool,
            call,
            structured,
            told,
        })
    }

    /// Another governed method: its parameters are the arguments.
    pub(super) fn action(turn: &Turn, action: Action) -> Result<Self, ErrorObject> {
        let params = turn.incoming.message.params();
        let invalid = |text: String| ErrorObject::new(code::INVALID_PARAMS, &text);
        let mut arguments = params.cloned().unwrap_or_default();
        arguments.remove("_meta");
        let take = |arguments: &mut super::Object, key: &str| {
            arguments.remove(key).filter(|v| !v.is_null())
        };
        let input_responses = match take(&mut arguments, "inputResponses") {
            None => None,
            Some(value) => Some(
                CanonicalArgs::from_value(value)
                    .map_err(|e| invalid(format!("`inputResponses`: {e}")))?,
            ),
        };
        let request_state = match take(&mut arguments, "requestState") {
            None => None,
            Some(Value::String(state)) if state.len() <= remit_mcp::limits::HANDLE_BYTES_MAX => {
                Some(state)
            }
            Some(_) => {
                return Err(invalid(
                    "`requestState` must be a string that an earlier answer gave".to_owned(),
                ));
            }
        };
        let call = ToolCall {
            name: String::new(),
            arguments: CanonicalArgs::from_value(Value::Object(arguments))
                .map_err(|e| invalid(format!("`params`: {e}")))?,
            input_responses,
            request_state,
            meta: RequestMeta::read(params).map_err(|e| e.to_error())?,
        };
        Ok(Self {
            action,
            call,
            structured: false,
            told: None,
        })
    }
}

impl Turn {
    /// Hands a call to the gateway and answers. Dropping the answer cancels the call; what was begun is ended and recorded
    /// all the same.
    pub(super) async fn call(&self, method: Method, call: Call) -> Reply {
        let Some(id) = self.incoming.id().cloned() else {
            return Reply::accepted();
        };
        let cancel = CancellationToken::new();
        let noted = match self.incoming.session() {
            None => None,
            Some(session) => match self.site.sessions.note(session, &id, &cancel) {
                Some(noted) => Some(noted),
                None => {
                    let text = "a request of this id is in work, or too many are; wait for one to be answered";
                    return rpc_error(
                        &self.incoming,
                        ErrorObject::new(code::INVALID_REQUEST, text),
                    );
                }
            },
        };
        let mut call = call;
        let log_level = self.log_level(&mut call.call.meta);
        let asked = self.asked(method, &mut call, id, log_level);
        let (to, notifications) = mpsc::channel(NOTIFICATIONS_WAITING_MAX);
        let (line, questions) = self.line();
        let received = Received {
            org: self.door.place.org().clone(),
            endpoint: self.door.endpoint.clone(),
            presented: self.presented.clone(),
            resource: self.door.resource.clone(),
            action: call.action,
            call: call.call,
            cancel: cancel.clone(),
            notifications: self.incoming.streams.then_some(to),
            line,
            vouched: None,
            continues: None,
        };
        let gateway = self.site.app.gateway.clone();
        let (metrics, clock) = (self.site.clone(), self.site.app.books.clock().clone());
        let started = clock.monotonic();
        let task = tokio::spawn(async move {
            let _in_work = metrics.metrics.call();
            let outcome = gateway.tool_call(received).await;
            metrics.metrics.call_answered(
                super::outcome::counted(&outcome),
                clock.monotonic().saturating_sub(started),
            );
            outcome
        });
        let line = super::stream::Line::new(&self.site, self.incoming.session(), questions);
        Running::new(task, notifications, line, cancel, noted)
            .answer(&self.door, asked)
            .await
    }

    /// From which level on log messages pass. 2026-07-28 says so in each request, together with what the client can be
    /// asked; 2025-11-25 in its session, and without that leaves it to the server.
    fn log_level(&self, meta: &mut RequestMeta) -> Option<LogLevel> {
        if self.incoming.revision.is_stateless() {
            return meta.log_level;
        }
        // What the client said at the beginning of its session, as far as it can be asked in this call.
        let askable = match self.can_be_asked() {
            true => self.can.askable(),
            false => super::Object::new(),
        };
        meta.client_capabilities = (!askable.is_empty()).then_some(askable);
        let session = self.incoming.session();
        meta.log_level = session.and_then(|session| self.site.sessions.level(session));
        meta.log_level.or(Some(LogLevel::Debug))
    }

    /// Whether the client can be asked something while a call of it is in work: on the stream of the call, in a session.
    fn can_be_asked(&self) -> bool {
        self.can.any() && self.incoming.streams && self.incoming.session().is_some()
    }

    /// The way back to the client while its call is in work, and what comes on it.
    fn line(&self) -> (Option<Line>, Option<mpsc::Receiver<Question>>) {
        if !self.can_be_asked() {
            return (None, None);
        }
        let (ask, questions) = mpsc::channel(QUESTIONS_WAITING_MAX);
        let can = self.can;
        (Some(Line { can, ask }), Some(questions))
    }

    fn asked(&self, method: Method, call: &mut Call, id: Id, log_level: Option<LogLevel>) -> Asked {
        Asked {
            log_level,
            id,
            method,
            revision: self.incoming.revision,
            streams: self.incoming.streams,
            structured: call.structured,
            told: call.told.take(),
            progress_token: call.call.meta.progress_token.clone(),
        }
    }
}
