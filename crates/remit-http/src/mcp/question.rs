//! Questions to a 2025-11-25 client in the middle of its call: sent on the stream of that call, answered with a message of
//! their own, and only by the session that was asked.
//!
//! Source: MCP 2025-11-25 basic/transports "Sending Messages to the Server".

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use remit_mcp::{Id, Message};
use remit_ports::upstreams::{NotAnswered, Question};
use serde_json::Value;
use tokio::sync::oneshot;

type Reply = oneshot::Sender<Result<Value, NotAnswered>>;
type Open = Arc<Mutex<HashMap<String, HashMap<String, Reply>>>>;

/// What is open, by session and id.
#[derive(Default)]
pub(crate) struct Questions {
    open: Open,
    next: AtomicU64,
}

impl Questions {
    /// Notes a question, and makes the message that asks it. It stays open until it is answered or the guard goes.
    pub(super) fn put(&self, session: &str, question: Question) -> (Message, Asked) {
        let id = format!("remit-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let Question {
            method,
            params,
            reply,
        } = question;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_session = open.entry(session.to_owned()).or_default();
        of_session.insert(id.clone(), reply);
        let params = match params {
            Value::Object(params) => Some(params),
            _ => None,
        };
        let message = Message::request(Id::Text(id.clone()), &method, params);
        let asked = Asked {
            open: Arc::clone(&self.open),
            session: session.to_owned(),
            id,
        };
        (message, asked)
    }

    /// Takes an answer; false when this session was not asked under that id, or has answered.
    pub(super) fn answered(
        &self,
        session: &str,
        id: &Id,
        answer: Result<Value, NotAnswered>,
    ) -> bool {
        let Id::Text(id) = id else { return false };
        let reply = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(session)
            .and_then(|of_session| of_session.remove(id));
        // Who asked may have given up meanwhile.
        reply.is_some_and(|reply| reply.send(answer).is_ok())
    }

    /// The session is over: nobody answers any more.
    pub(super) fn end(&self, session: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(session);
    }
}

/// An open question.
pub(super) struct Asked {
    open: Open,
    session: String,
    id: String,
}

impl Asked {
    /// Whether nobody waits for its answer any more.
    pub(super) fn is_over(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = open.get(&self.session).and_then(|of| of.get(&self.id));
        reply.is_none_or(oneshot::Sender::is_closed)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_session) = open.get_mut(&self.session) {
            of_session.remove(&self.id);
            if of_session.is_empty() {
                open.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn question() -> (Question, oneshot::Receiver<Result<Value, NotAnswered>>) {
        let (reply, answer) = oneshot::channel();
        let (method, params) = ("elicitation/create".to_owned(), json!({ "message": "?" }));
        (
            Question {
                method,
                params,
                reply,
            },
            answer,
        )
    }

    #[test]
    fn only_the_session_that_was_asked_answers_and_once() {
        let questions = Questions::default();
        let (question, mut answer) = question();
        let (message, asked) = questions.put("mine", question);
        let Message::Request(request) = message else {
            panic!("a question is a request")
        };
        let yes = || Ok(json!({ "action": "accept" }));
        assert!(!questions.answered("another", &request.id, yes()));
        assert!(!questions.answered("mine", &Id::Number(0), yes()));
        assert!(!questions.answered("mine", &Id::Text("remit-99".to_owned()), yes()));
        assert!(answer.try_recv().is_err(), "nothing of that was an answer");
        assert!(questions.answered("mine", &request.id, yes()));
        assert!(!questions.answered("mine", &request.id, yes()));
        assert_eq!(answer.try_recv().unwrap(), yes());
        drop(asked);
        assert!(questions.open.lock().unwrap().is_empty());
    }

    #[test]
    fn a_question_ends_with_its_call_or_its_session() {
        let questions = Questions::default();
        let ((first, mut one), (second, mut two)) = (question(), question());
        let (_, asked) = questions.put("mine", first);
        let (_, kept) = questions.put("mine", second);
        drop(asked);
        assert!(one.try_recv().is_err());
        assert!(!kept.is_over());
        questions.end("mine");
        assert!(kept.is_over());
        assert!(matches!(
            two.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        ));
    }
}
