//! The circuit breaker's eyes: which agents repeat refused calls or keep failing. Each node counts what it sees itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use remit_domain::breaker::{BreakerMode, Calls, Thresholds};
use remit_domain::{AgentId, OrgId, Refusal, RefusalCode};
use tokio::sync::mpsc;

use crate::Gateway;
use crate::call::Received;
use crate::limits::{BREAKER_AGENTS_MAX, BREAKER_HOLD, TRIPS_WAITING_MAX};

/// The breaker tripped for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    /// In which organization.
    pub org: OrgId,
    /// Which agent.
    pub agent: AgentId,
    /// Why, in one line.
    pub cause: String,
    /// Whether the agent is to be quarantined; otherwise it is only told.
    pub enforce: bool,
    /// Whether it sent a canary, which is a finding already.
    pub canary: bool,
}

/// The last calls of every agent.
pub(crate) struct Watch {
    calls: moka::sync::Cache<(OrgId, AgentId), Arc<Mutex<Calls>>>,
    /// Agents that wait for their quarantine.
    stopped: moka::sync::Cache<(OrgId, AgentId), ()>,
    tell: mpsc::Sender<Trip>,
    told: tokio::sync::Mutex<mpsc::Receiver<Trip>>,
}

impl Default for Watch {
    fn default() -> Self {
        let (tell, told) = mpsc::channel(TRIPS_WAITING_MAX);
        let kept = moka::sync::Cache::builder().max_capacity(BREAKER_AGENTS_MAX);
        Self {
            calls: kept.time_to_idle(Duration::from_secs(3_600)).build(),
            stopped: moka::sync::Cache::builder()
                .max_capacity(BREAKER_AGENTS_MAX)
                .time_to_live(BREAKER_HOLD)
                .build(),
            tell,
            told: tokio::sync::Mutex::new(told),
        }
    }
}

/// What makes two calls the same: what is called, with what.
pub(crate) fn digest(received: &Received) -> u64 {
    let mut hasher = DefaultHasher::new();
    received.action.method().hash(&mut hasher);
    received.call.name.hash(&mut hasher);
    received.call.arguments.text().hash(&mut hasher);
    hasher.finish()
}

/// Whether a refusal is the agent's doing: waiting for people is not, nor is what is wrong with Remit itself.
pub(crate) fn counts(code: RefusalCode) -> bool {
    !matches!(
        code,
        RefusalCode::ApprovalRequired
            | RefusalCode::ApprovalPending
            | RefusalCode::SnapshotStale
            | RefusalCode::LedgerUnavailable
            | RefusalCode::Contained
            | RefusalCode::Cancelled
    )
}

impl Gateway {
    /// Takes in how one call ended.
    pub(crate) fn watch(&self, org: &OrgId, agent: &AgentId, digest: u64, bad: bool) {
        let thresholds = self.thresholds(org);
        if thresholds.mode == BreakerMode::Off {
            return;
        }
        let watch = &self.inner.breaker;
        let key = (org.clone(), agent.clone());
        let calls = watch.calls.get_with(key, Arc::default);
        let now = self.books().now();
        let cause =
            calls
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .saw(now, digest, bad, &thresholds);
        let Some(cause) = cause else { return };
        let enforce = thresholds.mode == BreakerMode::Enforce;
        let cause = format!("{cause} within {} s", thresholds.window_secs);
        self.trips(org, agent, cause, (enforce, false));
    }

    /// An agent sent a canary: it is stopped at once where the organization wants that.
    pub(crate) fn canary_trips(&self, org: &OrgId, agent: &AgentId, canaries: &str) {
        if self.thresholds(org).canary {
            let cause = format!("canary {canaries} was in the arguments of a call");
            self.trips(org, agent, cause, (true, true));
        }
    }

    fn trips(&self, org: &OrgId, agent: &AgentId, cause: String, (enforce, canary): (bool, bool)) {
        let watch = &self.inner.breaker;
        if enforce {
            watch.stopped.insert((org.clone(), agent.clone()), ());
        }
        tracing::warn!(%org, %agent, cause, enforce, "the breaker tripped");
        let trip = Trip {
            org: org.clone(),
            agent: agent.clone(),
            cause,
            enforce,
            canary,
        };
        if watch.tell.try_send(trip).is_err() {
            tracing::error!(
                "too many agents trip the breaker at once: one is told again when it goes on"
            );
        }
    }

    fn thresholds(&self, org: &OrgId) -> Thresholds {
        let book = self.books().org(org);
        let set = book.and_then(|b| b.registry().breaker.as_ref().map(|b| b.thresholds));
        set.unwrap_or_default()
    }

    /// Refuses an agent whose quarantine is on its way.
    pub(crate) fn not_tripped(&self, org: &OrgId, agent: &AgentId) -> Result<(), Refusal> {
        let key = (org.clone(), agent.clone());
        if self.inner.breaker.stopped.contains_key(&key) {
            let text =
                "the breaker has stopped this agent: it repeated calls that were refused or failed";
            return Err(Refusal::new(RefusalCode::Contained, text));
        }
        Ok(())
    }

    /// Waits until the breaker trips for an agent. One caller at a time; none once the gateway is gone.
    pub async fn next_trip(&self) -> Option<Trip> {
        self.inner.breaker.told.lock().await.recv().await
    }
}
