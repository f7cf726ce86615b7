//! The upstream credential, for this call only; the agent never sees it (invariant 7).

use remit_domain::upstream::Injection;
use remit_domain::{Refusal, RefusalCode};

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

/// What the upstream is lent. What goes back to the caller's side needs no credential, and gets none.
fn injection(call: &Recorded) -> Option<&Injection> {
    let resolved = &call.authorized.resolved;
    let back =
        resolved.upstream.is_cooperative() || matches!(resolved.received.action, Action::Ask(_));
    resolved.upstream.secret.as_ref().filter(|_| !back)
}
