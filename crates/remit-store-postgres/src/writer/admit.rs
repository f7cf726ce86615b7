//! The one point of effect.

use remit_domain::OrgId;
use remit_ports::store::{Admit, AdmitError, Admitted, Reserve, StoreError};

use super::batch::Done;
use super::unit::{Unit, changed};
use crate::error::Stop;
use crate::number::int;

impl Unit<'_> {
    /// Admits a decision: every check first, then every write.
    pub(super) async fn admit(&mut self, admit: &Admit) -> Result<Done, Stop> {
        let org = &admit.org;
        let (scope, version) = &admit.labels;
        let epoch = self.epoch(org);
        if epoch != admit.epoch {
            return Err(AdmitError::EpochMoved(epoch).into());
        }
        if self.label_version(org, scope).await? != *version {
            return Err(AdmitError::LabelsMoved(self.labels(org, scope).await?).into());
        }
        if let Some((beside, stamp)) = &admit.carried
            && self.label_stamp(org, beside).await? != *stamp
        {
            return Err(AdmitError::LabelsMoved(self.labels(org, scope).await?).into());
        }
        for reserve in &admit.reserve {
            self.check_reserve(org, reserve).await?;
        }
        for put in &admit.puts {
            self.check_put(org, put).await?;
        }
        self.writes();
        for reserve in &admit.reserve {
            self.reserve(org, reserve).await?;
        }
        for put in &admit.puts {
            self.put(org, put).await?;
        }
        self.keep_blobs(org, &admit.blobs).await?;
        self.raise_labels(org, &admit.raise, admit.at, admit.decision.as_str())
            .await?;
        let index = self.append(org, &admit.entries);
        if let Some(node) = &admit.sends {
            self.open_call(admit, index, node).await?;
        }
        let labels = if admit.raise.is_empty() {
            *version
        } else {
            self.label_version(org, scope).await?
        };
        let changed = changed(org, epoch, admit.puts.iter(), false);
        Ok(Done {
            committed: None,
            admitted: Some(Admitted { index, labels }),
            changed,
        })
    }

    /// What would be used after it, where that is permitted. A negative amount would give back, so it counts as nothing.
    async fn check_reserve(&mut self, org: &OrgId, reserve: &Reserve) -> Result<i64, Stop> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT key, used FROM counters WHERE org = $1 AND (key = $2 OR key = ANY($3))",
        )
        .bind(org.as_str())
        .bind(&reserve.key)
        .bind(&reserve.also)
        .fetch_all(&mut *self.db)
        .await?;
        let own = rows.iter().find(|(key, _)| *key == reserve.key);
        let own = own.map_or(0, |(_, used)| *used);
        let used = rows
            .iter()
            .fold(0_i64, |sum, (_, n)| sum.saturating_add(*n));
        let amount = reserve.amount.max(0);
        match (own.checked_add(amount), used.checked_add(amount)) {
            (Some(after), Some(all)) if all <= reserve.max => Ok(after),
            _ => {
                let (key, max) = (reserve.key.clone(), reserve.max);
                Err(AdmitError::LimitExceeded { key, used, max }.into())
            }
        }
    }

    /// Checks again, since one admission may reserve of one counter twice.
    async fn reserve(&mut self, org: &OrgId, reserve: &Reserve) -> Result<(), Stop> {
        let after = self.check_reserve(org, reserve).await?;
        sqlx::query(
            "INSERT INTO counters (org, key, used, until) VALUES ($1, $2, $3, $4) ON CONFLICT (org, key)
             DO UPDATE SET used = excluded.used, until = greatest(counters.until, excluded.until)",
        )
        .bind(org.as_str())
        .bind(&reserve.key)
        .bind(after)
        .bind(reserve.until.as_micros())
        .execute(&mut *self.db)
        .await?;
        Ok(())
    }

    async fn open_call(&mut self, admit: &Admit, index: u64, node: &str) -> Result<(), Stop> {
        let new = sqlx::query(
            "INSERT INTO calls (org, decision, idx, agent, run, tool, node, at, held)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(admit.org.as_str())
        .bind(admit.decision.as_str())
        .bind(int(index))
        .bind(admit.agent.as_str())
        .bind(admit.run.as_str())
        .bind(admit.tool.to_string())
        .bind(node)
        .bind(admit.at.as_micros())
        .bind(admit.held())
        .execute(&mut *self.db)
        .await?;
        if new.rows_affected() == 1 {
            Ok(())
        } else {
            let key = admit.decision.to_string();
            Err(StoreError::Replayed { key }.into())
        }
    }
}
