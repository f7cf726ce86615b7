//! The life of a run: starting it, and ending it with everything that hangs on it.

use std::collections::BTreeMap;

use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::credential::Token;
use remit_domain::delegation::{Delegation, DelegationState};
use remit_domain::event::{Event, EventKind};
use remit_domain::run::{Intent, Mode, Provenance, Run, RunEnd, RunOutcome, RunState};
use remit_domain::{AgentId, DelegationId, OrgId, PersonId, Principal, RunId, Timestamp, Workflow};
use remit_ports::store::{Filter, StoreError};
use serde_json::Value;

use crate::{Books, BooksError, Change, Versioned};

/// What a new run is.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Which agent.
    pub agent: AgentId,
    /// How it comes to be.
    pub mode: Mode,
    /// What starts it.
    pub trigger: Option<String>,
    /// Its declared purpose.
    pub intent: Intent,
    /// The person at the root of its chain.
    pub person: Option<PersonId>,
    /// Its chain.
    pub chain: Vec<DelegationId>,
    /// The run that spawns it.
    pub parent: Option<RunId>,
    /// Key an implicit run belongs to; with `+` and more behind it where nobody else joins it.
    pub implicit_key: Option<String>,
    /// What the caller says about itself.
    pub provenance: Provenance,
    /// Idle time after which it ends; the workflow's where none is given.
    pub idle_secs_max: Option<i64>,
    /// When it ends at the latest, where something sets an end before the workflow's.
    pub ends_by: Option<Timestamp>,
}

/// How a run is to end.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Who ends it.
    pub by: Principal,
    /// Why.
    pub cause: RunEnd,
    /// How it went.
    pub outcome: Option<RunOutcome>,
    /// Measures.
    pub measures: BTreeMap<String, Value>,
}

impl Ending {
    /// An end without outcome or measures.
    pub fn because(by: Principal, cause: RunEnd) -> Self {
        Self {
            by,
            cause,
            outcome: None,
            measures: BTreeMap::new(),
        }
    }
}

/// What ended with a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Runs, the run itself first, children after it.
    pub runs: Vec<RunId>,
    /// Tokens.
    pub tokens: Vec<Token>,
    /// Approvals that waited or were not used.
    pub approvals: Vec<Approval>,
    /// Delegations made in these runs.
    pub delegations: Vec<DelegationId>,
}

/// Whether a token request with this key started a run; see [`NewRun::implicit_key`].
pub fn is_started_by(run: &Run, key: &str) -> bool {
    run.started_with() == Some(key)
}

/// How often a change that lost a race is made anew.
const TRIES: u32 = 5;

impl Books {
    /// The run as it would start now, and the change that starts it; for a caller that commits more with it.
    pub fn plan_run(&self, org: &OrgId, workflow: &Workflow, new: NewRun) -> (Run, Change) {
        let now = self.now();
        let id = self.id(RunId::from_uuid);
        let root = new
            .parent
            .as_ref()
            .and_then(|p| {
                self.org(org)
                    .and_then(|o| o.registry().runs.get(p).map(|r| r.root.clone()))
            })
            .unwrap_or_else(|| id.clone());
        let longest = now.plus_secs(workflow.run_secs_max);
        let run = Run {
            id: id.clone(),
            agent: new.agent,
            workflow: workflow.id.clone(),
            mode: new.mode,
            trigger: new.trigger,
            intent: new.intent,
            person: new.person,
            chain: new.chain,
            parent: new.parent,
            root,
            implicit_key: new.implicit_key,
            provenance: new.provenance,
            started: now,
            deadline: new.ends_by.map_or(longest, |end| end.min(longest)),
            idle_secs_max: new.idle_secs_max.unwrap_or(workflow.run_idle_secs_max),
            state: RunState::Active,
        };
        let actor = run
            .person
            .clone()
            .map_or_else(|| Principal::Agent(run.agent.clone()), Principal::Person);
        let event = Event::new(EventKind::RunStarted, now, actor)
            .about(&run.id)
            .agent(&run.agent)
            .run(&run.id)
            .fact("workflow", &run.workflow)
            .fact("mode", run.mode)
            .fact("chain", &run.chain)
            .fact("parent", &run.parent)
            .fact("deadline", run.deadline)
            .content("intent", &run.intent)
            .content("trigger", &run.trigger)
            .content("provenance", &run.provenance);
        let change = Change::new().create(&run).event(event);
        (run, change)
    }

    /// Starts a run.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub async fn start_run(
        &self,
        org: &OrgId,
        workflow: &Workflow,
        new: NewRun,
    ) -> Result<Run, BooksError> {
        let (run, change) = self.plan_run(org, workflow, new);
        self.commit(org, change).await?;
        Ok(run)
    }

    /// Ends a run with its children, its tokens, the delegations made in it and the approvals that wait in it, at once; the
    /// epoch rises, so that calls in flight are cancelled. A run that has ended already changes nothing.
    ///
    /// # Errors
    /// When it cannot be committed, or keeps changing meanwhile.
    pub async fn end_run(
        &self,
        org: &OrgId,
        run: &RunId,
        ending: &Ending,
    ) -> Result<Ended, BooksError> {
        self.retrying(org, || async {
            let (ended, change) = self.plan_end(org, run, ending).await?;
            let changes = !ended.runs.is_empty();
            Ok((ended, changes.then_some(change)))
        })
        .await
    }

    /// Makes a change anew while it loses races.
    ///
    /// # Errors
    /// Whatever `plan` or the commit fails with.
    pub async fn retrying<T, F>(&self, org: &OrgId, plan: impl Fn() -> F) -> Result<T, BooksError>
    where
        F: Future<Output = Result<(T, Option<Change>), BooksError>> + Send,
    {
        let mut tries = 0;
        loop {
            let (value, change) = plan().await?;
            let Some(change) = change else {
                return Ok(value);
            };
            match self.commit(org, change).await {
                Ok(_) => return Ok(value),
                Err(BooksError::Store(StoreError::Conflict { .. })) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// What ends with a run, and the change that ends it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn plan_end(
        &self,
        org: &OrgId,
        run: &RunId,
        ending: &Ending,
    ) -> Result<(Ended, Change), BooksError> {
        let mut ended = Ended::default();
        let mut change = Change::new().restrict();
        for id in self.family(org, run) {
            let Some(Versioned { noun, revision }) = self.get::<Run>(org, id.as_str()).await?
            else {
                continue;
            };
            if matches!(noun.state, RunState::Ended { .. }) {
                continue;
            }
            let cause = if id == *run {
                ending.cause
            } else {
                RunEnd::ParentEnded
            };
            let own = id == *run;
            let next = Run {
                state: RunState::Ended {
                    at: self.now(),
                    by: ending.by.clone(),
                    cause,
                    outcome: ending.outcome.filter(|_| own),
                    measures: if own {
                        ending.measures.clone()
                    } else {
                        BTreeMap::new()
                    },
                },
                ..noun
            };
            let event = Event::new(EventKind::RunEnded, self.now(), ending.by.clone())
                .about(&id)
                .agent(&next.agent)
                .run(&id)
                .fact("cause", cause)
                .fact("outcome", ending.outcome.filter(|_| own))
                .content("measures", &ending.measures);
            change = change.update(&next, revision).event(event);
            change = self
                .end_of_run(org, &id, ending, &mut ended, change)
                .await?;
            ended.runs.push(id);
        }
        Ok((ended, change))
    }

    async fn end_of_run(
        &self,
        org: &OrgId,
        run: &RunId,
        ending: &Ending,
        ended: &mut Ended,
        mut change: Change,
    ) -> Result<Change, BooksError> {
        let of_run = |state: &str| Filter {
            parent: Some(run.to_string()),
            state: Some(state.to_owned()),
            limit: 1_000,
            // Newest first: a long run has many tokens, and those that can still be used are the last.
            descending: true,
            ..Filter::default()
        };
        let (tokens, _) = self.list::<Token>(org, &of_run("active")).await?;
        for Versioned { noun, revision } in tokens {
            if noun.expires <= self.now() {
                continue;
            }
            let next = Token {
                revoked: Some(self.now()),
                ..noun
            };
            change = change.update(&next, revision);
            ended.tokens.push(next);
        }
        for state in [ApprovalState::Pending, ApprovalState::Approved] {
            let (waiting, _) = self.list::<Approval>(org, &of_run(state.as_str())).await?;
            for Versioned { noun, revision } in waiting {
                let next = Approval {
                    state: ApprovalState::Cancelled,
                    ..noun
                };
                let event = Event::new(EventKind::ApprovalSettled, self.now(), ending.by.clone())
                    .about(&next.id)
                    .run(run)
                    .agent(&next.agent)
                    .decision(&next.decision)
                    .fact("state", next.state);
                change = change.update(&next, revision).event(event);
                ended.approvals.push(next);
            }
        }
        let made_here = self.org(org).map(|o| {
            o.registry()
                .delegations
                .values()
                .filter(|d| d.run.as_ref() == Some(run))
                .map(|d| d.id.clone())
                .collect::<Vec<_>>()
        });
        for id in made_here.unwrap_or_default() {
            let Some(Versioned { noun, revision }) =
                self.get::<Delegation>(org, id.as_str()).await?
            else {
                continue;
            };
            if noun.state == DelegationState::Active {
                let state = DelegationState::Revoked {
                    at: self.now(),
                    by: ending.by.clone(),
                    reason: "its run ended".to_owned(),
                };
                let event = Event::new(EventKind::DelegationRevoked, self.now(), ending.by.clone())
                    .about(&id)
                    .run(run);
                change = change
                    .update(&Delegation { state, ..noun }, revision)
                    .event(event);
                ended.delegations.push(id);
            }
        }
        Ok(change)
    }

    /// A run and every run below it, that run first.
    pub fn family(&self, org: &OrgId, run: &RunId) -> Vec<RunId> {
        let Some(book) = self.org(org) else {
            return vec![run.clone()];
        };
        let registry = book.registry();
        let mut family = vec![run.clone()];
        let mut at = 0;
        while let Some(parent) = family.get(at).cloned() {
            family.extend(
                registry
                    .runs
                    .values()
                    .filter(|r| r.parent.as_ref() == Some(&parent))
                    .map(|r| r.id.clone()),
            );
            at += 1;
        }
        family
    }
}
