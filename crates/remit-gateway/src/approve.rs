//! What people have to do with a call: nothing, an approval they gave for exactly this, or an ask.

mod for_run;

use std::collections::BTreeSet;

use remit_books::{BooksError, Versioned};
use remit_domain::approval::{Approval, ApprovalState, AskSet};
use remit_domain::limits::APPROVAL_SECS;
use remit_domain::{ApprovalId, Kind, Refusal, RefusalCode, Timestamp};
use remit_policy::Outcome;
use remit_ports::store::{Filter, Record, Reserve};

use crate::Gateway;
use crate::call::{Action, Approved, Authorized, Consent};
use crate::limits::{APPROVALS_OF_AGENT_MAX, APPROVALS_WAITING_MAX};
use crate::resolve::unavailable;

use for_run::{Standing, counted};

impl Gateway {
    pub(crate) async fn approve(&self, call: Authorized) -> Result<Approved, Refusal> {
        let consent = match &call.decision.outcome {
            Outcome::Allow => Consent::NotNeeded,
            Outcome::Deny => Consent::Withheld(denied(&call)),
            // The call goes on upstream already: nothing in the middle of it waits for a person.
            Outcome::Ask(_) if call.resolved.received.continues.is_some() => {
                Consent::Withheld(Refusal::new(RefusalCode::Denied, IN_THE_MIDDLE))
            }
            Outcome::Ask(asks) => self
                .consent(&call, asks)
                .await
                .map_err(|e| unavailable(&e))?,
        };
        let goes_on = matches!(consent, Consent::NotNeeded | Consent::Given(..));
        // What the call itself has reserved is not reserved again with each answer in it.
        let fresh = call.resolved.received.continues.is_none()
            || matches!(call.resolved.received.action, Action::Ask(_));
        let mut reserve = if goes_on && fresh {
            reserve(&call)
        } else {
            Vec::new()
        };
        if let Consent::Given(approval, _) = &consent {
            reserve.extend(counted(approval));
        }
        Ok(Approved {
            authorized: call,
            consent,
            reserve,
        })
    }

    /// The newest approval of exactly this call decides; where there is none, or it was used up, people are asked.
    pub(crate) async fn consent(
        &self,
        call: &Authorized,
        asks: &AskSet,
    ) -> Result<Consent, BooksError> {
        let now = self.books().now();
        let Said {
            exactly,
            for_run,
            waiting,
        } = self.said_in_run(call).await?;
        let found = exactly;
        let standing = match &found {
            Some(found) if !gives_way(&found.noun, asks, now) => Standing::default(),
            _ => self.standing(call, asks, for_run).await?,
        };
        if let Some(Versioned { noun, revision }) = standing.covers {
            return Ok(Consent::Given(Box::new(noun), revision));
        }
        let of_agent = self.waiting_of_agent(call).await?;
        let ask = || {
            let (n, of) = match (waiting, of_agent) {
                (n, _) if n >= APPROVALS_WAITING_MAX => (n, "run"),
                (_, n) if n >= APPROVALS_OF_AGENT_MAX => (n, "agent"),
                _ => return self.ask(call, asks, &standing.why_not),
            };
            let text =
                format!("{n} approvals of this {of} wait for people already; wait for them first");
            Consent::Withheld(Refusal::new(RefusalCode::Limited, text))
        };
        let Some(Versioned { noun, revision }) = found else {
            return Ok(ask());
        };
        Ok(as_said(noun, revision, asks, now).unwrap_or_else(ask))
    }

    /// What people said in the run: the newest approval of exactly this call, those for the run, newest first, and how many
    /// wait.
    async fn said_in_run(&self, call: &Authorized) -> Result<Said, BooksError> {
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
        let now = self.books().now();
        let waits = |a: &&Versioned<Approval>| {
            a.noun.state == ApprovalState::Pending && now < a.noun.expires
        };
        let waiting = approvals.iter().filter(waits).count();
        let exactly = approvals.iter().find(|a| a.noun.digest == digest).cloned();
        let for_run = |a: &Versioned<Approval>| {
            let held = matches!(
                a.noun.state,
                ApprovalState::Approved | ApprovalState::Ambiguous
            );
            a.noun.for_run.is_some() && held
        };
        Ok(Said {
            exactly,
            for_run: approvals.into_iter().filter(for_run).collect(),
            waiting,
        })
    }

    /// How many approvals of the agent wait, whatever the run, up to as many as may.
    async fn waiting_of_agent(&self, call: &Authorized) -> Result<usize, BooksError> {
        let agent = call.resolved.standing.run.agent.as_str();
        let now = self.books().now();
        // What is counted by is not sealed, so that nothing has to be opened.
        let waits = |record: &Record| {
            let named = |name: &str| record.body.get(name).and_then(serde_json::Value::as_str);
            let expires = named("expires").and_then(|at| at.parse::<Timestamp>().ok());
            named("agent") == Some(agent) && expires.is_none_or(|at| now < at)
        };
        let mut filter = Filter {
            state: Some(ApprovalState::Pending.as_str().to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let mut waiting = 0;
        loop {
            let store = self.books().store();
            let org = &call.resolved.received.org;
            let page = store.list(org, Kind::Approval, &filter).await?;
            waiting += page.records.iter().filter(|r| waits(r)).count();
            match page.next {
                Some(next) if waiting < APPROVALS_OF_AGENT_MAX => filter.after = Some(next),
                _ => return Ok(waiting),
            }
        }
    }

    fn ask(&self, call: &Authorized, asks: &AskSet, why_not: &[String]) -> Consent {
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
                .chain(why_not.iter().cloned())
                .collect(),
            requested: now,
            expires: now.plus_secs(APPROVAL_SECS).min(run.deadline),
            verdicts: Vec::new(),
            state: ApprovalState::Pending,
            notes: Vec::new(),
            given: None,
            edited: None,
            claim: None,
            escalated: 0,
            for_run: None,
        };
        Consent::Asked(Box::new(approval), asks.clone())
    }
}

/// What was said of exactly this call; none where it says nothing any more, and people are asked.
fn as_said(noun: Approval, revision: u64, asks: &AskSet, now: Timestamp) -> Option<Consent> {
    let id = noun.id.clone();
    let settled = |code, text: &str| {
        Some(Consent::Withheld(Refusal::new(
            code,
            format!("{text} (approval {id})"),
        )))
    };
    match noun.state {
        ApprovalState::Approved if !noun.is_usable(now) => {
            let text = format!(
                "EXPIRED: approval {} was not used in time; call again to ask anew",
                noun.id
            );
            let refusal = Refusal::new(RefusalCode::ApprovalExpired, text);
            Some(spent(refusal, noun, ApprovalState::Expired, revision))
        }
        // Decided again under the live policies, it must ask for the same (invariant 6).
        ApprovalState::Approved if noun.asks != *asks => {
            let text = format!(
                "STALE: the policies have changed since approval {} was given; call again to ask anew",
                noun.id
            );
            let refusal = Refusal::new(RefusalCode::ApprovalStale, text);
            Some(spent(refusal, noun, ApprovalState::Stale, revision))
        }
        // For the run, and what it lets pass is used up.
        ApprovalState::Approved if noun.for_run.is_some() => None,
        ApprovalState::Approved => Some(Consent::Given(Box::new(noun), revision)),
        ApprovalState::Pending if now < noun.expires => {
            let text = format!(
                "PENDING approval {}: call again with the same arguments after it is approved; it expires at {}",
                noun.id, noun.expires
            );
            let refusal = Refusal::new(RefusalCode::ApprovalPending, text);
            Some(Consent::Waits(refusal, noun.id))
        }
        ApprovalState::Denied if now < noun.expires => {
            settled(RefusalCode::ApprovalDenied, &denied_by_person(&noun))
        }
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
        | ApprovalState::Withdrawn
        | ApprovalState::Used => None,
    }
}

/// What people said in the run.
struct Said {
    exactly: Option<Versioned<Approval>>,
    for_run: Vec<Versioned<Approval>>,
    waiting: usize,
}

/// Whether what was said of exactly this call leaves room for what was said of the run: a no, and what waits, do not.
fn gives_way(approval: &Approval, asks: &AskSet, now: Timestamp) -> bool {
    match approval.state {
        ApprovalState::Approved => {
            approval.for_run.is_some() && approval.is_usable(now) && approval.asks == *asks
        }
        ApprovalState::Pending => now >= approval.expires,
        // A no, and a yes that was taken back, are of exactly this: what was said of the run takes neither away.
        ApprovalState::Denied
        | ApprovalState::Withdrawn
        | ApprovalState::Ambiguous
        | ApprovalState::Cancelled => false,
        ApprovalState::Expired | ApprovalState::Stale | ApprovalState::Used => true,
    }
}

fn spent(refusal: Refusal, approval: Approval, state: ApprovalState, revision: u64) -> Consent {
    Consent::Spent(refusal, Box::new(Approval { state, ..approval }), revision)
}

/// Longest text of other arguments that stands in a refusal; `remit_approval_status` tells them whole.
const EDITED_CHARS_MAX: usize = 2_000;

/// What the agent is told of a no: the arguments that would do, where the person named some.
fn denied_by_person(approval: &Approval) -> String {
    let Some(edited) = &approval.edited else {
        return "DENIED by a person. Do not retry".to_owned();
    };
    let text = edited.to_string();
    if text.chars().count() > EDITED_CHARS_MAX {
        return "DENIED as it was asked. A person proposes other arguments: remit_approval_status tells them; call with exactly those"
            .to_owned();
    }
    format!(
        "DENIED as it was asked. A person proposes other arguments; call with exactly these, which are asked for anew: {text}"
    )
}

/// Why a question, or an answer to one, is refused where a whole call would wait.
const IN_THE_MIDDLE: &str = "DENIED: this needs a person's approval, and nothing in the middle of a call can wait for one. Do not retry the same call";

/// Who may approve, in words.
pub(crate) fn approvers(asks: &AskSet) -> String {
    let names: BTreeSet<String> = asks
        .iter()
        .flat_map(|a| a.approvers.iter().map(ToString::to_string))
        .collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

pub(crate) fn denied(call: &Authorized) -> Refusal {
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
            also: r.also.clone(),
            held: r.held,
        })
        .collect()
}
