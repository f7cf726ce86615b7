//! What came of a call.

use remit_domain::OrgId;
use remit_ports::store::{Outcome, held};
use rusqlite::{OptionalExtension, params};

use super::batch::Done;
use super::unit::{Unit, changed};
use crate::error::Stop;

impl Unit<'_> {
    /// Closes the call. What happened is recorded whatever else has changed meanwhile: a record that does not fit any more is
    /// left as it is. Amounts are given back only by whoever closes the call, so that a second report gives back nothing.
    pub(super) fn outcome(&mut self, outcome: &Outcome) -> Result<Done, Stop> {
        let org = &outcome.org;
        self.writes();
        let closed: Option<Option<String>> = self
            .db
            .prepare_cached("DELETE FROM calls WHERE org = ?1 AND decision = ?2 RETURNING held")?
            .query_row(params![org.as_str(), outcome.decision.as_str()], |row| {
                row.get(0)
            })
            .optional()?;
        self.append(org, &outcome.entries)?;
        self.raise_labels(org, &outcome.raise, outcome.at, outcome.decision.as_str())?;
        if let Some(kept) = closed {
            self.release(org, &held(kept.as_deref()))?;
            self.release(org, &outcome.release)?;
        }
        let mut written = Vec::with_capacity(outcome.puts.len());
        for put in &outcome.puts {
            match self.put(org, put) {
                Ok(_) => written.push(put),
                Err(Stop::Refused(error)) => {
                    tracing::warn!(%error, decision = %outcome.decision, "a record of an outcome has changed meanwhile and stays as it is");
                }
                Err(stop) => return Err(stop),
            }
        }
        let epoch = self.head(org)?.epoch;
        Ok(Done {
            changed: changed(org, epoch, written.into_iter(), false),
            ..Done::default()
        })
    }

    fn release(&self, org: &OrgId, release: &[(String, i64)]) -> rusqlite::Result<()> {
        for (key, amount) in release {
            self.db
                .prepare_cached(
                    "UPDATE counters SET used = max(0, used - ?3) WHERE org = ?1 AND key = ?2",
                )?
                .execute(params![org.as_str(), key, (*amount).max(0)])?;
        }
        Ok(())
    }
}
