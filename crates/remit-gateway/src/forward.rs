//! The one place from which a call leaves. It re-checks containment just before, and cancels when it comes meanwhile.

use std::sync::Arc;
use std::time::Duration;

use remit_books::KnownSecrets;
use remit_books::in_flight::{Departure, FlightGuard, Progress};
use remit_domain::tool::Effect;
use remit_domain::{Refusal, Registry, Upstream};
use remit_mcp::protocol::meta::CLIENT_CAPABILITIES;
use remit_ports::upstreams::{Seen, UpstreamError, UpstreamRequest};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::Gateway;
use crate::call::{Action, Equipped, Forwarded, Recorded, Resolved};
use crate::limits::{ANSWER_TIMEOUT, CANCEL_GRACE, UPSTREAM_TIMEOUT};
use crate::line::{BoxFuture, EXECUTE};
use crate::notice::Notices;
use crate::question::put_as;
use crate::resolve::standing_caller;

impl Gateway {
    pub(crate) async fn forward(&self, call: Equipped) -> Forwarded {
        let Equipped {
            recorded,
            lease,
            known,
        } = call;
        let seen = lease.seen.clone();
        let resolved = &recorded.authorized.resolved;
        let guard = self.depart(&recorded.authorized.id, resolved);
        // Registered, then the epoch is read, then it is sent (invariant 8).
        let mut epoch = resolved.book.watch_epoch();
        epoch.borrow_and_update();
        if let Err(refusal) = self.still_good(resolved).await {
            guard.say(Progress::NeverSent);
            let unsent = Err(UpstreamError::Unreachable(refusal.to_string()));
            return Forwarded::silent(recorded, unsent);
        }
        let cancel = resolved.received.cancel.child_token();
        let (questions, mut asking) = self.questions(&recorded);
        let (notifications, mut notices) = Notices::of(&recorded.authorized);
        let request = UpstreamRequest {
            org: resolved.received.org.clone(),
            upstream: Arc::clone(&resolved.upstream),
            run: Some(resolved.standing.run.id.clone()),
            method: resolved.received.action.method().to_owned(),
            params: self.params(resolved),
            input_schema: resolved.tool.input_schema().clone(),
            lease,
            cancel: cancel.clone(),
            notifications,
            timeout: patience(questions.is_some()),
            questions,
        };
        guard.say(Progress::Sent);
        self.inner
            .runs
            .sent(&resolved.received.org, &resolved.standing.run.id);
        let mut answer = match self.back(&recorded, &cancel) {
            Some(back) => back,
            None => self.sent(&recorded, request),
        };
        let result = loop {
            tokio::select! {
                biased;
                result = &mut answer => break result,
                () = &mut asking => {}
                () = notices.pass() => {}
                moved = epoch.changed() => {
                    if moved.is_err() || self.still_good(resolved).await.is_err() {
                        cancel.cancel();
                        let late = tokio::time::timeout(CANCEL_GRACE, &mut answer).await;
                        break late.unwrap_or(Err(UpstreamError::Cancelled));
                    }
                }
            }
        };
        guard.say(progress(&result));
        let result = clean(&resolved.upstream, result, &known, &seen);
        let result = result.and_then(object).map(|r| self.sealed(resolved, r));
        drop(answer);
        let held = notices.end().await;
        Forwarded {
            recorded,
            result,
            held,
            canaries: known.canaries_of(&seen.all()),
        }
    }

    /// The call, sent. Where the upstream refuses the token that was got for it, that is replaced: it may have been revoked there, or
    /// have ended before its time. What only reads or drafts is then sent once more; anything else is the caller's to make again,
    /// since an upstream that did something may pass on what another server of its own refused.
    fn sent<'a>(
        &'a self,
        recorded: &'a Recorded,
        request: UpstreamRequest,
    ) -> BoxFuture<'a, Result<Value, UpstreamError>> {
        let classification = recorded.authorized.resolved.tool.classification.as_ref();
        let mild = classification.is_some_and(|c| matches!(c.effect, Effect::Read | Effect::Draft));
        let Some(refused) = request.lease.token.clone() else {
            let answer = self.inner.upstreams.request(request);
            return Box::pin(async move { believed(answer.await, mild) });
        };
        Box::pin(async move {
            let again = request.clone();
            let answer = self.inner.upstreams.request(request).await;
            if !matches!(answer, Err(UpstreamError::Unauthorized(_))) || again.cancel.is_cancelled()
            {
                return believed(answer, mild);
            }
            let resolved = &recorded.authorized.resolved;
            if let Err(refusal) = self.still_good(resolved).await {
                return Err(UpstreamError::Unreachable(refusal.to_string()));
            }
            let lease = self
                .lend(recorded, again.lease.clone(), Some(&refused))
                .await;
            let lease = lease.map_err(UpstreamError::Unreachable)?;
            if !mild {
                return believed(answer, mild);
            }
            self.inner
                .upstreams
                .request(UpstreamRequest { lease, ..again })
                .await
        })
    }

    /// What does not go to an upstream but back to the caller's side: a question, and a call of a server that runs there.
    fn back(
        &self,
        recorded: &Recorded,
        cancel: &CancellationToken,
    ) -> Option<BoxFuture<'static, Result<Value, UpstreamError>>> {
        let resolved = &recorded.authorized.resolved;
        let received = &resolved.received;
        let (method, params, patience) = match received.action {
            Action::Ask(kind) => (kind.method(), put_as(&recorded.authorized), ANSWER_TIMEOUT),
            action if resolved.upstream.is_cooperative() => {
                let call = json!({ "method": action.method(), "params": self.params(resolved) });
                (EXECUTE, call, UPSTREAM_TIMEOUT)
            }
            _ => return None,
        };
        let (line, cancel) = (received.line.clone(), cancel.clone());
        Some(Box::pin(async move {
            match line {
                Some(line) => line.ask(method, params, &cancel, patience).await,
                None => Err(UpstreamError::Unreachable(
                    "there is no way back to the caller's side".to_owned(),
                )),
            }
        }))
    }

    pub(crate) fn depart(
        &self,
        decision: &remit_domain::DecisionId,
        resolved: &Resolved,
    ) -> FlightGuard {
        self.books().in_flight().register(Departure {
            org: resolved.received.org.clone(),
            decision: decision.clone(),
            agent: resolved.standing.agent.id.clone(),
            workflow: resolved.standing.workflow.id.clone(),
            run: resolved.standing.run.id.clone(),
            credential: resolved.caller.credential.clone(),
            tool: resolved.tool_ref().clone(),
            definition: resolved.tool.definition.hash.clone(),
        })
    }

    /// Whether the token still proves who calls, and everything that answers for the call still stands.
    pub(crate) async fn still_good(&self, resolved: &Resolved) -> Result<(), Refusal> {
        self.who_calls(&resolved.received).await?;
        self.still_stands(resolved)
    }

    pub(crate) fn still_stands(&self, resolved: &Resolved) -> Result<(), Refusal> {
        let registry: &Registry = &resolved.book.registry();
        standing_caller(registry, &resolved.caller, self.books().now())?;
        registry.standing_tool(&resolved.tool)
    }

    /// The canonical call that was decided, written anew: never received bytes (invariant 7).
    fn params(&self, resolved: &Resolved) -> Value {
        let call = &resolved.received.call;
        let mut params = match resolved.received.action {
            Action::Tool => {
                let mut params = Map::new();
                params.insert("name".to_owned(), json!(resolved.tool.tool.tool()));
                params.insert(
                    "arguments".to_owned(),
                    Value::Object(call.arguments.value().clone()),
                );
                params
            }
            _ => self.opened(resolved),
        };
        if let Some(responses) = &call.input_responses {
            params.insert(
                "inputResponses".to_owned(),
                Value::Object(responses.value().clone()),
            );
        }
        if let Some(state) = call
            .request_state
            .as_deref()
            .and_then(|s| self.open_handle(resolved, s))
        {
            params.insert("requestState".to_owned(), json!(state));
        }
        let mut meta = call.meta.for_upstream();
        self.keep_askable(resolved, &mut meta);
        if call.meta.progress_token.is_some() && resolved.received.notifications.is_some() {
            // The token itself is the upstream connection's own; that there is one is what passes.
            meta.insert("progressToken".to_owned(), json!(0));
        }
        if !meta.is_empty() {
            params.insert("_meta".to_owned(), Value::Object(meta));
        }
        Value::Object(params)
    }
}

impl Gateway {
    /// Of what the caller can be asked for, an upstream hears only what it may ask for.
    fn keep_askable(&self, resolved: &Resolved, meta: &mut Map<String, Value>) {
        let may_ask = &resolved.upstream.may_ask;
        if let Some(Value::Object(askable)) = meta.get_mut(CLIENT_CAPABILITIES) {
            askable.retain(|key, _| may_ask.iter().any(|kind| kind.capability() == key));
        }
    }
}

/// How long an upstream may take: a call in which a person may be asked takes as long as people take.
fn patience(asks: bool) -> Duration {
    if asks {
        UPSTREAM_TIMEOUT.saturating_add(ANSWER_TIMEOUT)
    } else {
        UPSTREAM_TIMEOUT
    }
}

/// What a server on the caller's side said passed no adapter that would have kept secrets out of it.
fn clean(
    upstream: &Upstream,
    result: Result<Value, UpstreamError>,
    known: &KnownSecrets,
    seen: &Seen,
) -> Result<Value, UpstreamError> {
    if !upstream.is_cooperative() {
        return result;
    }
    let clean = |value: &mut Value| seen.add(known.known.value(value));
    match result {
        Ok(mut value) => {
            clean(&mut value);
            Ok(value)
        }
        Err(error) => Err(error.rewritten(clean)),
    }
}

fn object(result: Value) -> Result<Map<String, Value>, UpstreamError> {
    match result {
        Value::Object(map) => Ok(map),
        _ => Err(UpstreamError::Invalid(
            "the result is not an object".to_owned(),
        )),
    }
}

/// That a credential was refused says that nothing was done, of what only reads or drafts. Of anything else it is the upstream's word
/// alone: it counts as an answer, so that no approval comes back, and no sum.
fn believed(answer: Result<Value, UpstreamError>, mild: bool) -> Result<Value, UpstreamError> {
    match answer {
        Err(UpstreamError::Unauthorized(why)) if !mild => Err(UpstreamError::Invalid(format!(
            "{why}; find out whether anything was done, and ask anew"
        ))),
        other => other,
    }
}

fn progress(result: &Result<Value, UpstreamError>) -> Progress {
    match result {
        Ok(_)
        | Err(UpstreamError::Rpc { .. } | UpstreamError::Invalid(_) | UpstreamError::TooLarge(_)) => {
            Progress::Answered
        }
        Err(UpstreamError::Unreachable(_) | UpstreamError::Unauthorized(_)) => Progress::NeverSent,
        Err(UpstreamError::Ambiguous(_) | UpstreamError::Cancelled) => Progress::Unanswered,
    }
}
