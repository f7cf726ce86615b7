//! The upstream credential, for this call only; the agent never sees it (invariant 7).

use remit_domain::upstream::Injection;
use remit_domain::{LeaseId, Refusal, RefusalCode};
use remit_ports::leases::LeaseWanted;
use remit_ports::upstreams::Lease;

use crate::Gateway;
use crate::call::{Action, Equipped, Recorded};

impl Gateway {
    pub(crate) async fn broker(&self, call: Recorded) -> Result<Equipped, (Recorded, Refusal)> {
        let resolved = &call.authorized.resolved;
        let upstream = &resolved.upstream;
        let lent = injection(&call).cloned();
        let secrets = &*self.inner.secrets;
        let lease = self
            .books()
            .lease(secrets, &resolved.book, lent.as_ref())
            .await;
        let lease = match lease {
            Ok((lease, known)) => self.lend(&call, lease, None).await.map(|l| (l, known)),
            Err(error) => Err(error.to_string()),
        };
        match lease {
            Ok((lease, known)) => Ok(Equipped {
                recorded: call,
                lease,
                known,
            }),
            Err(error) => {
                tracing::error!(%error, upstream = %upstream.name, "no credential for the upstream");
                let text = "the upstream's credential cannot be had now; nothing was sent. An administrator has to look";
                Err((call, Refusal::new(RefusalCode::CredentialUnavailable, text)))
            }
        }
    }
}

impl Gateway {
    /// Adds the token that the upstream's own authorization server gives for the call's run, where it needs one; another one than
    /// that of `refused`.
    ///
    /// # Errors
    /// Why there is none: nothing may be sent then.
    pub(crate) async fn lend(
        &self,
        call: &Recorded,
        mut lease: Lease,
        refused: Option<&LeaseId>,
    ) -> Result<Lease, String> {
        let resolved = &call.authorized.resolved;
        if injection(call).is_none() {
            return Ok(lease);
        }
        let wanted = LeaseWanted {
            org: &resolved.received.org,
            upstream: &resolved.upstream,
            tool: Some(resolved.tool.tool.tool()),
            run: Some(&resolved.standing.run.id),
            refused,
        };
        let lent = self.inner.leases.lend(wanted).await;
        if let Some(lent) = lent.map_err(|error| error.to_string())? {
            lease.bearer(&lent);
        }
        Ok(lease)
    }
}

/// What the upstream is lent. What goes back to the caller's side needs no credential, and gets none.
fn injection(call: &Recorded) -> Option<&Injection> {
    let resolved = &call.authorized.resolved;
    let back =
        resolved.upstream.is_cooperative() || matches!(resolved.received.action, Action::Ask(_));
    resolved.upstream.secret.as_ref().filter(|_| !back)
}
