//! Reading: connections of its own, so that a reader never waits for the writer.

mod entries;
mod records;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use remit_domain::{OrgId, Timestamp};
use remit_ports::store::{LabelRow, LabelState, OpenCall, StoreError};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use crate::error::{closed, unavailable};
use crate::number::{int, nat};
use crate::open;

pub(crate) use entries::entries;
pub(crate) use records::{find, get, list, organizations};

/// A few read-only connections.
pub(crate) struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn open(dir: &Path, count: usize) -> Result<Self, StoreError> {
        let count = count.clamp(1, 64);
        let idle = (0..count)
            .map(|_| open::reader(dir))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            idle: Mutex::new(idle),
            permits: Arc::new(Semaphore::new(count)),
        })
    }

    /// Runs `query` on a thread that may block. The connection comes back even when the caller has gone.
    pub(crate) async fn read<T, F>(self: &Arc<Self>, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let readers = Arc::clone(self);
        let work = move || {
            let _permit = permit;
            let db = readers.lock().pop().ok_or_else(closed)?;
            let result = query(&db);
            readers.lock().push(db);
            result.map_err(ReadError::into_store)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|e| StoreError::Unavailable(format!("a read was given up: {e}")))?
    }

    /// Ends every connection once its reader has finished.
    pub(crate) async fn close(&self, count: usize) {
        let all = u32::try_from(count.clamp(1, 64)).unwrap_or(1);
        if let Ok(permits) = self.permits.acquire_many(all).await {
            self.lock().clear();
            self.permits.close();
            permits.forget();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a query gave nothing.
#[derive(Debug)]
pub(crate) enum ReadError {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl ReadError {
    fn into_store(self) -> StoreError {
        match self {
            Self::Sql(error) => unavailable(&error),
            Self::Store(error) => error,
        }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A stored text that does not read back.
pub(crate) fn inconsistent(
    table: &'static str,
    key: impl ToString,
    why: impl ToString,
) -> ReadError {
    ReadError::Store(StoreError::Inconsistent {
        table,
        key: key.to_string(),
        why: why.to_string(),
    })
}

/// An organization's number, epoch and count of entries.
pub(crate) fn head(db: &Connection, org: &OrgId) -> rusqlite::Result<Option<(i64, u64, u64)>> {
    db.prepare_cached("SELECT no, epoch, entries FROM orgs_state WHERE org = ?1")?
        .query_row([org.as_str()], |row| {
            Ok((row.get(0)?, nat(row.get(1)?), nat(row.get(2)?)))
        })
        .optional()
}

pub(crate) fn labels(db: &Connection, org: &OrgId, scope: &str) -> rusqlite::Result<LabelState> {
    let mut select =
        db.prepare_cached("SELECT label, at, origin FROM labels WHERE org = ?1 AND scope = ?2")?;
    let rows = select.query_map(params![org.as_str(), scope], |row| {
        Ok(LabelRow {
            label: row.get(0)?,
            at: Timestamp::from_micros(row.get(1)?),
            by: row.get(2)?,
        })
    })?;
    Ok(LabelState::of(&rows.collect::<rusqlite::Result<Vec<_>>>()?))
}

/// Keys are compared by their bytes: nothing that begins with `prefix` comes after `prefix` and the last character there is.
pub(crate) fn counters_under(
    db: &Connection,
    org: &OrgId,
    prefix: &str,
    limit: u32,
) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut select = db.prepare_cached(
        "SELECT key, used FROM counters WHERE org = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4",
    )?;
    let end = format!("{prefix}\u{10FFFF}");
    let rows = select.query_map(params![org.as_str(), prefix, end, limit], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    rows.collect()
}

pub(crate) fn counters(
    db: &Connection,
    org: &OrgId,
    keys: &[String],
) -> rusqlite::Result<Vec<i64>> {
    let mut select = db.prepare_cached("SELECT used FROM counters WHERE org = ?1 AND key = ?2")?;
    keys.iter()
        .map(|key| {
            Ok(select
                .query_row(params![org.as_str(), key], |row| row.get(0))
                .optional()?
                .unwrap_or(0))
        })
        .collect()
}

pub(crate) fn open_calls(
    db: &Connection,
    org: &OrgId,
    limit: u32,
) -> Result<Vec<OpenCall>, ReadError> {
    let mut select = db.prepare_cached(
        "SELECT decision, idx, agent, run, tool, node, at FROM calls WHERE org = ?1 ORDER BY idx LIMIT ?2",
    )?;
    let mut rows = select.query(params![org.as_str(), limit])?;
    let mut calls = Vec::new();
    while let Some(row) = rows.next()? {
        let decision: String = row.get(0)?;
        calls.push(OpenCall {
            decision: decision
                .parse()
                .map_err(|e| inconsistent("calls", &decision, e))?,
            index: nat(row.get(1)?),
            agent: row
                .get::<_, String>(2)?
                .parse()
                .map_err(|e| inconsistent("calls", &decision, e))?,
            run: row
                .get::<_, String>(3)?
                .parse()
                .map_err(|e| inconsistent("calls", &decision, e))?,
            tool: row.get(4)?,
            node: row.get(5)?,
            at: Timestamp::from_micros(row.get(6)?),
        });
    }
    Ok(calls)
}

pub(crate) fn blob(db: &Connection, org: &OrgId, hash: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT body FROM blobs WHERE org = ?1 AND hash = ?2")?
        .query_row(params![org.as_str(), hash], |row| row.get(0))
        .optional()
}

pub(crate) fn tree_hashes(
    db: &Connection,
    org: &OrgId,
    from: u64,
    limit: u32,
) -> rusqlite::Result<Vec<[u8; 32]>> {
    let mut select =
        db.prepare_cached("SELECT hash FROM tree WHERE org = ?1 AND n >= ?2 ORDER BY n LIMIT ?3")?;
    let rows = select.query_map(params![org.as_str(), int(from), limit], |row| row.get(0))?;
    rows.collect()
}

pub(crate) fn checkpoint(db: &Connection, org: &OrgId) -> rusqlite::Result<Option<(u64, String)>> {
    db.prepare_cached(
        "SELECT size, note FROM checkpoints WHERE org = ?1 ORDER BY size DESC LIMIT 1",
    )?
    .query_row([org.as_str()], |row| Ok((nat(row.get(0)?), row.get(1)?)))
    .optional()
}
