//! What becomes of an agent for which the breaker trips.

use remit_domain::agent::AgentState;
use remit_domain::finding::Finding;
use remit_ports::store::{EntryFilter, Filter};

use super::*;
use crate::fixture::World;

#[tokio::test]
async fn a_dry_run_tells_and_an_enforced_trip_quarantines_once() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let agent = run.agent.clone();
    let state = || w.books.org(&w.org).unwrap().registry().agents[&agent].state;
    assert_eq!(
        w.control
            .trip(&w.org, &agent, "test", (false, false))
            .await
            .unwrap(),
        None
    );
    assert_eq!(state(), AgentState::Active);
    let id = w
        .control
        .trip(&w.org, &agent, "test", (true, false))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(state(), AgentState::Quarantined);
    let kept = w
        .books
        .get::<Containment>(&w.org, id.as_str())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (kept.noun.by, kept.noun.level),
        (Principal::Remit, Level::Quarantine)
    );
    assert!(
        !kept.noun.certificates.is_empty(),
        "nobody said what stopped"
    );
    let again = w
        .control
        .trip(&w.org, &agent, "test", (true, false))
        .await
        .unwrap();
    assert_eq!(again, None, "it was quarantined twice");
    let (findings, _) = w
        .books
        .list::<Finding>(&w.org, &Filter::default())
        .await
        .unwrap();
    let looping: Vec<_> = findings
        .iter()
        .filter(|f| f.noun.kind == FindingKind::Looping)
        .collect();
    assert_eq!((looping.len(), looping[0].noun.seen), (1, 3));
    let filter = EntryFilter {
        kinds: vec![EventKind::BreakerTripped],
        ..EntryFilter::default()
    };
    let entries = w.books.opened_entries(&w.org, &filter).await.unwrap();
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|e| e.leaf.facts["trigger"] == "breaker"));
    assert_eq!(entries[1].leaf.facts["containment"], id.as_str());
}

#[tokio::test]
async fn a_canary_quarantines_and_opens_no_second_finding() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let agent = run.agent.clone();
    let made = w.control.trip(&w.org, &agent, "canary", (true, true));
    assert!(made.await.unwrap().is_some());
    let state = w.books.org(&w.org).unwrap().registry().agents[&agent].state;
    assert_eq!(state, AgentState::Quarantined);
    let (findings, _) = w
        .books
        .list::<Finding>(&w.org, &Filter::default())
        .await
        .unwrap();
    assert!(findings.iter().all(|f| f.noun.kind != FindingKind::Looping));
    let filter = EntryFilter {
        kinds: vec![EventKind::BreakerTripped],
        ..EntryFilter::default()
    };
    let entries = w.books.opened_entries(&w.org, &filter).await.unwrap();
    assert_eq!(entries[0].leaf.facts["trigger"], "canary");
}

/// Who is suspended goes on as soon as somebody lifts that: a canary is worth more.
#[tokio::test]
async fn a_canary_quarantines_whoever_is_suspended() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let agent = run.agent.clone();
    let suspended = Containment::new(
        w.books.id(ContainmentId::from_uuid),
        (Target::Agent(agent.clone()), Level::Suspend),
        "odd",
        Principal::Remit,
        w.books.now(),
    );
    let change = Change::new().create(&suspended).restrict();
    w.books.commit(&w.org, change).await.unwrap();
    let made = w.control.trip(&w.org, &agent, "canary", (true, true));
    assert!(made.await.unwrap().is_some());
    let again = w.control.trip(&w.org, &agent, "canary", (true, true));
    assert!(again.await.unwrap().is_none(), "once");
}
