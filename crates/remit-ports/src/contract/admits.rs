//! Admissions: what stops one, and that a stopped one leaves nothing.

use std::sync::Arc;

use remit_domain::Kind;
use remit_domain::event::EventKind;

use super::data::{
    admit, at, calls, commit, entry, org, outcome, put, raise, reserve, used, whole_ledger,
};
use crate::Store;
use crate::store::{Admit, AdmitError, Blob, Expect, Reserve, StoreError};

pub(super) async fn all(store: &Arc<dyn Store>) {
    let store = store.as_ref();
    an_admitted_call_is_in_flight(store).await;
    a_refusal_is_recorded_without_a_call(store).await;
    a_raised_epoch_stops_it(store).await;
    grown_labels_stop_it(store).await;
    a_limit_stops_it(store).await;
    an_amount_cannot_overflow_or_give_back(store).await;
    a_window_counts_its_earlier_slots(store).await;
    counters_are_found_by_how_they_begin(store).await;
    an_approval_is_consumed_once(store).await;
    a_stopped_one_leaves_nothing(store).await;
    one_decision_is_not_sent_twice(store).await;
}

async fn an_admitted_call_is_in_flight(store: &dyn Store) {
    let org = org();
    let first = Admit {
        blobs: vec![Blob {
            hash: "cd".repeat(32),
            body: vec![7],
        }],
        ..admit(&org)
    };
    let done = store.admit(first.clone()).await.unwrap();
    assert_eq!((done.index, done.labels), (0, 0));
    let mut second = Admit {
        at: at(5),
        ..admit(&org)
    };
    second.entries.push(entry(EventKind::ApprovalSettled));
    assert_eq!(store.admit(second.clone()).await.unwrap().index, 1);
    let third = admit(&org);
    assert_eq!(
        store.admit(third).await.unwrap().index,
        3,
        "an admission with two entries counts twice"
    );
    let open = store.open_calls(&org, 2).await.unwrap();
    assert_eq!(open.len(), 2, "at most as many as asked for, oldest first");
    assert_eq!((&open[0].decision, open[0].index), (&first.decision, 0));
    assert_eq!((&open[1].decision, open[1].index), (&second.decision, 1));
    assert_eq!(
        (&open[1].agent, &open[1].run, open[1].at),
        (&second.agent, &second.run, at(5))
    );
    assert_eq!(
        (open[1].tool.as_str(), open[1].node.as_str()),
        ("orders/refund", "node-1")
    );
    assert_eq!(
        store.blob(&org, &"cd".repeat(32)).await.unwrap(),
        Some(vec![7])
    );
    assert_eq!(
        whole_ledger(store, &org).await[0].leaf,
        first.entries[0].leaf
    );
}

async fn a_refusal_is_recorded_without_a_call(store: &dyn Store) {
    let org = org();
    store
        .admit(Admit {
            sends: None,
            ..admit(&org)
        })
        .await
        .unwrap();
    assert_eq!(calls(store, &org).await, 0);
    assert_eq!(store.entry_count(&org).await.unwrap(), 1);
}

async fn a_raised_epoch_stops_it(store: &dyn Store) {
    let org = org();
    let decided = admit(&org);
    store.commit(raise(&org)).await.unwrap();
    assert_eq!(
        store.admit(decided.clone()).await,
        Err(AdmitError::EpochMoved(1))
    );
    let early = Admit {
        epoch: 2,
        ..decided.clone()
    };
    assert_eq!(
        store.admit(early).await,
        Err(AdmitError::EpochMoved(1)),
        "an epoch from the future was taken"
    );
    store
        .admit(Admit {
            epoch: 1,
            ..decided
        })
        .await
        .unwrap();
}

async fn grown_labels_stop_it(store: &dyn Store) {
    let org = org();
    let decided = admit(&org);
    let scope = decided.labels.0.clone();
    let raise = |label: &str| {
        vec![
            (scope.clone(), label.to_owned()),
            ("agent".to_owned(), label.to_owned()),
        ]
    };
    let done = store
        .admit(Admit {
            raise: raise("pii"),
            ..decided.clone()
        })
        .await
        .unwrap();
    assert_eq!(done.labels, 1, "the version counts what it raised itself");
    let late = Admit {
        labels: (scope.clone(), 0),
        ..admit(&org)
    };
    let Err(AdmitError::LabelsMoved(state)) = store.admit(late.clone()).await else {
        panic!("labels grew unnoticed")
    };
    assert_eq!((state.version(), state.labels["pii"].at), (1, at(0)));
    let again = Admit {
        labels: (scope.clone(), 1),
        raise: raise("pii"),
        at: at(9),
        ..admit(&org)
    };
    assert_eq!(
        store.admit(again).await.unwrap().labels,
        1,
        "a label that is there already does not count again"
    );
    assert_eq!(
        store.labels(&org, &scope).await.unwrap().labels["pii"].at,
        at(9),
        "it is refreshed"
    );
    let past = Admit {
        labels: (scope.clone(), 1),
        raise: raise("pii"),
        at: at(3),
        ..admit(&org)
    };
    store.admit(past).await.unwrap();
    assert_eq!(
        store.labels(&org, &scope).await.unwrap().labels["pii"].at,
        at(9),
        "never back in time"
    );
    assert_eq!(store.labels(&org, "agent").await.unwrap().version(), 1);
    assert_eq!(store.labels(&org, "nobody").await.unwrap().version(), 0);
    store
        .admit(Admit {
            labels: ("other".to_owned(), 0),
            ..late
        })
        .await
        .unwrap();
}

async fn a_limit_stops_it(store: &dyn Store) {
    let org = org();
    let take = |reserves: Vec<(&str, i64)>| Admit {
        reserve: reserves
            .into_iter()
            .map(|(key, n)| reserve(key, n, 10))
            .collect(),
        ..admit(&org)
    };
    store.admit(take(vec![("spend", 7)])).await.unwrap();
    let exceeded = |used| {
        Err(AdmitError::LimitExceeded {
            key: "spend".to_owned(),
            used,
            max: 10,
        })
    };
    assert_eq!(
        store.admit(take(vec![("calls", 1), ("spend", 4)])).await,
        exceeded(7)
    );
    assert_eq!(
        used(store, &org, "calls").await,
        0,
        "a stopped admission reserved something"
    );
    store.admit(take(vec![("spend", 3)])).await.unwrap();
    assert_eq!(store.admit(take(vec![("spend", 1)])).await, exceeded(10));
    store
        .admit(take(vec![("spend", 0)]))
        .await
        .expect("nothing more is used");
    let twice = take(vec![("double", 6), ("double", 6)]);
    assert!(
        matches!(
            store.admit(twice).await,
            Err(AdmitError::LimitExceeded { .. })
        ),
        "two halves overshot together"
    );
    assert_eq!(used(store, &org, "double").await, 0);
    let both = store
        .counters(
            &org,
            &["none".to_owned(), "spend".to_owned(), "none".to_owned()],
        )
        .await
        .unwrap();
    assert_eq!(both, [0, 10, 0]);
}

async fn counters_are_found_by_how_they_begin(store: &dyn Store) {
    let (org, other) = (org(), org());
    let take = |org: &remit_domain::OrgId, keys: &[&str]| Admit {
        reserve: keys.iter().map(|key| reserve(key, 2, 10)).collect(),
        ..admit(org)
    };
    let keys = [
        "limit:a|x",
        "limit:a|y",
        "limit:ab|x",
        "limit:a",
        "limit:a%",
    ];
    store.admit(take(&org, &keys)).await.unwrap();
    store.admit(take(&other, &["limit:a|z"])).await.unwrap();
    let found = store.counters_under(&org, "limit:a|", 10).await.unwrap();
    let expected = [("limit:a|x".to_owned(), 2), ("limit:a|y".to_owned(), 2)];
    assert_eq!(found, expected);
    let first = store.counters_under(&org, "limit:a|", 1).await.unwrap();
    assert_eq!(first, expected[..1]);
    assert!(
        store
            .counters_under(&org, "none", 10)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_window_counts_its_earlier_slots(store: &dyn Store) {
    let org = org();
    let take = |slot: &str, also: &[&str]| Admit {
        reserve: vec![Reserve {
            also: also.iter().map(|s| (*s).to_owned()).collect(),
            ..reserve(slot, 1, 3)
        }],
        ..admit(&org)
    };
    store.admit(take("w#1", &["w#0"])).await.unwrap();
    store.admit(take("w#1", &["w#0"])).await.unwrap();
    store.admit(take("w#2", &["w#1", "w#0"])).await.unwrap();
    assert_eq!(
        store.admit(take("w#2", &["w#1", "w#0"])).await,
        Err(AdmitError::LimitExceeded {
            key: "w#2".to_owned(),
            used: 3,
            max: 3
        }),
        "the earlier slots were not counted"
    );
    assert_eq!(used(store, &org, "w#1").await, 2, "only its own slot grows");
    store
        .admit(take("w#3", &["w#2"]))
        .await
        .expect("what has left the window counts no more");
}

async fn an_amount_cannot_overflow_or_give_back(store: &dyn Store) {
    let org = org();
    let take = |amount, max| Admit {
        reserve: vec![reserve("n", amount, max)],
        ..admit(&org)
    };
    store.admit(take(5, i64::MAX)).await.unwrap();
    assert!(matches!(
        store.admit(take(i64::MAX, i64::MAX)).await,
        Err(AdmitError::LimitExceeded { .. })
    ));
    store.admit(take(-5, 10)).await.unwrap();
    assert_eq!(
        used(store, &org, "n").await,
        5,
        "a negative amount gave something back"
    );
}

async fn an_approval_is_consumed_once(store: &dyn Store) {
    let org = org();
    store
        .commit(commit(
            &org,
            vec![put(Kind::Approval, "apr", Expect::Absent)],
        ))
        .await
        .unwrap();
    let with = || Admit {
        puts: vec![put(Kind::Approval, "apr", Expect::Revision(1))],
        ..admit(&org)
    };
    store.admit(with()).await.unwrap();
    let conflict = StoreError::Conflict {
        kind: Kind::Approval,
        key: "apr".to_owned(),
    };
    assert_eq!(store.admit(with()).await, Err(AdmitError::Store(conflict)));
    assert_eq!(
        store
            .get(&org, Kind::Approval, "apr")
            .await
            .unwrap()
            .unwrap()
            .revision,
        2
    );
}

async fn a_stopped_one_leaves_nothing(store: &dyn Store) {
    let org = org();
    store
        .commit(commit(
            &org,
            vec![put(Kind::Approval, "apr", Expect::Absent)],
        ))
        .await
        .unwrap();
    let stopped = Admit {
        raise: vec![("scope".to_owned(), "pii".to_owned())],
        reserve: vec![reserve("n", 1, 10)],
        puts: vec![
            put(Kind::Finding, "new", Expect::Absent),
            put(Kind::Approval, "apr", Expect::Revision(7)),
        ],
        blobs: vec![Blob {
            hash: "ef".repeat(32),
            body: vec![1],
        }],
        ..admit(&org)
    };
    assert!(store.admit(stopped.clone()).await.is_err());
    assert_eq!(calls(store, &org).await, 0);
    assert_eq!(used(store, &org, "n").await, 0);
    assert_eq!(store.labels(&org, "scope").await.unwrap().version(), 0);
    assert_eq!(store.get(&org, Kind::Finding, "new").await.unwrap(), None);
    assert_eq!(store.blob(&org, &"ef".repeat(32)).await.unwrap(), None);
    assert_eq!(whole_ledger(store, &org).await.len(), 1);
    // Two records of one admission that exclude each other fail only while they are written.
    let twins = vec![
        put(Kind::Finding, "twin", Expect::Absent),
        put(Kind::Finding, "twin", Expect::Absent),
    ];
    assert!(
        store
            .admit(Admit {
                puts: twins,
                ..stopped
            })
            .await
            .is_err()
    );
    assert_eq!(
        (calls(store, &org).await, used(store, &org, "n").await),
        (0, 0)
    );
    assert_eq!(whole_ledger(store, &org).await.len(), 1);
}

async fn one_decision_is_not_sent_twice(store: &dyn Store) {
    let org = org();
    let call = admit(&org);
    store.admit(call.clone()).await.unwrap();
    let replayed = StoreError::Replayed {
        key: call.decision.to_string(),
    };
    assert_eq!(
        store.admit(call.clone()).await,
        Err(AdmitError::Store(replayed))
    );
    assert_eq!(
        (
            calls(store, &org).await,
            whole_ledger(store, &org).await.len()
        ),
        (1, 1)
    );
    store.outcome(outcome(&call)).unwrap();
    store.flush().await.unwrap();
    assert_eq!(calls(store, &org).await, 0);
}
