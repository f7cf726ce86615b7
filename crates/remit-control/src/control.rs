//! Control itself, and what its methods share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use remit_books::{Books, BooksError, Change, OrgBook};
use remit_domain::event::{Event, EventKind};
use remit_domain::name::Name;
use remit_domain::{OrgId, RefusalCode};
use remit_ports::store::{Committed, StoreError};
use remit_ports::{Leases, NoLeases, NoProver, Prover, Secrets, Upstreams};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Action, Caller, ControlError, refuse};

/// How often a change that lost a race is made anew.
const TRIES: u32 = 5;

/// Control. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    pub(crate) books: Books,
    pub(crate) upstreams: Arc<dyn Upstreams>,
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) counter: Arc<crate::activity::Counter>,
    pub(crate) prover: Arc<dyn Prover>,
    pub(crate) proving: Arc<crate::bundle::Proving>,
    /// When the credentials of each organization were last looked at.
    pub(crate) looked: Arc<Mutex<HashMap<OrgId, Duration>>>,
    pub(crate) probes: Arc<Vec<crate::doctor::Probe>>,
}

/// What a write came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Saved<V> {
    /// Whether it was new, changed, or as it was.
    pub action: Action,
    /// How it is now.
    pub view: V,
}

/// What a write of one record needs to know of the one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing.
    Absent,
    /// A record at this revision.
    At(u64),
}

impl Control {
    /// Control over these books, reaching servers through `upstreams` with secrets from `secrets`.
    pub fn new(books: Books, upstreams: Arc<dyn Upstreams>, secrets: Arc<dyn Secrets>) -> Self {
        Self {
            books,
            upstreams,
            secrets,
            leases: Arc::new(NoLeases),
            counter: Arc::default(),
            prover: Arc::new(NoProver),
            proving: Arc::default(),
            looked: Arc::default(),
            probes: Arc::default(),
        }
    }

    /// With a prover: without one, claims about policies are left unproved, and said to be.
    #[must_use]
    pub fn with_prover(mut self, prover: Arc<dyn Prover>) -> Self {
        self.prover = prover;
        self
    }

    /// With somebody who gets tokens of upstreams' own authorization servers: without, there are none.
    #[must_use]
    pub fn with_leases(mut self, leases: Arc<dyn Leases>) -> Self {
        self.leases = leases;
        self
    }

    /// The same, whose doctor looks at this too.
    #[must_use]
    pub fn with_probe(mut self, probe: crate::doctor::Probe) -> Self {
        Arc::make_mut(&mut self.probes).push(probe);
        self
    }

    /// The books it writes to.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The organization's book.
    pub(crate) fn book(&self, org: &OrgId) -> Result<Arc<OrgBook>, ControlError> {
        self.books
            .org(org)
            .ok_or_else(|| refuse(RefusalCode::NotFound, "no such organization is here"))
    }

    /// The organization's name.
    pub(crate) fn org_name(&self, org: &OrgId) -> Result<Name, ControlError> {
        let book = self.book(org)?;
        let registry = book.registry();
        let organization = registry.organization.as_ref();
        organization
            .map(|o| o.name.clone())
            .ok_or_else(|| refuse(RefusalCode::NotFound, "no such organization is here"))
    }

    /// An event by the caller, now.
    pub(crate) fn event(&self, caller: &Caller, kind: EventKind) -> Event {
        Event::new(kind, self.books.now(), caller.principal.clone())
    }

    /// Plans a change and commits it, anew while it loses races.
    ///
    /// A closure that returns a future, rather than an async closure: only so can the whole be proved to move between threads.
    pub(crate) async fn settle<T, F>(
        &self,
        org: &OrgId,
        plan: impl Fn() -> F,
    ) -> Result<(T, Committed), ControlError>
    where
        F: Future<Output = Result<(T, Change), ControlError>>,
    {
        let mut tries = 0;
        loop {
            let (value, change) = plan().await?;
            match self.books.commit(org, change).await {
                Ok(committed) => return Ok((value, committed)),
                Err(BooksError::Store(StoreError::Conflict { .. })) if tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Before {
    /// What is there, held against what the caller has seen (`If-Match`).
    pub(crate) fn of(revision: Option<u64>, seen: Option<u64>) -> Result<Self, ControlError> {
        match (revision, seen) {
            (None, None) => Ok(Self::Absent),
            (None, Some(_)) => Err(refuse(
                RefusalCode::Conflict,
                "it is not here, so it has no revision; leave If-Match out",
            )),
            (Some(is), Some(seen)) if is != seen => {
                let text = format!(
                    "it is at revision {is}, not {seen}: it has changed meanwhile; read it again and repeat"
                );
                Err(refuse(RefusalCode::Conflict, text))
            }
            (Some(is), _) => Ok(Self::At(is)),
        }
    }

    /// A change that writes `noun` over it.
    pub(crate) fn put<N: remit_domain::Noun>(self, noun: &N) -> Change {
        match self {
            Self::Absent => Change::new().create(noun),
            Self::At(revision) => Change::new().update(noun, revision),
        }
    }
}
