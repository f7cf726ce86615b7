//! Queries that change nothing.

mod entries;
mod records;

use remit_domain::{OrgId, Timestamp};
use remit_ports::store::{LabelRow, LabelState, OpenCall, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};

use crate::error::unavailable;
use crate::number::{int, nat};

pub(crate) use entries::entries;
pub(crate) use records::{find, get, list, organizations};

/// Why a query gave nothing.
#[derive(Debug)]
pub(crate) enum ReadError {
    Sql(sqlx::Error),
    Store(StoreError),
}

impl ReadError {
    pub(crate) fn into_store(self) -> StoreError {
        match self {
            Self::Sql(error) => unavailable(&error),
            Self::Store(error) => error,
        }
    }
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// A stored text that does not read back.
fn inconsistent(table: &'static str, key: impl ToString, why: impl ToString) -> ReadError {
    let (key, why) = (key.to_string(), why.to_string());
    ReadError::Store(StoreError::Inconsistent { table, key, why })
}

/// An organization's epoch and count of entries.
pub(crate) async fn head(db: &PgPool, org: &OrgId) -> Result<(u64, u64), ReadError> {
    let row = sqlx::query("SELECT epoch, entries FROM orgs_state WHERE org = $1")
        .bind(org.as_str())
        .fetch_optional(db)
        .await?;
    match row {
        Some(row) => Ok((nat(row.try_get(0)?), nat(row.try_get(1)?))),
        None => Ok((0, 0)),
    }
}

pub(crate) async fn labels(
    db: &mut PgConnection,
    org: &OrgId,
    scope: &str,
) -> sqlx::Result<LabelState> {
    let rows = sqlx::query("SELECT label, at, origin FROM labels WHERE org = $1 AND scope = $2")
        .bind(org.as_str())
        .bind(scope)
        .fetch_all(db)
        .await?;
    let label = |row: &PgRow| {
        Ok(LabelRow {
            label: row.try_get(0)?,
            at: Timestamp::from_micros(row.try_get(1)?),
            by: row.try_get(2)?,
        })
    };
    let rows = rows.iter().map(label).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(LabelState::of(&rows))
}

/// Keys are compared by their bytes: nothing that begins with `prefix` comes after `prefix` and the last character there is.
pub(crate) async fn counters_under(
    db: &PgPool,
    org: &OrgId,
    prefix: &str,
    limit: u32,
) -> Result<Vec<(String, i64)>, ReadError> {
    let found = sqlx::query_as(
        "SELECT key, used FROM counters WHERE org = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4",
    );
    Ok(found
        .bind(org.as_str())
        .bind(prefix)
        .bind(format!("{prefix}\u{10FFFF}"))
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?)
}

pub(crate) async fn counters(
    db: &PgPool,
    org: &OrgId,
    keys: &[String],
) -> Result<Vec<i64>, ReadError> {
    let used = sqlx::query_scalar(
        "SELECT coalesce(used, 0) FROM unnest($2::text[]) WITH ORDINALITY AS asked (key, n)
         LEFT JOIN counters ON org = $1 AND counters.key = asked.key COLLATE \"C\" ORDER BY n",
    );
    Ok(used.bind(org.as_str()).bind(keys).fetch_all(db).await?)
}

pub(crate) async fn open_calls(
    db: &PgPool,
    org: &OrgId,
    limit: u32,
) -> Result<Vec<OpenCall>, ReadError> {
    let rows = sqlx::query(
        "SELECT decision, idx, agent, run, tool, node, at FROM calls WHERE org = $1 ORDER BY idx LIMIT $2",
    )
    .bind(org.as_str())
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows.iter().map(open_call).collect()
}

fn open_call(row: &PgRow) -> Result<OpenCall, ReadError> {
    let decision: &str = row.try_get(0)?;
    let broken = |why: remit_domain::IdError| inconsistent("calls", decision, why);
    Ok(OpenCall {
        decision: decision.parse().map_err(broken)?,
        index: nat(row.try_get(1)?),
        agent: row.try_get::<&str, _>(2)?.parse().map_err(broken)?,
        run: row.try_get::<&str, _>(3)?.parse().map_err(broken)?,
        tool: row.try_get(4)?,
        node: row.try_get(5)?,
        at: Timestamp::from_micros(row.try_get(6)?),
    })
}

pub(crate) async fn blob(
    db: &PgPool,
    org: &OrgId,
    hash: &str,
) -> Result<Option<Vec<u8>>, ReadError> {
    let body = sqlx::query_scalar("SELECT body FROM blobs WHERE org = $1 AND hash = $2");
    Ok(body
        .bind(org.as_str())
        .bind(hash)
        .fetch_optional(db)
        .await?)
}

pub(crate) async fn tree_hashes(
    db: &PgPool,
    org: &OrgId,
    from: u64,
    limit: u32,
) -> Result<Vec<[u8; 32]>, ReadError> {
    let rows = sqlx::query("SELECT hash FROM tree WHERE org = $1 AND n >= $2 ORDER BY n LIMIT $3")
        .bind(org.as_str())
        .bind(int(from))
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?;
    let hash = |row: &PgRow| {
        let bytes: &[u8] = row.try_get(0)?;
        let wrong = |_| inconsistent("tree", org, "a hash has not 32 bytes");
        <[u8; 32]>::try_from(bytes).map_err(wrong)
    };
    rows.iter().map(hash).collect()
}

pub(crate) async fn checkpoint(
    db: &PgPool,
    org: &OrgId,
) -> Result<Option<(u64, String)>, ReadError> {
    let newest = "SELECT size, note FROM checkpoints WHERE org = $1 ORDER BY size DESC LIMIT 1";
    let row = sqlx::query(newest)
        .bind(org.as_str())
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok((nat(row.try_get(0)?), row.try_get(1)?)))
        .transpose()
}
