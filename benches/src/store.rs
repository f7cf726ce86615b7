//! Durable appends: the store's admissions beside SQLite's own inserts, in the same run.

use std::sync::Arc;
use std::time::Instant;

use remit_domain::event::EventKind;
use remit_domain::{AgentId, DecisionId, Noun, OrgId, Organization, RunId};
use remit_ledger::NewEntry;
use remit_outbound::SystemClock;
use remit_ports::Clock;
use remit_ports::store::{Admit, Commit, Expect, Put, Store};
use remit_store_sqlite::SqliteStore;

use crate::report::Report;

const GROUP: &str = "Durable appends (SQLite, synchronous=FULL)";
const ROWS: usize = 20_000;

/// Admissions a second with `at_once` waiting together.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
async fn admissions(
    store: &Arc<SqliteStore>,
    org: &OrgId,
    at_once: usize,
    rows: usize,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut loops = Vec::new();
    for n in 0..at_once {
        let (store, org) = (Arc::clone(store), org.clone());
        loops.push(tokio::spawn(async move {
            for i in 0..rows / at_once {
                let unique = ((n as u128) << 64) | (i as u128) | ((at_once as u128) << 96);
                store.admit(admit(&org, unique)).await?;
            }
            anyhow::Ok(())
        }));
    }
    for one in loops {
        one.await??;
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}

fn admit(org: &OrgId, unique: u128) -> Admit {
    let decision = DecisionId::from_uuid(uuid::Uuid::from_u128(unique));
    let agent = AgentId::from_uuid(uuid::Uuid::nil());
    let run = RunId::from_uuid(uuid::Uuid::nil());
    let now = SystemClock::new().now();
    let entry = NewEntry {
        kind: EventKind::CallDecided,
        at: now,
        agent: Some(agent.clone()),
        run: Some(run.clone()),
        decision: Some(decision.clone()),
        leaf: vec![b'x'; 512],
        sealed: Vec::new(),
    };
    Admit {
        org: org.clone(),
        decision,
        agent,
        labels: (run.to_string(), 0),
        carried: Default::default(),
        run,
        tool: "bench/echo"
            .parse()
            .unwrap_or_else(|_| unreachable!("a fixed name")),
        at: now,
        epoch: 0,
        raise: Vec::new(),
        reserve: Vec::new(),
        puts: Vec::new(),
        blobs: Vec::new(),
        entries: vec![entry],
        sends: None,
    }
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(".")?;
    let store = Arc::new(SqliteStore::open(
        &dir.path().join("store"),
        Arc::new(SystemClock::new()),
    )?);
    let org = OrgId::from_uuid(uuid::Uuid::from_u128(1));
    let organization = Organization::new(org.clone(), "bench".parse()?, Default::default());
    let put = Put::new(&organization, Expect::Absent);
    debug_assert_eq!(put.key, organization.key());
    let at = SystemClock::new().now();
    let commit = Commit {
        org: org.clone(),
        at,
        puts: vec![put],
        entries: vec![],
        blobs: vec![],
        once: vec![],
        raise_epoch: false,
        lower: None,
        at_epoch: None,
    };
    store.commit(commit).await?;
    for (at_once, target) in [(1, 0.8), (10, 0.5), (100, 0.5)] {
        let rows = if at_once == 1 { ROWS / 10 } else { ROWS };
        let raw = remit_store_sqlite::raw_appends_per_second(dir.path(), at_once, rows)?;
        let ours = admissions(&store, &org, at_once, rows).await?;
        report.note(
            GROUP,
            format!("admissions/s, {at_once} at once; raw SQLite rows/s at batch {at_once}"),
            format!("{ours:.0}; {raw:.0}"),
        );
        report.at_least(
            GROUP,
            &format!("ratio at {at_once}"),
            ours / raw,
            target,
            "×",
        );
    }
    store.close().await;
    Ok(())
}
