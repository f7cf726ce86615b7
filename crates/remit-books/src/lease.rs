//! What an upstream is lent for one call, with everything that must not come back.

use std::sync::Arc;

use remit_domain::upstream::Injection;
use remit_ports::Secrets;
use remit_ports::upstreams::Lease;
use remit_ports::vault::VaultError;

use crate::{Books, KnownSecrets, OrgBook};

impl Books {
    /// The credential that an upstream of the organization needs now, read through `secrets`, and every secret that has to be
    /// kept out of what it says.
    ///
    /// # Errors
    /// When one of them cannot be had: without it nothing is sent.
    pub async fn lease(
        &self,
        secrets: &dyn Secrets,
        book: &OrgBook,
        injection: Option<&Injection>,
    ) -> Result<(Lease, KnownSecrets), VaultError> {
        let unreadable = |reference: &str, why: String| VaultError::Unreadable {
            reference: reference.to_owned(),
            why,
        };
        let mut lease = match injection {
            None => Lease::default(),
            Some(injection) => {
                let org = {
                    let registry = book.registry();
                    registry.organization.as_ref().map(|o| o.name.clone())
                };
                let why = || "its organization is not known".to_owned();
                let org = org.ok_or_else(|| unreadable("of an upstream", why()))?;
                Lease::of(secrets, &org, Some(injection)).await?
            }
        };
        // After it was read: what is lent is among them.
        let known = self.known_secrets(book).await;
        let known = known.map_err(|error| unreadable("of the vault", error.to_string()))?;
        lease.known = Some(Arc::clone(&known.known));
        Ok((lease, known))
    }
}
