//! Stopping an agent: everything that is derived from it, in one change. Retiring, suspending, departure and containment
//! all come through here (invariant 8).

use std::collections::BTreeSet;

use remit_books::{Books, BooksError, Change, Ended, Ending};
use remit_domain::credential::AgentKey;
use remit_domain::delegation::Delegation;
use remit_domain::event::{Event, EventKind};
use remit_domain::run::RunEnd;
use remit_domain::{AgentId, DelegationId, OrgId, PersonId, Principal, Registry, Run, RunId};

use crate::delegation::{self, topmost};

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
    let (mut report, change) = plan_end_all(books, org, &runs, &delegations, stopping).await?;
    let told = |event: Event| event.content("reason", &stopping.reason);
    let (gone, removed) = remove_keys(books, org, keys.iter(), &stopping.by, told).await?;
    report.keys = gone;
    let svids = books.live_svids(org, Some(agent)).await?;
    let change = change
        .and(removed)
        .and(books.plan_withdrawal(svids, &stopping.by));
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
    let (report, mut change) = plan_end_all(books, org, &runs, &delegations, stopping).await?;
    for agent in agents {
        let svids = books.live_svids(org, Some(agent)).await?;
        change = change.and(books.plan_withdrawal(svids, &stopping.by));
    }
    Ok((report, change))
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
    let ending = Ending::because(stopping.by.clone(), stopping.cause);
    let (ended, change) = delegation::plan_end_all(books, org, runs, &ending).await?;
    let left = delegations
        .iter()
        .filter(|id| !ended.delegations.contains(id));
    let (by, why) = (&stopping.by, &stopping.reason);
    let (delegations, revoked) = delegation::revoke_each(books, org, left, by, why, |e| e).await?;
    let report = StopReport {
        ended,
        delegations,
        keys: Vec::new(),
    };
    Ok((report, change.and(revoked)))
}

/// The change that removes each of these keys that is there, and which they are.
///
/// - `told`: adds to the event of each what else there is to tell.
pub(crate) async fn remove_keys(
    books: &Books,
    org: &OrgId,
    thumbprints: impl Iterator<Item = &String>,
    by: &Principal,
    told: impl Fn(Event) -> Event,
) -> Result<(Vec<String>, Change), BooksError> {
    let (mut gone, mut change) = (Vec::new(), Change::new());
    for thumbprint in thumbprints {
        let found = books.get::<AgentKey>(org, thumbprint).await?;
        let Some(found) = found.filter(|k| k.noun.removed.is_none()) else {
            continue;
        };
        let event = Event::new(EventKind::AgentKeyRemoved, books.now(), by.clone())
            .about(thumbprint)
            .agent(&found.noun.agent);
        let removed = AgentKey {
            removed: Some(books.now()),
            ..found.noun
        };
        change = change.update(&removed, found.revision).event(told(event));
        gone.push(thumbprint.clone());
    }
    Ok((gone, change))
}

/// The delegations that `wanted` picks, and every one cut from them.
fn below(registry: &Registry, wanted: impl Fn(&Delegation) -> bool) -> BTreeSet<DelegationId> {
    let first = registry.delegations.values().filter(|d| wanted(d));
    first
        .flat_map(|d| delegation::with_below(registry, &d.id))
        .collect()
}

fn acts_under(run: &Run, delegations: &BTreeSet<DelegationId>) -> bool {
    run.chain.iter().any(|link| delegations.contains(link))
}
