//! Bundle endpoints of the profile `https_spiffe`: our own, and those of other trust domains.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use remit_domain::event::EventKind;
use remit_domain::trusted_issuer::{KeySource, TrustedIssuer, WorkloadRule};
use remit_domain::{RecordId, TrustedIssuerId};
use remit_ports::Web;
use remit_ports::web::{SpiffeServer, WebError, WebRequest, WebResponse};
use remit_token::x509_svid::{self, Validity};
use remit_token::{Authority, SpiffeBundle, SpiffeId};

use super::federation::bearer;
use super::oidc::OneSecret;
use super::*;

const DOMAIN: &str = "spiffe://prod.example";
const ENDPOINT: &str = "spiffe://prod.example/remit/bundle";
const AT: &str = "https://prod.example:7601/spiffe/bundle";

fn pkcs8() -> Vec<u8> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = aws_lc_rs::rand::SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    made.unwrap().as_ref().to_vec()
}

fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).unwrap()
}

/// An authority's secret, and its certificate: made once, since no two signatures are the same.
type Signer = (Vec<u8>, Vec<u8>);

fn validity(now: i64) -> Validity {
    Validity {
        serial: [7; 16],
        not_before: now - 60,
        not_after: now + 86_400 * 30,
    }
}

fn signer(now: i64) -> Signer {
    let secret = pkcs8();
    let der = Authority::certificate(&id(DOMAIN), &secret, &validity(now)).unwrap();
    (secret, der)
}

/// Another trust domain: what its endpoint shows and serves.
struct Domain {
    jwt: Vec<u8>,
    /// Secrets of its authorities and their certificates; the last one signs what its endpoint shows.
    authorities: Mutex<BTreeMap<u64, Signer>>,
    sequence: Mutex<u64>,
    shows: Mutex<String>,
    /// Whether its bundle leaves its authorities out.
    hides: Mutex<bool>,
    down: Mutex<bool>,
    now: i64,
}

impl Domain {
    fn adds(&self, n: u64) {
        self.authorities.lock().unwrap().insert(n, signer(self.now));
        *self.sequence.lock().unwrap() += 1;
    }

    fn drops(&self, n: u64) {
        self.authorities.lock().unwrap().remove(&n);
        *self.sequence.lock().unwrap() += 1;
    }

    fn bundle(&self) -> Value {
        let authorities = self.authorities.lock().unwrap();
        let hides = *self.hides.lock().unwrap();
        let shown = authorities.values().filter(|_| !hides);
        let x509 = shown.map(|(secret, der)| {
            let public = SigningKey::from_pkcs8(secret).unwrap().public();
            (der.clone(), public)
        });
        let bundle = SpiffeBundle {
            x509: x509.collect(),
            jwt: vec![SigningKey::from_pkcs8(&self.jwt).unwrap().public()],
            sequence: *self.sequence.lock().unwrap(),
            refresh_hint_s: 60,
            wit: Vec::new(),
        };
        serde_json::to_value(&bundle).unwrap()
    }

    /// The chain that its endpoint shows.
    fn chain(&self) -> Vec<Vec<u8>> {
        let authorities = self.authorities.lock().unwrap();
        let (secret, der) = authorities.values().last().unwrap();
        let request = x509_svid::request(&pkcs8()).unwrap();
        let validity = Validity {
            not_after: self.now + 900,
            ..validity(self.now)
        };
        let shows = id(&self.shows.lock().unwrap());
        let authority = Authority::open(der, secret).unwrap();
        vec![authority.issue(&request, &shows, &validity).unwrap()]
    }

    fn token(&self, jti: u64) -> String {
        let key = SigningKey::from_pkcs8(&self.jwt).unwrap();
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(key.public().thumbprint().to_string());
        let claims = json!({ "sub": "spiffe://prod.example/ns/it/sa/helpdesk", "aud": URL, "exp": self.now + 86_000, "jti": format!("t-{jti}") });
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(&self.jwt)).unwrap()
    }
}

struct Reached(Arc<Domain>);

#[async_trait]
impl Web for Reached {
    async fn request(&self, _: &OrgId, _: WebRequest) -> Result<WebResponse, WebError> {
        panic!("it is asked by https_spiffe alone")
    }

    async fn request_spiffe(
        &self,
        _: &OrgId,
        request: WebRequest,
        server: SpiffeServer,
    ) -> Result<WebResponse, WebError> {
        assert_eq!(request.url, AT);
        if *self.0.down.lock().unwrap() {
            return Err(WebError::Timeout);
        }
        let chain = self.0.chain();
        x509_svid::verify_as(&chain, &server.authorities, &server.id, self.0.now)
            .map_err(WebError::Untrusted)?;
        Ok(WebResponse {
            max_age_s: None,
            status: 200,
            content_type: None,
            body: self.0.bundle().to_string().into_bytes(),
        })
    }
}

struct Federation {
    world: World,
    domain: Arc<Domain>,
    id: TrustedIssuerId,
    jti: AtomicU64,
}

impl Federation {
    async fn new() -> Self {
        let mut world = World::new().await;
        let now = world.books.now().as_secs();
        let domain = Arc::new(Domain {
            jwt: pkcs8(),
            authorities: Mutex::new(BTreeMap::from([(1, signer(now))])),
            sequence: Mutex::new(1),
            shows: Mutex::new(ENDPOINT.to_owned()),
            hides: Mutex::new(false),
            down: Mutex::new(false),
            now,
        });
        let web = Arc::new(Reached(Arc::clone(&domain)));
        world.issuer = world.issuer.clone().with_web(web, Arc::new(OneSecret));
        let rule = WorkloadRule {
            id: world.books.id(RecordId::from_uuid),
            subject: "spiffe://prod.example/ns/*/sa/helpdesk".parse().unwrap(),
            claims: BTreeMap::new(),
            agent: world.triage.id.clone(),
            workflow: world.triage.workflows["refund"].clone(),
            since: world.books.now(),
        };
        let issuer: TrustedIssuer = serde_json::from_value(json!({
            "id": world.books.id(TrustedIssuerId::from_uuid), "name": "prod", "description": "", "issuer": DOMAIN,
            "keys": { "https_spiffe": { "url": AT, "endpoint_spiffe_id": ENDPOINT, "bundle": domain.bundle() } },
            "audience": null, "algorithms": ["ES256"], "lifetime_secs_max": 86_400, "rules": [rule],
            "enabled": true, "reason": "", "by": { "type": "remit" }, "at": world.books.now()
        }))
        .unwrap();
        put(&world.books, &world.acme, &issuer).await;
        Self {
            world,
            domain,
            id: issuer.id,
            jti: AtomicU64::new(0),
        }
    }

    async fn bring(&self) -> Result<TokenResponse, OAuthError> {
        let jti = self.jti.fetch_add(1, Ordering::Relaxed);
        let request = bearer(&self.domain.token(jti), "");
        self.world.issuer.token(&self.world.acme, &request).await
    }

    /// Brings a token that cannot be looked at; the code that is recorded of it.
    async fn not_now(&self) -> Value {
        let answer = self.bring().await;
        assert_refused(answer, OAuthErrorCode::TemporarilyUnavailable, "");
        self.world.refused().await.1["code"].clone()
    }

    /// The same house, started again: what was only remembered is gone.
    fn started_again(&mut self) {
        let web = Arc::new(Reached(Arc::clone(&self.domain)));
        let name = "acme".parse().unwrap();
        let issuer = Issuer::new(self.world.books.clone(), URL, name).unwrap();
        self.world.issuer = issuer.with_web(web, Arc::new(OneSecret));
    }

    async fn changes(&self) -> usize {
        let kind = EventKind::TrustedIssuerBundleChanged;
        self.world.entries(kind).await.0
    }
}

#[tokio::test]
async fn an_endpoint_is_believed_by_what_it_gave_last_also_after_a_start() {
    let mut federation = Federation::new().await;
    assert!(federation.bring().await.is_ok());
    assert_eq!(federation.changes().await, 0);
    // The next authority is published, then the first one goes: what was brought at set-up proves nothing any more.
    federation.domain.adds(0);
    federation.world.advance(60);
    assert!(federation.bring().await.is_ok());
    assert_eq!(federation.changes().await, 1);
    federation.domain.drops(1);
    federation.world.advance(60);
    assert!(federation.bring().await.is_ok());
    assert_eq!(federation.changes().await, 2);
    federation.started_again();
    assert!(federation.bring().await.is_ok());
    // Written anew, it is believed by what is brought with it, and that is over.
    federation
        .world
        .change::<TrustedIssuer>(federation.id.as_str(), |issuer| issuer.seen = None)
        .await;
    federation.started_again();
    assert_eq!(federation.not_now().await, "issuer-endpoint-untrusted");
}

#[tokio::test]
async fn who_answers_in_its_place_gives_no_keys() {
    for (shows, code) in [
        ("spiffe://prod.example/agent/a/w/r", "issuer-endpoint-other"),
        (
            "spiffe://other.example/remit/bundle",
            "issuer-endpoint-other",
        ),
    ] {
        let federation = Federation::new().await;
        *federation.domain.shows.lock().unwrap() = shows.to_owned();
        assert_eq!(federation.not_now().await, code);
    }
    // An authority that nobody knows: of another trust domain that says it is this one.
    let federation = Federation::new().await;
    *federation.domain.authorities.lock().unwrap() =
        BTreeMap::from([(1, signer(federation.domain.now))]);
    assert_eq!(federation.not_now().await, "issuer-endpoint-untrusted");
    assert_eq!(federation.changes().await, 0);
}

#[tokio::test]
async fn a_bundle_that_is_old_or_ends_all_trust_is_not_taken() {
    let federation = Federation::new().await;
    *federation.domain.sequence.lock().unwrap() = 0;
    assert_eq!(federation.not_now().await, "issuer-bundle-refused");
    assert_eq!(federation.changes().await, 0);
    let federation = Federation::new().await;
    *federation.domain.hides.lock().unwrap() = true;
    assert_eq!(federation.not_now().await, "issuer-bundle-refused");
    assert_eq!(federation.changes().await, 0);
    // Nor is anybody believed by a bundle that was brought without one.
    let federation = Federation::new().await;
    federation
        .world
        .change::<TrustedIssuer>(federation.id.as_str(), |issuer| {
            if let KeySource::HttpsSpiffe(there) = &mut issuer.keys {
                there.bundle = json!({ "keys": [] });
            }
        })
        .await;
    assert_eq!(federation.not_now().await, "issuer-bundle-refused");
}

#[tokio::test]
async fn its_keys_outlive_an_outage_and_are_followed_without_a_token() {
    let federation = Federation::new().await;
    let issuer = &federation.world.issuer;
    issuer.follow_bundles().await;
    *federation.domain.down.lock().unwrap() = true;
    federation.world.advance(3_500);
    assert!(federation.bring().await.is_ok());
    federation.world.advance(200);
    assert_eq!(federation.not_now().await, "issuer-unreachable");
    *federation.domain.down.lock().unwrap() = false;
    federation.domain.adds(0);
    federation.world.advance(10);
    issuer.follow_bundles().await;
    assert_eq!(federation.changes().await, 1);
}

#[tokio::test]
async fn our_endpoint_shows_an_svid_of_the_trust_domain_and_replaces_it() {
    let world = World::new().await;
    let (issuer, acme) = (&world.issuer, &world.acme);
    let svid = issuer.bundle_endpoint_svid(acme).await.unwrap();
    let bundle = issuer.bundle(acme).await.unwrap();
    let authorities: Vec<_> = bundle.x509.into_iter().map(|(der, _)| der).collect();
    let endpoint = issuer.bundle_endpoint_id(acme).unwrap();
    assert!(endpoint.to_string().ends_with("/remit/bundle"));
    let now = || world.books.now().as_secs();
    let chain = vec![svid.certificate.clone()];
    assert!(x509_svid::verify_as(&chain, &authorities, &endpoint, now()).is_ok());
    // No other organization's authority vouches for it.
    let other = issuer.bundle(&world.globex).await.unwrap();
    let other: Vec<_> = other.x509.into_iter().map(|(der, _)| der).collect();
    assert!(x509_svid::verify_as(&chain, &other, &endpoint, now()).is_err());
    let again = issuer.bundle_endpoint_svid(acme).await.unwrap();
    assert_eq!(again.certificate, svid.certificate);
    world.advance(460);
    let next = issuer.bundle_endpoint_svid(acme).await.unwrap();
    assert_ne!(next.certificate, svid.certificate);
    let (issued, facts) = world.entries(EventKind::SvidIssued).await;
    assert_eq!(issued, 2);
    let thumbprint = x509_svid::thumbprint(&next.certificate);
    assert_eq!(facts["certificate"], json!(thumbprint));
    // Whose it is follows from the name in the handshake, and from nothing else.
    let named = issuer.trust_domain(&world.globex).unwrap();
    let meant = issuer.bundle_endpoint_of(Some(named.trust_domain()));
    assert_eq!(meant.as_ref(), Some(&world.globex));
    let root = issuer.bundle_endpoint_of(Some("globex.attacker.example"));
    assert_eq!(root, issuer.bundle_endpoint_of(None));
    assert_ne!(root.as_ref(), Some(&world.globex));
}
