//! Records.

use remit_domain::{Kind, OrgId};
use remit_ports::store::{Filter, Page, Record};
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use super::{ReadError, inconsistent};
use crate::number::nat;

const COLUMNS: &str = "kind, key, revision, body";

pub(crate) fn organizations(db: &Connection) -> Result<Vec<Record>, ReadError> {
    let mut select = db.prepare_cached(
        "SELECT kind, key, revision, body FROM records WHERE kind = 'organization' ORDER BY key",
    )?;
    let mut rows = select.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

pub(crate) fn get(
    db: &Connection,
    org: &OrgId,
    kind: Kind,
    key: &str,
) -> Result<Option<Record>, ReadError> {
    let mut select = db.prepare_cached(
        "SELECT kind, key, revision, body FROM records WHERE org = ?1 AND kind = ?2 AND key = ?3",
    )?;
    select
        .query(params![org.as_str(), kind.as_str(), key])?
        .next()?
        .map(record)
        .transpose()
}

pub(crate) fn find(
    db: &Connection,
    org: &OrgId,
    kind: Kind,
    name: &str,
) -> Result<Option<Record>, ReadError> {
    let mut select = db.prepare_cached(
        "SELECT kind, key, revision, body FROM records WHERE org = ?1 AND kind = ?2 AND name = ?3",
    )?;
    select
        .query(params![org.as_str(), kind.as_str(), name])?
        .next()?
        .map(record)
        .transpose()
}

pub(crate) fn list(
    db: &Connection,
    org: &OrgId,
    kind: Kind,
    filter: &Filter,
) -> Result<Page, ReadError> {
    let limit = filter.limit();
    let more = limit + 1;
    let mut sql = format!("SELECT {COLUMNS} FROM records WHERE org = ? AND kind = ?");
    let (org, kind) = (org.as_str(), kind.as_str());
    let mut values: Vec<&dyn ToSql> = vec![&org, &kind];
    if let Some(parent) = &filter.parent {
        sql.push_str(" AND parent = ?");
        values.push(parent);
    }
    if let Some(state) = &filter.state {
        sql.push_str(" AND state = ?");
        values.push(state);
    }
    if let Some(after) = &filter.after {
        sql.push_str(if filter.descending {
            " AND key < ?"
        } else {
            " AND key > ?"
        });
        values.push(after);
    }
    sql.push_str(if filter.descending {
        " ORDER BY key DESC LIMIT ?"
    } else {
        " ORDER BY key LIMIT ?"
    });
    values.push(&more);
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(values.as_slice())?;
    let mut page = Page::default();
    while let Some(row) = rows.next()? {
        if page.records.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
            page.next = page.records.last().map(|last: &Record| last.key.clone());
            break;
        }
        page.records.push(record(row)?);
    }
    Ok(page)
}

fn record(row: &Row<'_>) -> Result<Record, ReadError> {
    let key: String = row.get(1)?;
    let kind = row
        .get_ref(0)?
        .as_str()
        .map_err(|e| inconsistent("records", &key, e))?;
    let kind =
        Kind::parse(kind).ok_or_else(|| inconsistent("records", &key, "its kind is unknown"))?;
    let body = row
        .get_ref(3)?
        .as_str_or_null()
        .map_err(|e| inconsistent("records", &key, e))?;
    let body = match body {
        Some(text) => serde_json::from_str(text).map_err(|e| inconsistent("records", &key, e))?,
        None => Value::Null,
    };
    Ok(Record {
        kind,
        key,
        revision: nat(row.get(2)?),
        body,
    })
}
