//! What people see of secrets: never a value, but who could use it.

use std::collections::{BTreeMap, BTreeSet};

use remit_domain::name::Name;
use remit_domain::secret::{Secret, SecretVersion};
use remit_domain::signal::Source;
use remit_domain::upstream::UpstreamName;
use remit_domain::{Kind, Registry, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::names;

/// One version of a secret, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SecretVersionView {
    /// Its number.
    pub version: u32,
    /// Whether it is the one that is used.
    pub current: bool,
    /// Who set it, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Who can use a secret: never by seeing it, but by what is done with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BlastRadius {
    /// Upstreams that get it.
    pub upstreams: BTreeSet<UpstreamName>,
    /// Transmitters of signals that are asked with it.
    pub transmitters: BTreeSet<Name>,
    /// Workflows with a grant for a tool of those, as `agent/workflow`.
    pub workflows: BTreeSet<String>,
    /// Their agents.
    pub agents: BTreeSet<Name>,
}

/// A secret, as people see it: without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SecretView {
    /// Its name.
    pub name: Name,
    /// `active`, `disabled` or `deleted`.
    pub state: &'static str,
    /// Whether it is a canary: it opens nothing, and where it shows up is a finding.
    pub canary: bool,
    /// What it is for.
    pub description: String,
    /// The version that is used.
    pub version: u32,
    /// Versions that are kept, oldest first.
    pub versions: Vec<SecretVersionView>,
    /// When it was last given to an upstream, to the hour; none when it never was.
    pub last_used: Option<Timestamp>,
    /// Who can use it.
    pub blast_radius: BlastRadius,
    /// Why it is as it is.
    pub reason: String,
    /// Who changed it last, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

/// What became of the vault's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VaultKeyView {
    /// Number of the key that seals from now on; the one before it is destroyed.
    pub number: u32,
}

/// Which upstreams name which secret, and who may use those.
pub(super) struct Reach {
    pub(super) upstreams: BTreeMap<Name, BTreeSet<UpstreamName>>,
    pub(super) transmitters: BTreeMap<Name, BTreeSet<Name>>,
    workflows: BTreeMap<UpstreamName, BTreeSet<(Name, Name)>>,
}

impl Reach {
    pub(super) fn of(registry: &Registry, now: Timestamp) -> Self {
        let mut upstreams: BTreeMap<Name, BTreeSet<UpstreamName>> = BTreeMap::new();
        for upstream in registry.upstreams.values() {
            let all = upstream.secret.iter().flat_map(|s| s.references());
            for name in all.filter_map(|reference| reference.vault()) {
                let of = upstreams.entry(name.clone()).or_default();
                of.insert(upstream.name.clone());
            }
        }
        let mut transmitters: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
        let living = registry.signal_transmitters.values();
        for transmitter in living.filter(|t| t.revoked.is_none()) {
            if let Source::Poll { secret, .. } = &transmitter.source
                && let Some(name) = secret.vault()
            {
                let of = transmitters.entry(name.clone()).or_default();
                of.insert(transmitter.name.clone());
            }
        }
        let mut workflows: BTreeMap<UpstreamName, BTreeSet<(Name, Name)>> = BTreeMap::new();
        for workflow in registry.workflows.values() {
            let Some(agent) = registry.agents.get(&workflow.agent) else {
                continue;
            };
            for grant in &workflow.grants {
                if grant.expires.is_none_or(|end| now < end) {
                    let of = workflows.entry(grant.tool.upstream().clone()).or_default();
                    of.insert((agent.name.clone(), workflow.name.clone()));
                }
            }
        }
        Self {
            upstreams,
            transmitters,
            workflows,
        }
    }

    fn radius(&self, name: &Name) -> BlastRadius {
        let upstreams = self.upstreams.get(name).cloned().unwrap_or_default();
        let users = upstreams.iter().filter_map(|u| self.workflows.get(u));
        let users: BTreeSet<_> = users.flatten().collect();
        BlastRadius {
            workflows: users.iter().map(|(a, w)| format!("{a}/{w}")).collect(),
            agents: users.iter().map(|(agent, _)| agent.clone()).collect(),
            transmitters: self.transmitters.get(name).cloned().unwrap_or_default(),
            upstreams,
        }
    }
}

pub(super) fn view(registry: &Registry, reach: &Reach, secret: &Secret) -> SecretView {
    let version = |kept: &SecretVersion| SecretVersionView {
        version: kept.version,
        current: kept.version == secret.current,
        by: names::principal(registry, &kept.by),
        at: kept.at,
        reason: kept.reason.clone(),
    };
    SecretView {
        name: secret.name.clone(),
        state: secret.state.as_str(),
        canary: secret.canary,
        description: secret.description.clone(),
        version: secret.current,
        versions: secret.versions.iter().map(version).collect(),
        last_used: registry.uses.get(&secret.use_key()).map(|u| u.last),
        blast_radius: reach.radius(&secret.name),
        reason: secret.reason.clone(),
        by: names::principal(registry, &secret.by),
        at: secret.at,
        revision: registry
            .revision(Kind::Secret, secret.name.as_str())
            .unwrap_or(0),
    }
}
