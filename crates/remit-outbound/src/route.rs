//! Where the notifications of one request go: to its caller's channel, rebuilt from the members that MCP names, with
//! the caller's own progress token back in place.

use std::sync::Arc;

use remit_domain::upstream::MayAsk;
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::Method;
use remit_mcp::{ErrorObject, Id, JsonObject, Message, Request};
use remit_ports::upstreams::{NotAnswered, Question};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::limits::QUESTION_BYTES_MAX;
use crate::outgoing::reason;

use crate::redact::Redactor;

/// The way back to one caller.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The caller's channel.
    pub(crate) to: Option<mpsc::Sender<Value>>,
    /// The token under which the caller asked for progress.
    pub(crate) token: Option<Id>,
    /// Where what the upstream asks goes.
    pub(crate) questions: Option<mpsc::Sender<Question>>,
    /// What must not pass.
    pub(crate) redactor: Arc<Redactor>,
}

impl Route {
    /// A route to nobody.
    pub(crate) fn none() -> Self {
        Self {
            to: None,
            token: None,
            questions: None,
            redactor: Arc::default(),
        }
    }

    /// Puts a request of the upstream to the caller's side and waits for the answer; none for one that nobody here answers.
    /// Never waits for room: a question that does not fit is refused.
    ///
    /// - `bytes`: how long the request was on the wire.
    pub(crate) async fn ask(&self, request: Request, bytes: usize) -> Option<Message> {
        let to = self.questions.as_ref()?;
        MayAsk::of_method(&request.method)?;
        let Request { id, method, params } = request;
        let refused = |code: i64, text: &str| Message::Error {
            id: Some(id.clone()),
            error: ErrorObject::new(code, text),
        };
        if bytes > QUESTION_BYTES_MAX {
            let text = format!("a question may have {QUESTION_BYTES_MAX} bytes");
            return Some(refused(code::INVALID_PARAMS, &text));
        }
        let mut params = Value::Object(params.unwrap_or_default());
        self.redactor.value(&mut params);
        let (reply, answer) = oneshot::channel();
        let question = Question {
            method,
            params,
            reply,
        };
        if to.try_send(question).is_err() {
            let text =
                "other questions of this call wait for an answer; ask again when they have one";
            return Some(refused(code::INTERNAL_ERROR, text));
        }
        Some(match answer.await {
            Ok(Ok(Value::Object(result))) => Message::Response { id, result },
            Ok(Ok(_)) => refused(code::INTERNAL_ERROR, "the answer is not an object"),
            Ok(Err(NotAnswered { code, message, .. })) => refused(code, &reason(&message)),
            Err(_) => refused(code::INTERNAL_ERROR, "nobody answers any more"),
        })
    }

    /// The caller's form of a progress notification; `None` when the caller asked for none.
    pub(crate) fn progress(&self, params: &JsonObject) -> Option<Value> {
        self.to.as_ref()?;
        let token = self.token.as_ref()?;
        let mut kept = self.clean(params, &["progress", "total", "message"]);
        kept.insert("progressToken".to_owned(), token.to_value());
        Some(finish(Method::Progress, kept))
    }

    /// The caller's form of a log message.
    pub(crate) fn log(&self, params: &JsonObject) -> Option<Value> {
        self.to.as_ref()?;
        let kept = self.clean(params, &["level", "logger", "data"]);
        Some(finish(Method::LogMessage, kept))
    }

    /// The named members, without the secrets in them and in what came before.
    fn clean(&self, params: &JsonObject, names: &[&str]) -> JsonObject {
        let mut kept = Value::Object(keep(params, names));
        self.redactor.piece(&mut kept);
        match kept {
            Value::Object(kept) => kept,
            _ => JsonObject::new(),
        }
    }
}

fn finish(method: Method, params: JsonObject) -> Value {
    Message::notification(method.as_str(), Some(params)).into_value()
}

fn keep(params: &JsonObject, names: &[&str]) -> JsonObject {
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), params.get(*name)?.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_caller_sees_its_own_token_and_named_members_only() {
        let (to, _from) = mpsc::channel(1);
        let route = Route {
            to: Some(to),
            token: Some(Id::Text("mine".into())),
            questions: None,
            redactor: Arc::default(),
        };
        let params = json!({"progressToken": 7, "progress": 1, "total": 2, "message": "m", "_meta": {"x": 1}});
        let seen = route.progress(params.as_object().unwrap()).unwrap();
        assert_eq!(
            seen,
            json!({"jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": "mine", "progress": 1, "total": 2, "message": "m"}})
        );
        assert!(
            Route {
                token: None,
                ..route
            }
            .progress(params.as_object().unwrap())
            .is_none()
        );
        assert!(Route::none().log(params.as_object().unwrap()).is_none());
    }
}
