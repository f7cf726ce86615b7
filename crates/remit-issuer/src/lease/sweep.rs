//! Looking now and then for leases that are to end: those of runs that have ended, on whichever node; those that nobody lends any
//! more; those whose revocation is to be tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use remit_books::OrgBook;
use remit_domain::lease::{Lease, LeaseState};
use remit_domain::run::RunState;
use remit_domain::upstream::Injection;
use remit_domain::{OrgId, Principal, Refusal, Run, Timestamp};

use crate::Issuer;
use crate::limits::{LEASE_ADMIN_SECS, LEASES_SWEPT_MAX};
use crate::refusal::from_books;

/// Where no upstream takes tokens, and for what was given up, one look in so many is enough.
const SELDOM: u64 = 60;

/// How far the sweeps of this node are.
#[derive(Default)]
pub(crate) struct Sweeps {
    looks: AtomicU64,
    /// One at a time: a server that hangs keeps others from nothing but this.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Issuer {
    /// Sweeps in the background, unless the last sweep goes on.
    pub(crate) fn sweep_leases_soon(&self) {
        let Ok(turn) = Arc::clone(&self.inner.lease_sweeps.turn).try_lock_owned() else {
            return;
        };
        let issuer = self.clone();
        tokio::spawn(async move {
            let look = issuer
                .inner
                .lease_sweeps
                .looks
                .fetch_add(1, Ordering::Relaxed);
            for book in issuer.books().orgs() {
                if let Err(refusal) = issuer
                    .sweep_leases(&book, look.saturating_add(1).is_multiple_of(SELDOM))
                    .await
                {
                    tracing::error!(org = %book.id, %refusal, "leases could not be looked at; trying again");
                }
            }
            drop(turn);
        });
    }

    /// Ends what is to end.
    ///
    /// - `all`: also of an organization without such upstreams, and what was given up and has ended by itself.
    pub(crate) async fn sweep_leases(&self, book: &OrgBook, all: bool) -> Result<(), Refusal> {
        let asks = {
            let registry = book.registry();
            let mut upstreams = registry.upstreams.values();
            upstreams.any(|upstream| matches!(upstream.secret, Some(Injection::Oauth(_))))
        };
        if !(all || asks) || book.is_operator() {
            return Ok(());
        }
        let mut states = vec![LeaseState::Active, LeaseState::Ending];
        if all {
            states.push(LeaseState::Dead);
        }
        for state in states {
            let leases = self.books().leases_in(&book.id, None, state).await;
            let mut due = Vec::new();
            for lease in leases.map_err(from_books)? {
                if self.is_due(book, &lease).await? {
                    due.push(lease.id);
                }
            }
            // The rest is for the next time.
            due.truncate(LEASES_SWEPT_MAX);
            let by = &Principal::Remit;
            let ends = due.iter().map(|id| self.end_lease(&book.id, id, by, None));
            join_all(ends)
                .await
                .into_iter()
                .collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    async fn is_due(&self, book: &OrgBook, lease: &Lease) -> Result<bool, Refusal> {
        let now = self.books().now();
        match lease.state {
            LeaseState::Ending => Ok(lease.try_at.is_none_or(|at| at <= now)),
            LeaseState::Dead => Ok(lease.is_expired(now)),
            LeaseState::Active if now >= lease.until || !is_asked_so(book, lease, now) => Ok(true),
            LeaseState::Active => self.run_is_over(&book.id, book, lease).await,
            LeaseState::Revoked | LeaseState::Expired => Ok(false),
        }
    }

    async fn run_is_over(
        &self,
        org: &OrgId,
        book: &OrgBook,
        lease: &Lease,
    ) -> Result<bool, Refusal> {
        let Some(run) = &lease.run else {
            return Ok(false);
        };
        if book.registry().runs.contains_key(run) {
            return Ok(false);
        }
        // Another node may have begun it just now.
        let found = self
            .books()
            .get::<Run>(org, run.as_str())
            .await
            .map_err(from_books)?;
        Ok(found.is_none_or(|run| matches!(run.noun.state, RunState::Ended { .. })))
    }
}

/// Whether its upstream asks for it in the same way still; what administrators asked for is needed for a moment only.
fn is_asked_so(book: &OrgBook, lease: &Lease, now: Timestamp) -> bool {
    if lease.run.is_none() && now.secs_since(lease.issued) > LEASE_ADMIN_SECS {
        return false;
    }
    let registry = book.registry();
    let upstream = registry.upstreams.get(&lease.upstream);
    upstream.is_some_and(|upstream| {
        upstream.enabled
            && super::at(&upstream.transport) == lease.at
            && matches!(&upstream.secret, Some(Injection::Oauth(client)) if **client == lease.client)
    })
}
