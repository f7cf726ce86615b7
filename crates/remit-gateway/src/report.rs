//! Outcomes of calls that an enforcement point let through: reported once, by the point that asked.
//!
//! The node that decided keeps the call until then, so that limits are settled and labels raised as for any other call.
//! Elsewhere, and after that node has forgotten it, a late report is recorded beside the gap: it releases nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use remit_books::in_flight::{FlightGuard, Progress};
use remit_books::labels::agent_scope;
use remit_domain::event::{Event, EventKind};
use remit_domain::{
    AgentId, DecisionId, EnforcementPointId, OrgId, Principal, Refusal, RefusalCode, RunId,
};
use remit_ports::store::{EntryFilter, Outcome};
use remit_ports::upstreams::UpstreamError;
use serde_json::{Map, Value};

use crate::Gateway;
use crate::call::{Forwarded, Recorded};
use crate::content;
use crate::limits::PENDING_MAX;
use crate::refuse::Refused;
use crate::resolve::unavailable;

/// How long a decision waits for its outcome, in seconds; afterwards it is reported as a gap.
pub const REPORT_SECS: i64 = 300;

/// What a point says came of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// It was answered; with its result, where the point has it.
    Ok(Map<String, Value>),
    /// It was answered with an error of the tool's own.
    Error(Map<String, Value>),
    /// It was not sent, for sure.
    NotSent(String),
    /// It was sent, and no answer came.
    Unknown(String),
}

/// What a report came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// The decision.
    pub decision: DecisionId,
    /// Whether it came in time, to the node that decided.
    pub in_time: bool,
    /// The result as the agent may have it; none where none was given.
    pub result: Option<Map<String, Value>>,
    /// Why the agent may not have the result.
    pub withheld: Option<Refusal>,
}

/// A call whose outcome is reported to a node that does not hold it.
struct Late {
    decision: DecisionId,
    decided_at: u64,
    agent: AgentId,
    run: RunId,
}

struct Waiting {
    point: EnforcementPointId,
    recorded: Recorded,
    guard: FlightGuard,
    since: Duration,
}

/// Calls that wait for their outcomes.
#[derive(Default)]
pub(crate) struct Pending(Mutex<HashMap<DecisionId, Waiting>>);

impl Pending {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<DecisionId, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another may wait.
    pub(crate) fn has_room(&self) -> bool {
        self.all().len() < PENDING_MAX
    }

    /// One more waits.
    pub(crate) fn add(
        &self,
        point: &EnforcementPointId,
        recorded: Recorded,
        guard: FlightGuard,
        since: Duration,
    ) {
        guard.say(Progress::Sent);
        let waiting = Waiting {
            point: point.clone(),
            recorded,
            guard,
            since,
        };
        let id = waiting.recorded.authorized.id.clone();
        self.all().insert(id, waiting);
    }

    /// The one of that point; none for another's, which stays.
    fn take(&self, org: &OrgId, point: &EnforcementPointId, id: &DecisionId) -> Option<Waiting> {
        let mut all = self.all();
        let own =
            |w: &Waiting| w.point == *point && w.recorded.authorized.resolved.received.org == *org;
        if all.get(id).is_some_and(own) {
            all.remove(id)
        } else {
            None
        }
    }

    fn drop_older(&self, before: Duration) {
        self.all().retain(|_, waiting| waiting.since >= before);
    }
}

impl Gateway {
    /// Takes in what came of a call that a point let through.
    ///
    /// # Errors
    /// [`Refused`], recorded: `not-found` for what this point never asked about, the same as for what nobody did; `conflict` when
    /// it was reported before.
    pub async fn report(
        &self,
        org: &OrgId,
        point: &EnforcementPointId,
        decision: &DecisionId,
        report: Report,
    ) -> Result<Reported, Refused> {
        let Some(waiting) = self.inner.points.pending.take(org, point, decision) else {
            return match self.reported_late(org, point, decision, report).await {
                Ok(reported) => Ok(reported),
                Err(refusal) => {
                    let named = decision.to_string();
                    Err(self.refuse_point(org, point, &named, refusal).await)
                }
            };
        };
        let (result, given) = match report {
            Report::Ok(map) => (Ok(map.clone()), !map.is_empty()),
            Report::Error(mut map) => {
                map.insert("isError".to_owned(), Value::Bool(true));
                (Ok(map), true)
            }
            Report::NotSent(why) => (Err(UpstreamError::Unreachable(why)), false),
            Report::Unknown(why) => (Err(UpstreamError::Ambiguous(why)), false),
        };
        waiting.guard.say(match &result {
            Ok(_) => Progress::Answered,
            Err(UpstreamError::Unreachable(_) | UpstreamError::Unauthorized(_)) => {
                Progress::NeverSent
            }
            Err(_) => Progress::Unanswered,
        });
        let failed = result.is_err();
        let recorded = waiting.recorded;
        let answer = self
            .record_outcome(Forwarded::silent(recorded, result))
            .await;
        Ok(match answer {
            Ok(answer) => Reported {
                decision: decision.clone(),
                in_time: true,
                result: given.then_some(answer.result),
                withheld: None,
            },
            // That it failed is what was reported.
            Err(refused) => Reported {
                decision: decision.clone(),
                in_time: true,
                result: None,
                withheld: (!failed).then_some(refused.refusal),
            },
        })
    }

    /// A report that comes to a node which does not hold the call: after its time, or another node decided it.
    async fn reported_late(
        &self,
        org: &OrgId,
        point: &EnforcementPointId,
        decision: &DecisionId,
        report: Report,
    ) -> Result<Reported, Refusal> {
        let unknown = || {
            let text =
                "this enforcement point has no such decision whose outcome could be reported";
            Refusal::new(RefusalCode::NotFound, text)
        };
        let filter = EntryFilter {
            kinds: vec![EventKind::CallDecided, EventKind::CallCompleted],
            decision: Some(decision.clone()),
            limit: 10,
            ..EntryFilter::default()
        };
        // Outcomes that wait to be written count.
        self.books()
            .store()
            .flush()
            .await
            .map_err(|e| unavailable(&e))?;
        let entries = self.books().opened_entries(org, &filter).await;
        let entries = entries.map_err(|e| unavailable(&e))?;
        let decided = entries.iter().find(|e| {
            let asked = e
                .leaf
                .facts
                .get("enforcement_point")
                .and_then(Value::as_str);
            e.stored.kind == EventKind::CallDecided && asked == Some(point.as_str())
        });
        let decided = decided.ok_or_else(unknown)?;
        let consent = decided.leaf.facts.get("consent").and_then(Value::as_str);
        let (Some(agent), Some(run), true) = (
            &decided.stored.agent,
            &decided.stored.run,
            matches!(consent, Some("not_needed" | "given")),
        ) else {
            return Err(unknown());
        };
        if entries
            .iter()
            .any(|e| e.stored.kind == EventKind::CallCompleted)
        {
            let text = "the outcome of this decision was reported before; it is reported once";
            return Err(Refusal::new(RefusalCode::Conflict, text));
        }
        let call = Late {
            decision: decision.clone(),
            decided_at: decided.stored.index,
            agent: agent.clone(),
            run: run.clone(),
        };
        self.record_late(org, call, report).await
    }

    async fn record_late(
        &self,
        org: &OrgId,
        call: Late,
        report: Report,
    ) -> Result<Reported, Refusal> {
        let (status, result) = match report {
            Report::Ok(map) => ("ok", Some(map)),
            Report::Error(map) => ("tool_error", Some(map)),
            Report::NotSent(_) => ("not_sent", None),
            Report::Unknown(_) => ("ambiguous", None),
        };
        let found = result.as_ref().map(content::look).unwrap_or_default();
        let now = self.books().now();
        let root = self.root_of(org, &call.run).await?;
        let scopes = [root, agent_scope(&call.agent)];
        let actor = Principal::Agent(call.agent.clone());
        let event = Event::new(EventKind::CallCompleted, now, actor)
            .about(&call.decision)
            .agent(&call.agent)
            .run(&call.run)
            .decision(&call.decision)
            .fact("status", status)
            .fact("decided_at", call.decided_at)
            .fact("late", true);
        let event = match found.names() {
            Some(names) => event.fact("found", names),
            None => event,
        };
        let entry = self
            .books()
            .seal(org, &event)
            .await
            .map_err(|e| unavailable(&e))?;
        let outcome = Outcome {
            org: org.clone(),
            decision: call.decision.clone(),
            at: now,
            entries: vec![entry],
            raise: found.labels_on(&scopes),
            release: Vec::new(),
            puts: Vec::new(),
        };
        let store = self.books().store();
        store.outcome(outcome).map_err(|e| unavailable(&e))?;
        store.flush().await.map_err(|e| unavailable(&e))?;
        // What has to be masked of it is not known any more: the report is taken, the result is not given back.
        Ok(Reported {
            decision: call.decision,
            in_time: false,
            result: None,
            withheld: None,
        })
    }

    /// The run whose labels count for a run.
    async fn root_of(&self, org: &OrgId, run: &remit_domain::RunId) -> Result<String, Refusal> {
        let found = self
            .books()
            .get::<remit_domain::Run>(org, run.as_str())
            .await;
        let found = found.map_err(|e| unavailable(&e))?;
        Ok(found.map_or_else(|| run.to_string(), |r| r.noun.root.to_string()))
    }

    /// Forgets calls whose outcome was not reported in time: they are reported as gaps then. Called now and then.
    pub fn forget_unreported(&self) {
        let now = self.books().clock().monotonic();
        let patience = Duration::from_secs(u64::try_from(REPORT_SECS).unwrap_or(0));
        if let Some(before) = now.checked_sub(patience) {
            self.inner.points.pending.drop_older(before);
        }
    }
}
