//! The one point of effect.

use remit_domain::OrgId;
use remit_ports::store::{Admit, AdmitError, Admitted, Reserve, StoreError};
use rusqlite::{OptionalExtension, params};

use super::batch::Done;
use super::unit::{Unit, changed};
use crate::error::Stop;
use crate::number::int;

impl Unit<'_> {
    /// Admits a decision: every check first, then every write.
    pub(super) fn admit(&mut self, admit: &Admit) -> Result<Done, Stop> {
        let org = &admit.org;
        let (scope, version) = &admit.labels;
        let epoch = self.head(org)?.epoch;
        if epoch != admit.epoch {
            return Err(AdmitError::EpochMoved(epoch).into());
        }
        if self.label_version(org, scope)? != *version {
            return Err(AdmitError::LabelsMoved(self.labels(org, scope)?).into());
        }
        if let Some((beside, stamp)) = &admit.carried
            && self.label_stamp(org, beside)? != *stamp
        {
            return Err(AdmitError::LabelsMoved(self.labels(org, scope)?).into());
        }
        for reserve in &admit.reserve {
            self.check_reserve(org, reserve)?;
        }
        for put in &admit.puts {
            self.check_put(org, put)?;
        }
        if admit.sends.is_some() {
            self.check_call(admit)?;
        }
        self.writes();
        for reserve in &admit.reserve {
            self.reserve(org, reserve)?;
        }
        for put in &admit.puts {
            self.put(org, put)?;
        }
        self.keep_blobs(org, &admit.blobs)?;
        self.raise_labels(org, &admit.raise, admit.at, admit.decision.as_str())?;
        let index = self.append(org, &admit.entries)?;
        if let Some(node) = &admit.sends {
            self.open_call(admit, index, node)?;
        }
        let labels = if admit.raise.is_empty() {
            *version
        } else {
            self.label_version(org, scope)?
        };
        let changed = changed(org, epoch, admit.puts.iter(), false);
        Ok(Done {
            committed: None,
            admitted: Some(Admitted { index, labels }),
            changed,
        })
    }

    /// What would be used after it, where that is permitted. A negative amount would give back, so it counts as nothing.
    fn check_reserve(&self, org: &OrgId, reserve: &Reserve) -> Result<i64, Stop> {
        let own = self.used(org, &reserve.key)?;
        let mut used = own;
        for key in &reserve.also {
            used = used.saturating_add(self.used(org, key)?);
        }
        let amount = reserve.amount.max(0);
        match (own.checked_add(amount), used.checked_add(amount)) {
            (Some(after), Some(all)) if all <= reserve.max => Ok(after),
            _ => Err(AdmitError::LimitExceeded {
                key: reserve.key.clone(),
                used,
                max: reserve.max,
            }
            .into()),
        }
    }

    fn used(&self, org: &OrgId, key: &str) -> rusqlite::Result<i64> {
        let used = self
            .db
            .prepare_cached("SELECT used FROM counters WHERE org = ?1 AND key = ?2")?
            .query_row(params![org.as_str(), key], |row| row.get(0))
            .optional()?;
        Ok(used.unwrap_or(0))
    }

    /// Checks again, since one admission may reserve of one counter twice.
    fn reserve(&self, org: &OrgId, reserve: &Reserve) -> Result<(), Stop> {
        let after = self.check_reserve(org, reserve)?;
        self.db
            .prepare_cached(
                "INSERT INTO counters (org, key, used, until) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET used = excluded.used, until = max(until, excluded.until)",
            )?
            .execute(params![org.as_str(), reserve.key, after, reserve.until.as_micros()])?;
        Ok(())
    }

    fn check_call(&self, admit: &Admit) -> Result<(), Stop> {
        let open = self
            .db
            .prepare_cached("SELECT 1 FROM calls WHERE org = ?1 AND decision = ?2")?
            .exists(params![admit.org.as_str(), admit.decision.as_str()])?;
        if open {
            Err(StoreError::Replayed {
                key: admit.decision.to_string(),
            }
            .into())
        } else {
            Ok(())
        }
    }

    fn open_call(&self, admit: &Admit, index: u64, node: &str) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "INSERT INTO calls (org, decision, idx, agent, run, tool, node, at, held) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                admit.org.as_str(),
                admit.decision.as_str(),
                int(index),
                admit.agent.as_str(),
                admit.run.as_str(),
                admit.tool.to_string(),
                node,
                admit.at.as_micros(),
                admit.held(),
            ])
            .map(|_| ())
    }
}
