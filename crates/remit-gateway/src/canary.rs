//! Canaries: values that open nothing. Whoever sends one has been where they should not be, and whatever gives one out holds
//! what it should not hold; either is a finding at once, whatever becomes of the call.

use std::collections::BTreeSet;

use remit_domain::finding::FindingKind;
use remit_domain::name::Name;

use crate::Gateway;
use crate::call::Authorized;

impl Gateway {
    /// Opens a finding for canaries in the arguments of a call, permitted or not.
    pub(crate) async fn canaries_sent(&self, call: &Authorized) {
        let known = self.books().known_secrets(&call.resolved.book).await;
        let sent = match known {
            Ok(known) => known.canaries_in(call.resolved.received.call.arguments.value()),
            // Without them, nothing is sent either: the broker refuses.
            Err(error) => return tracing::error!(%error, "canaries cannot be looked for"),
        };
        let agent = &call.resolved.standing.agent;
        let text = format!(
            "canary {} was in the arguments of a call of {} by agent {}: it has been where it should not be",
            named(&sent),
            call.resolved.tool_ref(),
            agent.name
        );
        self.canaries_seen(call, &sent, (agent.id.to_string(), text))
            .await;
        if !sent.is_empty() {
            self.canary_trips(&call.resolved.received.org, &agent.id, &named(&sent));
        }
    }

    /// Opens a finding for canaries in what an upstream said.
    pub(crate) async fn canaries_given(&self, call: &Authorized, given: &BTreeSet<Name>) {
        let upstream = &call.resolved.upstream.name;
        let text = format!(
            "canary {} came from upstream {upstream} in a call of {}: what it was put beside is read",
            named(given),
            call.resolved.tool_ref(),
        );
        self.canaries_seen(call, given, (upstream.to_string(), text))
            .await;
    }

    async fn canaries_seen(
        &self,
        call: &Authorized,
        canaries: &BTreeSet<Name>,
        (subject, text): (String, String),
    ) {
        if canaries.is_empty() {
            return;
        }
        tracing::error!(decision = %call.id, "{text}");
        let names: Vec<&str> = canaries.iter().map(Name::as_str).collect();
        let finding = (FindingKind::CanarySeen, subject, text);
        self.open_once(call, finding, ("canaries", &names)).await;
    }
}

fn named(canaries: &BTreeSet<Name>) -> String {
    let names: Vec<&str> = canaries.iter().map(Name::as_str).collect();
    names.join(", ")
}
