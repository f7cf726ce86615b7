//! What time does by itself: approvals expire, runs reach their end, bounds pass, and what nobody looks after is found.

use std::collections::BTreeSet;

use remit_books::{BooksError, Ending, Versioned};
use remit_domain::agent::AgentState;
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::finding::{Finding, FindingKind};
use remit_domain::run::{Run, RunEnd};
use remit_domain::{ApprovalId, OrgId, Principal, Registry, RunId, Timestamp};
use remit_ports::store::Filter;
use schemars::JsonSchema;
use serde::Serialize;

use crate::delegation::topmost;
use crate::finding::finding_for;
use crate::hygiene::Wanted;
use crate::{Control, ControlError, credentials, settle_finding};

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Swept {
    /// Approvals that expired.
    pub approvals: u32,
    /// Approvals that more people may say yes to, as time runs.
    pub escalations: u32,
    /// Runs that ended, those below them included.
    pub runs: u32,
    /// Certificates drawn up.
    pub certificates: u32,
    /// Gaps reported.
    pub gaps: u32,
    /// Replaced keys whose time had come.
    pub keys: u32,
    /// Agents that were retired because nobody answered for them in time.
    pub orphans: u32,
    /// Findings opened or settled.
    pub findings: u32,
}

/// What a sweep looks after by itself: it opens these, and settles them when their cause is gone.
const OWN: [FindingKind; 3] = [
    FindingKind::Orphan,
    FindingKind::Stale,
    FindingKind::StandingAccess,
];

impl Control {
    /// Does what is due in an organization. Called every few seconds; each step stands alone, and doing it twice, or on two
    /// nodes at once, does no harm.
    ///
    /// # Errors
    /// The first that came up; the steps after it are still done.
    pub async fn tick(&self, org: &OrgId) -> Result<Swept, ControlError> {
        let approvals = self.expire_due(org).await;
        let escalations = self.escalate_due(org).await;
        let runs = self.end_due(org).await;
        let certificates = self.finalize_due(org).await;
        let gaps = self.report_gaps(org).await;
        let uses = self.books.write_uses(org).await;
        let resealed = self.books.reseal_versions(org).await;
        let keys = self.retire_keys(org).await;
        let orphans = self.retire_orphans(org).await;
        let findings = self.look_around(org).await;
        let unclean = self.keep_clean(org).await;
        uses?;
        resealed?;
        Ok(Swept {
            approvals: approvals?,
            escalations: escalations?,
            runs: runs?,
            certificates: certificates?,
            gaps: gaps?,
            keys: keys?,
            orphans: orphans?,
            findings: findings?.saturating_add(unclean?),
        })
    }

    async fn expire_due(&self, org: &OrgId) -> Result<u32, ControlError> {
        let now = self.books.now();
        let mut due: Vec<ApprovalId> = Vec::new();
        for state in [ApprovalState::Pending, ApprovalState::Approved] {
            let mut filter = Filter {
                state: Some(state.as_str().to_owned()),
                limit: 1_000,
                ..Filter::default()
            };
            loop {
                let (page, next) = self.books.list::<Approval>(org, &filter).await?;
                due.extend(
                    page.into_iter()
                        .filter(|a| now >= a.noun.expires)
                        .map(|a| a.noun.id),
                );
                match next {
                    Some(next) => filter.after = Some(next),
                    None => break,
                }
            }
        }
        let mut expired = 0;
        for id in due {
            expired += u32::from(self.expire(org, &id).await?);
        }
        Ok(expired)
    }

    async fn end_due(&self, org: &OrgId) -> Result<u32, ControlError> {
        let now = self.books.now();
        let due: Vec<(RunId, RunEnd)> = {
            let book = self.book(org)?;
            let registry = book.registry();
            let ids = topmost(&registry, |run| over(&registry, run, now).is_some());
            let cause =
                |id: RunId| Some((id.clone(), over(&registry, registry.runs.get(&id)?, now)?));
            ids.into_iter().filter_map(cause).collect()
        };
        let mut count = 0;
        for (run, cause) in due {
            let ended = self
                .books
                .end_run(org, &run, &Ending::because(Principal::Remit, cause))
                .await?;
            self.end_processes(org, &ended.runs).await;
            count += u32::try_from(ended.runs.len()).unwrap_or(u32::MAX);
        }
        Ok(count)
    }

    /// Opens a finding for what nobody looks after, and settles it when somebody does.
    async fn look_around(&self, org: &OrgId) -> Result<u32, ControlError> {
        let wanted = causes(&self.book(org)?.registry(), self.books.now());
        let open = self.open_findings(org).await?;
        self.hold_findings(org, &wanted, &open, &OWN).await
    }

    /// Opens what is wanted and not open, and settles what is open of the kinds `own` and not wanted; how many.
    pub(crate) async fn hold_findings(
        &self,
        org: &OrgId,
        wanted: &[Wanted],
        open: &BTreeSet<(FindingKind, String)>,
        own: &[FindingKind],
    ) -> Result<u32, ControlError> {
        let asked: BTreeSet<(FindingKind, &str)> = wanted
            .iter()
            .map(|w| (w.kind, w.subject.as_str()))
            .collect();
        let mut changes = 0;
        for one in wanted {
            let of = (one.kind, one.subject.as_str());
            if !open.contains(&(one.kind, one.subject.clone())) {
                let (text, owner) = (one.text.clone(), one.owner.clone());
                let change = finding_for(&self.books, org, of, text, owner).await?;
                self.books.commit(org, change).await?;
                changes += 1;
            }
        }
        for (kind, subject) in open {
            if own.contains(kind) && !asked.contains(&(*kind, subject.as_str())) {
                let reason = "its cause is gone";
                let change =
                    settle_finding(&self.books, org, *kind, subject, &Principal::Remit, reason)
                        .await?;
                self.books.commit(org, change).await?;
                changes += 1;
            }
        }
        Ok(changes)
    }

    pub(crate) async fn open_findings(
        &self,
        org: &OrgId,
    ) -> Result<BTreeSet<(FindingKind, String)>, BooksError> {
        let mut filter = Filter {
            state: Some("open".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let mut open = BTreeSet::new();
        loop {
            let (page, next) = self.books.list::<Finding>(org, &filter).await?;
            open.extend(
                page.into_iter()
                    .map(|Versioned { noun, .. }| (noun.kind, noun.subject)),
            );
            match next {
                Some(next) => filter.after = Some(next),
                None => return Ok(open),
            }
        }
    }
}

/// Why a run is over although it was not ended yet; none while it may go on.
fn over(registry: &Registry, run: &Run, now: Timestamp) -> Option<RunEnd> {
    if now >= run.deadline {
        return Some(RunEnd::Deadline);
    }
    if run
        .person
        .as_ref()
        .is_some_and(|id| !registry.people.get(id).is_some_and(|p| p.is_active()))
    {
        return Some(RunEnd::SponsorLeft);
    }
    if run
        .parent
        .as_ref()
        .is_some_and(|parent| !registry.runs.contains_key(parent))
    {
        return Some(RunEnd::ParentEnded);
    }
    let live = |id| registry.delegations.get(id).is_some_and(|d| d.is_live(now));
    (!run.chain.iter().all(live)).then_some(RunEnd::DelegationEnded)
}

/// What somebody should look at: what, whose, and in words.
fn causes(registry: &Registry, now: Timestamp) -> Vec<Wanted> {
    let mut out = Vec::new();
    let living = |id| registry.people.get(id).is_some_and(|p| p.is_active());
    for agent in registry
        .agents
        .values()
        .filter(|a| a.state != AgentState::Retired)
    {
        let roles = [
            ("owner", &agent.profile.owner),
            ("sponsor", &agent.profile.sponsor),
        ];
        let gone: Vec<&str> = roles
            .iter()
            .filter(|(_, id)| !living(id))
            .map(|(role, _)| *role)
            .collect();
        if !gone.is_empty() {
            let text = format!(
                "agent {} has no living {}; name another or retire it",
                agent.name,
                gone.join(" and no ")
            );
            out.push(Wanted::new(FindingKind::Orphan, &agent.id, text));
        }
        if agent.state == AgentState::Active
            && let Some(due) = agent.profile.next_review.filter(|due| *due <= now)
        {
            let text = format!("the access review of agent {} was due at {due}", agent.name);
            out.push(Wanted::new(FindingKind::Stale, &agent.id, text));
        }
    }
    for access in credentials::standing(registry, None, now) {
        // A standing delegation ends by itself and is what a sponsor meant; a grant without an end is not.
        if access.kind == "grant" {
            let text = format!(
                "{} has {}; give the grant an end",
                access.workflow, access.text
            );
            out.push(Wanted::new(FindingKind::StandingAccess, access.id, text));
        }
    }
    out
}

#[cfg(test)]
mod tests;
