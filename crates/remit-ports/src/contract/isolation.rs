//! Nothing of one organization is seen, moved or blocked by another.

use std::sync::Arc;

use remit_domain::{Kind, OrgId};

use super::data::{
    admit, calls, commit, everything, named, once, org, outcome, raise, reserve, used,
};
use crate::Store;
use crate::store::{Admit, Blob, Commit, EntryFilter, Expect, Filter, Outcome, Page};

pub(super) async fn all(store: &Arc<dyn Store>) {
    let store = store.as_ref();
    another_organization_sees_nothing(store).await;
    another_organization_is_not_in_the_way(store).await;
    an_outcome_closes_no_call_of_another_organization(store).await;
}

/// Writes one of everything; returns the admitted call.
async fn fill(store: &dyn Store, org: &OrgId) -> Admit {
    let blobs = vec![Blob {
        hash: "12".repeat(32),
        body: vec![3],
    }];
    let puts = vec![named(Kind::Agent, "a", "alpha", Expect::Absent)];
    store
        .commit(Commit {
            puts,
            blobs,
            ..once(org, "code")
        })
        .await
        .unwrap();
    let call = Admit {
        raise: vec![("scope".to_owned(), "pii".to_owned())],
        reserve: vec![reserve("n", 5, 5)],
        ..admit(org)
    };
    store.admit(call.clone()).await.unwrap();
    store.commit(raise(org)).await.unwrap();
    call
}

async fn another_organization_sees_nothing(store: &dyn Store) {
    let (ours, theirs) = (org(), org());
    let call = fill(store, &ours).await;
    assert_eq!(store.get(&theirs, Kind::Agent, "a").await.unwrap(), None);
    assert_eq!(
        store.find(&theirs, Kind::Agent, "alpha").await.unwrap(),
        None
    );
    assert_eq!(
        store
            .list(&theirs, Kind::Agent, &Filter::default())
            .await
            .unwrap(),
        Page::default()
    );
    assert_eq!(store.blob(&theirs, &"12".repeat(32)).await.unwrap(), None);
    assert_eq!(store.labels(&theirs, "scope").await.unwrap().version(), 0);
    assert_eq!(used(store, &theirs, "n").await, 0);
    assert_eq!(calls(store, &theirs).await, 0);
    assert_eq!(store.epoch(&theirs).await.unwrap(), 0);
    assert_eq!(store.entry_count(&theirs).await.unwrap(), 0);
    // With a ledger of its own, asked for exactly what the other one has.
    store.commit(commit(&theirs, Vec::new())).await.unwrap();
    for filter in [
        EntryFilter {
            agent: Some(call.agent),
            ..everything()
        },
        EntryFilter {
            run: Some(call.run),
            ..everything()
        },
        EntryFilter {
            decision: Some(call.decision),
            ..everything()
        },
        EntryFilter {
            from: 1,
            ..everything()
        },
    ] {
        assert_eq!(
            store.entries(&theirs, &filter).await.unwrap(),
            [],
            "{filter:?}"
        );
    }
    assert_eq!(
        store.entries(&theirs, &everything()).await.unwrap().len(),
        1
    );
}

async fn another_organization_is_not_in_the_way(store: &dyn Store) {
    let (ours, theirs) = (org(), org());
    fill(store, &ours).await;
    fill(store, &theirs).await;
    assert_eq!(store.entry_count(&theirs).await.unwrap(), 3);
    assert_eq!(store.epoch(&theirs).await.unwrap(), 1);
}

async fn an_outcome_closes_no_call_of_another_organization(store: &dyn Store) {
    let (ours, theirs) = (org(), org());
    let call = Admit {
        reserve: vec![reserve("n", 5, 5)],
        ..admit(&ours)
    };
    store.admit(call.clone()).await.unwrap();
    let release = vec![("n".to_owned(), 5)];
    store
        .outcome(Outcome {
            org: theirs.clone(),
            release,
            ..outcome(&call)
        })
        .unwrap();
    store.flush().await.unwrap();
    assert_eq!(
        (calls(store, &ours).await, used(store, &ours, "n").await),
        (1, 5)
    );
    assert_eq!(store.entry_count(&ours).await.unwrap(), 1);
}
