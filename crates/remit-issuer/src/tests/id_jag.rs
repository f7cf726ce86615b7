//! Identity assertions (ID-JAG): what a client gets for a person by their identity provider's word, and what it does not.

use remit_token::JwtBearer;

use super::federation::{Cluster, ISSUER, Platform};
use super::*;

const TYP: Option<&str> = Some("oauth-id-jag+jwt");

impl Cluster {
    fn jag(&self) -> Value {
        let now = self.world.books.now().as_secs();
        json!({
            "iss": ISSUER, "sub": "00u1", "aud": URL, "client_id": self.world.triage.id, "iat": now, "exp": now + 300,
            "jti": format!("jag-{}", self.jti.fetch_add(1, Ordering::Relaxed))
        })
    }

    fn jag_but(&self, name: &str, value: Value) -> String {
        let mut claims = self.jag();
        claims[name] = value;
        self.platform.sign(TYP, &claims)
    }

    pub(super) fn jag_token(&self) -> String {
        self.platform.sign(TYP, &self.jag())
    }

    async fn redeem(
        &self,
        actor: &Actor,
        assertion: &str,
        scope: &str,
    ) -> Result<TokenResponse, OAuthError> {
        let request = TokenRequest::JwtBearer(Box::new(JwtBearer {
            assertion: SecretString::from(assertion),
            client: Some(auth(self.world.assertion(actor))),
            client_id: None,
            chain: ClientChain::default(),
            scope: Scope::parse(scope).unwrap(),
            resource: Vec::new(),
            authorization_details: Default::default(),
        }));
        self.world.issuer.token(&self.world.acme, &request).await
    }

    pub(super) async fn redeem_own(&self, assertion: &str) -> Result<TokenResponse, OAuthError> {
        self.redeem(&self.world.triage, assertion, "workflow:refund")
            .await
    }

    /// Asserts that an assertion gets nothing, and the code that is recorded of it.
    async fn not_redeemed(&self, assertion: &str, code: &str) {
        let answer = self.redeem_own(assertion).await;
        assert!(answer.is_err(), "{code}");
        assert_eq!(self.world.refused().await.1["code"], code);
    }
}

#[tokio::test]
async fn a_client_acts_for_the_person_whom_the_provider_names() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let answer = cluster.redeem_own(&cluster.jag_token()).await.unwrap();
    let verified = world.verify(&secret(&answer)).await.unwrap();
    assert_eq!(verified.person.as_ref(), Some(&world.maria));
    assert_eq!(verified.agent, world.triage.id);
    assert_eq!(
        verified.claims.act.as_ref().unwrap().sub,
        world.triage.id.as_str()
    );
    let (_, facts) = world.entries(EventKind::DelegationGranted).await;
    assert_eq!(facts["person"], json!(world.maria));
    assert_eq!(facts["depth_left"], 0);
    // Who set what the provider says of her stands behind her from then on.
    let book = world.books.org(&world.acme).unwrap();
    let maria = book.registry().people[&world.maria].clone();
    assert!(maria.vouched_by.contains_key(&world.owner));
    // The delegation ends with the token: nothing goes on without another word of the provider.
    let run = format!("workflow:refund run:{}", verified.run);
    assert!(world.credentials(&world.triage, &run).await.is_ok());
    world.advance(301);
    assert!(world.credentials(&world.triage, &run).await.is_err());
    let again = cluster.redeem_own(&cluster.jag_token()).await.unwrap();
    assert_ne!(
        world.verify(&secret(&again)).await.unwrap().run,
        verified.run
    );
}

#[tokio::test]
async fn a_forged_chain_gives_nothing() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let chain = json!({ "sub": world.searcher.id, "act": { "sub": world.indexer.id } });
    let answer = cluster.redeem_own(&cluster.jag_but("act", chain)).await;
    let verified = world.verify(&secret(&answer.unwrap())).await.unwrap();
    let act = verified.claims.act.clone().unwrap();
    assert_eq!(
        (act.sub.as_str(), act.depth()),
        (world.triage.id.as_str(), 1)
    );
    let (_, deep) = (0..100).fold((0, json!({ "sub": "x" })), |(n, act), _| {
        (n + 1, json!({ "sub": "x", "act": act }))
    });
    cluster
        .not_redeemed(&cluster.jag_but("act", deep), "actor-invalid")
        .await;
}

#[tokio::test]
async fn an_assertion_of_an_identity_is_good_once() {
    let cluster = Cluster::new().await;
    let jag = cluster.jag_token();
    assert!(cluster.redeem_own(&jag).await.is_ok());
    cluster.not_redeemed(&jag, "assertion-replayed").await;
}

#[tokio::test]
async fn what_the_provider_did_not_say_of_this_client_gets_nothing() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let now = world.books.now().as_secs();
    for (name, value, code) in [
        ("iss", json!("https://evil.example"), "issuer-untrusted"),
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
        ("client_id", json!(world.searcher.id), "client-id-other"),
        ("client_id", json!(null), "client-id-other"),
        ("sub", json!("00u2"), "person-unknown"),
        ("exp", json!(now - 31), "token-expired"),
        ("scope", json!("workflow:answer"), "wider"),
        ("scope", json!("openid"), "wider"),
        ("resource", json!("https://other.example/mcp"), "not-found"),
        ("act", json!({ "iss": "x" }), "actor-invalid"),
        ("act", json!("x"), "actor-invalid"),
        ("cnf", json!({ "jkt": "x" }), "dpop-key-other"),
        (
            "authorization_details",
            json!([{ "type": "x" }]),
            "authorization-details-unknown",
        ),
    ] {
        cluster
            .not_redeemed(&cluster.jag_but(name, value), code)
            .await;
    }
    // Another kind of token is none, in either direction.
    let plain = cluster.platform.sign(None, &cluster.jag());
    cluster.not_redeemed(&plain, "assertion-with-client").await;
    let attacker = Platform::new();
    let forged = attacker.sign(TYP, &cluster.jag());
    cluster
        .not_redeemed(&forged, "token-signature-invalid")
        .await;
    // Without the client's own proof it is nothing, even by whoever holds it.
    let bare = super::federation::bearer(&cluster.jag_token(), "workflow:refund");
    let bare = world.issuer.token(&world.acme, &bare).await;
    assert_eq!(
        bare.map(|_| ()).unwrap_err().error,
        OAuthErrorCode::InvalidClient
    );
    let jag = cluster.jag_token();
    let other = cluster.redeem(&world.searcher, &jag, "");
    assert_refused(
        other.await,
        OAuthErrorCode::InvalidGrant,
        "the assertion is for another client",
    );
}

#[tokio::test]
async fn a_provider_speaks_only_of_the_workflows_and_people_it_may() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let jag = cluster.jag_token();
    let other = cluster.redeem(&world.triage, &jag, "workflow:answer");
    assert_refused(
        other.await,
        OAuthErrorCode::InvalidScope,
        "this issuer may not",
    );
    let narrow = cluster.jag_but("scope", json!("openid workflow:refund"));
    assert!(cluster.redeem(&world.triage, &narrow, "").await.is_ok());
    let answer = cluster.redeem_own(&cluster.jag_token()).await.unwrap();
    let token = secret(&answer);
    assert!(world.verify(&token).await.is_ok());
    // What it gave ends with what an administrator takes back.
    let id = world.books.id(remit_domain::RecordId::from_uuid);
    cluster
        .change(|issuer| issuer.identities.as_mut().unwrap().id = id)
        .await;
    assert!(world.verify(&token).await.is_err());
    cluster.change(|issuer| issuer.identities = None).await;
    cluster
        .not_redeemed(&cluster.jag_token(), "issuer-not-for-people")
        .await;
}

#[tokio::test]
async fn nobody_is_acted_for_who_has_left() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let token = secret(&cluster.redeem_own(&cluster.jag_token()).await.unwrap());
    world.leaves(&world.maria).await;
    assert!(world.verify(&token).await.is_err());
    let after = cluster.redeem_own(&cluster.jag_token()).await;
    assert_refused(after, OAuthErrorCode::InvalidGrant, "chain-broken");
}
