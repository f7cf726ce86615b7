//! Records.

use remit_domain::{Kind, OrgId};
use remit_ports::store::{Filter, Page, Record};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, QueryBuilder, Row};

use super::{ReadError, inconsistent};
use crate::number::nat;

pub(crate) async fn organizations(db: &PgPool) -> Result<Vec<Record>, ReadError> {
    let all =
        "SELECT kind, key, revision, body FROM records WHERE kind = 'organization' ORDER BY key";
    let rows = sqlx::query(all).fetch_all(db).await?;
    rows.iter().map(record).collect()
}

pub(crate) async fn get(
    db: &PgPool,
    org: &OrgId,
    kind: Kind,
    key: &str,
) -> Result<Option<Record>, ReadError> {
    let one =
        "SELECT kind, key, revision, body FROM records WHERE org = $1 AND kind = $2 AND key = $3";
    let row = sqlx::query(one)
        .bind(org.as_str())
        .bind(kind.as_str())
        .bind(key)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(record).transpose()
}

pub(crate) async fn find(
    db: &PgPool,
    org: &OrgId,
    kind: Kind,
    name: &str,
) -> Result<Option<Record>, ReadError> {
    let one =
        "SELECT kind, key, revision, body FROM records WHERE org = $1 AND kind = $2 AND name = $3";
    let row = sqlx::query(one)
        .bind(org.as_str())
        .bind(kind.as_str())
        .bind(name)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(record).transpose()
}

pub(crate) async fn list(
    db: &PgPool,
    org: &OrgId,
    kind: Kind,
    filter: &Filter,
) -> Result<Page, ReadError> {
    let mut query =
        QueryBuilder::<Postgres>::new("SELECT kind, key, revision, body FROM records WHERE org = ");
    query.push_bind(org.as_str());
    query.push(" AND kind = ").push_bind(kind.as_str());
    if let Some(parent) = &filter.parent {
        query.push(" AND parent = ").push_bind(parent);
    }
    if let Some(state) = &filter.state {
        query.push(" AND state = ").push_bind(state);
    }
    if let Some(after) = &filter.after {
        let beyond = if filter.descending {
            " AND key < "
        } else {
            " AND key > "
        };
        query.push(beyond).push_bind(after);
    }
    let order = if filter.descending {
        " ORDER BY key DESC LIMIT "
    } else {
        " ORDER BY key LIMIT "
    };
    query.push(order).push_bind(i64::from(filter.limit()) + 1);
    let rows = query.build().fetch_all(db).await?;
    let limit = usize::try_from(filter.limit()).unwrap_or(usize::MAX);
    let records = rows
        .iter()
        .take(limit)
        .map(record)
        .collect::<Result<Vec<_>, _>>()?;
    let next = if rows.len() > limit {
        records.last().map(|last| last.key.clone())
    } else {
        None
    };
    Ok(Page { records, next })
}

fn record(row: &PgRow) -> Result<Record, ReadError> {
    let key: String = row.try_get(1)?;
    let kind = Kind::parse(row.try_get(0)?);
    let kind = kind.ok_or_else(|| inconsistent("records", &key, "its kind is unknown"))?;
    let body = match row.try_get::<Option<&str>, _>(3)? {
        Some(text) => serde_json::from_str(text).map_err(|e| inconsistent("records", &key, e))?,
        None => Value::Null,
    };
    Ok(Record {
        kind,
        key,
        revision: nat(row.try_get(2)?),
        body,
    })
}
