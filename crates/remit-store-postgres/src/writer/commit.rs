//! A change of state.

use remit_domain::{Kind, OrgId};
use remit_ports::store::{Changed, Commit, Committed, Once, StoreError};

use super::batch::Done;
use super::unit::{Unit, changed};
use crate::error::Stop;

impl Unit<'_> {
    /// Commits; with `shred`, the body of that scope's key goes in the same transaction.
    pub(super) async fn commit(
        &mut self,
        commit: &Commit,
        shred: Option<&str>,
    ) -> Result<Done, Stop> {
        let org = &commit.org;
        let epoch = self.epoch(org);
        if commit.at_epoch.is_some_and(|decided| decided != epoch) {
            return Err(StoreError::EpochMoved(epoch).into());
        }
        self.check_once(org, &commit.once).await?;
        for put in &commit.puts {
            self.check_put(org, put).await?;
        }
        if let Some(lower) = &commit.lower {
            self.check_lower(org, lower).await?;
        }
        self.writes();
        for once in &commit.once {
            self.use_once(org, once).await?;
        }
        let mut revisions = Vec::with_capacity(commit.puts.len());
        for put in &commit.puts {
            revisions.push(self.put(org, put).await?);
        }
        if let Some(scope) = shred {
            self.shred(org, scope).await?;
        }
        if let Some(lower) = &commit.lower {
            self.lower(org, lower, commit.at).await?;
        }
        self.keep_blobs(org, &commit.blobs).await?;
        let first_index = self.append(org, &commit.entries);
        if commit.raise_epoch {
            self.raise_epoch(org);
        }
        let epoch = self.epoch(org);
        let mut changed = changed(org, epoch, commit.puts.iter(), commit.raise_epoch);
        if let Some(scope) = shred {
            let org = org.clone();
            let changed = changed.get_or_insert(Changed {
                org,
                epoch,
                keys: Vec::new(),
            });
            changed.keys.push((Kind::ShredKey, scope.to_owned()));
        }
        let committed = Some(Committed {
            revisions,
            first_index,
            epoch,
        });
        Ok(Done {
            committed,
            admitted: None,
            changed,
        })
    }

    async fn check_once(&mut self, org: &OrgId, once: &[Once]) -> Result<(), Stop> {
        if once.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = once.iter().map(|once| once.key.as_str()).collect();
        let used = "SELECT key FROM once WHERE org = $1 AND key = ANY($2) LIMIT 1";
        let used: Option<String> = sqlx::query_scalar(used)
            .bind(org.as_str())
            .bind(keys)
            .fetch_optional(&mut *self.db)
            .await?;
        match used {
            Some(key) => Err(StoreError::Replayed { key }.into()),
            None => Ok(()),
        }
    }

    async fn use_once(&mut self, org: &OrgId, once: &Once) -> Result<(), Stop> {
        let insert =
            "INSERT INTO once (org, key, until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let new = sqlx::query(insert)
            .bind(org.as_str())
            .bind(&once.key)
            .bind(once.until.as_micros())
            .execute(&mut *self.db)
            .await?;
        if new.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Replayed {
                key: once.key.clone(),
            }
            .into())
        }
    }

    async fn shred(&mut self, org: &OrgId, scope: &str) -> Result<(), Stop> {
        let shredded = sqlx::query(
            "UPDATE records SET body = NULL, state = 'shredded', revision = revision + 1
             WHERE org = $1 AND kind = $2 AND key = $3",
        )
        .bind(org.as_str())
        .bind(Kind::ShredKey.as_str())
        .bind(scope)
        .execute(&mut *self.db)
        .await?;
        if shredded.rows_affected() == 1 {
            Ok(())
        } else {
            let key = scope.to_owned();
            Err(StoreError::Conflict {
                kind: Kind::ShredKey,
                key,
            }
            .into())
        }
    }
}
