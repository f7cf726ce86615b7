//! The ledger: entries, filters, the derived tree.

use std::sync::Arc;

use remit_domain::event::EventKind;
use remit_ledger::NewEntry;

use super::data::{admit, agent, at, commit, decision, entry, everything, org, run, whole_ledger};
use crate::Store;
use crate::store::{Admit, Commit, EntryFilter, StoreError, StoredEntry, TreeAppend};

pub(super) async fn all(store: &Arc<dyn Store>) {
    let store = store.as_ref();
    entries_are_read_as_written(store).await;
    entries_are_filtered(store).await;
    entries_are_paged_both_ways(store).await;
    times_are_found_whatever_their_order(store).await;
    the_tree_grows_by_compare_and_swap(store).await;
    a_tree_is_never_larger_than_its_ledger(store).await;
}

async fn entries_are_read_as_written(store: &dyn Store) {
    let org = org();
    let new = NewEntry {
        kind: EventKind::CallRefused,
        at: at(-5),
        agent: Some(agent()),
        run: Some(run()),
        decision: Some(decision()),
        leaf: (0..=255).cycle().take(4_096).collect(),
        sealed: vec![9; 300_000],
    };
    store
        .commit(Commit {
            entries: vec![
                new.clone(),
                NewEntry {
                    sealed: Vec::new(),
                    ..new.clone()
                },
            ],
            ..commit(&org, Vec::new())
        })
        .await
        .unwrap();
    let ledger = whole_ledger(store, &org).await;
    assert_eq!((ledger[0].kind, ledger[0].at), (new.kind, new.at));
    assert_eq!(
        (&ledger[0].agent, &ledger[0].run, &ledger[0].decision),
        (&new.agent, &new.run, &new.decision)
    );
    assert_eq!(
        (&ledger[0].leaf, &ledger[0].sealed),
        (&new.leaf, &new.sealed)
    );
    assert_eq!(ledger[1].sealed, Vec::<u8>::new());
    let leaves = EntryFilter {
        leaves_only: true,
        ..everything()
    };
    let leaves = store.entries(&org, &leaves).await.unwrap();
    let bare = |entry: &StoredEntry| StoredEntry {
        sealed: Vec::new(),
        ..entry.clone()
    };
    assert_eq!(leaves, ledger.iter().map(bare).collect::<Vec<_>>());
    let empty = super::data::org();
    assert_eq!(store.entries(&empty, &everything()).await.unwrap(), []);
    assert_eq!(store.entry_count(&empty).await.unwrap(), 0);
}

async fn indexes(store: &dyn Store, org: &remit_domain::OrgId, filter: EntryFilter) -> Vec<u64> {
    store
        .entries(org, &filter)
        .await
        .unwrap()
        .into_iter()
        .map(|e| e.index)
        .collect()
}

async fn entries_are_filtered(store: &dyn Store) {
    let org = org();
    let (one, two) = (admit(&org), admit(&org));
    let mine = |kind, secs| NewEntry {
        kind,
        at: at(secs),
        ..one.entries[0].clone()
    };
    let other = NewEntry {
        agent: Some(one.agent.clone()),
        run: Some(two.run.clone()),
        at: at(2),
        ..entry(EventKind::CallDecided)
    };
    let entries = vec![
        mine(EventKind::RunStarted, 0),
        mine(EventKind::CallDecided, 1),
        other,
        mine(EventKind::CallCompleted, 3),
        NewEntry {
            at: at(4),
            ..entry(EventKind::RunStarted)
        },
    ];
    store
        .commit(Commit {
            entries,
            ..commit(&org, Vec::new())
        })
        .await
        .unwrap();
    for (filter, expected) in filters(&one) {
        assert_eq!(
            indexes(store, &org, filter.clone()).await,
            expected,
            "{filter:?}"
        );
    }
}

/// Filters, and the indexes that match.
fn filters(call: &Admit) -> Vec<(EntryFilter, &'static [u64])> {
    use EventKind::{CallCompleted, CallDecided, RunStarted};
    let by = |kinds: &[EventKind]| EntryFilter {
        kinds: kinds.to_vec(),
        ..everything()
    };
    let few = |filter: EntryFilter, descending| EntryFilter {
        limit: 2,
        descending,
        ..filter
    };
    let agent = EntryFilter {
        agent: Some(call.agent.clone()),
        ..everything()
    };
    let run = EntryFilter {
        run: Some(call.run.clone()),
        ..everything()
    };
    let decision = EntryFilter {
        decision: Some(call.decision.clone()),
        ..everything()
    };
    let nobody = EntryFilter {
        run: Some(super::data::run()),
        ..agent.clone()
    };
    let both = EntryFilter {
        run: run.run.clone(),
        from: 1,
        ..agent.clone()
    };
    vec![
        (by(&[RunStarted]), &[0, 4]),
        (by(&[CallDecided, CallCompleted]), &[1, 2, 3]),
        (by(&[CallDecided, CallDecided]), &[1, 2]),
        (few(by(&[RunStarted, CallDecided]), false), &[0, 1]),
        (few(by(&[RunStarted, CallDecided]), true), &[4, 2]),
        (
            EntryFilter {
                kinds: vec![CallDecided, RunStarted],
                ..run.clone()
            },
            &[0, 1],
        ),
        (few(run.clone(), true), &[3, 1]),
        (run, &[0, 1, 3]),
        (decision, &[0, 1, 3]),
        (agent, &[0, 1, 2, 3]),
        (both, &[1, 3]),
        (nobody, &[]),
        (
            EntryFilter {
                since: Some(at(3)),
                ..everything()
            },
            &[3, 4],
        ),
        (
            EntryFilter {
                since: Some(at(1)),
                until: Some(at(3)),
                descending: true,
                ..everything()
            },
            &[2, 1],
        ),
    ]
}

async fn entries_are_paged_both_ways(store: &dyn Store) {
    let org = org();
    let entries = (0..10).map(|_| entry(EventKind::AgentChanged)).collect();
    store
        .commit(Commit {
            entries,
            ..commit(&org, Vec::new())
        })
        .await
        .unwrap();
    let page = |from, limit, descending| EntryFilter {
        from,
        limit,
        descending,
        ..EntryFilter::default()
    };
    let cases: [(EntryFilter, &[u64]); 7] = [
        (page(0, 4, false), &[0, 1, 2, 3]),
        (page(8, 4, false), &[8, 9]),
        (page(10, 4, false), &[]),
        (page(u64::MAX, 4, false), &[]),
        (page(0, 3, true), &[9, 8, 7]),
        (page(2, 3, true), &[1, 0]),
        (page(u64::MAX, 1, true), &[9]),
    ];
    for (filter, expected) in cases {
        assert_eq!(
            indexes(store, &org, filter.clone()).await,
            expected,
            "{filter:?}"
        );
    }
}

/// More entries than a store takes together, with times that go to and fro: nothing is left out, nothing taken in.
async fn times_are_found_whatever_their_order(store: &dyn Store) {
    const COUNT: u64 = 2_600;
    let org = org();
    // Every third entry is from long before or long after those around it.
    let secs = |n: u64| match n % 3 {
        0 => (n * 7_919) % COUNT,
        _ => n,
    };
    for part in [0..1_000, 1_000..1_001, 1_001..COUNT] {
        let entry = |n| NewEntry {
            at: at(i64::try_from(secs(n)).unwrap()),
            ..entry(EventKind::AgentChanged)
        };
        let entries = part.map(entry).collect();
        store
            .commit(Commit {
                entries,
                ..commit(&org, Vec::new())
            })
            .await
            .unwrap();
    }
    for (since, until) in [
        (0, 1),
        (0, 700),
        (1_020, 1_030),
        (1_500, 2_599),
        (2_599, 9_000),
        (9_000, 9_001),
    ] {
        for descending in [false, true] {
            let filter = EntryFilter {
                since: Some(at(since)),
                until: Some(at(until)),
                descending,
                limit: 1_000,
                ..EntryFilter::default()
            };
            let within = |n: &u64| (since..until).contains(&i64::try_from(secs(*n)).unwrap());
            let mut expected: Vec<u64> = (0..COUNT).filter(within).collect();
            if descending {
                expected.reverse();
            }
            expected.truncate(1_000);
            assert_eq!(
                indexes(store, &org, filter).await,
                expected,
                "{since}..{until}"
            );
        }
    }
}

fn append(old_size: u64, new_size: u64, hashes: &[u8]) -> TreeAppend {
    let hashes = hashes.iter().map(|byte| [*byte; 32]).collect();
    TreeAppend {
        old_size,
        new_size,
        hashes,
        checkpoint: format!("note {new_size}"),
    }
}

async fn the_tree_grows_by_compare_and_swap(store: &dyn Store) {
    let org = org();
    let entries = (0..4).map(|_| entry(EventKind::AgentChanged)).collect();
    store
        .commit(Commit {
            entries,
            ..commit(&org, Vec::new())
        })
        .await
        .unwrap();
    assert_eq!(store.checkpoint(&org).await.unwrap(), None);
    assert_eq!(
        store.tree_hashes(&org, 0, 10).await.unwrap(),
        Vec::<[u8; 32]>::new()
    );
    store
        .append_tree(&org, append(0, 2, &[1, 2, 3]))
        .await
        .unwrap();
    for late in [
        append(0, 3, &[9]),
        append(1, 3, &[9]),
        append(3, 4, &[9]),
        append(2, 1, &[]),
    ] {
        assert!(
            matches!(
                store.append_tree(&org, late.clone()).await,
                Err(StoreError::Conflict { .. })
            ),
            "{late:?}"
        );
    }
    store
        .append_tree(&org, append(2, 4, &[4, 5, 6, 7]))
        .await
        .unwrap();
    assert_eq!(
        store.checkpoint(&org).await.unwrap(),
        Some((4, "note 4".to_owned()))
    );
    let all: Vec<_> = store
        .tree_hashes(&org, 0, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|hash| hash[0])
        .collect();
    assert_eq!(all, [1, 2, 3, 4, 5, 6, 7]);
    let some: Vec<_> = store
        .tree_hashes(&org, 2, 3)
        .await
        .unwrap()
        .into_iter()
        .map(|hash| hash[31])
        .collect();
    assert_eq!(some, [3, 4, 5]);
    let other = super::data::org();
    assert_eq!(
        store.tree_hashes(&other, 0, 10).await.unwrap(),
        Vec::<[u8; 32]>::new()
    );
    assert_eq!(store.checkpoint(&other).await.unwrap(), None);
}

async fn a_tree_is_never_larger_than_its_ledger(store: &dyn Store) {
    let org = org();
    store.commit(commit(&org, Vec::new())).await.unwrap();
    let ahead = store.append_tree(&org, append(0, 2, &[1, 2, 3])).await;
    assert!(
        matches!(ahead, Err(StoreError::Inconsistent { .. })),
        "{ahead:?}"
    );
    assert_eq!(store.checkpoint(&org).await.unwrap(), None);
}
