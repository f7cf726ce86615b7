//! The commit that contains: it records the containment, takes every right away and raises the epoch, at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

use remit_books::in_flight::Flight;
use remit_books::{BooksError, Change, Ending, Versioned};
use remit_domain::agent::{Agent, AgentState};
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::containment::{Containment, Level, Lineage, Outside, Target};
use remit_domain::credential::{Svid, SvidForm, Token};
use remit_domain::event::{Event, EventKind};
use remit_domain::run::{Run, RunEnd, RunState};
use remit_domain::tool::ToolRef;
use remit_domain::{
    AgentId, ApprovalId, ContainmentId, DelegationId, OrgId, Registry, RunId, Timestamp,
};
use remit_ports::store::{Filter, OpenCall};
use serde::{Deserialize, Serialize};

use super::order::Order;
use super::outside::outside;
use super::preview;
use super::scope::Scope;
use crate::delegation::{plan_end_all, revoke_each, topmost};
use crate::stop::remove_keys;
use crate::{Control, approval};

/// States of an approval in which its call may still be made.
const OPEN: [ApprovalState; 2] = [ApprovalState::Pending, ApprovalState::Approved];

/// How often what slipped in beside the first commit is stopped too.
const PASSES: u32 = 3;

/// What the registry does not keep, of one scope.
pub(super) struct Derived {
    pub(super) tokens: Vec<Versioned<Token>>,
    pub(super) approvals: Vec<Versioned<Approval>>,
    pub(super) svids: Vec<Versioned<Svid>>,
}

/// Everything derived from a target when it was contained; kept sealed in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stopped {
    pub(super) target: Target,
    pub(super) agent: Option<AgentId>,
    pub(super) runs: BTreeSet<RunId>,
    /// Tokens that had not expired, with their run and end.
    pub(super) tokens: BTreeMap<String, (RunId, Timestamp)>,
    pub(super) keys: BTreeSet<String>,
    pub(super) delegations: BTreeSet<DelegationId>,
    pub(super) approvals: BTreeSet<ApprovalId>,
    /// SVIDs that had not ended, with their form and end.
    #[serde(default)]
    pub(super) svids: BTreeMap<String, (SvidForm, Timestamp)>,
    /// What Remit did not issue and does not stop.
    #[serde(default)]
    pub(super) outside: BTreeSet<Outside>,
    /// Upstream processes and sessions that ended, by run.
    #[serde(skip)]
    pub(super) processes: Vec<(RunId, String)>,
}

impl Stopped {
    fn nothing(target: Target, agent: Option<AgentId>) -> Self {
        Self {
            target,
            agent,
            runs: BTreeSet::new(),
            tokens: BTreeMap::new(),
            keys: BTreeSet::new(),
            delegations: BTreeSet::new(),
            approvals: BTreeSet::new(),
            svids: BTreeMap::new(),
            outside: BTreeSet::new(),
            processes: Vec::new(),
        }
    }

    pub(super) fn of(registry: &Registry, scope: &Scope, derived: &Derived) -> Self {
        let token =
            |t: &Versioned<Token>| (t.noun.id.to_string(), (t.noun.run.clone(), t.noun.expires));
        let svid = |s: &Versioned<Svid>| (s.noun.id.to_string(), (s.noun.form, s.noun.expires));
        let workflows = preview::workflow_ids(registry, scope, derived);
        Self {
            outside: outside(registry, &scope.target, &workflows),
            svids: derived.svids.iter().map(svid).collect(),
            target: scope.target.clone(),
            agent: scope.agent.clone(),
            runs: scope.runs.clone(),
            tokens: derived.tokens.iter().map(token).collect(),
            keys: scope.keys.clone(),
            delegations: scope.delegations.clone(),
            approvals: derived
                .approvals
                .iter()
                .map(|a| a.noun.id.clone())
                .collect(),
            processes: Vec::new(),
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.runs.extend(other.runs);
        self.tokens.extend(other.tokens);
        self.keys.extend(other.keys);
        self.delegations.extend(other.delegations);
        self.approvals.extend(other.approvals);
        self.svids.extend(other.svids);
        self.outside.extend(other.outside);
        self.processes.extend(other.processes);
    }

    /// Whether a call in flight is contained with the target.
    pub(super) fn holds(&self, registry: &Registry, flight: &Flight) -> bool {
        let definition = Some(flight.definition.as_str());
        let mut of = registry
            .lineage_of_call(&flight.run, &flight.agent, &flight.tool, definition)
            .with([flight.credential.as_str()]);
        of.workflows.push(&flight.workflow);
        self.target.holds(&of)
            || self.runs.contains(&flight.run)
            || self.tokens.contains_key(&flight.credential)
    }

    /// The same, of a call that only the store knows.
    pub(super) fn holds_open(&self, registry: &Registry, call: &OpenCall) -> bool {
        let tool = call.tool.parse::<ToolRef>().ok();
        let defined = tool.as_ref().and_then(|tool| registry.tools.get(tool));
        let definition = defined.map(|tool| tool.definition.hash.as_str());
        let of = match &tool {
            Some(tool) => registry.lineage_of_call(&call.run, &call.agent, tool, definition),
            None => Lineage::default(),
        };
        self.runs.contains(&call.run) || self.target.holds(&of)
    }
}

impl Control {
    /// Tokens and SVIDs that have not ended and approvals that wait or were not used, of a scope.
    pub(super) async fn derived(&self, org: &OrgId, scope: &Scope) -> Result<Derived, BooksError> {
        let mut derived = Derived {
            tokens: Vec::new(),
            approvals: self.approvals_of_tools(org, scope).await?,
            svids: self.svids_of(org, scope, &BTreeSet::new()).await?,
        };
        let Some(book) = self.books.org(org) else {
            return Ok(derived);
        };
        // A credential's tokens may be in any run of its agent.
        let runs: BTreeSet<RunId> = match scope.credential() {
            Some(_) => {
                let registry = book.registry();
                let runs = registry.runs.values();
                let runs = runs.filter(|r| scope.agent.as_ref() == Some(&r.agent));
                runs.map(|r| r.id.clone()).collect()
            }
            None => scope.runs.clone(),
        };
        for run in &runs {
            let of_run = |state: &str| Filter {
                parent: Some(run.to_string()),
                state: Some(state.to_owned()),
                limit: 1_000,
                // Newest first: what can still be used is there.
                descending: true,
                ..Filter::default()
            };
            let tokens = self.books.live_tokens(org, run).await?;
            {
                let registry = book.registry();
                let tokens = tokens.into_iter();
                let held = tokens.filter(|t| scope.holds_token(&registry, &t.noun));
                derived.tokens.extend(held);
            }
            if !scope.runs.contains(run) {
                continue;
            }
            for state in OPEN {
                let mut filter = of_run(state.as_str());
                loop {
                    let (page, next) = self.books.list::<Approval>(org, &filter).await?;
                    derived.approvals.extend(page);
                    match next {
                        Some(next) => filter.after = Some(next),
                        None => break,
                    }
                }
            }
        }
        Ok(derived)
    }

    /// Approvals that wait or were not used, of calls of the tools that a target is; of any run.
    async fn approvals_of_tools(
        &self,
        org: &OrgId,
        scope: &Scope,
    ) -> Result<Vec<Versioned<Approval>>, BooksError> {
        let mut all = Vec::new();
        let (true, Some(book)) = (scope.target.is_of_tools(), self.books.org(org)) else {
            return Ok(all);
        };
        for state in OPEN {
            let mut filter = Filter {
                state: Some(state.as_str().to_owned()),
                limit: 1_000,
                ..Filter::default()
            };
            loop {
                let (page, next) = self.books.list::<Approval>(org, &filter).await?;
                {
                    let registry = book.registry();
                    let page = page.into_iter();
                    all.extend(page.filter(|a| scope.holds_approval(&registry, &a.noun)));
                }
                match next {
                    Some(next) => filter.after = Some(next),
                    None => break,
                }
            }
        }
        Ok(all)
    }

    /// SVIDs that have not ended, of a scope.
    ///
    /// - `ended`: runs that were ended with it before: the registry knows them no more, what was issued beside it may be theirs.
    pub(super) async fn svids_of(
        &self,
        org: &OrgId,
        scope: &Scope,
        ended: &BTreeSet<RunId>,
    ) -> Result<Vec<Versioned<Svid>>, BooksError> {
        let Some(book) = self.books.org(org) else {
            return Ok(Vec::new());
        };
        if scope.target.is_of_tools() {
            return Ok(Vec::new());
        }
        let of_ended = |svid: &Svid| svid.run.as_ref().is_some_and(|run| ended.contains(run));
        let whose: Vec<Option<AgentId>> = match (&scope.agent, ended.is_empty()) {
            (Some(_), true) => {
                let agents = scope.agents(&book.registry());
                agents.into_iter().map(Some).collect()
            }
            _ => vec![None],
        };
        let mut found = Vec::new();
        for agent in &whose {
            let mut live = self.books.live_svids(org, agent.as_ref()).await?;
            let registry = book.registry();
            live.retain(|svid| scope.holds_svid(&registry, &svid.noun) || of_ended(&svid.noun));
            found.extend(live);
        }
        Ok(found)
    }

    /// Stops everything derived in one commit, then whatever was made beside it before the epoch rose.
    ///
    /// - `also`: goes into the first commit.
    pub(super) async fn stop_all(
        &self,
        org: &OrgId,
        order: Order<'_>,
        also: &Change,
    ) -> Result<Stopped, BooksError> {
        let tries = AtomicU32::new(0);
        let (mut stopped, alone) = self
            .books
            .retrying(org, || async {
                // Whoever goes on starting things is not to be in the way for long: what keeps them from it is committed by
                // itself then, and what they have is taken after it.
                let alone = tries.fetch_add(1, Ordering::Relaxed) > 0;
                let (stopped, change) = match alone {
                    true => self.plan_alone(org, order).await?,
                    false => self.plan_stop(org, order, None).await?,
                };
                let change = change.map(|change| change.and(also.clone()));
                Ok(((stopped, alone), change))
            })
            .await?;
        stopped.processes = self.end_run_processes(org, &stopped.runs).await;
        for pass in 1..PASSES.saturating_add(u32::from(alone)) {
            let late = self
                .books
                .retrying(org, || self.plan_stop(org, order, Some(&stopped.runs)))
                .await?;
            let is_rest = alone && pass == 1;
            if !is_rest
                && late.runs.is_subset(&stopped.runs)
                && late.tokens.is_empty()
                && late.approvals.is_empty()
                && late.svids.is_empty()
            {
                break;
            }
            let processes = self.end_run_processes(org, &late.runs).await;
            stopped.merge(late);
            stopped.processes.extend(processes);
        }
        Ok(stopped)
    }

    pub(super) async fn end_run_processes(
        &self,
        org: &OrgId,
        runs: &BTreeSet<RunId>,
    ) -> Vec<(RunId, String)> {
        let mut ended = Vec::new();
        for run in runs {
            ended.extend(
                self.upstreams
                    .end_run(org, run)
                    .await
                    .into_iter()
                    .map(|label| (run.clone(), label)),
            );
        }
        ended
    }

    async fn plan_stop(
        &self,
        org: &OrgId,
        order: Order<'_>,
        ended: Option<&BTreeSet<RunId>>,
    ) -> Result<(Stopped, Option<Change>), BooksError> {
        let first = ended.is_none();
        let Order {
            containment, agent, ..
        } = order;
        let book = self
            .books
            .org(org)
            .ok_or_else(|| BooksError::NoOrganization(org.to_string()))?;
        let scope = Scope::of(&book.registry(), &containment.target, agent);
        let mut derived = self.derived(org, &scope).await?;
        if let Some(ended) = ended {
            derived.svids = self.svids_of(org, &scope, ended).await?;
        }
        let stopped = Stopped::of(&book.registry(), &scope, &derived);
        let svids = std::mem::take(&mut derived.svids);
        let withdrawn =
            (!svids.is_empty()).then(|| self.books.plan_withdrawal(svids, &containment.by));
        let rights = if containment.level == Level::Kill {
            self.plan_kill(org, containment, &scope, derived).await?
        } else {
            self.plan_suspend(org, containment, &scope, derived).await?
        };
        let rights = match (rights, withdrawn) {
            (Some(rights), Some(withdrawn)) => Some(rights.and(withdrawn)),
            (rights, withdrawn) => rights.or(withdrawn),
        };
        let Some(rights) = rights.or_else(|| first.then(Change::new)) else {
            return Ok((stopped, None));
        };
        let mut change =
            Change::new()
                .restrict()
                .event(told(containment, &stopped, self.books.now(), first));
        if first {
            change = change.and(self.plan_itself(org, order).await?);
        }
        Ok((stopped, Some(change.and(rights))))
    }

    /// The containment without what it takes: nothing derived from its target is good from then on.
    async fn plan_alone(
        &self,
        org: &OrgId,
        order: Order<'_>,
    ) -> Result<(Stopped, Option<Change>), BooksError> {
        let containment = order.containment;
        let stopped = Stopped::nothing(containment.target.clone(), order.agent.cloned());
        let change = Change::new()
            .restrict()
            .event(told(containment, &stopped, self.books.now(), true))
            .and(self.plan_itself(org, order).await?);
        Ok((stopped, Some(change)))
    }

    /// The containment itself, and the state of its agent where it is one agent's.
    async fn plan_itself(&self, org: &OrgId, order: Order<'_>) -> Result<Change, BooksError> {
        let change = match order.waited {
            Some(revision) => Change::new().update(order.containment, revision),
            None => Change::new().create(order.containment),
        };
        match &order.containment.target {
            Target::Agent(agent) => {
                let state = self.plan_agent(org, order.containment, agent).await?;
                Ok(change.and(state))
            }
            _ => Ok(change),
        }
    }

    /// The agent's own change of state; nothing where its state needs none.
    async fn plan_agent(
        &self,
        org: &OrgId,
        containment: &Containment,
        agent: &AgentId,
    ) -> Result<Change, BooksError> {
        let Some(found) = self.books.get::<Agent>(org, agent.as_str()).await? else {
            return Ok(Change::new());
        };
        let Some(next) = contained_agent(&found.noun, containment) else {
            return Ok(Change::new());
        };
        let kind = match next.state {
            AgentState::Quarantined => EventKind::AgentQuarantined,
            _ => EventKind::AgentSuspended,
        };
        let event = Event::new(kind, self.books.now(), containment.by.clone())
            .about(agent)
            .agent(agent)
            .fact("containment", &containment.id)
            .fact("from", found.noun.state)
            .content("reason", &containment.reason);
        Ok(Change::new().update(&next, found.revision).event(event))
    }

    /// Suspend and quarantine: runs stand still, tokens and approvals are void, delegations wait.
    async fn plan_suspend(
        &self,
        org: &OrgId,
        containment: &Containment,
        scope: &Scope,
        derived: Derived,
    ) -> Result<Option<Change>, BooksError> {
        let mut change = Change::new();
        let mut changes = 0u32;
        for id in &scope.runs {
            let Some(Versioned { noun, revision }) =
                self.books.get::<Run>(org, id.as_str()).await?
            else {
                continue;
            };
            if noun.state == RunState::Active {
                change = change.update(
                    &Run {
                        state: RunState::Suspended,
                        ..noun
                    },
                    revision,
                );
                changes += 1;
            }
        }
        for Versioned { noun, revision } in derived.approvals {
            let next = Approval {
                state: ApprovalState::Cancelled,
                ..noun
            };
            let event = approval::settled(&next, containment.by.clone(), self.books.now());
            change = change.update(&next, revision).event(event);
            changes += 1;
        }
        let (tokens, revoked) = self.revoked(derived.tokens);
        Ok((changes + revoked > 0).then(|| change.and(tokens)))
    }

    /// Kill: runs end with everything in them, delegations are revoked, keys removed.
    async fn plan_kill(
        &self,
        org: &OrgId,
        containment: &Containment,
        scope: &Scope,
        derived: Derived,
    ) -> Result<Option<Change>, BooksError> {
        let by = &containment.by;
        let top = match self.books.org(org) {
            Some(book) => topmost(&book.registry(), |run| scope.runs.contains(&run.id)),
            None => Vec::new(),
        };
        let ending = Ending::because(by.clone(), RunEnd::Contained);
        let (ended, mut change) = plan_end_all(&self.books, org, &top, &ending).await?;
        let mut changes = usize::from(!ended.runs.is_empty());
        let told = |event: Event| event.fact("containment", &containment.id);
        let left = scope
            .delegations
            .iter()
            .filter(|id| !ended.delegations.contains(id));
        let why = &containment.reason;
        let (gone, revoked) = revoke_each(&self.books, org, left, by, why, told).await?;
        let (keys, removed) = remove_keys(&self.books, org, scope.keys.iter(), by, told).await?;
        change = change.and(revoked).and(removed);
        changes += gone.len() + keys.len();
        let settled: BTreeSet<_> = ended.tokens.iter().map(|t| t.id.clone()).collect();
        let rest = derived
            .tokens
            .into_iter()
            .filter(|t| !settled.contains(&t.noun.id))
            .collect();
        let (tokens, revoked) = self.revoked(rest);
        let any = changes > 0 || revoked > 0;
        Ok(any.then(|| change.and(tokens)))
    }

    /// The change that revokes these tokens, and how many they are.
    pub(super) fn revoked(&self, tokens: Vec<Versioned<Token>>) -> (Change, u32) {
        let mut change = Change::new();
        let mut count = 0;
        for Versioned { noun, revision } in tokens {
            change = change.update(
                &Token {
                    revoked: Some(self.books.now()),
                    ..noun
                },
                revision,
            );
            count += 1;
        }
        (change, count)
    }
}

/// Says what is contained; what people call a model is not told in clear.
pub(super) fn told_target(event: Event, target: &Target) -> Event {
    match target {
        Target::Model(_) => event
            .fact("target", serde_json::json!({ "type": "model" }))
            .content("target", target),
        target => event.fact("target", target),
    }
}

fn told(containment: &Containment, stopped: &Stopped, now: Timestamp, first: bool) -> Event {
    let event = Event::new(EventKind::Contained, now, containment.by.clone());
    let event = match &stopped.agent {
        Some(agent) => event.agent(agent),
        None => event,
    };
    told_target(event, &containment.target)
        .about(&containment.id)
        .fact("level", containment.level)
        .fact("again", !first)
        .fact("runs", stopped.runs.len())
        .fact("tokens", stopped.tokens.len())
        .fact("keys", stopped.keys.len())
        .fact("delegations", stopped.delegations.len())
        .fact("approvals", stopped.approvals.len())
        .fact("svids", stopped.svids.len())
        .content("reason", &containment.reason)
        .content("stopped", stopped)
}

/// The agent after a containment; none where its state stays. Its `state_reason` begins with the containment's id exactly
/// when lifting that containment makes it active again.
pub(super) fn contained_agent(agent: &Agent, containment: &Containment) -> Option<Agent> {
    use AgentState as S;
    let to = match (agent.state, containment.level) {
        (S::Draft | S::Retired, _) | (S::Suspended | S::Quarantined, Level::Suspend) => {
            return None;
        }
        (S::Quarantined, Level::Quarantine) => return None,
        (_, Level::Quarantine) => S::Quarantined,
        (_, Level::Suspend | Level::Kill) => S::Suspended,
    };
    let (id, why) = (&containment.id, &containment.reason);
    let first = agent
        .state_reason
        .as_deref()
        .and_then(|r| r.split(':').next());
    let by_containment = first.is_some_and(|id| id.parse::<ContainmentId>().is_ok());
    let reason = match containment.level {
        Level::Kill => format!("killed by {id}: {why}"),
        _ if agent.state == S::Active || by_containment => format!("{id}: {why}"),
        _ => format!("{} before, contained by {id}: {why}", agent.state.as_str()),
    };
    if agent.state == to {
        return Some(Agent {
            state_reason: Some(reason),
            ..agent.clone()
        });
    }
    agent.transition(to, Some(reason)).ok()
}
