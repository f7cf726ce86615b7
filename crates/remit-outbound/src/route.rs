//! Where the notifications of one request go: to its caller's channel, rebuilt from the members that MCP names, with
//! the caller's own progress token back in place.

use std::sync::Arc;

use remit_mcp::protocol::Method;
use remit_mcp::{Id, JsonObject, Message};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::redact::Redactor;

/// The way back to one caller.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The caller's channel.
    pub(crate) to: Option<mpsc::Sender<Value>>,
    /// The token under which the caller asked for progress.
    pub(crate) token: Option<Id>,
    /// What must not pass.
    pub(crate) redactor: Arc<Redactor>,
}

impl Route {
    /// A route to nobody.
    pub(crate) fn none() -> Self {
        Self {
            to: None,
            token: None,
            redactor: Arc::default(),
        }
    }

    /// The caller's form of a progress notification; `None` when the caller asked for none.
    pub(crate) fn progress(&self, params: &JsonObject) -> Option<Value> {
        self.to.as_ref()?;
        let token = self.token.as_ref()?;
        let mut kept = keep(params, &["progress", "total", "message"]);
        kept.insert("progressToken".to_owned(), token.to_value());
        Some(self.finish(Method::Progress, kept))
    }

    /// The caller's form of a log message.
    pub(crate) fn log(&self, params: &JsonObject) -> Option<Value> {
        self.to.as_ref()?;
        Some(self.finish(
            Method::LogMessage,
            keep(params, &["level", "logger", "data"]),
        ))
    }

    fn finish(&self, method: Method, params: JsonObject) -> Value {
        let mut value = Message::notification(method.as_str(), Some(params)).into_value();
        self.redactor.value(&mut value);
        value
    }
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
