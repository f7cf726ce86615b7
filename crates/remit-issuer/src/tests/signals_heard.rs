//! Signals that others send, or are asked for: whom they are believed from, and what becomes of the rest.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use remit_domain::signal::{SignalEvent, SignalTransmitter};
use remit_domain::{Kind, RefusalCode, SignalTransmitterId};
use remit_ports::Web;
use remit_ports::web::{WebError, WebRequest, WebResponse};
use remit_token::{OpaqueSecret, SecretKind, SubjectId};

use super::oidc::OneSecret;
use super::*;
use crate::{Heard, HeardError};

const IDP: &str = "https://idp.example/acme";
const DISABLED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";

/// An identity provider that tells.
struct Idp {
    key: Mutex<Vec<u8>>,
    named: Mutex<String>,
    down: Mutex<bool>,
    asked: Mutex<Vec<String>>,
    polls: Mutex<VecDeque<Value>>,
    polled: Mutex<Vec<Value>>,
}

fn pkcs8() -> Vec<u8> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = aws_lc_rs::rand::SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    made.unwrap().as_ref().to_vec()
}

struct Reached(Arc<Idp>);

#[async_trait]
impl Web for Reached {
    async fn request(&self, _: &OrgId, request: WebRequest) -> Result<WebResponse, WebError> {
        let idp = &self.0;
        idp.asked.lock().unwrap().push(request.url.clone());
        if *idp.down.lock().unwrap() {
            return Err(WebError::Timeout);
        }
        let body = match request.url.as_str() {
            "https://idp.example/.well-known/ssf-configuration/acme" => json!({
                "issuer": *idp.named.lock().unwrap(), "jwks_uri": "https://idp.example/keys"
            }),
            "https://idp.example/keys" => {
                let key = SigningKey::from_pkcs8(&idp.key.lock().unwrap()).unwrap();
                let mut public = serde_json::to_value(key.public()).unwrap();
                public["kid"] = json!("k1");
                json!({ "keys": [public] })
            }
            "https://idp.example/poll" => {
                let sent = |name: &str| request.headers.iter().any(|(n, _)| n == name);
                assert!(sent("authorization"));
                let asked = serde_json::from_slice(&request.body).unwrap();
                idp.polled.lock().unwrap().push(asked);
                let next = idp.polls.lock().unwrap().pop_front();
                next.unwrap_or_else(|| json!({ "sets": {} }))
            }
            other => panic!("{other}"),
        };
        Ok(WebResponse {
            max_age_s: None,
            status: 200,
            content_type: None,
            body: body.to_string().into_bytes(),
        })
    }
}

struct House {
    w: World,
    idp: Arc<Idp>,
    transmitter: SignalTransmitter,
    token: String,
}

impl House {
    async fn new() -> Self {
        Self::with(json!({ "push": {} })).await
    }

    async fn with(source: Value) -> Self {
        let mut w = World::new().await;
        let idp = Arc::new(Idp {
            key: Mutex::new(pkcs8()),
            named: Mutex::new(IDP.to_owned()),
            down: Mutex::default(),
            asked: Mutex::default(),
            polls: Mutex::default(),
            polled: Mutex::default(),
        });
        let web = Arc::new(Reached(Arc::clone(&idp)));
        w.issuer = w.issuer.clone().with_web(web, Arc::new(OneSecret));
        let secret = OpaqueSecret::new(SecretKind::Signal, w.books.random());
        let transmitter: SignalTransmitter = serde_json::from_value(json!({
            "id": w.books.id(SignalTransmitterId::from_uuid), "name": "idp", "issuer": IDP, "keys": { "discovery": {} },
            "algorithms": ["ES256", "RS256"], "audience": URL, "events": SignalEvent::HEARD, "source": source,
            "people": {}, "agents": {}, "every_agent": false, "digest": hex::encode(secret.digest().as_bytes()),
            "made": w.books.now(), "expires": w.books.now().plus_secs(86_400), "by": w.owner, "revoked": null
        }))
        .unwrap();
        put(&w.books, &w.acme, &transmitter).await;
        let token = secret.format().as_str().to_owned();
        Self {
            w,
            idp,
            transmitter,
            token,
        }
    }

    fn said(&self, jti: &str) -> Value {
        json!({
            "iss": IDP, "aud": URL, "iat": self.w.books.now().as_secs(), "jti": jti,
            "sub_id": { "format": "email", "email": "maria@acme.example" },
            "events": { DISABLED: { "reason": "hijacking" } },
        })
    }

    fn signed_as(&self, kid: &str, said: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid.to_owned());
        header.typ = Some("secevent+jwt".to_owned());
        let key = self.idp.key.lock().unwrap();
        jsonwebtoken::encode(&header, said, &EncodingKey::from_ec_der(&key)).unwrap()
    }

    async fn hear(&self, token: &str) -> Result<Heard, HeardError> {
        let (i, acme) = (&self.w.issuer, &self.w.acme);
        i.hear(acme, &self.transmitter, token).await
    }

    /// With which code it is refused, and what its transmitter hears.
    async fn refused(&self, said: &Value) -> (Value, &'static str) {
        let heard = self.hear(&self.signed_as("k1", said)).await;
        let Err(HeardError::Not { err, .. }) = heard else {
            panic!("{heard:?}")
        };
        (self.w.refused().await.1["code"].clone(), err)
    }

    fn asked(&self) -> usize {
        self.idp.asked.lock().unwrap().len()
    }
}

#[tokio::test]
async fn a_signal_is_believed_by_the_keys_that_its_transmitter_publishes() {
    let h = House::new().await;
    let heard = h.hear(&h.signed_as("k1", &h.said("one"))).await.unwrap();
    assert_eq!(heard.event, Some(SignalEvent::AccountDisabled));
    let email = "maria@acme.example".to_owned();
    assert_eq!(heard.subject, SubjectId::Email { email });
    assert_eq!(heard.claims["reason"], "hijacking");
    let asked = h.idp.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            "https://idp.example/.well-known/ssf-configuration/acme",
            "https://idp.example/keys"
        ]
    );
    let mut other = h.said("two");
    other["events"] = json!({ "https://unknown.example/e": {} });
    let heard = h.hear(&h.signed_as("k1", &other)).await.unwrap();
    assert_eq!(heard.event, None);
}

#[tokio::test]
async fn what_is_not_believed_is_refused_by_its_reason_and_recorded() {
    let h = House::new().await;
    let now = h.w.books.now().as_secs();
    let with = |name: &str, value: Value| {
        let mut said = h.said("one");
        said[name] = value;
        said
    };
    for (said, code, err) in [
        (
            with("iss", json!("https://evil.example")),
            "token-issuer-wrong",
            "invalid_issuer",
        ),
        (
            with("aud", json!("https://other.example")),
            "token-audience-wrong",
            "invalid_audience",
        ),
        (
            with("iat", json!(now + 3_600)),
            "token-not-yet-valid",
            "invalid_request",
        ),
        (
            with("iat", json!(now - 8 * 86_400)),
            "token-expired",
            "invalid_request",
        ),
        (
            with("exp", json!(now + 60)),
            "token-claim-invalid",
            "invalid_request",
        ),
    ] {
        assert_eq!(h.refused(&said).await, (json!(code), err));
    }
    // Whoever has no key of its cannot speak for it.
    h.hear(&h.signed_as("k1", &h.said("two"))).await.unwrap();
    *h.idp.key.lock().unwrap() = pkcs8();
    let forged = h.refused(&h.said("three")).await;
    assert_eq!(forged, (json!("token-signature-invalid"), "invalid_key"));
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_believed_and_an_outage_is_no_refusal() {
    let h = House::new().await;
    let token = h.signed_as("k1", &h.said("one"));
    *h.idp.named.lock().unwrap() = "https://idp.example/globex".to_owned();
    assert!(matches!(h.hear(&token).await, Err(HeardError::Later(_))));
    *h.idp.named.lock().unwrap() = IDP.to_owned();
    h.w.clock.advance(Duration::from_secs(10));
    *h.idp.down.lock().unwrap() = true;
    let later = h.hear(&token).await;
    let Err(HeardError::Later(refusal)) = later else {
        panic!("{later:?}")
    };
    assert_eq!(refusal.code, RefusalCode::UpstreamUnreachable);
    *h.idp.down.lock().unwrap() = false;
    h.w.clock.advance(Duration::from_secs(10));
    assert!(h.hear(&token).await.is_ok());
}

#[tokio::test]
async fn a_bomb_of_signals_with_unknown_keys_does_not_become_one_of_requests() {
    let h = House::new().await;
    h.hear(&h.signed_as("k1", &h.said("one"))).await.unwrap();
    h.w.clock.advance(Duration::from_secs(10));
    let before = h.asked();
    for n in 0..50 {
        let token = h.signed_as(&format!("k{}", n + 2), &h.said("bomb"));
        assert!(matches!(h.hear(&token).await, Err(HeardError::Not { .. })));
    }
    assert_eq!(h.asked() - before, 2, "metadata and keys, once");
    let (i, acme) = (&h.w.issuer, &h.w.acme);
    for _ in 0..crate::limits::CLIENT_REQUESTS_PER_MINUTE {
        let let_in = i.authenticate_transmitter(acme, Some(&h.token)).await;
        let_in.unwrap();
    }
    let over = i.authenticate_transmitter(acme, Some(&h.token)).await;
    assert_eq!(over.unwrap_err().code, RefusalCode::Limited);
}

#[tokio::test]
async fn only_a_transmitter_that_sends_is_let_in_by_its_own_token_while_it_lasts() {
    let h = House::new().await;
    let (i, acme) = (&h.w.issuer, &h.w.acme);
    let let_in = i.authenticate_transmitter(acme, Some(&h.token)).await;
    assert_eq!(let_in.unwrap().id, h.transmitter.id);
    let pat = OpaqueSecret::new(SecretKind::PersonalToken, [7; 32]).format();
    let strange = OpaqueSecret::new(SecretKind::Signal, [7; 32]).format();
    for wrong in [None, Some(pat.as_str()), Some(strange.as_str()), Some("x")] {
        let refused = i.authenticate_transmitter(acme, wrong).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Unauthenticated);
        assert_eq!(h.w.refused().await.1["door"], "signals");
    }
    let elsewhere = i.authenticate_transmitter(&h.w.globex, Some(&h.token));
    assert_eq!(
        elsewhere.await.unwrap_err().code,
        RefusalCode::Unauthenticated
    );
    // It reaches no stream: it is no receiver.
    let receiver = i.authenticate_receiver(acme, Some(&h.token)).await;
    assert_eq!(receiver.unwrap_err().code, RefusalCode::Unauthenticated);
    h.w.clock.advance(Duration::from_secs(86_400));
    let over = i.authenticate_transmitter(acme, Some(&h.token)).await;
    assert_eq!(over.unwrap_err().code, RefusalCode::Unauthenticated);
    let asked = House::with(
        json!({ "poll": { "endpoint": "https://idp.example/poll", "secret": { "env": "REMIT_SECRET_T" } } }),
    )
    .await;
    let (i, acme) = (&asked.w.issuer, &asked.w.acme);
    let sends = i.authenticate_transmitter(acme, Some(&asked.token)).await;
    assert_eq!(sends.unwrap_err().code, RefusalCode::Unauthenticated);
}

#[tokio::test]
async fn a_transmitter_that_was_revoked_is_not_let_in() {
    let h = House::new().await;
    let revision = {
        let book = h.w.books.org(&h.w.acme).unwrap();
        let registry = book.registry();
        registry.revision(Kind::SignalTransmitter, h.transmitter.id.as_str())
    };
    let gone = SignalTransmitter {
        revoked: Some(h.w.books.now()),
        ..h.transmitter.clone()
    };
    let change = Change::new().update(&gone, revision.unwrap());
    h.w.books.commit(&h.w.acme, change).await.unwrap();
    let over =
        h.w.issuer
            .authenticate_transmitter(&h.w.acme, Some(&h.token));
    assert_eq!(over.await.unwrap_err().code, RefusalCode::Unauthenticated);
}

#[tokio::test]
async fn who_is_asked_hears_what_was_taken_and_what_is_wrong_and_keeps_the_rest() {
    let poll = json!({ "poll": { "endpoint": "https://idp.example/poll", "secret": { "env": "REMIT_SECRET_T" } } });
    let h = House::with(poll).await;
    let mut wrong = h.said("b");
    wrong["aud"] = json!("https://other.example");
    let sets = json!({
        "sets": {
            "a": h.signed_as("k1", &h.said("a")), "b": h.signed_as("k1", &wrong),
            "c": h.signed_as("k1", &h.said("c")),
        },
        "moreAvailable": true,
    });
    let answers = [sets, json!({ "sets": {} })];
    h.idp.polls.lock().unwrap().extend(answers);
    let taken = Mutex::new(Vec::new());
    let take = |heard: Heard| {
        // The second one cannot be written down now.
        let mut taken = taken.lock().unwrap();
        taken.push(heard.id);
        std::future::ready(taken.len() == 1)
    };
    let (i, acme) = (&h.w.issuer, &h.w.acme);
    i.ask_transmitter(acme, &h.transmitter, take).await.unwrap();
    let polled = h.idp.polled.lock().unwrap().clone();
    assert_eq!(polled.len(), 2);
    assert_eq!(polled[0]["ack"], json!([]));
    assert_eq!(polled[1]["ack"], json!(["a"]));
    assert_eq!(polled[1]["setErrs"]["b"]["err"], "invalid_audience");
    assert!(polled[1]["setErrs"].get("c").is_none(), "it is told again");
    let asked = i.asked_transmitters(acme);
    assert_eq!(asked.len(), 1);
    // One that says there is more and tells nothing that can be taken is left for later.
    let nothing = json!({ "sets": {}, "moreAvailable": true });
    h.idp.polls.lock().unwrap().push_back(nothing);
    let never = |_: Heard| std::future::ready(true);
    let refused = i.ask_transmitter(acme, &h.transmitter, never).await;
    assert_eq!(refused.unwrap_err().code, RefusalCode::UpstreamUnreachable);
}

#[tokio::test]
async fn who_tells_without_end_when_asked_is_cut_off() {
    let poll = json!({ "poll": { "endpoint": "https://idp.example/poll", "secret": { "env": "REMIT_SECRET_T" } } });
    let h = House::with(poll).await;
    let wrong = json!("no token at all");
    let many: serde_json::Map<_, _> = (0..1_000).map(|n| (n.to_string(), wrong.clone())).collect();
    let endless = json!({ "sets": many, "moreAvailable": true });
    let answers = std::iter::repeat_n(endless, 100);
    h.idp.polls.lock().unwrap().extend(answers);
    let (i, acme) = (&h.w.issuer, &h.w.acme);
    let take = |_: Heard| std::future::ready(true);
    i.ask_transmitter(acme, &h.transmitter, take).await.unwrap();
    assert_eq!(h.idp.polled.lock().unwrap().len(), 10, "in one visit");
    let over = i.ask_transmitter(acme, &h.transmitter, take).await;
    assert_eq!(over.unwrap_err().code, RefusalCode::Limited);
}
