//! Who may let others hear, and what becomes of what they do not take.

mod heard;

use remit_books::Change;
use remit_domain::event::EventKind;
use remit_domain::finding::FindingKind;
use remit_domain::name::Name;
use remit_domain::signal::{
    DeadSignal, Delivery, SignalEvent, SignalProgress, SignalStream, StreamStatus,
};
use remit_domain::{DeadSignalId, SignalStreamId};
use remit_ports::store::EntryFilter;

use super::*;
use crate::fixture::{ADMIN, AUDITOR, NOBODY, OWNER, RESPONDER, World};

fn soc() -> Name {
    "soc".parse().unwrap()
}

fn spec(audience: &str) -> SignalReceiverSpec {
    SignalReceiverSpec {
        audience: audience.to_owned(),
    }
}

async fn world() -> World {
    let w = World::new().await;
    let spec = spec("https://soc.example");
    let put = w
        .control
        .put_signal_receiver(&w.caller(ADMIN), &soc(), &spec, None)
        .await;
    put.unwrap();
    w
}

fn code<T>(result: Result<T, ControlError>) -> RefusalCode {
    match result {
        Ok(_) => panic!("it was permitted"),
        Err(error) => error.code().unwrap(),
    }
}

#[tokio::test]
async fn only_administrators_let_somebody_hear() {
    let w = world().await;
    for n in [NOBODY, OWNER, AUDITOR, RESPONDER] {
        let caller = w.caller(n);
        let spec = spec("https://x.example");
        let put = w
            .control
            .put_signal_receiver(&caller, &soc(), &spec, None)
            .await;
        assert_eq!(code(put), RefusalCode::Forbidden);
        let made = w.control.make_receiver_token(&caller, &soc(), 1).await;
        assert_eq!(code(made), RefusalCode::Forbidden);
    }
    let refused = w
        .control
        .revoke_signal_receiver(&w.caller(NOBODY), &soc(), "x")
        .await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    let admin = w.caller(ADMIN);
    for wrong in ["", "two words", &"a".repeat(600)] {
        let put = w
            .control
            .put_signal_receiver(&admin, &soc(), &spec(wrong), None)
            .await;
        assert_eq!(code(put), RefusalCode::InvalidRequest, "{wrong}");
    }
    for days in [0, 367] {
        let made = w.control.make_receiver_token(&admin, &soc(), days).await;
        assert_eq!(code(made), RefusalCode::InvalidRequest);
    }
}

#[tokio::test]
async fn a_token_is_kept_as_a_digest_and_ends_with_the_next_or_for_good() {
    let w = world().await;
    let admin = w.caller(ADMIN);
    let digest = |w: &World| {
        let book = w.books.org(&w.org).unwrap();
        let registry = book.registry();
        registry
            .signal_receiver_named("soc")
            .unwrap()
            .digest
            .clone()
    };
    assert!(digest(&w).is_none());
    w.control
        .make_receiver_token(&admin, &soc(), 1)
        .await
        .unwrap();
    let first = digest(&w);
    w.control
        .make_receiver_token(&admin, &soc(), 1)
        .await
        .unwrap();
    assert!(first.is_some() && digest(&w) != first);
    let id = w.control.signal_receiver(&admin, &soc()).await.unwrap().id;
    let revoked = w
        .control
        .revoke_credential(&admin, id.as_str(), "leaked")
        .await;
    assert_eq!(revoked.unwrap().state, "revoked");
    assert!(digest(&w).is_none());
    let responder = w.caller(RESPONDER);
    let gone = w
        .control
        .revoke_signal_receiver(&responder, &soc(), "gone")
        .await;
    assert_eq!(gone.unwrap().state, "revoked");
    let again = w.control.make_receiver_token(&admin, &soc(), 1).await;
    assert_eq!(code(again), RefusalCode::Conflict);
}

/// A stream with a signal that was given up.
async fn dead(w: &World, entry: Option<u64>) -> DeadSignalId {
    let receiver = w
        .control
        .signal_receiver(&w.caller(ADMIN), &soc())
        .await
        .unwrap();
    let now = w.books.now();
    let stream = SignalStream {
        id: w.books.id(SignalStreamId::from_uuid),
        receiver: receiver.id,
        delivery: Delivery::Poll,
        delivered: [SignalEvent::AccountDisabled].into(),
        requested: Vec::new(),
        without: Default::default(),
        description: String::new(),
        status: StreamStatus::Enabled,
        reason: None,
        created: now,
        deleted: None,
    };
    let progress = SignalProgress {
        stream: stream.id.clone(),
        next: 9,
        done: Default::default(),
        again: Vec::new(),
        notices: Vec::new(),
        tries: Default::default(),
        try_at: None,
        last_error: None,
        told: 0,
        dead: 1,
        verified: None,
    };
    let dead = DeadSignal {
        id: w.books.id(DeadSignalId::from_uuid),
        stream: stream.id.clone(),
        jti: format!("{}-7.0", stream.id),
        event: SignalEvent::AccountDisabled,
        entry,
        why: "it answered 500".to_owned(),
        at: now,
        told: None,
    };
    let change = Change::new()
        .create(&stream)
        .create(&progress)
        .create(&dead);
    w.books.commit(&w.org, change).await.unwrap();
    dead.id
}

#[tokio::test]
async fn what_was_given_up_is_a_finding_until_it_is_told_once_more() {
    let w = world().await;
    let id = dead(&w, Some(7)).await;
    let open = async || {
        w.control.look_at_credentials(&w.org).await.unwrap();
        let open = w.control.open_findings(&w.org).await.unwrap();
        open.iter()
            .any(|(kind, _)| *kind == FindingKind::SignalUndelivered)
    };
    assert!(open().await);
    let refused = w.control.retry_signal(&w.caller(NOBODY), &id).await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    let responder = w.caller(RESPONDER);
    let again = w.control.retry_signal(&responder, &id).await.unwrap();
    let key = again.stream.as_str();
    let found = w
        .books
        .get::<SignalProgress>(&w.org, key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.noun.again, found.noun.dead), (vec![again.jti], 0));
    assert!(!open().await);
    assert_eq!(
        code(w.control.retry_signal(&responder, &id).await),
        RefusalCode::Conflict
    );
    let kinds = vec![EventKind::SignalRetried];
    let filter = EntryFilter {
        kinds,
        ..EntryFilter::default()
    };
    assert_eq!(
        w.books
            .store()
            .entries(&w.org, &filter)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_signal_about_the_stream_itself_is_not_told_once_more() {
    let w = world().await;
    let id = dead(&w, None).await;
    let refused = w.control.retry_signal(&w.caller(ADMIN), &id).await;
    assert_eq!(code(refused), RefusalCode::Conflict);
}
