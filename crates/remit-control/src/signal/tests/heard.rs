//! What signals do here: to whom they may, once, and never more than taking away.

use remit_domain::agent::AgentState;
use remit_domain::containment::{Level, Target};
use remit_domain::credential::PersonToken;
use remit_domain::credential::Token;
use remit_domain::idp::{IdentityProvider, PROVIDER_KEY, ProviderSettings, SetBy};
use remit_domain::run::{Run, RunEnd, RunState};
use remit_domain::{AgentId, Kind, Person, Principal};
use remit_token::{Complex, SubjectId};
use serde_json::json;

use super::*;
use crate::fixture::{ADMIN_TOO, CLERK, id};

const IDP: &str = "https://login.acme.example";
const OURS: &str = "https://remit.example";

fn name() -> Name {
    "okta".parse().unwrap()
}

fn email(n: u8) -> SubjectId {
    let email = format!("p{n}@acme.example");
    SubjectId::Email { email }
}

fn sub(iss: &str, sub: &str) -> SubjectId {
    let (iss, sub) = (iss.to_owned(), sub.to_owned());
    SubjectId::IssSub { iss, sub }
}

fn opaque(id: &str) -> SubjectId {
    SubjectId::Opaque { id: id.to_owned() }
}

fn believed(more: serde_json::Value) -> SignalTransmitterSpec {
    let mut spec = json!({ "issuer": IDP, "keys": { "discovery": {} }, "audience": OURS });
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

async fn put(
    w: &World,
    by: u8,
    name: &str,
    more: serde_json::Value,
) -> Result<crate::Saved<SignalTransmitterView>, ControlError> {
    let (name, spec) = (name.parse().unwrap(), believed(more));
    let control = &w.control;
    control
        .put_signal_transmitter(&w.caller(by), &name, &spec, None)
        .await
}

async fn revoke(w: &World, by: u8) -> Result<SignalTransmitterView, ControlError> {
    let control = &w.control;
    control
        .revoke_signal_transmitter(&w.caller(by), &name(), "leaked")
        .await
}

struct House {
    w: World,
    transmitter: remit_domain::SignalTransmitterId,
    told: std::cell::Cell<u32>,
}

impl House {
    /// A house that hears a transmitter of which this is believed.
    async fn hearing(more: serde_json::Value) -> Self {
        let w = World::new().await;
        let transmitter = put(&w, ADMIN, "okta", more).await.unwrap().view.id;
        Self {
            w,
            transmitter,
            told: std::cell::Cell::new(0),
        }
    }

    /// The same, where people sign in with who tells.
    async fn of_provider() -> Self {
        let h = Self::hearing(json!({})).await;
        let settings: ProviderSettings = serde_json::from_value(json!({
            "issuer": IDP, "client_id": "remit", "subjects": { "00u1": "p4@acme.example" }
        }))
        .unwrap();
        let by = SetBy {
            person: id("per", ADMIN).parse().unwrap(),
            at: h.w.books.now(),
        };
        let provider = IdentityProvider::set(settings, None, &by);
        let change = Change::new().create(&provider);
        h.w.books.commit(&h.w.org, change).await.unwrap();
        h
    }

    fn heard(&self, event: SignalEvent, subject: SubjectId) -> SignalHeard {
        self.told.set(self.told.get() + 1);
        SignalHeard {
            transmitter: self.transmitter.clone(),
            id: format!("{:064}", self.told.get()),
            event: Some(event),
            change: None,
            subject,
            issuer: OURS.to_owned(),
        }
    }

    async fn take(&self, event: SignalEvent, subject: SubjectId) -> SignalDone {
        let heard = self.heard(event, subject);
        self.w
            .control
            .take_signal(&self.w.org, &heard)
            .await
            .unwrap()
    }

    fn state(&self, n: u8) -> String {
        let book = self.w.books.org(&self.w.org).unwrap();
        let person: remit_domain::PersonId = id("per", n).parse().unwrap();
        let registry = book.registry();
        remit_domain::Noun::state(&*registry.people[&person]).to_owned()
    }

    fn agent(&self, n: u8) -> AgentState {
        let book = self.w.books.org(&self.w.org).unwrap();
        let agent: AgentId = id("agt", n).parse().unwrap();
        book.registry().agents[&agent].state
    }

    async fn end_of(&self, run: &Run) -> Option<RunEnd> {
        let found = self.w.books.get::<Run>(&self.w.org, run.id.as_str());
        match found.await.unwrap().unwrap().noun.state {
            RunState::Ended { cause, .. } => Some(cause),
            _ => None,
        }
    }

    async fn entries(&self) -> Vec<serde_json::Value> {
        let filter = EntryFilter {
            kinds: vec![EventKind::SignalHeard],
            limit: 100,
            ..EntryFilter::default()
        };
        let found = self.w.books.store().entries(&self.w.org, &filter);
        let leaves = found.await.unwrap().into_iter();
        leaves
            .map(|e| serde_json::from_slice(&e.leaf).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn whoever_the_identity_provider_disables_is_suspended_once_and_stays_so() {
    let h = House::of_provider().await;
    let (first, _, run, child) = h.w.chain().await;
    let epoch = h.w.books.org(&h.w.org).unwrap().epoch();
    let heard = h.heard(SignalEvent::AccountDisabled, sub(IDP, "00u1"));
    let take = || h.w.control.take_signal(&h.w.org, &heard);
    assert_eq!(take().await.unwrap(), SignalDone::Suspended);
    assert_eq!(h.state(CLERK), "suspended");
    assert!(h.end_of(&run).await.is_some() && h.end_of(&child).await.is_some());
    assert!(h.w.books.org(&h.w.org).unwrap().epoch() > epoch);
    let book = h.w.books.org(&h.w.org).unwrap();
    assert!(!book.registry().delegations.contains_key(&first.id) || run.person.is_some());
    // The same signal again, and one that would give back what was taken, do nothing.
    assert_eq!(take().await.unwrap(), SignalDone::Repeated);
    let back = h.take(SignalEvent::AccountEnabled, sub(IDP, "00u1")).await;
    assert_eq!(back, SignalDone::NothingFollows);
    assert_eq!(h.state(CLERK), "suspended");
    let entries = h.entries().await;
    assert_eq!(entries.len(), 2, "a repeated one is no entry");
    assert_eq!(entries[0]["facts"]["done"], "suspended");
    assert_eq!(entries[0]["actor"]["type"], "transmitter");
    assert!(!entries[0].to_string().contains("00u1"), "it is sealed");
}

#[tokio::test]
async fn a_suspension_that_raced_with_its_own_signal_happens_once() {
    let h = House::of_provider().await;
    let heard = h.heard(SignalEvent::AccountDisabled, email(CLERK));
    let take = || h.w.control.take_signal(&h.w.org, &heard);
    let (a, b, c, d) = tokio::join!(take(), take(), take(), take());
    let done: Vec<SignalDone> = [a, b, c, d].into_iter().map(Result::unwrap).collect();
    let first = |d: &&SignalDone| **d == SignalDone::Suspended;
    assert_eq!(done.iter().filter(first).count(), 1, "{done:?}");
    let repeated = |d: &&SignalDone| **d == SignalDone::Repeated;
    assert_eq!(done.iter().filter(repeated).count(), 3, "{done:?}");
}

#[tokio::test]
async fn revoked_sessions_end_what_acts_for_a_person_who_goes_on() {
    let h = House::of_provider().await;
    let (_, _, run, child) = h.w.chain().await;
    let other = h.w.start(1, None, Vec::new(), None).await;
    let session = SubjectId::Complex(Box::new(Complex {
        user: Some(email(CLERK)),
        session: Some(opaque("their-own-name-of-it")),
        ..Complex::default()
    }));
    let done = h.take(SignalEvent::SessionRevoked, session).await;
    assert_eq!(done, SignalDone::Ended);
    assert_eq!(h.end_of(&run).await, Some(RunEnd::Signalled));
    assert!(h.end_of(&child).await.is_some());
    assert_eq!(h.end_of(&other).await, None, "it does not act for them");
    assert_eq!(h.state(CLERK), "active");
}

fn personal(h: &House, n: u8) -> PersonToken {
    let now = h.w.books.now();
    PersonToken {
        digest: "c1".repeat(32),
        person: id("per", n).parse().unwrap(),
        label: String::new(),
        created: now,
        expires: now.plus_secs(3_600),
        revoked: None,
    }
}

#[tokio::test]
async fn a_changed_credential_ends_a_persons_own_tokens_and_leaves_what_they_delegated() {
    let h = House::of_provider().await;
    let (_, _, run, _) = h.w.chain().await;
    let token = personal(&h, CLERK);
    let change = Change::new().create(&token);
    h.w.books.commit(&h.w.org, change).await.unwrap();
    let revoked = async || {
        let found = h.w.books.get::<PersonToken>(&h.w.org, &token.digest);
        found.await.unwrap().unwrap().noun.revoked.is_some()
    };
    let mut heard = h.heard(SignalEvent::CredentialChange, email(CLERK));
    heard.change = Some("create".to_owned());
    let done = h.w.control.take_signal(&h.w.org, &heard).await.unwrap();
    assert_eq!((done, revoked().await), (SignalDone::NothingFollows, false));
    let mut heard = h.heard(SignalEvent::CredentialChange, email(CLERK));
    heard.change = Some("revoke".to_owned());
    let done = h.w.control.take_signal(&h.w.org, &heard).await.unwrap();
    assert_eq!((done, revoked().await), (SignalDone::Ended, true));
    assert_eq!(h.end_of(&run).await, None);
    let worse = h
        .take(SignalEvent::CredentialCompromise, email(CLERK))
        .await;
    assert_eq!(worse, SignalDone::Ended);
    assert!(h.end_of(&run).await.is_some());
}

#[tokio::test]
async fn nobody_tells_of_people_who_are_not_theirs() {
    // It is nobody's identity provider, and was given one name.
    let h = House::hearing(json!({ "people": { "00u9": "p9@acme.example" } })).await;
    let tell = async |subject| h.take(SignalEvent::AccountDisabled, subject).await;
    assert_eq!(tell(email(CLERK)).await, SignalDone::NotTheirs);
    assert_eq!(tell(opaque(&id("per", CLERK))).await, SignalDone::NotTheirs);
    assert_eq!(
        tell(sub(OURS, &id("per", CLERK))).await,
        SignalDone::NotTheirs
    );
    assert_eq!(tell(sub(IDP, "00u1")).await, SignalDone::NobodyHere);
    assert_eq!(
        tell(sub("https://other.example", "00u9")).await,
        SignalDone::NobodyHere
    );
    assert_eq!(h.state(CLERK), "active");
    assert_eq!(tell(sub(IDP, "00u9")).await, SignalDone::Suspended);
    assert_eq!(h.state(NOBODY), "suspended");
    // Each is recorded, by its own reason.
    let entries = h.entries().await;
    let told: Vec<_> = entries.iter().map(|e| &e["facts"]["done"]).collect();
    assert_eq!(told.len(), 6);
    assert_eq!(told[0], "not_theirs");
}

#[tokio::test]
async fn a_provider_that_is_off_or_another_one_tells_of_nobody() {
    let h = House::of_provider().await;
    let found =
        h.w.books
            .get::<IdentityProvider>(&h.w.org, PROVIDER_KEY)
            .await;
    let found = found.unwrap().unwrap();
    let mut off = found.noun;
    off.settings.enabled = false;
    let change = Change::new().update(&off, found.revision);
    h.w.books.commit(&h.w.org, change).await.unwrap();
    let done = h.take(SignalEvent::AccountDisabled, email(CLERK)).await;
    assert_eq!(done, SignalDone::NotTheirs);
    let by_subject = h.take(SignalEvent::AccountDisabled, sub(IDP, "00u1")).await;
    assert_eq!(by_subject, SignalDone::NobodyHere);
}

#[tokio::test]
async fn a_signal_locks_nobodys_house() {
    let h = House::of_provider().await;
    let tell = async |n| h.take(SignalEvent::AccountDisabled, email(n)).await;
    assert_eq!(tell(ADMIN_TOO).await, SignalDone::Suspended);
    assert_eq!(tell(ADMIN).await, SignalDone::OutOfReach);
    let token = personal(&h, ADMIN);
    let change = Change::new().create(&token);
    h.w.books.commit(&h.w.org, change).await.unwrap();
    for event in SignalEvent::HEARD {
        h.take(event, email(ADMIN)).await;
        let found = h.w.books.get::<PersonToken>(&h.w.org, &token.digest);
        let kept = found.await.unwrap().unwrap().noun;
        assert!(kept.revoked.is_none(), "{event:?}");
    }
    assert_eq!(h.state(ADMIN), "active");
    let key = id("per", CLERK);
    let found =
        h.w.books
            .get::<Person>(&h.w.org, &key)
            .await
            .unwrap()
            .unwrap();
    let glass = Person {
        break_glass: true,
        ..found.noun
    };
    let change = Change::new().update(&glass, found.revision);
    h.w.books.commit(&h.w.org, change).await.unwrap();
    for event in SignalEvent::HEARD {
        assert_eq!(h.take(event, email(CLERK)).await, SignalDone::OutOfReach);
    }
    assert_eq!(h.state(CLERK), "active");
}

#[tokio::test]
async fn an_agent_is_contained_where_its_transmitter_may_tell_of_it() {
    let h = House::hearing(json!({ "agents": { "bot-7": "support" } })).await;
    let run = h.w.start(1, None, Vec::new(), None).await;
    let tell = async |event, subject| h.take(event, subject).await;
    let other = sub(OURS, &id("agt", 2));
    let done = tell(SignalEvent::AccountDisabled, other).await;
    assert_eq!(
        (done, h.agent(2)),
        (SignalDone::NotTheirs, AgentState::Active)
    );
    let done = tell(SignalEvent::SessionRevoked, sub(IDP, "bot-7")).await;
    assert_eq!(done, SignalDone::Ended);
    assert_eq!(h.end_of(&run).await, Some(RunEnd::Signalled));
    assert_eq!(h.agent(1), AgentState::Active, "it may begin anew");
    let heard = h.heard(SignalEvent::AccountDisabled, sub(OURS, &id("agt", 1)));
    let take = || h.w.control.take_signal(&h.w.org, &heard);
    assert_eq!(take().await.unwrap(), SignalDone::Contained);
    assert_eq!(h.agent(1), AgentState::Suspended);
    let book = h.w.books.org(&h.w.org).unwrap();
    let target = Target::Agent(id("agt", 1).parse().unwrap());
    let contained = {
        let registry = book.registry();
        let mut standing = registry.containments.values();
        standing.find(|c| c.target == target).cloned().unwrap()
    };
    assert_eq!(contained.level, Level::Suspend);
    assert_eq!(contained.by, Principal::Transmitter(h.transmitter.clone()));
    // Repeated it does nothing; the next one finds it so already.
    assert!(matches!(
        take().await.unwrap(),
        SignalDone::SoAlready | SignalDone::Repeated
    ));
    let done = tell(SignalEvent::AccountDisabled, sub(IDP, "bot-7")).await;
    assert_eq!(done, SignalDone::SoAlready);
}

#[tokio::test]
async fn a_token_or_key_of_an_agent_is_contained_by_its_name_here() {
    let h = House::hearing(json!({ "every_agent": true })).await;
    let run = h.w.start(1, None, Vec::new(), None).await;
    let token: Token = h.w.token(&run).await;
    let jti = SubjectId::JwtId {
        iss: OURS.to_owned(),
        jti: token.id.to_string(),
    };
    let done = h.take(SignalEvent::CredentialChange, jti).await;
    assert_eq!(done, SignalDone::Contained);
    let found = h.w.books.get::<Token>(&h.w.org, token.id.as_str()).await;
    assert!(found.unwrap().unwrap().noun.revoked.is_some());
    let key = h.take(SignalEvent::CredentialCompromise, opaque("thumb-1"));
    assert_eq!(key.await, SignalDone::Contained);
    assert_eq!(h.agent(1), AgentState::Active);
    let elsewhere = SubjectId::JwtId {
        iss: "https://other.example".to_owned(),
        jti: token.id.to_string(),
    };
    let done = h.take(SignalEvent::CredentialChange, elsewhere).await;
    assert_eq!(done, SignalDone::NobodyHere);
}

#[tokio::test]
async fn a_transmitter_tells_what_it_may_and_nothing_after_it_was_revoked() {
    let h = House::hearing(json!({
        "people": { "x": "p4@acme.example" }, "events": ["session-revoked"]
    }))
    .await;
    let done = h.take(SignalEvent::AccountDisabled, opaque("x")).await;
    assert_eq!(done, SignalDone::NothingFollows);
    let done = h.take(SignalEvent::Verification, opaque("stream")).await;
    assert_eq!(done, SignalDone::Verified);
    let admin = h.w.caller(ADMIN);
    for n in [NOBODY, OWNER, AUDITOR] {
        let put = put(&h.w, n, "okta", json!({})).await;
        assert_eq!(code(put), RefusalCode::Forbidden);
        assert_eq!(code(revoke(&h.w, n).await), RefusalCode::Forbidden);
    }
    let made = h.w.control.make_transmitter_token(&admin, &name(), 1).await;
    made.unwrap();
    let digest = || {
        let book = h.w.books.org(&h.w.org).unwrap();
        let registry = book.registry();
        registry.signal_transmitters[&h.transmitter].digest.clone()
    };
    assert!(digest().is_some());
    let gone = revoke(&h.w, RESPONDER).await;
    assert_eq!(gone.unwrap().state, "revoked");
    assert!(digest().is_none());
    let heard = h.heard(SignalEvent::SessionRevoked, opaque("x"));
    let refused = h.w.control.take_signal(&h.w.org, &heard).await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
}

#[tokio::test]
async fn what_is_believed_of_a_transmitter_has_limits() {
    let h = House::hearing(json!({})).await;
    let many: serde_json::Map<_, _> = (0..1_001)
        .map(|n| (format!("u{n}"), json!("p4@acme.example")))
        .collect();
    for wrong in [
        json!({ "issuer": "http://login.acme.example" }),
        json!({ "issuer": "https://u:p@login.acme.example" }),
        json!({ "keys": { "jwks_uri": "http://169.254.169.254/keys" } }),
        json!({ "keys": { "jwks": { "keys": "x" } } }),
        json!({ "algorithms": [] }),
        json!({ "audience": "two words" }),
        json!({ "events": ["account-enabled"] }),
        json!({ "people": { "x": "nobody@acme.example" } }),
        json!({ "people": { "": "p4@acme.example" } }),
        json!({ "people": { "x": "p4@acme.example" }, "agents": { "x": "support" } }),
        json!({ "agents": { "x": "nothing" } }),
        json!({ "people": many }),
        json!({ "source": { "poll": { "endpoint": "ftp://x.example", "secret": { "file": "/x" } } } }),
    ] {
        let put = put(&h.w, ADMIN, "okta", wrong.clone()).await;
        assert_eq!(code(put), RefusalCode::InvalidRequest, "{wrong}");
    }
    for n in 1..32 {
        let name = format!("t{n}");
        put(&h.w, ADMIN, &name, json!({})).await.unwrap();
    }
    let over = put(&h.w, ADMIN, "t32", json!({})).await;
    assert_eq!(code(over), RefusalCode::LimitExceeded);
    let book = h.w.books.org(&h.w.org).unwrap();
    let revision = book
        .registry()
        .revision(Kind::SignalTransmitter, h.transmitter.as_str());
    assert_eq!(revision, Some(1), "what was refused changed nothing");
}
