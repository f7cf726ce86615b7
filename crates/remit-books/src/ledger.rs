//! Entries: sealing events, opening what was sealed, destroying what must go.

use std::borrow::Cow;

use remit_domain::event::{Event, EventKind};
use remit_domain::{OrgId, Principal};
use remit_ledger::{Body, Leaf, NewEntry};
use remit_ports::store::{Commit, EntryFilter, StoredEntry};

use crate::{Books, BooksError};

/// The scope of what belongs to no run, person or agent.
const ORGANIZATION: &str = "organization";

/// An entry, with its content where that can still be read.
#[derive(Debug, Clone)]
pub struct OpenedEntry {
    /// As stored.
    pub stored: StoredEntry,
    /// The leaf, read.
    pub leaf: Leaf,
    /// The content; none when there was none or it was shredded.
    pub body: Option<Body>,
    /// Whether the content was shredded.
    pub shredded: bool,
}

impl Books {
    /// Seals an event as an entry of `org`. Waits only the first time a shred scope is used.
    ///
    /// # Errors
    /// When the event does not fit an entry or its key cannot be had.
    pub async fn seal(&self, org: &OrgId, event: &Event) -> Result<NewEntry, BooksError> {
        let (event, key) = match self.data_key(org, &event.shred_scope).await {
            Ok(key) => (Cow::Borrowed(event), key),
            // What happens to something after its content was destroyed is told without any.
            Err(BooksError::Shredded) => {
                let mut bare = event.clone();
                bare.content.clear();
                (Cow::Owned(bare), self.data_key(org, ORGANIZATION).await?)
            }
            Err(error) => return Err(error),
        };
        Ok(remit_ledger::seal(
            org,
            &event,
            &key,
            self.random(),
            self.random(),
        )?)
    }

    /// Opens an entry and holds its content against its leaf.
    ///
    /// # Errors
    /// When the leaf cannot be read, or the content is not what it commits to.
    pub async fn open_entry(
        &self,
        org: &OrgId,
        stored: StoredEntry,
    ) -> Result<OpenedEntry, BooksError> {
        let leaf = Leaf::parse(&stored.leaf).map_err(remit_ledger::SealError::from)?;
        if stored.sealed.is_empty() {
            return Ok(OpenedEntry {
                stored,
                leaf,
                body: None,
                shredded: false,
            });
        }
        let mut shredded = false;
        for scope in scopes(&leaf) {
            match self.opened(org, &scope).await {
                Ok(Some(key)) => {
                    if let Ok(body) = remit_ledger::open(&stored.leaf, &stored.sealed, &key) {
                        return Ok(OpenedEntry {
                            stored,
                            leaf,
                            body: Some(body),
                            shredded: false,
                        });
                    }
                }
                Ok(None) => {}
                // Which scope it was sealed under is not written down: the entry that tells of a shredding is about the
                // scope that is gone, and sealed under the organization's.
                Err(BooksError::Shredded) => shredded = true,
                Err(error) => return Err(error),
            }
        }
        if shredded {
            return Ok(OpenedEntry {
                stored,
                leaf,
                body: None,
                shredded,
            });
        }
        Err(remit_ledger::SealError::Cipher.into())
    }

    /// Entries that match, opened.
    ///
    /// # Errors
    /// When the store cannot be read or an entry does not open.
    pub async fn opened_entries(
        &self,
        org: &OrgId,
        filter: &EntryFilter,
    ) -> Result<Vec<OpenedEntry>, BooksError> {
        let mut opened = Vec::new();
        for stored in self.store().entries(org, filter).await? {
            opened.push(self.open_entry(org, stored).await?);
        }
        Ok(opened)
    }

    /// Destroys the key of a shred scope: what it sealed can never be read again, and every proof still holds.
    ///
    /// # Errors
    /// `StillCounts` for a run that has not ended, or a person for whom a delegation still counts: what bounds it would be
    /// gone; when it cannot be committed.
    pub async fn shred(
        &self,
        org: &OrgId,
        scope: &str,
        by: Principal,
        reason: &str,
    ) -> Result<(), BooksError> {
        if self.org(org).is_some_and(|book| book.counts(scope)) {
            return Err(BooksError::StillCounts(scope.to_owned()));
        }
        let event = Event::new(EventKind::ContentShredded, self.now(), by)
            .about(scope)
            .content("reason", reason);
        let entry = self.seal(org, &event).await?;
        let commit = Commit {
            org: org.clone(),
            at: self.now(),
            puts: Vec::new(),
            entries: vec![entry],
            blobs: Vec::new(),
            once: Vec::new(),
            raise_epoch: false,
            lower: None,
            at_epoch: None,
        };
        self.store().shred(org, scope, commit).await?;
        self.forget(org, scope);
        Ok(())
    }
}

/// The scopes an entry can have been sealed under, most specific first.
fn scopes(leaf: &Leaf) -> Vec<String> {
    let run = leaf.run.as_ref().map(ToString::to_string);
    run.into_iter()
        .chain(leaf.subject.clone())
        .chain([ORGANIZATION.to_owned()])
        .collect()
}
