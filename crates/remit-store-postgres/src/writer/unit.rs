//! The open transaction: locked heads of the organizations it touches, and the writes that several requests share.

use std::collections::{BTreeMap, BTreeSet};

use remit_domain::{Kind, OrgId, Timestamp};
use remit_ledger::NewEntry;
use remit_ports::store::{Blob, Changed, Expect, LabelState, Lower, Put, StoreError};
use sqlx::{PgConnection, Row};

use crate::error::Stop;
use crate::feed::{CHANNEL, payload};
use crate::number::{int, nat};

/// Bytes of leaves and sealed bodies that are sent in one statement.
const CHUNK: usize = 8 * 1_048_576;

/// An organization's row of `orgs_state`, locked until the transaction ends.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    epoch: u64,
    entries: u64,
    moved: bool,
}

/// The open transaction. Entries are sent together at its end: nothing reads them before.
pub(super) struct Unit<'c> {
    pub(super) db: &'c mut PgConnection,
    heads: BTreeMap<OrgId, Head>,
    entries: Vec<(OrgId, u64, NewEntry)>,
    wrote: bool,
}

impl<'c> Unit<'c> {
    /// Locks every organization's head, always in the same order, so that two nodes never wait for each other.
    pub(super) async fn lock(
        db: &'c mut PgConnection,
        orgs: BTreeSet<OrgId>,
    ) -> sqlx::Result<Self> {
        let names: Vec<&str> = orgs.iter().map(|org| org.as_str()).collect();
        let select = "SELECT org, epoch, entries FROM orgs_state WHERE org = ANY($1) ORDER BY org FOR UPDATE";
        let mut rows = sqlx::query(select).bind(&names).fetch_all(&mut *db).await?;
        if rows.len() < names.len() {
            sqlx::query(
                "INSERT INTO orgs_state (org) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
            )
            .bind(&names)
            .execute(&mut *db)
            .await?;
            rows = sqlx::query(select).bind(&names).fetch_all(&mut *db).await?;
        }
        let mut heads = BTreeMap::new();
        for (org, row) in orgs.iter().zip(&rows) {
            let (epoch, entries) = (nat(row.try_get(1)?), nat(row.try_get(2)?));
            if org.as_str() != row.try_get::<&str, _>(0)? {
                return Err(sqlx::Error::RowNotFound);
            }
            heads.insert(
                org.clone(),
                Head {
                    epoch,
                    entries,
                    moved: false,
                },
            );
        }
        Ok(Self {
            db,
            heads,
            entries: Vec::new(),
            wrote: false,
        })
    }

    /// Before each request.
    pub(super) fn start(&mut self) {
        self.wrote = false;
    }

    /// Whether the request has written anything.
    pub(super) fn wrote(&self) -> bool {
        self.wrote
    }

    /// From here on the request writes.
    pub(super) fn writes(&mut self) {
        self.wrote = true;
    }

    /// Sends the entries, and the heads that moved.
    pub(super) async fn finish(mut self) -> sqlx::Result<()> {
        let entries = std::mem::take(&mut self.entries);
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|(_, _, entry)| {
                let first = bytes == 0;
                bytes += entry.leaf.len() + entry.sealed.len() + 1;
                first || bytes <= CHUNK
            });
            let (chunk, left) = rest
                .split_at_checked(fits.count().max(1))
                .unwrap_or((rest, &[]));
            self.insert(chunk).await?;
            rest = left;
        }
        let moved = self.heads.iter().filter(|(_, head)| head.moved);
        let (mut orgs, mut epochs, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (org, head) in moved {
            orgs.push(org.as_str());
            epochs.push(int(head.epoch));
            counts.push(int(head.entries));
        }
        if orgs.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "UPDATE orgs_state SET epoch = new.epoch, entries = new.entries
             FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (org, epoch, entries)
             WHERE orgs_state.org = new.org COLLATE \"C\"",
        )
        .bind(orgs)
        .bind(epochs)
        .bind(counts)
        .execute(&mut *self.db)
        .await
        .map(|_| ())
    }

    async fn insert(&mut self, entries: &[(OrgId, u64, NewEntry)]) -> sqlx::Result<()> {
        let text = |of: fn(&NewEntry) -> Option<&str>| -> Vec<Option<&str>> {
            entries.iter().map(|(_, _, entry)| of(entry)).collect()
        };
        let bytes = |of: fn(&NewEntry) -> &[u8]| -> Vec<&[u8]> {
            entries.iter().map(|(_, _, entry)| of(entry)).collect()
        };
        let orgs: Vec<&str> = entries.iter().map(|(org, _, _)| org.as_str()).collect();
        let indexes: Vec<i64> = entries.iter().map(|(_, index, _)| int(*index)).collect();
        let at: Vec<i64> = entries
            .iter()
            .map(|(_, _, entry)| entry.at.as_micros())
            .collect();
        sqlx::query(
            "INSERT INTO entries (org, idx, kind, at, agent, run, decision, leaf, sealed)
             SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                                  $8::bytea[], $9::bytea[])",
        )
        .bind(orgs)
        .bind(indexes)
        .bind(text(|entry| Some(entry.kind.as_str())))
        .bind(at)
        .bind(text(|entry| entry.agent.as_ref().map(|id| id.as_str())))
        .bind(text(|entry| entry.run.as_ref().map(|id| id.as_str())))
        .bind(text(|entry| entry.decision.as_ref().map(|id| id.as_str())))
        .bind(bytes(|entry| &entry.leaf))
        .bind(bytes(|entry| &entry.sealed))
        .execute(&mut *self.db)
        .await
        .map(|_| ())
    }

    /// Tells other nodes, if and when the transaction commits.
    pub(super) async fn notify(
        &mut self,
        node: &str,
        changes: impl Iterator<Item = &Changed>,
    ) -> sqlx::Result<()> {
        let payloads: Vec<String> = changes.map(|changed| payload(node, changed)).collect();
        if payloads.is_empty() {
            return Ok(());
        }
        sqlx::query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload")
            .bind(CHANNEL)
            .bind(payloads)
            .execute(&mut *self.db)
            .await
            .map(|_| ())
    }

    pub(super) fn epoch(&self, org: &OrgId) -> u64 {
        self.heads.get(org).map_or(0, |head| head.epoch)
    }

    pub(super) fn entry_count(&self, org: &OrgId) -> u64 {
        self.heads.get(org).map_or(0, |head| head.entries)
    }

    /// Appends entries; returns the index of the first.
    pub(super) fn append(&mut self, org: &OrgId, entries: &[NewEntry]) -> u64 {
        let head = self.heads.entry(org.clone()).or_default();
        let first = head.entries;
        for entry in entries {
            self.entries
                .push((org.clone(), head.entries, entry.clone()));
            head.entries += 1;
            head.moved = true;
        }
        first
    }

    /// Raises the containment epoch.
    pub(super) fn raise_epoch(&mut self, org: &OrgId) {
        let head = self.heads.entry(org.clone()).or_default();
        head.epoch += 1;
        head.moved = true;
    }

    /// The revision there is, where `put` may be written.
    pub(super) async fn check_put(&mut self, org: &OrgId, put: &Put) -> Result<Option<u64>, Stop> {
        let row = sqlx::query(
            "SELECT (SELECT revision FROM records WHERE org = $1 AND kind = $2 AND key = $3),
                    (SELECT key FROM names WHERE org = $1 AND kind = $2 AND name = $4)",
        )
        .bind(org.as_str())
        .bind(put.kind.as_str())
        .bind(&put.key)
        .bind(&put.name)
        .fetch_one(&mut *self.db)
        .await?;
        let found = row.try_get::<Option<i64>, _>(0)?.map(nat);
        let expected = match put.expect {
            Expect::Absent => found.is_none(),
            Expect::Revision(revision) => found == Some(revision),
            Expect::Any => true,
        };
        if !expected {
            let key = put.key.clone();
            return Err(StoreError::Conflict {
                kind: put.kind,
                key,
            }
            .into());
        }
        let holder = row.try_get::<Option<&str>, _>(1)?;
        if let (Some(name), Some(holder)) = (&put.name, holder)
            && holder != put.key
        {
            return Err(StoreError::NameTaken {
                kind: put.kind,
                name: name.clone(),
            }
            .into());
        }
        Ok(found)
    }

    /// Writes a record, after checking again: an earlier record of the same request may stand in its way. Returns its
    /// revision.
    pub(super) async fn put(&mut self, org: &OrgId, put: &Put) -> Result<u64, Stop> {
        let revision = self.check_put(org, put).await?.unwrap_or(0) + 1;
        let body = if put.body.is_null() {
            None
        } else {
            Some(put.body.to_string())
        };
        sqlx::query(
            "INSERT INTO records (org, kind, key, name, parent, state, revision, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (org, kind, key) DO UPDATE
             SET name = $4, parent = $5, state = $6, revision = $7, body = $8",
        )
        .bind(org.as_str())
        .bind(put.kind.as_str())
        .bind(&put.key)
        .bind(&put.name)
        .bind(&put.parent)
        .bind(&put.state)
        .bind(int(revision))
        .bind(body)
        .execute(&mut *self.db)
        .await?;
        if let Some(name) = &put.name {
            self.keep_name(org, put.kind, name, &put.key).await?;
        }
        Ok(revision)
    }

    async fn keep_name(
        &mut self,
        org: &OrgId,
        kind: Kind,
        name: &str,
        key: &str,
    ) -> sqlx::Result<()> {
        sqlx::query("INSERT INTO names (org, kind, name, key) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
            .bind(org.as_str())
            .bind(kind.as_str())
            .bind(name)
            .bind(key)
            .execute(&mut *self.db)
            .await
            .map(|_| ())
    }

    pub(super) async fn keep_blobs(&mut self, org: &OrgId, blobs: &[Blob]) -> sqlx::Result<()> {
        for blob in blobs {
            sqlx::query(
                "INSERT INTO blobs (org, hash, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(org.as_str())
            .bind(&blob.hash)
            .bind(&blob.body)
            .execute(&mut *self.db)
            .await?;
        }
        Ok(())
    }

    pub(super) async fn raise_labels(
        &mut self,
        org: &OrgId,
        raise: &[(String, String)],
        at: Timestamp,
        by: &str,
    ) -> sqlx::Result<()> {
        for (scope, label) in raise {
            // As many marks as there are: what people took back before is raised anew.
            sqlx::query(
                "INSERT INTO labels (org, scope, label, at, origin)
                 SELECT $1, $2, CASE WHEN marks.n = 0 THEN $3 ELSE $3 || '+' || marks.n END, $4, $5 FROM (
                    SELECT count(*) AS n FROM labels
                    WHERE org = $1 AND scope = $2 AND label >= $3 || '~' AND label < $3 || '~~'
                 ) AS marks
                 ON CONFLICT (org, scope, label) DO UPDATE SET at = greatest(labels.at, excluded.at)",
            )
            .bind(org.as_str())
            .bind(scope)
            .bind(label)
            .bind(at.as_micros())
            .bind(by)
            .execute(&mut *self.db)
            .await?;
        }
        Ok(())
    }

    /// Whether labels may be taken back: nothing has moved, and nothing is under way that could bring them again.
    pub(super) async fn check_lower(&mut self, org: &OrgId, lower: &Lower) -> Result<(), Stop> {
        let conflict = |key: &str| StoreError::Conflict {
            kind: Kind::Declassification,
            key: key.to_owned(),
        };
        for (scope, stamp) in &lower.scopes {
            if self.label_stamp(org, scope).await? != *stamp {
                return Err(conflict(scope).into());
            }
        }
        for agent in &lower.agents {
            let calls = "SELECT 1 FROM calls WHERE org = $1 AND agent = $2 LIMIT 1";
            let calls: Option<i32> = sqlx::query_scalar(calls)
                .bind(org.as_str())
                .bind(agent.as_str())
                .fetch_optional(&mut *self.db)
                .await?;
            if calls.is_some() {
                return Err(conflict(agent.as_str()).into());
            }
        }
        Ok(())
    }

    /// Marks labels as taken back, where they hold.
    pub(super) async fn lower(
        &mut self,
        org: &OrgId,
        lower: &Lower,
        at: Timestamp,
    ) -> sqlx::Result<()> {
        for (scope, _) in &lower.scopes {
            let holds = self.labels(org, scope).await?.labels;
            for label in lower.labels.iter().filter(|l| holds.contains_key(*l)) {
                sqlx::query(
                    "INSERT INTO labels (org, scope, label, at, origin)
                     SELECT $1, $2, $3 || '~' || (count(*) + 1), $4, $5 FROM labels
                     WHERE org = $1 AND scope = $2 AND label >= $3 || '~' AND label < $3 || '~~'",
                )
                .bind(org.as_str())
                .bind(scope)
                .bind(label)
                .bind(at.as_micros())
                .bind(&lower.by)
                .execute(&mut *self.db)
                .await?;
            }
        }
        Ok(())
    }

    pub(super) async fn labels(&mut self, org: &OrgId, scope: &str) -> sqlx::Result<LabelState> {
        crate::read::labels(self.db, org, scope).await
    }

    pub(super) async fn label_stamp(&mut self, org: &OrgId, scope: &str) -> sqlx::Result<u64> {
        let (count, newest): (i64, i64) = sqlx::query_as(
            "SELECT count(*), coalesce(max(at), 0) FROM labels WHERE org = $1 AND scope = $2",
        )
        .bind(org.as_str())
        .bind(scope)
        .fetch_one(&mut *self.db)
        .await?;
        Ok(remit_ports::store::stamp(nat(count), newest))
    }

    pub(super) async fn label_version(&mut self, org: &OrgId, scope: &str) -> sqlx::Result<u64> {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM labels WHERE org = $1 AND scope = $2")
                .bind(org.as_str())
                .bind(scope)
                .fetch_one(&mut *self.db)
                .await?;
        Ok(nat(count))
    }
}

/// What others have to read again after `puts`; nothing when there are none and the epoch stayed.
pub(super) fn changed<'p>(
    org: &OrgId,
    epoch: u64,
    puts: impl Iterator<Item = &'p Put>,
    raised: bool,
) -> Option<Changed> {
    let keys: Vec<_> = puts.map(|put| (put.kind, put.key.clone())).collect();
    let org = org.clone();
    (raised || !keys.is_empty()).then_some(Changed { org, epoch, keys })
}
