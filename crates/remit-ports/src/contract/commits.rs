//! Commits: single-use keys, epochs, content, changes, shredding.

use std::sync::Arc;
use std::time::Duration;

use remit_domain::Kind;
use remit_domain::event::EventKind;
use serde_json::Value;

use super::data::{commit, entry, once, org, put, raise, whole_ledger};
use crate::Store;
use crate::store::{Blob, Changed, Commit, Expect, StoreError};

pub(super) async fn all(store: &Arc<dyn Store>) {
    let store = store.as_ref();
    a_single_use_key_is_good_once(store).await;
    a_refused_commit_uses_no_key(store).await;
    an_epoch_only_rises(store).await;
    what_was_decided_at_another_epoch_is_not_written(store).await;
    content_is_kept_by_its_hash(store).await;
    changes_are_told(store).await;
    shredding_empties_the_key_and_keeps_the_ledger(store).await;
    an_empty_commit_is_harmless(store).await;
}

async fn a_single_use_key_is_good_once(store: &dyn Store) {
    let org = org();
    store.commit(once(&org, "assertion:c:1")).await.unwrap();
    let replay = store.commit(once(&org, "assertion:c:1")).await;
    assert_eq!(
        replay,
        Err(StoreError::Replayed {
            key: "assertion:c:1".to_owned()
        })
    );
    store.commit(once(&org, "assertion:c:2")).await.unwrap();
    let mut twice = once(&org, "code:1");
    twice.once.push(twice.once[0].clone());
    assert_eq!(
        store.commit(twice).await,
        Err(StoreError::Replayed {
            key: "code:1".to_owned()
        })
    );
    assert_eq!(whole_ledger(store, &org).await.len(), 2);
}

async fn a_refused_commit_uses_no_key(store: &dyn Store) {
    let org = org();
    let refused = Commit {
        puts: vec![put(Kind::Agent, "a", Expect::Revision(9))],
        ..once(&org, "code")
    };
    assert!(store.commit(refused).await.is_err());
    store
        .commit(once(&org, "code"))
        .await
        .expect("a refused commit used the key");
}

async fn an_epoch_only_rises(store: &dyn Store) {
    let org = org();
    assert_eq!(store.epoch(&org).await.unwrap(), 0);
    assert_eq!(store.commit(raise(&org)).await.unwrap().epoch, 1);
    assert_eq!(store.epoch(&org).await.unwrap(), 1);
    assert_eq!(
        store.commit(commit(&org, Vec::new())).await.unwrap().epoch,
        1
    );
    let refused = Commit {
        puts: vec![put(Kind::Agent, "a", Expect::Revision(9))],
        ..raise(&org)
    };
    assert!(store.commit(refused).await.is_err());
    assert_eq!(
        store.epoch(&org).await.unwrap(),
        1,
        "a refused commit raised the epoch"
    );
    assert_eq!(store.commit(raise(&org)).await.unwrap().epoch, 2);
    assert_eq!(store.epoch(&org).await.unwrap(), 2);
}

async fn what_was_decided_at_another_epoch_is_not_written(store: &dyn Store) {
    let org = org();
    let decided = |at_epoch| Commit {
        at_epoch: Some(at_epoch),
        puts: vec![put(Kind::Agent, "decided", Expect::Absent)],
        ..once(&org, "decided")
    };
    store.commit(raise(&org)).await.unwrap();
    for other in [0, 2] {
        let refused = store.commit(decided(other)).await;
        assert_eq!(refused, Err(StoreError::EpochMoved(1)));
    }
    assert_eq!(whole_ledger(store, &org).await.len(), 1);
    let committed = store.commit(decided(1)).await;
    committed.expect("a refused commit wrote its record, or used its key");
}

async fn content_is_kept_by_its_hash(store: &dyn Store) {
    let org = org();
    let blob = Blob {
        hash: "ab".repeat(32),
        body: vec![0, 255, 10, 13],
    };
    for _ in 0..2 {
        let again = Commit {
            blobs: vec![blob.clone(), blob.clone()],
            ..commit(&org, Vec::new())
        };
        store.commit(again).await.unwrap();
    }
    assert_eq!(
        store.blob(&org, &blob.hash).await.unwrap(),
        Some(blob.body.clone())
    );
    assert_eq!(store.blob(&org, "none").await.unwrap(), None);
    let other = Blob {
        body: vec![1],
        ..blob.clone()
    };
    store
        .commit(Commit {
            blobs: vec![other],
            ..commit(&org, Vec::new())
        })
        .await
        .unwrap();
    assert_eq!(
        store.blob(&org, &blob.hash).await.unwrap(),
        Some(blob.body),
        "content was replaced under its hash"
    );
}

async fn changes_are_told(store: &dyn Store) {
    let org = org();
    let mut changes = store.changes();
    let refused = commit(&org, vec![put(Kind::Agent, "x", Expect::Revision(9))]);
    assert!(store.commit(refused).await.is_err());
    store
        .commit(commit(
            &org,
            vec![
                put(Kind::Agent, "a", Expect::Absent),
                put(Kind::Tool, "t", Expect::Absent),
            ],
        ))
        .await
        .unwrap();
    store.commit(raise(&org)).await.unwrap();
    let keys = vec![(Kind::Agent, "a".to_owned()), (Kind::Tool, "t".to_owned())];
    for expected in [
        Changed {
            org: org.clone(),
            epoch: 0,
            keys,
        },
        Changed {
            org: org.clone(),
            epoch: 1,
            keys: Vec::new(),
        },
    ] {
        let next = async {
            loop {
                let changed = changes.recv().await.unwrap();
                if changed.org == org {
                    break changed;
                }
            }
        };
        let changed = tokio::time::timeout(Duration::from_secs(5), next)
            .await
            .expect("no change was told");
        assert_eq!(changed, expected);
    }
}

async fn shredding_empties_the_key_and_keeps_the_ledger(store: &dyn Store) {
    let org = org();
    let shredding = || Commit {
        entries: vec![entry(EventKind::ContentShredded)],
        ..commit(&org, Vec::new())
    };
    assert!(
        matches!(
            store.shred(&org, "run_1", shredding()).await,
            Err(StoreError::Conflict { .. })
        ),
        "there is no such key"
    );
    store
        .commit(commit(
            &org,
            vec![
                put(Kind::ShredKey, "run_1", Expect::Absent),
                put(Kind::ShredKey, "run_2", Expect::Absent),
            ],
        ))
        .await
        .unwrap();
    let done = store.shred(&org, "run_1", shredding()).await.unwrap();
    assert_eq!(done.first_index, 1);
    let key = store
        .get(&org, Kind::ShredKey, "run_1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((key.revision, key.body), (2, Value::Null));
    assert!(
        store
            .get(&org, Kind::ShredKey, "run_2")
            .await
            .unwrap()
            .unwrap()
            .body
            .is_object()
    );
    let ledger = whole_ledger(store, &org).await;
    assert_eq!(
        (ledger.len(), ledger[1].kind),
        (2, EventKind::ContentShredded)
    );
    let again = put(Kind::ShredKey, "run_1", Expect::Absent);
    assert!(
        store.commit(commit(&org, vec![again])).await.is_err(),
        "a shredded key was made anew"
    );
    let other = super::data::org();
    assert!(
        store.shred(&other, "run_2", shredding()).await.is_err(),
        "one organization shredded with another's commit"
    );
    assert!(
        store
            .get(&org, Kind::ShredKey, "run_2")
            .await
            .unwrap()
            .unwrap()
            .body
            .is_object()
    );
}

async fn an_empty_commit_is_harmless(store: &dyn Store) {
    let org = org();
    let empty = Commit {
        entries: Vec::new(),
        ..commit(&org, Vec::new())
    };
    let done = store.commit(empty).await.unwrap();
    assert_eq!((done.revisions, done.epoch), (Vec::new(), 0));
    assert_eq!(store.entry_count(&org).await.unwrap(), 0);
    assert_eq!(
        store
            .commit(commit(&org, Vec::new()))
            .await
            .unwrap()
            .first_index,
        0
    );
}
