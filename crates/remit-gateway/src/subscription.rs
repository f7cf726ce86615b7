//! Subscriptions to resources: decided like a call, and held to that decision at each update.
//!
//! An update is the address of a resource that the caller asked to hear of, and nothing else: what has changed in it is
//! read with a call of its own.
//!
//! Source: MCP 2025-11-25 server/resources "Subscriptions".

use std::sync::Arc;

use remit_domain::{OrgId, Refusal};
use remit_policy::Outcome;
use remit_ports::upstreams::{Subscribed, Updated, UpstreamError, UpstreamRequest};
use serde_json::{Map, Value};

use crate::call::{Answer, Forwarded, Received};
use crate::limits::UPSTREAM_TIMEOUT;
use crate::refuse::Refused;
use crate::resolve::standing_caller;
use crate::{Gateway, Presented};

/// A subscription in force. Dropping it ends it at the upstream.
#[derive(Debug)]
pub struct Subscription {
    /// Which decision it rests on, as an answer.
    pub answer: Answer,
    _at_upstream: Box<dyn Subscribed>,
}

impl Gateway {
    /// Subscribes to the resource that `received` (of action `Subscribe`) names.
    ///
    /// - `updated`: hears of its changes. Whether the caller may still hear of them is asked with
    ///   [`Gateway::may_still`] when they are told.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn subscribe(
        &self,
        received: Received,
        updated: Updated,
    ) -> Result<Subscription, Refused> {
        let recorded = self.decided(Box::new(received)).await?;
        let equipped = match self.broker(recorded).await {
            Ok(equipped) => equipped,
            Err((recorded, refusal)) => {
                return Err(self
                    .not_equipped(recorded, refusal)
                    .await
                    .err()
                    .unwrap_or_else(gone));
            }
        };
        let crate::call::Equipped {
            recorded, lease, ..
        } = equipped;
        let resolved = &recorded.authorized.resolved;
        let request = UpstreamRequest {
            org: resolved.received.org.clone(),
            upstream: Arc::clone(&resolved.upstream),
            run: Some(resolved.standing.run.id.clone()),
            method: resolved.received.action.method().to_owned(),
            params: Value::Object(resolved.received.call.arguments.value().clone()),
            input_schema: Value::Null,
            lease,
            cancel: resolved.received.cancel.child_token(),
            notifications: None,
            questions: None,
            timeout: UPSTREAM_TIMEOUT,
        };
        let (result, held) = match self.still_stands(resolved) {
            Err(refusal) => (Err(UpstreamError::Unreachable(refusal.to_string())), None),
            Ok(()) => match self.inner.upstreams.subscribe(request, updated).await {
                Ok(held) => (Ok(Map::new()), Some(held)),
                Err(error) => (Err(error), None),
            },
        };
        let answer = self
            .record_outcome(Forwarded::silent(recorded, result))
            .await?;
        match held {
            Some(held) => Ok(Subscription {
                answer,
                _at_upstream: held,
            }),
            None => Err(answer.error.map_or_else(gone, |error| {
                Refusal::new(remit_domain::RefusalCode::UpstreamInvalid, error.message).into()
            })),
        }
    }

    /// Whether a caller may still hear of what it subscribed to, decided again and not recorded: the news is only that there
    /// is something to read, with a call.
    pub async fn may_still(&self, received: Received) -> bool {
        let Ok(call) = self.authenticate(Box::new(received)).await else {
            return false;
        };
        let Ok(resolved) = self.resolve(call).await else {
            return false;
        };
        self.authorize(resolved)
            .is_ok_and(|authorized| authorized.decision.outcome == Outcome::Allow)
    }

    /// Whether whoever presents a token may act at all now.
    pub async fn stands(&self, org: &OrgId, presented: &Presented, resource: &str) -> bool {
        let Ok(caller) = self.caller(org, presented, resource).await else {
            return false;
        };
        let Some(book) = self.books().org(org) else {
            return false;
        };
        let registry = book.registry();
        standing_caller(&registry, &caller, self.books().now()).is_ok()
    }
}

fn gone() -> Refused {
    let text = "the upstream took no subscription";
    Refusal::new(remit_domain::RefusalCode::UpstreamInvalid, text).into()
}
