//! The port, implemented.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use remit_domain::{Kind, OrgId};
use remit_ports::Store;
use remit_ports::store::{
    Admit, AdmitError, Admitted, Changed, Commit, Committed, EntryFilter, Filter, LabelState,
    OpenCall, Outcome, Page, Record, StoreError, StoredEntry, TreeAppend,
};
use sqlx::PgPool;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::error::{closed, timed_out};
use crate::feed::{Feed, Freshness};
use crate::read::{self, ReadError};
use crate::writer::{Message, Request, Writer};
use crate::{connect, migrate};

/// Requests that may wait for the writing task; above it they are refused.
const QUEUE: usize = 4_096;

/// Outcomes that may wait; each may hold one call's content.
const OUTCOMES: usize = 2_048;

/// Changes that a slow receiver may lag behind before it has to read everything again.
const CHANGES: usize = 4_096;

/// How long a read may take, whatever the network does.
const READ: Duration = Duration::from_secs(20);

/// One node's store over a database that others share.
pub struct PostgresStore {
    requests: mpsc::Sender<Message>,
    pool: PgPool,
    listening: PgPool,
    changes: broadcast::Sender<Changed>,
    fresh: Arc<Freshness>,
    waiting: Arc<AtomicUsize>,
    feed: AbortHandle,
    closed: AtomicBool,
}

impl PostgresStore {
    /// Connects to `url` (`postgres://user@host/database?sslmode=verify-full`), applies missing migrations and listens for
    /// changes. `node` names this process among those that share the database.
    ///
    /// # Errors
    /// `Unavailable` when the server cannot be reached; `Inconsistent` when a newer version wrote the database.
    pub async fn open(url: &str, node: &str) -> Result<Self, StoreError> {
        let pool = connect::work(url).await?;
        migrate::apply(&pool).await?;
        let listening = connect::listening(url)?;
        let changes = broadcast::Sender::new(CHANGES);
        let fresh = Arc::new(Freshness::new());
        let waiting = Arc::new(AtomicUsize::new(0));
        let feed = Feed {
            node: node.to_owned(),
            pool: listening.clone(),
            changes: changes.clone(),
            fresh: Arc::clone(&fresh),
        };
        let feed = tokio::spawn(feed.run()).abort_handle();
        fresh.begun().await;
        let (requests, received) = mpsc::channel(QUEUE);
        let writer = Writer::new(
            node,
            pool.clone(),
            received,
            changes.clone(),
            Arc::clone(&waiting),
        );
        tokio::spawn(writer.run());
        let closed = AtomicBool::new(false);
        Ok(Self {
            requests,
            pool,
            listening,
            changes,
            fresh,
            waiting,
            feed,
            closed,
        })
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        self.requests
            .try_send(message)
            .map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Unavailable(
                    "too many writes are waiting for the database; try again".to_owned(),
                ),
                TrySendError::Closed(_) => closed(),
            })
    }

    /// Sends a request and waits until it is durable, or refused. A dropped answer means that the task has ended.
    async fn ask<T, E: From<StoreError>>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Message,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        self.send(message(reply))?;
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    async fn read<T>(
        &self,
        query: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(READ, query).await {
            Ok(result) => result.map_err(ReadError::into_store),
            Err(_) => Err(timed_out()),
        }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn organizations(&self) -> Result<Vec<Record>, StoreError> {
        self.read(read::organizations(&self.pool)).await
    }

    async fn get(&self, org: &OrgId, kind: Kind, key: &str) -> Result<Option<Record>, StoreError> {
        self.read(read::get(&self.pool, org, kind, key)).await
    }

    async fn find(
        &self,
        org: &OrgId,
        kind: Kind,
        name: &str,
    ) -> Result<Option<Record>, StoreError> {
        self.read(read::find(&self.pool, org, kind, name)).await
    }

    async fn list(&self, org: &OrgId, kind: Kind, filter: &Filter) -> Result<Page, StoreError> {
        self.read(read::list(&self.pool, org, kind, filter)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let commit = Box::new(commit);
        self.ask(|reply| Message::Write(Request::Commit(commit, reply)))
            .await
    }

    async fn admit(&self, admit: Admit) -> Result<Admitted, AdmitError> {
        let admit = Box::new(admit);
        self.ask(|reply| Message::Write(Request::Admit(admit, reply)))
            .await
    }

    fn outcome(&self, outcome: Outcome) -> Result<(), StoreError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= OUTCOMES {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let why = "too many outcomes are waiting for the database";
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        let request = Request::Outcome(Box::new(outcome), false);
        self.send(Message::Write(request)).inspect_err(|_| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        })
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.ask(Message::Flush).await
    }

    async fn epoch(&self, org: &OrgId) -> Result<u64, StoreError> {
        Ok(self.read(read::head(&self.pool, org)).await?.0)
    }

    async fn open_calls(&self, org: &OrgId, limit: u32) -> Result<Vec<OpenCall>, StoreError> {
        self.read(read::open_calls(&self.pool, org, limit)).await
    }

    async fn labels(&self, org: &OrgId, scope: &str) -> Result<LabelState, StoreError> {
        let labels = async {
            let mut db = self.pool.acquire().await?;
            Ok(read::labels(&mut db, org, scope).await?)
        };
        self.read(labels).await
    }

    async fn counters(&self, org: &OrgId, keys: &[String]) -> Result<Vec<i64>, StoreError> {
        self.read(read::counters(&self.pool, org, keys)).await
    }

    async fn counters_under(
        &self,
        org: &OrgId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        self.read(read::counters_under(&self.pool, org, prefix, limit))
            .await
    }

    async fn blob(&self, org: &OrgId, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(read::blob(&self.pool, org, hash)).await
    }

    async fn entry_count(&self, org: &OrgId) -> Result<u64, StoreError> {
        Ok(self.read(read::head(&self.pool, org)).await?.1)
    }

    async fn entries(
        &self,
        org: &OrgId,
        filter: &EntryFilter,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.read(read::entries(&self.pool, org, filter)).await
    }

    async fn tree_hashes(
        &self,
        org: &OrgId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        self.read(read::tree_hashes(&self.pool, org, from, limit))
            .await
    }

    async fn checkpoint(&self, org: &OrgId) -> Result<Option<(u64, String)>, StoreError> {
        self.read(read::checkpoint(&self.pool, org)).await
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
        self.changes.subscribe()
    }

    fn given_out(&self) -> u64 {
        self.fresh.given_out()
    }

    fn taken_in(&self, up_to: u64) {
        self.fresh.taken_in(up_to);
    }

    fn is_fresh(&self) -> bool {
        !self.closed.load(Ordering::Relaxed) && self.fresh.is_fresh()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let ping = async {
            Ok(sqlx::query("SELECT 1")
                .execute(&self.pool)
                .await
                .map(|_| ())?)
        };
        self.read(ping).await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        if let Err(error) = self.ask::<(), StoreError>(Message::Close).await {
            tracing::warn!(%error, "the store did not close in order");
        }
        self.feed.abort();
        self.pool.close().await;
        self.listening.close().await;
    }
}
