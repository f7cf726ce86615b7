//! What was lent to contained runs, at other authorization servers: ended, and looked at how far each has stopped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use remit_domain::containment::{Item, ItemStatus};
use remit_domain::lease::{Lease, LeaseProof, LeaseState};
use remit_domain::{OrgId, RunId, Timestamp};

use crate::{Control, ControlError};

/// How long the first certificate waits for other authorization servers.
const SOURCE_WAIT: Duration = Duration::from_secs(3);
/// The sort of item.
pub(super) const LEASE: &str = "lease";

impl Control {
    /// Ends the leases of runs, and says how far each has stopped.
    pub(super) async fn lease_items(
        &self,
        org: &OrgId,
        runs: &BTreeSet<RunId>,
    ) -> Result<Vec<Item>, ControlError> {
        let mut open = Vec::new();
        for run in runs {
            open.extend(self.books.open_leases(org, Some(run)).await?);
        }
        // A source that hangs keeps no certificate waiting: it goes on by itself, and is tried again.
        let mut ends = tokio::task::JoinSet::new();
        for run in runs {
            let (leases, org, run) = (Arc::clone(&self.leases), org.clone(), run.clone());
            ends.spawn(async move {
                if let Err(refusal) = leases.give_back(&org, &run).await {
                    tracing::error!(%org, %run, %refusal, "leases of a contained run could not be ended; they are tried again");
                }
            });
        }
        let all = async { while ends.join_next().await.is_some() {} };
        if tokio::time::timeout(SOURCE_WAIT, all).await.is_err() {
            ends.detach_all();
        }
        let mut items = Vec::new();
        for lease in open {
            let now = self.books.get::<Lease>(org, lease.id.as_str()).await?;
            items.push(self.lease_item(&now.map_or(lease, |found| found.noun)));
        }
        Ok(items)
    }

    /// A lease once more.
    pub(super) async fn lease_again(&self, org: &OrgId, old: &Item) -> Result<Item, ControlError> {
        let found = self.books.get::<Lease>(org, &old.id).await?;
        Ok(found.map_or_else(|| old.clone(), |lease| self.lease_item(&lease.noun)))
    }

    fn lease_item(&self, lease: &Lease) -> Item {
        Item {
            kind: LEASE.to_owned(),
            id: lease.id.to_string(),
            label: format!("token of {} for {}", lease.client.issuer, lease.upstream),
            status: status(lease, self.books.now()),
        }
    }
}

fn status(lease: &Lease, now: Timestamp) -> ItemStatus {
    let stopped = |verified: String| ItemStatus::Stopped { verified };
    let at = lease.ended.unwrap_or(now);
    if let Some(expired) = lease.expires.filter(|expires| *expires <= now) {
        return stopped(format!("it ended by itself at {expired}"));
    }
    let why = match (lease.state, lease.proof) {
        (LeaseState::Revoked, Some(LeaseProof::Introspection)) => {
            return stopped(format!(
                "revoked at its source at {at}, where introspection says that it is not active"
            ));
        }
        (LeaseState::Revoked, Some(LeaseProof::Refused)) => {
            return stopped(format!(
                "revoked at its source at {at}, and its upstream refuses it"
            ));
        }
        (LeaseState::Expired, _) => return stopped(format!("it ended by itself at {at}")),
        (LeaseState::Revoked, _) => {
            "its source says that it is revoked; an upstream that looks at its signature alone may believe it until it expires".to_owned()
        }
        (LeaseState::Active, _) => "it was not ended".to_owned(),
        (LeaseState::Ending | LeaseState::Dead, _) => {
            let why = lease.why.as_deref().unwrap_or("its source was not asked yet");
            format!("it is used no more, but not revoked: {why}")
        }
    };
    match lease.expires {
        Some(until) if lease.state != LeaseState::Active => ItemStatus::Bounded { until, why },
        _ => ItemStatus::NotProved { why },
    }
}
