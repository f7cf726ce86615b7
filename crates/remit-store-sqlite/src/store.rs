//! The port, implemented.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use remit_domain::{Kind, OrgId};
use remit_ports::store::{
    Admit, AdmitError, Admitted, Changed, Commit, Committed, EntryFilter, Filter, LabelState,
    OpenCall, Outcome, Page, Record, StoreError, StoredEntry, TreeAppend,
};
use remit_ports::{Clock, Store};
use tokio::sync::{broadcast, oneshot};

use crate::checkpointer::Checkpointer;
use crate::error::closed;
use crate::migrate;
use crate::open::{self, SqliteOptions};
use crate::read::{self, Readers};
use crate::writer::{Message, Request, Shared, Writer, now};

/// Requests that may wait for the writing thread; above it they are refused.
const QUEUE: usize = 4_096;

/// Outcomes that may wait; each may hold one call's content.
const OUTCOMES: usize = 2_048;

/// Changes that a slow receiver may lag behind before it has to read everything again.
const CHANGES: usize = 4_096;

/// The store of one process on one machine.
pub struct SqliteStore {
    requests: SyncSender<Message>,
    readers: Arc<Readers>,
    shared: Arc<Shared>,
    reader_count: usize,
    closed: AtomicBool,
}

impl SqliteStore {
    /// Opens the database in `dir`, which is made (mode 0700) where it is missing, and applies missing migrations.
    ///
    /// `clock` decides when expired single-use keys and counters are forgotten.
    ///
    /// # Errors
    /// `Unavailable` when another process uses the directory or it cannot be written; `Inconsistent` when a newer version
    /// wrote it.
    pub fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_with(dir, clock, &SqliteOptions::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(
        dir: &Path,
        clock: Arc<dyn Clock>,
        options: &SqliteOptions,
    ) -> Result<Self, StoreError> {
        let lock = open::prepare(dir)?;
        let db = open::writer(dir, options)?;
        migrate::apply(&db)?;
        let readers = Arc::new(Readers::open(dir, options.readers)?);
        let checkpointer = Checkpointer::start(dir)?;
        let (requests, received) = sync_channel(QUEUE);
        let shared = Arc::new(Shared {
            epochs: RwLock::new(HashMap::new()),
            changes: broadcast::Sender::new(CHANGES),
            outcomes: AtomicUsize::new(0),
        });
        let thread = Writer {
            db,
            requests: received,
            shared: Arc::clone(&shared),
            clock,
            checkpointer,
            queue: Vec::new(),
            due: None,
            purged: now(),
            failing: false,
        };
        start(thread, lock)?;
        Ok(Self {
            requests,
            readers,
            shared,
            reader_count: options.readers,
            closed: AtomicBool::new(false),
        })
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        self.requests
            .try_send(message)
            .map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Unavailable(
                    "too many writes are waiting for the disk; try again".to_owned(),
                ),
                TrySendError::Disconnected(_) => closed(),
            })
    }

    /// Sends a request and waits until it is durable, or refused. A dropped answer means that the thread has ended.
    async fn ask<T, E: From<StoreError>>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Message,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        self.send(message(reply))?;
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }
}

/// The lock lives as long as the database is open for writing; whoever waits for the end may open it again.
fn start(thread: Writer, lock: File) -> Result<(), StoreError> {
    let work = move || {
        let closing = thread.run();
        drop(lock);
        closing.answer();
    };
    std::thread::Builder::new()
        .name("remit-writer".to_owned())
        .spawn(work)
        .map(|_| ())
        .map_err(|e| StoreError::Unavailable(format!("cannot start a thread: {e}")))
}

#[async_trait]
impl Store for SqliteStore {
    async fn organizations(&self) -> Result<Vec<Record>, StoreError> {
        self.readers.read(read::organizations).await
    }

    async fn get(&self, org: &OrgId, kind: Kind, key: &str) -> Result<Option<Record>, StoreError> {
        let (org, key) = (org.clone(), key.to_owned());
        self.readers
            .read(move |db| read::get(db, &org, kind, &key))
            .await
    }

    async fn find(
        &self,
        org: &OrgId,
        kind: Kind,
        name: &str,
    ) -> Result<Option<Record>, StoreError> {
        let (org, name) = (org.clone(), name.to_owned());
        self.readers
            .read(move |db| read::find(db, &org, kind, &name))
            .await
    }

    async fn list(&self, org: &OrgId, kind: Kind, filter: &Filter) -> Result<Page, StoreError> {
        let (org, filter) = (org.clone(), filter.clone());
        self.readers
            .read(move |db| read::list(db, &org, kind, &filter))
            .await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.ask(|reply| Message::Write(Request::Commit(Box::new(commit), reply)))
            .await
    }

    async fn admit(&self, admit: Admit) -> Result<Admitted, AdmitError> {
        self.ask(|reply| Message::Write(Request::Admit(Box::new(admit), reply)))
            .await
    }

    fn outcome(&self, outcome: Outcome) -> Result<(), StoreError> {
        let waiting = &self.shared.outcomes;
        if waiting.fetch_add(1, Ordering::Relaxed) >= OUTCOMES {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::Unavailable(
                "too many outcomes are waiting for the disk".to_owned(),
            ));
        }
        self.send(Message::Write(Request::Outcome(Box::new(outcome))))
            .inspect_err(|_| {
                waiting.fetch_sub(1, Ordering::Relaxed);
            })
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.ask(Message::Flush).await
    }

    async fn epoch(&self, org: &OrgId) -> Result<u64, StoreError> {
        let noted = self
            .shared
            .epochs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(org)
            .copied();
        if let Some(epoch) = noted {
            return Ok(epoch);
        }
        let asked = org.clone();
        let epoch = self
            .readers
            .read(move |db| Ok(read::head(db, &asked)?.map_or(0, |(_, epoch, _)| epoch)))
            .await?;
        Ok(self.shared.note_epoch(org, epoch))
    }

    async fn open_calls(&self, org: &OrgId, limit: u32) -> Result<Vec<OpenCall>, StoreError> {
        let org = org.clone();
        self.readers
            .read(move |db| read::open_calls(db, &org, limit))
            .await
    }

    async fn labels(&self, org: &OrgId, scope: &str) -> Result<LabelState, StoreError> {
        let (org, scope) = (org.clone(), scope.to_owned());
        self.readers
            .read(move |db| Ok(read::labels(db, &org, &scope)?))
            .await
    }

    async fn counters(&self, org: &OrgId, keys: &[String]) -> Result<Vec<i64>, StoreError> {
        let (org, keys) = (org.clone(), keys.to_vec());
        self.readers
            .read(move |db| Ok(read::counters(db, &org, &keys)?))
            .await
    }

    async fn counters_under(
        &self,
        org: &OrgId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let (org, prefix) = (org.clone(), prefix.to_owned());
        self.readers
            .read(move |db| Ok(read::counters_under(db, &org, &prefix, limit)?))
            .await
    }

    async fn blob(&self, org: &OrgId, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (org, hash) = (org.clone(), hash.to_owned());
        self.readers
            .read(move |db| Ok(read::blob(db, &org, &hash)?))
            .await
    }

    async fn entry_count(&self, org: &OrgId) -> Result<u64, StoreError> {
        let org = org.clone();
        self.readers
            .read(move |db| Ok(read::head(db, &org)?.map_or(0, |(_, _, entries)| entries)))
            .await
    }

    async fn entries(
        &self,
        org: &OrgId,
        filter: &EntryFilter,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let (org, filter) = (org.clone(), filter.clone());
        self.readers
            .read(move |db| read::entries(db, &org, &filter))
            .await
    }

    async fn tree_hashes(
        &self,
        org: &OrgId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        let org = org.clone();
        self.readers
            .read(move |db| Ok(read::tree_hashes(db, &org, from, limit)?))
            .await
    }

    async fn checkpoint(&self, org: &OrgId) -> Result<Option<(u64, String)>, StoreError> {
        let org = org.clone();
        self.readers
            .read(move |db| Ok(read::checkpoint(db, &org)?))
            .await
    }

    async fn append_tree(&self, org: &OrgId, append: TreeAppend) -> Result<(), StoreError> {
        let tree = Box::new((org.clone(), append));
        self.ask(|reply| Message::Write(Request::Tree(tree, reply)))
            .await
    }

    async fn shred(
        &self,
        org: &OrgId,
        scope: &str,
        commit: Commit,
    ) -> Result<Committed, StoreError> {
        if commit.org != *org {
            let why = "the commit belongs to another organization".to_owned();
            return Err(StoreError::Inconsistent {
                table: "records",
                key: scope.to_owned(),
                why,
            });
        }
        let shred = Box::new((scope.to_owned(), commit));
        self.ask(|reply| Message::Write(Request::Shred(shred, reply)))
            .await
    }

    fn changes(&self) -> broadcast::Receiver<Changed> {
        self.shared.changes.subscribe()
    }

    /// There are no other nodes: one process holds the directory.
    /// One process holds the directory: what it commits, it knows.
    fn has_other_nodes(&self) -> bool {
        false
    }

    fn is_fresh(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.readers
            .read(|db| Ok(db.query_row("SELECT 1", [], |_| Ok(()))?))
            .await?;
        self.flush().await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.readers.close(self.reader_count).await;
        if let Err(error) = self.ask::<(), StoreError>(Message::Close).await {
            tracing::warn!(%error, "the store did not close in order");
        }
    }
}
