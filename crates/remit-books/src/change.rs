//! One change of state: what to write and what to tell.

use remit_domain::event::Event;
use remit_domain::{Kind, Noun, OrgId};
use remit_ports::store::{Blob, Commit, Committed, Expect, Lower, Once, Put};

use crate::policies;
use crate::{Books, BooksError};

/// One change of state: records, the events that tell of it, single-use keys it consumes.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub(crate) puts: Vec<Put>,
    pub(crate) events: Vec<Event>,
    pub(crate) once: Vec<Once>,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) raise_epoch: bool,
    pub(crate) lower: Option<Lower>,
    pub(crate) at_epoch: Option<u64>,
}

impl Change {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a record that must be new.
    #[must_use]
    pub fn create<N: Noun>(mut self, noun: &N) -> Self {
        self.puts.push(Put::new(noun, Expect::Absent));
        self
    }

    /// Writes a record that must be at this revision.
    #[must_use]
    pub fn update<N: Noun>(mut self, noun: &N, revision: u64) -> Self {
        self.puts.push(Put::new(noun, Expect::Revision(revision)));
        self
    }

    /// Tells of it.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// Consumes a single-use key.
    #[must_use]
    pub fn once(mut self, once: Once) -> Self {
        self.once.push(once);
        self
    }

    /// Keeps content by its hash.
    #[must_use]
    pub fn blob(mut self, blob: Blob) -> Self {
        self.blobs.push(blob);
        self
    }

    /// Raises the containment epoch: for everything that takes a right away.
    #[must_use]
    pub fn restrict(mut self) -> Self {
        self.raise_epoch = true;
        self
    }

    /// Takes labels back: what a declassification is for.
    #[must_use]
    pub fn lower(mut self, lower: Lower) -> Self {
        self.lower = Some(lower);
        self
    }

    /// Was decided at this containment epoch: at another one nothing is written (`EpochMoved`).
    #[must_use]
    pub fn decided_at(mut self, epoch: u64) -> Self {
        self.at_epoch = Some(self.at_epoch.map_or(epoch, |before| before.min(epoch)));
        self
    }

    /// The records it writes, by kind and key.
    pub fn writes(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.puts.iter().map(|put| (put.kind, put.key.as_str()))
    }

    /// Takes what it would write into a copy of a registry, so that what builds on it can be tried before anything is
    /// committed.
    ///
    /// # Errors
    /// When a record is not of its kind.
    pub fn try_on(&self, registry: &mut remit_domain::Registry) -> Result<(), BooksError> {
        for put in &self.puts {
            let revision = match put.expect {
                Expect::Revision(revision) => revision.saturating_add(1),
                Expect::Absent | Expect::Any => 1,
            };
            registry.apply(put.kind, &put.key, revision, &put.body)?;
        }
        Ok(())
    }

    /// Both changes as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.puts.extend(other.puts);
        self.events.extend(other.events);
        self.once.extend(other.once);
        self.blobs.extend(other.blobs);
        self.raise_epoch |= other.raise_epoch;
        self.lower = self.lower.or(other.lower);
        match other.at_epoch {
            Some(epoch) => self.decided_at(epoch),
            None => self,
        }
    }
}

impl Books {
    /// Commits a change: sealed, durable, and taken into the registry when this returns.
    ///
    /// # Errors
    /// [`BooksError`]; nothing has changed then. `Store(Conflict)` asks to read again and repeat.
    pub async fn commit(&self, org: &OrgId, change: Change) -> Result<Committed, BooksError> {
        let book = self
            .org(org)
            .ok_or_else(|| BooksError::NoOrganization(org.to_string()))?;
        // Policies are compiled before they are written: what does not compile never goes live. One such change at a time,
        // so that each engine is made of everything before it.
        let compiles = change.puts.iter().any(|p| policies::compiles(p.kind));
        let _turn = if compiles {
            Some(book.compiling.lock().await)
        } else {
            None
        };
        let raises = change.raise_epoch;
        let _order = if raises {
            Some(book.restricting.lock().await)
        } else {
            None
        };
        let engine = if compiles {
            Some(book.engine_after(&change.puts, self.now())?)
        } else {
            None
        };
        let mut entries = Vec::with_capacity(change.events.len());
        for event in &change.events {
            entries.push(self.seal(org, event).await?);
        }
        let puts = change.puts;
        let commit = Commit {
            org: org.clone(),
            at: self.now(),
            puts: self.sealed_puts(org, puts.clone()).await?,
            entries,
            blobs: change.blobs,
            once: change.once,
            raise_epoch: change.raise_epoch,
            lower: change.lower,
            at_epoch: change.at_epoch,
        };
        let committed = self.store().commit(commit).await?;
        if book.take(&puts, &committed, engine, raises)? {
            self.refresh(&book).await?;
        }
        Ok(committed)
    }
}
