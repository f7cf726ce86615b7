//! Time that runs: who may say yes besides is a function of time alone ([`remit_domain::approval::Ask::approvers_after`]); here it is
//! written down and told, once a step.

use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::event::{Event, EventKind};
use remit_domain::{ApprovalId, OrgId, Principal, Timestamp};
use remit_ports::store::Filter;

use super::eligible;
use crate::{Control, ControlError};
use remit_books::{BooksError, Change, Versioned};

impl Control {
    /// Tells of approvals whose next step has come. How many.
    pub(crate) async fn escalate_due(&self, org: &OrgId) -> Result<u32, ControlError> {
        let now = self.books.now();
        let mut filter = Filter {
            state: Some(ApprovalState::Pending.as_str().to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let mut due: Vec<ApprovalId> = Vec::new();
        loop {
            let (page, next) = self.books.list::<Approval>(org, &filter).await?;
            let late = page.into_iter().map(|a| a.noun);
            due.extend(late.filter(|a| is_due(a, now)).map(|a| a.id));
            match next {
                Some(next) => filter.after = Some(next),
                None => break,
            }
        }
        let mut told = 0;
        for id in due {
            told += u32::from(self.escalate(org, &id).await?);
        }
        Ok(told)
    }

    async fn escalate(&self, org: &OrgId, id: &ApprovalId) -> Result<bool, BooksError> {
        self.books
            .retrying(org, || async {
                let found = self.books.get::<Approval>(org, id.as_str()).await?;
                let now = self.books.now();
                let found = found.filter(|a| is_due(&a.noun, now));
                let Some(Versioned { noun, revision }) = found else {
                    return Ok((false, None));
                };
                let book = self.books.org(org);
                let may = book.map(|b| eligible::approvers(&b.registry(), &noun, now));
                let may: Vec<_> = may.iter().flatten().take(TOLD_MAX).map(|p| &p.id).collect();
                let next = Approval {
                    escalated: noun.escalations_due(now),
                    ..noun
                };
                let event = Event::new(EventKind::ApprovalEscalated, now, Principal::Remit)
                    .about(&next.id)
                    .run(&next.run)
                    .agent(&next.agent)
                    .decision(&next.decision)
                    .fact("step", next.escalated)
                    .fact("may", may);
                let change = Change::new().update(&next, revision).event(event);
                Ok((true, Some(change)))
            })
            .await
    }
}

/// Most people that an entry names: a leaf is small.
const TOLD_MAX: usize = 20;

fn is_due(approval: &Approval, now: Timestamp) -> bool {
    approval.state == ApprovalState::Pending
        && now < approval.expires
        && approval.escalations_due(now) > approval.escalated
}
