//! The [`Secrets`] port over the vault and over what lies outside it: files and variables.

use std::sync::Arc;

use async_trait::async_trait;
use remit_domain::name::Name;
use remit_domain::secret::SecretState;
use remit_domain::upstream::SecretRef;
use remit_ports::Secrets;
use remit_ports::vault::VaultError;
use secrecy::SecretString;

use crate::{Books, OrgBook};

/// Secrets of the vault, and those that lie outside it. A secret of the vault belongs to the organization whose record it is.
pub struct VaultSecrets {
    books: Books,
    outside: Arc<dyn Secrets>,
}

impl VaultSecrets {
    /// Over these books; `outside` reads files and variables.
    #[must_use]
    pub fn new(books: Books, outside: Arc<dyn Secrets>) -> Self {
        Self { books, outside }
    }

    /// What was read is kept out of the log before anybody uses it. Whoever lends it looks again, and does not without.
    async fn keep_out(&self, book: &OrgBook) {
        if let Err(error) = self.books.known_secrets(book).await {
            tracing::error!(%error, "a secret cannot be read, and so not be kept out of anything");
        }
    }

    async fn opened(&self, org: &Name, name: &Name) -> Result<SecretString, VaultError> {
        let why = |why: &str| unreadable(name, why);
        let unknown = || why("its organization is not here");
        let book = self.books.org_named(org.as_str()).ok_or_else(unknown)?;
        let secret = {
            let registry = book.registry();
            registry.secrets.get(name).cloned()
        };
        let secret = secret.ok_or_else(|| why("there is no such secret"))?;
        if secret.canary {
            return Err(why("it is a canary, which is given to nobody"));
        }
        match secret.state {
            SecretState::Active => {}
            SecretState::Disabled => return Err(why("it is disabled")),
            SecretState::Deleted => return Err(why("it was deleted")),
        }
        let opened = self
            .books
            .open_version(&book.id, name, secret.current)
            .await;
        let opened = opened.map_err(|error| why(&error.to_string()))?;
        self.books.note_use(&book.id, &secret.use_key());
        self.keep_out(&book).await;
        Ok(opened)
    }
}

#[async_trait]
impl Secrets for VaultSecrets {
    fn may_name(&self, org: &Name, reference: &SecretRef) -> Result<(), VaultError> {
        let SecretRef::Vault(name) = reference else {
            return self.outside.may_name(org, reference);
        };
        let there = self.books.org_named(org.as_str()).is_some_and(|book| {
            let registry = book.registry();
            let secret = registry.secrets.get(name);
            secret.is_some_and(|s| s.state != SecretState::Deleted && !s.canary)
        });
        if there {
            return Ok(());
        }
        let text = "there is no such secret, or it is a canary; set it first: remit secret set";
        Err(unreadable(name, text))
    }

    async fn read(&self, org: &Name, reference: &SecretRef) -> Result<SecretString, VaultError> {
        match reference {
            SecretRef::Vault(name) => self.opened(org, name).await,
            _ => {
                let value = self.outside.read(org, reference).await?;
                if let Some(book) = self.books.org_named(org.as_str()) {
                    self.books.note_outside(&book.id, &value);
                    self.keep_out(&book).await;
                }
                Ok(value)
            }
        }
    }
}

fn unreadable(name: &Name, why: &str) -> VaultError {
    VaultError::Unreadable {
        reference: format!("`{name}` of the vault"),
        why: why.to_owned(),
    }
}
