//! Where processes and sessions are kept: one place per (organization, upstream, run), never shared between
//! organizations, emptied when the run ends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use remit_domain::upstream::UpstreamName;
use remit_domain::{OrgId, RunId};
use remit_ports::upstreams::{UpstreamError, UpstreamRequest};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::{ENDED_HOLD, ENDED_MAX};

/// Who shares what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Every run of the organization: the upstream is stateless and no secret was lent.
    Shared,
    /// What administrators do outside a run.
    Admin,
    /// One run.
    Run(RunId),
}

/// What a process or session belongs to, within one organization.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) upstream: UpstreamName,
    pub(crate) scope: Scope,
}

impl Key {
    /// - `secret`: a secret is put into the process or session; it is then never shared between runs, since their
    ///   agents and people may differ.
    pub(crate) fn of(request: &UpstreamRequest, secret: bool) -> Self {
        let scope = match &request.run {
            _ if request.upstream.stateless && !secret => Scope::Shared,
            Some(run) => Scope::Run(run.clone()),
            None => Scope::Admin,
        };
        Self {
            upstream: request.upstream.name.clone(),
            scope,
        }
    }
}

/// What can be kept in a slot.
pub(crate) trait Held {
    /// Whether it is of no use any more.
    fn is_over(&self) -> bool;
}

/// One process that was started for a slot.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// What it is, for a containment certificate.
    pub(crate) label: String,
    /// Fires when it has ended.
    pub(crate) ended: CancellationToken,
}

/// A place for one process or session. Whoever starts it holds `held`, so that it is started once.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    pub(crate) key: Key,
    /// Fires when the run ends.
    pub(crate) stop: CancellationToken,
    pub(crate) held: tokio::sync::Mutex<Option<Arc<T>>>,
    live: Mutex<Vec<Live>>,
}

impl<T> Slot<T> {
    fn new(key: Key) -> Self {
        Self {
            key,
            stop: CancellationToken::new(),
            held: tokio::sync::Mutex::new(None),
            live: Mutex::default(),
        }
    }

    /// Remembers a started process until it has ended.
    pub(crate) fn started(&self, process: Live) {
        let mut live = lock(&self.live);
        live.retain(|process| !process.ended.is_cancelled());
        live.push(process);
    }

    fn running(&self) -> Vec<Live> {
        lock(&self.live)
            .iter()
            .filter(|process| !process.ended.is_cancelled())
            .cloned()
            .collect()
    }
}

impl<T: Held> Slot<T> {
    /// Nobody uses it and nothing of use is in it.
    fn is_vacant(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
            && self
                .held
                .try_lock()
                .is_ok_and(|held| held.as_ref().is_none_or(|held| held.is_over()))
            && self.running().is_empty()
    }
}

/// A slot that was emptied, with the processes that ran in it.
#[derive(Debug)]
pub(crate) struct Emptied<T> {
    pub(crate) slot: Arc<Slot<T>>,
    pub(crate) running: Vec<Live>,
}

/// All slots of all organizations.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    inner: Mutex<Inner<T>>,
    per_org: usize,
    what: &'static str,
}

#[derive(Debug)]
struct Inner<T> {
    orgs: HashMap<OrgId, HashMap<Key, Arc<Slot<T>>>>,
    ended: VecDeque<(Instant, OrgId, RunId)>,
}

/// Below this many slots of an organization nothing is swept.
const SWEPT_FROM: usize = 16;

impl<T: Held> Slots<T> {
    /// - `per_org`: most slots of one organization.
    /// - `what`: what is kept, for errors.
    pub(crate) fn new(per_org: usize, what: &'static str) -> Self {
        let inner = Inner {
            orgs: HashMap::new(),
            ended: VecDeque::new(),
        };
        Self {
            inner: Mutex::new(inner),
            per_org,
            what,
        }
    }

    /// The slot of `key`, made if there is room.
    ///
    /// # Errors
    /// `Unreachable` when the run has just ended or the organization's limit is reached.
    pub(crate) fn slot(&self, org: &OrgId, key: Key) -> Result<Arc<Slot<T>>, UpstreamError> {
        let mut inner = lock(&self.inner);
        if let Some(slot) = inner.orgs.get(org).and_then(|slots| slots.get(&key)) {
            return Ok(Arc::clone(slot));
        }
        if let Scope::Run(run) = &key.scope
            && inner.has_ended(org, run)
        {
            return Err(UpstreamError::Unreachable(
                "the run has ended, nothing was sent".to_owned(),
            ));
        }
        let slots = inner.orgs.entry(org.clone()).or_default();
        if slots.len() >= self.per_org.min(SWEPT_FROM) {
            slots.retain(|_, slot| !slot.is_vacant());
        }
        if slots.len() >= self.per_org {
            return Err(UpstreamError::Unreachable(format!(
                "the organization already has {} {}, end runs that are done",
                self.per_org, self.what
            )));
        }
        let slot = Arc::new(Slot::new(key.clone()));
        slots.insert(key, Arc::clone(&slot));
        Ok(slot)
    }

    /// Takes out every slot of a run and tells what runs in them to stop.
    pub(crate) fn end_run(&self, org: &OrgId, run: &RunId) -> Vec<Emptied<T>> {
        let mut inner = lock(&self.inner);
        inner.remember_end(org, run);
        let Some(slots) = inner.orgs.get_mut(org) else {
            return Vec::new();
        };
        let of_run =
            |key: &Key, _: &mut Arc<Slot<T>>| matches!(&key.scope, Scope::Run(of) if of == run);
        let taken: Vec<_> = slots
            .extract_if(of_run)
            .map(|(_, slot)| empty(slot))
            .collect();
        if slots.is_empty() {
            inner.orgs.remove(org);
        }
        taken
    }

    /// Takes out everything.
    pub(crate) fn end_all(&self) -> Vec<Emptied<T>> {
        let orgs = std::mem::take(&mut lock(&self.inner).orgs);
        orgs.into_values()
            .flat_map(HashMap::into_values)
            .map(empty)
            .collect()
    }
}

fn empty<T>(slot: Arc<Slot<T>>) -> Emptied<T> {
    let running = slot.running();
    slot.stop.cancel();
    Emptied { slot, running }
}

impl<T> Inner<T> {
    fn has_ended(&self, org: &OrgId, run: &RunId) -> bool {
        self.ended
            .iter()
            .any(|(at, of, ended)| at.elapsed() < ENDED_HOLD && of == org && ended == run)
    }

    fn remember_end(&mut self, org: &OrgId, run: &RunId) {
        while self.ended.len() >= ENDED_MAX
            || self
                .ended
                .front()
                .is_some_and(|(at, ..)| at.elapsed() >= ENDED_HOLD)
        {
            self.ended.pop_front();
        }
        self.ended
            .push_back((Instant::now(), org.clone(), run.clone()));
    }
}

/// The data behind these locks is whole after every step, so a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Thing(bool);

    impl Held for Thing {
        fn is_over(&self) -> bool {
            self.0
        }
    }

    fn org(n: u128) -> OrgId {
        OrgId::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn run(n: u128) -> RunId {
        RunId::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn key(scope: Scope) -> Key {
        Key {
            upstream: "itsm".parse().unwrap(),
            scope,
        }
    }

    #[tokio::test]
    async fn nothing_is_shared_between_organizations_or_runs() {
        let slots = Slots::<Thing>::new(8, "things");
        let a = slots.slot(&org(1), key(Scope::Shared)).unwrap();
        let b = slots.slot(&org(2), key(Scope::Shared)).unwrap();
        assert!(!Arc::ptr_eq(&a, &b));
        let first = slots.slot(&org(1), key(Scope::Run(run(1)))).unwrap();
        let second = slots.slot(&org(1), key(Scope::Run(run(2)))).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(
            &first,
            &slots.slot(&org(1), key(Scope::Run(run(1)))).unwrap()
        ));
    }

    #[tokio::test]
    async fn the_limit_counts_what_is_in_use() {
        let slots = Slots::<Thing>::new(2, "things");
        let first = slots.slot(&org(1), key(Scope::Run(run(1)))).unwrap();
        *first.held.lock().await = Some(Arc::new(Thing(false)));
        let second = slots.slot(&org(1), key(Scope::Run(run(2)))).unwrap();
        assert!(slots.slot(&org(1), key(Scope::Run(run(3)))).is_err());
        assert!(slots.slot(&org(2), key(Scope::Run(run(3)))).is_ok());
        *second.held.lock().await = Some(Arc::new(Thing(true)));
        drop(second);
        assert!(slots.slot(&org(1), key(Scope::Run(run(3)))).is_ok());
    }

    #[tokio::test]
    async fn an_ended_run_is_stopped_and_cannot_start_again_at_once() {
        let slots = Slots::<Thing>::new(8, "things");
        let mine = slots.slot(&org(1), key(Scope::Run(run(1)))).unwrap();
        let other = slots.slot(&org(2), key(Scope::Run(run(1)))).unwrap();
        let ended = slots.end_run(&org(1), &run(1));
        assert_eq!(ended.len(), 1);
        assert!(mine.stop.is_cancelled());
        assert!(!other.stop.is_cancelled());
        assert!(slots.slot(&org(1), key(Scope::Run(run(1)))).is_err());
        assert!(slots.slot(&org(1), key(Scope::Shared)).is_ok());
    }
}
