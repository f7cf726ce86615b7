//! The contract on a real server, and what only several nodes, or a server that fails, can show.

use std::sync::Arc;
use std::time::Duration;

use remit_domain::event::EventKind;
use remit_domain::{AgentId, DecisionId, Kind, OrgId, RunId, Timestamp};
use remit_ledger::NewEntry;
use remit_ports::store::{
    Admit, AdmitError, Changed, Commit, EntryFilter, Expect, Outcome, Put, Reserve, StoreError,
};
use remit_ports::{Store, contract};
use remit_testkit::TestDatabase;

use crate::{PostgresStore, pending};

async fn open(database: &TestDatabase, node: &str) -> Arc<dyn Store> {
    Arc::new(PostgresStore::open(&database.url(), node).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let database = TestDatabase::create();
    contract::suite(async || open(&database, "node-1").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_of_reopening() {
    let database = TestDatabase::create();
    contract::reopen_suite(async || open(&database, "node-1").await).await;
}

fn id(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}

fn org() -> OrgId {
    OrgId::from_uuid(id(7))
}

fn entry(kind: EventKind, leaf: &str) -> NewEntry {
    NewEntry {
        kind,
        at: Timestamp::from_secs(1),
        agent: None,
        run: None,
        decision: None,
        leaf: leaf.as_bytes().to_vec(),
        sealed: Vec::new(),
    }
}

fn put(key: &str, expect: Expect) -> Put {
    Put {
        kind: Kind::Finding,
        key: key.to_owned(),
        name: None,
        parent: None,
        state: "open".to_owned(),
        body: serde_json::json!({}),
        expect,
    }
}

fn commit(puts: Vec<Put>) -> Commit {
    Commit {
        org: org(),
        at: Timestamp::from_secs(1),
        puts,
        entries: vec![entry(EventKind::FindingOpened, "commit")],
        blobs: Vec::new(),
        once: Vec::new(),
        raise_epoch: false,
        lower: None,
        at_epoch: None,
    }
}

fn admit(n: u128, epoch: u64) -> Admit {
    let until = Timestamp::from_secs(4_000_000_000);
    Admit {
        org: org(),
        decision: DecisionId::from_uuid(id(n)),
        agent: AgentId::from_uuid(id(1)),
        run: RunId::from_uuid(id(2)),
        tool: remit_domain::tool::ToolRef::new("orders".parse().unwrap(), "refund").unwrap(),
        at: Timestamp::from_secs(1),
        epoch,
        labels: ("run".to_owned(), 0),
        carried: None,
        raise: Vec::new(),
        reserve: vec![Reserve {
            key: "spend".to_owned(),
            amount: 1,
            max: 60,
            until,
            also: Vec::new(),
            held: false,
        }],
        puts: Vec::new(),
        blobs: Vec::new(),
        entries: vec![entry(EventKind::CallDecided, &format!("decided {n}"))],
        sends: Some("node".to_owned()),
    }
}

async fn next(
    changes: &mut tokio::sync::broadcast::Receiver<Changed>,
    wanted: impl Fn(&Changed) -> bool,
) {
    let find = async { while !wanted(&changes.recv().await.unwrap()) {} };
    tokio::time::timeout(Duration::from_secs(20), find)
        .await
        .expect("no such change came");
}

/// Waits for a state that only time brings.
async fn until(what: &str, state: impl AsyncFn() -> bool) {
    let wait = async {
        while !state().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect(what);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_a_node_that_knows_no_times_are_found_by_time_too() {
    let database = TestDatabase::create();
    let store = open(&database, "new").await;
    // As a node of the version before still appends while the others are replaced.
    database.sql(&format!(
        "INSERT INTO entries (org, idx, kind, at, leaf, sealed)
         SELECT '{}', n, 'agent.changed', n::bigint * 1000000, '\\x00', '\\x' FROM generate_series(0, 3000) AS n",
        org()
    ));
    let filter = EntryFilter {
        since: Some(Timestamp::from_secs(2_990)),
        until: Some(Timestamp::from_secs(2_995)),
        ..EntryFilter::default()
    };
    let found = store.entries(&org(), &filter).await.unwrap();
    let found: Vec<u64> = found.iter().map(|entry| entry.index).collect();
    assert_eq!(found, [2_990, 2_991, 2_992, 2_993, 2_994]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_checkable_first() {
    let database = TestDatabase::create();
    assert_eq!(
        pending(&database.url()).await.unwrap(),
        [
            "0001_store",
            "0002_limits",
            "0003_label_origins",
            "0004_entry_times"
        ]
    );
    // Nodes that start together take turns.
    let (one, two) = tokio::join!(open(&database, "a"), open(&database, "b"));
    assert_eq!(
        pending(&database.url()).await.unwrap(),
        Vec::<String>::new()
    );
    one.close().await;
    two.close().await;
    database.sql("INSERT INTO schema_migrations VALUES (99, 'future')");
    assert!(matches!(
        pending(&database.url()).await,
        Err(StoreError::Inconsistent { .. })
    ));
    let newer = PostgresStore::open(&database.url(), "a")
        .await
        .err()
        .unwrap();
    assert!(
        newer
            .to_string()
            .contains("a newer remit wrote this database"),
        "{newer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_cannot_be_rewritten_by_sql() {
    let database = TestDatabase::create();
    let store = open(&database, "a").await;
    store.commit(commit(Vec::new())).await.unwrap();
    for attack in [
        "UPDATE entries SET leaf = ''",
        "DELETE FROM entries",
        "TRUNCATE entries",
    ] {
        let refused = format!(
            "DO $$ BEGIN {attack}; RAISE 'done'; EXCEPTION WHEN raise_exception THEN
             IF SQLERRM NOT LIKE '%never changed%' THEN RAISE; END IF; END $$"
        );
        database.sql(&refused);
    }
    assert_eq!(
        store
            .entries(&org(), &EntryFilter::default())
            .await
            .unwrap()
            .len(),
        1
    );
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_the_other_node_and_is_told_once_at_home() {
    let database = TestDatabase::create();
    let (here, there) = (open(&database, "a").await, open(&database, "b").await);
    assert!(here.is_fresh() && there.is_fresh(), "an open store listens");
    let (mut at_home, mut away) = (here.changes(), there.changes());
    here.commit(commit(vec![put("one", Expect::Absent)]))
        .await
        .unwrap();
    let many = (0..400).map(|n| put(&format!("a finding with a long key {n}"), Expect::Absent));
    here.commit(Commit {
        raise_epoch: true,
        ..commit(many.collect())
    })
    .await
    .unwrap();
    next(&mut away, |c| c.keys == [(Kind::Finding, "one".to_owned())]).await;
    next(&mut away, |c| c.epoch == 1 && c.keys.is_empty()).await;
    assert_eq!(there.epoch(&org()).await.unwrap(), 1);
    let refused = there.admit(admit(10, 0)).await;
    assert_eq!(
        refused,
        Err(AdmitError::EpochMoved(1)),
        "the other node did not see the containment"
    );
    // At home each was told when it was committed; by now an echo would have come, since the other node has heard both.
    there
        .commit(commit(vec![put("last", Expect::Absent)]))
        .await
        .unwrap();
    let mut told = Vec::new();
    next(&mut at_home, |changed| {
        // The closure sees every change up to the one of the other node.
        changed.keys == [(Kind::Finding, "last".to_owned())] || {
            assert!(!changed.keys.is_empty(), "an own change came back");
            false
        }
    })
    .await;
    while let Ok(changed) = at_home.try_recv() {
        told.push(changed);
    }
    assert_eq!(told, [], "an own change came back");
    here.close().await;
    there.close().await;
}

/// Two nodes at once: the counter is never overshot, no index is missing or given twice.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_one_ledger_and_one_limit() {
    let database = TestDatabase::create();
    let nodes = [open(&database, "a").await, open(&database, "b").await];
    let tasks: Vec<_> = (0..200u128)
        .map(|n| {
            let store = Arc::clone(&nodes[usize::from(n % 2 == 0)]);
            tokio::spawn(async move { store.admit(admit(100 + n, 0)).await })
        })
        .collect();
    let mut indexes = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(done) => indexes.push(done.index),
            Err(AdmitError::LimitExceeded { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    indexes.sort_unstable();
    assert_eq!(indexes, (0..60).collect::<Vec<u64>>());
    let ledger = nodes[0]
        .entries(&org(), &EntryFilter::default())
        .await
        .unwrap();
    assert_eq!(ledger.iter().map(|e| e.index).collect::<Vec<_>>(), indexes);
    for node in nodes {
        node.close().await;
    }
}

/// One containment, two nodes: every admission stands before it, or was decided at the new epoch.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_slips_past_a_containment_by_another_node() {
    let database = TestDatabase::create();
    let (here, there) = (open(&database, "a").await, open(&database, "b").await);
    let calls: Vec<_> = (0..40u128)
        .map(|n| {
            let store = Arc::clone(&here);
            tokio::spawn(async move { store.admit(admit(100 + n, 0)).await })
        })
        .collect();
    let contained = there
        .commit(Commit {
            raise_epoch: true,
            ..commit(Vec::new())
        })
        .await
        .unwrap();
    for call in calls {
        match call.await.unwrap() {
            Ok(done) => assert!(done.index < contained.first_index),
            Err(error) => assert_eq!(error, AdmitError::EpochMoved(1)),
        }
    }
    here.close().await;
    there.close().await;
}

/// Notifications that were sent meanwhile are lost: everything is read again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_reads_everything_again() {
    let database = TestDatabase::create();
    let store = open(&database, "a").await;
    store.commit(commit(Vec::new())).await.unwrap();
    assert!(store.is_fresh(), "an open store listens");
    let mut changes = store.changes();
    database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'remit'",
    );
    next(&mut changes, |c| c.org == org() && c.keys.is_empty()).await;
    until("it listens again", async || store.is_fresh()).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_refuses_and_one_node_recovers() {
    let database = TestDatabase::create();
    let store = open(&database, "a").await;
    store.commit(commit(Vec::new())).await.unwrap();
    let outcome = Outcome {
        org: org(),
        decision: DecisionId::from_uuid(id(10)),
        at: Timestamp::from_secs(2),
        entries: vec![entry(EventKind::CallCompleted, "completed 10")],
        raise: Vec::new(),
        release: Vec::new(),
        puts: Vec::new(),
    };
    assert!(store.is_fresh(), "an open store listens");
    let mut changes = store.changes();
    database.stop_server();
    assert!(matches!(
        store.commit(commit(Vec::new())).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.admit(admit(10, 0)).await,
        Err(AdmitError::Store(StoreError::Unavailable(_)))
    ));
    assert!(matches!(
        store.get(&org(), Kind::Finding, "a").await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(store.ping().await.is_err());
    store.outcome(outcome).unwrap();
    assert!(
        matches!(store.flush().await, Err(StoreError::Unavailable(_))),
        "a flush lied"
    );
    until("it notices", async || !store.is_fresh()).await;
    database.start_server();
    next(&mut changes, |c| c.org == org() && c.keys.is_empty()).await;
    until("it listens again", async || store.is_fresh()).await;
    until("the outcome was kept", async || store.flush().await.is_ok()).await;
    let ledger = store
        .entries(&org(), &EntryFilter::default())
        .await
        .unwrap();
    let kinds: Vec<_> = ledger.iter().map(|e| e.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::FindingOpened, EventKind::CallCompleted],
        "what was refused is not there, what was queued is there once"
    );
    store.close().await;
}
