//! What was acknowledged is there after the store was closed and opened again.

use std::future::Future;
use std::sync::Arc;

use remit_domain::event::EventKind;
use remit_domain::{Kind, OrgId};

use super::data::{
    admit, calls, commit, entry, named, once, org, outcome, raise, reserve, used, whole_ledger,
};
use crate::Store;
use crate::store::{Admit, AdmitError, Commit, Expect, StoreError, StoredEntry, TreeAppend};

pub(super) async fn all<F, O>(open: &F)
where
    F: Fn() -> O,
    O: Future<Output = Arc<dyn Store>>,
{
    acknowledged_means_durable(open).await;
    a_closed_store_refuses(open).await;
}

async fn acknowledged_means_durable<F, O>(open: &F)
where
    F: Fn() -> O,
    O: Future<Output = Arc<dyn Store>>,
{
    let store = open().await;
    let written = write(store.as_ref()).await;
    store.close().await;
    let store = open().await;
    written.is_there(store.as_ref()).await;
    store.close().await;
}

/// What was acknowledged before closing.
struct Written {
    org: OrgId,
    ledger: Vec<StoredEntry>,
    open: Admit,
}

async fn write(store: &dyn Store) -> Written {
    let org = org();
    let puts = vec![named(Kind::Agent, "a", "alpha", Expect::Absent)];
    store
        .commit(Commit {
            puts,
            ..once(&org, "code")
        })
        .await
        .unwrap();
    let ended = admit(&org);
    let open = Admit {
        reserve: vec![reserve("n", 2, 5)],
        ..admit(&org)
    };
    store.admit(ended.clone()).await.unwrap();
    store.admit(open.clone()).await.unwrap();
    store.commit(raise(&org)).await.unwrap();
    let hashes = vec![[7; 32]];
    let checkpoint = "note".to_owned();
    let append = TreeAppend {
        old_size: 0,
        new_size: 1,
        hashes,
        checkpoint,
    };
    store.append_tree(&org, append).await.unwrap();
    let ledger = whole_ledger(store, &org).await;
    // Queued, not awaited: closing writes it.
    store.outcome(outcome(&ended)).unwrap();
    Written { org, ledger, open }
}

impl Written {
    async fn is_there(&self, store: &dyn Store) {
        let org = &self.org;
        let ledger = whole_ledger(store, org).await;
        assert_eq!(ledger[..self.ledger.len()], self.ledger);
        let queued = ledger.len() - self.ledger.len();
        assert_eq!(queued, 1, "what was queued at closing was not written");
        let agent = store.find(org, Kind::Agent, "alpha").await.unwrap();
        assert_eq!(agent.unwrap().revision, 1);
        let replayed = StoreError::Replayed {
            key: "code".to_owned(),
        };
        assert_eq!(store.commit(once(org, "code")).await, Err(replayed));
        assert_eq!(store.epoch(org).await.unwrap(), 1);
        let stale = store.admit(admit(org)).await;
        assert_eq!(stale, Err(AdmitError::EpochMoved(1)));
        assert_eq!(used(store, org, "n").await, 2);
        let open = store.open_calls(org, 10).await.unwrap();
        assert_eq!((open.len(), &open[0].decision), (1, &self.open.decision));
        let checkpoint = store.checkpoint(org).await.unwrap();
        assert_eq!(checkpoint, Some((1, "note".to_owned())));
        let gap = Commit {
            entries: vec![entry(EventKind::CallGap)],
            ..commit(org, Vec::new())
        };
        let next = store.commit(gap).await.unwrap().first_index;
        assert_eq!(next, u64::try_from(ledger.len()).unwrap());
        store.outcome(outcome(&self.open)).unwrap();
        store.flush().await.unwrap();
        assert_eq!(calls(store, org).await, 0);
    }
}

async fn a_closed_store_refuses<F, O>(open: &F)
where
    F: Fn() -> O,
    O: Future<Output = Arc<dyn Store>>,
{
    let org = org();
    let store = open().await;
    let call = admit(&org);
    store.admit(call.clone()).await.unwrap();
    store.close().await;
    let unavailable = |error: &StoreError| matches!(error, StoreError::Unavailable(_));
    assert!(unavailable(
        &store.commit(commit(&org, Vec::new())).await.unwrap_err()
    ));
    assert!(
        matches!(store.admit(admit(&org)).await, Err(AdmitError::Store(error)) if unavailable(&error))
    );
    assert!(unavailable(
        &store.get(&org, Kind::Agent, "a").await.unwrap_err()
    ));
    assert!(unavailable(&store.outcome(outcome(&call)).unwrap_err()));
    assert!(unavailable(&store.ping().await.unwrap_err()));
    assert!(!store.is_fresh(), "a closed store answers for nothing");
    store.close().await;
}
