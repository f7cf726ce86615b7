//! Idleness and deadlines: runs that nobody uses, or whose time has come, are ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use remit_books::Ending;
use remit_domain::credential::Token;
use remit_domain::run::{RunEnd, RunState};
use remit_domain::{OrgId, Principal, Refusal, Run, RunId, Timestamp};
use remit_ports::store::Filter;

use crate::Issuer;
use crate::refusal::from_books;

impl Issuer {
    /// Ends runs that were idle for too long or have reached their deadline, and records counted refusals. Call it every
    /// few seconds.
    pub async fn tick(&self) {
        self.sweep_leases_soon();
        for book in self.books().orgs() {
            self.flush_refusals(&book.id).await;
            let now = self.books().now();
            let runs: Vec<Arc<Run>> = book.registry().runs.values().cloned().collect();
            for run in runs {
                let ended = if now >= run.deadline {
                    self.end_because(&book.id, &run.id, RunEnd::Deadline)
                        .await
                        .map(|()| true)
                } else {
                    self.end_if_idle(&book.id, &run).await
                };
                if let Err(refusal) = ended {
                    tracing::error!(org = %book.id, run = %run.id, %refusal, "a run whose time has come could not be ended");
                }
            }
        }
    }

    /// Ends the run when it was idle for too long; whether it was.
    pub(crate) async fn end_if_idle(&self, org: &OrgId, run: &Run) -> Result<bool, Refusal> {
        let now = self.books().now();
        let over = |last: Timestamp| now.secs_since(last) > run.idle_secs_max;
        // Most runs are seen to be in use without reading anything.
        let local = self
            .inner
            .activity
            .get(&run.id)
            .map(|at| Timestamp::from_micros(at.load(Ordering::Relaxed)));
        if run.state != RunState::Active
            || !over(run.started)
            || local.is_some_and(|last| !over(last))
        {
            return Ok(false);
        }
        let last = self.last_known_use(org, run, local).await?;
        if !over(last) {
            // Remembered, so that a run which another node serves is not read again at every tick.
            self.activity_of(&run.id, last)
                .fetch_max(last.as_micros(), Ordering::Relaxed);
            return Ok(false);
        }
        self.end_because(org, &run.id, RunEnd::Idle).await?;
        Ok(true)
    }

    /// When the run was last used, as far as this node can know: another one may have served it until its newest token's
    /// end, and this one too before it was started again.
    async fn last_known_use(
        &self,
        org: &OrgId,
        run: &Run,
        local: Option<Timestamp>,
    ) -> Result<Timestamp, Refusal> {
        let newest = Filter {
            parent: Some(run.id.to_string()),
            limit: 1,
            descending: true,
            ..Filter::default()
        };
        let (tokens, _) = self
            .books()
            .list::<Token>(org, &newest)
            .await
            .map_err(from_books)?;
        let newest = tokens.first().map(|token| &token.noun);
        let last = match local {
            Some(local) => newest.map_or(local, |token| local.max(token.issued)),
            None => newest.map_or(run.started, |token| token.expires.min(self.books().now())),
        };
        Ok(last.max(run.started))
    }

    async fn end_because(&self, org: &OrgId, run: &RunId, cause: RunEnd) -> Result<(), Refusal> {
        let ended = self
            .books()
            .end_run(org, run, &Ending::because(Principal::Remit, cause))
            .await
            .map_err(from_books)?;
        ended
            .runs
            .iter()
            .for_each(|run| self.inner.activity.invalidate(run));
        Ok(())
    }

    /// When the run was last used, shared by everything that uses it; `first` where nothing is remembered.
    pub(crate) fn activity_of(&self, run: &RunId, first: Timestamp) -> Arc<AtomicI64> {
        self.inner
            .activity
            .get_with(run.clone(), || Arc::new(AtomicI64::new(first.as_micros())))
    }

    /// Counts as use of the run.
    pub(crate) fn touch(&self, run: &RunId) {
        let now = self.books().now();
        self.activity_of(run, now)
            .store(now.as_micros(), Ordering::Relaxed);
    }
}
