//! The company's OpenID provider, played by a test: what it says, what it should not say, and what an attacker says for it.

use std::sync::Mutex;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use remit_domain::idp::{IdentityProvider, ProviderSettings, SetBy};
use remit_domain::name::Name;
use remit_domain::upstream::SecretRef;
use remit_domain::{Refusal, Role, SignedInBy};
use remit_ports::web::{WebError, WebRequest, WebResponse};
use remit_ports::{Secrets, Web};

use super::*;
use crate::{OidcAnswer, Welcome};

const IDP: &str = "https://idp.example";
const SECRET: &str = "the-clients-secret-which-is-long-enough";

/// A provider.
struct Idp {
    key: Vec<u8>,
    public: Value,
    /// Claims of the next token, once somebody was sent.
    claims: Mutex<Value>,
    /// How the next token is signed.
    header: Mutex<Header>,
    codes: Mutex<Vec<String>>,
    down: Mutex<bool>,
}

impl Idp {
    fn new() -> Arc<Self> {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let random = aws_lc_rs::rand::SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let key = made.unwrap().as_ref().to_vec();
        let public = SigningKey::from_pkcs8(&key).unwrap().public();
        let mut public = serde_json::to_value(public).unwrap();
        public["kid"] = json!("k1");
        public["use"] = json!("sig");
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k1".to_owned());
        Arc::new(Self {
            key,
            public,
            claims: Mutex::default(),
            header: Mutex::new(header),
            codes: Mutex::default(),
            down: Mutex::default(),
        })
    }

    fn token(&self) -> String {
        let header = self.header.lock().unwrap();
        let key = if header.alg == Algorithm::HS256 {
            EncodingKey::from_secret(SECRET.as_bytes())
        } else {
            EncodingKey::from_ec_der(&self.key)
        };
        jsonwebtoken::encode(&header, &*self.claims.lock().unwrap(), &key).unwrap()
    }

    fn answer(&self, request: &WebRequest) -> Value {
        match request.url.strip_prefix(IDP).unwrap() {
            "/.well-known/openid-configuration" => json!({
                "issuer": IDP, "authorization_endpoint": format!("{IDP}/auth"),
                "token_endpoint": format!("{IDP}/token"), "jwks_uri": format!("{IDP}/jwks"),
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256", "HS256"],
                "authorization_response_iss_parameter_supported": true
            }),
            "/jwks" => json!({ "keys": [self.public] }),
            "/token" => {
                let form = String::from_utf8(request.body.clone()).unwrap();
                assert!(form.contains("code_verifier="), "{form}");
                assert!(
                    request
                        .headers
                        .iter()
                        .any(|(name, _)| name == "authorization")
                );
                let code = form.split("code=").nth(1).unwrap();
                let code = code.split('&').next().unwrap().to_owned();
                let mut codes = self.codes.lock().unwrap();
                if codes.contains(&code) {
                    return json!({ "error": "invalid_grant" });
                }
                codes.push(code);
                json!({ "access_token": "x", "token_type": "Bearer", "id_token": self.token() })
            }
            other => panic!("{other}"),
        }
    }
}

struct Reached(Arc<Idp>);

#[async_trait]
impl Web for Reached {
    async fn request(&self, _: &OrgId, request: WebRequest) -> Result<WebResponse, WebError> {
        if *self.0.down.lock().unwrap() {
            return Err(WebError::Timeout);
        }
        let body = self.0.answer(&request);
        Ok(WebResponse {
            max_age_s: None,
            status: if body.get("error").is_some() {
                400
            } else {
                200
            },
            content_type: Some("application/json".to_owned()),
            body: body.to_string().into_bytes(),
        })
    }
}

pub(super) struct OneSecret;

#[async_trait]
impl Secrets for OneSecret {
    fn may_name(&self, _: &Name, _: &SecretRef) -> Result<(), VaultError> {
        Ok(())
    }

    async fn read(&self, org: &Name, _: &SecretRef) -> Result<SecretString, VaultError> {
        assert_eq!(org.as_str(), "acme");
        Ok(SecretString::from(SECRET))
    }
}

/// A world with a provider.
struct Company {
    world: World,
    idp: Arc<Idp>,
}

/// Somebody on their way: what the provider was told, and what the browser keeps.
struct Sent {
    visit: String,
    state: String,
    nonce: String,
}

impl Company {
    async fn new(more: Value) -> Self {
        let mut world = World::new().await;
        let idp = Idp::new();
        world.issuer = world
            .issuer
            .with_web(Arc::new(Reached(Arc::clone(&idp))), Arc::new(OneSecret));
        let mut settings = json!({
            "issuer": IDP, "client_id": "remit", "client_secret": { "env": "REMIT_SECRET_IDP" }
        });
        for (member, value) in more.as_object().unwrap() {
            settings[member] = value.clone();
        }
        let settings: ProviderSettings = serde_json::from_value(settings).unwrap();
        let provider = IdentityProvider {
            settings,
            removed: false,
            behind: Default::default(),
        };
        put(&world.books, &world.acme, &provider).await;
        Self { world, idp }
    }

    /// Sends somebody, whom the provider then says to be `who`.
    async fn send(&self, who: Value) -> Sent {
        let issuer = &self.world.issuer;
        let begun = issuer
            .begin_oidc(&self.world.acme, "/approvals")
            .await
            .unwrap();
        let url = url::Url::parse(&begun.url).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(
            query["redirect_uri"],
            "https://remit.example/sign-in/oidc/callback"
        );
        let now = self.world.books.now().as_secs();
        let mut claims = json!({
            "iss": IDP, "aud": "remit", "sub": "u-1", "iat": now, "exp": now + 60,
            "nonce": query["nonce"], "email": "maria@acme.example", "email_verified": true
        });
        for (member, value) in who.as_object().unwrap() {
            claims[member] = value.clone();
        }
        *self.idp.claims.lock().unwrap() = claims;
        Sent {
            visit: begun.visit.expose_secret().to_owned(),
            state: query["state"].clone(),
            nonce: query["nonce"].clone(),
        }
    }

    async fn back(&self, sent: &Sent, more: Value) -> Result<Welcome, Refusal> {
        let mut answer = json!({ "code": sent.nonce, "state": sent.state, "iss": IDP });
        for (member, value) in more.as_object().unwrap() {
            answer[member] = value.clone();
        }
        let answer: OidcAnswer = serde_json::from_value(answer).unwrap();
        let issuer = &self.world.issuer;
        issuer
            .finish_oidc(&self.world.acme, &sent.visit, &answer, "Firefox")
            .await
    }

    /// Signs somebody in whom the provider says to be `who`.
    async fn go(&self, who: Value) -> Result<Welcome, Refusal> {
        let sent = self.send(who).await;
        self.back(&sent, json!({})).await
    }
}

fn code(answer: Result<Welcome, Refusal>) -> &'static str {
    answer.map(|_| ()).unwrap_err().code.as_str()
}

#[tokio::test]
async fn a_verified_address_signs_its_person_in_and_goes_on_where_they_were_going() {
    let company = Company::new(json!({})).await;
    let welcome = company.go(json!({})).await.unwrap();
    assert_eq!(welcome.next, "/approvals");
    let session = company.world.checked(&welcome.session).await.unwrap();
    assert_eq!(session.person.id, company.world.maria);
    let upper = company.go(json!({ "email": "Maria@ACME.example" })).await;
    assert_eq!(upper.unwrap().session.person, company.world.maria);
    assert_eq!(company.world.entries(EventKind::SessionOpened).await.0, 2);
}

#[tokio::test]
async fn an_answer_counts_once_in_its_browser_from_its_issuer() {
    let company = Company::new(json!({})).await;
    let sent = company.send(json!({})).await;
    company.back(&sent, json!({})).await.unwrap();
    assert_eq!(code(company.back(&sent, json!({})).await), "proof-invalid");
    for wrong in [
        json!({ "state": "x" }),
        json!({ "state": null }),
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": null }),
        json!({ "code": null }),
        json!({ "code": "x".repeat(5_000) }),
    ] {
        let sent = company.send(json!({})).await;
        assert_eq!(
            code(company.back(&sent, wrong.clone()).await),
            "proof-invalid",
            "{wrong}"
        );
    }
    // Another browser's visit, none, one too late, and one of another organization.
    let (hers, his) = (company.send(json!({})).await, company.send(json!({})).await);
    let crossed = Sent {
        visit: his.visit,
        ..hers
    };
    assert_eq!(
        code(company.back(&crossed, json!({})).await),
        "proof-invalid"
    );
    let none = Sent {
        visit: String::new(),
        ..company.send(json!({})).await
    };
    assert_eq!(code(company.back(&none, json!({})).await), "proof-invalid");
    let late = company.send(json!({})).await;
    company.world.advance(300);
    assert_eq!(code(company.back(&late, json!({})).await), "proof-invalid");
    let denied = company.send(json!({})).await;
    let denied = company
        .back(&denied, json!({ "error": "access_denied" }))
        .await;
    assert!(denied.unwrap_err().text.contains("access_denied"));
    assert_eq!(company.world.entries(EventKind::SessionOpened).await.0, 1);
    assert!(company.world.refused().await.0 >= 10);
}

#[tokio::test]
async fn a_token_that_is_not_exactly_ours_is_refused() {
    let company = Company::new(json!({})).await;
    let now = company.world.books.now().as_secs();
    for wrong in [
        json!({ "nonce": "x" }),
        json!({ "nonce": null }),
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "another-client" }),
        json!({ "aud": ["remit", "another-client"] }),
        json!({ "exp": now }),
        json!({ "iat": now - 301 }),
        json!({ "iat": now + 60 }),
        json!({ "email_verified": false }),
        json!({ "email_verified": null }),
        json!({ "email": "nobody@acme.example" }),
        json!({ "email": null }),
    ] {
        assert_eq!(
            code(company.go(wrong.clone()).await),
            "unauthenticated",
            "{wrong}"
        );
    }
    company.world.leaves(&company.world.maria).await;
    assert_eq!(code(company.go(json!({})).await), "unauthenticated");
}

#[tokio::test]
async fn a_token_signed_with_the_shared_secret_or_another_key_is_refused() {
    let company = Company::new(json!({})).await;
    company.idp.header.lock().unwrap().alg = Algorithm::HS256;
    assert_eq!(code(company.go(json!({})).await), "unauthenticated");
    let mut stranger = Header::new(Algorithm::ES256);
    stranger.kid = Some("k2".to_owned());
    *company.idp.header.lock().unwrap() = stranger;
    assert_eq!(code(company.go(json!({})).await), "unauthenticated");
}

#[tokio::test]
async fn a_mapped_subject_counts_before_an_address_and_groups_only_narrow() {
    let company = Company::new(json!({
        "subjects": { "u-7": "owner@acme.example" }, "verified_email": false,
        "groups_claim": "groups", "groups": { "admins": ["admin"], "all": ["auditor"] }
    }))
    .await;
    assert_eq!(code(company.go(json!({})).await), "unauthenticated");
    let roles = async |groups: Value| {
        let who = json!({ "sub": "u-7", "email": "maria@acme.example", "groups": groups });
        let welcome = company.go(who).await.unwrap();
        let session = company.world.checked(&welcome.session).await.unwrap();
        assert_eq!(session.person.id, company.world.owner);
        session.person.roles.clone()
    };
    assert_eq!(
        roles(json!(["admins", "all"])).await,
        BTreeSet::from([Role::Admin])
    );
    assert_eq!(roles(json!("admins")).await, BTreeSet::from([Role::Admin]));
    for none in [
        json!(["all"]),
        json!([]),
        json!(null),
        json!({ "admins": true }),
    ] {
        assert!(roles(none.clone()).await.is_empty(), "{none}");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_or_taken_away_signs_nobody_in() {
    let company = Company::new(json!({})).await;
    let world = &company.world;
    *company.idp.down.lock().unwrap() = true;
    let down = world.issuer.begin_oidc(&world.acme, "/").await.unwrap_err();
    assert_eq!(down.code.as_str(), "upstream-unreachable");
    assert!(world.issuer.test_provider(&world.acme).await.is_err());
    *company.idp.down.lock().unwrap() = false;
    assert_eq!(
        world.issuer.test_provider(&world.acme).await.unwrap().keys,
        1
    );
    let sent = company.send(json!({})).await;
    world
        .change::<IdentityProvider>("default", |p| p.removed = true)
        .await;
    assert_eq!(code(company.back(&sent, json!({})).await), "not-found");
    let none = world.issuer.begin_oidc(&world.acme, "/").await.unwrap_err();
    assert_eq!(none.code.as_str(), "not-found");
}

#[tokio::test]
async fn signing_in_never_sends_anybody_to_another_site() {
    let world = World::new().await;
    let next = |org: &OrgId, next: &str| world.issuer.local_address(org, next).unwrap();
    assert_eq!(next(&world.acme, "/runs?x=1"), "/runs?x=1");
    assert_eq!(next(&world.globex, "/t/globex/runs"), "/t/globex/runs");
    for wrong in [
        "",
        "runs",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "/a b",
        "/\u{7f}",
        "///evil.example",
        "\\/evil.example",
        "javascript:alert(1)",
    ] {
        assert_eq!(next(&world.acme, wrong), "/", "{wrong}");
        assert_eq!(next(&world.globex, wrong), "/t/globex/", "{wrong}");
    }
    assert_eq!(next(&world.globex, "/t/globexx"), "/t/globex/");
    assert_eq!(next(&world.globex, "/runs"), "/t/globex/");
    assert_eq!(
        next(
            &world.acme,
            &format!("/{}", "x".repeat(crate::limits::NEXT_BYTES_MAX))
        ),
        "/"
    );
}

/// An administrator who sets which provider is believed, or whom a subject names, could sign in as that person by it.
#[tokio::test]
async fn who_set_the_provider_or_mapped_the_subject_is_written_down_in_the_person() {
    let company = Company::new(json!({ "subjects": { "u-7": "maria@acme.example" } })).await;
    let world = &company.world;
    let admin = |id: &PersonId| SetBy {
        person: id.clone(),
        at: world.books.now(),
    };
    // One set the provider; another one mapped a subject to Maria later.
    world
        .change::<IdentityProvider>("default", |p| {
            let mut settings = p.settings.clone();
            let subjects = std::mem::take(&mut settings.subjects);
            let set = IdentityProvider::set(settings.clone(), None, &admin(&world.owner));
            settings.subjects = subjects;
            *p = IdentityProvider::set(settings, Some(&set), &admin(&world.sponsor));
        })
        .await;
    company.go(json!({})).await.unwrap();
    assert_eq!(
        world.behind(&world.maria),
        std::slice::from_ref(&world.owner)
    );
    company.go(json!({ "sub": "u-7" })).await.unwrap();
    let mut both = vec![world.owner.clone(), world.sponsor.clone()];
    both.sort();
    assert_eq!(world.behind(&world.maria), both);
    assert_eq!(world.entries(EventKind::PersonVouched).await.0, 2);
    company.go(json!({ "sub": "u-7" })).await.unwrap();
    assert_eq!(world.entries(EventKind::PersonVouched).await.0, 2, "once");
}

/// What the provider's groups take from somebody does not come back by another way in.
#[tokio::test]
async fn what_the_groups_take_comes_back_neither_by_a_link_nor_a_token_nor_a_passkey() {
    let company = Company::new(json!({
        "subjects": { "u-7": "owner@acme.example" }, "groups_claim": "groups", "groups": { "all": ["auditor"] }
    }))
    .await;
    let world = &company.world;
    world
        .change::<Organization>(world.acme.as_str(), |o| o.groups_narrow = true)
        .await;
    let token = world.sign_in(&world.owner).await;
    assert!(
        token.holds(Role::Admin),
        "the provider has not been asked yet"
    );
    let code = {
        let made = world
            .issuer
            .create_enrolment(&world.acme, &token, &world.owner);
        made.await.unwrap().code
    };
    let before = world.opened(&world.owner, SignedInBy::Passkey).await;
    let who = json!({ "sub": "u-7", "groups": ["all"] });
    let welcome = company.go(who).await.unwrap();
    let narrow = world.checked(&welcome.session).await.unwrap();
    assert!(!narrow.person.holds(Role::Admin));
    // A session that was there, a passkey that was made in the narrowed one or before, a link, and a token made by it.
    assert!(
        !world
            .checked(&before)
            .await
            .unwrap()
            .person
            .holds(Role::Admin)
    );
    let passkey = world.opened(&world.owner, SignedInBy::Passkey).await;
    assert!(
        !world
            .checked(&passkey)
            .await
            .unwrap()
            .person
            .holds(Role::Admin)
    );
    let made = world
        .issuer
        .redeem_enrolment(&world.acme, code.expose_secret(), "x", None)
        .await
        .unwrap();
    let made = made.token.expose_secret();
    let by_token = world.issuer.authenticate_person(&world.acme, made).await;
    assert!(!by_token.unwrap().holds(Role::Admin));
}

/// A break-glass account is for when the provider is wrong, and without groups nothing is narrowed.
#[tokio::test]
async fn groups_narrow_no_break_glass_account_and_nobody_where_they_do_not_count() {
    let world = World::new().await;
    let session = world.opened(&world.owner, SignedInBy::Passkey).await;
    world
        .change::<Person>(world.owner.as_str(), |p| {
            p.groups_roles = Some(BTreeSet::new())
        })
        .await;
    let narrow = async |counts: bool, glass: bool| {
        world
            .change::<Organization>(world.acme.as_str(), |o| o.groups_narrow = counts)
            .await;
        world
            .change::<Person>(world.owner.as_str(), |p| p.break_glass = glass)
            .await;
        !world
            .checked(&session)
            .await
            .unwrap()
            .person
            .holds(Role::Admin)
    };
    assert!(narrow(true, false).await);
    assert!(!narrow(true, true).await);
    assert!(!narrow(false, false).await);
}
