//! What receivers of signals are told, and what keeps a stream from losing, repeating without end, or telling the wrong one.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use remit_domain::event::Event;
use remit_domain::name::Name;
use remit_domain::signal::{DeadSignal, SignalProgress, SignalReceiver};
use remit_domain::upstream::SecretRef;
use remit_domain::{Kind, RefusalCode, SignalStreamId};
use remit_ports::store::Filter;
use remit_ports::vault::VaultError;
use remit_ports::web::{WebError, WebRequest, WebResponse};
use remit_ports::{Secrets, Web};
use remit_token::{OpaqueSecret, SecretKind};
use serde_json::from_value;

use super::*;
use crate::{POLL, PUSH, PollRequest, StatusAsked, StreamAsked, SubjectAsked, VerificationAsked};

/// The other side: what it was sent, and what it answers.
#[derive(Default)]
struct Other {
    heard: Mutex<Vec<WebRequest>>,
    answers: Mutex<Vec<Result<u16, WebError>>>,
}

struct Line(Arc<Other>);

#[async_trait]
impl Web for Line {
    async fn request(&self, _: &OrgId, request: WebRequest) -> Result<WebResponse, WebError> {
        self.0.heard.lock().unwrap().push(request);
        let status = self.0.answers.lock().unwrap().pop().unwrap_or(Ok(202))?;
        let body = json!({ "err": "invalid_audience", "description": "not for us" });
        Ok(WebResponse {
            status,
            content_type: None,
            max_age_s: None,
            body: body.to_string().into_bytes(),
        })
    }
}

struct NoSecret;

#[async_trait]
impl Secrets for NoSecret {
    fn may_name(&self, _: &Name, _: &SecretRef) -> Result<(), VaultError> {
        Ok(())
    }

    async fn read(&self, _: &Name, _: &SecretRef) -> Result<SecretString, VaultError> {
        Ok(SecretString::from(""))
    }
}

struct House {
    w: World,
    other: Arc<Other>,
    receiver: Arc<SignalReceiver>,
    token: String,
}

impl House {
    async fn new() -> Self {
        let mut w = World::new().await;
        let other = Arc::new(Other::default());
        let web = Arc::new(Line(other.clone()));
        w.issuer = w.issuer.clone().with_web(web, Arc::new(NoSecret));
        let (receiver, token) = receiver(&w, "soc").await;
        Self {
            w,
            other,
            receiver,
            token,
        }
    }

    async fn stream(&self, asked: Value) -> SignalStreamId {
        let asked: StreamAsked = from_value(asked).unwrap();
        let made = self
            .w
            .issuer
            .create_stream(&self.w.acme, &self.receiver, &asked);
        made.await.unwrap().stream_id
    }

    async fn pushed(&self) -> SignalStreamId {
        self.stream(
            json!({ "delivery": { "method": PUSH, "endpoint_url": "https://soc.example/events",
            "authorization_header": "Bearer theirs" } }),
        )
        .await
    }

    /// The directory says that Maria has left, as far as entries tell of it.
    async fn happened(&self, kind: EventKind, about: &PersonId) {
        let now = self.w.books.now();
        let event = Event::new(kind, now, Principal::Remit).about(about);
        let change = Change::new().event(event);
        self.w.books.commit(&self.w.acme, change).await.unwrap();
    }

    async fn left(&self) {
        self.happened(EventKind::PersonLeft, &self.w.maria).await;
    }

    async fn poll(&self, id: &SignalStreamId, asked: Value) -> crate::PollResponse {
        let asked: PollRequest = from_value(asked).unwrap();
        let told = self
            .w
            .issuer
            .poll_signals(&self.w.acme, &self.receiver, id, &asked);
        told.await.unwrap()
    }

    fn heard(&self) -> Vec<Value> {
        let mut heard = self.other.heard.lock().unwrap();
        let all = heard.drain(..);
        all.map(|r| claims(std::str::from_utf8(&r.body).unwrap()))
            .collect()
    }

    fn answers(&self, answers: &[Result<u16, WebError>]) {
        let mut all = answers.to_vec();
        all.reverse();
        *self.other.answers.lock().unwrap() = all;
    }

    async fn progress(&self, id: &SignalStreamId) -> SignalProgress {
        let found = self
            .w
            .books
            .get::<SignalProgress>(&self.w.acme, id.as_str());
        found.await.unwrap().unwrap().noun
    }
}

async fn receiver(w: &World, name: &str) -> (Arc<SignalReceiver>, String) {
    let secret = OpaqueSecret::new(SecretKind::Signal, w.books.random());
    let now = w.books.now();
    let receiver = SignalReceiver {
        id: w.books.id(remit_domain::SignalReceiverId::from_uuid),
        name: name.parse().unwrap(),
        audience: format!("https://{name}.example"),
        digest: Some(hex::encode(secret.digest().as_bytes())),
        made: now,
        expires: now.plus_secs(86_400),
        made_by: w.owner.clone(),
        revoked: None,
    };
    put(&w.books, &w.acme, &receiver).await;
    (Arc::new(receiver), secret.format().as_str().to_owned())
}

fn claims(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

fn events(heard: &[Value]) -> Vec<String> {
    let all = heard
        .iter()
        .flat_map(|c| c["events"].as_object().unwrap().keys());
    all.map(|uri| uri.rsplit('/').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn somebody_who_left_is_told_of_in_order_signed_and_for_one_receiver() {
    let h = House::new().await;
    h.left().await;
    h.pushed().await;
    h.left().await;
    h.w.issuer.tell_signals().await;
    let sent = h.other.heard.lock().unwrap().clone();
    assert_eq!(sent.len(), 2, "what was before the stream is not told");
    assert_eq!(sent[0].url, "https://soc.example/events");
    let header = |name: &str| {
        let found = sent[0].headers.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.clone())
    };
    assert_eq!(header("authorization").as_deref(), Some("Bearer theirs"));
    assert_eq!(
        header("content-type").as_deref(),
        Some("application/secevent+jwt")
    );
    let heard = h.heard();
    assert_eq!(events(&heard), ["account-disabled", "session-revoked"]);
    let first = &heard[0];
    assert_eq!(
        (&first["iss"], &first["aud"]),
        (&json!(URL), &json!("https://soc.example"))
    );
    assert_eq!(
        first["sub_id"],
        json!({ "format": "email", "email": "maria@acme.example" })
    );
    let said =
        &first["events"]["https://schemas.openid.net/secevent/risc/event-type/account-disabled"];
    assert_eq!(said["event_timestamp"], json!(h.w.books.now().as_secs()));
    h.w.issuer.tell_signals().await;
    assert!(h.heard().is_empty(), "once");
}

#[tokio::test]
async fn what_a_receiver_did_not_take_is_told_again_in_order_with_growing_pauses() {
    let h = House::new().await;
    let id = h.pushed().await;
    h.left().await;
    h.answers(&[Err(WebError::Timeout)]);
    h.w.issuer.tell_signals().await;
    let first = h.heard();
    assert_eq!(first.len(), 1, "nothing overtakes it");
    h.w.issuer.tell_signals().await;
    assert!(h.heard().is_empty(), "not before the pause is over");
    h.w.clock.advance(Duration::from_secs(5));
    h.answers(&[Ok(503)]);
    h.w.issuer.tell_signals().await;
    h.heard();
    h.w.clock.advance(Duration::from_secs(9));
    h.w.issuer.tell_signals().await;
    assert!(h.heard().is_empty(), "the second pause is longer");
    h.w.clock.advance(Duration::from_secs(1));
    h.w.issuer.tell_signals().await;
    let again = h.heard();
    assert_eq!(again.len(), 2);
    assert_eq!(again[0]["jti"], first[0]["jti"], "it is the same signal");
    assert_eq!(h.progress(&id).await.told, 2);
}

#[tokio::test]
async fn what_is_never_taken_is_given_up_and_the_rest_is_told() {
    let h = House::new().await;
    let id = h.pushed().await;
    h.left().await;
    for _ in 0..3 {
        h.answers(&[Ok(400)]);
        h.w.issuer.tell_signals().await;
        h.w.clock.advance(Duration::from_secs(3_600));
    }
    let heard = h.heard();
    assert_eq!(
        events(&heard)[3..],
        ["session-revoked"],
        "the next one came in the same round"
    );
    let filter = Filter {
        parent: Some(id.to_string()),
        limit: 10,
        ..Filter::default()
    };
    let (dead, _) =
        h.w.books
            .list::<DeadSignal>(&h.w.acme, &filter)
            .await
            .unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].noun.why, "it says invalid_audience: not for us");
    let book = h.w.books.org(&h.w.acme).unwrap();
    assert!(book.registry().findings.contains_key(id.as_str()));
    let progress = h.progress(&id).await;
    assert_eq!((progress.told, progress.dead), (1, 1));
}

#[tokio::test]
async fn a_process_that_dies_between_loses_nothing() {
    let h = House::new().await;
    let id = h.stream(json!({})).await;
    h.left().await;
    let told = h.poll(&id, json!({})).await;
    assert_eq!(told.sets.len(), 2);
    let again = Issuer::new(h.w.books.clone(), URL, "acme".parse().unwrap()).unwrap();
    let asked = PollRequest::default();
    let told_again = again
        .poll_signals(&h.w.acme, &h.receiver, &id, &asked)
        .await;
    let names = |r: &crate::PollResponse| r.sets.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&told_again.unwrap()), names(&told));
}

#[tokio::test]
async fn what_was_acknowledged_is_not_told_again_in_whatever_order() {
    let h = House::new().await;
    let id = h.stream(json!({ "delivery": { "method": POLL } })).await;
    h.left().await;
    h.left().await;
    let first = h.poll(&id, json!({ "maxEvents": 1 })).await;
    assert_eq!((first.sets.len(), first.more_available), (1, true));
    let all = h.poll(&id, json!({})).await;
    let names: Vec<String> = all.sets.keys().cloned().collect();
    assert_eq!(names.len(), 4);
    let rest = h
        .poll(&id, json!({ "ack": [names[3], names[1], "sgs_other-1.0"] }))
        .await;
    assert_eq!(rest.sets.keys().collect::<Vec<_>>(), [&names[0], &names[2]]);
    let errs = json!({ "ack": [names[0]], "setErrs": { names[2].clone(): { "err": "invalid_key", "description": "d" } } });
    assert!(h.poll(&id, errs).await.sets.is_empty());
    let progress = h.progress(&id).await;
    assert_eq!(
        (progress.told, progress.dead, progress.done.len()),
        (3, 1, 0)
    );
}

#[tokio::test]
async fn a_paused_stream_keeps_and_a_disabled_one_forgets() {
    let h = House::new().await;
    let id = h.stream(json!({})).await;
    let set = async |status: &str| {
        let asked: StatusAsked = from_value(json!({ "stream_id": id, "status": status })).unwrap();
        let set = h.w.issuer.set_stream_status(&h.w.acme, &h.receiver, &asked);
        set.await.unwrap();
    };
    set("paused").await;
    h.left().await;
    assert!(h.poll(&id, json!({})).await.sets.is_empty());
    set("enabled").await;
    assert_eq!(h.poll(&id, json!({})).await.sets.len(), 2);
    set("disabled").await;
    h.left().await;
    set("enabled").await;
    assert!(h.poll(&id, json!({})).await.sets.is_empty());
}

#[tokio::test]
async fn a_verification_says_the_state_and_comes_at_most_every_ten_seconds() {
    let h = House::new().await;
    let id = h.stream(json!({})).await;
    let asked: VerificationAsked = from_value(json!({ "stream_id": id, "state": "s-1" })).unwrap();
    let verify = || h.w.issuer.verify_stream(&h.w.acme, &h.receiver, &asked);
    verify().await.unwrap();
    assert_eq!(verify().await.unwrap_err().code, RefusalCode::Limited);
    let told = h.poll(&id, json!({})).await;
    let said = claims(told.sets.values().next().unwrap());
    assert_eq!(events(std::slice::from_ref(&said)), ["verification"]);
    assert_eq!(said["sub_id"], json!({ "format": "opaque", "id": id }));
    let uri = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    assert_eq!(said["events"][uri], json!({ "state": "s-1" }));
    let names: Vec<String> = told.sets.keys().cloned().collect();
    assert!(h.poll(&id, json!({ "ack": names })).await.sets.is_empty());
}

#[tokio::test]
async fn a_receiver_hears_what_it_asked_for_of_what_there_is_and_no_more() {
    let h = House::new().await;
    let only = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    let id = h
        .stream(
            json!({ "events_requested": [only, "https://unknown.example/e"], "description": "d" }),
        )
        .await;
    h.left().await;
    let told = h.poll(&id, json!({})).await;
    let said: Vec<Value> = told.sets.values().map(|t| claims(t)).collect();
    assert_eq!(events(&said), ["session-revoked"]);
    let shown =
        h.w.issuer
            .streams(&h.w.acme, &h.receiver, Some(&id))
            .unwrap();
    let shown = serde_json::to_value(&shown[0]).unwrap();
    assert_eq!(shown["events_delivered"], json!([only]));
    assert!(!shown.to_string().contains("theirs"));
}

#[tokio::test]
async fn nobody_reaches_anothers_streams_or_comes_in_with_a_token_of_another_sort() {
    let h = House::new().await;
    let id = h.stream(json!({})).await;
    let (stranger, _) = receiver(&h.w, "stranger").await;
    let (i, acme) = (&h.w.issuer, &h.w.acme);
    let not_found = |code: RefusalCode| assert_eq!(code, RefusalCode::NotFound);
    not_found(i.streams(acme, &stranger, Some(&id)).unwrap_err().code);
    not_found(i.stream_status(acme, &stranger, &id).unwrap_err().code);
    not_found(
        i.delete_stream(acme, &stranger, &id)
            .await
            .unwrap_err()
            .code,
    );
    let asked = PollRequest::default();
    not_found(
        i.poll_signals(acme, &stranger, &id, &asked)
            .await
            .unwrap_err()
            .code,
    );
    assert!(i.authenticate_receiver(acme, Some(&h.token)).await.is_ok());
    let pat = OpaqueSecret::new(SecretKind::Scim, [7; 32]).format();
    for wrong in [None, Some(pat.as_str()), Some("rmt_sig_x")] {
        let refused = i.authenticate_receiver(acme, wrong).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Unauthenticated);
    }
    let elsewhere = i.authenticate_receiver(&h.w.globex, Some(&h.token)).await;
    assert_eq!(elsewhere.unwrap_err().code, RefusalCode::Unauthenticated);
    h.w.clock.advance(Duration::from_secs(86_400));
    let over = i.authenticate_receiver(acme, Some(&h.token)).await;
    assert_eq!(over.unwrap_err().code, RefusalCode::Unauthenticated);
}

#[tokio::test]
async fn a_stream_of_a_revoked_receiver_tells_nothing() {
    let h = House::new().await;
    h.pushed().await;
    h.left().await;
    let revision = {
        let book = h.w.books.org(&h.w.acme).unwrap();
        let registry = book.registry();
        registry.revision(Kind::SignalReceiver, h.receiver.id.as_str())
    };
    let gone = SignalReceiver {
        revoked: Some(h.w.books.now()),
        ..SignalReceiver::clone(&h.receiver)
    };
    let change = Change::new().update(&gone, revision.unwrap());
    h.w.books.commit(&h.w.acme, change).await.unwrap();
    h.w.issuer.tell_signals().await;
    assert!(h.heard().is_empty());
}

#[tokio::test]
async fn limits_hold_on_streams_addresses_and_headers() {
    let h = House::new().await;
    for _ in 0..4 {
        h.stream(json!({})).await;
    }
    let create = async |asked: Value| {
        let asked: StreamAsked = from_value(asked).unwrap();
        let made = h.w.issuer.create_stream(&h.w.acme, &h.receiver, &asked);
        made.await.unwrap_err().code
    };
    assert_eq!(create(json!({})).await, RefusalCode::Conflict);
    let id = h.w.issuer.streams(&h.w.acme, &h.receiver, None).unwrap()[0]
        .stream_id
        .clone();
    h.w.issuer
        .delete_stream(&h.w.acme, &h.receiver, &id)
        .await
        .unwrap();
    for wrong in [
        json!({ "method": "urn:x" }),
        json!({ "method": PUSH }),
        json!({ "method": PUSH, "endpoint_url": "ftp://soc.example" }),
        json!({ "method": PUSH, "endpoint_url": "https://soc.example", "authorization_header": "a\r\nb: c" }),
    ] {
        let code = create(json!({ "delivery": wrong })).await;
        assert_eq!(code, RefusalCode::InvalidRequest);
    }
    let many = vec!["https://e.example"; 65];
    assert_eq!(
        create(json!({ "events_requested": many })).await,
        RefusalCode::InvalidRequest
    );
}

#[tokio::test]
async fn a_contained_run_workflow_or_key_is_told_of_as_what_it_is_and_once() {
    let h = House::new().await;
    let id = h.stream(json!({})).await;
    let agent = h.w.triage.id.clone();
    for (kind, name, again) in [
        ("agent", agent.as_str(), false),
        ("run", "run_1", false),
        ("run", "run_1", true),
        ("workflow", "wf_1", false),
        ("credential", "thumbprint", false),
    ] {
        let event = Event::new(EventKind::Contained, h.w.books.now(), Principal::Remit)
            .agent(&agent)
            .fact("target", json!({ "type": kind, "id": name }))
            .fact("again", again);
        let change = Change::new().event(event);
        h.w.books.commit(&h.w.acme, change).await.unwrap();
    }
    let told = h.poll(&id, json!({})).await;
    let said: Vec<Value> = told.sets.values().map(|t| claims(t)).collect();
    assert_eq!(said.len(), 3, "{said:#?}");
    let user = json!({ "format": "iss_sub", "iss": URL, "sub": agent });
    let of = |member: &str, id: &str| {
        let mut subject = json!({ "format": "complex", "user": user });
        subject[member] = json!({ "format": "opaque", "id": id });
        subject
    };
    for (event, subject) in [
        ("session-revoked", of("session", "run_1")),
        ("session-revoked", of("application", "wf_1")),
        ("credential-change", user.clone()),
    ] {
        let one = said.iter().find(|s| s["sub_id"] == subject);
        let one = one.unwrap_or_else(|| panic!("{subject} in {said:#?}"));
        assert_eq!(events(std::slice::from_ref(one)), [event]);
    }
}

#[tokio::test]
async fn a_receiver_hears_nothing_of_whom_it_took_out_until_it_wants_to_again() {
    let h = House::new().await;
    let id = h.stream(json!({})).await;
    let set = async |email: &str, hears: bool| {
        let subject = json!({ "format": "email", "email": email });
        let asked: SubjectAsked =
            from_value(json!({ "stream_id": id, "subject": subject })).unwrap();
        let (i, acme) = (&h.w.issuer, &h.w.acme);
        i.set_subject(acme, &h.receiver, &asked, hears).await
    };
    set("maria@acme.example", false).await.unwrap();
    h.left().await;
    assert!(h.poll(&id, json!({})).await.sets.is_empty());
    set("maria@acme.example", true).await.unwrap();
    h.left().await;
    assert_eq!(h.poll(&id, json!({})).await.sets.len(), 2);
    let wrong = set("", false).await.unwrap_err();
    assert_eq!(wrong.code, RefusalCode::InvalidRequest);
    for n in 0..200 {
        set(&format!("p{n}@acme.example"), false).await.unwrap();
    }
    let over = set("one.more@acme.example", false).await.unwrap_err();
    assert_eq!(over.code, RefusalCode::LimitExceeded);
    let (stranger, _) = receiver(&h.w, "stranger").await;
    let asked: SubjectAsked =
        from_value(json!({ "stream_id": id, "subject": { "format": "opaque", "id": "x" } }))
            .unwrap();
    let other = h.w.issuer.set_subject(&h.w.acme, &stranger, &asked, false);
    assert_eq!(other.await.unwrap_err().code, RefusalCode::NotFound);
}

#[tokio::test]
async fn a_receiver_that_asks_without_end_waits() {
    let h = House::new().await;
    let (i, acme) = (&h.w.issuer, &h.w.acme);
    for _ in 0..crate::limits::CLIENT_REQUESTS_PER_MINUTE {
        i.authenticate_receiver(acme, Some(&h.token)).await.unwrap();
    }
    let over = i.authenticate_receiver(acme, Some(&h.token)).await;
    assert_eq!(over.unwrap_err().code, RefusalCode::Limited);
}

#[tokio::test]
async fn of_two_streams_that_are_made_at_once_only_one_is_the_last() {
    let h = House::new().await;
    for _ in 0..3 {
        h.stream(json!({})).await;
    }
    let asked: StreamAsked = from_value(json!({})).unwrap();
    let plan = async || {
        let planned = h.w.issuer.plan_stream(&h.w.acme, &h.receiver, &asked).await;
        planned.unwrap().1
    };
    // Both are counted before either is made.
    let (one, other) = (plan().await, plan().await);
    assert!(h.w.books.commit(&h.w.acme, one).await.is_ok());
    assert!(h.w.books.commit(&h.w.acme, other).await.is_err());
    let all = h.w.issuer.streams(&h.w.acme, &h.receiver, None).unwrap();
    assert_eq!(all.len(), 4);
}
