//! What the gateway remembers of runs: their labels, and which of them may have processes at upstreams.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use remit_books::BooksError;
use remit_books::labels::agent_scope;
use remit_domain::limits::LABEL_REFRESH_SECS;
use remit_domain::run::Run;
use remit_domain::{AgentId, OrgId, RunId, Timestamp};
use remit_ports::store::LabelState;

use crate::Gateway;
use crate::limits::{AGENT_LABELS_KEPT, LABELS_MAX};

/// What the gateway remembers of runs.
pub(crate) struct Runs {
    /// Runs that have sent something: their processes and sessions end with them.
    sent: Mutex<HashSet<(OrgId, RunId)>>,
    /// Labels of root runs: held to their version at the point of effect.
    trees: moka::sync::Cache<(OrgId, RunId), LabelState>,
    /// Labels of agents: held to their stamp at the point of effect.
    agents: moka::sync::Cache<(OrgId, AgentId), LabelState>,
}

impl Default for Runs {
    fn default() -> Self {
        let agents = moka::sync::Cache::builder()
            .max_capacity(LABELS_MAX)
            .time_to_live(Duration::from_secs(AGENT_LABELS_KEPT))
            .build();
        Self {
            sent: Mutex::default(),
            trees: moka::sync::Cache::new(LABELS_MAX),
            agents,
        }
    }
}

impl Runs {
    /// Notes that a run has sent something.
    pub(crate) fn sent(&self, org: &OrgId, run: &RunId) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if !sent.contains(&(org.clone(), run.clone())) {
            sent.insert((org.clone(), run.clone()));
        }
    }

    /// Takes in the labels of a tree as the store has them.
    pub(crate) fn saw(&self, org: &OrgId, root: &RunId, labels: LabelState) {
        self.trees.insert((org.clone(), root.clone()), labels);
    }

    /// Forgets what was kept of labels that were raised: the next look reads the store.
    pub(crate) fn raised(&self, org: &OrgId, root: &Run, agent: &AgentId) {
        self.trees.invalidate(&(org.clone(), root.id.clone()));
        for agent in [agent, &root.agent] {
            self.agents.invalidate(&(org.clone(), agent.clone()));
        }
    }
}

/// Whether a label is worth raising again: it is new, or its day would otherwise be counted from too long ago.
pub(crate) fn is_due(known: &LabelState, label: &str, now: Timestamp) -> bool {
    known
        .labels
        .get(label)
        .is_none_or(|raised| now.secs_since(raised.at) >= LABEL_REFRESH_SECS)
}

impl Gateway {
    /// The labels of a tree of runs.
    pub(crate) async fn tree_labels(
        &self,
        org: &OrgId,
        root: &RunId,
    ) -> Result<LabelState, BooksError> {
        if let Some(known) = self.inner.runs.trees.get(&(org.clone(), root.clone())) {
            return Ok(known);
        }
        let labels = self.books().store().labels(org, root.as_str()).await?;
        self.inner.runs.saw(org, root, labels.clone());
        Ok(labels)
    }

    /// The labels an agent has raised, whatever the run.
    pub(crate) async fn agent_labels(
        &self,
        org: &OrgId,
        agent: &AgentId,
    ) -> Result<LabelState, BooksError> {
        let key = (org.clone(), agent.clone());
        if let Some(known) = self.inner.runs.agents.get(&key) {
            return Ok(known);
        }
        let labels = self
            .books()
            .store()
            .labels(org, &agent_scope(agent))
            .await?;
        self.inner.runs.agents.insert(key, labels.clone());
        Ok(labels)
    }

    /// Ends what upstreams hold for runs that have ended. Called now and then.
    pub async fn close_ended_runs(&self) {
        let sent: Vec<(OrgId, RunId)> = self
            .inner
            .runs
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect();
        for (org, run) in sent {
            let goes_on = self
                .books()
                .org(&org)
                .is_some_and(|book| book.registry().runs.contains_key(&run));
            if !goes_on {
                self.inner.upstreams.end_run(&org, &run).await;
                self.inner
                    .runs
                    .sent
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&(org, run));
            }
        }
    }
}
