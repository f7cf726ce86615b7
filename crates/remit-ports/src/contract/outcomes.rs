//! Outcomes: recorded whatever else has changed, and only once given back.

use std::sync::Arc;
use std::time::Duration;

use remit_domain::Kind;
use remit_domain::event::EventKind;

use super::data::{
    admit, at, calls, commit, org, outcome, put, raise, reserve, used, whole_ledger,
};
use crate::Store;
use crate::store::{Admit, Expect, Outcome, Reserve};

pub(super) async fn all(store: &Arc<dyn Store>) {
    let store = store.as_ref();
    an_outcome_closes_its_call(store).await;
    an_outcome_goes_by_itself(store).await;
    amounts_are_given_back_once(store).await;
    what_is_held_is_given_back_by_whoever_closes(store).await;
    an_outcome_is_recorded_after_containment(store).await;
    a_conflicting_record_is_left_and_the_entry_stays(store).await;
    outcomes_raise_labels(store).await;
    outcomes_keep_their_order(store).await;
}

async fn an_outcome_closes_its_call(store: &dyn Store) {
    let org = org();
    let call = admit(&org);
    store.admit(call.clone()).await.unwrap();
    store.outcome(outcome(&call)).unwrap();
    store.flush().await.unwrap();
    assert_eq!(calls(store, &org).await, 0);
    let ledger = whole_ledger(store, &org).await;
    assert_eq!(
        ledger.iter().map(|e| e.kind).collect::<Vec<_>>(),
        [EventKind::CallDecided, EventKind::CallCompleted]
    );
    assert_eq!(ledger[1].decision, Some(call.decision));
    store.flush().await.expect("nothing is queued");
}

/// Without a flush and without another write.
async fn an_outcome_goes_by_itself(store: &dyn Store) {
    let org = org();
    let call = admit(&org);
    store.admit(call.clone()).await.unwrap();
    let mut changes = store.changes();
    store
        .outcome(Outcome {
            puts: vec![put(Kind::Finding, "f", Expect::Any)],
            ..outcome(&call)
        })
        .unwrap();
    let told = async { while changes.recv().await.unwrap().org != org {} };
    tokio::time::timeout(Duration::from_secs(5), told)
        .await
        .expect("the outcome was not written");
    assert_eq!(calls(store, &org).await, 0);
}

async fn amounts_are_given_back_once(store: &dyn Store) {
    let org = org();
    let call = Admit {
        reserve: vec![reserve("n", 5, 10)],
        ..admit(&org)
    };
    let other = Admit {
        reserve: vec![reserve("n", 4, 10), reserve("m", 1, 10)],
        ..admit(&org)
    };
    store.admit(call.clone()).await.unwrap();
    store.admit(other.clone()).await.unwrap();
    for _ in 0..2 {
        store
            .outcome(Outcome {
                release: vec![("n".to_owned(), 5)],
                ..outcome(&call)
            })
            .unwrap();
        store.flush().await.unwrap();
        assert_eq!(
            used(store, &org, "n").await,
            4,
            "a second report gave back again"
        );
    }
    let more = vec![
        ("n".to_owned(), 100),
        ("m".to_owned(), -5),
        ("none".to_owned(), 1),
    ];
    store
        .outcome(Outcome {
            release: more,
            ..outcome(&other)
        })
        .unwrap();
    store.flush().await.unwrap();
    assert_eq!(used(store, &org, "n").await, 0, "not below nothing");
    assert_eq!(
        used(store, &org, "m").await,
        1,
        "a negative amount took something"
    );
    assert_eq!(
        whole_ledger(store, &org).await.len(),
        5,
        "each report is recorded"
    );
}

/// Nothing is named to be released, as when another node reports a gap.
async fn what_is_held_is_given_back_by_whoever_closes(store: &dyn Store) {
    let org = org();
    let call = || Admit {
        reserve: vec![
            Reserve {
                held: true,
                ..reserve("at-once", 1, 1)
            },
            reserve("calls", 1, 10),
        ],
        ..admit(&org)
    };
    let first = call();
    store.admit(first.clone()).await.unwrap();
    assert!(
        store.admit(call()).await.is_err(),
        "two at the same time where one is permitted"
    );
    for _ in 0..2 {
        store.outcome(outcome(&first)).unwrap();
        store.flush().await.unwrap();
        assert_eq!(used(store, &org, "at-once").await, 0);
        assert_eq!(
            used(store, &org, "calls").await,
            1,
            "a count was given back"
        );
    }
    store.admit(call()).await.unwrap();
    let refused = Admit {
        sends: None,
        reserve: Vec::new(),
        ..admit(&org)
    };
    store.admit(refused.clone()).await.unwrap();
    store.outcome(outcome(&refused)).unwrap();
    store.flush().await.unwrap();
    assert_eq!(
        used(store, &org, "at-once").await,
        1,
        "a call that held nothing gave something back"
    );
}

async fn an_outcome_is_recorded_after_containment(store: &dyn Store) {
    let org = org();
    let call = admit(&org);
    store.admit(call.clone()).await.unwrap();
    store.commit(raise(&org)).await.unwrap();
    store.outcome(outcome(&call)).unwrap();
    store.flush().await.unwrap();
    assert_eq!(whole_ledger(store, &org).await.len(), 3);
    assert_eq!(calls(store, &org).await, 0);
}

async fn a_conflicting_record_is_left_and_the_entry_stays(store: &dyn Store) {
    let org = org();
    let call = admit(&org);
    store.admit(call.clone()).await.unwrap();
    store
        .commit(commit(
            &org,
            vec![put(Kind::Approval, "apr", Expect::Absent)],
        ))
        .await
        .unwrap();
    let puts = vec![
        put(Kind::Approval, "apr", Expect::Revision(9)),
        put(Kind::Finding, "f", Expect::Any),
        put(Kind::Approval, "none", Expect::Revision(1)),
    ];
    store
        .outcome(Outcome {
            puts,
            ..outcome(&call)
        })
        .unwrap();
    store.flush().await.unwrap();
    assert_eq!(
        store
            .get(&org, Kind::Approval, "apr")
            .await
            .unwrap()
            .unwrap()
            .revision,
        1
    );
    assert_eq!(store.get(&org, Kind::Approval, "none").await.unwrap(), None);
    assert!(store.get(&org, Kind::Finding, "f").await.unwrap().is_some());
    assert_eq!(whole_ledger(store, &org).await.len(), 3);
    assert_eq!(calls(store, &org).await, 0);
}

async fn outcomes_raise_labels(store: &dyn Store) {
    let org = org();
    let call = admit(&org);
    store.admit(call.clone()).await.unwrap();
    let raise = vec![(call.labels.0.clone(), "secret".to_owned())];
    store
        .outcome(Outcome {
            raise,
            ..outcome(&call)
        })
        .unwrap();
    store.flush().await.unwrap();
    let state = store.labels(&org, &call.labels.0).await.unwrap();
    assert_eq!((state.version(), state.labels["secret"].at), (1, at(1)));
    let next = Admit {
        labels: (call.labels.0.clone(), 0),
        ..admit(&org)
    };
    assert!(
        store.admit(next).await.is_err(),
        "a call was decided without the label"
    );
}

async fn outcomes_keep_their_order(store: &dyn Store) {
    let org = org();
    let mut decided = Vec::new();
    for _ in 0..20 {
        let call = admit(&org);
        store.admit(call.clone()).await.unwrap();
        decided.push(call);
    }
    for call in &decided {
        store.outcome(outcome(call)).unwrap();
    }
    store.flush().await.unwrap();
    let ledger = whole_ledger(store, &org).await;
    let reported: Vec<_> = ledger[20..]
        .iter()
        .map(|e| e.decision.clone().unwrap())
        .collect();
    assert_eq!(
        reported,
        decided
            .into_iter()
            .map(|call| call.decision)
            .collect::<Vec<_>>()
    );
}
