//! The contract on real files, and what only files can do: be full, be opened twice, be opened again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use remit_domain::event::EventKind;
use remit_domain::{DecisionId, Kind, OrgId, Timestamp};
use remit_ledger::NewEntry;
use remit_ports::store::{Commit, EntryFilter, Expect, Once, Outcome, Put, StoreError};
use remit_ports::{Store, contract};
use remit_testkit::SimClock;

use crate::{SqliteOptions, SqliteStore};

fn open(dir: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(dir, Arc::new(SimClock::at("2027-01-15T08:00:00Z"))).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract::suite(async || open(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_of_reopening() {
    let dir = tempfile::tempdir().unwrap();
    contract::reopen_suite(async || open(dir.path())).await;
}

fn org() -> OrgId {
    OrgId::from_uuid(uuid::Uuid::from_u128(7))
}

fn entry(bytes: usize) -> NewEntry {
    NewEntry {
        kind: EventKind::CallDecided,
        at: Timestamp::from_secs(1),
        agent: None,
        run: None,
        decision: None,
        leaf: b"leaf".to_vec(),
        sealed: vec![7; bytes],
    }
}

fn commit(key: &str, bytes: usize) -> Commit {
    let put = Put {
        kind: Kind::Finding,
        key: key.to_owned(),
        name: None,
        parent: None,
        state: "open".to_owned(),
        body: serde_json::json!({}),
        expect: Expect::Absent,
    };
    Commit {
        org: org(),
        at: Timestamp::from_secs(1),
        puts: vec![put],
        entries: vec![entry(bytes)],
        blobs: Vec::new(),
        once: Vec::new(),
        raise_epoch: false,
        lower: None,
        at_epoch: None,
    }
}

/// Fills the disk from several sides at once; whatever was acknowledged is there afterwards, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        max_pages: Some(300),
        ..SqliteOptions::default()
    };
    let clock = Arc::new(SimClock::default());
    let store = Arc::new(SqliteStore::open_with(dir.path(), clock, &options).unwrap());
    let tasks: Vec<_> = (0..400)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let key = format!("{n}");
                (store.commit(commit(&key, 4_000)).await, key)
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for task in tasks {
        match task.await.unwrap() {
            (Ok(done), key) => acknowledged.push((key, done.first_index)),
            (Err(StoreError::Unavailable(why)), _) => {
                assert!(
                    why.contains("full") && why.contains("free some disk space"),
                    "{why}"
                );
                refused += 1;
            }
            (Err(other), _) => panic!("{other}"),
        }
    }
    assert!(refused > 0, "the disk never was full");
    store.close().await;

    let store = open(dir.path());
    let ledger = store
        .entries(
            &org(),
            &EntryFilter {
                limit: 1_000,
                ..EntryFilter::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(ledger.len(), acknowledged.len());
    for (key, _) in &acknowledged {
        assert!(
            store
                .get(&org(), Kind::Finding, key)
                .await
                .unwrap()
                .is_some(),
            "{key} was acknowledged and is gone"
        );
    }
    store
        .commit(commit("after", 10))
        .await
        .expect("with room again it writes again");
}

/// An outcome that cannot be written is kept, a flush says so, and it is written once the database answers again.
#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_outlives_a_database_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        busy: Duration::from_millis(1),
        ..SqliteOptions::default()
    };
    let store =
        SqliteStore::open_with(dir.path(), Arc::new(SimClock::default()), &options).unwrap();
    let outcome = Outcome {
        org: org(),
        decision: DecisionId::from_uuid(uuid::Uuid::from_u128(9)),
        at: Timestamp::from_secs(1),
        entries: vec![entry(10)],
        raise: Vec::new(),
        release: Vec::new(),
        puts: Vec::new(),
    };
    let thief = rusqlite::Connection::open(dir.path().join(crate::open::DATABASE)).unwrap();
    thief.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.outcome(outcome).unwrap();
    let unavailable = |result| matches!(result, Err(StoreError::Unavailable(_)));
    assert!(unavailable(store.flush().await), "a flush lied");
    assert!(unavailable(store.commit(commit("a", 1)).await.map(|_| ())));
    assert!(unavailable(store.flush().await), "a second flush lied");
    thief.execute_batch("ROLLBACK").unwrap();
    store.flush().await.unwrap();
    assert_eq!(
        store.entry_count(&org()).await.unwrap(),
        1,
        "the outcome, and nothing that was refused"
    );
    assert_eq!(store.commit(commit("a", 1)).await.unwrap().first_index, 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_store_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = SqliteStore::open(dir.path(), Arc::new(SimClock::default()))
        .err()
        .unwrap();
    assert!(
        second
            .to_string()
            .contains("in use by another remit process"),
        "{second}"
    );
    store.close().await;
    open(dir.path()).close().await;
}

/// What was shredded is in none of the files any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_shredded_key_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let secret = "c2VhbGVkIHVuZGVyIHRoZSBtYXN0ZXIga2V5";
    let mut with_key = commit("x", 1);
    with_key.puts = vec![Put {
        kind: Kind::ShredKey,
        key: "run_1".to_owned(),
        body: serde_json::json!({ "sealed": secret }),
        ..with_key.puts[0].clone()
    }];
    store.commit(with_key).await.unwrap();
    let found = || {
        std::fs::read_dir(dir.path()).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        })
    };
    assert!(found());
    store
        .shred(
            &org(),
            "run_1",
            Commit {
                puts: Vec::new(),
                ..commit("x", 1)
            },
        )
        .await
        .unwrap();
    store.flush().await.unwrap();
    assert!(!found(), "the shredded key is still on disk");
    store.close().await;
}

/// Keys that expired long ago are removed, and no others.
#[test]
fn only_what_expired_is_purged() {
    let dir = tempfile::tempdir().unwrap();
    let lock = crate::open::prepare(dir.path()).unwrap();
    let db = crate::open::writer(dir.path(), &SqliteOptions::default()).unwrap();
    crate::migrate::apply(&db).unwrap();
    let now = Timestamp::from_secs(100_000);
    for (key, until) in [
        ("old", now.plus_secs(-7_200)),
        ("recent", now.plus_secs(-60)),
        ("live", now.plus_secs(60)),
    ] {
        let once = Once {
            key: key.to_owned(),
            until,
        };
        for table in [
            "once (org, key, until) VALUES (?1, ?2, ?3)",
            "counters (org, key, until, used) VALUES (?1, ?2, ?3, 1)",
        ] {
            let (org, until) = (org(), once.until.as_micros());
            db.execute(
                &format!("INSERT INTO {table}"),
                rusqlite::params![org.as_str(), once.key, until],
            )
            .unwrap();
        }
    }
    crate::writer::purge(&db, now).unwrap();
    for table in ["once", "counters"] {
        let left: String = db
            .query_row(
                &format!("SELECT group_concat(key, ',' ORDER BY key) FROM {table}"),
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(left, "live,recent");
    }
    drop(lock);
}
