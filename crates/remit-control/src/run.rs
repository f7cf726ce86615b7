//! Runs: what goes on, what happened in each, and ending one.

mod story;

use std::collections::BTreeMap;

use remit_books::{BooksError, Ending, Versioned};
use remit_domain::approval::{Approval, ApprovalState, counter};
use remit_domain::name::Name;
use remit_domain::run::{Intent, Mode, Provenance, Run, RunEnd, RunOutcome, RunState};
use remit_domain::{
    AgentId, ApprovalId, DelegationId, OrgId, Principal, RefusalCode, Registry, Role, RunId,
    Timestamp,
};
use remit_ports::store::{EntryFilter, Filter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::declassification::LabelView;
use crate::delegation::DelegationView;
use crate::error::{invalid, not_found};
use crate::{Caller, Control, ControlError, ListQuery, Listing, delegation, names, newest, refuse};

pub use story::{EventView, Reader};
pub(crate) use story::{goes_on, told};

/// Most measures of an outcome.
const MEASURES_MAX: usize = 32;
/// Longest name or text of a measure, in bytes.
const MEASURE_BYTES_MAX: usize = 2_000;
/// Most entries of one run told at once.
const EVENTS_MAX: u32 = 10_000;

/// A run, as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// `active`, `suspended` or `ended`.
    pub state: &'static str,
    /// Its revision, which is also its ETag.
    pub revision: u64,
    /// Which agent, by name.
    pub agent: String,
    /// Which workflow, as `agent/workflow`.
    pub workflow: String,
    /// How it came to be.
    pub mode: Mode,
    /// What started it.
    pub trigger: Option<String>,
    /// Its declared purpose.
    pub intent: Intent,
    /// Address of the person it acts for.
    pub person: Option<String>,
    /// Address of the agent's sponsor.
    pub sponsor: Option<String>,
    /// The chain of delegations, from the person's on.
    pub chain: Vec<DelegationId>,
    /// The run that spawned it.
    pub parent: Option<RunId>,
    /// The first run of its tree.
    pub root: RunId,
    /// Whether a token request started it, rather than anybody's word.
    pub implicit: bool,
    /// What the caller said about itself, marked as its own word.
    pub provenance: DeclaredView,
    /// When it started.
    pub started: Timestamp,
    /// When it ends at the latest.
    pub deadline: Timestamp,
    /// How it ended.
    pub ended: Option<EndView>,
}

/// What the caller of a run said about itself: its own word, which nothing was compared with and nothing rests on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DeclaredView {
    /// What it said.
    #[serde(flatten)]
    pub said: Provenance,
    /// Always `true`: no part of it is attested, and none raises the trust in a caller.
    pub unattested: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EndView {
    /// When.
    pub at: Timestamp,
    /// Who ended it, by name.
    pub by: String,
    /// Why.
    pub cause: RunEnd,
    /// How it went.
    pub outcome: Option<RunOutcome>,
    /// Measures reported with the outcome.
    pub measures: BTreeMap<String, Value>,
}

/// A run as the chain of its events: who, via what, what and where, why, and what came of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunStory {
    /// The run.
    pub run: RunView,
    /// Via what: each hop and what it narrowed.
    pub chain: Vec<DelegationView>,
    /// What it has touched: the labels of its tree, each with the call that raised it.
    pub labels: Vec<LabelView>,
    /// What happened, in order.
    pub events: Vec<EventView>,
    /// Calls that were decided to go on and have no outcome yet.
    pub without_outcome: Vec<remit_domain::DecisionId>,
    /// What people approved for the run, beyond one call, and can take back.
    pub approved: Vec<ApprovedForRun>,
}

/// What people approved for a run, beyond one call.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ApprovedForRun {
    /// The approval.
    pub approval: ApprovalId,
    /// Which tool.
    pub tool: remit_domain::tool::ToolRef,
    /// How many calls.
    pub count: u32,
    /// How many it has let pass.
    pub used: u32,
    /// Until when.
    pub until: Timestamp,
    /// What arguments may be, in words; empty for those who are told no arguments.
    pub text: String,
}

/// How a run is said to have gone.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunReport {
    /// How it went.
    pub outcome: Option<RunOutcome>,
    /// Measures: names to numbers or texts, at most 32.
    pub measures: BTreeMap<String, Value>,
}

/// Why content is to be destroyed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shred {
    /// Why; kept in the ledger.
    pub reason: String,
}

/// What ended with a run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunEnded {
    /// The run, as it is now.
    pub run: RunView,
    /// Runs that ended: this one and those below it.
    pub runs: Vec<RunId>,
    /// How many tokens.
    pub tokens: usize,
    /// How many approvals that waited or were not used.
    pub approvals: usize,
    /// Delegations made in these runs.
    pub delegations: Vec<DelegationId>,
    /// Upstream processes and sessions.
    pub processes: Vec<String>,
}

impl Control {
    /// Runs, newest first.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found` for an agent that is not here.
    pub async fn runs(
        &self,
        caller: &Caller,
        agent: Option<&Name>,
        query: &ListQuery,
    ) -> Result<Listing<RunView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let agent = match agent {
            None => None,
            Some(name) => {
                let found = book
                    .registry()
                    .agent_named(name.as_str())
                    .map(|a| a.id.to_string());
                Some(found.ok_or_else(|| not_found("agent", name))?)
            }
        };
        let (page, next) = newest::page(
            &self.books,
            &caller.org,
            query,
            agent,
            |id| RunId::from_uuid(id).to_string(),
            |run: &Run| run.started,
        )
        .await?;
        let registry = book.registry();
        Ok(Listing {
            items: page.iter().map(|r| view(&registry, r)).collect(),
            next,
        })
    }

    /// One run.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for anyone but people of the organization.
    pub async fn run(&self, caller: &Caller, id: &RunId) -> Result<RunView, ControlError> {
        caller.person()?;
        self.run_view(&caller.org, id).await
    }

    /// One run of an agent's own, for that agent.
    ///
    /// # Errors
    /// `not-found`, also for another agent's.
    pub async fn run_of_agent(
        &self,
        org: &OrgId,
        agent: &AgentId,
        id: &RunId,
    ) -> Result<RunView, ControlError> {
        let found = self.books.get::<Run>(org, id.as_str()).await?;
        let found = found
            .filter(|r| r.noun.agent == *agent)
            .ok_or_else(|| not_found("run", id))?;
        Ok(view(&self.book(org)?.registry(), &found))
    }

    /// A run as the chain of its events. What was sealed is told to auditors, to the person the run acts for, and to those
    /// who answer for the agent; to others, what happened without what was said.
    ///
    /// # Errors
    /// `not-found`; `forbidden` for anyone but people of the organization; when the ledger cannot be read.
    pub async fn run_story(&self, caller: &Caller, id: &RunId) -> Result<RunStory, ControlError> {
        let person = caller.person()?;
        let found = self
            .books
            .get::<Run>(&caller.org, id.as_str())
            .await?
            .ok_or_else(|| not_found("run", id))?;
        let book = self.book(&caller.org)?;
        let reader = {
            let registry = book.registry();
            let answers = registry
                .agents
                .get(&found.noun.agent)
                .is_some_and(|a| a.profile.owner == person.id || a.profile.sponsor == person.id);
            let close = answers
                || found.noun.person.as_ref() == Some(&person.id)
                || caller.holds(Role::Auditor);
            if close {
                Reader::Whole
            } else {
                Reader::Outline
            }
        };
        let mut chain = Vec::new();
        for link in &found.noun.chain {
            if let Some(link) = self
                .books
                .get::<remit_domain::delegation::Delegation>(&caller.org, link.as_str())
                .await?
            {
                chain.push(delegation::view(&book.registry(), &link, self.books.now()));
            }
        }
        let filter = EntryFilter {
            run: Some(id.clone()),
            limit: EVENTS_MAX,
            ..EntryFilter::default()
        };
        let entries = self.books.opened_entries(&caller.org, &filter).await?;
        let labels = self.labels_told(&caller.org, &found.noun).await?;
        let approved = self.approved_for_run(&caller.org, id, reader).await?;
        let registry = book.registry();
        let events: Vec<EventView> = entries.iter().map(|e| told(&registry, e, reader)).collect();
        let without_outcome = story::without_outcome(&entries);
        Ok(RunStory {
            run: view(&registry, &found),
            chain,
            labels,
            events,
            without_outcome,
            approved,
        })
    }

    async fn approved_for_run(
        &self,
        org: &OrgId,
        id: &RunId,
        reader: Reader,
    ) -> Result<Vec<ApprovedForRun>, ControlError> {
        let filter = Filter {
            parent: Some(id.to_string()),
            state: Some(ApprovalState::Approved.as_str().to_owned()),
            limit: 1_000,
            descending: true,
            ..Filter::default()
        };
        let now = self.books.now();
        let (all, _) = self.books.list::<Approval>(org, &filter).await?;
        let holds = all.into_iter().map(|a| a.noun).filter(|a| now < a.expires);
        let mut approved: Vec<ApprovedForRun> = holds
            .filter_map(|a| {
                let terms = a.for_run?;
                Some(ApprovedForRun {
                    approval: a.id,
                    tool: a.tool,
                    count: terms.count,
                    used: 0,
                    until: a.expires,
                    text: match reader {
                        Reader::Whole => terms.in_words(),
                        _ => String::new(),
                    },
                })
            })
            .collect();
        if !approved.is_empty() {
            let keys: Vec<String> = approved.iter().map(|a| counter(&a.approval)).collect();
            let used = self.books.store().counters(org, &keys).await?;
            for (one, used) in approved.iter_mut().zip(used) {
                one.used = u32::try_from(used).unwrap_or(0);
            }
        }
        Ok(approved)
    }

    /// Ends a run with its children, tokens, approvals and calls in flight.
    ///
    /// # Errors
    /// `forbidden` for anyone but the person it acts for, the agent's owner or sponsor, an administrator or a responder;
    /// `run-ended` when it has ended; `invalid-request` for measures that cannot be; `not-found`.
    pub async fn end_run(
        &self,
        caller: &Caller,
        id: &RunId,
        report: &RunReport,
    ) -> Result<RunEnded, ControlError> {
        let person = caller.person()?;
        check_measures(report)?;
        let found = self
            .books
            .get::<Run>(&caller.org, id.as_str())
            .await?
            .ok_or_else(|| not_found("run", id))?
            .noun;
        let book = self.book(&caller.org)?;
        let answers = book
            .registry()
            .agents
            .get(&found.agent)
            .is_some_and(|a| a.profile.owner == person.id || a.profile.sponsor == person.id);
        let may = answers
            || found.person.as_ref() == Some(&person.id)
            || caller.require(&[Role::Admin, Role::Responder]).is_ok();
        if !may {
            let text = "the person it acts for, the agent's owner or sponsor, an administrator or a responder ends a run";
            return Err(refuse(RefusalCode::Forbidden, text));
        }
        self.end(
            &caller.org,
            id,
            caller.principal.clone(),
            RunEnd::Person,
            report,
        )
        .await
    }

    /// Ends a run of an agent's own, by that agent.
    ///
    /// # Errors
    /// `not-found`, also for another agent's; `invalid-request` for an outcome only a person gives; as [`Control::end_run`].
    pub async fn end_run_of_agent(
        &self,
        org: &OrgId,
        agent: &AgentId,
        id: &RunId,
        report: &RunReport,
    ) -> Result<RunEnded, ControlError> {
        check_measures(report)?;
        if report.outcome == Some(RunOutcome::Corrected) {
            return Err(invalid(
                "outcome",
                "`corrected` is what a person says of a run; an agent says done, failed or abandoned",
            ));
        }
        let found = self.books.get::<Run>(org, id.as_str()).await?;
        found
            .filter(|r| r.noun.agent == *agent)
            .ok_or_else(|| not_found("run", id))?;
        self.end(
            org,
            id,
            Principal::Agent(agent.clone()),
            RunEnd::Agent,
            report,
        )
        .await
    }

    /// Destroys the content of a run that has ended: its purpose, its arguments, what people were shown, the inputs of its
    /// decisions. What happened, when and by whom stays, and every proof holds. Nothing brings the content back.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request` without a reason; `conflict` while the run goes on, or
    /// when its content is gone already; `not-found`.
    pub async fn shred_run(
        &self,
        caller: &Caller,
        id: &RunId,
        request: &Shred,
    ) -> Result<RunView, ControlError> {
        caller.require(&[Role::Admin])?;
        let reason = request.reason.trim();
        if reason.is_empty() || reason.len() > MEASURE_BYTES_MAX {
            let why = format!("say why, in 1 to {MEASURE_BYTES_MAX} bytes");
            return Err(invalid("reason", why));
        }
        let found = self.books.get::<Run>(&caller.org, id.as_str()).await?;
        let found = found.ok_or_else(|| not_found("run", id))?.noun;
        if !matches!(found.state, RunState::Ended { .. }) {
            let text = format!("run `{id}` goes on, and its intent bounds it; end it first");
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let by = caller.principal.clone();
        match self.books.shred(&caller.org, id.as_str(), by, reason).await {
            Ok(()) => self.run_view(&caller.org, id).await,
            Err(BooksError::StillCounts(_)) => {
                let text = format!("something made in run `{id}` still counts; end it first");
                Err(refuse(RefusalCode::Conflict, text))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn end(
        &self,
        org: &OrgId,
        id: &RunId,
        by: Principal,
        cause: RunEnd,
        report: &RunReport,
    ) -> Result<RunEnded, ControlError> {
        let ending = Ending {
            outcome: report.outcome,
            measures: report.measures.clone(),
            ..Ending::because(by, cause)
        };
        let ended = self.books.end_run(org, id, &ending).await?;
        if ended.runs.is_empty() {
            return Err(refuse(
                RefusalCode::RunEnded,
                format!("run `{id}` has ended already"),
            ));
        }
        let processes = self.end_processes(org, &ended.runs).await;
        Ok(RunEnded {
            run: self.run_view(org, id).await?,
            runs: ended.runs,
            tokens: ended.tokens.len(),
            approvals: ended.approvals.len(),
            delegations: ended.delegations,
            processes,
        })
    }

    async fn run_view(&self, org: &OrgId, id: &RunId) -> Result<RunView, ControlError> {
        let found = self
            .books
            .get::<Run>(org, id.as_str())
            .await?
            .ok_or_else(|| not_found("run", id))?;
        Ok(view(&self.book(org)?.registry(), &found))
    }
}

fn check_measures(report: &RunReport) -> Result<(), ControlError> {
    if report.measures.len() > MEASURES_MAX {
        return Err(invalid(
            "measures",
            format!(
                "there are {}; at most {MEASURES_MAX} are permitted",
                report.measures.len()
            ),
        ));
    }
    for (name, value) in &report.measures {
        let shown: String = name.chars().take(40).collect();
        let fits = match value {
            Value::Number(_) | Value::Bool(_) => true,
            Value::String(text) => text.len() <= MEASURE_BYTES_MAX,
            _ => false,
        };
        if !fits || name.is_empty() || name.len() > 64 {
            let why = format!(
                "`{shown}` is not a name of at most 64 bytes with a number or a text of at most {MEASURE_BYTES_MAX}"
            );
            return Err(invalid("measures", why));
        }
    }
    Ok(())
}

pub(crate) fn view(registry: &Registry, run: &Versioned<Run>) -> RunView {
    let r = &run.noun;
    let ended = match &r.state {
        RunState::Ended {
            at,
            by,
            cause,
            outcome,
            measures,
        } => Some(EndView {
            at: *at,
            by: names::principal(registry, by),
            cause: *cause,
            outcome: *outcome,
            measures: measures.clone(),
        }),
        RunState::Active | RunState::Suspended => None,
    };
    RunView {
        id: r.id.clone(),
        state: remit_domain::Noun::state(r),
        revision: run.revision,
        agent: names::agent(registry, &r.agent),
        workflow: names::workflow(registry, &r.workflow),
        mode: r.mode,
        trigger: r.trigger.clone(),
        intent: r.intent.clone(),
        person: r.person.as_ref().map(|p| names::person(registry, p)),
        sponsor: registry
            .agents
            .get(&r.agent)
            .map(|a| names::person(registry, &a.profile.sponsor)),
        chain: r.chain.clone(),
        parent: r.parent.clone(),
        root: r.root.clone(),
        implicit: r.implicit_key.is_some(),
        provenance: DeclaredView {
            said: r.provenance.clone(),
            unattested: true,
        },
        started: r.started,
        deadline: r.deadline,
        ended,
    }
}
