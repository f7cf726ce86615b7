//! The writing thread: many requests, one transaction, one `fsync`.
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

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use remit_domain::{OrgId, Timestamp};
use remit_ports::Clock;
use remit_ports::store::{
    Admit, AdmitError, Admitted, Changed, Commit, Committed, Outcome, StoreError, TreeAppend,
};
use rusqlite::Connection;
use tokio::sync::{broadcast, oneshot};

use crate::checkpointer::{Checkpointer, checkpoint};
use crate::error::into_store;
use batch::Done;

/// Requests that share one transaction at most.
const BATCH: usize = 256;

/// How long an outcome waits for company.
const OUTCOME_DELAY: Duration = Duration::from_millis(50);

/// How long outcomes wait after the database has failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How often expired single-use keys and counters are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// What can be asked of the thread, with where the answer goes.
pub(crate) enum Request {
    Commit(Box<Commit>, oneshot::Sender<Result<Committed, StoreError>>),
    Shred(
        Box<(String, Commit)>,
        oneshot::Sender<Result<Committed, StoreError>>,
    ),
    Admit(Box<Admit>, oneshot::Sender<Result<Admitted, AdmitError>>),
    Outcome(Box<Outcome>),
    Tree(
        Box<(OrgId, TreeAppend)>,
        oneshot::Sender<Result<(), StoreError>>,
    ),
}

/// What the thread receives.
pub(crate) enum Message {
    Write(Request),
    /// Everything before it is written when it is answered.
    Flush(oneshot::Sender<Result<(), StoreError>>),
    /// The same, then the thread ends.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// What the thread shares with the store's readers.
pub(crate) struct Shared {
    /// Epoch of each organization whose epoch was ever asked for or raised; only this process raises it.
    pub(crate) epochs: RwLock<HashMap<OrgId, u64>>,
    pub(crate) changes: broadcast::Sender<Changed>,
    /// Outcomes that are queued and not durable.
    pub(crate) outcomes: AtomicUsize,
}

impl Shared {
    /// Notes an epoch; epochs only grow, so that a late reader never sets one back.
    pub(crate) fn note_epoch(&self, org: &OrgId, epoch: u64) -> u64 {
        let mut epochs = self
            .epochs
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let noted = epochs.entry(org.clone()).or_insert(epoch);
        *noted = epoch.max(*noted);
        *noted
    }
}

/// The thread's own things.
pub(crate) struct Writer {
    pub(crate) db: Connection,
    pub(crate) requests: Receiver<Message>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) checkpointer: Checkpointer,
    /// Waiting, in the order they came.
    pub(crate) queue: Vec<Request>,
    /// When the queue is written even if only outcomes wait.
    pub(crate) due: Option<Instant>,
    pub(crate) purged: Instant,
    /// The last transaction could not be written.
    pub(crate) failing: bool,
}

/// What one turn collected beside the queue.
#[derive(Default)]
struct Turn {
    urgent: bool,
    flushes: Vec<oneshot::Sender<Result<(), StoreError>>>,
    close: bool,
}

/// Who waits for the end of the thread, and how it ended.
pub(crate) struct Closing {
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
    written: Result<(), StoreError>,
}

impl Closing {
    /// Tells them.
    pub(crate) fn answer(self) {
        answer_all(self.waiting, &self.written);
    }
}

fn answer_all(
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
    written: &Result<(), StoreError>,
) {
    for reply in waiting {
        let _gone = reply.send(written.clone());
    }
}

impl Writer {
    /// Works until closed, or until the store is gone; returns who waits for that. The database is closed then.
    pub(crate) fn run(mut self) -> Closing {
        loop {
            let mut turn = Turn::default();
            match self.wait() {
                Ok(message) => self.take(message, &mut turn),
                Err(RecvTimeoutError::Timeout) => turn.urgent = true,
                Err(RecvTimeoutError::Disconnected) => turn.close = true,
            }
            while self.queue.len() < BATCH && !turn.close {
                let Ok(message) = self.requests.try_recv() else {
                    break;
                };
                self.take(message, &mut turn);
            }
            let wanted =
                turn.urgent || turn.close || !turn.flushes.is_empty() || self.queue.len() >= BATCH;
            let mut written = if wanted { self.write() } else { Ok(()) };
            if written.is_ok() && !turn.flushes.is_empty() {
                written = self.try_again();
            }
            if turn.close {
                self.end();
                return Closing {
                    waiting: turn.flushes,
                    written,
                };
            }
            answer_all(turn.flushes, &written);
            self.purge();
        }
    }

    fn wait(&self) -> Result<Message, RecvTimeoutError> {
        match self.due {
            None => self
                .requests
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => self
                .requests
                .recv_timeout(due.saturating_duration_since(now())),
        }
    }

    fn take(&mut self, message: Message, turn: &mut Turn) {
        match message {
            Message::Write(request) => {
                if matches!(request, Request::Outcome(_)) {
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
    fn write(&mut self) -> Result<(), StoreError> {
        self.due = None;
        if self.queue.is_empty() {
            return Ok(());
        }
        let queue = std::mem::take(&mut self.queue);
        match batch::write(&self.db, &queue) {
            Ok(results) => {
                let shreds = queue.iter().any(|r| matches!(r, Request::Shred(..)));
                self.checkpointer.committed(&self.db, queue.len());
                for (request, result) in queue.into_iter().zip(results) {
                    self.answer(request, result);
                }
                if shreds {
                    // The old body is still in the log: copy the log and empty it.
                    let _busy = checkpoint(&self.db, "TRUNCATE");
                }
                Ok(())
            }
            Err(error) => {
                self.failing = true;
                tracing::error!(%error, requests = queue.len(), "nothing of the batch was written");
                for request in queue {
                    self.fail(request, &error);
                }
                if !self.queue.is_empty() {
                    self.due = Some(now() + RETRY_DELAY);
                }
                Err(error)
            }
        }
    }

    /// After a failure, whether the disk takes something again: otherwise a store that is asked how it is, and to which nothing
    /// is written since, would say that it is well. Nothing else says so: a batch that writes nothing succeeds on a full disk too.
    fn try_again(&mut self) -> Result<(), StoreError> {
        if !self.failing {
            return Ok(());
        }
        batch::probe(&self.db)?;
        self.failing = false;
        Ok(())
    }

    fn answer(&self, request: Request, result: Result<Done, AdmitError>) {
        if let Ok(done) = &result
            && let Some(changed) = &done.changed
        {
            self.shared.note_epoch(&changed.org, changed.epoch);
            // No receiver is fine.
            let _none = self.shared.changes.send(changed.clone());
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
            Request::Outcome(outcome) => {
                self.shared.outcomes.fetch_sub(1, Ordering::Relaxed);
                if let Err(error) = result {
                    tracing::error!(%error, decision = %outcome.decision, "outcome refused; its call stays open and is reported as a gap");
                }
            }
        }
    }

    fn fail(&mut self, request: Request, error: &StoreError) {
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
            Request::Outcome(_) => self.queue.push(request),
        }
    }

    fn purge(&mut self) {
        if now().saturating_duration_since(self.purged) < PURGE_EVERY {
            return;
        }
        self.purged = now();
        if let Err(error) = purge(&self.db, self.clock.now()) {
            tracing::warn!(%error, "expired single-use keys and counters could not be removed");
        }
    }

    fn end(&mut self) {
        let lost = self.queue.len();
        if lost > 0 {
            tracing::error!(
                lost,
                "outcomes could not be written before closing; their calls are reported as gaps"
            );
        }
        let _busy = checkpoint(&self.db, "TRUNCATE");
    }
}

/// Removes what expired an hour ago: a clock that is set back a little brings no key back.
pub(crate) fn purge(db: &Connection, at: Timestamp) -> rusqlite::Result<()> {
    let before = at.plus_secs(-3_600).as_micros();
    for sql in [
        "DELETE FROM once WHERE (org, key) IN (SELECT org, key FROM once WHERE until < ?1 ORDER BY until LIMIT 2000)",
        "DELETE FROM counters WHERE (org, key) IN (SELECT org, key FROM counters WHERE until < ?1 ORDER BY until LIMIT 2000)",
    ] {
        db.prepare_cached(sql)?.execute([before])?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "paces this thread's own waiting on its channel; no decision depends on it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
