//! Gaps: calls that were to go on and whose outcome nobody recorded. Each is reported once, its approval becomes ambiguous
//! so that it is never sent again, and somebody is told to look (invariant 2).

use std::collections::BTreeSet;

use remit_books::{BooksError, Versioned};
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::FindingKind;
use remit_domain::{DecisionId, OrgId, Principal};
use remit_ports::store::{EntryFilter, Expect, OpenCall, Outcome, Put};

use crate::{Control, ControlError, approval, finding_change};

/// Age above which a call that is not on its way on this node has lost its outcome, in seconds: longer than the gateway
/// waits for any upstream.
const LOST_SECS: i64 = 180;
/// Age above which a call of another node has, in seconds.
const LOST_ELSEWHERE_SECS: i64 = 600;
/// Most calls reported in one step.
const STEP: u32 = 1_000;

impl Control {
    /// Reports the calls that lost their outcome. Returns how many.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was reported before stays reported.
    pub async fn report_gaps(&self, org: &OrgId) -> Result<u32, ControlError> {
        let now = self.books.now();
        let on_their_way: BTreeSet<DecisionId> = self
            .books
            .in_flight()
            .of(org, |_| true)
            .into_iter()
            .map(|f| f.decision)
            .collect();
        let mut reported = 0;
        for call in self.books.store().open_calls(org, STEP).await? {
            let patience = if call.node == self.books.node() {
                LOST_SECS
            } else {
                LOST_ELSEWHERE_SECS
            };
            if on_their_way.contains(&call.decision) || now.secs_since(call.at) < patience {
                continue;
            }
            self.report_gap(org, &call).await?;
            reported += 1;
        }
        if reported > 0 {
            self.books.store().flush().await?;
        }
        Ok(reported)
    }

    async fn report_gap(&self, org: &OrgId, call: &OpenCall) -> Result<(), ControlError> {
        let now = self.books.now();
        let gap = Event::new(EventKind::CallGap, now, Principal::Remit)
            .about(&call.decision)
            .agent(&call.agent)
            .run(&call.run)
            .decision(&call.decision)
            .fact("decided_at", call.index)
            .fact("node", &call.node);
        let mut entries = vec![self.books.seal(org, &gap).await?];
        let mut puts = Vec::new();
        if let Some(Versioned { noun, revision }) = self.approval_used_by(org, call).await? {
            let next = Approval {
                state: ApprovalState::Ambiguous,
                ..noun
            };
            entries.push(
                self.books
                    .seal(org, &approval::settled(&next, Principal::Remit, now))
                    .await?,
            );
            puts.push(Put::new(&next, Expect::Revision(revision)));
        }
        let puts = self.books.sealed_puts(org, puts).await?;
        let text = format!(
            "a call of {} was sent and its outcome is not known; find out at the upstream",
            call.tool
        );
        let finding = finding_change(
            &self.books,
            org,
            FindingKind::UnreportedOutcome,
            call.decision.as_str(),
            text,
        )
        .await?;
        self.books.commit(org, finding).await?;
        let outcome = Outcome {
            org: org.clone(),
            decision: call.decision.clone(),
            at: now,
            entries,
            raise: Vec::new(),
            release: Vec::new(),
            puts,
        };
        Ok(self.books.store().outcome(outcome)?)
    }

    async fn approval_used_by(
        &self,
        org: &OrgId,
        call: &OpenCall,
    ) -> Result<Option<Versioned<Approval>>, BooksError> {
        let filter = EntryFilter {
            from: call.index,
            limit: 1,
            ..EntryFilter::default()
        };
        let decided = self
            .books
            .opened_entries(org, &filter)
            .await?
            .into_iter()
            .find(|e| e.stored.index == call.index);
        let id = decided.and_then(|e| Some(e.leaf.facts.get("approval")?.as_str()?.to_owned()));
        let Some(id) = id else { return Ok(None) };
        Ok(self.books.get::<Approval>(org, &id).await?.filter(|a| {
            // One for the run is not used up by a call. A call of it whose fate nobody knows ends it.
            let for_run = a.noun.for_run.is_some() && a.noun.state == ApprovalState::Approved;
            a.noun.state == ApprovalState::Used || for_run
        }))
    }
}
