//! The open transaction: heads of the organizations it touches, and the writes that several requests share.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use remit_domain::{Kind, OrgId, Timestamp};
use remit_ledger::NewEntry;
use remit_ports::store::{Blob, Changed, Expect, LabelState, Lower, Put, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Stop;
use crate::number::{entry_block, entry_id, int, nat};

/// An organization's row of `orgs_state`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    no: i64,
    pub(super) epoch: u64,
    pub(super) entries: u64,
}

/// The open transaction. Heads are read once and written once, however many requests use them.
pub(super) struct Unit<'c> {
    pub(super) db: &'c Connection,
    heads: HashMap<OrgId, (Head, bool)>,
    /// Versions of labels by organization and scope, as long as this transaction raises none there.
    labels: HashMap<OrgId, HashMap<String, u64>>,
    /// The earliest and the latest time of what was appended, by block. Where a request is taken back, they stay: bounds that
    /// are too wide leave nothing out.
    times: HashMap<i64, (i64, i64)>,
    wrote: bool,
}

impl<'c> Unit<'c> {
    pub(super) fn new(db: &'c Connection) -> Self {
        Self {
            db,
            heads: HashMap::new(),
            labels: HashMap::new(),
            times: HashMap::new(),
            wrote: false,
        }
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

    /// Writes the heads that moved.
    pub(super) fn finish(self) -> rusqlite::Result<()> {
        let mut update = self
            .db
            .prepare_cached("UPDATE orgs_state SET epoch = ?2, entries = ?3 WHERE org = ?1")?;
        for (org, (head, moved)) in &self.heads {
            if *moved {
                update.execute(params![org.as_str(), int(head.epoch), int(head.entries)])?;
            }
        }
        let mut widen = self.db.prepare_cached(
            "INSERT INTO entry_times (block, first, last) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
        )?;
        for (block, (first, last)) in &self.times {
            widen.execute([block, first, last])?;
        }
        Ok(())
    }

    /// The organization's head; an organization that was never written has none in the table.
    pub(super) fn head(&mut self, org: &OrgId) -> rusqlite::Result<Head> {
        match self.heads.entry(org.clone()) {
            Entry::Occupied(slot) => Ok(slot.get().0),
            Entry::Vacant(slot) => {
                let found = self
                    .db
                    .prepare_cached("SELECT no, epoch, entries FROM orgs_state WHERE org = ?1")?
                    .query_row([org.as_str()], |row| {
                        Ok(Head {
                            no: row.get(0)?,
                            epoch: nat(row.get(1)?),
                            entries: nat(row.get(2)?),
                        })
                    })
                    .optional()?;
                Ok(slot
                    .insert((
                        found.unwrap_or(Head {
                            no: 0,
                            epoch: 0,
                            entries: 0,
                        }),
                        false,
                    ))
                    .0)
            }
        }
    }

    /// Moves the head, and gives a new organization its number.
    fn head_mut(&mut self, org: &OrgId) -> rusqlite::Result<&mut Head> {
        let mut head = self.head(org)?;
        if head.no == 0 {
            head.no = self
                .db
                .prepare_cached("INSERT INTO orgs_state (org, no) SELECT ?1, coalesce(max(no), 0) + 1 FROM orgs_state RETURNING no")?
                .query_row([org.as_str()], |row| row.get(0))?;
        }
        let slot = self.heads.entry(org.clone()).or_insert((head, true));
        *slot = (head, true);
        Ok(&mut slot.0)
    }

    /// Appends entries; returns the index of the first.
    pub(super) fn append(&mut self, org: &OrgId, entries: &[NewEntry]) -> rusqlite::Result<u64> {
        let db = self.db;
        let Head {
            no, entries: first, ..
        } = *self.head_mut(org)?;
        if entries.is_empty() {
            return Ok(first);
        }
        let mut insert = db.prepare_cached(
            "INSERT INTO entries (id, kind, at, agent, run, decision, leaf, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let mut next = first;
        for entry in entries {
            let (id, at) = (entry_id(no, next), entry.at.as_micros());
            let (first, last) = self.times.entry(entry_block(id)).or_insert((at, at));
            (*first, *last) = ((*first).min(at), (*last).max(at));
            insert.execute(params![
                id,
                entry.kind.as_str(),
                at,
                entry.agent.as_ref().map(|id| id.as_str()),
                entry.run.as_ref().map(|id| id.as_str()),
                entry.decision.as_ref().map(|id| id.as_str()),
                entry.leaf,
                entry.sealed,
            ])?;
            next += 1;
        }
        self.head_mut(org)?.entries = next;
        Ok(first)
    }

    /// Raises the containment epoch; returns it.
    pub(super) fn raise_epoch(&mut self, org: &OrgId) -> rusqlite::Result<u64> {
        let head = self.head_mut(org)?;
        head.epoch += 1;
        Ok(head.epoch)
    }

    /// The revision there is, where `put` may be written.
    pub(super) fn check_put(&self, org: &OrgId, put: &Put) -> Result<Option<u64>, Stop> {
        let found = self
            .db
            .prepare_cached(
                "SELECT revision FROM records WHERE org = ?1 AND kind = ?2 AND key = ?3",
            )?
            .query_row(params![org.as_str(), put.kind.as_str(), put.key], |row| {
                row.get(0).map(nat)
            })
            .optional()?;
        let expected = match put.expect {
            Expect::Absent => found.is_none(),
            Expect::Revision(revision) => found == Some(revision),
            Expect::Any => true,
        };
        if !expected {
            return Err(StoreError::Conflict {
                kind: put.kind,
                key: put.key.clone(),
            }
            .into());
        }
        if let Some(name) = &put.name
            && self
                .name_holder(org, put.kind, name)?
                .is_some_and(|key| key != put.key)
        {
            return Err(StoreError::NameTaken {
                kind: put.kind,
                name: name.clone(),
            }
            .into());
        }
        Ok(found)
    }

    /// Writes a record, after checking again: an earlier record of the same request may stand in its way. Returns its revision.
    pub(super) fn put(&self, org: &OrgId, put: &Put) -> Result<u64, Stop> {
        let revision = self.check_put(org, put)?.unwrap_or(0) + 1;
        let body = if put.body.is_null() {
            None
        } else {
            Some(put.body.to_string())
        };
        let sql = if revision == 1 {
            "INSERT INTO records (org, kind, key, name, parent, state, revision, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        } else {
            "UPDATE records SET name = ?4, parent = ?5, state = ?6, revision = ?7, body = ?8 WHERE org = ?1 AND kind = ?2 AND key = ?3"
        };
        self.db.prepare_cached(sql)?.execute(params![
            org.as_str(),
            put.kind.as_str(),
            put.key,
            put.name,
            put.parent,
            put.state,
            int(revision),
            body
        ])?;
        if let Some(name) = &put.name {
            self.db
                .prepare_cached("INSERT INTO names (org, kind, name, key) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
                .execute(params![org.as_str(), put.kind.as_str(), name, put.key])?;
        }
        Ok(revision)
    }

    fn name_holder(&self, org: &OrgId, kind: Kind, name: &str) -> rusqlite::Result<Option<String>> {
        self.db
            .prepare_cached("SELECT key FROM names WHERE org = ?1 AND kind = ?2 AND name = ?3")?
            .query_row(params![org.as_str(), kind.as_str(), name], |row| row.get(0))
            .optional()
    }

    pub(super) fn keep_blobs(&self, org: &OrgId, blobs: &[Blob]) -> rusqlite::Result<()> {
        for blob in blobs {
            self.db
                .prepare_cached("INSERT INTO blobs (org, hash, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
                .execute(params![org.as_str(), blob.hash, blob.body])?;
        }
        Ok(())
    }

    pub(super) fn raise_labels(
        &mut self,
        org: &OrgId,
        raise: &[(String, String)],
        at: Timestamp,
        by: &str,
    ) -> rusqlite::Result<()> {
        if !raise.is_empty() {
            self.labels.remove(org);
        }
        for (scope, label) in raise {
            // As many marks as there are: what people took back before is raised anew.
            self.db
                .prepare_cached(
                    "INSERT INTO labels (org, scope, label, at, origin)
                     SELECT ?1, ?2, iif(marks.n = 0, ?3, ?3 || '+' || marks.n), ?4, ?5 FROM (
                        SELECT count(*) AS n FROM labels
                        WHERE org = ?1 AND scope = ?2 AND label >= ?3 || '~' AND label < ?3 || '~~'
                     ) AS marks WHERE true
                     ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
                )?
                .execute(params![org.as_str(), scope, label, at.as_micros(), by])?;
        }
        Ok(())
    }

    /// Whether labels may be taken back: nothing has moved, and nothing is under way that could bring them again.
    pub(super) fn check_lower(&self, org: &OrgId, lower: &Lower) -> Result<(), Stop> {
        let conflict = |key: &str| StoreError::Conflict {
            kind: Kind::Declassification,
            key: key.to_owned(),
        };
        for (scope, stamp) in &lower.scopes {
            if self.label_stamp(org, scope)? != *stamp {
                return Err(conflict(scope).into());
            }
        }
        for agent in &lower.agents {
            let calls = self
                .db
                .prepare_cached("SELECT 1 FROM calls WHERE org = ?1 AND agent = ?2 LIMIT 1")?
                .exists(params![org.as_str(), agent.as_str()])?;
            if calls {
                return Err(conflict(agent.as_str()).into());
            }
        }
        Ok(())
    }

    /// Marks labels as taken back, where they hold.
    pub(super) fn lower(
        &mut self,
        org: &OrgId,
        lower: &Lower,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        self.labels.remove(org);
        for (scope, _) in &lower.scopes {
            let holds = self.labels(org, scope)?.labels;
            for label in lower.labels.iter().filter(|l| holds.contains_key(*l)) {
                self.db
                    .prepare_cached(
                        "INSERT INTO labels (org, scope, label, at, origin)
                         SELECT ?1, ?2, ?3 || '~' || (count(*) + 1), ?4, ?5 FROM labels
                         WHERE org = ?1 AND scope = ?2 AND label >= ?3 || '~' AND label < ?3 || '~~'",
                    )?
                    .execute(params![org.as_str(), scope, label, at.as_micros(), lower.by])?;
            }
        }
        Ok(())
    }

    pub(super) fn labels(&self, org: &OrgId, scope: &str) -> rusqlite::Result<LabelState> {
        crate::read::labels(self.db, org, scope)
    }

    pub(super) fn label_stamp(&self, org: &OrgId, scope: &str) -> rusqlite::Result<u64> {
        self.db
            .prepare_cached(
                "SELECT count(*), coalesce(max(at), 0) FROM labels WHERE org = ?1 AND scope = ?2",
            )?
            .query_row(params![org.as_str(), scope], |row| {
                Ok(remit_ports::store::stamp(nat(row.get(0)?), row.get(1)?))
            })
    }

    pub(super) fn label_version(&mut self, org: &OrgId, scope: &str) -> rusqlite::Result<u64> {
        if let Some(known) = self.labels.get(org).and_then(|scopes| scopes.get(scope)) {
            return Ok(*known);
        }
        let version = self
            .db
            .prepare_cached("SELECT count(*) FROM labels WHERE org = ?1 AND scope = ?2")?
            .query_row(params![org.as_str(), scope], |row| row.get(0).map(nat))?;
        let scopes = self.labels.entry(org.clone()).or_default();
        scopes.insert(scope.to_owned(), version);
        Ok(version)
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
    (raised || !keys.is_empty()).then(|| Changed {
        org: org.clone(),
        epoch,
        keys,
    })
}
