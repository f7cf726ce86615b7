//! The books: the one way to read and change the state of Remit.
//!
//! Every change of state is committed together with the ledger entries that tell of it, sealed here, and taken into the
//! in-memory registry before the call returns. Services go through [`Books`]; nothing else writes.
//!
//! Knows ports, engines and nouns; no adapter, no service, no wire.

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

mod change;
pub mod entitled;
mod error;
pub mod facts;
pub mod hop;
pub mod in_flight;
mod keys;
mod known;
pub mod labels;
mod lease;
mod ledger;
mod lent;
mod open;
mod org;
mod policies;
mod read;
mod run;
mod sealed;
mod secret;
mod secrets;
mod svid;
#[cfg(test)]
mod tests;
mod token;
mod tree;
mod uses;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use remit_domain::name::Name;
use remit_domain::{OrgId, Timestamp};
use remit_ledger::DataKey;
use remit_ports::{Clock, Entropy, Store, Vault};
use secrecy::SecretString;

pub use change::Change;
pub use error::BooksError;
pub use hop::{Hop, HopAnswer, HopRefused};
pub use known::{KnownSecrets, Named};
pub use ledger::OpenedEntry;
pub use org::OrgBook;
pub use policies::ShadowEngine;
pub use read::Versioned;
pub use run::{Ended, Ending, NewRun, is_started_by};
pub use secrets::VaultSecrets;

/// Id of the operator's own organization: it has a ledger and no agents.
pub const OPERATOR_ORG: &str = "org_00000000000000000000000000";

/// What the books are made of.
pub struct Parts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Keys at rest.
    pub vault: Arc<dyn Vault>,
    /// Origin of the ledgers (c2sp.org/tlog-checkpoint): a host and path without scheme, such as `remit.acme.example/log`.
    pub origin: String,
    /// Name of this node, in open calls.
    pub node: String,
}

/// The books. Cheap to clone.
#[derive(Clone)]
pub struct Books {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    orgs: RwLock<HashMap<OrgId, Arc<OrgBook>>>,
    data_keys: moka::sync::Cache<(OrgId, String), Arc<DataKey>>,
    /// Values of secrets that were opened. A version never changes, and whether it may be used is asked elsewhere.
    secrets: moka::sync::Cache<(OrgId, Name, u32), SecretString>,
    known: known::AllKnown,
    in_flight: in_flight::InFlight,
    uses: uses::Uses,
    changes:
        tokio::sync::Mutex<Option<tokio::sync::broadcast::Receiver<remit_ports::store::Changed>>>,
}

impl Books {
    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }

    /// The clocks.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.parts.clock
    }

    /// Randomness.
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.inner.parts.entropy
    }

    /// The store, for what needs no entry: reading, and the point of effect.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.parts.store
    }

    /// Keys at rest.
    pub fn vault(&self) -> &Arc<dyn Vault> {
        &self.inner.parts.vault
    }

    /// Calls in flight on this node.
    pub fn in_flight(&self) -> &in_flight::InFlight {
        &self.inner.in_flight
    }

    /// Name of this node.
    pub fn node(&self) -> &str {
        &self.inner.parts.node
    }

    /// A new id: `books.id(AgentId::from_uuid)`.
    pub fn id<T>(&self, make: impl FnOnce(uuid::Uuid) -> T) -> T {
        make(self.inner.parts.entropy.uuid(self.now()))
    }

    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0u8; N];
        self.inner.parts.entropy.fill(&mut bytes);
        bytes
    }

    /// The organization of that id.
    pub fn org(&self, id: &OrgId) -> Option<Arc<OrgBook>> {
        self.read_orgs().get(id).cloned()
    }

    /// The organization of that name.
    pub fn org_named(&self, name: &str) -> Option<Arc<OrgBook>> {
        self.read_orgs()
            .values()
            .find(|o| {
                o.registry()
                    .organization
                    .as_ref()
                    .is_some_and(|o| o.name.as_str() == name)
            })
            .cloned()
    }

    /// Every organization, the operator's included, ordered by id.
    pub fn orgs(&self) -> Vec<Arc<OrgBook>> {
        let mut all: Vec<_> = self.read_orgs().values().cloned().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    fn read_orgs(&self) -> std::sync::RwLockReadGuard<'_, HashMap<OrgId, Arc<OrgBook>>> {
        self.inner
            .orgs
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
