//! Entries of a ledger.

use std::collections::BTreeSet;

use remit_domain::event::EventKind;
use remit_domain::{OrgId, Timestamp};
use remit_ports::store::{EntryFilter, StoredEntry};
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row};

use super::{ReadError, head, inconsistent};
use crate::number::{block_ids, entry_block, entry_id, entry_index};

/// Entries that match, in the filter's order: first which (indexes alone), then their content.
pub(crate) fn entries(
    db: &Connection,
    org: &OrgId,
    filter: &EntryFilter,
) -> Result<Vec<StoredEntry>, ReadError> {
    let Some((no, _, count)) = head(db, org)? else {
        return Ok(Vec::new());
    };
    let (low, high) = match (filter.descending, filter.from) {
        (false, from) => (from, count),
        (true, 0) => (0, count),
        (true, from) => (0, from.min(count)),
    };
    if low >= high {
        return Ok(Vec::new());
    }
    let range = (entry_id(no, low), entry_id(no, high - 1));
    // The body is the last column, and mostly on pages of its own: who does not ask for it does not read them.
    let mut select = db.prepare_cached(if filter.leaves_only {
        "SELECT id, kind, at, agent, run, decision, leaf, x'' FROM entries WHERE id = ?1"
    } else {
        "SELECT id, kind, at, agent, run, decision, leaf, sealed FROM entries WHERE id = ?1"
    })?;
    let mut entries = Vec::new();
    let Some(range) = within(db, range, filter)? else {
        return Ok(entries);
    };
    for id in ids(db, range, filter)? {
        if let Some(row) = select.query([id])?.next()? {
            entries.push(entry(row)?);
        }
    }
    Ok(entries)
}

/// What the filter's times leave of a range of ids, as far as blocks of entries tell; none where no block is in reach.
fn within(
    db: &Connection,
    (low, high): (i64, i64),
    filter: &EntryFilter,
) -> rusqlite::Result<Option<(i64, i64)>> {
    let blocks = (entry_block(low), entry_block(high));
    let block = |sql: &str, at: Timestamp| -> rusqlite::Result<Option<i64>> {
        db.prepare_cached(sql)?
            .query_row((blocks.0, blocks.1, at.as_micros()), |row| row.get(0))
    };
    let since = "SELECT min(block) FROM entry_times WHERE block BETWEEN ?1 AND ?2 AND last >= ?3";
    let until = "SELECT max(block) FROM entry_times WHERE block BETWEEN ?1 AND ?2 AND first < ?3";
    let low = match filter.since {
        None => Some(low),
        Some(at) => block(since, at)?.map(|block| block_ids(block).0.max(low)),
    };
    let high = match filter.until {
        None => Some(high),
        Some(at) => block(until, at)?.map(|block| block_ids(block).1.min(high)),
    };
    Ok(low.zip(high))
}

/// Ids that match. Several kinds are looked up one by one and merged: each index range is in order by itself, and none has
/// to be read to its end.
fn ids(db: &Connection, range: (i64, i64), filter: &EntryFilter) -> Result<Vec<i64>, ReadError> {
    let narrow = filter.agent.is_some() || filter.run.is_some() || filter.decision.is_some();
    if narrow || filter.kinds.len() < 2 {
        return Ok(select_ids(db, range, filter, &filter.kinds)?);
    }
    let mut found = BTreeSet::new();
    for kind in &filter.kinds {
        found.extend(select_ids(db, range, filter, std::slice::from_ref(kind))?);
    }
    let limit = usize::try_from(filter.limit()).unwrap_or(usize::MAX);
    Ok(if filter.descending {
        found.into_iter().rev().take(limit).collect()
    } else {
        found.into_iter().take(limit).collect()
    })
}

/// What most entries are: the index by kind leaves them out, and whoever looks for them finds them by the row.
const OF_CALLS: [EventKind; 2] = [EventKind::CallDecided, EventKind::CallCompleted];

fn select_ids(
    db: &Connection,
    range: (i64, i64),
    filter: &EntryFilter,
    kinds: &[EventKind],
) -> rusqlite::Result<Vec<i64>> {
    let mut sql = String::from("SELECT id FROM entries WHERE id BETWEEN ? AND ?");
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(range.0), Box::new(range.1)];
    let ids = [
        (" AND run = ?", filter.run.as_ref().map(|id| id.as_str())),
        (
            " AND decision = ?",
            filter.decision.as_ref().map(|id| id.as_str()),
        ),
        (
            " AND agent = ?",
            filter.agent.as_ref().map(|id| id.as_str()),
        ),
    ];
    for (condition, value) in ids {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(Box::new(value.to_owned()));
        }
    }
    match kinds {
        [] => {}
        [kind] => {
            sql.push_str(" AND kind = ?");
            if !OF_CALLS.contains(kind) {
                sql.push_str(" AND kind NOT IN ('call.decided', 'call.completed')");
            }
            values.push(Box::new(kind.as_str()));
        }
        kinds => {
            sql.push_str(" AND kind IN (?");
            sql.push_str(&", ?".repeat(kinds.len() - 1));
            sql.push(')');
            values.extend(
                kinds
                    .iter()
                    .map(|kind| Box::new(kind.as_str()) as Box<dyn ToSql>),
            );
        }
    }
    if let Some(since) = filter.since {
        sql.push_str(" AND at >= ?");
        values.push(Box::new(since.as_micros()));
    }
    if let Some(until) = filter.until {
        sql.push_str(" AND at < ?");
        values.push(Box::new(until.as_micros()));
    }
    sql.push_str(if filter.descending {
        " ORDER BY id DESC LIMIT ?"
    } else {
        " ORDER BY id LIMIT ?"
    });
    values.push(Box::new(filter.limit()));
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let mut select = db.prepare_cached(&sql)?;
    let rows = select.query_map(values.as_slice(), |row| row.get(0))?;
    rows.collect()
}

fn entry(row: &Row<'_>) -> Result<StoredEntry, ReadError> {
    let id: i64 = row.get(0)?;
    let index = entry_index(id);
    let word = row
        .get_ref(1)?
        .as_str()
        .map_err(|e| inconsistent("entries", index, e))?;
    let kind = EventKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.as_str() == word);
    Ok(StoredEntry {
        index,
        kind: kind.ok_or_else(|| inconsistent("entries", index, "its kind is unknown"))?,
        at: Timestamp::from_micros(row.get(2)?),
        agent: parsed(row.get(3)?, index)?,
        run: parsed(row.get(4)?, index)?,
        decision: parsed(row.get(5)?, index)?,
        leaf: row.get(6)?,
        sealed: row.get(7)?,
    })
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: Option<String>,
    index: u64,
) -> Result<Option<T>, ReadError> {
    text.map(|text| text.parse().map_err(|e| inconsistent("entries", index, e)))
        .transpose()
}
