//! Secrets at rest: each value under the vault key of its organization, each of those under the master key.
//!
//! ```text
//! vault key  number n, 32 random bytes, sealed by the master key for "remit/{org}/vault-key/{n}"
//! value      nonce | AES-256-GCM under vault key n, for "remit/secret/1/{org}/{name}/{version}/{n}"
//! ```
//!
//! What a value is sealed for is authenticated: a row that was put in another's place, in another version's, or into another
//! organization does not open. A vault key is replaced by a new one; what it sealed is sealed anew, and then it is destroyed.

use std::sync::Arc;

use aws_lc_rs::aead::NONCE_LEN;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use remit_domain::event::{Event, EventKind};
use remit_domain::name::Name;
use remit_domain::secret::{SealedSecret, VaultKey};
use remit_domain::{OrgId, Principal};
use remit_ledger::DataKey;
use remit_ports::store::{Filter, StoreError};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{Books, BooksError, Change, Versioned};

/// Most values that are sealed anew in one commit.
const AT_ONCE: u32 = 50;
/// How often sealing anew begins again because somebody else wrote meanwhile.
const TRIES: u32 = 20;

impl Books {
    /// The change that keeps the value of a new version. Commit it with the record of the secret.
    ///
    /// # Errors
    /// When a key cannot be had, or the store not be read.
    pub async fn seal_version(
        &self,
        org: &OrgId,
        name: &Name,
        version: u32,
        value: &SecretString,
    ) -> Result<Change, BooksError> {
        let (mut key, change) = match self.vault_key(org).await? {
            Some(key) => (key, Change::new()),
            None => {
                let first = self.new_vault_key(org, 1, &Principal::Remit)?;
                (
                    Versioned {
                        noun: first.0,
                        revision: 0,
                    },
                    first.1,
                )
            }
        };
        let opened = self.opened_vault_key(org, &key.noun)?;
        let sealed = self.sealed_value(org, (name, version), (key.noun.number, &opened), value)?;
        // The key's record moves with every value, so that none is sealed by a key that was replaced meanwhile.
        key.noun.seals = key.noun.seals.saturating_add(1);
        let change = match key.revision {
            0 => change.create(&key.noun),
            revision => change.update(&key.noun, revision),
        };
        Ok(change.create(&sealed))
    }

    fn sealed_value(
        &self,
        org: &OrgId,
        (name, version): (&Name, u32),
        (number, key): (u32, &DataKey),
        value: &SecretString,
    ) -> Result<SealedSecret, BooksError> {
        let nonce: [u8; NONCE_LEN] = self.random();
        let bytes = value.expose_secret().as_bytes();
        let sealed = key.seal(bytes, &context(org, name, version, number), nonce)?;
        Ok(SealedSecret {
            name: name.clone(),
            version,
            vault_key: number,
            sealed: Some(STANDARD.encode(sealed)),
        })
    }

    /// The change that destroys the values of these versions; those that are not there are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn destroy_versions(
        &self,
        org: &OrgId,
        name: &Name,
        versions: &[u32],
    ) -> Result<Change, BooksError> {
        let mut change = Change::new();
        for version in versions {
            let key = SealedSecret::key_of(name, *version);
            if let Some(found) = self.get::<SealedSecret>(org, &key).await? {
                let gone = SealedSecret {
                    sealed: None,
                    ..found.noun
                };
                change = change.update(&gone, found.revision);
                self.forget_secret(org, name, *version);
            }
        }
        Ok(change)
    }

    /// The value of one version. Whether it may be used is the caller's to know.
    ///
    /// # Errors
    /// `Shredded` when it was destroyed; when it does not open as what it is read as.
    pub async fn open_version(
        &self,
        org: &OrgId,
        name: &Name,
        version: u32,
    ) -> Result<SecretString, BooksError> {
        let at = (org.clone(), name.clone(), version);
        if let Some(value) = self.inner.secrets.get(&at) {
            return Ok(value);
        }
        let key = SealedSecret::key_of(name, version);
        let mut tries = 0;
        let value = loop {
            let found = self.get::<SealedSecret>(org, &key).await?;
            let found = found.ok_or(BooksError::Shredded)?.noun;
            match self.opened_value(org, (name, version), &found).await {
                // Its key went between the two looks: it was sealed anew by another one.
                Err(BooksError::Shredded) if found.sealed.is_some() && tries < TRIES => tries += 1,
                other => break other?,
            }
        };
        self.inner.secrets.insert(at, value.clone());
        Ok(value)
    }

    pub(crate) fn forget_secret(&self, org: &OrgId, name: &Name, version: u32) {
        let at = (org.clone(), name.clone(), version);
        self.inner.secrets.invalidate(&at);
    }

    async fn opened_value(
        &self,
        org: &OrgId,
        (name, version): (&Name, u32),
        found: &SealedSecret,
    ) -> Result<SecretString, BooksError> {
        let sealed = found.sealed.as_ref().ok_or(BooksError::Shredded)?;
        let number = found.vault_key;
        let key = self.get::<VaultKey>(org, &number.to_string()).await?;
        let key = key.ok_or_else(|| BooksError::BadKey(format!("vault key {number}")))?;
        let key = self.opened_vault_key(org, &key.noun)?;
        let sealed = STANDARD
            .decode(sealed)
            .map_err(|_| BooksError::BadKey(format!("secret {name}")))?;
        let plain = Zeroizing::new(key.open(&sealed, &context(org, name, version, number))?);
        let text = std::str::from_utf8(&plain);
        text.map(SecretString::from)
            .map_err(|_| BooksError::BadKey(format!("secret {name}")))
    }

    /// The vault key that seals now; none before the first secret.
    async fn vault_key(&self, org: &OrgId) -> Result<Option<Versioned<VaultKey>>, BooksError> {
        Ok(self.vault_keys(org, "active").await?.into_iter().next())
    }

    async fn vault_keys(
        &self,
        org: &OrgId,
        state: &str,
    ) -> Result<Vec<Versioned<VaultKey>>, BooksError> {
        let filter = Filter {
            state: Some(state.to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        Ok(self.list::<VaultKey>(org, &filter).await?.0)
    }

    fn new_vault_key(
        &self,
        org: &OrgId,
        number: u32,
        by: &Principal,
    ) -> Result<(VaultKey, Change), BooksError> {
        let bytes = Zeroizing::new(self.random::<32>());
        let sealed = self
            .vault()
            .seal(bytes.as_slice(), &key_context(org, number))?;
        let key = VaultKey {
            number,
            sealed: Some(STANDARD.encode(sealed)),
            seals: 0,
            created: self.now(),
            retired: None,
        };
        let event = Event::new(EventKind::VaultKeyCreated, self.now(), by.clone())
            .about(format!("vault-key/{number}"))
            .fact("number", number);
        Ok((key, Change::new().event(event)))
    }

    fn opened_vault_key(&self, org: &OrgId, key: &VaultKey) -> Result<Arc<DataKey>, BooksError> {
        let bad = || BooksError::BadKey(format!("vault key {}", key.number));
        let sealed = key.sealed.as_ref().ok_or(BooksError::Shredded)?;
        let sealed = STANDARD.decode(sealed).map_err(|_| bad())?;
        let context = key_context(org, key.number);
        let bytes = Zeroizing::new(self.vault().unseal(&sealed, &context)?);
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| bad())?;
        Ok(Arc::new(DataKey::new(bytes)?))
    }

    /// Replaces the vault key of an organization, seals every value anew, and destroys the key before. Returns the number of
    /// the key that seals from now on.
    ///
    /// # Errors
    /// `Store(Conflict)` when another one was made meanwhile; when a value does not open. What was not sealed anew yet stays
    /// as it is, and [`Self::reseal_versions`] goes on with it.
    pub async fn rotate_vault_key(&self, org: &OrgId, by: &Principal) -> Result<u32, BooksError> {
        let active = self.vault_keys(org, "active").await?;
        let last = active.iter().map(|key| key.noun.number).max().unwrap_or(0);
        let number = last.saturating_add(1);
        let (key, change) = self.new_vault_key(org, number, by)?;
        let change = active.into_iter().fold(change.create(&key), |change, old| {
            let retired = VaultKey {
                retired: Some(self.now()),
                ..old.noun
            };
            change.update(&retired, old.revision)
        });
        self.commit(org, change).await?;
        self.reseal_versions(org).await?;
        Ok(number)
    }

    /// Seals anew what a replaced vault key still seals, and destroys the key. Does nothing where no key was replaced.
    ///
    /// # Errors
    /// When a value does not open, or the store cannot be read or written.
    pub async fn reseal_versions(&self, org: &OrgId) -> Result<(), BooksError> {
        let mut tries = 0;
        for old in self.vault_keys(org, "retired").await? {
            loop {
                match self.reseal_some(org, &old).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(BooksError::Store(StoreError::Conflict { .. })) if tries < TRIES => {
                        tries += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Seals some of what `old` seals anew, or destroys it when nothing is left. Whether there may be more.
    async fn reseal_some(
        &self,
        org: &OrgId,
        old: &Versioned<VaultKey>,
    ) -> Result<bool, BooksError> {
        let filter = Filter {
            parent: Some(old.noun.number.to_string()),
            state: Some("sealed".to_owned()),
            limit: AT_ONCE,
            ..Filter::default()
        };
        let (left, _) = self.list::<SealedSecret>(org, &filter).await?;
        let number = old.noun.number;
        if left.is_empty() {
            let gone = VaultKey {
                sealed: None,
                ..old.noun.clone()
            };
            let event = Event::new(EventKind::VaultKeyDestroyed, self.now(), Principal::Remit)
                .about(format!("vault-key/{number}"))
                .fact("number", number);
            let change = Change::new().update(&gone, old.revision).event(event);
            self.commit(org, change).await?;
            return Ok(false);
        }
        let active = self.vault_key(org).await?;
        let mut active = active.ok_or_else(|| BooksError::BadKey("vault key".to_owned()))?;
        let key = self.opened_vault_key(org, &active.noun)?;
        let mut change = Change::new();
        for found in left {
            let of = (&found.noun.name, found.noun.version);
            let value = self.opened_value(org, of, &found.noun).await?;
            let anew = self.sealed_value(org, of, (active.noun.number, &key), &value)?;
            change = change.update(&anew, found.revision);
            active.noun.seals = active.noun.seals.saturating_add(1);
        }
        self.commit(org, change.update(&active.noun, active.revision))
            .await?;
        Ok(true)
    }
}

fn key_context(org: &OrgId, number: u32) -> String {
    format!("remit/{org}/vault-key/{number}")
}

fn context(org: &OrgId, name: &Name, version: u32, key: u32) -> Vec<u8> {
    format!("remit/secret/1/{org}/{name}/{version}/{key}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Two;

    async fn set(books: &Books, org: &OrgId, name: &str, version: u32, value: &str) {
        let value = SecretString::from(value);
        let name = name.parse().unwrap();
        let change = books.seal_version(org, &name, version, &value).await;
        books.commit(org, change.unwrap()).await.unwrap();
    }

    async fn open(books: &Books, org: &OrgId, name: &str, version: u32) -> Option<String> {
        let name = name.parse().unwrap();
        let opened = books.open_version(org, &name, version).await;
        opened.ok().map(|value| value.expose_secret().to_owned())
    }

    async fn sealed(books: &Books, org: &OrgId, key: &str) -> Versioned<SealedSecret> {
        books.get::<SealedSecret>(org, key).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_row_in_the_place_of_another_does_not_open() {
        let two = Two::new().await;
        let (books, org) = (&two.one, &two.org);
        set(books, org, "crm", 1, "the first value").await;
        set(books, org, "crm", 2, "the second value").await;
        set(books, org, "mail", 1, "another secret").await;
        // Another node has opened none of them yet.
        let reader = &two.other;
        assert_eq!(
            open(reader, org, "crm", 2).await.unwrap(),
            "the second value"
        );
        let thief = sealed(books, org, "crm/1").await.noun.sealed;
        for target in ["mail/1", "crm/2"] {
            let mut row = sealed(books, org, target).await;
            let own = row.noun.sealed.clone();
            row.noun.sealed = thief.clone();
            let change = Change::new().update(&row.noun, row.revision);
            books.commit(org, change).await.unwrap();
            let (name, version) = target.split_once('/').unwrap();
            reader.inner.secrets.invalidate_all();
            assert!(
                open(reader, org, name, version.parse().unwrap())
                    .await
                    .is_none(),
                "{target}"
            );
            let mut row = sealed(books, org, target).await;
            row.noun.sealed = own;
            let change = Change::new().update(&row.noun, row.revision);
            books.commit(org, change).await.unwrap();
            assert!(
                open(reader, org, name, version.parse().unwrap())
                    .await
                    .is_some(),
                "{target}"
            );
        }
    }

    #[tokio::test]
    async fn keys_and_values_of_another_organization_do_not_open() {
        let two = Two::new().await;
        let (books, org) = (&two.one, &two.org);
        let other = books.id(OrgId::from_uuid);
        let name = "globex".parse().unwrap();
        let organization = remit_domain::Organization::new(other.clone(), name, Default::default());
        books
            .create_organization(&organization, Principal::Operator)
            .await
            .unwrap();
        set(books, org, "crm", 1, "the value of acme").await;
        set(books, &other, "crm", 1, "the value of globex").await;
        books.inner.secrets.invalidate_all();
        // Both rows, the value's and the key's, are carried over.
        let (value, key) = (
            sealed(books, org, "crm/1").await.noun,
            books.get::<VaultKey>(org, "1").await.unwrap().unwrap().noun,
        );
        let row = sealed(books, &other, "crm/1").await;
        let change = Change::new().update(&value, row.revision);
        books.commit(&other, change).await.unwrap();
        assert!(open(books, &other, "crm", 1).await.is_none());
        let row = books.get::<VaultKey>(&other, "1").await.unwrap().unwrap();
        let change = Change::new().update(&key, row.revision);
        books.commit(&other, change).await.unwrap();
        assert!(open(books, &other, "crm", 1).await.is_none());
    }

    #[tokio::test]
    async fn a_replaced_key_seals_nothing_and_is_destroyed() {
        let two = Two::new().await;
        let (books, org) = (&two.one, &two.org);
        for version in 1..=120 {
            set(
                books,
                org,
                "crm",
                version,
                &format!("value number {version}"),
            )
            .await;
        }
        // Sealed by the key before, committed after it was replaced: that fails, rather than be lost.
        let late = books
            .seal_version(
                org,
                &"late".parse().unwrap(),
                1,
                &SecretString::from("a late value"),
            )
            .await
            .unwrap();
        let number = books
            .rotate_vault_key(org, &Principal::Remit)
            .await
            .unwrap();
        assert_eq!(number, 2);
        let refused = books.commit(org, late).await.unwrap_err();
        assert!(matches!(
            refused,
            BooksError::Store(StoreError::Conflict { .. })
        ));
        let old = books.get::<VaultKey>(org, "1").await.unwrap().unwrap().noun;
        assert!(old.sealed.is_none(), "the old key is destroyed");
        for version in [1, 77, 120] {
            let row = sealed(books, org, &format!("crm/{version}")).await.noun;
            assert_eq!(row.vault_key, 2);
            let value = open(&two.other, org, "crm", version).await;
            assert_eq!(value.unwrap(), format!("value number {version}"));
        }
    }

    #[tokio::test]
    async fn what_was_destroyed_is_gone_everywhere() {
        let two = Two::new().await;
        let (books, org) = (&two.one, &two.org);
        set(books, org, "crm", 1, "a value to go").await;
        let name = "crm".parse().unwrap();
        let change = books.destroy_versions(org, &name, &[1, 2]).await.unwrap();
        books.commit(org, change).await.unwrap();
        assert!(open(books, org, "crm", 1).await.is_none());
        assert!(open(&two.other, org, "crm", 1).await.is_none());
        let row = sealed(books, org, "crm/1").await.noun;
        assert!(row.sealed.is_none() && !format!("{row:?}").contains("value"));
    }
}
