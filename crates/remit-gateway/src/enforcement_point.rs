//! Who an enforcement point may ask about, and in which run.
//!
//! A point names an agent; it is believed only of the agents assigned to it. Where it names no run, the calls it asks about
//! belong to the implicit run of (agent, workflow, point), which starts with the first decision that takes effect.

use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use remit_books::{BooksError, NewRun};
use remit_domain::attestation::Trust;
use remit_domain::enforcement_point::EnforcementPoint;
use remit_domain::run::{Intent, Mode, Provenance, Run};
use remit_domain::tool::ToolRef;
use remit_domain::{
    AgentId, EnforcementPointId, OrgId, Refusal, RefusalCode, Registry, RunId, Workflow, WorkflowId,
};
use remit_mcp::calls::{RequestMeta, ToolCall};
use remit_mcp::canonical::CanonicalArgs;
use remit_ports::store::{Once, StoreError};
use tokio_util::sync::CancellationToken;

use crate::call::{Action, Endpoint, Passes, Received, Vouched, VouchedRun};
use crate::limits::{EVALUATIONS_PER_SECOND, PLANNED_RUNS_MAX, PLANNED_SECS, RUN_START_SECS};
use crate::report::Pending;
use crate::resolve::unavailable;
use crate::{Caller, Gateway, Presented};

/// What an enforcement point asks.
#[derive(Debug, Clone)]
pub struct Question {
    /// In which organization.
    pub org: OrgId,
    /// The point, which has proved itself.
    pub point: Arc<EnforcementPoint>,
    /// Thumbprint of the key it proved itself with.
    pub key: String,
    /// About which agent.
    pub agent: AgentId,
    /// In which workflow; the one of its assignment, or the agent's only one, where none is named.
    pub workflow: Option<WorkflowId>,
    /// In which run; the implicit one where none is named.
    pub run: Option<RunId>,
    /// Which tool.
    pub tool: ToolRef,
    /// With which arguments.
    pub arguments: CanonicalArgs,
    /// How the point passes the call on.
    pub passes: Passes,
}

/// What the gateway remembers of points.
pub(crate) struct Points {
    runs: moka::sync::Cache<(OrgId, EnforcementPointId, WorkflowId), VouchedRun>,
    asked: DefaultKeyedRateLimiter<EnforcementPointId>,
    starting: tokio::sync::Mutex<()>,
    pub(crate) pending: Pending,
}

impl Default for Points {
    fn default() -> Self {
        Self {
            runs: moka::sync::Cache::builder()
                .max_capacity(PLANNED_RUNS_MAX)
                .time_to_live(Duration::from_secs(PLANNED_SECS))
                .build(),
            asked: RateLimiter::keyed(Quota::per_second(EVALUATIONS_PER_SECOND)),
            starting: tokio::sync::Mutex::default(),
            pending: Pending::default(),
        }
    }
}

fn no(code: RefusalCode, text: impl Into<String>) -> Refusal {
    Refusal::new(code, text)
}

/// What a point hears of an agent that is not its own: the same, whether there is such an agent or not.
fn not_assigned() -> Refusal {
    no(
        RefusalCode::Forbidden,
        "no such agent is assigned to this enforcement point; an administrator can assign it",
    )
}

impl Gateway {
    /// Counts questions of a point. Advice is not recorded, so that nothing else holds it.
    ///
    /// # Errors
    /// `limited`.
    pub fn count_questions(&self, point: &EnforcementPointId, n: u32) -> Result<(), Refusal> {
        let Some(n) = std::num::NonZeroU32::new(n) else {
            return Ok(());
        };
        match self.inner.points.asked.check_key_n(point, n) {
            Ok(Ok(())) => Ok(()),
            _ => Err(no(
                RefusalCode::Limited,
                format!(
                    "more than {EVALUATIONS_PER_SECOND} questions of one enforcement point in a second; wait a moment"
                ),
            )),
        }
    }

    /// Forgets points that have been quiet.
    pub(crate) fn forget_quiet_points(&self) {
        self.inner.points.asked.retain_recent();
    }

    /// The call that a question is about.
    pub(crate) fn asked(&self, question: &Question, live: bool) -> Result<Received, Refusal> {
        let vouched = self.vouched(question, live)?;
        Ok(received(question, vouched))
    }

    /// Who calls and in which run; none of it is started.
    fn vouched(&self, question: &Question, live: bool) -> Result<Vouched, Refusal> {
        let book = self.books().org(&question.org);
        let book = book.ok_or_else(|| no(RefusalCode::NotFound, "no such organization is here"))?;
        let registry = book.registry();
        let assigned = question.point.assigned(&question.agent);
        let assigned = assigned.ok_or_else(not_assigned)?;
        let named = question.workflow.as_ref().or(assigned.workflow.as_ref());
        let vouch = |workflow: &WorkflowId, run| Vouched {
            point: question.point.id.clone(),
            key: question.key.clone(),
            agent: question.agent.clone(),
            workflow: workflow.clone(),
            run,
            passes: question.passes,
        };
        if let Some(id) = &question.run {
            let run = registry.runs.get(id).filter(|run| {
                run.agent == question.agent && named.is_none_or(|w| *w == run.workflow)
            });
            let unknown = "no such run of this agent and workflow goes on here";
            let run = run.ok_or_else(|| no(RefusalCode::RunUnknown, unknown))?;
            return Ok(vouch(&run.workflow, VouchedRun::Live(id.clone())));
        }
        let workflow = match named {
            Some(named) => registry.standing_workflow(&question.agent, named)?,
            None => only_workflow(&registry, &question.agent)?,
        };
        let run = self.implicit_run(&question.org, &registry, &question.point, &workflow);
        match run {
            VouchedRun::Planned(_) if live => Err(no(RefusalCode::RunUnknown, NOT_STARTED)),
            run => Ok(vouch(&workflow.id, run)),
        }
    }

    /// The implicit run of a point, where one goes on; as it would start otherwise.
    fn implicit_run(
        &self,
        org: &OrgId,
        registry: &Registry,
        point: &EnforcementPoint,
        workflow: &Workflow,
    ) -> VouchedRun {
        let now = self.books().now();
        let key = (org.clone(), point.id.clone(), workflow.id.clone());
        let is_it = |run: &&Arc<Run>| {
            run.implicit_key.as_deref() == Some(point.id.as_str())
                && run.workflow == workflow.id
                && now < run.deadline
        };
        let known = self.inner.points.runs.get(&key);
        match known {
            Some(VouchedRun::Live(id)) if registry.runs.get(&id).as_ref().is_some_and(is_it) => {
                return VouchedRun::Live(id);
            }
            Some(planned @ VouchedRun::Planned(_)) => return planned,
            _ => {}
        }
        let run = match registry.runs.values().find(is_it) {
            Some(run) => VouchedRun::Live(run.id.clone()),
            None => {
                let new = new_run(point, workflow);
                VouchedRun::Planned(Arc::new(self.books().plan_run(org, workflow, new).0))
            }
        };
        self.inner.points.runs.insert(key, run.clone());
        run
    }

    /// The call that a question is about, in a run that goes on: the implicit one starts where none does.
    pub(crate) async fn asked_live(&self, question: &Question) -> Result<Received, Refusal> {
        match self.asked(question, true) {
            Err(refusal) if refusal.text == NOT_STARTED => {}
            other => return other,
        }
        let _one_at_a_time = self.inner.points.starting.lock().await;
        let vouched = self.vouched(question, false)?;
        let book = self.books().org(&question.org);
        let workflow = book.and_then(|b| b.registry().workflows.get(&vouched.workflow).cloned());
        let unknown = || {
            no(
                RefusalCode::WorkflowUnknown,
                "the agent has no such workflow in use",
            )
        };
        let workflow = workflow.ok_or_else(unknown)?;
        let key = (
            question.org.clone(),
            question.point.id.clone(),
            workflow.id.clone(),
        );
        // What was planned is not what starts: it may have been advised on for a while.
        self.inner.points.runs.invalidate(&key);
        if let Ok(started) = self.asked(question, true) {
            return Ok(started);
        }
        self.standing_before_start(question, &vouched)?;
        let new = new_run(&question.point, &workflow);
        let (run, change) = self.books().plan_run(&question.org, &workflow, new);
        let change = change.once(Once {
            key: format!("implicit-run:{}:{}", question.point.id, workflow.id),
            until: run.started.plus_secs(RUN_START_SECS),
        });
        match self.books().commit(&question.org, change).await {
            Ok(_) => {}
            Err(BooksError::Store(StoreError::Replayed { .. })) => {
                let text = "the run of this enforcement point has just started on another node, or has just ended; ask again in a moment";
                return Err(no(RefusalCode::SnapshotStale, text));
            }
            Err(error) => return Err(unavailable(&error)),
        }
        let live = VouchedRun::Live(run.id);
        self.inner.points.runs.insert(key, live.clone());
        Ok(received(
            question,
            Vouched {
                run: live,
                ..vouched
            },
        ))
    }

    /// Nothing starts for an agent that may do nothing.
    fn standing_before_start(&self, question: &Question, vouched: &Vouched) -> Result<(), Refusal> {
        let book = self.books().org(&question.org);
        let book = book.ok_or_else(|| no(RefusalCode::NotFound, "no such organization is here"))?;
        let registry = book.registry();
        registry.standing_agent(&vouched.agent)?;
        registry.standing_workflow(&vouched.agent, &vouched.workflow)?;
        Ok(())
    }

    /// Who calls by the word of a point: as long as the point is in use, holds the key, and has the agent assigned.
    pub(crate) fn vouched_caller(&self, org: &OrgId, vouched: &Vouched) -> Result<Caller, Refusal> {
        let book = self.books().org(org);
        let book = book.ok_or_else(|| no(RefusalCode::NotFound, "no such organization is here"))?;
        let registry = book.registry();
        let point = registry.enforcement_points.get(&vouched.point);
        let Some(point) = point.filter(|p| p.enabled && p.holds(&vouched.key)) else {
            let text = "the enforcement point is out of use, or its key was removed";
            return Err(no(RefusalCode::Unauthenticated, text));
        };
        point.assigned(&vouched.agent).ok_or_else(not_assigned)?;
        let (run, person) = match &vouched.run {
            VouchedRun::Planned(run) => (run.id.clone(), None),
            VouchedRun::Live(id) => {
                let person = registry.runs.get(id).and_then(|run| run.person.clone());
                (id.clone(), person)
            }
        };
        Ok(Caller {
            agent: vouched.agent.clone(),
            workflow: vouched.workflow.clone(),
            run,
            person,
            credential: vouched.point.to_string(),
            // The point proves itself, not whom it speaks for.
            trust: Trust::None,
        })
    }
}

/// Inner word for a run that has to be started first.
const NOT_STARTED: &str = "no run of this enforcement point goes on for the agent yet";

fn only_workflow(registry: &Registry, agent: &AgentId) -> Result<Arc<Workflow>, Refusal> {
    let enabled = registry
        .workflows_of(agent)
        .into_iter()
        .filter(|w| w.enabled);
    let enabled: Vec<_> = enabled.collect();
    match enabled.as_slice() {
        [one] => registry.standing_workflow(agent, &one.id),
        _ => Err(no(
            RefusalCode::WorkflowUnknown,
            "the agent has several workflows, or none; name one as `subject.properties.workflow`, or in its assignment",
        )),
    }
}

fn new_run(point: &EnforcementPoint, workflow: &Workflow) -> NewRun {
    NewRun {
        agent: workflow.agent.clone(),
        mode: Mode::Api,
        trigger: Some(format!("enforcement point {}", point.name)),
        intent: Intent::default(),
        person: None,
        chain: Vec::new(),
        parent: None,
        implicit_key: Some(point.id.to_string()),
        provenance: Provenance::default(),
        // It has no token by whose use it could be seen to be idle.
        idle_secs_max: Some(workflow.run_secs_max),
        ends_by: None,
    }
}

fn received(question: &Question, vouched: Vouched) -> Received {
    Received {
        org: question.org.clone(),
        endpoint: Endpoint::One(question.tool.upstream().clone()),
        presented: Presented::default(),
        resource: String::new(),
        action: action_of(&question.tool),
        call: ToolCall {
            name: question.tool.tool().to_owned(),
            arguments: question.arguments.clone(),
            input_responses: None,
            request_state: None,
            meta: RequestMeta::default(),
        },
        cancel: CancellationToken::new(),
        notifications: None,
        line: None,
        vouched: Some(vouched),
        continues: None,
    }
}

/// What a call of a tool does: MCP's other methods are tools of ours too.
fn action_of(tool: &ToolRef) -> Action {
    let others = [
        Action::ReadResource,
        Action::GetPrompt,
        Action::Complete,
        Action::ListResources,
        Action::ListPrompts,
        Action::Subscribe,
    ];
    let named = |action: &Action| action.pseudo_tool() == Some(tool.tool());
    others.into_iter().find(named).unwrap_or(Action::Tool)
}
