//! Passkeys, with an authenticator in software: made, used, copied, removed; and what an attacker tries instead.

use remit_domain::finding::{Finding, FindingKind};
use remit_domain::idp::{IdentityProvider, PasskeySignIn};
use remit_domain::passkey::Passkey;
use remit_domain::{Refusal, SignedInBy};
use remit_ports::store::Filter;
use url::Url;
use webauthn_authenticator_rs::WebauthnAuthenticator as _;
use webauthn_authenticator_rs::softpasskey::SoftPasskey;
use webauthn_rs::prelude::{CreationChallengeResponse, RequestChallengeResponse};

use super::*;
use crate::{Ceremony, NewSession, PersonSession};

/// A person's authenticator.
struct Device {
    soft: SoftPasskey,
    handle: Value,
    id: Value,
}

impl Device {
    fn new() -> Self {
        Self {
            soft: SoftPasskey::new(true),
            handle: Value::Null,
            id: Value::Null,
        }
    }

    fn make(&mut self, at: &str, options: &Value) -> Value {
        let mut options = options.clone();
        assert_eq!(
            options["publicKey"]["authenticatorSelection"]["residentKey"],
            "required"
        );
        // The software has no storage of its own; it keeps its keys as it is.
        options["publicKey"]["authenticatorSelection"]["requireResidentKey"] = json!(false);
        self.handle = options["publicKey"]["user"]["id"].clone();
        let options: CreationChallengeResponse = serde_json::from_value(options).unwrap();
        let made = self.soft.do_registration(Url::parse(at).unwrap(), options);
        let made = serde_json::to_value(made.unwrap()).unwrap();
        self.id = made["id"].clone();
        made
    }

    fn sign(&mut self, at: &str, options: &Value) -> Value {
        let mut options = options.clone();
        options["publicKey"]["allowCredentials"] = json!([{ "type": "public-key", "id": self.id }]);
        let options: RequestChallengeResponse = serde_json::from_value(options).unwrap();
        let signed = self
            .soft
            .do_authentication(Url::parse(at).unwrap(), options);
        let mut signed = serde_json::to_value(signed.unwrap()).unwrap();
        signed["response"]["userHandle"] = self.handle.clone();
        signed
    }
}

impl World {
    async fn enrol(&self, person: &PersonId) -> (Device, Passkey) {
        let new = self.opened(person, SignedInBy::Link).await;
        let session = self.checked(&new).await.unwrap();
        let begun = self.issuer.begin_passkey(&self.acme, &session).await;
        let begun = begun.unwrap();
        let mut device = Device::new();
        let made = device.make(URL, &begun.options);
        let finished =
            self.issuer
                .finish_passkey(&self.acme, &session, &begun.ceremony, made, "laptop");
        (device, finished.await.unwrap())
    }

    async fn passkey_sign_in(&self, device: &mut Device) -> Result<NewSession, Refusal> {
        let begun = self.issuer.begin_passkey_sign_in(&self.acme).unwrap();
        let signed = device.sign(URL, &begun.options);
        self.issuer
            .sign_in_with_passkey(&self.acme, &begun.ceremony, signed, "x")
            .await
    }

    async fn findings(&self, kind: FindingKind) -> Vec<Finding> {
        let all = Filter::default();
        let found = self.books.list::<Finding>(&self.acme, &all).await.unwrap();
        let found = found.0.into_iter().map(|f| f.noun);
        found.filter(|f| f.kind == kind).collect()
    }

    async fn provide(&self, passkeys: PasskeySignIn) {
        let mut settings: remit_domain::idp::ProviderSettings = serde_json::from_value(
            json!({ "issuer": "https://idp.example", "client_id": "remit" }),
        )
        .unwrap();
        settings.passkeys = passkeys;
        let provider = IdentityProvider {
            settings,
            removed: false,
            behind: Default::default(),
        };
        put(&self.books, &self.acme, &provider).await;
    }

    async fn proof(&self, session: &PersonSession, digest: &str) -> Ceremony {
        self.issuer
            .step_up_begin(&self.acme, session, digest)
            .await
            .unwrap()
    }
}

fn code<T>(answer: Result<T, Refusal>) -> &'static str {
    answer.map(|_| ()).unwrap_err().code.as_str()
}

#[tokio::test]
async fn a_passkey_signs_its_person_in() {
    let world = World::new().await;
    let (mut device, passkey) = world.enrol(&world.maria).await;
    assert_eq!(world.entries(EventKind::PasskeyAdded).await.0, 1);
    let new = world.passkey_sign_in(&mut device).await.unwrap();
    let session = world.checked(&new).await.unwrap();
    assert_eq!(session.person.id, world.maria);
    assert_eq!(session.how, SignedInBy::Passkey);
    let held = world.issuer.passkeys(&world.acme, &world.maria).await;
    let held = held.unwrap();
    assert_eq!((held.len(), &held[0].id), (1, &passkey.id));
    assert!(held[0].used.is_some());
    world.leaves(&world.maria).await;
    assert_eq!(
        code(world.passkey_sign_in(&mut device).await),
        "unauthenticated"
    );
}

#[tokio::test]
async fn an_answer_works_once_in_its_time_for_its_purpose_and_its_page() {
    let world = World::new().await;
    let (mut device, _) = world.enrol(&world.maria).await;
    let issuer = &world.issuer;
    let sign_in = |ceremony: String, signed: Value| {
        let (issuer, org) = (world.issuer.clone(), world.acme.clone());
        async move {
            issuer
                .sign_in_with_passkey(&org, &ceremony, signed, "x")
                .await
        }
    };
    let begun = issuer.begin_passkey_sign_in(&world.acme).unwrap();
    let signed = device.sign(URL, &begun.options);
    sign_in(begun.ceremony.clone(), signed.clone())
        .await
        .unwrap();
    assert!(
        sign_in(begun.ceremony, signed.clone()).await.is_err(),
        "replayed"
    );
    // Its counter does not go up either, and still nobody believes that it was copied.
    assert!(world.findings(FindingKind::PasskeyCloned).await.is_empty());
    let other = issuer.begin_passkey_sign_in(&world.acme).unwrap();
    assert_eq!(
        code(sign_in(other.ceremony, signed).await),
        "unauthenticated"
    );
    let late = issuer.begin_passkey_sign_in(&world.acme).unwrap();
    let signed = device.sign(URL, &late.options);
    world.advance(300);
    assert_eq!(code(sign_in(late.ceremony, signed).await), "proof-invalid");
    let here = issuer.begin_passkey_sign_in(&world.acme).unwrap();
    let phished = device.sign("https://remit.example:444", &here.options);
    assert_eq!(
        code(sign_in(here.ceremony, phished).await),
        "unauthenticated"
    );
    // A ceremony of another purpose or organization does not pass for this one.
    let new = world.opened(&world.maria, SignedInBy::Link).await;
    let session = world.checked(&new).await.unwrap();
    let step = world.proof(&session, &"a".repeat(64)).await;
    let signed = device.sign(URL, &step.options);
    assert_eq!(code(sign_in(step.ceremony, signed).await), "proof-invalid");
    let globex = issuer.begin_passkey_sign_in(&world.globex).unwrap();
    let signed = device.sign(URL, &globex.options);
    assert_eq!(
        code(sign_in(globex.ceremony, signed).await),
        "proof-invalid"
    );
    assert_eq!(
        code(sign_in("x".repeat(100_000), json!({})).await),
        "proof-invalid"
    );
}

#[tokio::test]
async fn a_copied_passkey_is_refused_for_good_and_becomes_a_finding() {
    let world = World::new().await;
    let (mut device, passkey) = world.enrol(&world.maria).await;
    world.passkey_sign_in(&mut device).await.unwrap();
    // The other copy was used: its counter is ahead.
    world
        .change::<Passkey>(passkey.id.as_str(), |p| {
            p.credential["cred"]["counter"] = json!(1_000)
        })
        .await;
    assert_eq!(
        code(world.passkey_sign_in(&mut device).await),
        "unauthenticated"
    );
    assert_eq!(world.findings(FindingKind::PasskeyCloned).await.len(), 1);
    assert_eq!(world.entries(EventKind::PasskeyCloned).await.0, 1);
    world
        .change::<Passkey>(passkey.id.as_str(), |p| {
            p.credential["cred"]["counter"] = json!(0)
        })
        .await;
    assert_eq!(
        code(world.passkey_sign_in(&mut device).await),
        "unauthenticated"
    );
}

#[tokio::test]
async fn a_removed_passkey_is_refused_becomes_a_finding_and_never_returns() {
    let world = World::new().await;
    let (mut device, passkey) = world.enrol(&world.maria).await;
    let (maria, sponsor) = (world.person(&world.maria), world.person(&world.sponsor));
    let remove = |by: Arc<Person>| {
        let (issuer, org, id) = (world.issuer.clone(), world.acme.clone(), passkey.id.clone());
        async move { issuer.remove_passkey(&org, &by, &id).await }
    };
    assert_eq!(code(remove(sponsor).await), "not-found");
    remove(maria).await.unwrap();
    assert_eq!(
        code(world.passkey_sign_in(&mut device).await),
        "unauthenticated"
    );
    let found = world.findings(FindingKind::RemovedPasskeyUsed).await;
    assert_eq!(found.len(), 1);
    // A forged answer with its id makes no finding.
    let begun = world.issuer.begin_passkey_sign_in(&world.acme).unwrap();
    let mut forged = device.sign(URL, &begun.options);
    forged["response"]["signature"] = json!("MEUCIQ");
    let answer = world
        .issuer
        .sign_in_with_passkey(&world.acme, &begun.ceremony, forged, "x");
    assert!(answer.await.is_err());
    assert_eq!(
        world.findings(FindingKind::RemovedPasskeyUsed).await[0].seen,
        1
    );
}

#[tokio::test]
async fn only_who_has_just_proved_who_they_are_makes_a_passkey() {
    let world = World::new().await;
    let begin = |new: NewSession| {
        let world = &world;
        async move {
            let session = world.checked(&new).await.unwrap();
            world.issuer.begin_passkey(&world.acme, &session).await
        }
    };
    let stale = world.opened(&world.maria, SignedInBy::Oidc).await;
    world.advance(15 * 60);
    assert_eq!(code(begin(stale).await), "forbidden");
    let (mut device, _) = world.enrol(&world.maria).await;
    // Who has a passkey needs it: a company's sign-in alone is not enough any more.
    let oidc = world.opened(&world.maria, SignedInBy::Oidc).await;
    assert_eq!(code(begin(oidc).await), "forbidden");
    let new = world.passkey_sign_in(&mut device).await.unwrap();
    begin(new).await.unwrap();
    let old = world.passkey_sign_in(&mut device).await.unwrap();
    world.advance(300);
    assert_eq!(code(begin(old).await), "forbidden");
}

#[tokio::test]
async fn a_ceremony_of_one_session_is_not_ended_in_another() {
    let world = World::new().await;
    let hers = world.opened(&world.maria, SignedInBy::Link).await;
    let his = world.opened(&world.sponsor, SignedInBy::Link).await;
    let (hers, his) = (
        world.checked(&hers).await.unwrap(),
        world.checked(&his).await.unwrap(),
    );
    let begun = world
        .issuer
        .begin_passkey(&world.acme, &hers)
        .await
        .unwrap();
    let made = Device::new().make(URL, &begun.options);
    let finish = |session: PersonSession, made: Value| {
        let (issuer, org, ceremony) = (
            world.issuer.clone(),
            world.acme.clone(),
            begun.ceremony.clone(),
        );
        async move {
            issuer
                .finish_passkey(&org, &session, &ceremony, made, "x")
                .await
        }
    };
    assert_eq!(code(finish(his, made.clone()).await), "proof-invalid");
    finish(hers.clone(), made.clone()).await.unwrap();
    assert_eq!(code(finish(hers, made).await), "proof-invalid");
}

#[tokio::test]
async fn glass_is_broken_only_by_who_may_and_never_in_silence() {
    let world = World::new().await;
    let (mut device, _) = world.enrol(&world.maria).await;
    world.provide(PasskeySignIn::BreakGlass).await;
    assert_eq!(code(world.passkey_sign_in(&mut device).await), "forbidden");
    world
        .change::<Person>(world.maria.as_str(), |p| p.break_glass = true)
        .await;
    world.passkey_sign_in(&mut device).await.unwrap();
    world.passkey_sign_in(&mut device).await.unwrap();
    let alarms = world.findings(FindingKind::BreakGlassUsed).await;
    assert_eq!((alarms.len(), alarms[0].seen), (1, 2));
}

/// However it signs in: with a link in a browser, with the provider, or on the command line.
#[tokio::test]
async fn a_break_glass_account_never_signs_in_in_silence() {
    let world = World::new().await;
    let alarms = async || {
        let found = world.findings(FindingKind::BreakGlassUsed).await;
        found.first().map_or(0, |alarm| alarm.seen)
    };
    world.opened(&world.maria, SignedInBy::Link).await;
    world.sign_in(&world.maria).await;
    assert_eq!(alarms().await, 0, "an account like others");
    world
        .change::<Person>(world.maria.as_str(), |p| p.break_glass = true)
        .await;
    world.opened(&world.maria, SignedInBy::Link).await;
    assert_eq!(alarms().await, 1);
    world.opened(&world.maria, SignedInBy::Oidc).await;
    assert_eq!(alarms().await, 2);
    world.sign_in(&world.maria).await;
    assert_eq!(alarms().await, 3);
    world.opened(&world.owner, SignedInBy::Link).await;
    assert_eq!(alarms().await, 3);
}

#[tokio::test]
async fn a_proof_is_for_one_digest_in_one_session_once_and_can_be_checked_again() {
    let world = World::new().await;
    let (mut device, passkey) = world.enrol(&world.maria).await;
    let (mut other, _) = world.enrol(&world.sponsor).await;
    let new = world.opened(&world.maria, SignedInBy::Oidc).await;
    let session = world.checked(&new).await.unwrap();
    let (digest, wrong) = ("a".repeat(64), "b".repeat(64));
    let finish = |digest: String, begun: &Ceremony, signed: Value| {
        let (issuer, org, session) = (world.issuer.clone(), world.acme.clone(), session.clone());
        let ceremony = begun.ceremony.clone();
        async move {
            issuer
                .step_up_finish(&org, &session, &digest, &ceremony, signed)
                .await
        }
    };
    let begun = world.proof(&session, &digest).await;
    let signed = device.sign(URL, &begun.options);
    assert_eq!(
        code(finish(wrong, &begun, signed.clone()).await),
        "proof-invalid"
    );
    let strangers = other.sign(URL, &begun.options);
    assert_eq!(
        code(finish(digest.clone(), &begun, strangers).await),
        "proof-invalid"
    );
    let proof = finish(digest.clone(), &begun, signed.clone())
        .await
        .unwrap();
    assert_eq!((&proof.passkey, &proof.digest), (&passkey.id, &digest));
    assert!(
        finish(digest.clone(), &begun, signed).await.is_err(),
        "replayed"
    );
    assert!(world.checked(&new).await.unwrap().stepped_up.is_some());
    let (count, facts) = world.entries(EventKind::SessionSteppedUp).await;
    assert_eq!((count, &facts["digest"]), (1, &json!(digest)));
    // What the passkey signed was this digest, and the ledger says how.
    let nonce = facts["nonce"].as_str().unwrap();
    let text = format!(
        "remit-step-up:{}:{}:{digest}:{nonce}",
        world.acme, session.id
    );
    let expected = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    use base64::Engine as _;
    let expected = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(expected);
    assert_eq!(begun.options["publicKey"]["challenge"], json!(expected));
    let none = world.opened(&world.owner, SignedInBy::Oidc).await;
    let none = world.checked(&none).await.unwrap();
    let refused = world.issuer.step_up_begin(&world.acme, &none, &digest);
    assert_eq!(code(refused.await), "not-found");
}

#[tokio::test]
async fn an_address_without_a_name_has_no_passkeys() {
    let world = World::new().await;
    for (url, has) in [
        ("https://remit.example", true),
        ("http://localhost:7600", true),
        ("http://127.0.0.1:7600", false),
        ("https://[::1]:7600", false),
        ("http://remit.example", false),
    ] {
        let issuer = Issuer::new(world.books.clone(), url, "acme".parse().unwrap()).unwrap();
        assert_eq!(issuer.has_passkeys(), has, "{url}");
    }
}
