//! The writing task: many requests, one transaction, one commit.
//!
//! Decisions and commits start a transaction at once, with whatever waits beside them; outcomes wait for the next one, at
//! most [`OUTCOME_DELAY`]. If the database fails, every request of the batch is told so and the outcomes are kept for
//! another attempt.

mod admit;
mod batch;
mod commit;
mod outcome;
mod tree;
mod unit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use remit_domain::OrgId;
use remit_ports::store::{
    Admit, AdmitError, Admitted, Changed, Commit, Committed, Outcome, StoreError, TreeAppend,
};
use sqlx::PgPool;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::error::into_store;
use crate::number::now;
use batch::{Done, Fault};

/// Requests that share one transaction at most.
const BATCH: usize = 256;

/// How long an outcome waits for company.
const OUTCOME_DELAY: Duration = Duration::from_millis(50);

/// How long outcomes wait after the database has failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How often expired single-use keys and counters are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(60);

type Reply<T, E = StoreError> = oneshot::Sender<Result<T, E>>;

/// What can be asked of the task, with where the answer goes.
pub(crate) enum Request {
    Commit(Box<Commit>, Reply<Committed>),
    Shred(Box<(String, Commit)>, Reply<Committed>),
    Admit(Box<Admit>, Reply<Admitted, AdmitError>),
    /// With whether an attempt before may have written it.
    Outcome(Box<Outcome>, bool),
    Tree(Box<(OrgId, TreeAppend)>, Reply<()>),
}

/// What the task receives.
pub(crate) enum Message {
    Write(Request),
    /// Everything before it is written when it is answered.
    Flush(Reply<()>),
    /// The same, then the task ends.
    Close(Reply<()>),
}

/// The task's own things.
pub(crate) struct Writer {
    node: String,
    pool: PgPool,
    requests: mpsc::Receiver<Message>,
    changes: broadcast::Sender<Changed>,
    /// Outcomes that are queued and not durable.
    waiting: Arc<AtomicUsize>,
    /// Waiting, in the order they came.
    queue: Vec<Request>,
    /// When the queue is written even if only outcomes wait.
    due: Option<Instant>,
    purged: Instant,
}

/// What one turn collected beside the queue.
#[derive(Default)]
struct Turn {
    urgent: bool,
    flushes: Vec<Reply<()>>,
    close: bool,
}

impl Writer {
    pub(crate) fn new(
        node: &str,
        pool: PgPool,
        requests: mpsc::Receiver<Message>,
        changes: broadcast::Sender<Changed>,
        waiting: Arc<AtomicUsize>,
    ) -> Self {
        let node = node.to_owned();
        let (queue, due, purged) = (Vec::new(), None, now());
        Self {
            node,
            pool,
            requests,
            changes,
            waiting,
            queue,
            due,
            purged,
        }
    }

    /// Works until closed, or until the store is gone.
    pub(crate) async fn run(mut self) {
        loop {
            let mut turn = Turn::default();
            self.wait(&mut turn).await;
            while self.queue.len() < BATCH && !turn.close {
                let Ok(message) = self.requests.try_recv() else {
                    break;
                };
                self.take(message, &mut turn);
            }
            let asked = turn.urgent || turn.close || !turn.flushes.is_empty();
            let wanted = asked || self.queue.len() >= BATCH;
            let written = if wanted { self.write().await } else { Ok(()) };
            if turn.close {
                // Whoever asks from here on is told that the store is closed.
                self.requests.close();
            }
            for flush in turn.flushes {
                let _gone = flush.send(written.clone());
            }
            if turn.close {
                return;
            }
            self.purge().await;
        }
    }

    async fn wait(&mut self, turn: &mut Turn) {
        let message = match self.due {
            None => Ok(self.requests.recv().await),
            Some(due) => tokio::time::timeout_at(due.into(), self.requests.recv()).await,
        };
        match message {
            Ok(Some(message)) => self.take(message, turn),
            Ok(None) => turn.close = true,
            Err(_due) => turn.urgent = true,
        }
    }

    fn take(&mut self, message: Message, turn: &mut Turn) {
        match message {
            Message::Write(request) => {
                if matches!(request, Request::Outcome(..)) {
                    self.due.get_or_insert_with(|| now() + OUTCOME_DELAY);
                } else {
                    turn.urgent = true;
                }
                self.queue.push(request);
            }
            Message::Flush(reply) => turn.flushes.push(reply),
            Message::Close(reply) => {
                turn.flushes.push(reply);
                turn.close = true;
            }
        }
    }

    /// Writes the queue in one transaction, then answers.
    async fn write(&mut self) -> Result<(), StoreError> {
        self.due = None;
        if self.queue.is_empty() {
            return Ok(());
        }
        let queue = std::mem::take(&mut self.queue);
        match batch::write(&self.pool, &self.node, &queue).await {
            Ok(results) => {
                for (request, result) in queue.into_iter().zip(results) {
                    self.answer(request, result);
                }
                Ok(())
            }
            Err(Fault { error, ambiguous }) => {
                tracing::error!(%error, requests = queue.len(), "the batch was not confirmed");
                for request in queue {
                    self.fail(request, &error, ambiguous);
                }
                if !self.queue.is_empty() {
                    self.due = Some(now() + RETRY_DELAY);
                }
                Err(error)
            }
        }
    }

    fn answer(&self, request: Request, result: Result<Done, AdmitError>) {
        if let Ok(done) = &result
            && let Some(changed) = &done.changed
        {
            // No receiver is fine.
            let _none = self.changes.send(changed.clone());
        }
        match request {
            Request::Commit(_, reply) | Request::Shred(_, reply) => {
                let _gone = reply.send(result.map(Done::committed).map_err(into_store));
            }
            Request::Admit(_, reply) => {
                let _gone = reply.send(result.map(Done::admitted));
            }
            Request::Tree(_, reply) => {
                let _gone = reply.send(result.map(|_| ()).map_err(into_store));
            }
            Request::Outcome(outcome, _) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                if let Err(error) = result {
                    let decision = &outcome.decision;
                    tracing::error!(%error, %decision, "outcome refused; its call stays open and is reported as a gap");
                }
            }
        }
    }

    fn fail(&mut self, request: Request, error: &StoreError, ambiguous: bool) {
        match request {
            Request::Commit(_, reply) | Request::Shred(_, reply) => {
                let _gone = reply.send(Err(error.clone()));
            }
            Request::Admit(_, reply) => {
                let _gone = reply.send(Err(AdmitError::Store(error.clone())));
            }
            Request::Tree(_, reply) => {
                let _gone = reply.send(Err(error.clone()));
            }
            Request::Outcome(outcome, before) => {
                let again = Request::Outcome(outcome, before || ambiguous);
                self.queue.push(again);
            }
        }
    }

    /// Removes what expired an hour ago, by the server's clock, which all nodes share.
    async fn purge(&mut self) {
        if now().saturating_duration_since(self.purged) < PURGE_EVERY {
            return;
        }
        self.purged = now();
        for sql in [
            "DELETE FROM once WHERE (org, key) IN (SELECT org, key FROM once
             WHERE until < ((extract(epoch FROM now()) - 3600) * 1000000)::bigint ORDER BY until LIMIT 2000 FOR UPDATE SKIP LOCKED)",
            "DELETE FROM counters WHERE (org, key) IN (SELECT org, key FROM counters
             WHERE until < ((extract(epoch FROM now()) - 3600) * 1000000)::bigint ORDER BY until LIMIT 2000 FOR UPDATE SKIP LOCKED)",
        ] {
            if let Err(error) = sqlx::query(sql).execute(&self.pool).await {
                tracing::warn!(%error, "expired single-use keys and counters could not be removed");
            }
        }
    }
}
