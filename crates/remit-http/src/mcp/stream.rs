//! A call in work: answered as one message, or as an event stream from the moment that there is something to say before
//! the end.
//!
//! Source: MCP 2026-07-28 basic/transports/streamable-http "Receiving Messages"; closing the stream cancels.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::StatusCode;
use remit_gateway::{Answer, Refused};
use remit_mcp::sse::{self, message_event};
use remit_ports::upstreams::Question;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer::{Reply, status_of};
use super::door::Door;
use super::outcome::Asked as About;
use super::question::Asked;
use super::session::Noted;
use crate::limits::{KEEP_ALIVE, QUIET_BEFORE_STREAM};
use crate::site::Site;

type Outcome = Result<Result<Answer, Refused>, JoinError>;

/// A call in work. Dropping it cancels the call.
pub(super) struct Running {
    task: JoinHandle<Result<Answer, Refused>>,
    notifications: mpsc::Receiver<Value>,
    open: bool,
    line: Line,
    _cancel: DropGuard,
    _noted: Option<Noted>,
}

/// What the client is asked while its call is in work.
pub(super) struct Line {
    site: Site,
    session: String,
    questions: Option<mpsc::Receiver<Question>>,
    /// Open questions, which end with the call.
    asked: Vec<Asked>,
}

impl Line {
    pub(super) fn new(
        site: &Site,
        session: Option<&str>,
        questions: Option<mpsc::Receiver<Question>>,
    ) -> Self {
        Self {
            site: site.clone(),
            session: session.unwrap_or_default().to_owned(),
            questions,
            asked: Vec::new(),
        }
    }

    async fn recv(&mut self) -> Option<Question> {
        match &mut self.questions {
            Some(questions) => questions.recv().await,
            None => None,
        }
    }

    /// The event that asks.
    fn put(&mut self, question: Question) -> String {
        self.asked.retain(|asked| !asked.is_over());
        let (message, asked) = self.site.sessions.questions.put(&self.session, question);
        self.asked.push(asked);
        message_event(message)
    }
}

/// What happens next.
enum Next {
    Notification(Value),
    Question(Question),
    Quiet,
    Over(Box<Outcome>),
}

impl Running {
    pub(super) fn new(
        task: JoinHandle<Result<Answer, Refused>>,
        notifications: mpsc::Receiver<Value>,
        line: Line,
        cancel: CancellationToken,
        noted: Option<Noted>,
    ) -> Self {
        Self {
            task,
            notifications,
            open: true,
            line,
            _cancel: cancel.drop_guard(),
            _noted: noted,
        }
    }

    async fn next(&mut self, patience: std::time::Duration) -> Next {
        loop {
            tokio::select! {
                biased;
                value = self.notifications.recv(), if self.open => match value {
                    Some(value) => return Next::Notification(value),
                    None => self.open = false,
                },
                question = self.line.recv(), if self.line.questions.is_some() => match question {
                    Some(question) => return Next::Question(question),
                    None => self.line.questions = None,
                },
                outcome = &mut self.task => return Next::Over(Box::new(outcome)),
                () = sleep(patience) => return Next::Quiet,
            }
        }
    }

    /// The answer: plain, if the call ends before anything else happens.
    pub(super) async fn answer(mut self, door: &Door, asked: About) -> Reply {
        loop {
            let first = match self.next(QUIET_BEFORE_STREAM).await {
                Next::Over(outcome) => return whole(door, &asked, *outcome),
                Next::Notification(value) => {
                    asked.notification(value).map(|v| format!("data: {v}\n\n"))
                }
                Next::Question(question) => Some(self.line.put(question)),
                Next::Quiet => Some(sse::KEEP_ALIVE.to_owned()),
            };
            if let (Some(first), true) = (first, asked.streams) {
                return Reply::stream(Body::from_stream(events(self, asked, first)));
            }
        }
    }
}

fn whole(door: &Door, asked: &About, outcome: Outcome) -> Reply {
    if let Ok(Err(refused)) = &outcome
        && let Some(challenge) = door.refused(&refused.refusal)
    {
        return challenge.into();
    }
    let message = last(asked, outcome);
    let status = match &message {
        remit_mcp::Message::Error { error, .. } => status_of(asked.revision, error.code),
        _ => StatusCode::OK,
    };
    Reply::message(status, message)
}

fn last(asked: &About, outcome: Outcome) -> remit_mcp::Message {
    match outcome {
        Ok(outcome) => asked.message(outcome),
        Err(error) => {
            tracing::error!(%error, "a call broke off");
            asked.broken()
        }
    }
}

/// The events of a call: what was said so far, what comes, and at the end its answer.
fn events(
    running: Running,
    asked: About,
    first: String,
) -> impl futures_util::Stream<Item = Result<String, Infallible>> {
    let state = (Some(running), asked, Some(first));
    futures_util::stream::unfold(state, |(running, asked, first)| async move {
        let mut running = running?;
        if let Some(first) = first {
            return Some((Ok(first), (Some(running), asked, None)));
        }
        loop {
            let event = match running.next(KEEP_ALIVE).await {
                Next::Over(outcome) => {
                    let event = message_event(last(&asked, *outcome));
                    return Some((Ok(event), (None, asked, None)));
                }
                Next::Notification(value) => {
                    asked.notification(value).map(|v| format!("data: {v}\n\n"))
                }
                Next::Question(question) => Some(running.line.put(question)),
                Next::Quiet => Some(sse::KEEP_ALIVE.to_owned()),
            };
            if let Some(event) = event {
                return Some((Ok(event), (Some(running), asked, None)));
            }
        }
    })
}
