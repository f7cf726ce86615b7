//! Stopping an agent: everything that is derived from it, in one change. Retiring, suspending, departure and containment
//! all come through here (invariant 8).

use std::collections::BTreeSet;

use remit_books::{Books, BooksError, Change, Ended, Ending, Versioned};
use remit_domain::credential::AgentKey;
use remit_domain::delegation::{Delegation, DelegationState};
use remit_domain::event::{Event, EventKind};
use remit_domain::run::RunEnd;
use remit_domain::{AgentId, DelegationId, OrgId, PersonId, Principal, Registry, Run, RunId};

/// How an agent is stopped.
#[derive(Debug, Clone)]
pub struct Stopping {
    /// Who stops it.
    pub by: Principal,
    /// Why, in a code.
    pub cause: RunEnd,
    /// Why, in words.
    pub reason: String,
    /// Whether its keys go.
    pub remove_keys: bool,
    /// Whether delegations to it end.
    pub end_delegations: bool,
}

/// What was stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Runs, tokens, approvals, and delegations made in those runs.
    pub ended: Ended,
    /// Delegations that were revoked besides.
    pub delegations: Vec<DelegationId>,
    /// Thumbprints of removed keys.
    pub keys: Vec<String>,
}

/// The change that stops an agent: ends its runs with everything that hangs on them, and, as asked, revokes delegations to it
/// with those below them and removes its keys. The epoch rises.
///
/// # Errors
/// When the books cannot be read.
pub async fn plan_stop(
    books: &Books,
    org: &OrgId,
    agent: &AgentId,
    stopping: &Stopping,
) -> Result<(StopReport, Change), BooksError> {
    let (runs, delegations, keys) = {
        let book = books
            .org(org)
            .ok_or_else(|| BooksError::NoOrganization(org.to_string()))?;
        let registry = book.registry();
        let delegations = if stopping.end_delegations {
            below(&registry, |d| d.to == *agent)
        } else {
            BTreeSet::new()
        };
        let runs = topmost(&registry, |r| {
            r.agent == *agent || acts_under(r, &delegations)
        });
        let keys: Vec<_> = registry
            .keys
            .values()
            .filter(|k| stopping.remove_keys && k.agent == *agent && k.removed.is_none())
            .map(|k| k.thumbprint.clone())
            .collect();
        (runs, delegations, keys)
    };
    let (mut report, mut change) = plan_end_all(books, org, &runs, &delegations, stopping).await?;
    for thumbprint in keys {
        let Some(Versioned { noun, revision }) = books.get::<AgentKey>(org, &thumbprint).await?
        else {
            continue;
        };
        let removed = AgentKey {
            removed: Some(books.now()),
            ..noun
        };
        let event = Event::new(EventKind::AgentKeyRemoved, books.now(), stopping.by.clone())
            .about(&thumbprint)
            .agent(agent)
            .content("reason", &stopping.reason);
        change = change.update(&removed, revision).event(event);
        report.keys.push(thumbprint);
    }
    Ok((report, change))
}

/// The change that ends everything that acts for a person: their delegations with those below, and every run in their name.
///
/// # Errors
/// When the books cannot be read.
pub(crate) async fn plan_stop_person(
    books: &Books,
    org: &OrgId,
    person: &PersonId,
    agents: &BTreeSet<AgentId>,
    stopping: &Stopping,
) -> Result<(StopReport, Change), BooksError> {
    let (runs, delegations) = {
        let book = books
            .org(org)
            .ok_or_else(|| BooksError::NoOrganization(org.to_string()))?;
        let registry = book.registry();
        let delegations = below(&registry, |d| d.person == *person);
        let runs = topmost(&registry, |r| {
            r.person.as_ref() == Some(person)
                || agents.contains(&r.agent)
                || acts_under(r, &delegations)
        });
        (runs, delegations)
    };
    plan_end_all(books, org, &runs, &delegations, stopping).await
}

/// The change that ends the standing delegations a former sponsor made to an agent, with every run under them.
///
/// # Errors
/// When the books cannot be read.
pub(crate) async fn plan_stop_standing(
    books: &Books,
    org: &OrgId,
    agent: &AgentId,
    sponsor: &PersonId,
    stopping: &Stopping,
) -> Result<(StopReport, Change), BooksError> {
    use remit_domain::delegation::DelegationUse;
    let (runs, delegations) = {
        let book = books
            .org(org)
            .ok_or_else(|| BooksError::NoOrganization(org.to_string()))?;
        let registry = book.registry();
        let delegations = below(&registry, |d| {
            d.to == *agent && d.person == *sponsor && d.kind == DelegationUse::Standing
        });
        (
            topmost(&registry, |r| acts_under(r, &delegations)),
            delegations,
        )
    };
    plan_end_all(books, org, &runs, &delegations, stopping).await
}

/// Ends runs that do not lie below each other, and revokes delegations that do not end with them.
async fn plan_end_all(
    books: &Books,
    org: &OrgId,
    runs: &[RunId],
    delegations: &BTreeSet<DelegationId>,
    stopping: &Stopping,
) -> Result<(StopReport, Change), BooksError> {
    let mut report = StopReport::default();
    let mut change = Change::new().restrict();
    let ending = Ending::because(stopping.by.clone(), stopping.cause);
    for run in runs {
        let (ended, end) = books.plan_end(org, run, &ending).await?;
        change = change.and(end);
        report.ended.runs.extend(ended.runs);
        report.ended.tokens.extend(ended.tokens);
        report.ended.approvals.extend(ended.approvals);
        report.ended.delegations.extend(ended.delegations);
    }
    for id in delegations
        .iter()
        .filter(|id| !report.ended.delegations.contains(id))
    {
        let Some(Versioned { noun, revision }) = books.get::<Delegation>(org, id.as_str()).await?
        else {
            continue;
        };
        if noun.state != DelegationState::Active {
            continue;
        }
        let event = Event::new(
            EventKind::DelegationRevoked,
            books.now(),
            stopping.by.clone(),
        )
        .about(id)
        .agent(&noun.to)
        .content("reason", &stopping.reason);
        let state = DelegationState::Revoked {
            at: books.now(),
            by: stopping.by.clone(),
            reason: stopping.reason.clone(),
        };
        change = change
            .update(&Delegation { state, ..noun }, revision)
            .event(event);
        report.delegations.push(id.clone());
    }
    Ok((report, change))
}

/// The delegations that `wanted` picks, and every one cut from them.
fn below(registry: &Registry, wanted: impl Fn(&Delegation) -> bool) -> BTreeSet<DelegationId> {
    let mut found: BTreeSet<_> = registry
        .delegations
        .values()
        .filter(|d| wanted(d))
        .map(|d| d.id.clone())
        .collect();
    loop {
        let more: Vec<_> = registry
            .delegations
            .values()
            .filter(|d| {
                !found.contains(&d.id) && d.parent.as_ref().is_some_and(|p| found.contains(p))
            })
            .map(|d| d.id.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn acts_under(run: &Run, delegations: &BTreeSet<DelegationId>) -> bool {
    run.chain.iter().any(|link| delegations.contains(link))
}

/// The runs that `wanted` picks, without those below another one that it picks: ending a run ends what is below it.
fn topmost(registry: &Registry, wanted: impl Fn(&Run) -> bool) -> Vec<RunId> {
    let is_below = |run: &Run| {
        let mut above = run.parent.as_ref();
        let mut steps = 0;
        while let Some(parent) = above.and_then(|id| registry.runs.get(id)) {
            if wanted(parent) {
                return true;
            }
            steps += 1;
            if steps > registry.runs.len() {
                return false;
            }
            above = parent.parent.as_ref();
        }
        false
    };
    let mut runs: Vec<_> = registry
        .runs
        .values()
        .filter(|r| wanted(r) && !is_below(r))
        .map(|r| r.id.clone())
        .collect();
    runs.sort();
    runs
}
