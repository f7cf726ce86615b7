//! Entries of a ledger.

use std::fmt::Display;
use std::str::FromStr;

use remit_domain::event::EventKind;
use remit_domain::{OrgId, Timestamp};
use remit_ports::store::{EntryFilter, StoredEntry};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, QueryBuilder, Row};

use super::{ReadError, inconsistent};
use crate::number::{int, nat};

/// Entries that match, in the filter's order.
pub(crate) async fn entries(
    db: &PgPool,
    org: &OrgId,
    filter: &EntryFilter,
) -> Result<Vec<StoredEntry>, ReadError> {
    let mut query = QueryBuilder::<Postgres>::new(if filter.leaves_only {
        "SELECT idx, kind, at, agent, run, decision, leaf, ''::bytea FROM entries WHERE org = "
    } else {
        "SELECT idx, kind, at, agent, run, decision, leaf, sealed FROM entries WHERE org = "
    });
    query.push_bind(org.as_str());
    match (filter.descending, filter.from) {
        (true, 0) => {}
        (true, from) => {
            query.push(" AND idx < ").push_bind(int(from));
        }
        (false, from) => {
            query.push(" AND idx >= ").push_bind(int(from));
        }
    }
    if let Some(run) = &filter.run {
        query.push(" AND run = ").push_bind(run.as_str());
    }
    if let Some(decision) = &filter.decision {
        query.push(" AND decision = ").push_bind(decision.as_str());
    }
    if let Some(agent) = &filter.agent {
        query.push(" AND agent = ").push_bind(agent.as_str());
    }
    if !filter.kinds.is_empty() {
        let kinds: Vec<&str> = filter.kinds.iter().map(|kind| kind.as_str()).collect();
        query.push(" AND kind = ANY(").push_bind(kinds).push(")");
    }
    // The blocks first: with none in reach the bound is null, and nothing matches.
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(since.as_micros());
        query.push(" AND idx >= (SELECT min(block) << 10 FROM entry_times WHERE org = ");
        query.push_bind(org.as_str()).push(" AND last >= ");
        query.push_bind(since.as_micros()).push(")");
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(until.as_micros());
        query.push(" AND idx < (SELECT (max(block) + 1) << 10 FROM entry_times WHERE org = ");
        query.push_bind(org.as_str()).push(" AND first < ");
        query.push_bind(until.as_micros()).push(")");
    }
    let order = if filter.descending {
        " ORDER BY idx DESC LIMIT "
    } else {
        " ORDER BY idx LIMIT "
    };
    query.push(order).push_bind(i64::from(filter.limit()));
    let rows = query.build().fetch_all(db).await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &PgRow) -> Result<StoredEntry, ReadError> {
    let index = nat(row.try_get(0)?);
    let word: &str = row.try_get(1)?;
    let kind = EventKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.as_str() == word);
    Ok(StoredEntry {
        index,
        kind: kind.ok_or_else(|| inconsistent("entries", index, "its kind is unknown"))?,
        at: Timestamp::from_micros(row.try_get(2)?),
        agent: parsed(row.try_get(3)?, index)?,
        run: parsed(row.try_get(4)?, index)?,
        decision: parsed(row.try_get(5)?, index)?,
        leaf: row.try_get(6)?,
        sealed: row.try_get(7)?,
    })
}

fn parsed<T: FromStr<Err: Display>>(
    text: Option<&str>,
    index: u64,
) -> Result<Option<T>, ReadError> {
    let broken = |e| inconsistent("entries", index, e);
    text.map(|text| text.parse().map_err(broken)).transpose()
}
