//! Taking a delegation back, with everything below it and every run under it, in one commit.

use remit_books::{Books, BooksError, Change, Ended, Ending, Versioned};
use remit_domain::delegation::{Delegation, DelegationState};
use remit_domain::event::{Event, EventKind};
use remit_domain::limits::CHAIN_DEPTH_MAX;
use remit_domain::run::RunEnd;
use remit_domain::{
    AgentId, DelegationId, OrgId, PersonId, Principal, RefusalCode, Registry, Role, RunId,
};

use super::Revoked;
use crate::error::not_found;
use crate::{Caller, Control, ControlError, check, refuse};

impl Control {
    /// Takes a delegation back, with every delegation below it and every run that acts under any of them, at once.
    ///
    /// # Errors
    /// `forbidden` for anyone but the delegating person, the agent's sponsor or owner, an administrator or a responder;
    /// `conflict` when it was taken back before; `not-found`.
    pub async fn revoke_delegation(
        &self,
        caller: &Caller,
        id: &DelegationId,
        reason: &str,
    ) -> Result<Revoked, ControlError> {
        let person = caller.person()?;
        check::said("reason", reason)?;
        let found = self
            .books
            .get::<Delegation>(&caller.org, id.as_str())
            .await?;
        let found = found
            .ok_or_else(|| not_found("delegation", id.as_str()))?
            .noun;
        let book = self.book(&caller.org)?;
        if !may_revoke(&book.registry(), &person.id, caller, &found) {
            let text = "only the delegating person, the agent's sponsor or owner, an administrator or a responder takes it back";
            return Err(refuse(RefusalCode::Forbidden, text));
        }
        if let DelegationState::Revoked { at, .. } = found.state {
            return Err(refuse(
                RefusalCode::Conflict,
                format!("the delegation was taken back at {at} already"),
            ));
        }
        let by = caller.principal.clone();
        let (delegations, ended) = self
            .books
            .retrying(&caller.org, || async {
                let ids = with_below(&book.registry(), id);
                let (gone, ended, change) =
                    plan_revoke(&self.books, &caller.org, &ids, &by, reason).await?;
                Ok(((gone, ended), Some(change)))
            })
            .await?;
        let processes = self.end_processes(&caller.org, &ended.runs).await;
        Ok(Revoked {
            delegations,
            runs: ended.runs,
            tokens: ended.tokens.len(),
            approvals: ended.approvals.len(),
            processes,
        })
    }

    /// Ends the upstream processes and sessions of runs; returns the labels of those that ended.
    pub(crate) async fn end_processes(&self, org: &OrgId, runs: &[RunId]) -> Vec<String> {
        let mut labels = Vec::new();
        for run in runs {
            labels.extend(self.upstreams.end_run(org, run).await);
        }
        labels
    }
}

fn may_revoke(
    registry: &Registry,
    person: &PersonId,
    caller: &Caller,
    delegation: &Delegation,
) -> bool {
    let answers = |agent: &AgentId| {
        registry
            .agents
            .get(agent)
            .is_some_and(|a| a.profile.sponsor == *person || a.profile.owner == *person)
    };
    delegation.person == *person
        || answers(&delegation.to)
        || delegation.from.agent().is_some_and(answers)
        || caller.require(&[Role::Admin, Role::Responder]).is_ok()
}

/// A delegation and every one cut from it, that one first.
pub(crate) fn with_below(registry: &Registry, id: &DelegationId) -> Vec<DelegationId> {
    let mut family = vec![id.clone()];
    let mut at = 0;
    while let Some(parent) = family.get(at).cloned() {
        let below = registry
            .delegations
            .values()
            .filter(|d| d.parent.as_ref() == Some(&parent));
        family.extend(below.map(|d| d.id.clone()));
        at += 1;
    }
    family
}

/// Runs that `wanted` picks and that have no picked run above them, so that their families do not overlap.
pub(crate) fn topmost(
    registry: &Registry,
    wanted: impl Fn(&remit_domain::Run) -> bool,
) -> Vec<RunId> {
    let covered = |run: &remit_domain::Run| {
        let mut above = run.parent.as_ref();
        let mut steps = 0;
        while let Some(parent) = above.and_then(|id| registry.runs.get(id)) {
            if wanted(parent) || steps > CHAIN_DEPTH_MAX {
                return true;
            }
            steps += 1;
            above = parent.parent.as_ref();
        }
        false
    };
    let mut runs: Vec<RunId> = registry
        .runs
        .values()
        .filter(|r| wanted(r) && !covered(r))
        .map(|r| r.id.clone())
        .collect();
    runs.sort();
    runs
}

/// The change that takes back `ids` and ends what acts under them. Runs end first: they take back what was made in them.
pub(crate) async fn plan_revoke(
    books: &Books,
    org: &OrgId,
    ids: &[DelegationId],
    by: &Principal,
    reason: &str,
) -> Result<(Vec<DelegationId>, Ended, Change), BooksError> {
    let runs = match books.org(org) {
        Some(book) => topmost(&book.registry(), |run| {
            run.chain.iter().any(|link| ids.contains(link))
        }),
        None => Vec::new(),
    };
    let (ended, mut change) = plan_end_all(
        books,
        org,
        &runs,
        &Ending::because(by.clone(), RunEnd::DelegationEnded),
    )
    .await?;
    let mut gone = ended.delegations.clone();
    let left = ids.iter().filter(|id| !ended.delegations.contains(id));
    let (revoked, more) = revoke_each(books, org, left, by, reason, |event| event).await?;
    change = change.and(more);
    gone.extend(revoked);
    gone.sort();
    Ok((gone, ended, change))
}

/// The change that takes back each of `ids` that is live, and which they are. Runs under them are not ended here.
///
/// - `told`: adds to the event of each what else there is to tell.
pub(crate) async fn revoke_each(
    books: &Books,
    org: &OrgId,
    ids: impl Iterator<Item = &DelegationId>,
    by: &Principal,
    reason: &str,
    told: impl Fn(Event) -> Event,
) -> Result<(Vec<DelegationId>, Change), BooksError> {
    let (mut gone, mut change) = (Vec::new(), Change::new());
    for id in ids {
        let Some(Versioned { noun, revision }) = books.get::<Delegation>(org, id.as_str()).await?
        else {
            continue;
        };
        if noun.state != DelegationState::Active {
            continue;
        }
        let event = Event::new(EventKind::DelegationRevoked, books.now(), by.clone())
            .about(id)
            .agent(&noun.to)
            .fact("person", &noun.person)
            .content("reason", reason);
        let state = DelegationState::Revoked {
            at: books.now(),
            by: by.clone(),
            reason: reason.to_owned(),
        };
        change = change
            .update(&Delegation { state, ..noun }, revision)
            .event(told(event));
        gone.push(id.clone());
    }
    Ok((gone, change))
}

/// The change that ends several runs that have no run in common.
pub(crate) async fn plan_end_all(
    books: &Books,
    org: &OrgId,
    runs: &[RunId],
    ending: &Ending,
) -> Result<(Ended, Change), BooksError> {
    let mut all = Ended::default();
    let mut change = Change::new().restrict();
    for run in runs {
        let (ended, next) = books.plan_end(org, run, ending).await?;
        change = change.and(next);
        all.runs.extend(ended.runs);
        all.tokens.extend(ended.tokens);
        all.approvals.extend(ended.approvals);
        all.delegations.extend(ended.delegations);
    }
    Ok((all, change))
}
