//! Everything derived from a target: pure, over the registry as it is at that moment.

use std::collections::BTreeSet;

use remit_domain::approval::Approval;
use remit_domain::containment::Target;
use remit_domain::credential::{Svid, Token};
use remit_domain::{AgentId, DelegationId, Registry, RunId};

/// What hangs on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// The target itself.
    pub(super) target: Target,
    /// Whose it is, where it is one agent's.
    pub(super) agent: Option<AgentId>,
    /// Runs that have not ended, with every run below them.
    pub(super) runs: BTreeSet<RunId>,
    /// Keys by thumbprint that were not removed.
    pub(super) keys: BTreeSet<String>,
    /// Delegations that were not revoked, with every one below them.
    pub(super) delegations: BTreeSet<DelegationId>,
}

impl Scope {
    /// What hangs on `target`, which belongs to `agent`.
    pub(super) fn of(registry: &Registry, target: &Target, agent: Option<&AgentId>) -> Self {
        let runs = registry.runs.values();
        let runs = runs.filter(|run| target.holds(&registry.lineage_of_run(run)));
        let links = registry.delegations.values();
        let links = links.filter(|link| target.holds(&registry.lineage_of_delegation(link)));
        let keys = registry.keys.values().filter(|key| key.removed.is_none());
        let keys = keys.filter(|key| target.holds(&registry.lineage_of_key(key)));
        Self {
            target: target.clone(),
            agent: agent.cloned(),
            runs: runs.map(|run| run.id.clone()).collect(),
            keys: keys.map(|key| key.thumbprint.clone()).collect(),
            delegations: links.map(|link| link.id.clone()).collect(),
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

    /// Whether a token is contained with the target.
    pub(super) fn holds_token(&self, registry: &Registry, token: &Token) -> bool {
        self.runs.contains(&token.run) || self.target.holds(&registry.lineage_of_token(token))
    }

    /// Whether an SVID is contained with the target.
    pub(super) fn holds_svid(&self, registry: &Registry, svid: &Svid) -> bool {
        self.target.holds(&registry.lineage_of_svid(svid))
    }

    /// Whether an approval is contained with the target.
    pub(super) fn holds_approval(&self, registry: &Registry, approval: &Approval) -> bool {
        self.runs.contains(&approval.run)
            || self.target.holds(&registry.lineage_of_approval(approval))
    }

    /// Every agent of which something hangs on the target.
    pub(super) fn agents(&self, registry: &Registry) -> BTreeSet<AgentId> {
        let runs = self.runs.iter().filter_map(|id| registry.runs.get(id));
        let keys = self.keys.iter().filter_map(|id| registry.keys.get(id));
        let of = runs.map(|run| &run.agent).chain(keys.map(|key| &key.agent));
        self.agent.iter().chain(of).cloned().collect()
    }
}
