//! A change of state.

use remit_domain::{Kind, OrgId};
use remit_ports::store::{Changed, Commit, Committed, StoreError};
use rusqlite::{OptionalExtension, params};

use super::batch::Done;
use super::unit::{Unit, changed};
use crate::error::Stop;

impl Unit<'_> {
    /// Commits; with `shred`, the body of that scope's key goes in the same transaction.
    pub(super) fn commit(&mut self, commit: &Commit, shred: Option<&str>) -> Result<Done, Stop> {
        let org = &commit.org;
        if let Some(decided) = commit.at_epoch {
            let epoch = self.head(org)?.epoch;
            if epoch != decided {
                return Err(StoreError::EpochMoved(epoch).into());
            }
        }
        for once in &commit.once {
            if self.is_used(org, &once.key)? {
                return Err(StoreError::Replayed {
                    key: once.key.clone(),
                }
                .into());
            }
        }
        for put in &commit.puts {
            self.check_put(org, put)?;
        }
        if let Some(scope) = shred {
            self.check_shred(org, scope)?;
        }
        if let Some(lower) = &commit.lower {
            self.check_lower(org, lower)?;
        }
        self.writes();
        for once in &commit.once {
            self.use_once(org, &once.key, once.until.as_micros())?;
        }
        let mut revisions = Vec::with_capacity(commit.puts.len());
        for put in &commit.puts {
            revisions.push(self.put(org, put)?);
        }
        if let Some(scope) = shred {
            self.shred(org, scope)?;
        }
        if let Some(lower) = &commit.lower {
            self.lower(org, lower, commit.at)?;
        }
        self.keep_blobs(org, &commit.blobs)?;
        let first_index = self.append(org, &commit.entries)?;
        let epoch = if commit.raise_epoch {
            self.raise_epoch(org)?
        } else {
            self.head(org)?.epoch
        };
        let mut changed = changed(org, epoch, commit.puts.iter(), commit.raise_epoch);
        if let Some(scope) = shred {
            let changed = changed.get_or_insert_with(|| Changed {
                org: org.clone(),
                epoch,
                keys: Vec::new(),
            });
            changed.keys.push((Kind::ShredKey, scope.to_owned()));
        }
        Ok(Done {
            committed: Some(Committed {
                revisions,
                first_index,
                epoch,
            }),
            admitted: None,
            changed,
        })
    }

    fn is_used(&self, org: &OrgId, key: &str) -> rusqlite::Result<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM once WHERE org = ?1 AND key = ?2")?
            .exists(params![org.as_str(), key])
    }

    fn use_once(&self, org: &OrgId, key: &str, until: i64) -> Result<(), Stop> {
        let new = self
            .db
            .prepare_cached(
                "INSERT INTO once (org, key, until) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![org.as_str(), key, until])?;
        if new == 1 {
            Ok(())
        } else {
            Err(StoreError::Replayed {
                key: key.to_owned(),
            }
            .into())
        }
    }

    fn check_shred(&self, org: &OrgId, scope: &str) -> Result<(), Stop> {
        self.db
            .prepare_cached("SELECT 1 FROM records WHERE org = ?1 AND kind = ?2 AND key = ?3")?
            .query_row(
                params![org.as_str(), Kind::ShredKey.as_str(), scope],
                |_| Ok(()),
            )
            .optional()?
            .ok_or_else(|| {
                StoreError::Conflict {
                    kind: Kind::ShredKey,
                    key: scope.to_owned(),
                }
                .into()
            })
    }

    fn shred(&self, org: &OrgId, scope: &str) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "UPDATE records SET body = NULL, state = 'shredded', revision = revision + 1 WHERE org = ?1 AND kind = ?2 AND key = ?3",
            )?
            .execute(params![org.as_str(), Kind::ShredKey.as_str(), scope])
            .map(|_| ())
    }
}
