//! Workloads that another issuer knows: what they get, and what whoever poses as one does not.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use remit_domain::trusted_issuer::{TrustedIssuer, WorkloadRule};
use remit_domain::{RecordId, TrustedIssuerId};
use remit_ports::Web;
use remit_ports::web::{WebError, WebRequest, WebResponse};
use remit_token::JwtBearer;

use super::oidc::OneSecret;
use super::*;

pub(super) const ISSUER: &str = "https://ci.example";
const SUBJECT: &str = "repo:acme/shop:ref:refs/heads/main";

/// A platform that signs tokens of its workloads.
pub(super) struct Platform {
    issuer: Mutex<String>,
    key: Mutex<(Vec<u8>, String)>,
    down: Mutex<Option<WebError>>,
    /// How often it was asked for its keys.
    asked: AtomicUsize,
}

fn pkcs8() -> Vec<u8> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = aws_lc_rs::rand::SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    made.unwrap().as_ref().to_vec()
}

impl Platform {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            issuer: Mutex::new(ISSUER.to_owned()),
            key: Mutex::new((pkcs8(), "k1".to_owned())),
            down: Mutex::default(),
            asked: AtomicUsize::default(),
        })
    }

    fn rotate(&self, kid: &str) {
        *self.key.lock().unwrap() = (pkcs8(), kid.to_owned());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn jwks(&self) -> Value {
        let (key, kid) = self.key.lock().unwrap().clone();
        let public = SigningKey::from_pkcs8(&key).unwrap().public();
        let mut public = serde_json::to_value(public).unwrap();
        public["kid"] = json!(kid);
        json!({ "keys": [public, { "kty": "oct", "k": "AAAA" }] })
    }

    pub(super) fn sign(&self, typ: Option<&str>, claims: &Value) -> String {
        let (key, kid) = self.key.lock().unwrap().clone();
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid);
        header.typ = typ.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&key)).unwrap()
    }
}

struct Reached(Arc<Platform>);

#[async_trait]
impl Web for Reached {
    async fn request(&self, _: &OrgId, request: WebRequest) -> Result<WebResponse, WebError> {
        if let Some(error) = self.0.down.lock().unwrap().clone() {
            return Err(error);
        }
        let body = match request.url.as_str() {
            "https://ci.example/.well-known/openid-configuration" => json!({
                "issuer": *self.0.issuer.lock().unwrap(), "jwks_uri": "https://ci.example/keys"
            }),
            "https://ci.example/keys" => {
                self.0.asked.fetch_add(1, Ordering::Relaxed);
                self.0.jwks()
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

/// A world that trusts a platform for two workflows.
pub(super) struct Cluster {
    pub(super) world: World,
    pub(super) platform: Arc<Platform>,
    id: TrustedIssuerId,
    pub(super) jti: AtomicU64,
}

impl Cluster {
    pub(super) async fn new() -> Self {
        let mut world = World::new().await;
        let platform = Platform::new();
        let web = Arc::new(Reached(Arc::clone(&platform)));
        world.issuer = world.issuer.clone().with_web(web, Arc::new(OneSecret));
        let rule = |subject: &str, claims: Value, workflow: &str| WorkloadRule {
            id: world.books.id(RecordId::from_uuid),
            subject: subject.parse().unwrap(),
            claims: serde_json::from_value(claims).unwrap(),
            agent: world.triage.id.clone(),
            workflow: world.triage.workflows[workflow].clone(),
            since: world.books.now(),
        };
        let issuer: TrustedIssuer = serde_json::from_value(json!({
            "id": world.books.id(TrustedIssuerId::from_uuid), "name": "ci", "description": "", "issuer": ISSUER,
            "keys": { "discovery": {} }, "audience": null, "algorithms": ["ES256"], "lifetime_secs_max": 3_600,
            "rules": [
                rule(SUBJECT, json!({ "environment": ["production"] }), "refund"),
                rule("repo:acme/*:pull_request", json!({}), "answer"),
                rule("repo:acme/both:*", json!({}), "answer"),
                rule("repo:acme/both:*", json!({}), "refund"),
            ],
            "identities": {
                "id": world.books.id(RecordId::from_uuid), "people": { "00u1": world.maria },
                "workflows": [world.triage.workflows["refund"]], "behind": { world.owner.as_str(): world.books.now() }
            },
            "enabled": true, "reason": "", "by": { "type": "remit" }, "at": world.books.now()
        }))
        .unwrap();
        put(&world.books, &world.acme, &issuer).await;
        Self {
            world,
            platform,
            id: issuer.id,
            jti: AtomicU64::new(0),
        }
    }

    pub(super) fn claims(&self) -> Value {
        let now = self.world.books.now().as_secs();
        json!({
            "iss": ISSUER, "sub": SUBJECT, "aud": URL, "iat": now, "nbf": now, "exp": now + 600,
            "jti": format!("t-{}", self.jti.fetch_add(1, Ordering::Relaxed)), "environment": "production"
        })
    }

    fn but(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims();
        claims[name] = value;
        self.platform.sign(Some("JWT"), &claims)
    }

    pub(super) fn token(&self) -> String {
        self.platform.sign(None, &self.claims())
    }

    async fn bring_for(&self, assertion: &str, scope: &str) -> Result<TokenResponse, OAuthError> {
        self.world
            .issuer
            .token(&self.world.acme, &bearer(assertion, scope))
            .await
    }

    async fn bring(&self, assertion: &str) -> Result<TokenResponse, OAuthError> {
        self.bring_for(assertion, "").await
    }

    /// Asserts a refusal, and the code that is recorded of it.
    async fn refused(&self, assertion: &str, code: &str) {
        let error = self.bring(assertion).await.map(|_| ()).unwrap_err();
        assert_eq!(error.error, OAuthErrorCode::InvalidGrant, "{error}");
        assert_eq!(self.world.refused().await.1["code"], code);
    }

    /// Brings a token that cannot be looked at now; the code that is recorded of it.
    async fn not_now(&self) -> Value {
        let answer = self.bring(&self.token()).await;
        assert_refused(answer, OAuthErrorCode::TemporarilyUnavailable, "");
        self.world.refused().await.1["code"].clone()
    }

    pub(super) async fn change(&self, change: impl FnOnce(&mut TrustedIssuer)) {
        self.world.change(self.id.as_str(), change).await;
    }
}

pub(super) fn bearer(assertion: &str, scope: &str) -> TokenRequest {
    TokenRequest::JwtBearer(Box::new(JwtBearer {
        assertion: SecretString::from(assertion),
        client: None,
        client_id: None,
        chain: ClientChain::default(),
        scope: Scope::parse(scope).unwrap(),
        resource: Vec::new(),
        authorization_details: Default::default(),
    }))
}

#[tokio::test]
async fn a_workload_becomes_the_agent_that_a_rule_makes_it() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let answer = cluster.bring(&cluster.token()).await.unwrap();
    assert!(answer.expires_in <= 300 && answer.issued_token_type.is_none());
    let verified = world.verify(&secret(&answer)).await.unwrap();
    assert_eq!(verified.agent, world.triage.id);
    assert_eq!(verified.workflow, world.triage.workflows["refund"]);
    assert!(verified.person.is_none());
    let (_, facts) = world.entries(EventKind::TokenIssued).await;
    assert_eq!(facts["trusted_issuer"], json!(cluster.id));
    // The next one joins its run.
    let again = cluster.bring(&cluster.token()).await.unwrap();
    assert_eq!(
        world.verify(&secret(&again)).await.unwrap().run,
        verified.run
    );
    let run = format!("run:{}", verified.run);
    assert!(cluster.bring_for(&cluster.token(), &run).await.is_ok());
    assert_eq!(cluster.platform.asked(), 1);
}

#[tokio::test]
async fn an_assertion_is_good_once_also_when_it_is_used_many_times_at_once() {
    let cluster = Cluster::new().await;
    let token = cluster.token();
    let all = (0..200).map(|_| cluster.bring(&token));
    let answers = futures_of(all).await;
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1);
    cluster.refused(&token, "assertion-replayed").await;
    // Without a `jti`, by what was signed: another signature of it is no other token.
    let mut claims = cluster.claims();
    claims.as_object_mut().unwrap().remove("jti");
    assert!(
        cluster
            .bring(&cluster.platform.sign(None, &claims))
            .await
            .is_ok()
    );
    let again = cluster.platform.sign(None, &claims);
    cluster.refused(&again, "assertion-replayed").await;
}

pub(super) async fn futures_of<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        pending.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done
}

#[tokio::test]
async fn what_is_not_signed_said_or_meant_so_gets_nothing() {
    let cluster = Cluster::new().await;
    let now = cluster.world.books.now().as_secs();
    for (name, value, code) in [
        ("iss", json!("https://evil.example"), "issuer-untrusted"),
        ("iss", json!("https://ci.example/"), "issuer-untrusted"),
        (
            "aud",
            json!("https://other.example"),
            "token-audience-wrong",
        ),
        (
            "aud",
            json!([URL, "https://other.example"]),
            "token-audience-wrong",
        ),
        ("exp", json!(now - 31), "token-expired"),
        ("nbf", json!(now + 31), "token-not-yet-valid"),
        ("exp", json!(now + 3_700), "token-lifetime-too-long"),
        (
            "sub",
            json!("repo:evil/shop:ref:refs/heads/main"),
            "workload-unknown",
        ),
        (
            "sub",
            json!("repo:acme/shop:ref:refs/heads/mainline"),
            "workload-unknown",
        ),
        ("environment", json!("staging"), "workload-unknown"),
        ("environment", json!(null), "workload-unknown"),
    ] {
        cluster.refused(&cluster.but(name, value), code).await;
    }
    let typed = cluster.platform.sign(Some("at+jwt"), &cluster.claims());
    cluster.refused(&typed, "token-type-refused").await;
    // An agent's own assertion, and a token of this issuer, are none of that platform.
    let own = cluster.world.assertion(&cluster.world.triage);
    cluster.refused(&own, "token-type-refused").await;
    let attacker = Platform::new();
    let forged = attacker.sign(None, &cluster.claims());
    cluster.refused(&forged, "token-signature-invalid").await;
    attacker.rotate("k2");
    let forged = attacker.sign(None, &cluster.claims());
    cluster.refused(&forged, "token-key-unknown").await;
}

#[tokio::test]
async fn another_organizations_trust_is_not_this_ones() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let request = bearer(&cluster.token(), "");
    let error = world.issuer.token(&world.globex, &request).await;
    assert_eq!(
        error.map(|_| ()).unwrap_err().error,
        OAuthErrorCode::InvalidGrant
    );
    // It is not even that organization's audience.
    assert!(cluster.bring(&cluster.token()).await.is_ok());
}

#[tokio::test]
async fn one_workflow_is_meant_or_asked_for() {
    let cluster = Cluster::new().await;
    let both = || cluster.but("sub", json!("repo:acme/both:x"));
    let error = cluster.bring(&both()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.error, OAuthErrorCode::InvalidScope);
    let answer = cluster.bring_for(&both(), "workflow:answer").await.unwrap();
    let verified = cluster.world.verify(&secret(&answer)).await.unwrap();
    assert_eq!(verified.workflow, cluster.world.triage.workflows["answer"]);
    // No scope reaches a workflow that no rule names for it.
    let wider = cluster.bring_for(&cluster.token(), "workflow:answer").await;
    assert_refused(
        wider,
        OAuthErrorCode::InvalidScope,
        "this workload has no such",
    );
}

#[tokio::test]
async fn who_else_proves_or_names_itself_beside_it_is_refused() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let TokenRequest::JwtBearer(request) = bearer(&cluster.token(), "") else {
        panic!("another grant")
    };
    let named = |id: &str| {
        TokenRequest::JwtBearer(Box::new(JwtBearer {
            client_id: Some(id.to_owned()),
            ..(*request).clone()
        }))
    };
    let other = named(world.searcher.id.as_str());
    let other = world.issuer.token(&world.acme, &other).await;
    assert_eq!(
        other.map(|_| ()).unwrap_err().error,
        OAuthErrorCode::InvalidGrant
    );
    let proved = TokenRequest::JwtBearer(Box::new(JwtBearer {
        client: Some(auth(world.assertion(&world.triage))),
        ..(*request).clone()
    }));
    let proved = world.issuer.token(&world.acme, &proved).await;
    assert_eq!(
        proved.map(|_| ()).unwrap_err().error,
        OAuthErrorCode::InvalidRequest
    );
    assert!(
        world
            .issuer
            .token(&world.acme, &named("triage"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_token_ends_with_the_trust_that_gave_it() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let token = secret(&cluster.bring(&cluster.token()).await.unwrap());
    // What is said of it for people does not matter.
    cluster
        .change(|issuer| issuer.description = "CI".to_owned())
        .await;
    assert!(world.verify(&token).await.is_ok());
    let id = world.books.id(RecordId::from_uuid);
    cluster.change(|issuer| issuer.rules[0].id = id).await;
    assert!(world.verify(&token).await.is_err());
    let token = secret(&cluster.bring(&cluster.token()).await.unwrap());
    cluster.change(|issuer| issuer.enabled = false).await;
    assert!(world.verify(&token).await.is_err());
    cluster.refused(&cluster.token(), "issuer-disabled").await;
}

#[tokio::test]
async fn a_contained_or_inactive_agent_gets_nothing_by_a_workload() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let token = secret(&cluster.bring(&cluster.token()).await.unwrap());
    let workload = world.verify(&token).await.unwrap().thumbprint.clone();
    world
        .contain(json!({ "type": "credential", "id": workload }))
        .await;
    assert!(world.verify(&token).await.is_err());
    let held = cluster.bring(&cluster.token()).await;
    assert_refused(held, OAuthErrorCode::UnauthorizedClient, "contained");
    // Another workload of the same agent is not that one.
    let other = cluster.but("sub", json!("repo:acme/x:pull_request"));
    assert!(cluster.bring(&other).await.is_ok());
    world.set_state(&world.triage, AgentState::Suspended).await;
    let other = cluster.but("sub", json!("repo:acme/x:pull_request"));
    let inactive = cluster.bring(&other).await;
    assert_refused(
        inactive,
        OAuthErrorCode::UnauthorizedClient,
        "agent-not-active",
    );
}

#[tokio::test]
async fn a_new_key_is_found_and_unknown_ones_make_few_requests() {
    let cluster = Cluster::new().await;
    assert!(cluster.bring(&cluster.token()).await.is_ok());
    cluster.platform.rotate("k2");
    cluster.world.advance(10);
    assert!(cluster.bring(&cluster.token()).await.is_ok());
    assert_eq!(cluster.platform.asked(), 2);
    let attacker = Platform::new();
    for n in 0..50 {
        attacker.rotate(&format!("unknown-{n}"));
        let forged = attacker.sign(None, &cluster.claims());
        assert!(cluster.bring(&forged).await.is_err());
    }
    assert_eq!(cluster.platform.asked(), 2);
    // One that was taken back counts no longer than keys are fresh.
    let old = cluster.token();
    cluster.platform.rotate("k3");
    cluster.world.advance(301);
    cluster.refused(&old, "token-key-unknown").await;
}

#[tokio::test]
async fn keys_outlive_an_outage_for_an_hour() {
    let cluster = Cluster::new().await;
    assert!(cluster.bring(&cluster.token()).await.is_ok());
    *cluster.platform.down.lock().unwrap() = Some(WebError::Timeout);
    cluster.world.advance(3_590);
    assert!(cluster.bring(&cluster.token()).await.is_ok());
    cluster.world.advance(20);
    let error = cluster.bring(&cluster.token()).await;
    let code = OAuthErrorCode::TemporarilyUnavailable;
    assert_refused(error, code, "the assertion cannot be looked at now");
    assert_eq!(
        cluster.world.refused().await.1["code"],
        "issuer-unreachable"
    );
    *cluster.platform.down.lock().unwrap() = None;
    cluster.world.advance(10);
    assert!(cluster.bring(&cluster.token()).await.is_ok());
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_believed() {
    let cluster = Cluster::new().await;
    *cluster.platform.issuer.lock().unwrap() = "https://evil.example".to_owned();
    let error = cluster.bring(&cluster.token()).await;
    let code = OAuthErrorCode::TemporarilyUnavailable;
    assert_refused(error, code, "the assertion cannot be looked at now");
}

#[tokio::test]
async fn keys_are_asked_for_once_for_everybody_who_waits() {
    let cluster = Cluster::new().await;
    let tokens: Vec<_> = (0..20).map(|_| cluster.token()).collect();
    let answers = futures_of(tokens.iter().map(|token| cluster.bring(token))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(cluster.platform.asked(), 1);
}

/// A name that leads to a private network after it was set up, or an answer that sends elsewhere: told apart from an outage.
#[tokio::test]
async fn keys_are_not_fetched_from_where_nobody_is_to_be_led() {
    for error in [
        WebError::Refused("10.0.0.1 is in a private network".to_owned()),
        WebError::Redirect,
    ] {
        let cluster = Cluster::new().await;
        *cluster.platform.down.lock().unwrap() = Some(error);
        assert_eq!(cluster.not_now().await, "issuer-address-refused");
        assert_eq!(cluster.platform.asked.load(Ordering::Relaxed), 0);
    }
    let cluster = Cluster::new().await;
    *cluster.platform.down.lock().unwrap() = Some(WebError::Timeout);
    assert_eq!(cluster.not_now().await, "issuer-unreachable");
}
