//! The data directory: modes, the lock against a second process, connections and their pragmas.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use remit_ports::store::StoreError;
use rusqlite::{Connection, OpenFlags};

use crate::error::unavailable;

/// File name of the database in the data directory.
pub(crate) const DATABASE: &str = "remit.db";
const LOCK: &str = "remit.lock";

const BUSY: Duration = Duration::from_secs(5);

/// Prepared statements a connection keeps: more than there are.
const STATEMENTS: usize = 96;

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Read-only connections, 1 to 64.
    pub readers: usize,
    /// Most pages (4 KiB) of the database; a test fills the disk with it.
    #[doc(hidden)]
    pub max_pages: Option<u32>,
    /// How long a connection waits for a lock inside SQLite; in one process only checkpoints can hold one.
    #[doc(hidden)]
    pub busy: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            max_pages: None,
            busy: BUSY,
        }
    }
}

/// Makes the directory (0700) where it is missing, and takes the lock that one process at a time holds.
pub(crate) fn prepare(dir: &Path) -> Result<File, StoreError> {
    let said = |what: &str, e: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("{what} in `{}`: {e}", dir.display()))
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| said("cannot make the data directory", &e))?;
    let lock = private(&dir.join(LOCK)).map_err(|e| said("cannot open the lock file", &e))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Unavailable(format!(
                "the data directory `{}` is in use by another remit process; stop it or name another directory",
                dir.display()
            )));
        }
        Err(TryLockError::Error(e)) => return Err(said("cannot take the lock", &e)),
    }
    // SQLite gives its other files the mode of this one.
    private(&dir.join(DATABASE)).map_err(|e| said("cannot open the database", &e))?;
    Ok(lock)
}

fn private(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// A connection that writes. `secure_delete` overwrites what is shredded, instead of only forgetting where it was.
pub(crate) fn writer(dir: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(dir.join(DATABASE), flags)?;
        db.busy_timeout(options.busy)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        db.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA secure_delete = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -32768;",
        )?;
        if let Some(pages) = options.max_pages {
            db.pragma_update(None, "max_page_count", pages)?;
        }
        Ok(db)
    };
    open().map_err(|e| unavailable(&e))
}

/// A connection that only reads.
pub(crate) fn reader(dir: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(dir.join(DATABASE), flags)?;
        db.busy_timeout(BUSY)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        db.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;")?;
        Ok(db)
    };
    open().map_err(|e| unavailable(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let held = prepare(dir.path()).unwrap();
        let error = prepare(dir.path()).unwrap_err().to_string();
        assert!(error.contains("in use by another remit process"), "{error}");
        drop(held);
        prepare(dir.path()).unwrap();
    }

    #[test]
    fn what_is_made_is_for_its_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        let _lock = prepare(&dir).unwrap();
        let db = writer(&dir, &SqliteOptions::default()).unwrap();
        crate::migrate::apply(&db).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        for file in std::fs::read_dir(&dir).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}
