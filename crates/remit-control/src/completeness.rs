//! Whether an agent may be activated, and what is missing: checked by machine, before any person is asked.

use std::collections::BTreeSet;

use remit_domain::name::Name;
use remit_domain::tool::ToolState;
use remit_domain::{Agent, Registry, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::not_found;
use crate::{Caller, Control, ControlError};

/// Whether an agent is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Completeness {
    /// Whether nothing is missing.
    pub complete: bool,
    /// What is, one line each.
    pub missing: Vec<String>,
}

impl Completeness {
    /// What `agent` lacks at `now`.
    pub(crate) fn of(registry: &Registry, agent: &Agent, now: Timestamp) -> Self {
        let mut missing = Vec::new();
        declared(agent, &mut missing);
        accountable(registry, agent, &mut missing);
        let holds_key = registry
            .keys
            .values()
            .any(|k| k.agent == agent.id && k.removed.is_none());
        // Or another issuer says what it is.
        let federated = registry
            .trusted_issuers
            .values()
            .any(|issuer| issuer.enabled && issuer.rules_of(&agent.id).next().is_some());
        if !holds_key && !federated {
            missing.push("key: add a public key that the agent proves itself with".to_owned());
        }
        access(registry, agent, now, &mut missing);
        Self {
            complete: missing.is_empty(),
            missing,
        }
    }
}

fn declared(agent: &Agent, missing: &mut Vec<String>) {
    let p = &agent.profile;
    let texts = [
        ("purpose", &p.purpose, "what it is for"),
        (
            "business_process",
            &p.business_process,
            "the business process it serves",
        ),
        ("model", &p.model, "the model it runs"),
        ("provider", &p.provider, "who provides the model"),
        ("runtime", &p.runtime, "what it runs on"),
    ];
    missing.extend(
        texts
            .iter()
            .filter(|(_, text, _)| text.trim().is_empty())
            .map(|(field, _, what)| format!("{field}: say {what}")),
    );
    if p.systems.is_empty() {
        missing.push("systems: name the systems it may reach".to_owned());
    }
    if p.next_review.is_none() && p.review_cadence_days == 0 {
        missing.push("next_review: set it, or a review_cadence_days of at least 1".to_owned());
    }
}

fn accountable(registry: &Registry, agent: &Agent, missing: &mut Vec<String>) {
    let p = &agent.profile;
    for (field, person) in [("owner", &p.owner), ("sponsor", &p.sponsor)] {
        if !registry.people.get(person).is_some_and(|p| p.is_active()) {
            missing.push(format!("{field}: name a person who is still here"));
        }
    }
    for (field, team, what) in [
        ("responsible_team", &p.responsible_team, "its own team"),
        ("platform_team", &p.platform_team, "the team that runs it"),
    ] {
        if !team
            .as_ref()
            .is_some_and(|t| registry.teams.contains_key(t))
        {
            missing.push(format!("{field}: name {what}"));
        }
    }
}

fn access(registry: &Registry, agent: &Agent, now: Timestamp, missing: &mut Vec<String>) {
    let workflows: Vec<_> = registry
        .workflows_of(&agent.id)
        .into_iter()
        .filter(|w| w.enabled)
        .collect();
    let live: BTreeSet<_> = workflows
        .iter()
        .flat_map(|w| w.grants.iter())
        .filter(|g| g.expires.is_none_or(|end| now < end))
        .map(|g| &g.tool)
        .collect();
    if live.is_empty() {
        missing.push("workflow: add one with at least one grant that has not expired".to_owned());
    }
    for tool in live {
        match registry.tools.get(tool).map(|t| t.state) {
            Some(ToolState::Enabled) => {}
            Some(state) => missing.push(format!(
                "tool {tool}: is {}; an administrator has to classify or approve it",
                state.as_str()
            )),
            None => missing.push(format!("tool {tool}: is not known; sync its upstream")),
        }
    }
}

impl Control {
    /// Whether an agent may be activated, and what is missing.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found`.
    pub fn completeness(&self, caller: &Caller, name: &Name) -> Result<Completeness, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let agent = registry
            .agent_named(name.as_str())
            .ok_or_else(|| not_found("agent", name))?;
        Ok(Completeness::of(&registry, agent, self.books.now()))
    }
}
