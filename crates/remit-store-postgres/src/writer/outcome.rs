//! What came of a call.

use remit_domain::OrgId;
use remit_ports::store::{Outcome, held};

use super::batch::Done;
use super::unit::{Unit, changed};
use crate::error::Stop;

impl Unit<'_> {
    /// Closes the call. What happened is recorded whatever else has changed meanwhile: a record that does not fit any more is
    /// left as it is. Amounts are given back only by whoever closes the call, so that a second report gives back nothing.
    ///
    /// `again`: an attempt before may have written it; then it is not written twice.
    pub(super) async fn outcome(&mut self, outcome: &Outcome, again: bool) -> Result<Done, Stop> {
        let org = &outcome.org;
        if again && self.is_recorded(outcome).await? {
            return Ok(Done::default());
        }
        self.writes();
        let closed: Option<Option<String>> =
            sqlx::query_scalar("DELETE FROM calls WHERE org = $1 AND decision = $2 RETURNING held")
                .bind(org.as_str())
                .bind(outcome.decision.as_str())
                .fetch_optional(&mut *self.db)
                .await?;
        self.append(org, &outcome.entries);
        self.raise_labels(org, &outcome.raise, outcome.at, outcome.decision.as_str())
            .await?;
        if let Some(kept) = closed {
            self.release(org, &held(kept.as_deref())).await?;
            self.release(org, &outcome.release).await?;
        }
        let mut written = Vec::with_capacity(outcome.puts.len());
        for put in &outcome.puts {
            match self.put(org, put).await {
                Ok(_) => written.push(put),
                Err(Stop::Refused(error)) => {
                    let decision = &outcome.decision;
                    tracing::warn!(%error, %decision, "a record of an outcome has changed meanwhile and stays as it is");
                }
                Err(stop) => return Err(stop),
            }
        }
        let changed = changed(org, self.epoch(org), written.into_iter(), false);
        Ok(Done {
            changed,
            ..Done::default()
        })
    }

    /// Whether the first entry is in the ledger: leaves hold a time and commitments of their own, so that no two are alike.
    async fn is_recorded(&mut self, outcome: &Outcome) -> sqlx::Result<bool> {
        let Some(entry) = outcome.entries.first() else {
            return Ok(false);
        };
        let newest =
            "SELECT EXISTS (SELECT 1 FROM entries WHERE org = $1 AND decision = $2 AND leaf = $3)";
        sqlx::query_scalar(newest)
            .bind(outcome.org.as_str())
            .bind(entry.decision.as_ref().map(|id| id.as_str()))
            .bind(&entry.leaf)
            .fetch_one(&mut *self.db)
            .await
    }

    async fn release(&mut self, org: &OrgId, release: &[(String, i64)]) -> sqlx::Result<()> {
        for (key, amount) in release {
            sqlx::query(
                "UPDATE counters SET used = greatest(0, used - $3) WHERE org = $1 AND key = $2",
            )
            .bind(org.as_str())
            .bind(key)
            .bind((*amount).max(0))
            .execute(&mut *self.db)
            .await?;
        }
        Ok(())
    }
}
