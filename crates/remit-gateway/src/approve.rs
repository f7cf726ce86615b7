//! What people have to do with a call: nothing, an approval they gave for exactly this, or an ask.

use std::collections::BTreeSet;

use remit_books::{BooksError, Versioned};
use remit_domain::approval::{Approval, ApprovalState, AskSet};
use remit_domain::limits::APPROVAL_SECS;
use remit_domain::{ApprovalId, Refusal, RefusalCode};
use remit_policy::Outcome;
use remit_ports::store::{Filter, Reserve};

use crate::Gateway;
use crate::call::{Approved, Authorized, Consent};
use crate::resolve::unavailable;

impl Gateway {
    pub(crate) async fn approve(&self, call: Authorized) -> Result<Approved, Refusal> {
        let consent = match &call.decision.outcome {
            Outcome::Allow => Consent::NotNeeded,
            Outcome::Deny => Consent::Withheld(denied(&call)),
            Outcome::Ask(asks) => self
                .consent(&call, asks)
                .await
                .map_err(|e| unavailable(&e))?,
        };
        let goes_on = matches!(consent, Consent::NotNeeded | Consent::Given(..));
        let reserve = if goes_on { reserve(&call) } else { Vec::new() };
        Ok(Approved {
            authorized: call,
            consent,
            reserve,
        })
    }

    /// The newest approval of exactly this call decides; where there is none, or it was used up, people are asked.
    async fn consent(&self, call: &Authorized, asks: &AskSet) -> Result<Consent, BooksError> {
        let now = self.books().now();
        let Some(Versioned { noun, revision }) = self.approval_of(call).await? else {
            return Ok(self.ask(call, asks));
        };
        let settled = |code, text: &str| {
            Ok(Consent::Withheld(Refusal::new(
                code,
                format!("{text} (approval {})", noun.id),
            )))
        };
        match noun.state {
            ApprovalState::Approved if !noun.is_usable(now) => settled(
                RefusalCode::ApprovalExpired,
                "EXPIRED: the approval came, but was not used in time; ask again by another call after a change",
            ),
            // Decided again under the live policies, it must ask for the same (invariant 6).
            ApprovalState::Approved if noun.asks != *asks => settled(
                RefusalCode::ApprovalStale,
                "STALE: the policies have changed since the approval was given",
            ),
            ApprovalState::Approved => Ok(Consent::Given(Box::new(noun), revision)),
            ApprovalState::Pending if now < noun.expires => {
                let text = format!(
                    "PENDING approval {}: call again with the same arguments after it is approved; it expires at {}",
                    noun.id, noun.expires
                );
                Ok(Consent::Withheld(Refusal::new(
                    RefusalCode::ApprovalPending,
                    text,
                )))
            }
            ApprovalState::Denied if now < noun.expires => settled(
                RefusalCode::ApprovalDenied,
                "DENIED by a person. Do not retry",
            ),
            ApprovalState::Ambiguous => settled(
                RefusalCode::Ambiguous,
                "AMBIGUOUS: the call was sent and no answer came; it is not sent again. A person has to find out what happened",
            ),
            ApprovalState::Cancelled => settled(
                RefusalCode::ApprovalCancelled,
                "CANCELLED: the approval ended with its run",
            ),
            ApprovalState::Pending
            | ApprovalState::Denied
            | ApprovalState::Expired
            | ApprovalState::Stale
            | ApprovalState::Used => Ok(self.ask(call, asks)),
        }
    }

    async fn approval_of(
        &self,
        call: &Authorized,
    ) -> Result<Option<Versioned<Approval>>, BooksError> {
        let digest = call.digest.sha256().to_string();
        let run = call.resolved.standing.run.id.to_string();
        let filter = Filter {
            parent: Some(run),
            descending: true,
            limit: 1_000,
            ..Filter::default()
        };
        let (approvals, _) = self
            .books()
            .list::<Approval>(&call.resolved.received.org, &filter)
            .await?;
        Ok(approvals.into_iter().find(|a| a.noun.digest == digest))
    }

    fn ask(&self, call: &Authorized, asks: &AskSet) -> Consent {
        let now = self.books().now();
        let run = &call.resolved.standing.run;
        let approval = Approval {
            id: self.books().id(ApprovalId::from_uuid),
            digest: call.digest.sha256().to_string(),
            decision: call.id.clone(),
            agent: run.agent.clone(),
            workflow: run.workflow.clone(),
            run: run.id.clone(),
            person: run.person.clone(),
            tool: call.resolved.tool_ref().clone(),
            definition_hash: call.resolved.tool.definition.hash.clone(),
            args: call.dynamic.args.clone(),
            asks: asks.clone(),
            reasons: call
                .decision
                .reasons
                .iter()
                .map(|r| r.text.clone())
                .collect(),
            requested: now,
            expires: now.plus_secs(APPROVAL_SECS).min(run.deadline),
            verdicts: Vec::new(),
            state: ApprovalState::Pending,
        };
        Consent::Asked(Box::new(approval), asks.clone())
    }
}

/// Who may approve, in words.
pub(crate) fn approvers(asks: &AskSet) -> String {
    let names: BTreeSet<String> = asks
        .iter()
        .flat_map(|a| a.approvers.iter().map(ToString::to_string))
        .collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn denied(call: &Authorized) -> Refusal {
    let mut told: Vec<String> = call
        .decision
        .reasons
        .iter()
        .take(crate::limits::REASONS_TOLD)
        .map(|r| format!("{} ({})", r.text, r.policy))
        .collect();
    if told.is_empty() {
        told.push("nothing permits it (default deny)".to_owned());
    }
    Refusal::new(
        RefusalCode::Denied,
        format!(
            "DENIED by policy: {}. Do not retry the same call",
            told.join("; ")
        ),
    )
}

fn reserve(call: &Authorized) -> Vec<Reserve> {
    let reservations = call.decision.reserve.iter();
    reservations
        .map(|r| Reserve {
            key: r.key.clone(),
            amount: r.amount,
            max: r.max,
            until: r.until,
        })
        .collect()
}
