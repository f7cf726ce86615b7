//! Waiting for approvals without asking again and again: the store tells what changes.

use std::time::Duration;

use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::{ApprovalId, Kind, OrgId};
use remit_ports::store::{Changed, Filter};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{ApprovalView, state_at, view};
use crate::{Caller, Control, ControlError};

/// Longest wait, in seconds: shorter than what proxies on the way cut off.
pub const WAIT_SECS_MAX: u64 = 60;

/// Most new approvals told at once.
const WATCH_MAX: u32 = 100;

/// New approvals.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Watch {
    /// Those asked since, oldest first, whatever became of them meanwhile.
    pub items: Vec<ApprovalView>,
    /// What to give as `after` the next time.
    pub next: Option<ApprovalId>,
}

impl Control {
    /// Waits until an approval no longer waits, at most `timeout`, and returns it as it is then.
    ///
    /// # Errors
    /// As [`Control::approval`].
    pub async fn wait_approval(
        &self,
        caller: &Caller,
        id: &ApprovalId,
        timeout: Duration,
    ) -> Result<ApprovalView, ControlError> {
        caller.person()?;
        self.wait_settled(&caller.org, id, timeout).await?;
        self.approval(caller, id).await
    }

    /// Waits until an approval of this organization no longer waits, at most `timeout`.
    ///
    /// # Errors
    /// `not-found`; when the store cannot be read.
    pub async fn wait_settled(
        &self,
        org: &OrgId,
        id: &ApprovalId,
        timeout: Duration,
    ) -> Result<(), ControlError> {
        let until = tokio::time::Instant::now() + timeout.min(Duration::from_secs(WAIT_SECS_MAX));
        // Listening begins before looking: what changes between the two is heard.
        let mut changes = self.books.store().changes();
        let concerns = |c: &Changed| {
            c.keys
                .iter()
                .any(|(kind, key)| *kind == Kind::Approval && key == id.as_str())
        };
        loop {
            let now = self.books.now();
            let approval = self.current(org, id).await?.noun;
            if approval.state != ApprovalState::Pending {
                return Ok(());
            }
            let micros = approval.expires.as_micros().saturating_sub(now.as_micros());
            let expires = tokio::time::Instant::now()
                + Duration::from_micros(u64::try_from(micros).unwrap_or(0));
            let wake = until.min(expires);
            if tokio::time::timeout_at(wake, heard(&mut changes, org, concerns))
                .await
                .is_err()
                && wake == until
            {
                return Ok(());
            }
        }
    }

    /// Waits for approvals asked after `after`, at most `timeout`; returns at once when there are some.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn watch_approvals(
        &self,
        caller: &Caller,
        after: Option<ApprovalId>,
        timeout: Duration,
    ) -> Result<Watch, ControlError> {
        caller.person()?;
        let until = tokio::time::Instant::now() + timeout.min(Duration::from_secs(WAIT_SECS_MAX));
        let mut changes = self.books.store().changes();
        let concerns = |c: &Changed| c.keys.iter().any(|(kind, _)| *kind == Kind::Approval);
        loop {
            // Without a place to begin, only what waits now is told.
            let state = after
                .is_none()
                .then(|| ApprovalState::Pending.as_str().to_owned());
            let filter = Filter {
                state,
                after: after.as_ref().map(ToString::to_string),
                limit: WATCH_MAX,
                ..Filter::default()
            };
            let (page, _) = self.books.list::<Approval>(&caller.org, &filter).await?;
            let now = self.books.now();
            let told = |a: &Approval| after.is_some() || state_at(a, now) == ApprovalState::Pending;
            if page.iter().any(|a| told(&a.noun)) {
                let book = self.book(&caller.org)?;
                let registry = book.registry();
                let items = page
                    .iter()
                    .filter(|a| told(&a.noun))
                    .map(|a| view(&registry, a, Some(caller), now))
                    .collect();
                return Ok(Watch {
                    items,
                    next: page.last().map(|a| a.noun.id.clone()),
                });
            }
            if tokio::time::timeout_at(until, heard(&mut changes, &caller.org, concerns))
                .await
                .is_err()
            {
                return Ok(Watch {
                    items: Vec::new(),
                    next: after,
                });
            }
        }
    }
}

/// Returns when something that `concerns` changed in `org`, or may have: a feed that lost its place tells nothing else.
pub(crate) async fn heard(
    changes: &mut Receiver<Changed>,
    org: &OrgId,
    concerns: impl Fn(&Changed) -> bool,
) {
    loop {
        match changes.recv().await {
            Ok(changed)
                if changed.org == *org && (changed.keys.is_empty() || concerns(&changed)) =>
            {
                return;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // The store has closed; the caller's timeout ends the wait.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
