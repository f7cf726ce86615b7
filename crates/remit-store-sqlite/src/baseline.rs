//! What SQLite itself can do on this disk, with the same pragmas: what admissions are measured against.

use std::path::Path;
use std::time::Instant;

/// Rows of 512 bytes a second, `batch` to a transaction.
///
/// # Errors
/// When the scratch database below `dir` cannot be written.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub fn raw_appends_per_second(
    dir: &Path,
    batch: usize,
    rows: usize,
) -> Result<f64, rusqlite::Error> {
    let mut connection = rusqlite::Connection::open(dir.join(format!("raw-{batch}.db")))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE entries (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL) STRICT",
    )?;
    let leaf = vec![b'x'; 512];
    let began = Instant::now();
    for _ in 0..rows / batch.max(1) {
        let transaction = connection.transaction()?;
        for _ in 0..batch {
            transaction
                .prepare_cached("INSERT INTO entries (leaf) VALUES (?1)")?
                .execute([&leaf])?;
        }
        transaction.commit()?;
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}
