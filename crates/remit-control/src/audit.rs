//! The ledger, for those who check it: reading entries, proving one, and verifying the whole.

mod verify;

use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::{DecisionId, OrgId, RefusalCode, Role, RunId, Timestamp};
use remit_ports::store::EntryFilter;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::not_found;
use crate::run::{EventView, Reader, told};
use crate::{Caller, Control, ControlError, Listing, refuse};

pub use verify::{Gap, GapState, Mismatch, Verification};

/// Most entries on a page.
const PAGE_MAX: u32 = 1_000;

/// Which entries to read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EntryQuery {
    /// Only of this kind.
    pub kind: Option<EventKind>,
    /// Only of this agent, by name.
    pub agent: Option<Name>,
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only of this decision.
    pub decision: Option<DecisionId>,
    /// Only from this index on; newest first, only below it.
    pub from: Option<u64>,
    /// Only at or after this time.
    pub since: Option<Timestamp>,
    /// Only before this time.
    pub until: Option<Timestamp>,
    /// At most this many, 1 to 1,000; 100 where absent.
    pub limit: Option<u32>,
    /// Newest first.
    pub newest: bool,
}

impl Control {
    /// Entries that match. Auditors read what was sealed; administrators read the leaves alone.
    ///
    /// # Errors
    /// `forbidden` for anyone else; `not-found` for an agent that is not here; when an entry does not open.
    pub async fn entries(
        &self,
        caller: &Caller,
        query: &EntryQuery,
    ) -> Result<Listing<EventView>, ControlError> {
        caller.require(&[Role::Auditor, Role::Admin])?;
        let reader = if caller.holds(Role::Auditor) {
            Reader::Whole
        } else {
            Reader::Leaf
        };
        let book = self.book(&caller.org)?;
        let agent = match &query.agent {
            None => None,
            Some(name) => {
                let found = book
                    .registry()
                    .agent_named(name.as_str())
                    .map(|a| a.id.clone());
                Some(found.ok_or_else(|| not_found("agent", name))?)
            }
        };
        let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
        let filter = EntryFilter {
            from: query.from.unwrap_or(0),
            kinds: query.kind.into_iter().collect(),
            agent,
            run: query.run.clone(),
            decision: query.decision.clone(),
            since: query.since,
            until: query.until,
            limit,
            descending: query.newest,
            leaves_only: false,
        };
        let entries = self.books.opened_entries(&caller.org, &filter).await?;
        let full = u32::try_from(entries.len()).is_ok_and(|n| n == limit);
        let next = entries.last().filter(|_| full).map(|e| e.stored.index);
        // Descending goes on below the last one, ascending after it.
        let next = next.map(|index| if query.newest { index } else { index + 1 });
        let next = next
            .filter(|index| *index > 0)
            .map(|index| index.to_string());
        let registry = book.registry();
        Ok(Listing {
            items: entries.iter().map(|e| told(&registry, e, reader)).collect(),
            next,
        })
    }

    /// Proof that an entry is in the ledger, with its leaf, as c2sp.org/tlog-proof text. The leaf is what is proved; it holds
    /// no personal data.
    ///
    /// # Errors
    /// `forbidden` for anyone but auditors; `not-found` for an index beyond the end.
    pub async fn prove(&self, caller: &Caller, index: u64) -> Result<String, ControlError> {
        caller.require(&[Role::Auditor])?;
        self.leaf(&caller.org, index).await?;
        Ok(self.books.prove(&caller.org, index).await?.encode())
    }

    /// An entry's leaf, whose hash the proof of [`Control::prove`] leads to.
    ///
    /// # Errors
    /// `forbidden` for anyone but auditors and administrators; `not-found` for an index beyond the end.
    pub async fn leaf_bytes(&self, caller: &Caller, index: u64) -> Result<Vec<u8>, ControlError> {
        caller.require(&[Role::Auditor, Role::Admin])?;
        self.leaf(&caller.org, index).await
    }

    async fn leaf(&self, org: &OrgId, index: u64) -> Result<Vec<u8>, ControlError> {
        let filter = EntryFilter {
            from: index,
            limit: 1,
            ..EntryFilter::default()
        };
        let found = self
            .books
            .store()
            .entries(org, &filter)
            .await?
            .into_iter()
            .find(|e| e.index == index);
        found
            .map(|e| e.leaf)
            .ok_or_else(|| not_found("entry", index))
    }

    /// Verifies the organization's ledger: every leaf is read again from the store, hashed, and held against the signed
    /// checkpoint, and against one kept elsewhere where it is given.
    ///
    /// # Errors
    /// `forbidden` for anyone but auditors; `invalid-request` for a kept checkpoint that is not one of this ledger. What is
    /// wrong with the ledger is no error: it is in the report.
    pub async fn verify(
        &self,
        caller: &Caller,
        kept: Option<&str>,
    ) -> Result<Verification, ControlError> {
        caller.require(&[Role::Auditor])?;
        self.verify_ledger(&caller.org, kept, &|_, _| {}).await
    }

    /// The same, which tells on the way how many entries it has read, and of how many.
    ///
    /// # Errors
    /// As [`Control::verify`].
    pub async fn verify_and_tell(
        &self,
        caller: &Caller,
        kept: Option<&str>,
        told: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Verification, ControlError> {
        caller.require(&[Role::Auditor])?;
        self.verify_ledger(&caller.org, kept, told).await
    }

    pub(crate) async fn verify_ledger(
        &self,
        org: &OrgId,
        kept: Option<&str>,
        told: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Verification, ControlError> {
        let key = self.books.log_key(org).await?;
        let kept = match kept {
            None => None,
            Some(note) => Some(remit_tlog::verify_note(note, &key).map_err(|e| {
                refuse(
                    RefusalCode::InvalidRequest,
                    format!("the kept checkpoint is not one of this ledger: {e}"),
                )
            })?),
        };
        verify::run(&self.books, org, &key, kept.as_ref(), told).await
    }
}

#[cfg(test)]
mod tests;
