//! The derived tree: after entries are durable, their leaves are hashed, and the new head is signed.

use std::collections::BTreeMap;

use remit_domain::key::KeyUse;
use remit_domain::{OrgId, Timestamp};
use remit_ports::store::{EntryFilter, Once, StoreError, TreeAppend};
use remit_tlog::{Checkpoint, Frontier, Hash, SigningKey, TlogProof, VerifierKey};

use crate::{Books, BooksError};

/// What signing the next head of a ledger needs.
pub(crate) struct LogState {
    frontier: Frontier,
    key: SigningKey,
    note: String,
}

/// Entries hashed in one step.
const STEP: u32 = 10_000;

impl Books {
    /// Name of an organization's ledger, which is its origin and the name of its key.
    pub fn log_origin(&self, org: &OrgId) -> String {
        format!("{}/{org}", self.inner.parts.origin)
    }

    /// The key that verifies an organization's checkpoints.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub async fn log_key(&self, org: &OrgId) -> Result<VerifierKey, BooksError> {
        Ok(self.log_signing_key(org).await?.verifier().clone())
    }

    /// A note signed with an organization's key (c2sp.org/signed-note): `text` is one or more whole lines.
    ///
    /// # Errors
    /// When the key cannot be had, or the text is none that can be signed.
    pub async fn sign_note(&self, org: &OrgId, text: &str) -> Result<String, BooksError> {
        let key = self.log_signing_key(org).await?;
        let inconsistent = |e: &dyn std::fmt::Display| StoreError::Inconsistent {
            table: "note",
            key: org.to_string(),
            why: e.to_string(),
        };
        Ok(remit_tlog::sign_note(&key, text).map_err(|e| inconsistent(&e))?)
    }

    /// The text of a note that the organization's key signed; none where it did not.
    ///
    /// # Errors
    /// When the key cannot be had.
    pub async fn open_note(&self, org: &OrgId, note: &str) -> Result<Option<String>, BooksError> {
        let key = self.log_key(org).await?;
        Ok(remit_tlog::open_note(note, &key).ok())
    }

    async fn log_signing_key(&self, org: &OrgId) -> Result<SigningKey, BooksError> {
        let origin = self.log_origin(org);
        let seed: [u8; 32] = match self.signing_keys(org, KeyUse::Ledger).await?.pop() {
            Some((key, secret)) => secret
                .as_slice()
                .try_into()
                .map_err(|_| BooksError::BadKey(key.id.to_string()))?,
            None => self.make_log_seed(org, &origin).await?,
        };
        Ok(SigningKey::from_seed(&seed, &origin)?)
    }

    /// Makes the ledger's key, once for all nodes: whoever comes second takes the first one's.
    async fn make_log_seed(&self, org: &OrgId, origin: &str) -> Result<[u8; 32], BooksError> {
        let seed: [u8; 32] = self.random();
        let public = SigningKey::from_seed(&seed, origin)?.verifier().to_string();
        let once = Once {
            key: "ledger-key".to_owned(),
            until: Timestamp::from_micros(i64::MAX),
        };
        match self
            .add_signing_key(org, KeyUse::Ledger, public, &seed, Some(once))
            .await
        {
            Ok(_) => Ok(seed),
            Err(BooksError::Store(StoreError::Replayed { .. })) => {
                let first = self.signing_keys(org, KeyUse::Ledger).await?.pop();
                let (key, secret) = first.ok_or_else(|| BooksError::BadKey(origin.to_owned()))?;
                let secret = secret.as_slice().try_into();
                secret.map_err(|_| BooksError::BadKey(key.id.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Brings the tree up to the newest entry and returns the signed checkpoint.
    ///
    /// # Errors
    /// When the stored tree does not agree with its own signed head: nothing is signed then.
    pub async fn checkpoint(&self, org: &OrgId) -> Result<(u64, String), BooksError> {
        let book = self
            .org(org)
            .ok_or_else(|| BooksError::NoOrganization(org.to_string()))?;
        let mut log = book.log.lock().await;
        if log.is_none() {
            *log = Some(self.resume_log(org).await?);
        }
        let result = match log.as_mut() {
            Some(state) => self.grow(org, state).await,
            None => Err(BooksError::NoOrganization(org.to_string())),
        };
        if result.is_err() {
            // Another node may have signed meanwhile: begin from what is stored.
            *log = None;
        }
        result
    }

    async fn resume_log(&self, org: &OrgId) -> Result<LogState, BooksError> {
        let key = self.log_signing_key(org).await?;
        let Some((size, note)) = self.store().checkpoint(org).await? else {
            return Ok(LogState {
                frontier: Frontier::new(),
                key,
                note: String::new(),
            });
        };
        let stored = self.hashes_at(org, &remit_tlog::root_reads(size)?).await?;
        let frontier = Frontier::resume(size, &stored)?;
        let signed = remit_tlog::verify_note(&note, key.verifier())?;
        if signed.size() != size || signed.root() != frontier.root() {
            return Err(remit_ports::store::StoreError::Inconsistent {
                table: "tree",
                key: org.to_string(),
                why: "the stored tree is not the one its checkpoint signed".to_owned(),
            }
            .into());
        }
        Ok(LogState {
            frontier,
            key,
            note,
        })
    }

    async fn grow(&self, org: &OrgId, state: &mut LogState) -> Result<(u64, String), BooksError> {
        let count = self.store().entry_count(org).await?;
        while state.frontier.size() < count || state.note.is_empty() {
            let mut next = state.frontier.clone();
            let filter = EntryFilter {
                from: next.size(),
                limit: STEP,
                leaves_only: true,
                ..EntryFilter::default()
            };
            let mut hashes = Vec::new();
            for entry in self.store().entries(org, &filter).await? {
                hashes.extend(
                    next.append(remit_tlog::leaf_hash(&entry.leaf))?
                        .hashes
                        .into_iter()
                        .map(|h| *h.as_bytes()),
                );
            }
            let head = Checkpoint::new(&self.log_origin(org), next.size(), next.root())?;
            let note = remit_tlog::sign_checkpoint(&state.key, &head)?;
            let append = TreeAppend {
                old_size: state.frontier.size(),
                new_size: next.size(),
                hashes,
                checkpoint: note.clone(),
            };
            self.store().append_tree(org, append).await?;
            state.frontier = next;
            state.note = note;
        }
        Ok((state.frontier.size(), state.note.clone()))
    }

    /// Proof that entry `index` is in the ledger, under its newest checkpoint.
    ///
    /// # Errors
    /// When there is no such entry, or the stored tree cannot be read.
    pub async fn prove(&self, org: &OrgId, index: u64) -> Result<TlogProof, BooksError> {
        let (size, note) = self.checkpoint(org).await?;
        let stored = self
            .hashes_at(org, &remit_tlog::inclusion_reads(index, size)?)
            .await?;
        let path = remit_tlog::prove_inclusion(&stored, index, size)?;
        TlogProof::new(index, path, note, Vec::new())
            .map_err(|_| BooksError::BadKey(self.log_origin(org)))
    }

    /// Stored hashes by their numbers, for proofs and tiles.
    ///
    /// # Errors
    /// When one of them is not stored.
    pub async fn hashes_at(
        &self,
        org: &OrgId,
        numbers: &[u64],
    ) -> Result<BTreeMap<u64, Hash>, BooksError> {
        let mut found = BTreeMap::new();
        for number in numbers {
            if let Some(hash) = self.store().tree_hashes(org, *number, 1).await?.first() {
                found.insert(*number, Hash::new(*hash));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Two;

    /// Two nodes that find no key at the same moment make one between them: a ledger signed by two would be two ledgers.
    #[tokio::test]
    async fn two_nodes_make_one_ledger_key() {
        let two = Two::new().await;
        let origin = two.one.log_origin(&two.org);
        let first = two.one.make_log_seed(&two.org, &origin).await.unwrap();
        let second = two.other.make_log_seed(&two.org, &origin).await.unwrap();
        assert_eq!(first, second, "whoever is second takes the first one's");
        let keys = two.other.signing_keys(&two.org, KeyUse::Ledger).await;
        assert_eq!(keys.unwrap().len(), 1);
        let (one, other) = (
            two.one.log_key(&two.org).await.unwrap(),
            two.other.log_key(&two.org).await.unwrap(),
        );
        assert_eq!(one.to_string(), other.to_string());
    }
}
