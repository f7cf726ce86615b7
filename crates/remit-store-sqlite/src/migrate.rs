//! Embedded migrations: applied in order at open, checkable before.

use std::path::Path;

use remit_ports::store::StoreError;
use rusqlite::{Connection, OpenFlags, params};

use crate::error::unavailable;
use crate::open::DATABASE;

/// (version, name, text), by version from 1 without gaps.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "store",
        include_str!("../../../migrations/sqlite/0001_store.sql"),
    ),
    (
        2,
        "limits",
        include_str!("../../../migrations/sqlite/0002_limits.sql"),
    ),
    (
        3,
        "label_origins",
        include_str!("../../../migrations/sqlite/0003_label_origins.sql"),
    ),
    (
        4,
        "entry_times",
        include_str!("../../../migrations/sqlite/0004_entry_times.sql"),
    ),
];

/// Which migrations opening `dir` would apply, in order; all of them for a directory without a database.
///
/// # Errors
/// `Inconsistent` when a newer version wrote the database, `Unavailable` when it cannot be read.
pub fn pending(dir: &Path) -> Result<Vec<String>, StoreError> {
    let path = dir.join(DATABASE);
    let exists = path
        .try_exists()
        .map_err(|e| StoreError::Unavailable(format!("`{}`: {e}", path.display())))?;
    let version = if exists {
        let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|e| unavailable(&e))?;
        version(&db)?
    } else {
        0
    };
    Ok(after(version)?
        .map(|(version, name, _)| format!("{version:04}_{name}"))
        .collect())
}

/// Applies what is missing, each in its own transaction.
pub(crate) fn apply(db: &Connection) -> Result<(), StoreError> {
    for (version, name, text) in after(version(db)?)? {
        one(db, *version, name, text).map_err(|e| unavailable(&e))?;
        tracing::info!(version, name, "migration applied");
    }
    Ok(())
}

fn one(db: &Connection, version: i64, name: &str, text: &str) -> rusqlite::Result<()> {
    let unit = db.unchecked_transaction()?;
    unit.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT",
    )?;
    unit.execute_batch(text)?;
    unit.execute(
        "INSERT INTO schema_migrations (version, name) VALUES (?1, ?2)",
        params![version, name],
    )?;
    unit.commit()
}

fn version(db: &Connection) -> Result<i64, StoreError> {
    let read = || -> rusqlite::Result<i64> {
        let table = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'";
        if db.query_row(table, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(0);
        }
        db.query_row(
            "SELECT coalesce(max(version), 0) FROM schema_migrations",
            [],
            |row| row.get(0),
        )
    };
    read().map_err(|e| unavailable(&e))
}

fn after(
    version: i64,
) -> Result<impl Iterator<Item = &'static (i64, &'static str, &'static str)>, StoreError> {
    let newest = MIGRATIONS.last().map_or(0, |(version, _, _)| *version);
    if version > newest {
        return Err(StoreError::Inconsistent {
            table: "schema_migrations",
            key: version.to_string(),
            why: format!(
                "a newer remit wrote this database (this one knows version {newest}); start that one"
            ),
        });
    }
    Ok(MIGRATIONS.iter().filter(move |(v, _, _)| *v > version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_from_one_without_gaps() {
        for (at, (version, _, _)) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(*version).unwrap(), at + 1);
        }
    }

    #[test]
    fn pending_shrinks_once_applied() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(pending(dir.path()).unwrap().len(), MIGRATIONS.len());
        let db = Connection::open(dir.path().join(DATABASE)).unwrap();
        apply(&db).unwrap();
        assert!(pending(dir.path()).unwrap().is_empty());
        apply(&db).unwrap();
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let db = Connection::open(dir.path().join(DATABASE)).unwrap();
        apply(&db).unwrap();
        db.execute("INSERT INTO schema_migrations VALUES (99, 'future')", [])
            .unwrap();
        assert!(matches!(
            pending(dir.path()),
            Err(StoreError::Inconsistent { .. })
        ));
        assert!(matches!(apply(&db), Err(StoreError::Inconsistent { .. })));
    }

    #[test]
    fn the_ledger_cannot_be_rewritten_by_sql() {
        let db = Connection::open_in_memory().unwrap();
        apply(&db).unwrap();
        db.execute(
            "INSERT INTO entries VALUES (1, 'run.started', 0, NULL, NULL, NULL, x'00', x'')",
            [],
        )
        .unwrap();
        assert!(db.execute("UPDATE entries SET leaf = x'01'", []).is_err());
        assert!(db.execute("DELETE FROM entries", []).is_err());
    }
}
