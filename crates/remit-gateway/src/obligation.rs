//! What is owed beside a decision: findings of flags, and what limits need to know of outcomes.

use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::{Finding, FindingKind};
use remit_domain::{FindingId, Principal};
use remit_policy::{Decision, Obligation};
use remit_ports::upstreams::UpstreamError;
use serde_json::{Map, Value};

use crate::Gateway;
use crate::breaker;
use crate::call::{Approved, Authorized, Consent, Recorded};

/// The settings that flag a call.
pub(crate) fn flags(decision: &Decision) -> Vec<&str> {
    let flag = |o: &'_ Obligation| matches!(o, Obligation::Flag { .. });
    let flagged = decision.obligations.iter().filter(|o| flag(o));
    flagged
        .map(|o| match o {
            Obligation::Flag { setting, .. } | Obligation::Transform { setting, .. } => {
                setting.as_str()
            }
        })
        .collect()
}

/// The settings that mask something of a call or of its result.
pub(crate) fn transforms(decision: &Decision) -> Vec<&str> {
    let masking = decision.obligations.iter().filter_map(|o| match o {
        Obligation::Transform { setting, .. } => Some(setting.as_str()),
        Obligation::Flag { .. } => None,
    });
    masking.collect()
}

impl Gateway {
    /// Opens a finding for a call that a setting flags, once for each agent while it is open. The decision itself holds every
    /// flag, so that a finding that cannot be written takes nothing away.
    pub(crate) async fn flagged(&self, call: &Approved) {
        let flags = flags(&call.authorized.decision);
        let goes_on = matches!(call.consent, Consent::NotNeeded | Consent::Given(..));
        if flags.is_empty() || !goes_on {
            return;
        }
        let agent = &call.authorized.resolved.standing.agent.id;
        let text = format!("calls are flagged by setting {}", flags.join(", "));
        let finding = (FindingKind::Flagged, agent.to_string(), text);
        self.open_once(&call.authorized, finding, ("settings", &flags))
            .await;
    }

    /// Opens a finding for each policy that could not be evaluated, once while it is open. The call is denied, whatever comes of
    /// the finding.
    pub(crate) async fn policies_failed(&self, call: &Approved, decision: &Decision) {
        for line in &decision.errors {
            let policy = line.split_once(": ").map_or(line.as_str(), |(id, _)| id);
            let text = format!("policy {line}: every call that it is asked about is denied");
            let finding = (FindingKind::PolicyError, policy.to_owned(), text);
            self.open_once(&call.authorized, finding, ("policies", &[policy]))
                .await;
        }
    }

    pub(crate) async fn open_once(
        &self,
        call: &Authorized,
        (kind, subject, text): (FindingKind, String, String),
        (of, named): (&str, &[&str]),
    ) {
        let resolved = &call.resolved;
        let agent = &resolved.standing.agent.id;
        let open = {
            let registry = resolved.book.registry();
            let about = registry.findings.get(&subject);
            about.is_some_and(|a| a.values().any(|f| f.kind == kind))
        };
        if open {
            return;
        }
        let finding = Finding {
            id: self.books().id(FindingId::from_uuid),
            kind,
            subject,
            text,
            opened: self.books().now(),
            seen: 1,
            owner: None,
            by: Default::default(),
            closed: None,
        };
        let event = Event::new(EventKind::FindingOpened, finding.opened, Principal::Remit)
            .about(&finding.id)
            .agent(agent)
            .decision(&call.id)
            .fact("kind", finding.kind)
            .fact("of", &finding.subject)
            .fact(of, named)
            .content("text", &finding.text);
        let org = &resolved.received.org;
        let change = Change::new().create(&finding).event(event);
        if let Err(error) = self.books().commit(org, change).await {
            tracing::error!(%error, "a finding could not be opened; the decision holds what it is about");
        }
    }

    /// Whether a limit that stood in the way has room again once the outcomes that wait here are written.
    pub(crate) async fn has_room_again(&self, call: &Approved, key: &str) -> bool {
        let Some(reserve) = call.reserve.iter().find(|r| r.key == key) else {
            return false;
        };
        let store = self.books().store();
        if store.flush().await.is_err() {
            return false;
        }
        let keys: Vec<String> = std::iter::once(key.to_owned())
            .chain(reserve.also.iter().cloned())
            .collect();
        let org = &call.authorized.resolved.received.org;
        match store.counters(org, &keys).await {
            Ok(used) => used
                .iter()
                .try_fold(reserve.amount, |sum, n| sum.checked_add(*n))
                .is_some_and(|sum| sum <= reserve.max),
            Err(_) => false,
        }
    }

    /// Lets the breaker see how a call ended that was sent.
    pub(crate) fn watch_outcome(
        &self,
        call: &Recorded,
        result: &Result<Map<String, Value>, UpstreamError>,
    ) {
        let bad = match result {
            Ok(map) => map.get("isError") == Some(&Value::Bool(true)),
            Err(UpstreamError::Cancelled) => false,
            Err(_) => true,
        };
        let resolved = &call.authorized.resolved;
        let digest = breaker::digest(&resolved.received);
        let agent = &resolved.standing.agent.id;
        self.watch(&resolved.received.org, agent, digest, bad);
    }
}
