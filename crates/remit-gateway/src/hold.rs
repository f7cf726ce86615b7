//! A short hold: a call that waits for a person goes on at once when the approval comes in time, so that a quick yes feels
//! instant. Off unless configured.

use remit_books::Change;
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::event::EventKind;
use remit_domain::{ApprovalId, Kind, OrgId, RefusalCode};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::call::{Answer, Received};
use crate::limits::HOLD_MAX;
use crate::refuse::Refused;
use crate::{Gateway, entry};

impl Gateway {
    /// The call to make once more after a hold; none when nothing is held.
    pub(crate) fn may_hold(&self, received: &Received) -> Option<Received> {
        (!self.inner.hold.is_zero()).then(|| received.clone())
    }

    /// Holds a call that waits for a person. A caller that leaves cancels the approval that it was held for.
    pub(crate) async fn hold(
        &self,
        held: Option<Received>,
        refused: Refused,
    ) -> Result<Answer, Refused> {
        let waits = matches!(
            refused.refusal.code,
            RefusalCode::ApprovalRequired | RefusalCode::ApprovalPending
        );
        let (Some(received), Some(id), true) = (held, refused.approval.clone(), waits) else {
            return Err(refused);
        };
        let org = received.org.clone();
        let settled = tokio::select! {
            biased;
            () = received.cancel.cancelled() => {
                self.cancel_held(&org, &id).await;
                return Err(refused);
            }
            settled = self.settled(&org, &id) => settled,
        };
        if settled {
            self.once(Box::new(received)).await
        } else {
            Err(refused)
        }
    }

    /// Whether an approval stops waiting within the hold.
    async fn settled(&self, org: &OrgId, id: &ApprovalId) -> bool {
        let until = Instant::now() + self.inner.hold.min(HOLD_MAX);
        // Listening begins before looking: what changes between the two is heard.
        let mut changes = self.books().store().changes();
        loop {
            match self.books().get::<Approval>(org, id.as_str()).await {
                Ok(Some(found)) if found.noun.state == ApprovalState::Pending => {}
                Ok(Some(_)) => return true,
                Ok(None) | Err(_) => return false,
            }
            let heard = async {
                loop {
                    match changes.recv().await {
                        Ok(changed) if changed.org != *org => {}
                        Ok(changed) => {
                            let ours = |(kind, key): &(Kind, String)| {
                                *kind == Kind::Approval && key == id.as_str()
                            };
                            if changed.keys.is_empty() || changed.keys.iter().any(ours) {
                                return;
                            }
                        }
                        Err(RecvError::Lagged(_)) => return,
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
            };
            if tokio::time::timeout_at(until, heard).await.is_err() {
                return false;
            }
        }
    }

    /// Nobody is there any more for whom a yes would do anything.
    pub(crate) async fn cancel_held(&self, org: &OrgId, id: &ApprovalId) {
        let found = match self.books().get::<Approval>(org, id.as_str()).await {
            Ok(Some(found)) if found.noun.state == ApprovalState::Pending => found,
            _ => return,
        };
        let cancelled = Approval {
            state: ApprovalState::Cancelled,
            ..found.noun
        };
        let now = self.books().now();
        let event = entry::approval(
            EventKind::ApprovalSettled,
            &cancelled,
            ApprovalState::Cancelled,
            now,
        );
        let change = Change::new()
            .update(&cancelled, found.revision)
            .event(event);
        if let Err(error) = self.books().commit(org, change).await {
            // Somebody was quicker; what they said holds.
            tracing::info!(%error, approval = %id, "the approval of a caller that left was not cancelled");
        }
    }
}
