//! What the gateway remembers of runs: their labels, and when each was last used.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use remit_books::{BooksError, Ending};
use remit_domain::limits::LABEL_CARRY_SECS;
use remit_domain::run::{Run, RunEnd};
use remit_domain::{AgentId, OrgId, Principal, RunId, Timestamp};
use remit_ports::store::LabelState;

use crate::Gateway;
use crate::limits::LABELS_MAX;

/// What the gateway remembers of runs.
pub(crate) struct Runs {
    /// When this process began: a run is not idle for the time nobody watched it.
    began: Timestamp,
    used: Mutex<HashMap<RunId, Timestamp>>,
    labels: moka::sync::Cache<(OrgId, String), LabelState>,
}

impl Runs {
    pub(crate) fn new(began: Timestamp) -> Self {
        Self {
            began,
            used: Mutex::default(),
            labels: moka::sync::Cache::new(LABELS_MAX),
        }
    }

    /// Notes that a run is used at `now`; returns whether it had been idle for longer than it may.
    pub(crate) fn touch(&self, run: &Run, now: Timestamp) -> bool {
        let idle = self.is_idle(run, now);
        if !idle {
            self.used
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(run.id.clone(), now);
        }
        idle
    }

    /// Whether a run has been idle for longer than it may.
    pub(crate) fn is_idle(&self, run: &Run, now: Timestamp) -> bool {
        let used = self
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&run.id)
            .copied();
        now.secs_since(used.unwrap_or(run.started.max(self.began))) > run.idle_secs_max
    }

    fn forget(&self, kept: &BTreeSet<RunId>) {
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|run, _| kept.contains(run));
    }

    /// Takes in labels as the store has them.
    pub(crate) fn saw(&self, org: &OrgId, scope: &str, labels: LabelState) {
        self.labels.insert((org.clone(), scope.to_owned()), labels);
    }

    /// Takes in labels that were raised.
    pub(crate) fn raised(&self, org: &OrgId, raise: &[(String, String)], now: Timestamp) {
        for (scope, label) in raise {
            let key = (org.clone(), scope.clone());
            if let Some(mut known) = self.labels.get(&key) {
                known.labels.insert(label.clone(), now);
                self.labels.insert(key, known);
            }
        }
    }
}

/// Scope of an agent's own labels, which follow it into runs it opens by itself.
pub(crate) fn agent_scope(agent: &AgentId) -> String {
    format!("agent:{agent}")
}

impl Gateway {
    /// The labels of a scope, read once and kept.
    pub(crate) async fn labels(&self, org: &OrgId, scope: &str) -> Result<LabelState, BooksError> {
        if let Some(known) = self.inner.runs.labels.get(&(org.clone(), scope.to_owned())) {
            return Ok(known);
        }
        let labels = self.books().store().labels(org, scope).await?;
        self.inner.runs.saw(org, scope, labels.clone());
        Ok(labels)
    }

    /// Labels that follow an agent into a run it opened by itself: those it raised in the last 24 hours. A run that a person
    /// delegated starts clean.
    pub(crate) async fn carried(
        &self,
        org: &OrgId,
        run: &Run,
        now: Timestamp,
    ) -> Result<BTreeSet<String>, BooksError> {
        if run.person.is_some() {
            return Ok(BTreeSet::new());
        }
        let own = self.labels(org, &agent_scope(&run.agent)).await?;
        let recent = own
            .labels
            .into_iter()
            .filter(|(_, at)| now.secs_since(*at) < LABEL_CARRY_SECS);
        Ok(recent.map(|(label, _)| label).collect())
    }

    /// Ends the runs that have been idle for longer than they may. Called now and then.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn end_idle_runs(&self, org: &OrgId) -> Result<u32, BooksError> {
        let Some(book) = self.books().org(org) else {
            return Ok(0);
        };
        let now = self.books().now();
        let (kept, idle): (BTreeSet<RunId>, Vec<RunId>) = {
            let registry = book.registry();
            let idle = registry
                .runs
                .values()
                .filter(|r| self.inner.runs.is_idle(r, now))
                .map(|r| r.id.clone())
                .collect();
            (registry.runs.keys().cloned().collect(), idle)
        };
        self.inner.runs.forget(&kept);
        for run in &idle {
            self.books()
                .end_run(org, run, &Ending::because(Principal::Remit, RunEnd::Idle))
                .await?;
            self.inner.upstreams.end_run(org, run).await;
        }
        Ok(u32::try_from(idle.len()).unwrap_or(u32::MAX))
    }
}
