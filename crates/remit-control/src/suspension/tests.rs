//! A suspended person may do nothing, nothing acts for them, and nothing changes hands.

use remit_domain::Agent;
use remit_domain::credential::PersonToken;
use remit_domain::run::{Run, RunState};

use super::*;
use crate::fixture::{ADMIN, ADMIN_TOO, CLERK, NOBODY, OWNER, RESPONDER, World, id};

fn email(n: u8) -> Email {
    format!("p{n}@acme.example").parse().unwrap()
}

fn code<T>(result: Result<T, ControlError>) -> RefusalCode {
    match result {
        Ok(_) => panic!("it was permitted"),
        Err(error) => error.code().unwrap(),
    }
}

async fn over(w: &World, run: &Run) -> Option<RunEnd> {
    let found = w.books.get::<Run>(&w.org, run.id.as_str()).await.unwrap();
    match found.unwrap().noun.state {
        RunState::Ended { cause, .. } => Some(cause),
        _ => None,
    }
}

#[tokio::test]
async fn what_acts_for_a_suspended_person_ends_at_once_and_nothing_new_begins() {
    let w = World::new().await;
    let (first, _, run, child) = w.chain().await;
    let other = w.start(1, None, Vec::new(), None).await;
    let now = w.books.now();
    let token = PersonToken {
        digest: "c1".repeat(32),
        person: id("per", CLERK).parse().unwrap(),
        label: String::new(),
        created: now,
        expires: now.plus_secs(3_600),
        revoked: None,
    };
    let change = Change::new().create(&token);
    w.books.commit(&w.org, change).await.unwrap();
    let epoch = w.books.org(&w.org).unwrap().epoch();
    let by = w.caller(RESPONDER);
    let done = w.control.suspend_person(&by, &email(CLERK), "INC-7").await;
    let done = done.unwrap();
    assert!(done.delegations.contains(&first.id));
    assert_eq!((done.runs.len(), done.personal_tokens), (2, 1));
    assert_eq!(over(&w, &run).await, Some(RunEnd::SponsorSuspended));
    assert!(over(&w, &child).await.is_some());
    assert_eq!(over(&w, &other).await, None, "it does not act for them");
    assert!(w.books.org(&w.org).unwrap().epoch() > epoch);
    assert!(w.caller(CLERK).person().is_err());
    let again = w.control.suspend_person(&by, &email(CLERK), "INC-7").await;
    assert_eq!(code(again), RefusalCode::Conflict);
}

#[tokio::test]
async fn agents_of_a_suspended_person_stay_theirs_and_get_no_credential_meanwhile() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let admin = w.caller(ADMIN);
    let done = w
        .control
        .suspend_person(&admin, &email(OWNER), "away")
        .await;
    assert!(done.unwrap().transferred.is_empty());
    assert_eq!(over(&w, &run).await, Some(RunEnd::SponsorSuspended));
    let agent: AgentId = id("agt", 1).parse().unwrap();
    let book = w.books.org(&w.org).unwrap();
    let owner = |a: &Agent| a.profile.owner.to_string();
    assert_eq!(owner(&book.registry().agents[&agent]), id("per", OWNER));
    assert!(book.registry().standing_agent(&agent).is_err());
    let resumed = w
        .control
        .resume_person(&w.caller(ADMIN), &email(OWNER), "back")
        .await;
    assert_eq!(resumed.unwrap().state, "active");
    assert!(book.registry().standing_agent(&agent).is_ok());
}

#[tokio::test]
async fn nobody_suspends_the_last_administrator_or_resumes_themselves() {
    let w = World::new().await;
    let responder = w.caller(RESPONDER);
    for n in [NOBODY, OWNER] {
        let refused = w
            .control
            .suspend_person(&w.caller(n), &email(CLERK), "x")
            .await;
        assert_eq!(code(refused), RefusalCode::Forbidden);
    }
    let one = w
        .control
        .suspend_person(&responder, &email(ADMIN_TOO), "x")
        .await;
    one.unwrap();
    let last = w
        .control
        .suspend_person(&responder, &email(ADMIN), "x")
        .await;
    assert_eq!(code(last), RefusalCode::Conflict);
    let own = w
        .control
        .resume_person(&w.caller(ADMIN_TOO), &email(ADMIN_TOO), "x")
        .await;
    assert_eq!(code(own), RefusalCode::Forbidden);
    let refused = w
        .control
        .resume_person(&responder, &email(ADMIN_TOO), "x")
        .await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    let admin = w.caller(ADMIN);
    let resumed = w
        .control
        .resume_person(&admin, &email(ADMIN_TOO), "x")
        .await;
    assert_eq!(resumed.unwrap().state, "active");
    let again = w
        .control
        .resume_person(&admin, &email(ADMIN_TOO), "x")
        .await;
    assert_eq!(code(again), RefusalCode::Conflict);
}

#[tokio::test]
async fn changing_a_suspended_person_does_not_let_them_act_and_they_may_leave() {
    let w = World::new().await;
    let admin = w.caller(ADMIN);
    w.control
        .suspend_person(&admin, &email(CLERK), "x")
        .await
        .unwrap();
    let mut spec = w.control.person(&admin, &email(CLERK)).unwrap().spec;
    spec.display_name = "Somebody else".to_owned();
    let put = w
        .control
        .put_person(&admin, &email(CLERK), spec, None)
        .await;
    assert_eq!(put.unwrap().view.state, "suspended");
    w.control.leave(&admin, &email(CLERK)).await.unwrap();
    assert_eq!(
        w.control.person(&admin, &email(CLERK)).unwrap().state,
        "left"
    );
    let back = w.control.resume_person(&admin, &email(CLERK), "x").await;
    assert_eq!(code(back), RefusalCode::Conflict);
}
