//! One organization, in memory: its registry, its policies, its containment epoch.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwapOption;
use remit_domain::policy_set::PolicySet;
use remit_domain::{Kind, Noun, OrgId, Registry, Tool};
use remit_policy::{Engine, PolicySource};
use remit_ports::store::{Committed, Put};
use serde::Deserialize;
use tokio::sync::{Mutex, watch};

use crate::BooksError;
use crate::tree::LogState;

/// One organization, in memory.
pub struct OrgBook {
    /// Its id.
    pub id: OrgId,
    registry: RwLock<Registry>,
    /// Policy sets by name, with the revision each was read at.
    policies: RwLock<std::collections::BTreeMap<String, (u64, PolicySet)>>,
    engine: ArcSwapOption<Engine>,
    epoch: watch::Sender<u64>,
    pub(crate) log: Mutex<Option<LogState>>,
    /// Held while a change of tools or policies is compiled and committed.
    pub(crate) compiling: Mutex<()>,
    /// Held while a change that raises the epoch is committed and taken in: they arrive in the order of their epochs.
    pub(crate) restricting: Mutex<()>,
}

impl OrgBook {
    pub(crate) fn new(id: OrgId) -> Self {
        Self {
            id,
            registry: RwLock::default(),
            policies: RwLock::default(),
            engine: ArcSwapOption::empty(),
            epoch: watch::Sender::new(0),
            log: Mutex::new(None),
            compiling: Mutex::new(()),
            restricting: Mutex::new(()),
        }
    }

    /// The registry as it is now. Hold it briefly: take what is needed and let go before waiting for anything.
    pub fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The policies in force; none while they do not compile, and then everything is denied.
    pub fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.load_full()
    }

    /// The organization's policy sets, by name.
    pub fn policy_sets(&self) -> Vec<PolicySet> {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        policies.values().map(|(_, set)| set.clone()).collect()
    }

    /// The containment epoch as this node knows it.
    pub fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }

    /// Tells when the containment epoch moves.
    pub fn watch_epoch(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    pub(crate) fn raise_to(&self, epoch: u64) {
        self.epoch.send_if_modified(|now| {
            let moved = epoch > *now;
            *now = epoch.max(*now);
            moved
        });
    }

    /// Whether content of this scope bounds something that still counts.
    pub(crate) fn counts(&self, scope: &str) -> bool {
        let registry = self.registry();
        registry.runs.keys().any(|run| run.as_str() == scope)
            || registry.delegations.values().any(|d| {
                d.run.as_ref().is_some_and(|run| run.as_str() == scope)
                    || (d.run.is_none() && d.person.as_str() == scope)
            })
    }

    pub(crate) fn set_engine(&self, engine: Engine) {
        self.engine.store(Some(Arc::new(engine)));
    }

    pub(crate) fn drop_engine(&self) {
        self.engine.store(None);
    }

    /// Takes what was committed: records first, then the engine made of them, and the epoch last, so that whoever reads the
    /// new epoch decides by what raised it.
    ///
    /// The epoch moves by one step of this commit's own and no further: a commit that raised nothing, or one that finds
    /// steps of other nodes before its own, must not carry this node past a change it has not taken in. Returns whether
    /// there are such steps, and everything has to be read again.
    pub(crate) fn take(
        &self,
        puts: &[Put],
        committed: &Committed,
        engine: Option<Engine>,
        raised: bool,
    ) -> Result<bool, BooksError> {
        for (put, revision) in puts.iter().zip(&committed.revisions) {
            self.apply(put.kind, &put.key, *revision, &put.body)?;
        }
        if let Some(engine) = engine {
            self.set_engine(engine);
        }
        let gap = raised && committed.epoch != self.epoch().saturating_add(1);
        if raised && !gap {
            self.raise_to(committed.epoch);
        }
        Ok(gap)
    }

    pub(crate) fn apply(
        &self,
        kind: Kind,
        key: &str,
        revision: u64,
        body: &serde_json::Value,
    ) -> Result<(), BooksError> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(kind, key, revision, body)?;
        if kind == Kind::PolicySet {
            let set = PolicySet::deserialize(body)?;
            let mut policies = self
                .policies
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if policies.get(key).is_none_or(|(seen, _)| *seen < revision) {
                policies.insert(key.to_owned(), (revision, set));
            }
        }
        Ok(())
    }

    /// Keys of the records that may have left the registry since it was read: runs, delegations and containments.
    pub(crate) fn passing(&self) -> Vec<(Kind, String)> {
        let registry = self.registry();
        let runs = registry.runs.keys().map(|k| (Kind::Run, k.to_string()));
        let delegations = registry.delegations.keys();
        let delegations = delegations.map(|k| (Kind::Delegation, k.to_string()));
        let containments = registry.containments.keys();
        let containments = containments.map(|k| (Kind::Containment, k.to_string()));
        runs.chain(delegations).chain(containments).collect()
    }

    /// The engine as it would be after these writes.
    pub(crate) fn engine_after(&self, puts: &[Put]) -> Result<Engine, BooksError> {
        let mut tools: std::collections::BTreeMap<String, Arc<Tool>> = self
            .registry()
            .tools
            .values()
            .map(|t| (t.key(), Arc::clone(t)))
            .collect();
        let mut sets = self
            .policies
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(name, (_, set))| (name.clone(), set.clone()))
            .collect::<std::collections::BTreeMap<_, _>>();
        for put in puts {
            match put.kind {
                Kind::Tool => {
                    let tool = Tool::deserialize(&put.body)?;
                    tools.insert(tool.key(), Arc::new(tool));
                }
                Kind::PolicySet => {
                    let set = PolicySet::deserialize(&put.body)?;
                    sets.insert(set.key(), set);
                }
                _ => {}
            }
        }
        compile(&tools, &sets)
    }

    /// Compiles the engine anew from what is here.
    pub(crate) fn compile(&self) -> Result<(), BooksError> {
        let tools = self
            .registry()
            .tools
            .values()
            .map(|t| (t.key(), Arc::clone(t)))
            .collect();
        let sets = self
            .policies
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(name, (_, set))| (name.clone(), set.clone()))
            .collect::<std::collections::BTreeMap<_, _>>();
        self.set_engine(compile(&tools, &sets)?);
        Ok(())
    }
}

fn compile(
    tools: &std::collections::BTreeMap<String, Arc<Tool>>,
    sets: &std::collections::BTreeMap<String, PolicySet>,
) -> Result<Engine, BooksError> {
    let tools: Vec<&Tool> = tools.values().map(Arc::as_ref).collect();
    let sets: Vec<PolicySource<'_>> = sets
        .values()
        .filter(|s| s.enabled)
        .map(|s| PolicySource {
            name: s.name.as_str(),
            text: &s.text,
        })
        .collect();
    Ok(Engine::compile(&tools, &sets)?)
}
