//! What the checks write.

use std::sync::atomic::{AtomicU64, Ordering};

use remit_domain::event::EventKind;
use remit_domain::tool::ToolRef;
use remit_domain::{AgentId, DecisionId, Kind, OrgId, RunId, Timestamp};
use remit_ledger::NewEntry;
use serde_json::json;

use crate::Store;
use crate::store::{Admit, Commit, EntryFilter, Expect, Once, Outcome, Put, Reserve, StoredEntry};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A value that no other check has.
pub(super) fn fresh() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn uuid() -> uuid::Uuid {
    uuid::Uuid::from_u128(u128::from(fresh()))
}

pub(super) fn org() -> OrgId {
    OrgId::from_uuid(uuid())
}

pub(super) fn agent() -> AgentId {
    AgentId::from_uuid(uuid())
}

pub(super) fn run() -> RunId {
    RunId::from_uuid(uuid())
}

pub(super) fn decision() -> DecisionId {
    DecisionId::from_uuid(uuid())
}

pub(super) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

pub(super) fn entry(kind: EventKind) -> NewEntry {
    let leaf = format!("leaf {}", fresh()).into_bytes();
    NewEntry {
        kind,
        at: at(0),
        agent: None,
        run: None,
        decision: None,
        leaf,
        sealed: vec![0, 1, 255],
    }
}

pub(super) fn put(kind: Kind, key: &str, expect: Expect) -> Put {
    Put {
        kind,
        key: key.to_owned(),
        name: None,
        parent: None,
        state: "active".to_owned(),
        body: json!({ "key": key }),
        expect,
    }
}

pub(super) fn named(kind: Kind, key: &str, name: &str, expect: Expect) -> Put {
    Put {
        name: Some(name.to_owned()),
        ..put(kind, key, expect)
    }
}

/// A commit with one entry and these records.
pub(super) fn commit(org: &OrgId, puts: Vec<Put>) -> Commit {
    Commit {
        org: org.clone(),
        at: at(0),
        puts,
        entries: vec![entry(EventKind::AgentChanged)],
        blobs: Vec::new(),
        once: Vec::new(),
        raise_epoch: false,
        lower: None,
        at_epoch: None,
    }
}

pub(super) fn once(org: &OrgId, key: &str) -> Commit {
    let once = vec![Once {
        key: key.to_owned(),
        until: at(3_600),
    }];
    Commit {
        once,
        ..commit(org, Vec::new())
    }
}

pub(super) fn raise(org: &OrgId) -> Commit {
    let entries = vec![entry(EventKind::Contained)];
    Commit {
        raise_epoch: true,
        lower: None,
        entries,
        ..commit(org, Vec::new())
    }
}

/// An admission at epoch 0 without labels or limits, whose call goes on.
pub(super) fn admit(org: &OrgId) -> Admit {
    let (decision, agent, run) = (decision(), agent(), run());
    let entry = NewEntry {
        agent: Some(agent.clone()),
        run: Some(run.clone()),
        decision: Some(decision.clone()),
        ..entry(EventKind::CallDecided)
    };
    Admit {
        org: org.clone(),
        decision,
        agent,
        labels: (run.to_string(), 0),
        run,
        tool: ToolRef::new("orders".parse().unwrap(), "refund").unwrap(),
        at: at(0),
        epoch: 0,
        carried: None,
        raise: Vec::new(),
        reserve: Vec::new(),
        puts: Vec::new(),
        blobs: Vec::new(),
        entries: vec![entry],
        sends: Some("node-1".to_owned()),
    }
}

pub(super) fn reserve(key: &str, amount: i64, max: i64) -> Reserve {
    Reserve {
        key: key.to_owned(),
        amount,
        max,
        until: at(3_600),
        also: Vec::new(),
        held: false,
    }
}

/// The outcome of an admitted call, with one entry.
pub(super) fn outcome(admit: &Admit) -> Outcome {
    let entry = NewEntry {
        decision: Some(admit.decision.clone()),
        ..entry(EventKind::CallCompleted)
    };
    Outcome {
        org: admit.org.clone(),
        decision: admit.decision.clone(),
        at: at(1),
        entries: vec![entry],
        raise: Vec::new(),
        release: Vec::new(),
        puts: Vec::new(),
    }
}

pub(super) fn everything() -> EntryFilter {
    EntryFilter {
        limit: 10_000,
        ..EntryFilter::default()
    }
}

/// Every entry, after checking that indexes have no gap and agree with the count.
pub(super) async fn whole_ledger(store: &dyn Store, org: &OrgId) -> Vec<StoredEntry> {
    let entries = store.entries(org, &everything()).await.unwrap();
    for (expected, entry) in (0u64..).zip(&entries) {
        assert_eq!(entry.index, expected, "indexes have a gap");
    }
    let count = store.entry_count(org).await.unwrap();
    assert_eq!(count, u64::try_from(entries.len()).unwrap());
    entries
}

pub(super) async fn used(store: &dyn Store, org: &OrgId, key: &str) -> i64 {
    store.counters(org, &[key.to_owned()]).await.unwrap()[0]
}

pub(super) async fn calls(store: &dyn Store, org: &OrgId) -> usize {
    store.open_calls(org, 10_000).await.unwrap().len()
}
