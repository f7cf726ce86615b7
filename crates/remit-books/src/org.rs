//! One organization, in memory: its registry, its policies, its containment epoch.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwapOption;
use remit_domain::bundle::Stage;
use remit_domain::exception::Exception;
use remit_domain::policy_set::PolicySet;
use remit_domain::{Kind, Noun, OrgId, Registry, Timestamp, Tool};
use remit_policy::Engine;
use remit_ports::store::{Committed, Put};
use serde::Deserialize;
use tokio::sync::{Mutex, watch};

use crate::BooksError;
use crate::policies::{Engines, Policies, ShadowEngine, Tools, compiles};
use crate::tree::LogState;

/// One organization, in memory.
pub struct OrgBook {
    /// Its id.
    pub id: OrgId,
    registry: RwLock<Registry>,
    policies: RwLock<Policies>,
    engine: ArcSwapOption<Engine>,
    shadow: ArcSwapOption<ShadowEngine>,
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
            shadow: ArcSwapOption::empty(),
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
        policies.sets.values().map(|(_, set)| set.clone()).collect()
    }

    /// The policy set of that name, with its revision.
    pub fn policy_set(&self, name: &str) -> Option<(u64, PolicySet)> {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        policies.sets.get(name).cloned()
    }

    /// The bundle in the shadow, which decides beside the live one; none where there is none.
    pub fn shadow(&self) -> Option<Arc<ShadowEngine>> {
        self.shadow.load_full()
    }

    /// Which bundle is live and which in the shadow, with the record's revision; none before the first change.
    pub fn stage(&self) -> Option<(u64, Stage)> {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        policies.stage.clone()
    }

    /// Exceptions from policies, whatever has become of them, by id.
    pub fn exceptions(&self) -> Vec<(u64, Exception)> {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        policies.exceptions.values().cloned().collect()
    }

    /// Whether the policies would compile after a change of tools or policy sets; sets that are switched off in it count,
    /// so that switching one on is not what finds its mistakes.
    ///
    /// # Errors
    /// `Policy` with the place of each problem; nothing is changed either way.
    pub fn would_compile(&self, change: &crate::Change) -> Result<(), BooksError> {
        let mut puts: Vec<Put> = change.puts.clone();
        puts.retain(|p| compiles(p.kind));
        if puts.is_empty() {
            return Ok(());
        }
        for put in puts.iter_mut().filter(|p| p.kind == Kind::PolicySet) {
            if let Some(enabled) = put.body.get_mut("enabled") {
                *enabled = true.into();
            }
        }
        let beginning = Timestamp::from_micros(0);
        self.engine_after(&puts, beginning).map(|_| ())
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

    pub(crate) fn set_engines(&self, engines: Engines) {
        self.shadow.store(engines.shadow.map(Arc::new));
        self.engine.store(Some(Arc::new(engines.live)));
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
        engines: Option<Engines>,
        raised: bool,
    ) -> Result<bool, BooksError> {
        for (put, revision) in puts.iter().zip(&committed.revisions) {
            self.apply(put.kind, &put.key, *revision, &put.body)?;
        }
        if let Some(engines) = engines {
            self.set_engines(engines);
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
        if compiles(kind) {
            let mut policies = self
                .policies
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            policies.take(kind, key, revision, body)?;
        }
        Ok(())
    }

    /// Keys of the records that may have left the registry since it was read: runs, delegations, containments and findings.
    pub(crate) fn passing(&self) -> Vec<(Kind, String)> {
        let registry = self.registry();
        let runs = registry.runs.keys().map(|k| (Kind::Run, k.to_string()));
        let delegations = registry.delegations.keys();
        let delegations = delegations.map(|k| (Kind::Delegation, k.to_string()));
        let containments = registry.containments.keys();
        let containments = containments.map(|k| (Kind::Containment, k.to_string()));
        let findings = registry.findings.values().flat_map(|about| about.keys());
        let findings = findings.map(|k| (Kind::Finding, k.to_string()));
        runs.chain(delegations)
            .chain(containments)
            .chain(findings)
            .collect()
    }

    fn tools(&self) -> Tools {
        let registry = self.registry();
        let tools = registry.tools.values();
        tools.map(|t| (t.key(), Arc::clone(t))).collect()
    }

    /// The engines as they would be after these writes.
    pub(crate) fn engine_after(&self, puts: &[Put], now: Timestamp) -> Result<Engines, BooksError> {
        let mut tools = self.tools();
        let mut policies = self
            .policies
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for put in puts {
            if put.kind == Kind::Tool {
                let tool = Tool::deserialize(&put.body)?;
                tools.insert(tool.key(), Arc::new(tool));
            } else {
                policies.take(put.kind, &put.key, u64::MAX, &put.body)?;
            }
        }
        policies.compile(&tools, now)
    }

    /// Compiles the engines anew from what is here.
    pub(crate) fn compile(&self, now: Timestamp) -> Result<(), BooksError> {
        let policies = self
            .policies
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.set_engines(policies.compile(&self.tools(), now)?);
        Ok(())
    }
}
