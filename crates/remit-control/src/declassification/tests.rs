use std::collections::BTreeSet;

use remit_domain::event::EventKind;
use remit_domain::{DeclassificationId, RefusalCode, Run};
use remit_ports::store::EntryFilter;
use serde_json::json;

use super::*;
use crate::fixture::*;

fn new(label: &str) -> NewDeclassification {
    NewDeclassification {
        labels: BTreeSet::from([label.to_owned()]),
        reason: "the answer quotes nothing".to_owned(),
    }
}

fn yes() -> DeclassificationVerdict {
    DeclassificationVerdict {
        reason: "read it".to_owned(),
    }
}

/// A run of `support` for the clerk that has read orders, and who asked to take that back.
async fn asked(world: &World) -> (Run, DeclassificationId) {
    let (_, _, run, _) = world.chain().await;
    read(world, &run).await;
    let asked = world
        .control
        .request_declassification(&world.caller(CLERK), &run.id, new("orders"))
        .await
        .unwrap();
    (run, asked.id)
}

async fn read(world: &World, run: &Run) {
    let (decision, _) = world
        .admit(run, "status", json!({ "order": "A-118" }))
        .await
        .unwrap();
    world.outcome(run, &decision, "ok").await;
    world.pass(1);
}

async fn labels(world: &World, run: &Run) -> Vec<String> {
    let told = world
        .control
        .run_labels(&world.caller(NOBODY), &run.id)
        .await
        .unwrap();
    told.labels.into_iter().map(|l| l.label).collect()
}

fn refused<T: std::fmt::Debug>(result: Result<T, ControlError>, code: RefusalCode) {
    match result {
        Err(ControlError::Refused(refusal)) => assert_eq!(refusal.code, code, "{refusal:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_approver_takes_a_label_back_and_it_is_told() {
    let world = World::new().await;
    let (run, id) = asked(&world).await;
    assert_eq!(
        labels(&world, &run).await,
        ["orders"],
        "asking takes nothing"
    );
    let told = world
        .control
        .declassification(&world.caller(APPROVER), &id)
        .await
        .unwrap();
    assert_eq!(told.raised[0].tool.as_deref(), Some("orders/status"));
    let done = world
        .control
        .approve_declassification(&world.caller(APPROVER), &id, yes())
        .await
        .unwrap();
    assert_eq!(
        (done.state, done.verdict.as_deref()),
        ("approved", Some("read it"))
    );
    assert!(labels(&world, &run).await.is_empty());
    let filter = EntryFilter {
        run: Some(run.id.clone()),
        kinds: vec![
            EventKind::DeclassificationRequested,
            EventKind::DeclassificationApproved,
        ],
        ..EntryFilter::default()
    };
    let entries = world
        .books
        .opened_entries(&world.org, &filter)
        .await
        .unwrap();
    assert_eq!(entries.len(), 2);
    let body = entries[1].body.as_ref().unwrap();
    assert_eq!(body.content["reason"], "read it");
    read(&world, &run).await;
    assert_eq!(
        labels(&world, &run).await,
        ["orders"],
        "and it is raised anew"
    );
}

#[tokio::test]
async fn nobody_who_has_a_part_in_the_run_clears_it() {
    let world = World::new().await;
    let (_, id) = asked(&world).await;
    for part in [CLERK, SPONSOR, APPROVER_TOO] {
        world
            .change_person(part, |p| {
                p.roles.insert(Role::Approver);
                if part == APPROVER_TOO {
                    p.created_by = Some(crate::fixture::id("per", CLERK).parse().unwrap());
                }
            })
            .await;
        let result = world
            .control
            .approve_declassification(&world.caller(part), &id, yes())
            .await;
        refused(result, RefusalCode::Forbidden);
    }
    for other in [ADMIN, RESPONDER, NOBODY] {
        let result = world
            .control
            .approve_declassification(&world.caller(other), &id, yes())
            .await;
        refused(result, RefusalCode::Forbidden);
    }
    let agent = world
        .control
        .approve_declassification(&world.agent_caller(), &id, yes())
        .await;
    assert!(agent.is_err(), "an agent clears nothing");
    let by_agent = world
        .control
        .refuse_declassification(&world.agent_caller(), &id, yes())
        .await;
    assert!(by_agent.is_err());
}

#[tokio::test]
async fn what_was_touched_since_it_was_asked_was_looked_at_by_nobody() {
    let world = World::new().await;
    let (run, id) = asked(&world).await;
    read(&world, &run).await;
    let result = world
        .control
        .approve_declassification(&world.caller(APPROVER), &id, yes())
        .await;
    refused(result, RefusalCode::Conflict);
    assert_eq!(labels(&world, &run).await, ["orders"]);
}

#[tokio::test]
async fn a_call_under_way_and_a_run_that_ended_are_not_cleared() {
    let world = World::new().await;
    let (_, _, run, child) = world.chain().await;
    read(&world, &run).await;
    let (open, _) = world
        .admit(&child, "status", json!({ "order": "A-118" }))
        .await
        .unwrap();
    world.pass(1);
    let asked = world
        .control
        .request_declassification(&world.caller(CLERK), &run.id, new("orders"))
        .await
        .unwrap();
    let approve = async || {
        world
            .control
            .approve_declassification(&world.caller(APPROVER), &asked.id, yes())
            .await
    };
    refused(approve().await, RefusalCode::Conflict);
    world.outcome(&child, &open, "ok").await;
    world.end(&run).await;
    refused(approve().await, RefusalCode::RunEnded);
}

#[tokio::test]
async fn only_what_holds_is_asked_for_and_only_once() {
    let world = World::new().await;
    let (run, id) = asked(&world).await;
    let ask = async |by: u8, label: &str| {
        world
            .control
            .request_declassification(&world.caller(by), &run.id, new(label))
            .await
    };
    refused(ask(CLERK, "health-data").await, RefusalCode::InvalidRequest);
    refused(ask(NOBODY, "orders").await, RefusalCode::Forbidden);
    let no = world
        .control
        .refuse_declassification(&world.caller(APPROVER), &id, yes())
        .await
        .unwrap();
    assert_eq!(no.state, "refused");
    let again = world
        .control
        .approve_declassification(&world.caller(APPROVER), &id, yes())
        .await;
    refused(again, RefusalCode::Conflict);
    let late = ask(CLERK, "orders").await.unwrap();
    world.pass(86_400);
    let result = world
        .control
        .approve_declassification(&world.caller(APPROVER), &late.id, yes())
        .await;
    refused(result, RefusalCode::Conflict);
}

#[tokio::test]
async fn the_story_of_a_run_tells_its_labels() {
    let world = World::new().await;
    let (run, _) = asked(&world).await;
    let story = world
        .control
        .run_story(&world.caller(OWNER), &run.id)
        .await
        .unwrap();
    assert_eq!(story.labels.len(), 1);
    assert!(story.labels[0].decision.is_some() && !story.labels[0].carried);
    let (second, _) = world
        .admit(&run, "refund", json!({ "order": "A-118" }))
        .await
        .unwrap();
    let why = world
        .control
        .why(&world.caller(OWNER), &second)
        .await
        .unwrap();
    assert_eq!(why.labels[0].tool.as_deref(), Some("orders/status"));
}
