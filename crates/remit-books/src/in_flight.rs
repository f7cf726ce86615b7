//! Calls in flight on this node, so that containment can reach them and say truthfully what became of each.
//!
//! Order is what makes it sound (invariant 8): a call registers here, then reads the containment epoch, then is sent;
//! containment raises the epoch, then looks here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use remit_domain::tool::ToolRef;
use remit_domain::{AgentId, DecisionId, OrgId, RunId, WorkflowId};
use tokio::sync::watch;

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not sent.
    Waiting,
    /// Sent, not answered.
    Sent,
    /// Over without having been sent.
    NeverSent,
    /// Over, answered.
    Answered,
    /// Over, sent and never answered: an effect is possible.
    Unanswered,
}

impl Progress {
    /// Whether the call is over.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::NeverSent | Self::Answered | Self::Unanswered)
    }
}

/// A call in flight.
#[derive(Debug, Clone)]
pub struct Flight {
    /// In which organization.
    pub org: OrgId,
    /// Which call.
    pub decision: DecisionId,
    /// Which agent.
    pub agent: AgentId,
    /// Which workflow.
    pub workflow: WorkflowId,
    /// Which run.
    pub run: RunId,
    /// Which credential.
    pub credential: String,
    /// Which tool.
    pub tool: ToolRef,
    /// Hash of its definition.
    pub definition: String,
    progress: watch::Receiver<Progress>,
}

impl Flight {
    /// How far it has come.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until it is over; the caller bounds how long.
    pub async fn over(&mut self) -> Progress {
        match self.progress.wait_for(|p| p.is_over()).await {
            Ok(p) => *p,
            // The guard is gone without a word: nobody can say.
            Err(_) => Progress::Unanswered,
        }
    }
}

type Flights = Arc<Mutex<HashMap<DecisionId, Flight>>>;

/// The calls in flight on this node.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Flights);

/// Holds a call's place; gone when dropped, as unanswered if it was sent and nothing was said of it.
#[derive(Debug)]
pub struct FlightGuard {
    flights: Flights,
    decision: DecisionId,
    progress: watch::Sender<Progress>,
}

/// What a call registers.
#[derive(Debug, Clone)]
pub struct Departure {
    /// In which organization.
    pub org: OrgId,
    /// Which call.
    pub decision: DecisionId,
    /// Which agent.
    pub agent: AgentId,
    /// Which workflow.
    pub workflow: WorkflowId,
    /// Which run.
    pub run: RunId,
    /// Which credential.
    pub credential: String,
    /// Which tool.
    pub tool: ToolRef,
    /// Hash of its definition.
    pub definition: String,
}

impl InFlight {
    /// Registers a call.
    pub fn register(&self, d: Departure) -> FlightGuard {
        let (progress, seen) = watch::channel(Progress::Waiting);
        let Departure {
            org,
            decision,
            agent,
            workflow,
            run,
            credential,
            tool,
            definition,
        } = d;
        let flight = Flight {
            org,
            decision: decision.clone(),
            agent,
            workflow,
            run,
            credential,
            tool,
            definition,
            progress: seen,
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(decision.clone(), flight);
        FlightGuard {
            flights: Arc::clone(&self.0),
            decision,
            progress,
        }
    }

    /// The calls of an organization that `wanted` picks.
    pub fn of(&self, org: &OrgId, wanted: impl Fn(&Flight) -> bool) -> Vec<Flight> {
        let flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights
            .values()
            .filter(|f| f.org == *org && wanted(f))
            .cloned()
            .collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl FlightGuard {
    /// Says how far the call has come.
    pub fn say(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        let left = *self.progress.borrow();
        if !left.is_over() {
            self.progress.send_replace(if left == Progress::Sent {
                Progress::Unanswered
            } else {
                Progress::NeverSent
            });
        }
        self.flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.decision);
    }
}
