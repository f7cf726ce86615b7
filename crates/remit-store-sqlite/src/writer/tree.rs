//! The derived tree.

use remit_domain::{Kind, OrgId};
use remit_ports::store::{StoreError, TreeAppend};
use rusqlite::params;

use super::batch::Done;
use super::unit::Unit;
use crate::error::Stop;
use crate::number::{int, nat};

impl Unit<'_> {
    /// Appends hashes and the checkpoint that signs them, if nobody else has meanwhile.
    pub(super) fn append_tree(&mut self, org: &OrgId, append: &TreeAppend) -> Result<Done, Stop> {
        let size = self
            .db
            .prepare_cached("SELECT coalesce(max(size), 0) FROM checkpoints WHERE org = ?1")?
            .query_row([org.as_str()], |row| row.get(0).map(nat))?;
        if size != append.old_size || append.new_size < size {
            return Err(StoreError::Conflict {
                kind: Kind::Organization,
                key: org.to_string(),
            }
            .into());
        }
        let entries = self.head(org)?.entries;
        if append.new_size > entries {
            let why = format!(
                "a tree of {} entries was signed and the ledger has {entries}",
                append.new_size
            );
            return Err(StoreError::Inconsistent {
                table: "checkpoints",
                key: org.to_string(),
                why,
            }
            .into());
        }
        let first: i64 = self
            .db
            .prepare_cached("SELECT coalesce(max(n) + 1, 0) FROM tree WHERE org = ?1")?
            .query_row([org.as_str()], |row| row.get(0))?;
        self.writes();
        let mut insert = self
            .db
            .prepare_cached("INSERT INTO tree (org, n, hash) VALUES (?1, ?2, ?3)")?;
        for (n, hash) in (first..).zip(&append.hashes) {
            insert.execute(params![org.as_str(), n, hash.as_slice()])?;
        }
        self.db
            .prepare_cached("INSERT INTO checkpoints (org, size, note) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET note = excluded.note")?
            .execute(params![org.as_str(), int(append.new_size), append.checkpoint])?;
        Ok(Done::default())
    }
}
