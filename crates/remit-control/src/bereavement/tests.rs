//! Who takes over, and what becomes of an agent that nobody takes over.

use remit_domain::Team;
use remit_domain::agent::AgentState;
use remit_domain::run::{Run, RunState};
use serde_json::json;

use super::*;
use crate::fixture::{ADMIN, ADMIN_TOO, APPROVER, APPROVER_TOO, OWNER, SPONSOR, World, id, noun};

fn team() -> remit_domain::TeamId {
    id("tm", 1).parse().unwrap()
}

/// A world whose agents have a team of deputies, of these people, and no deputy.
async fn world(members: &[u8]) -> World {
    let w = World::new().await;
    let made: Team = noun(json!({ "id": team(), "name": "heirs" }));
    w.books
        .commit(&w.org, Change::new().create(&made))
        .await
        .unwrap();
    for n in members {
        w.change_person(*n, |p| {
            p.teams.insert(team());
        })
        .await;
    }
    for n in [1, 2] {
        let found = w.books.get::<Agent>(&w.org, &id("agt", n)).await.unwrap();
        let mut found = found.unwrap();
        found.noun.profile.deputy = None;
        found.noun.profile.deputy_team = Some(team());
        let change = Change::new().update(&found.noun, found.revision);
        w.books.commit(&w.org, change).await.unwrap();
    }
    w
}

fn agent(w: &World, n: u8) -> Agent {
    let book = w.books.org(&w.org).unwrap();
    let registry = book.registry();
    let id = id("agt", n).parse().unwrap();
    Agent::clone(&registry.agents[&id])
}

async fn leave(w: &World, n: u8) -> crate::Departure {
    let email = format!("p{n}@acme.example").parse().unwrap();
    w.control.leave(&w.caller(ADMIN), &email).await.unwrap()
}

fn person(n: u8) -> PersonId {
    id("per", n).parse().unwrap()
}

#[tokio::test]
async fn one_of_the_team_takes_over_at_that_moment_and_what_ran_for_others_goes_on() {
    let w = world(&[APPROVER, APPROVER_TOO]).await;
    let run = w.start(1, None, Vec::new(), None).await;
    let left = leave(&w, OWNER).await;
    assert_eq!((left.transferred.len(), left.suspended.len()), (2, 0));
    let after = agent(&w, 1);
    assert_eq!(after.state, AgentState::Active);
    assert_eq!(
        after.profile.owner,
        person(APPROVER),
        "who has been here longest"
    );
    assert_eq!(after.profile.sponsor, person(SPONSOR));
    let there = w.books.get::<Run>(&w.org, run.id.as_str()).await.unwrap();
    assert_eq!(there.unwrap().noun.state, RunState::Active);
    // The next one is of the team again, and not who owns it by now.
    leave(&w, SPONSOR).await;
    assert_eq!(agent(&w, 1).profile.sponsor, person(APPROVER_TOO));
    leave(&w, APPROVER_TOO).await;
    assert_eq!(
        agent(&w, 1).profile.sponsor,
        person(APPROVER),
        "better than nobody"
    );
}

#[tokio::test]
async fn a_deputy_comes_before_the_team_and_somebody_who_left_is_no_heir() {
    let w = world(&[APPROVER]).await;
    let found = w.books.get::<Agent>(&w.org, &id("agt", 1)).await.unwrap();
    let mut found = found.unwrap();
    found.noun.profile.deputy = Some(person(ADMIN_TOO));
    let change = Change::new().update(&found.noun, found.revision);
    w.books.commit(&w.org, change).await.unwrap();
    leave(&w, APPROVER).await;
    let left = leave(&w, OWNER).await;
    assert_eq!((left.transferred.len(), left.suspended.len()), (1, 1));
    assert_eq!(agent(&w, 1).profile.owner, person(ADMIN_TOO));
    assert_eq!(agent(&w, 2).state, AgentState::Suspended);
}

#[tokio::test]
async fn what_nobody_answers_for_stays_suspended_for_the_grace_time_and_is_then_retired() {
    let w = world(&[]).await;
    let run = w.start(1, None, Vec::new(), None).await;
    leave(&w, OWNER).await;
    let there = w.books.get::<Run>(&w.org, run.id.as_str()).await.unwrap();
    let state = there.unwrap().noun.state;
    assert!(
        matches!(state, RunState::Ended { .. }),
        "runs have no grace"
    );
    w.pass(90 * 86_400 - 1);
    assert_eq!(w.control.tick(&w.org).await.unwrap().orphans, 0);
    assert_eq!(agent(&w, 1).state, AgentState::Suspended);
    w.pass(1);
    assert_eq!(w.control.tick(&w.org).await.unwrap().orphans, 2);
    assert_eq!(agent(&w, 1).state, AgentState::Retired);
    let book = w.books.org(&w.org).unwrap();
    assert!(book.registry().keys["thumb-1"].removed.is_some());
}

#[tokio::test]
async fn who_was_suspended_first_is_missed_from_when_they_left_on() {
    let w = world(&[]).await;
    let owner = format!("p{OWNER}@acme.example").parse().unwrap();
    let admin = w.caller(ADMIN);
    let suspended = w.control.suspend_person(&admin, &owner, "an inquiry");
    suspended.await.unwrap();
    w.control.tick(&w.org).await.unwrap();
    w.pass(91 * 86_400);
    leave(&w, OWNER).await;
    assert_eq!(w.control.tick(&w.org).await.unwrap().orphans, 0);
    assert_eq!(
        agent(&w, 1).state,
        AgentState::Suspended,
        "their grace begins now"
    );
    w.pass(90 * 86_400);
    assert_eq!(w.control.tick(&w.org).await.unwrap().orphans, 2);
}

#[tokio::test]
async fn who_found_somebody_in_time_is_not_retired() {
    let w = world(&[]).await;
    leave(&w, OWNER).await;
    let transfer = crate::Transfer {
        owner: Some("p10@acme.example".parse().unwrap()),
        ..crate::Transfer::default()
    };
    let name = "support".parse().unwrap();
    w.control
        .transfer_agent(&w.caller(ADMIN), &name, transfer)
        .await
        .unwrap();
    w.pass(91 * 86_400);
    w.control.tick(&w.org).await.unwrap();
    assert_eq!(agent(&w, 1).state, AgentState::Suspended);
    assert_eq!(agent(&w, 2).state, AgentState::Retired);
}
