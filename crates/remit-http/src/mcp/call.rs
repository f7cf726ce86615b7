//! Calls: from a checked message to the gateway, and back as one answer or as a stream.

use remit_gateway::{Action, Received};
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::LogLevel;
use remit_mcp::{CanonicalArgs, ErrorObject, Id, Method, RequestMeta, ToolCall};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Turn;
use super::answer::{Reply, rpc_error};
use super::outcome::Asked;
use super::params;
use super::stream::Running;
use crate::limits::NOTIFICATIONS_WAITING_MAX;

/// A call as it goes to the gateway.
pub(super) struct Call {
    action: Action,
    call: ToolCall,
    structured: bool,
}

impl Call {
    /// A `tools/call` request.
    pub(super) fn tool(turn: &Turn) -> Result<Self, ErrorObject> {
        let call = ToolCall::read(turn.incoming.message.params()).map_err(|e| e.to_error())?;
        let tool = params::find(turn, &call.name);
        if let Some(tool) = &tool {
            params::agree(turn, tool, &call)?;
        }
        let structured = tool.is_none_or(|tool| !params::declares_output(&tool));
        Ok(Self {
            action: Action::Tool,
            call,
            structured,
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
        let asked = self.asked(method, &call, id, log_level);
        let (to, notifications) = mpsc::channel(NOTIFICATIONS_WAITING_MAX);
        let received = Received {
            org: self.door.place.org().clone(),
            endpoint: self.door.endpoint.clone(),
            bearer: self.bearer.clone(),
            resource: self.door.resource.clone(),
            action: call.action,
            call: call.call,
            cancel: cancel.clone(),
            notifications: self.incoming.streams.then_some(to),
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
        Running::new(task, notifications, cancel, noted)
            .answer(&self.door, asked)
            .await
    }

    /// From which level on log messages pass. 2026-07-28 says so in each request, together with what the client can be
    /// asked; 2025-11-25 in its session, and without that leaves it to the server.
    fn log_level(&self, meta: &mut RequestMeta) -> Option<LogLevel> {
        if self.incoming.revision.is_stateless() {
            return meta.log_level;
        }
        meta.client_capabilities = None;
        let session = self.incoming.session();
        meta.log_level = session.and_then(|session| self.site.sessions.level(session));
        meta.log_level.or(Some(LogLevel::Debug))
    }

    fn asked(&self, method: Method, call: &Call, id: Id, log_level: Option<LogLevel>) -> Asked {
        Asked {
            log_level,
            id,
            method,
            revision: self.incoming.revision,
            streams: self.incoming.streams,
            structured: call.structured,
            progress_token: call.call.meta.progress_token.clone(),
        }
    }
}
