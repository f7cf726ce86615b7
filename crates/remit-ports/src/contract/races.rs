//! Many at once: exactly one wins, nothing overshoots, no index is missing, and nothing slips past containment.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use remit_domain::event::EventKind;
use remit_domain::{DecisionId, Kind};

use super::data::{
    admit, calls, commit, named, once, org, outcome, put, raise, reserve, used, whole_ledger,
};
use crate::Store;
use crate::store::{Admit, AdmitError, Expect, Reserve, StoreError};

pub(super) async fn all(store: &Arc<dyn Store>) {
    one_single_use_key_has_one_winner(store).await;
    one_approval_has_one_winner(store).await;
    one_name_has_one_winner(store).await;
    a_limit_is_never_overshot(store).await;
    a_window_is_never_overshot(store).await;
    no_more_are_under_way_than_may_be(store).await;
    indexes_have_no_gap(store).await;
    a_refused_one_takes_no_other_with_it(store).await;
    nothing_slips_past_containment(store).await;
}

/// Runs `task` for each number at once, and returns what each gave.
async fn together<T, F, O>(count: u32, task: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(u32) -> O,
    O: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|n| tokio::spawn(task(n))).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

async fn one_single_use_key_has_one_winner(store: &Arc<dyn Store>) {
    let org = org();
    let results = together(50, |_| {
        let (store, commit) = (Arc::clone(store), once(&org, "assertion:c:1"));
        async move { store.commit(commit).await }
    })
    .await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Ok(_) | Err(StoreError::Replayed { .. })))
    );
    assert_eq!(whole_ledger(store.as_ref(), &org).await.len(), 1);
}

async fn one_approval_has_one_winner(store: &Arc<dyn Store>) {
    let org = org();
    store
        .commit(commit(
            &org,
            vec![put(Kind::Approval, "apr", Expect::Absent)],
        ))
        .await
        .unwrap();
    let results = together(50, |_| {
        let puts = vec![put(Kind::Approval, "apr", Expect::Revision(1))];
        let (store, admit) = (
            Arc::clone(store),
            Admit {
                puts,
                ..admit(&org)
            },
        );
        async move { store.admit(admit).await }
    })
    .await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert!(results.iter().all(|r| matches!(
        r,
        Ok(_) | Err(AdmitError::Store(StoreError::Conflict { .. }))
    )));
    assert_eq!(
        (
            calls(store.as_ref(), &org).await,
            whole_ledger(store.as_ref(), &org).await.len()
        ),
        (1, 2)
    );
}

async fn one_name_has_one_winner(store: &Arc<dyn Store>) {
    let org = org();
    let results = together(20, |n| {
        let (store, commit) = (
            Arc::clone(store),
            commit(
                &org,
                vec![named(Kind::Agent, &n.to_string(), "same", Expect::Absent)],
            ),
        );
        async move { store.commit(commit).await }
    })
    .await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Ok(_) | Err(StoreError::NameTaken { .. })))
    );
}

async fn a_limit_is_never_overshot(store: &Arc<dyn Store>) {
    let org = org();
    let results = together(200, |_| {
        let (store, admit) = (
            Arc::clone(store),
            Admit {
                reserve: vec![reserve("spend", 3, 100)],
                ..admit(&org)
            },
        );
        async move { store.admit(admit).await }
    })
    .await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 33);
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Ok(_) | Err(AdmitError::LimitExceeded { .. })))
    );
    assert_eq!(used(store.as_ref(), &org, "spend").await, 99);
    assert_eq!(
        (
            calls(store.as_ref(), &org).await,
            whole_ledger(store.as_ref(), &org).await.len()
        ),
        (33, 33)
    );
}

/// Half of the calls take from one slot of the window and half from the next.
async fn a_window_is_never_overshot(store: &Arc<dyn Store>) {
    let org = org();
    let results = together(200, |n| {
        let (slot, other) = if n % 2 == 0 {
            ("r#1", "r#2")
        } else {
            ("r#2", "r#1")
        };
        let taken = Reserve {
            also: vec![other.to_owned()],
            ..reserve(slot, 1, 50)
        };
        let (store, admit) = (
            Arc::clone(store),
            Admit {
                reserve: vec![taken],
                ..admit(&org)
            },
        );
        async move { store.admit(admit).await }
    })
    .await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 50);
    let sum = used(store.as_ref(), &org, "r#1").await + used(store.as_ref(), &org, "r#2").await;
    assert_eq!(sum, 50);
}

async fn no_more_are_under_way_than_may_be(store: &Arc<dyn Store>) {
    let org = org();
    let results = together(120, |_| {
        let place = Reserve {
            held: true,
            ..reserve("place", 1, 4)
        };
        let (store, org) = (Arc::clone(store), org.clone());
        let call = Admit {
            reserve: vec![place],
            ..admit(&org)
        };
        async move {
            let admitted = store.admit(call.clone()).await;
            let under_way = store.open_calls(&org, 1_000).await.unwrap().len();
            if admitted.is_ok() {
                store.outcome(outcome(&call)).unwrap();
            }
            (admitted.is_ok(), under_way)
        }
    })
    .await;
    assert!(results.iter().filter(|(ok, _)| *ok).count() >= 4);
    assert!(
        results.iter().all(|(_, under_way)| *under_way <= 4),
        "more calls were under way than may be"
    );
    store.flush().await.unwrap();
    assert_eq!(used(store.as_ref(), &org, "place").await, 0);
}

async fn indexes_have_no_gap(store: &Arc<dyn Store>) {
    let org = org();
    let results = together(100, |n| {
        let (store, org) = (Arc::clone(store), org.clone());
        async move {
            let (admit, refused) = (
                admit(&org),
                commit(&org, vec![put(Kind::Run, "r", Expect::Revision(9))]),
            );
            let commit = commit(
                &org,
                vec![put(Kind::Run, &format!("run {n}"), Expect::Absent)],
            );
            let index = store.admit(admit.clone()).await.unwrap().index;
            store.outcome(outcome(&admit)).unwrap();
            assert!(store.commit(refused).await.is_err());
            (
                admit,
                index,
                store.commit(commit).await.unwrap().first_index,
            )
        }
    })
    .await;
    store.flush().await.unwrap();
    let ledger = whole_ledger(store.as_ref(), &org).await;
    assert_eq!(ledger.len(), 300);
    for (admit, index, committed) in results {
        let at = |index: u64| &ledger[usize::try_from(index).unwrap()];
        assert_eq!(
            at(index).decision.as_ref(),
            Some(&admit.decision),
            "an index was told that is another's"
        );
        assert_eq!(at(committed).kind, EventKind::AgentChanged);
    }
    let mut first = BTreeMap::<DecisionId, EventKind>::new();
    for entry in ledger.iter().filter(|e| e.decision.is_some()) {
        first
            .entry(entry.decision.clone().unwrap())
            .or_insert(entry.kind);
    }
    assert!(
        first.values().all(|kind| *kind == EventKind::CallDecided),
        "an outcome stands before its decision"
    );
    assert_eq!(calls(store.as_ref(), &org).await, 0);
}

/// Requests that share a transaction do not share their fate.
async fn a_refused_one_takes_no_other_with_it(store: &Arc<dyn Store>) {
    let org = org();
    let results = together(60, |n| {
        let (key, twin) = (
            format!("k{n}"),
            put(Kind::Tool, &format!("k{n}"), Expect::Absent),
        );
        let puts = if n % 3 == 0 {
            vec![twin.clone(), twin]
        } else {
            vec![put(Kind::Tool, &key, Expect::Absent)]
        };
        let (store, commit) = (Arc::clone(store), commit(&org, puts));
        async move { (n, store.commit(commit).await) }
    })
    .await;
    for (n, result) in results {
        assert_eq!(result.is_ok(), n % 3 != 0, "{n}: {result:?}");
        let written = store.get(&org, Kind::Tool, &format!("k{n}")).await.unwrap();
        assert_eq!(written.is_some(), n % 3 != 0, "{n}");
    }
    assert_eq!(whole_ledger(store.as_ref(), &org).await.len(), 40);
}

/// Every admission either stands before the containment in the ledger, and was in flight when the epoch had risen, or was
/// decided at the new epoch.
async fn nothing_slips_past_containment(store: &Arc<dyn Store>) {
    let org = org();
    let results = together(120, |n| {
        let (store, org) = (Arc::clone(store), org.clone());
        async move {
            if n == 60 {
                let contained = store.commit(raise(&org)).await.unwrap();
                let seen = store.open_calls(&org, 10_000).await.unwrap();
                return (contained.first_index, 0, seen);
            }
            let decided = admit(&org);
            match store.admit(decided.clone()).await {
                Ok(done) => (done.index, 0, Vec::new()),
                Err(AdmitError::EpochMoved(epoch)) => {
                    let again = Admit { epoch, ..decided };
                    (store.admit(again).await.unwrap().index, epoch, Vec::new())
                }
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await;
    let (contained, _, seen) = &results[60];
    let ledger = whole_ledger(store.as_ref(), &org).await;
    assert_eq!(
        ledger[usize::try_from(*contained).unwrap()].kind,
        EventKind::Contained
    );
    for (n, (index, epoch, _)) in results.iter().enumerate().filter(|(n, _)| *n != 60) {
        assert_eq!(
            *epoch == 0,
            index < contained,
            "call {n} was decided at epoch {epoch} and stands at {index}"
        );
        if index < contained {
            assert!(
                seen.iter().any(|call| call.index == *index),
                "call {n} was in flight and not seen"
            );
        }
    }
}
