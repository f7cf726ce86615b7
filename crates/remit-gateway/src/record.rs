//! The one point of effect, and what is queued after it.

use std::sync::Arc;

use remit_books::BooksError;
use remit_books::labels::{agent_scope, carries};
use remit_domain::approval::{Approval, ApprovalState, COUNTER_PREFIX};
use remit_domain::event::{Event, EventKind};
use remit_domain::{OrgId, Refusal, RefusalCode};
use remit_policy::{Decision, labels};
use remit_ports::store::{Admit, AdmitError, Blob, Expect, LabelState, Outcome, Put, StoreError};
use remit_ports::upstreams::UpstreamError;
use serde_json::{Map, Value, json};

use crate::Gateway;
use crate::call::{
    Action, Answer, Approved, Authorized, Consent, Forwarded, Passes, Received, Recorded,
};
use crate::content;
use crate::entry;
use crate::notice;
use crate::refuse::Refused;
use crate::resolve::unavailable;
use crate::runs::is_due;
use crate::told::told;
use crate::{settle, transform};

/// Why a decision did not become a permission.
pub(crate) enum NotRecorded {
    /// Something moved since it was decided: walk again.
    Moved(Box<Received>),
    /// It is recorded, and the answer is no.
    Refused(Box<Refused>),
    /// It could not be recorded, so the answer is no.
    Failed(Refusal),
}

impl Gateway {
    pub(crate) async fn record_decision(&self, call: Approved) -> Result<Recorded, NotRecorded> {
        if let Consent::Withheld(refusal) | Consent::Waits(refusal, _) = &call.consent {
            let resolved = &call.authorized.resolved;
            if !self.inner.refusals.has_room(&resolved.standing.run.id) {
                self.canaries_sent(&call.authorized).await;
                self.inner
                    .refusals
                    .count(&resolved.received.org, refusal.code);
                let refused = Refused {
                    refusal: refusal.clone(),
                    decision: None,
                    approval: match &call.consent {
                        Consent::Waits(_, id) => Some(id.clone()),
                        _ => None,
                    },
                };
                return Err(NotRecorded::Refused(Box::new(refused)));
            }
        }
        match self
            .admit(&call, &call.authorized.decision, &call.reserve)
            .await
        {
            Ok(index) => {
                self.note_grant(&call);
                self.flagged(&call).await;
                self.canaries_sent(&call.authorized).await;
                self.policies_failed(&call, &call.authorized.decision).await;
                Ok(self.recorded(call, index)?)
            }
            Err(AdmitFailure::Admit(AdmitError::EpochMoved(_))) => Err(moved(call)),
            Err(AdmitFailure::Admit(AdmitError::LabelsMoved(labels))) => {
                let resolved = &call.authorized.resolved;
                let (runs, org) = (&self.inner.runs, &resolved.received.org);
                runs.raised(org, &resolved.root, &resolved.standing.run.agent);
                runs.saw(org, &resolved.root.id, labels);
                Err(moved(call))
            }
            // The approval was used by another call meanwhile: decide again, and find it used.
            Err(AdmitFailure::Admit(AdmitError::Store(StoreError::Conflict { .. }))) => {
                Err(moved(call))
            }
            Err(AdmitFailure::Admit(AdmitError::LimitExceeded { key, used, max })) => {
                Err(Box::pin(self.over_limit(call, &key, used, max)).await)
            }
            Err(AdmitFailure::Admit(AdmitError::Store(error))) => {
                Err(NotRecorded::Failed(unavailable(&error)))
            }
            Err(AdmitFailure::Books(error)) => Err(NotRecorded::Failed(unavailable(&error))),
        }
    }

    /// Notes that the grant which permitted a call was used.
    fn note_grant(&self, call: &Approved) {
        let decision = &call.authorized.decision;
        let goes_on = matches!(call.consent, Consent::NotNeeded | Consent::Given(..));
        if let Some(grant) = decision
            .grant
            .as_ref()
            .filter(|_| goes_on && !decision.is_deny())
        {
            let org = &call.authorized.resolved.received.org;
            self.books().note_use(org, grant.as_str());
        }
    }

    /// A recorded decision goes on, or is the answer.
    fn recorded(&self, call: Approved, index: u64) -> Result<Recorded, NotRecorded> {
        let Approved {
            authorized,
            consent,
            reserve,
        } = call;
        let refused = |refusal, approval| {
            NotRecorded::Refused(Box::new(Refused {
                refusal,
                decision: Some(authorized.id.clone()),
                approval,
            }))
        };
        match &consent {
            Consent::NotNeeded | Consent::Given(..) => {}
            Consent::Asked(approval, asks) => {
                let text = format!(
                    "PENDING approval {}: {}. It can be approved by {} until {}. Call again with the same arguments after it is approved; {} tells",
                    approval.id,
                    approval.reasons.join("; "),
                    crate::approve::approvers(asks),
                    approval.expires,
                    crate::APPROVAL_STATUS_TOOL,
                );
                return Err(refused(
                    Refusal::new(RefusalCode::ApprovalRequired, text),
                    Some(approval.id.clone()),
                ));
            }
            Consent::Waits(refusal, id) => {
                return Err(refused(refusal.clone(), Some(id.clone())));
            }
            Consent::Withheld(refusal) | Consent::Spent(refusal, ..) => {
                return Err(refused(refusal.clone(), None));
            }
        }
        if !raised(&authorized).is_empty() {
            let resolved = &authorized.resolved;
            let org = &resolved.received.org;
            let agent = &resolved.standing.run.agent;
            self.inner.runs.raised(org, &resolved.root, agent);
        }
        Ok(Recorded {
            authorized,
            consent,
            reserve,
            index,
        })
    }

    async fn admit(
        &self,
        call: &Approved,
        decision: &Decision,
        reserve: &[remit_ports::store::Reserve],
    ) -> Result<u64, AdmitFailure> {
        let Authorized {
            resolved,
            id,
            dynamic,
            ..
        } = &call.authorized;
        let org = &resolved.received.org;
        let run = &resolved.standing.run;
        let goes_on =
            matches!(call.consent, Consent::NotNeeded | Consent::Given(..)) && !decision.is_deny();
        let (facts, blobs) = self.blobs(&call.authorized).await?;
        let decided = entry::decided(call, decision, &facts);
        let mut entries = vec![self.books().seal(org, &decided).await?];
        let mut puts = Vec::new();
        if let Some((approval, expect)) = written(&call.consent, goes_on) {
            let kind = match expect {
                Expect::Absent => EventKind::ApprovalRequested,
                _ => EventKind::ApprovalSettled,
            };
            let event = entry::approval(kind, &approval, approval.state, dynamic.now);
            entries.push(self.books().seal(org, &event).await?);
            puts.push(Put::new(&approval, expect));
        }
        let admit = Admit {
            org: org.clone(),
            decision: id.clone(),
            agent: run.agent.clone(),
            run: run.id.clone(),
            tool: resolved.tool_ref().clone(),
            at: dynamic.now,
            epoch: resolved.epoch,
            labels: (run.root.to_string(), resolved.labels.version()),
            carried: carries(&resolved.root)
                .then(|| (agent_scope(&resolved.root.agent), resolved.beside.stamp())),
            raise: if goes_on {
                raised(&call.authorized)
            } else {
                Vec::new()
            },
            reserve: reserve.to_vec(),
            puts: self.books().sealed_puts(org, puts).await?,
            blobs: blobs.iter().map(|(_, blob)| blob.clone()).collect(),
            entries,
            sends: goes_on.then(|| self.books().node().to_owned()),
        };
        let admitted = self
            .books()
            .store()
            .admit(admit)
            .await
            .map_err(AdmitFailure::Admit)?;
        for (of, blob) in blobs {
            let at = Arc::from(blob.hash);
            self.inner.kept.insert((org.clone(), of), at);
        }
        Ok(admitted.index)
    }

    /// Where the slice of the registry is kept, and the inputs of the decision that this node has not kept yet, each with what
    /// it is of. The slice holds the run's purpose, so it is sealed under the run's key.
    async fn blobs(
        &self,
        call: &Authorized,
    ) -> Result<(Arc<str>, Vec<(String, Blob)>), BooksError> {
        let resolved = &call.resolved;
        let org = &resolved.received.org;
        let run = resolved.standing.run.id.as_str();
        let kept = |of: &str| self.inner.kept.get(&(org.clone(), of.to_owned()));
        let mut blobs = Vec::new();
        let of = format!("{run}/{}", resolved.fixed_hash);
        let facts = match kept(&of) {
            Some(hash) => hash,
            None => {
                let plain = serde_json::to_vec(&**resolved.fixed())?;
                let blob = self.books().seal_blob(org, run, &plain).await?;
                let hash = Arc::from(blob.hash.as_str());
                blobs.push((of, blob));
                hash
            }
        };
        let engine = resolved.engine.version();
        if kept(engine).is_none() {
            let blob = Blob {
                hash: engine.to_owned(),
                body: resolved.engine.sources().as_bytes().to_vec(),
            };
            blobs.push((engine.to_owned(), blob));
        }
        Ok((facts, blobs))
    }

    /// A limit stands in the way: that is recorded as the denial it is, and consumes nothing.
    async fn over_limit(&self, call: Approved, key: &str, used: i64, max: i64) -> NotRecorded {
        // Other calls of the run were quicker: it is decided again, and people are asked.
        if key.starts_with(COUNTER_PREFIX) || self.has_room_again(&call, key).await {
            return moved(call);
        }
        let resolved = &call.authorized.resolved;
        if !self.inner.refusals.has_room(&resolved.standing.run.id) {
            let code = RefusalCode::LimitExceeded;
            self.inner.refusals.count(&resolved.received.org, code);
            let text = format!(
                "DENIED by policy: limit reached, {used} of {max} used. Do not retry the same call"
            );
            let refused = Refused::from(Refusal::new(code, text));
            return NotRecorded::Refused(Box::new(refused));
        }
        // What the store counted becomes part of the recorded inputs, so that the denial can be decided again from them.
        let mut call = call;
        let counted = &mut call.authorized.dynamic.counters;
        counted.insert(key.to_owned(), used);
        let authorized = &call.authorized;
        let engine = &authorized.resolved.engine;
        let decision = engine.decide_prepared(&authorized.resolved.prepared, &authorized.dynamic);
        if !decision.is_deny() {
            // Something was given back meanwhile.
            return moved(call);
        }
        let told: Vec<&str> = decision.reasons.iter().map(|r| r.text.as_str()).collect();
        let text = format!(
            "DENIED by policy: limit reached, {}. Do not retry the same call",
            told.join("; ")
        );
        let refusal = Refusal::new(RefusalCode::LimitExceeded, text);
        let id = authorized.id.clone();
        let call = Approved {
            consent: Consent::Withheld(refusal.clone()),
            ..call
        };
        match self.admit(&call, &decision, &[]).await {
            Ok(_) => NotRecorded::Refused(Box::new(Refused {
                refusal,
                decision: Some(id),
                approval: None,
            })),
            Err(AdmitFailure::Admit(
                AdmitError::EpochMoved(_) | AdmitError::LabelsMoved(LabelState { .. }),
            )) => moved(call),
            Err(AdmitFailure::Admit(error)) => NotRecorded::Failed(unavailable(&error)),
            Err(AdmitFailure::Books(error)) => NotRecorded::Failed(unavailable(&error)),
        }
    }

    /// Records of an outcome, sealed. What cannot be sealed is left as it was: the approval stays used.
    async fn settled_puts(&self, org: &OrgId, puts: Vec<Put>) -> Vec<Put> {
        let sealed = self.books().sealed_puts(org, puts).await;
        sealed.unwrap_or_else(|error| {
            tracing::error!(%error, "an approval could not be sealed after its call: it stays used");
            Vec::new()
        })
    }

    /// Queues an outcome with what it gives back and the labels it raises. Whether it could be queued.
    async fn queue(
        &self,
        recorded: &Recorded,
        result: &Answered,
        (event, back, raise): Told,
    ) -> bool {
        let call = &recorded.authorized;
        let org = &call.resolved.received.org;
        let entry = match self.books().seal(org, &event).await {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(%error, decision = %call.id, "an outcome could not be sealed: the call is reported as a gap");
                return false;
            }
        };
        let stands = self.still_stands(&call.resolved).is_ok();
        let (mut release, puts) = settlement(recorded, result, stands);
        release.extend(back);
        let outcome = Outcome {
            org: org.clone(),
            decision: call.id.clone(),
            at: event.at,
            entries: vec![entry],
            raise,
            release,
            puts: self.settled_puts(org, puts).await,
        };
        self.books()
            .store()
            .outcome(outcome)
            .inspect_err(|error| tracing::error!(%error, decision = %call.id, "an outcome could not be queued: the call is reported as a gap"))
            .is_ok()
    }

    /// Waits until labels that a result raised are durable, so that the next decision anywhere sees them.
    async fn labelled(&self, call: &Authorized) -> bool {
        let durable = self.books().store().flush().await;
        let resolved = &call.resolved;
        let agent = &resolved.standing.run.agent;
        self.inner
            .runs
            .raised(&resolved.received.org, &resolved.root, agent);
        durable
            .inspect_err(|error| tracing::error!(%error, "labels could not be recorded: the result is withheld"))
            .is_ok()
    }

    /// Queues the outcome; what could not be queued stays open and is reported as a gap.
    pub(crate) async fn record_outcome(&self, call: Forwarded) -> Result<Answer, Refused> {
        let Forwarded {
            recorded,
            result,
            held,
            canaries,
        } = call;
        self.canaries_given(&recorded.authorized, &canaries).await;
        let now = self.books().now();
        let (result, back, withheld) = released(&recorded, result);
        let seen = notice::seen(&result, &held);
        let withheld = withheld.or_else(|| seen.withheld(&recorded));
        let raise = seen.raise(&recorded.authorized);
        let id = recorded.authorized.id.clone();
        let event = entry::completed(&recorded, &result, now);
        let event = match &withheld {
            Some(why) => event.fact("withheld", why.code),
            None => event,
        };
        let event = match seen.names() {
            Some(found) => event.fact("found", found),
            None => event,
        };
        self.watch_outcome(&recorded, &result);
        let labels = !raise.is_empty();
        let queued = self.queue(&recorded, &result, (event, back, raise)).await;
        let labelled = !labels || (queued && self.labelled(&recorded.authorized).await);
        let withheld = withheld.or_else(|| (!labelled).then(unlabelled_result));
        if labelled {
            notice::release(&recorded.authorized, held).await;
        }
        if let Some(refusal) = withheld {
            return Err(Refused {
                refusal,
                decision: Some(id),
                approval: None,
            });
        }
        match result {
            Ok(result) => Ok(Answer {
                index: recorded.index,
                result: with_decision(
                    transform::result(&recorded.authorized.decision, result),
                    &id,
                ),
                error: None,
                decision: id,
            }),
            Err(mut error) => match told(
                &recorded.authorized.resolved.received,
                transform::error(&recorded.authorized.decision, &mut error),
            ) {
                Some(told) => Ok(Answer {
                    index: recorded.index,
                    result: Map::new(),
                    error: Some(told),
                    decision: id,
                }),
                None => Err(Refused {
                    refusal: failed(error),
                    decision: Some(id),
                    approval: None,
                }),
            },
        }
    }
}

/// What a result raised could not be recorded, so nobody sees it.
fn unlabelled_result() -> Refusal {
    let text = "WITHHELD: what the result holds could not be recorded. The call has had its effect; find out before doing it again";
    Refusal::new(RefusalCode::LedgerUnavailable, text)
}

/// What is told of an outcome: its event, what is given back by counter, and the labels it raises by scope.
type Told = (Event, Vec<(String, i64)>, Vec<(String, String)>);

type Answered = Result<Map<String, Value>, UpstreamError>;

/// What an answer gives back of what was reserved for it, and why it is withheld, if it is.
fn released(call: &Recorded, result: Answered) -> (Answered, Vec<(String, i64)>, Option<Refusal>) {
    let used = match &result {
        Ok(map) => settle::used(&call.authorized.decision, map),
        Err(_) => Ok(Vec::new()),
    };
    match used {
        Ok(back) => (result, back, None),
        Err(why) => {
            let text = format!(
                "LIMIT: {why}, so it was withheld. The call has had its effect; ask for less"
            );
            let refusal = Refusal::new(RefusalCode::LimitExceeded, text);
            (result, Vec::new(), Some(refusal))
        }
    }
}

enum AdmitFailure {
    Admit(AdmitError),
    Books(BooksError),
}

impl From<BooksError> for AdmitFailure {
    fn from(error: BooksError) -> Self {
        Self::Books(error)
    }
}

fn moved(call: Approved) -> NotRecorded {
    NotRecorded::Moved(call.authorized.resolved.received)
}

/// Labels the call raises on its run and on its agent: those that are new there, or were raised too long ago.
pub(crate) fn raised(call: &Authorized) -> Vec<(String, String)> {
    let Some(classification) = &call.resolved.tool.classification else {
        return Vec::new();
    };
    // What an upstream asks is put to the caller's side: it is looked into like what an upstream answers.
    let seen = match call.resolved.received.action {
        Action::Ask(_) => content::look(call.resolved.received.call.arguments.value()),
        // The result is with the agent before anybody could look into it.
        _ if call.resolved.received.passes() == Passes::Unseen => content::Seen::nothing(),
        _ => content::Seen::default(),
    };
    let run = &call.resolved.standing.run;
    let now = call.dynamic.now;
    let scopes = [
        (run.root.to_string(), &call.resolved.labels),
        (agent_scope(&run.agent), &call.resolved.own),
    ];
    let mut raise = Vec::new();
    for (scope, known) in scopes {
        let has = known.labels.keys().cloned().collect();
        let mut labels = labels::raised(classification, &call.dynamic.args, &has);
        labels.extend(seen.labels().map(str::to_owned));
        let due = labels.into_iter().filter(|label| is_due(known, label, now));
        raise.extend(due.map(|label| (scope.clone(), label)));
    }
    raise
}

/// What becomes of the approval with the decision, and what has to be there for it.
fn written(consent: &Consent, goes_on: bool) -> Option<(Approval, Expect)> {
    match consent {
        // One for the run is counted, not used up.
        Consent::Given(approval, _) if approval.for_run.is_some() => None,
        Consent::Given(approval, revision) if goes_on => {
            let used = Approval {
                state: ApprovalState::Used,
                ..(**approval).clone()
            };
            Some((used, Expect::Revision(*revision)))
        }
        Consent::Spent(_, approval, revision) => {
            Some(((**approval).clone(), Expect::Revision(*revision)))
        }
        Consent::Asked(approval, _) => Some(((**approval).clone(), Expect::Absent)),
        _ => None,
    }
}

/// What is given back, and what becomes of the approval: a call that was proved not to be sent costs nothing; one whose fate
/// nobody knows keeps everything.
fn settlement(
    call: &Recorded,
    result: &Result<Map<String, Value>, UpstreamError>,
    stands: bool,
) -> (Vec<(String, i64)>, Vec<Put>) {
    let approval = if let Consent::Given(approval, revision) = &call.consent {
        Some((approval, *revision))
    } else {
        None
    };
    let for_run = approval.is_some_and(|(a, _)| a.for_run.is_some());
    let becomes = |state| {
        let put = |(a, revision): (&Approval, u64)| {
            let revision = if for_run { revision } else { revision + 1 };
            Put::new(&Approval { state, ..a.clone() }, Expect::Revision(revision))
        };
        approval.map(|(a, r)| put((a, r))).into_iter().collect()
    };
    match result {
        Err(UpstreamError::Unreachable(_) | UpstreamError::Unauthorized(_)) => {
            // What is held is given back by whoever closes the call.
            let taken = call.reserve.iter().filter(|r| !r.held);
            let release = taken.map(|r| (r.key.clone(), r.amount)).collect();
            // One for the run was not used up: it only gets its count back.
            if for_run {
                return (release, Vec::new());
            }
            // What was contained meanwhile took its approvals with it, this one included.
            let state = if stands {
                ApprovalState::Approved
            } else {
                ApprovalState::Cancelled
            };
            (release, becomes(state))
        }
        Err(UpstreamError::Ambiguous(_) | UpstreamError::Cancelled) => {
            (Vec::new(), becomes(ApprovalState::Ambiguous))
        }
        _ => (Vec::new(), Vec::new()),
    }
}

fn with_decision(
    mut result: Map<String, Value>,
    id: &remit_domain::DecisionId,
) -> Map<String, Value> {
    let meta = result.entry("_meta").or_insert_with(|| json!({}));
    if let Value::Object(meta) = meta {
        meta.insert("dev.remit/decision".to_owned(), json!(id));
    }
    result
}

fn failed(error: UpstreamError) -> Refusal {
    let (code, text) = match error {
        UpstreamError::Unreachable(why) => (RefusalCode::UpstreamUnreachable, format!("the upstream could not be reached, and nothing was sent: {why}")),
        UpstreamError::Unauthorized(why) => (RefusalCode::CredentialUnavailable, format!("the upstream refused Remit's credential, and nothing was done: {why}. An administrator has to look")),
        UpstreamError::Ambiguous(why) => {
            (RefusalCode::Ambiguous, format!("AMBIGUOUS: the call was sent and no answer came ({why}); it may have had its effect. Do not retry it; find out first"))
        }
        UpstreamError::Cancelled => (RefusalCode::Cancelled, "CANCELLED after it was sent; it may have had its effect. Do not retry it; find out first".to_owned()),
        UpstreamError::Invalid(why) => (RefusalCode::UpstreamInvalid, format!("the upstream answered with something that is not MCP ({why}); the call may have had its effect")),
        UpstreamError::TooLarge(max) => (RefusalCode::TooLarge, format!("the upstream's answer is larger than {max} bytes and was not passed on; the call has had its effect")),
        UpstreamError::Rpc { code, message, .. } => (RefusalCode::UpstreamInvalid, format!("the upstream answered error {code}: {message}")),
    };
    Refusal::new(code, text)
}
