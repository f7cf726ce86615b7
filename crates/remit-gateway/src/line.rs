//! The way back to the caller's side while its call is in work: to its model and its person for what an upstream asks, and
//! to the wrapper beside it for a server that runs there.

use remit_domain::upstream::MayAsk;
use remit_ports::upstreams::{Question, UpstreamError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A future whose type is not told: questions are sent like the calls in which they are asked.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the wrapper beside an agent is asked with: to run one decided call on the server that it wraps.
pub const EXECUTE: &str = "dev.remit/execute";

/// What a caller's side said that it can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Can {
    /// Its model can be asked.
    pub sampling: bool,
    /// Its person can be asked with a form.
    pub form: bool,
    /// Its person can be sent to an address.
    pub url: bool,
    /// It can name its directories.
    pub roots: bool,
    /// It is a wrapper, and runs decided calls on the server beside it.
    pub wraps: bool,
}

impl Can {
    /// Reads the capabilities of a client. `elicitation` without modes means forms (MCP 2025-11-25 client/elicitation).
    #[must_use]
    pub fn read(capabilities: Option<&Map<String, Value>>) -> Self {
        let find = |key: &str| capabilities?.get(key)?.as_object();
        let elicitation = find("elicitation");
        let mode =
            |mode: &str| elicitation.is_some_and(|e| e.get(mode).is_some_and(Value::is_object));
        Self {
            sampling: find("sampling").is_some(),
            form: mode("form") || elicitation.is_some_and(|_| !mode("url")),
            url: mode("url"),
            roots: find("roots").is_some(),
            wraps: find("experimental")
                .is_some_and(|e| e.get(EXECUTE).is_some_and(Value::is_object)),
        }
    }

    /// Whether it can do anything.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// Whether it can answer this question.
    pub(crate) fn answer(self, kind: MayAsk, params: &Map<String, Value>) -> bool {
        match kind {
            MayAsk::Sampling => self.sampling,
            MayAsk::Roots => self.roots,
            MayAsk::Elicitation => match params.get("mode").and_then(Value::as_str) {
                None | Some("form") => self.form,
                Some("url") => self.url,
                Some(_) => false,
            },
        }
    }

    /// As capabilities of a 2026-07-28 request, for an upstream that reads them there.
    #[must_use]
    pub fn askable(self) -> Map<String, Value> {
        let mut found = Map::new();
        let mut modes = Map::new();
        if self.form {
            modes.insert("form".to_owned(), json!({}));
        }
        if self.url {
            modes.insert("url".to_owned(), json!({}));
        }
        if !modes.is_empty() {
            found.insert("elicitation".to_owned(), Value::Object(modes));
        }
        for (can, key) in [(self.sampling, "sampling"), (self.roots, "roots")] {
            if can {
                found.insert(key.to_owned(), json!({}));
            }
        }
        found
    }
}

/// The way back.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the caller's side can do.
    pub can: Can,
    /// Where it is asked. A full channel makes the asker wait.
    pub ask: mpsc::Sender<Question>,
}

impl Line {
    /// Asks, and waits for the answer.
    pub(crate) async fn ask(
        &self,
        method: &str,
        params: Value,
        cancel: &CancellationToken,
        timeout: Duration,
    ) -> Result<Value, UpstreamError> {
        let (reply, answer) = oneshot::channel();
        let question = Question {
            method: method.to_owned(),
            params,
            reply,
        };
        if self.ask.send(question).await.is_err() {
            let text = "the caller has left, nothing was sent".to_owned();
            return Err(UpstreamError::Unreachable(text));
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(UpstreamError::Cancelled),
            answer = tokio::time::timeout(timeout, answer) => match answer {
                Err(_) => Err(UpstreamError::Ambiguous(format!("no answer within {timeout:?}"))),
                Ok(Err(_)) => Err(UpstreamError::Ambiguous("the caller's side left without an answer".to_owned())),
                Ok(Ok(Ok(value))) => Ok(value),
                // What the caller's side says of what it did is no proof: nothing is given back for it.
                Ok(Ok(Err(no))) => Err(UpstreamError::Rpc { code: no.code, message: no.message, data: None }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_as_they_are_declared() {
        let read = |value: Value| Can::read(value.as_object());
        assert!(!read(json!({})).any());
        assert!(!Can::read(None).any());
        assert!(read(json!({ "elicitation": {} })).form);
        let url = read(json!({ "elicitation": { "url": {} } }));
        assert_eq!((url.form, url.url), (false, true));
        assert!(!read(json!({ "sampling": true, "roots": [] })).any());
        assert!(read(json!({ "experimental": { EXECUTE: {} } })).wraps);
        let all =
            read(json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} }));
        assert_eq!(Can::read(Some(&all.askable())), all);
    }

    #[test]
    fn a_mode_that_was_not_declared_is_not_asked_in() {
        let can = Can {
            form: true,
            ..Can::default()
        };
        let params = |mode: &str| json!({ "mode": mode }).as_object().unwrap().clone();
        assert!(can.answer(MayAsk::Elicitation, &Map::new()));
        assert!(can.answer(MayAsk::Elicitation, &params("form")));
        assert!(!can.answer(MayAsk::Elicitation, &params("url")));
        assert!(!can.answer(MayAsk::Elicitation, &params("other")));
        assert!(!can.answer(MayAsk::Sampling, &Map::new()));
    }
}
