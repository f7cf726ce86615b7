//! A store in memory. It passes the same contract as the real ones, forgets everything at the end, and fails on demand.

mod org;
mod port;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use remit_domain::OrgId;
use remit_ports::store::{Changed, Outcome, StoreError};
use tokio::sync::broadcast;

use org::Org;

/// The data, shared by a store and whatever reopens it.
#[derive(Default)]
struct Data {
    orgs: BTreeMap<OrgId, Org>,
    /// Outcomes that are held back.
    held: Vec<Outcome>,
}

/// A store in memory.
///
/// Outcomes are written at once unless they are held. [`Self::fail_writes`], [`Self::hold_outcomes`], [`Self::crash`] and
/// [`Self::set_fresh`] show what a service does when the real thing misbehaves.
pub struct FakeStore {
    data: Arc<Mutex<Data>>,
    changes: broadcast::Sender<Changed>,
    failing: AtomicBool,
    holding: AtomicBool,
    stale: AtomicBool,
    alone: AtomicBool,
    closed: AtomicBool,
}

impl Default for FakeStore {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeStore {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::over(Arc::default())
    }

    /// Whether it says that no other node writes to it, as SQLite does.
    pub fn be_alone(&self, alone: bool) {
        self.alone.store(alone, Ordering::SeqCst);
    }

    fn over(data: Arc<Mutex<Data>>) -> Self {
        Self {
            data,
            changes: broadcast::Sender::new(4_096),
            failing: AtomicBool::new(false),
            holding: AtomicBool::new(false),
            stale: AtomicBool::new(false),
            alone: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Another store over the same data, as after a restart.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self::over(Arc::clone(&self.data))
    }

    /// From now on every write fails as with a full disk, or no write does any more.
    pub fn fail_writes(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// From now on outcomes stay queued until the next flush, or are written at once again.
    pub fn hold_outcomes(&self, holding: bool) {
        self.holding.store(holding, Ordering::SeqCst);
    }

    /// What a crash leaves: queued outcomes are gone, and what was acknowledged is in the store that this returns.
    #[must_use]
    pub fn crash(&self) -> Self {
        self.closed.store(true, Ordering::SeqCst);
        self.lock().held.clear();
        self.reopen()
    }

    /// Whether changes of other nodes are said to arrive.
    pub fn set_fresh(&self, fresh: bool) {
        self.stale.store(!fresh, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readable(&self) -> Result<MutexGuard<'_, Data>, StoreError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        Ok(self.lock())
    }

    /// Reads an organization; one that was never written is empty.
    fn read<T>(&self, org: &OrgId, read: impl FnOnce(&Org) -> T) -> Result<T, StoreError> {
        let data = self.readable()?;
        Ok(read(data.orgs.get(org).unwrap_or(&Org::default())))
    }

    /// Changes an organization: all of it, or nothing when `write` fails.
    fn write<T, E: From<StoreError>>(
        &self,
        org: &OrgId,
        write: impl FnOnce(&mut Org) -> Result<(T, Option<Changed>), E>,
    ) -> Result<T, E> {
        let mut data = self.readable()?;
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable(
                "the disk is full; free some disk space".to_owned(),
            )
            .into());
        }
        let mut after = data.orgs.get(org).cloned().unwrap_or_default();
        let (result, changed) = write(&mut after)?;
        data.orgs.insert(org.clone(), after);
        if let Some(changed) = changed {
            // No receiver is fine.
            let _none = self.changes.send(changed);
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remit_ports::{Store, contract};

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        contract::suite(async || Arc::new(FakeStore::new()) as Arc<dyn Store>).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract_of_reopening() {
        let first = FakeStore::new();
        contract::reopen_suite(async || Arc::new(first.reopen()) as Arc<dyn Store>).await;
    }
}
