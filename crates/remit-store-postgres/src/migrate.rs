//! Embedded migrations: applied in order at open, checkable before. Nodes that start together take turns.

use remit_ports::store::StoreError;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::connect;
use crate::error::unavailable;

/// (version, name, text), by version from 1 without gaps.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "store",
        include_str!("../../../migrations/postgres/0001_store.sql"),
    ),
    (
        2,
        "limits",
        include_str!("../../../migrations/postgres/0002_limits.sql"),
    ),
    (
        3,
        "label_origins",
        include_str!("../../../migrations/postgres/0003_label_origins.sql"),
    ),
    (
        4,
        "entry_times",
        include_str!("../../../migrations/postgres/0004_entry_times.sql"),
    ),
];

/// Advisory lock of whoever migrates: `remit` in ASCII.
const LOCK: i64 = 0x72_65_6D_69_74;

/// Which migrations opening `url` would apply, in order; all of them for an empty database.
///
/// # Errors
/// `Inconsistent` when a newer version wrote the database, `Unavailable` when it cannot be read.
pub async fn pending(url: &str) -> Result<Vec<String>, StoreError> {
    let pool = connect::work(url).await?;
    let version = async {
        let mut db = pool.acquire().await?;
        version(&mut db).await
    };
    let version = version.await.map_err(|e| unavailable(&e));
    pool.close().await;
    let names = after(version?)?.map(|(version, name, _)| format!("{version:04}_{name}"));
    Ok(names.collect())
}

/// Applies what is missing, in one transaction.
pub(crate) async fn apply(pool: &PgPool) -> Result<(), StoreError> {
    let failed = |e: sqlx::Error| unavailable(&e);
    let mut unit = pool.begin().await.map_err(failed)?;
    let waits = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;";
    sqlx::raw_sql(waits)
        .execute(&mut *unit)
        .await
        .map_err(failed)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *unit)
        .await
        .map_err(failed)?;
    let version = version(&mut unit).await.map_err(failed)?;
    for (version, name, text) in after(version)? {
        one(&mut unit, *version, name, text).await.map_err(failed)?;
        tracing::info!(version, name, "migration applied");
    }
    unit.commit().await.map_err(failed)
}

async fn one(
    db: &mut PgConnection,
    version: i64,
    name: &str,
    text: &'static str,
) -> sqlx::Result<()> {
    let table = "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL)";
    sqlx::raw_sql(table).execute(&mut *db).await?;
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *db).await?;
    sqlx::query("INSERT INTO schema_migrations (version, name) VALUES ($1, $2)")
        .bind(version)
        .bind(name)
        .execute(db)
        .await
        .map(|_| ())
}

async fn version(db: &mut PgConnection) -> sqlx::Result<i64> {
    let exists = "SELECT to_regclass('schema_migrations') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(exists)
        .fetch_one(&mut *db)
        .await?
    {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM schema_migrations";
    sqlx::query_scalar(newest).fetch_one(db).await
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
