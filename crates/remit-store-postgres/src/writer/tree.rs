//! The derived tree.

use remit_domain::{Kind, OrgId};
use remit_ports::store::{StoreError, TreeAppend};

use super::batch::Done;
use super::unit::Unit;
use crate::error::Stop;
use crate::number::{int, nat};

impl Unit<'_> {
    /// Appends hashes and the checkpoint that signs them, if nobody else has meanwhile.
    pub(super) async fn append_tree(
        &mut self,
        org: &OrgId,
        append: &TreeAppend,
    ) -> Result<Done, Stop> {
        let size: i64 =
            sqlx::query_scalar("SELECT coalesce(max(size), 0) FROM checkpoints WHERE org = $1")
                .bind(org.as_str())
                .fetch_one(&mut *self.db)
                .await?;
        if nat(size) != append.old_size || append.new_size < nat(size) {
            let key = org.to_string();
            return Err(StoreError::Conflict {
                kind: Kind::Organization,
                key,
            }
            .into());
        }
        let entries = self.entry_count(org);
        if append.new_size > entries {
            let (table, key) = ("checkpoints", org.to_string());
            let why = format!(
                "a tree of {} entries was signed and the ledger has {entries}",
                append.new_size
            );
            return Err(StoreError::Inconsistent { table, key, why }.into());
        }
        self.writes();
        let hashes: Vec<&[u8]> = append.hashes.iter().map(|hash| hash.as_slice()).collect();
        sqlx::query(
            "INSERT INTO tree (org, n, hash)
             SELECT $1, (SELECT coalesce(max(n) + 1, 0) FROM tree WHERE org = $1) + n - 1, hash
             FROM unnest($2::bytea[]) WITH ORDINALITY AS new (hash, n)",
        )
        .bind(org.as_str())
        .bind(hashes)
        .execute(&mut *self.db)
        .await?;
        sqlx::query(
            "INSERT INTO checkpoints (org, size, note) VALUES ($1, $2, $3)
             ON CONFLICT (org, size) DO UPDATE SET note = excluded.note",
        )
        .bind(org.as_str())
        .bind(int(append.new_size))
        .bind(&append.checkpoint)
        .execute(&mut *self.db)
        .await?;
        Ok(Done::default())
    }
}
