//! Reading nouns that the registry does not keep.

use remit_domain::{Kind, Noun, OrgId};
use remit_ports::store::{Filter, Record};

use crate::{Books, BooksError};

/// A noun and the revision it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<N> {
    /// The noun.
    pub noun: N,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Books {
    /// One noun by key.
    ///
    /// # Errors
    /// When the store cannot be read, or the record is not of its kind.
    pub async fn get<N: Noun>(
        &self,
        org: &OrgId,
        key: &str,
    ) -> Result<Option<Versioned<N>>, BooksError> {
        self.record(org, N::KIND, key).await?.map(read).transpose()
    }

    /// One noun by name.
    ///
    /// # Errors
    /// When the store cannot be read, or the record is not of its kind.
    pub async fn find<N: Noun>(
        &self,
        org: &OrgId,
        name: &str,
    ) -> Result<Option<Versioned<N>>, BooksError> {
        let Some(record) = self.store().find(org, N::KIND, name).await? else {
            return Ok(None);
        };
        let record = self
            .opened_record(org, record, &mut Default::default())
            .await?;
        record.map(read).transpose()
    }

    /// A page of nouns, and where to go on.
    ///
    /// # Errors
    /// When the store cannot be read, or a record is not of its kind.
    pub async fn list<N: Noun>(
        &self,
        org: &OrgId,
        filter: &Filter,
    ) -> Result<(Vec<Versioned<N>>, Option<String>), BooksError> {
        let page = self.store().list(org, N::KIND, filter).await?;
        let mut nouns = Vec::with_capacity(page.records.len());
        let mut keys = Default::default();
        for record in page.records {
            if let Some(record) = self.opened_record(org, record, &mut keys).await? {
                nouns.push(read(record)?);
            }
        }
        Ok((nouns, page.next))
    }

    /// Reads a record that another node wrote into the registry, before the feed tells of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn take_in(&self, org: &OrgId, kind: Kind, key: &str) -> Result<(), BooksError> {
        let record = self.record(org, kind, key).await?;
        if let (Some(book), Some(record)) = (self.org(org), record) {
            book.apply(kind, key, record.revision, &record.body)?;
        }
        Ok(())
    }

    /// One record, its content opened.
    pub(crate) async fn record(
        &self,
        org: &OrgId,
        kind: Kind,
        key: &str,
    ) -> Result<Option<Record>, BooksError> {
        match self.store().get(org, kind, key).await? {
            Some(record) => {
                self.opened_record(org, record, &mut Default::default())
                    .await
            }
            None => Ok(None),
        }
    }
}

fn read<N: Noun>(record: Record) -> Result<Versioned<N>, BooksError> {
    Ok(Versioned {
        noun: serde_json::from_value(record.body)?,
        revision: record.revision,
    })
}
