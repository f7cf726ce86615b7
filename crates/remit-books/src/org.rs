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
    policies: RwLock<std::collections::BTreeMap<String, PolicySet>>,
    engine: ArcSwapOption<Engine>,
    epoch: watch::Sender<u64>,
    pub(crate) log: Mutex<Option<LogState>>,
    /// Held while a change of tools or policies is compiled and committed.
    pub(crate) compiling: Mutex<()>,
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
        self.policies
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
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

    pub(crate) fn set_engine(&self, engine: Engine) {
        self.engine.store(Some(Arc::new(engine)));
    }

    pub(crate) fn drop_engine(&self) {
        self.engine.store(None);
    }

    /// Takes what was committed: records first, then the engine made of them, and the epoch last, so that whoever reads the
    /// new epoch decides by what raised it.
    pub(crate) fn take(
        &self,
        puts: &[Put],
        committed: &Committed,
        engine: Option<Engine>,
    ) -> Result<(), BooksError> {
        {
            let mut registry = self
                .registry
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            for (put, revision) in puts.iter().zip(&committed.revisions) {
                registry.apply(put.kind, &put.key, *revision, &put.body)?;
                self.take_policy(put.kind, &put.body)?;
            }
            registry.epoch = registry.epoch.max(committed.epoch);
        }
        if let Some(engine) = engine {
            self.set_engine(engine);
        }
        self.raise_to(committed.epoch);
        Ok(())
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
        self.take_policy(kind, body)
    }

    fn take_policy(&self, kind: Kind, body: &serde_json::Value) -> Result<(), BooksError> {
        if kind == Kind::PolicySet {
            let set = PolicySet::deserialize(body)?;
            self.policies
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(set.key(), set);
        }
        Ok(())
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
            .clone();
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
            .clone();
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
