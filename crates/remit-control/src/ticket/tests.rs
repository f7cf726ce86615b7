//! Attacks on delegations for a ticket, then what has to work.

use serde_json::json;

use super::*;
use crate::NewDelegation;
use crate::fixture::{CLERK, RESPONDER, World};

fn told(state: &str, as_of: Option<&str>) -> TicketSpec {
    serde_json::from_value(json!({ "state": state, "as_of": as_of })).unwrap()
}

fn wanted(ticket: Option<&str>) -> NewDelegation {
    serde_json::from_value(
        json!({ "agent": "support", "workflow": "refund", "kind": "interactive", "for_secs": 600,
        "ticket": ticket }),
    )
    .unwrap()
}

/// A delegation of the clerk for a ticket, and a run under it.
async fn at_work(w: &World, ticket: Option<&str>) -> (DelegationId, RunId) {
    let clerk = w.caller(CLERK);
    let made = w.control.grant_delegation(&clerk, wanted(ticket));
    let made = made.await.unwrap();
    let run = w.start(1, Some(CLERK), vec![made.id.clone()], None).await;
    (made.id, run.id)
}

async fn state_of(w: &World, id: &DelegationId) -> &'static str {
    let view = w.control.delegation(&w.caller(CLERK), id).await.unwrap();
    view.state
}

#[tokio::test]
async fn what_was_delegated_for_a_ticket_ends_in_the_commit_that_closes_it() {
    let w = World::new().await;
    let (id, run) = at_work(&w, Some("INC-7")).await;
    let (other, other_run) = at_work(&w, Some("INC-70")).await;
    let (free, _) = at_work(&w, None).await;
    let responder = w.caller(RESPONDER);
    w.control
        .put_ticket(&responder, "INC-7", &told("open", None))
        .await
        .unwrap();
    assert_eq!(state_of(&w, &id).await, "active");
    let epoch = w.books.org(&w.org).unwrap().epoch();
    w.pass(1);
    w.control
        .put_ticket(&responder, "INC-7", &told("resolved", None))
        .await
        .unwrap();
    let book = w.books.org(&w.org).unwrap();
    assert!(book.epoch() > epoch, "calls in flight have to notice");
    assert!(book.registry().standing(&run, w.books.now()).is_err());
    assert!(book.registry().standing(&other_run, w.books.now()).is_ok());
    assert_eq!(*w.processes.0.lock().unwrap(), [run]);
    let ended = w.control.delegation(&w.caller(CLERK), &id).await.unwrap();
    assert_eq!(ended.revoked.unwrap().reason, "ticket INC-7 is resolved");
    for untouched in [&other, &free] {
        assert_eq!(state_of(&w, untouched).await, "active");
    }
    let clerk = w.caller(CLERK);
    let again = w.control.grant_delegation(&clerk, wanted(Some("INC-7")));
    assert_eq!(again.await.unwrap_err().code(), Some(RefusalCode::Conflict));
}

#[tokio::test]
async fn an_older_word_ends_nothing_and_brings_nothing_back() {
    let w = World::new().await;
    let responder = w.caller(RESPONDER);
    let (id, _) = at_work(&w, Some("INC-7")).await;
    w.control
        .put_ticket(&responder, "INC-7", &told("open", None))
        .await
        .unwrap();
    let old = told("closed", Some("2026-11-20T00:00:00Z"));
    let saved = w
        .control
        .put_ticket(&responder, "INC-7", &old)
        .await
        .unwrap();
    assert_eq!(
        (saved.action, state_of(&w, &id).await),
        (Action::None, "active")
    );
    for state in ["closed", "open"] {
        w.pass(1);
        w.control
            .put_ticket(&responder, "INC-7", &told(state, None))
            .await
            .unwrap();
        assert_eq!(state_of(&w, &id).await, "revoked", "{state}");
    }
}

/// A delegation that is made while its ticket is closed: the commits do not meet, and each call looks.
#[tokio::test]
async fn a_delegation_that_slipped_past_the_end_of_its_ticket_lends_nothing() {
    let w = World::new().await;
    let (id, run) = at_work(&w, Some("INC-7")).await;
    let ticket = Ticket {
        id: "INC-7".to_owned(),
        state: "closed".parse().unwrap(),
        as_of: w.books.now(),
        by: Principal::Remit,
        at: w.books.now(),
    };
    w.books
        .commit(&w.org, Change::new().create(&ticket))
        .await
        .unwrap();
    assert_eq!(state_of(&w, &id).await, "active");
    let book = w.books.org(&w.org).unwrap();
    let refused = book.registry().standing(&run, w.books.now()).unwrap_err();
    assert_eq!(refused.code, RefusalCode::ChainBroken);
}
