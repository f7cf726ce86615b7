//! When credentials and grants were last used: noted in memory as it happens, written down at most once an hour for each.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use remit_domain::hygiene::{CredentialUse, USE_SECS, WATCHED};
use remit_domain::{Kind, OrgId, Timestamp};
use remit_ports::store::StoreError;

use crate::{Books, BooksError, Change};

/// Most uses that wait to be written; above it, a use is not noted.
const WAITING_MAX: usize = 200_000;
/// Most uses that one commit writes.
const AT_ONCE: usize = 500;

/// Uses that were not written yet.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<OrgId, BTreeMap<String, Timestamp>>>);

impl Books {
    /// Notes that a credential or a grant was used now. Costs a look into a map.
    ///
    /// - `id`: a thumbprint, a digest, or the id of a record.
    pub fn note_use(&self, org: &OrgId, id: &str) {
        let now = self.now();
        let mut all = self
            .inner
            .uses
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_org = match all.get_mut(org) {
            Some(of_org) => of_org,
            None => all.entry(org.clone()).or_default(),
        };
        if let Some(last) = of_org.get_mut(id) {
            *last = now;
        } else if of_org.len() < WAITING_MAX {
            of_org.insert(id.to_owned(), now);
        }
    }

    /// Writes down what was noted, where the last use that is written is an hour ago. Another node may have written the same;
    /// what it wrote stays, and this is tried again at the next use.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn write_uses(&self, org: &OrgId) -> Result<(), BooksError> {
        let noted = {
            let mut all = self
                .inner
                .uses
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            all.remove(org).unwrap_or_default()
        };
        let Some(book) = self.org(org) else {
            return Ok(());
        };
        let mut due: Vec<(CredentialUse, Option<u64>)> = {
            let registry = book.registry();
            let watched = (!registry.uses.contains_key(WATCHED) && !book.is_operator())
                .then(|| (WATCHED.to_owned(), self.now()));
            let is_due = |(id, last): &(String, Timestamp)| {
                let written = registry.uses.get(id);
                written.is_none_or(|w| last.secs_since(w.last) >= USE_SECS)
            };
            noted
                .into_iter()
                .chain(watched)
                .filter(is_due)
                .map(|(id, last)| {
                    let revision = registry.revision(Kind::CredentialUse, &id);
                    (CredentialUse { id, last }, revision)
                })
                .collect()
        };
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(AT_ONCE));
            let change =
                due.drain(..)
                    .fold(Change::new(), |change, (used, revision)| match revision {
                        Some(revision) => change.update(&used, revision),
                        None => change.create(&used),
                    });
            match self.commit(org, change).await {
                Ok(_) | Err(BooksError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => return Err(error),
            }
            due = rest;
        }
        Ok(())
    }
}
