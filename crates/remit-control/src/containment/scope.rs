//! Everything derived from a target: pure, over the registry as it is at that moment.

use std::collections::BTreeSet;

use remit_domain::containment::Target;
use remit_domain::credential::{Svid, Token};
use remit_domain::{AgentId, DelegationId, Registry, Run, RunId};

use crate::delegation::with_below;

/// What hangs on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// The target itself.
    pub(super) target: Target,
    /// Whose it is.
    pub(super) agent: AgentId,
    /// Runs that have not ended, with every run below them.
    pub(super) runs: BTreeSet<RunId>,
    /// Keys by thumbprint that were not removed.
    pub(super) keys: BTreeSet<String>,
    /// Delegations to and from it that were not revoked, with every one below them.
    pub(super) delegations: BTreeSet<DelegationId>,
}

impl Scope {
    /// What hangs on `target`, which belongs to `agent`.
    pub(super) fn of(registry: &Registry, target: &Target, agent: &AgentId) -> Self {
        let delegations = delegations(registry, target, agent);
        let runs = runs(registry, target, agent, &delegations);
        let keys = registry
            .keys
            .values()
            .filter(|k| k.agent == *agent && k.removed.is_none())
            .map(|k| &k.thumbprint);
        let keys = match target {
            Target::Agent(_) => keys.cloned().collect(),
            Target::Credential(id) => keys.filter(|k| *k == id).cloned().collect(),
            Target::Workflow(_) | Target::Run(_) => BTreeSet::new(),
        };
        Self {
            target: target.clone(),
            agent: agent.clone(),
            runs,
            keys,
            delegations,
        }
    }

    /// Whether the target is one credential: what was made with it is contained, not everything of its runs.
    pub(super) fn credential(&self) -> Option<&str> {
        if let Target::Credential(id) = &self.target {
            Some(id)
        } else {
            None
        }
    }

    /// Whether a token of one of these runs, or of this agent, is contained with the target.
    pub(super) fn holds_token(&self, token: &Token) -> bool {
        match self.credential() {
            Some(id) => {
                let names = [Some(&token.thumbprint), token.certificate.as_ref()];
                token.agent == self.agent
                    && (token.id.as_str() == id || names.into_iter().flatten().any(|n| n == id))
            }
            None => self.runs.contains(&token.run),
        }
    }

    /// Whether an SVID is contained with the target.
    pub(super) fn holds_svid(&self, svid: &Svid) -> bool {
        let target = match &self.target {
            Target::Agent(id) => svid.agent == *id,
            Target::Workflow(id) => svid.workflow == *id,
            Target::Run(_) => false,
            // It, or what it was asked for with.
            Target::Credential(id) => {
                svid.id.as_str() == id
                    || svid.thumbprint.as_ref() == Some(id)
                    || svid.bound_to.as_ref() == Some(id)
                    || svid
                        .token
                        .as_ref()
                        .is_some_and(|token| token.as_str() == id)
            }
        };
        target || svid.run.as_ref().is_some_and(|run| self.runs.contains(run))
    }
}

fn delegations(registry: &Registry, target: &Target, agent: &AgentId) -> BTreeSet<DelegationId> {
    let first = registry.delegations.values().filter(|d| match target {
        Target::Agent(id) => d.to == *id || d.from.agent() == Some(id),
        Target::Workflow(id) => d.workflow == *id && d.to == *agent,
        Target::Run(id) => d.run.as_ref() == Some(id),
        Target::Credential(_) => false,
    });
    first.flat_map(|d| with_below(registry, &d.id)).collect()
}

fn runs(
    registry: &Registry,
    target: &Target,
    agent: &AgentId,
    delegations: &BTreeSet<DelegationId>,
) -> BTreeSet<RunId> {
    let picked = |run: &Run| {
        let own = match target {
            Target::Agent(id) => run.agent == *id,
            Target::Workflow(id) => run.workflow == *id,
            Target::Run(id) => run.id == *id,
            // An implicit run belongs to the key that opened it.
            Target::Credential(id) => run.agent == *agent && remit_books::is_started_by(run, id),
        };
        own || run.chain.iter().any(|link| delegations.contains(link))
    };
    let mut found: Vec<RunId> = registry
        .runs
        .values()
        .filter(|r| picked(r))
        .map(|r| r.id.clone())
        .collect();
    let mut all: BTreeSet<RunId> = found.iter().cloned().collect();
    while let Some(parent) = found.pop() {
        for child in registry
            .runs
            .values()
            .filter(|r| r.parent.as_ref() == Some(&parent))
        {
            if all.insert(child.id.clone()) {
                found.push(child.id.clone());
            }
        }
    }
    all
}
