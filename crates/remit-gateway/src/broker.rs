//! The upstream credential, for this call only; the agent never sees it (invariant 7).

use remit_domain::name::Name;
use remit_domain::upstream::{Injection, SecretRef};
use remit_domain::{Refusal, RefusalCode, Upstream};
use remit_ports::upstreams::Lease;
use remit_ports::vault::VaultError;
use secrecy::{ExposeSecret, SecretString};

use crate::Gateway;
use crate::call::{Action, Equipped, Recorded};

impl Gateway {
    pub(crate) async fn broker(&self, call: Recorded) -> Result<Equipped, (Recorded, Refusal)> {
        let resolved = &call.authorized.resolved;
        // What goes back to the caller's side needs no credential, and gets none.
        if resolved.upstream.is_cooperative() || matches!(resolved.received.action, Action::Ask(_))
        {
            let lease = Lease::default();
            return Ok(Equipped {
                recorded: call,
                lease,
            });
        }
        let org = {
            let registry = resolved.book.registry();
            registry.organization.as_ref().map(|o| o.name.clone())
        };
        match self.lease(org.as_ref(), &resolved.upstream).await {
            Ok(lease) => Ok(Equipped {
                recorded: call,
                lease,
            }),
            Err(error) => {
                tracing::error!(%error, upstream = %call.authorized.resolved.upstream.name, "no credential for the upstream");
                let text = "the upstream's credential cannot be had now; nothing was sent. An administrator has to look";
                Err((call, Refusal::new(RefusalCode::CredentialUnavailable, text)))
            }
        }
    }

    async fn lease(&self, org: Option<&Name>, upstream: &Upstream) -> Result<Lease, VaultError> {
        let mut lease = Lease::default();
        match &upstream.secret {
            None => {}
            Some(Injection::Bearer(reference)) => {
                let secret = self.read(org, reference).await?;
                let value = SecretString::from(format!("Bearer {}", secret.expose_secret()));
                lease.headers.push(("authorization".to_owned(), value));
            }
            Some(Injection::Header { name, secret }) => lease
                .headers
                .push((name.clone(), self.read(org, secret).await?)),
            Some(Injection::Environment(variables)) => {
                for (name, reference) in variables {
                    lease
                        .environment
                        .push((name.clone(), self.read(org, reference).await?));
                }
            }
        }
        Ok(lease)
    }

    async fn read(
        &self,
        org: Option<&Name>,
        reference: &SecretRef,
    ) -> Result<SecretString, VaultError> {
        let unknown = || VaultError::Unreadable {
            reference: "of an upstream".to_owned(),
            why: "its organization is not known".to_owned(),
        };
        let org = org.ok_or_else(unknown)?;
        self.inner.secrets.read(org, reference).await
    }
}
