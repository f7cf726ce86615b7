//! Copies the write-ahead log into the database beside the writer, so that no commit waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use remit_ports::store::StoreError;
use rusqlite::Connection;

use crate::open::{self, SqliteOptions};

/// Requests written between two checkpoints: some ten thousand pages of log.
const EVERY: usize = 2_000;

/// Pages of log above which the writer itself makes the log start over: a log that is always written to is never found
/// completely copied by a thread beside.
const RESTART_PAGES: i64 = 32_768;

/// The writer's side.
pub(crate) struct Checkpointer {
    wake: SyncSender<()>,
    pages: Arc<AtomicI64>,
    written: usize,
}

impl Checkpointer {
    /// Starts the thread; it ends with this value.
    pub(crate) fn start(dir: &Path) -> Result<Self, StoreError> {
        let db = open::writer(dir, &SqliteOptions::default())?;
        let (wake, woken) = sync_channel::<()>(1);
        let pages = Arc::new(AtomicI64::new(0));
        let seen = Arc::clone(&pages);
        std::thread::Builder::new()
            .name("remit-checkpoint".to_owned())
            .spawn(move || {
                while woken.recv().is_ok() {
                    match checkpoint(&db, "PASSIVE") {
                        Ok(log) => seen.store(log, Ordering::Relaxed),
                        Err(error) => {
                            tracing::warn!(%error, "checkpoint failed; the write-ahead log grows")
                        }
                    }
                }
            })
            .map_err(|e| StoreError::Unavailable(format!("cannot start a thread: {e}")))?;
        Ok(Self {
            wake,
            pages,
            written: 0,
        })
    }

    /// After a commit of so many requests on `db`.
    pub(crate) fn committed(&mut self, db: &Connection, requests: usize) {
        self.written = self.written.saturating_add(requests);
        if self.pages.load(Ordering::Relaxed) > RESTART_PAGES {
            self.pages.store(0, Ordering::Relaxed);
            // Busy means that the thread is at it; it reports the pages again.
            let _busy = checkpoint(db, "RESTART");
        }
        if self.written >= EVERY {
            self.written = 0;
            // Full means that it is awake already.
            let _full = self.wake.try_send(());
        }
    }
}

/// Pages that were in the log.
pub(crate) fn checkpoint(db: &Connection, mode: &'static str) -> rusqlite::Result<i64> {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        row.get(1)
    })
}
