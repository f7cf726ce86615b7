//! Every secret that an organization is known to have, to be kept out of what agents and logs see: those of the vault, in every
//! version that is kept, and those that were read from files and variables since this node began.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use remit_classify::Known;
use remit_classify::known::Found;
use remit_domain::OrgId;
use remit_domain::name::Name;
use remit_domain::secret::SecretState;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{Books, BooksError, OrgBook};

/// Most values from outside the vault that are remembered of one organization; the oldest goes first.
const OUTSIDE_MAX: usize = 1_000;

/// The known secrets of one organization, as they were at one moment.
#[derive(Debug, Clone, Default)]
pub struct KnownSecrets {
    /// What is looked for.
    pub known: Arc<Known>,
    /// The secrets in the order of [`remit_classify::known::Found`].
    pub named: Arc<Vec<Named>>,
    /// Those of them that are canaries, by themselves.
    pub canaries: Arc<Known>,
}

/// Which secret it is that is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Its name; none for one from outside the vault.
    pub name: Option<Name>,
    /// Whether it is a canary.
    pub canary: bool,
}

impl KnownSecrets {
    /// The names of the canaries among those that `found` says of all secrets.
    #[must_use]
    pub fn canaries_of(&self, found: &Found) -> BTreeSet<Name> {
        let named = found.iter().filter_map(|at| self.named.get(*at));
        let canaries = named.filter(|named| named.canary);
        canaries.filter_map(|named| named.name.clone()).collect()
    }

    /// The names of the canaries that the members of a value hold.
    #[must_use]
    pub fn canaries_in(&self, members: &Map<String, Value>) -> BTreeSet<Name> {
        if self.canaries.found_members(members).is_empty() {
            return BTreeSet::new();
        }
        self.canaries_of(&self.known.found_members(members))
    }
}

/// When they were put together: what changed since makes them old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    vault: u64,
    outside: u64,
}

#[derive(Default)]
struct Outside {
    moved: u64,
    values: VecDeque<SecretString>,
    digests: HashSet<[u8; 32]>,
}

/// The known secrets of all organizations on this node.
#[derive(Default)]
pub(crate) struct AllKnown {
    built: Mutex<HashMap<OrgId, (Stamp, KnownSecrets)>>,
    outside: Mutex<HashMap<OrgId, Outside>>,
    /// One at a time is put together: others wait for it.
    turn: tokio::sync::Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Books {
    /// The secrets that an organization is known to have now.
    ///
    /// # Errors
    /// When one of them does not open: what is not known cannot be kept out of anything.
    pub async fn known_secrets(&self, book: &OrgBook) -> Result<KnownSecrets, BooksError> {
        if let Some(known) = self.known_now(book) {
            return Ok(known);
        }
        let _turn = self.inner.known.turn.lock().await;
        if let Some(known) = self.known_now(book) {
            return Ok(known);
        }
        // The stamp first: what changes while they are read makes them old.
        let stamp = self.known_stamp(book);
        let mut named = Vec::new();
        let mut values = Vec::new();
        for (name, version, canary) in kept(book) {
            match self.open_version(&book.id, &name, version).await {
                Ok(value) => values.push(value),
                // It went while the others were read; one that is still kept has to be known.
                Err(BooksError::Shredded) if !is_kept(book, &name, version) => continue,
                Err(error) => return Err(error),
            }
            let name = Some(name);
            named.push(Named { name, canary });
        }
        let outside = self.outside_values(&book.id);
        let all = named.len().saturating_add(outside.len());
        named.resize(all, Named::default());
        values.extend(outside);
        let put_together = tokio::task::spawn_blocking(move || {
            let canaries = values.iter().zip(&named).filter(|(_, named)| named.canary);
            KnownSecrets {
                known: Arc::new(Known::new(values.iter().map(|v| v.expose_secret()))),
                canaries: Arc::new(Known::new(canaries.map(|(v, _)| v.expose_secret()))),
                named: Arc::new(named),
            }
        });
        let known = put_together
            .await
            .map_err(|_| BooksError::BadKey("known secrets".to_owned()))?;
        let mut built = lock(&self.inner.known.built);
        built.insert(book.id.clone(), (stamp, known.clone()));
        Ok(known)
    }

    /// Remembers a value that was read from outside the vault.
    pub(crate) fn note_outside(&self, org: &OrgId, value: &SecretString) {
        let digest = digest::digest(&digest::SHA256, value.expose_secret().as_bytes());
        let mut key = [0u8; 32];
        key.iter_mut()
            .zip(digest.as_ref())
            .for_each(|(to, from)| *to = *from);
        let mut all = lock(&self.inner.known.outside);
        let of_org = match all.get_mut(org) {
            Some(of_org) => of_org,
            None => all.entry(org.clone()).or_default(),
        };
        if !of_org.digests.insert(key) {
            return;
        }
        of_org.moved += 1;
        of_org.values.push_back(value.clone());
        if of_org.values.len() > OUTSIDE_MAX {
            of_org.values.pop_front();
            // Those that were noted again would not be remembered otherwise.
            of_org.digests.clear();
        }
    }

    /// The secrets of every organization that were put together last, for what belongs to none: the log.
    pub fn known_everywhere(&self) -> Vec<Arc<Known>> {
        let built = lock(&self.inner.known.built);
        built.values().map(|(_, k)| Arc::clone(&k.known)).collect()
    }

    fn known_now(&self, book: &OrgBook) -> Option<KnownSecrets> {
        let stamp = self.known_stamp(book);
        let built = lock(&self.inner.known.built);
        let (at, known) = built.get(&book.id)?;
        (*at == stamp).then(|| known.clone())
    }

    fn known_stamp(&self, book: &OrgBook) -> Stamp {
        let outside = lock(&self.inner.known.outside);
        Stamp {
            vault: book.registry().secrets_moved(),
            outside: outside.get(&book.id).map_or(0, |of_org| of_org.moved),
        }
    }

    fn outside_values(&self, org: &OrgId) -> Vec<SecretString> {
        let outside = lock(&self.inner.known.outside);
        let of_org = outside.get(org).map(|o| o.values.iter().cloned());
        of_org.into_iter().flatten().collect()
    }
}

/// Every version that is kept: a server may still say one that is not used any more.
fn kept(book: &OrgBook) -> Vec<(Name, u32, bool)> {
    let registry = book.registry();
    let secrets = registry.secrets.values();
    let secrets = secrets.filter(|secret| secret.state != SecretState::Deleted);
    secrets
        .flat_map(|secret| {
            let versions = secret.versions.iter();
            versions.map(|version| (secret.name.clone(), version.version, secret.canary))
        })
        .collect()
}

fn is_kept(book: &OrgBook, name: &Name, version: u32) -> bool {
    let registry = book.registry();
    let secret = registry.secrets.get(name);
    secret.is_some_and(|s| s.state != SecretState::Deleted && s.keeps(version))
}

#[cfg(test)]
mod tests {
    use remit_domain::secret::{Secret, SecretVersion};
    use remit_domain::{Principal, Timestamp};

    use super::*;
    use crate::Change;
    use crate::tests::Two;

    async fn set(books: &Books, org: &OrgId, name: &str, value: &str) {
        let name: remit_domain::name::Name = name.parse().unwrap();
        let value = SecretString::from(value);
        let sealed = books.seal_version(org, &name, 1, &value).await.unwrap();
        let at = Timestamp::from_micros(0);
        let secret = Secret {
            name,
            description: String::new(),
            state: SecretState::Active,
            current: 0,
            last: 0,
            versions: Vec::new(),
            canary: false,
            reason: String::new(),
            by: Principal::Remit,
            at,
        };
        let (secret, _) = secret.with_version(SecretVersion {
            version: 1,
            by: Principal::Remit,
            at,
            reason: String::new(),
            kib: 1,
        });
        let change = Change::new().create(&secret).and(sealed);
        books.commit(org, change).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_set_or_read_is_known_at_once() {
        let two = Two::new().await;
        let (books, org) = (&two.one, &two.org);
        let book = books.org(org).unwrap();
        let text = "crm-value-1 mail-value-1 from-a-file-1";
        let clean = async || {
            let known = books.known_secrets(&book).await.unwrap();
            known.known.text(text).into_owned()
        };
        assert_eq!(clean().await, text);
        set(books, org, "crm", "crm-value-1").await;
        assert_eq!(
            clean().await,
            "[redacted by remit] mail-value-1 from-a-file-1"
        );
        set(books, org, "mail", "mail-value-1").await;
        books.note_outside(org, &SecretString::from("from-a-file-1"));
        let found = books.known_secrets(&book).await.unwrap();
        assert!(!found.known.text(text).contains("value"));
        assert!(!found.known.text(text).contains("file"));
        assert_eq!(found.named.len(), 3);
    }
}
