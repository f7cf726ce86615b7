//! Records: revisions, names, lists.

use std::sync::Arc;

use remit_domain::Kind;
use serde_json::{Value, json};

use super::data::{commit, fresh, named, org, put};
use crate::Store;
use crate::store::{Expect, Filter, Put, StoreError};

pub(super) async fn all(store: &Arc<dyn Store>) {
    let store = store.as_ref();
    what_is_written_is_read(store).await;
    any_text_survives(store).await;
    a_moved_revision_conflicts(store).await;
    names_are_never_reused(store).await;
    a_renamed_record_is_found_by_its_new_name_only(store).await;
    lists_are_ordered_and_paged(store).await;
    lists_filter_by_parent_and_state(store).await;
    organizations_are_listed(store).await;
}

async fn what_is_written_is_read(store: &dyn Store) {
    let org = org();
    assert_eq!(store.get(&org, Kind::Agent, "a").await.unwrap(), None);
    assert_eq!(store.find(&org, Kind::Agent, "alpha").await.unwrap(), None);
    assert_eq!(
        store
            .list(&org, Kind::Agent, &Filter::default())
            .await
            .unwrap(),
        crate::store::Page::default()
    );
    let done = store
        .commit(commit(
            &org,
            vec![named(Kind::Agent, "a", "alpha", Expect::Absent)],
        ))
        .await
        .unwrap();
    assert_eq!((done.revisions, done.first_index), (vec![1], 0));
    let record = store.get(&org, Kind::Agent, "a").await.unwrap().unwrap();
    assert_eq!(
        (record.kind, record.key.as_str(), record.revision),
        (Kind::Agent, "a", 1)
    );
    assert_eq!(record.body, json!({ "key": "a" }));
    assert_eq!(
        store.find(&org, Kind::Agent, "alpha").await.unwrap(),
        Some(record)
    );
    assert_eq!(
        store.get(&org, Kind::Workflow, "a").await.unwrap(),
        None,
        "another kind has the same key"
    );
    let next = Put {
        body: json!({ "n": 2 }),
        ..named(Kind::Agent, "a", "alpha", Expect::Revision(1))
    };
    assert_eq!(
        store
            .commit(commit(&org, vec![next]))
            .await
            .unwrap()
            .revisions,
        [2]
    );
    let any = named(Kind::Agent, "a", "alpha", Expect::Any);
    assert_eq!(
        store
            .commit(commit(&org, vec![any]))
            .await
            .unwrap()
            .revisions,
        [3]
    );
}

async fn any_text_survives(store: &dyn Store) {
    let org = org();
    let text = "quote ' \" \\ %_; -- \u{0}\u{1} \u{2028} \u{1f600} ﷽ \u{202e}";
    let body = json!({ "text": text, "deep": [[[{ "n": -9_007_199_254_740_991_i64, "f": 0.1 }]]], "big": "x".repeat(200_000) });
    let key = "k'; DROP TABLE records; --";
    let record = Put {
        body: body.clone(),
        ..named(Kind::Setting, key, "ü' OR '1'='1", Expect::Absent)
    };
    store.commit(commit(&org, vec![record])).await.unwrap();
    assert_eq!(
        store
            .get(&org, Kind::Setting, key)
            .await
            .unwrap()
            .unwrap()
            .body,
        body
    );
    assert_eq!(
        store
            .find(&org, Kind::Setting, "ü' OR '1'='1")
            .await
            .unwrap()
            .unwrap()
            .key,
        key
    );
    assert_eq!(store.find(&org, Kind::Setting, "%").await.unwrap(), None);
}

async fn a_moved_revision_conflicts(store: &dyn Store) {
    let org = org();
    let conflict = StoreError::Conflict {
        kind: Kind::Run,
        key: "r".to_owned(),
    };
    let missing = put(Kind::Run, "r", Expect::Revision(1));
    assert_eq!(
        store.commit(commit(&org, vec![missing])).await,
        Err(conflict.clone())
    );
    store
        .commit(commit(&org, vec![put(Kind::Run, "r", Expect::Absent)]))
        .await
        .unwrap();
    for expect in [Expect::Absent, Expect::Revision(0), Expect::Revision(2)] {
        let good = put(Kind::Run, "other", Expect::Absent);
        let result = store
            .commit(commit(&org, vec![good, put(Kind::Run, "r", expect)]))
            .await;
        assert_eq!(result, Err(conflict.clone()), "{expect:?}");
    }
    assert_eq!(
        store.get(&org, Kind::Run, "other").await.unwrap(),
        None,
        "half of a refused commit was written"
    );
    assert_eq!(
        store
            .get(&org, Kind::Run, "r")
            .await
            .unwrap()
            .unwrap()
            .revision,
        1
    );
    assert_eq!(
        store.entry_count(&org).await.unwrap(),
        1,
        "a refused commit left an entry"
    );
}

async fn names_are_never_reused(store: &dyn Store) {
    let org = org();
    let taken = |name: &str| {
        Err(StoreError::NameTaken {
            kind: Kind::Agent,
            name: name.to_owned(),
        })
    };
    store
        .commit(commit(
            &org,
            vec![named(Kind::Agent, "a", "alpha", Expect::Absent)],
        ))
        .await
        .unwrap();
    let retired = Put {
        state: "retired".to_owned(),
        ..named(Kind::Agent, "a", "alpha", Expect::Any)
    };
    store.commit(commit(&org, vec![retired])).await.unwrap();
    let second = named(Kind::Agent, "b", "alpha", Expect::Absent);
    assert_eq!(
        store.commit(commit(&org, vec![second])).await,
        taken("alpha"),
        "the name of a retired record was given again"
    );
    let renamed = named(Kind::Agent, "a", "omega", Expect::Any);
    store.commit(commit(&org, vec![renamed])).await.unwrap();
    for name in ["alpha", "omega"] {
        let other = named(Kind::Agent, "b", name, Expect::Absent);
        assert_eq!(
            store.commit(commit(&org, vec![other])).await,
            taken(name),
            "a former name was given again"
        );
    }
    let twins = vec![
        named(Kind::Agent, "c", "twin", Expect::Absent),
        named(Kind::Agent, "d", "twin", Expect::Absent),
    ];
    assert_eq!(store.commit(commit(&org, twins)).await, taken("twin"));
    assert_eq!(
        store.get(&org, Kind::Agent, "c").await.unwrap(),
        None,
        "half of a refused commit was written"
    );
    store
        .commit(commit(
            &org,
            vec![named(Kind::Agent, "c", "twin", Expect::Absent)],
        ))
        .await
        .expect("a refused commit took the name");
    store
        .commit(commit(
            &org,
            vec![named(Kind::System, "s", "alpha", Expect::Absent)],
        ))
        .await
        .expect("names belong to their kind");
}

async fn a_renamed_record_is_found_by_its_new_name_only(store: &dyn Store) {
    let org = org();
    store
        .commit(commit(
            &org,
            vec![named(Kind::Agent, "a", "old", Expect::Absent)],
        ))
        .await
        .unwrap();
    store
        .commit(commit(
            &org,
            vec![named(Kind::Agent, "a", "new", Expect::Any)],
        ))
        .await
        .unwrap();
    assert_eq!(store.find(&org, Kind::Agent, "old").await.unwrap(), None);
    assert_eq!(
        store
            .find(&org, Kind::Agent, "new")
            .await
            .unwrap()
            .unwrap()
            .key,
        "a"
    );
    store
        .commit(commit(
            &org,
            vec![named(Kind::Agent, "a", "old", Expect::Any)],
        ))
        .await
        .expect("its own former name is its own");
}

async fn lists_are_ordered_and_paged(store: &dyn Store) {
    let org = org();
    // Bytes decide the order, whatever the server's locale: `B` before `a`, `_` between.
    let keys = ["B", "_", "a", "b0", "b1", "b2", "é"];
    let puts = keys
        .iter()
        .rev()
        .map(|key| put(Kind::Finding, key, Expect::Absent))
        .collect();
    store.commit(commit(&org, puts)).await.unwrap();
    for (descending, limit) in [(false, 3), (true, 3), (false, 7), (true, 1)] {
        let mut expected: Vec<&str> = keys.to_vec();
        if descending {
            expected.reverse();
        }
        let mut seen = Vec::new();
        let mut filter = Filter {
            limit,
            descending,
            ..Filter::default()
        };
        loop {
            let page = store.list(&org, Kind::Finding, &filter).await.unwrap();
            assert!(page.records.len() <= usize::try_from(limit).unwrap());
            seen.extend(page.records.into_iter().map(|record| record.key));
            let Some(next) = page.next else { break };
            filter.after = Some(next);
        }
        assert_eq!(seen, expected, "descending {descending}, limit {limit}");
    }
    assert_eq!(Filter::default().limit(), 100);
    assert_eq!(
        Filter {
            limit: u32::MAX,
            ..Filter::default()
        }
        .limit(),
        1_000
    );
}

async fn lists_filter_by_parent_and_state(store: &dyn Store) {
    let org = org();
    let mut puts = Vec::new();
    for (key, parent, state) in [
        ("1", Some("p"), "active"),
        ("2", Some("p"), "ended"),
        ("3", Some("q"), "active"),
        ("4", None, "active"),
    ] {
        let parent = parent.map(str::to_owned);
        puts.push(Put {
            parent,
            state: state.to_owned(),
            ..put(Kind::Run, key, Expect::Absent)
        });
    }
    store.commit(commit(&org, puts)).await.unwrap();
    let cases: [(Option<&str>, Option<&str>, &[&str]); 5] = [
        (None, None, &["1", "2", "3", "4"]),
        (Some("p"), None, &["1", "2"]),
        (None, Some("active"), &["1", "3", "4"]),
        (Some("p"), Some("active"), &["1"]),
        (Some("none"), None, &[]),
    ];
    for (parent, state, expected) in cases {
        let filter = Filter {
            parent: parent.map(str::to_owned),
            state: state.map(str::to_owned),
            ..Filter::default()
        };
        let page = store.list(&org, Kind::Run, &filter).await.unwrap();
        let keys: Vec<_> = page
            .records
            .iter()
            .map(|record| record.key.as_str())
            .collect();
        assert_eq!(keys, expected, "parent {parent:?}, state {state:?}");
        assert_eq!(page.next, None);
    }
}

async fn organizations_are_listed(store: &dyn Store) {
    let (one, two) = (org(), org());
    for org in [&one, &two] {
        let name = format!("org-{}", fresh());
        let own = Put {
            body: Value::Null,
            ..named(Kind::Organization, org.as_str(), &name, Expect::Absent)
        };
        store.commit(commit(org, vec![own])).await.unwrap();
    }
    let keys: Vec<_> = store
        .organizations()
        .await
        .unwrap()
        .into_iter()
        .map(|record| record.key)
        .collect();
    assert!(keys.contains(&one.to_string()) && keys.contains(&two.to_string()));
}
