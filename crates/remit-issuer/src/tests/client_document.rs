//! Clients by the address of their metadata document: which are let in, which documents are fetched, and what they cannot say.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use remit_domain::name::Name;
use remit_domain::upstream::SecretRef;
use remit_ports::web::{WebError, WebRequest, WebResponse};
use remit_ports::{Secrets, Web};
use remit_token::AuthorizationCode;
use remit_token::authorization::AuthorizationParameters;

use super::*;
use crate::NotAsked;
use OAuthErrorCode::{InvalidClient, InvalidGrant, InvalidScope};

const ID: &str = "https://client.example/oauth/remit.json";
const BACK: &str = "https://client.example/back";
// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A site that gives these answers, the last one again and again, and remembers what it was asked.
#[derive(Default)]
struct Site {
    answers: Mutex<VecDeque<Result<WebResponse, WebError>>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Web for Site {
    async fn request(&self, _: &OrgId, request: WebRequest) -> Result<WebResponse, WebError> {
        assert_eq!((request.method.as_str(), request.body.len()), ("GET", 0));
        self.asked.lock().unwrap().push(request.url);
        let mut answers = self.answers.lock().unwrap();
        match answers.len() {
            0 => Err(WebError::Timeout),
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        }
    }
}

struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    fn may_name(&self, _: &Name, _: &SecretRef) -> Result<(), VaultError> {
        Ok(())
    }

    async fn read(&self, _: &Name, _: &SecretRef) -> Result<SecretString, VaultError> {
        panic!("no secret is needed")
    }
}

fn document(key: &SigningKey) -> Value {
    json!({
        "client_id": ID, "client_name": "A client", "redirect_uris": [BACK],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [key.public()] }
    })
}

fn found(body: &Value, max_age_s: Option<u64>) -> Result<WebResponse, WebError> {
    Ok(WebResponse {
        status: 200,
        content_type: Some("application/json; charset=utf-8".to_owned()),
        max_age_s,
        body: body.to_string().into_bytes(),
    })
}

impl World {
    /// Workflow `answer` lists the client, whose document is at this site.
    async fn with_client(site: &Arc<Site>) -> Self {
        let world = Self::new().await;
        let id = world.triage.workflows["answer"].to_string();
        world
            .change::<Workflow>(&id, |w| w.client_ids = [ID.to_owned()].into())
            .await;
        let issuer = world.issuer.clone();
        let _ = issuer.with_web(site.clone(), Arc::new(NoSecrets));
        world
    }

    async fn redeem_with(
        &self,
        code: &str,
        assertion: String,
    ) -> Result<TokenResponse, OAuthError> {
        let request = AuthorizationCode {
            client: auth(assertion),
            authorization_details: Default::default(),
            code: code.to_owned().into(),
            redirect_uri: Some(BACK.to_owned()),
            code_verifier: VERIFIER.to_owned().into(),
            scope: Scope::default(),
            resource: Vec::new(),
        };
        let request = TokenRequest::AuthorizationCode(Box::new(request));
        self.issuer.token(&self.acme, &request).await
    }

    async fn by_document(
        &self,
        id: &str,
        key: &SigningKey,
        scope: &str,
    ) -> Result<TokenResponse, OAuthError> {
        let request = credentials(self.assertion_as(id, key, URL), scope, &[]);
        self.issuer.token(&self.acme, &request).await
    }
}

fn site(answers: Vec<Result<WebResponse, WebError>>) -> Arc<Site> {
    Arc::new(Site {
        answers: Mutex::new(answers.into()),
        ..Site::default()
    })
}

#[tokio::test]
async fn a_listed_client_is_let_in_by_the_key_in_its_document_and_falls_with_its_listing() {
    let own = key();
    let site = site(vec![found(&document(&own), None)]);
    let world = World::with_client(&site).await;
    let response = world
        .by_document(ID, &own, "workflow:answer")
        .await
        .unwrap();
    let token = secret(&response);
    let verified = world.verify(&token).await.unwrap();
    assert_eq!(verified.agent, world.triage.id);
    // In a workflow that does not list it, it is nobody.
    let other = world.by_document(ID, &own, "workflow:refund").await;
    assert_refused(other, InvalidScope, "workflow-unknown");
    assert_eq!(world.refused().await.1["code"], "client-not-listed");
    // Another key, and the agent's own key under the client's name.
    for thief in [&key(), &world.triage.key] {
        let refused = world.by_document(ID, thief, "workflow:answer").await;
        assert_refused(refused, InvalidClient, "");
    }
    // The key of the document is none of the agent's under its own name.
    let own_name = world.triage.id.to_string();
    let refused = world.by_document(&own_name, &own, "workflow:answer").await;
    assert_refused(refused, InvalidClient, "");
    assert_eq!(site.asked.lock().unwrap().as_slice(), [ID], "asked once");
    let id = world.triage.workflows["answer"].to_string();
    world
        .change::<Workflow>(&id, |w| w.client_ids.clear())
        .await;
    let fallen = world.verify(&token).await.unwrap_err();
    assert!(
        fallen.refusal.text.contains("does not list the client"),
        "{}",
        fallen.refusal
    );
    let gone = world.by_document(ID, &own, "workflow:answer").await;
    assert_refused(gone, InvalidClient, "");
}

#[tokio::test]
async fn a_key_that_is_an_agents_here_proves_no_client_of_another() {
    let site = site(Vec::new());
    let world = World::with_client(&site).await;
    let of_agents = json!([world.searcher.key.public(), world.triage.key.public()]);
    let mut body = document(&world.searcher.key);
    body["jwks"]["keys"] = of_agents;
    site.answers.lock().unwrap().push_back(found(&body, None));
    for key in [&world.searcher.key, &world.triage.key] {
        let refused = world.by_document(ID, key, "workflow:answer").await;
        assert_refused(refused, InvalidClient, "");
    }
}

#[tokio::test]
async fn a_client_hands_nothing_on_of_a_workflow_that_does_not_list_it() {
    let own = key();
    let site = site(vec![found(&document(&own), None)]);
    let world = World::with_client(&site).await;
    // A token of the same agent that it has come by.
    let token = world.acting(&world.triage, "refund", 1).await;
    let assertion = world.assertion_as(ID, &own, URL);
    let TokenRequest::TokenExchange(mut request) =
        exchange(assertion, &token, TokenType::AccessToken, "workflow:search")
    else {
        panic!("another grant")
    };
    request.audience = vec![world.searcher.id.to_string()];
    let request = TokenRequest::TokenExchange(request);
    let spawned = world.issuer.token(&world.acme, &request).await;
    assert_refused(spawned, InvalidScope, "");
    assert_eq!(world.refused().await.1["code"], "client-not-listed");
}

#[tokio::test]
async fn nothing_that_is_not_listed_is_ever_fetched() {
    let own = key();
    let site = site(vec![found(&document(&own), None)]);
    let world = World::with_client(&site).await;
    for other in [
        "https://client.example/oauth/remit.json/",
        "https://client.example/oauth/remit.json?x",
        "https://client.example./oauth/remit.json",
        "https://evil.example/remit.json",
        "https://127.0.0.1/remit.json",
        "https://169.254.169.254/latest/meta-data",
        "http://client.example/oauth/remit.json",
    ] {
        let refused = world.by_document(other, &own, "workflow:answer").await;
        assert_refused(refused, InvalidClient, "");
        let asked = world
            .issuer
            .authorize(&world.acme, &asking(other, BACK))
            .await;
        assert!(matches!(asked, Err(NotAsked::Told(_))), "{other}");
    }
    assert!(site.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_document_that_is_not_the_clients_own_or_cannot_be_had_lets_nobody_in() {
    let own = key();
    let mut of_another = document(&own);
    of_another["client_id"] = json!("https://evil.example/oauth/remit.json");
    let mut public = document(&own);
    public["token_endpoint_auth_method"] = json!("none");
    let mut with_secret = document(&own);
    with_secret["client_secret"] = json!("s");
    let mut long = document(&own);
    long["client_name"] = json!("x".repeat(9_000));
    let page = WebResponse {
        content_type: Some("text/html".to_owned()),
        ..found(&document(&own), None).unwrap()
    };
    let missing = WebResponse {
        status: 404,
        ..found(&document(&own), None).unwrap()
    };
    for (answer, code) in [
        (found(&of_another, None), "client-metadata-other-client"),
        (found(&public, None), "client-metadata-method"),
        (found(&with_secret, None), "client-metadata-secret"),
        (found(&long, None), "client-metadata-too-large"),
        (Ok(page), "client-metadata-not-json"),
        (Ok(missing), "client-metadata-not-json"),
        (Err(WebError::Redirect), "client-metadata-address-refused"),
        (Err(WebError::TooLarge(1)), "client-metadata-unreachable"),
        (
            Err(WebError::Refused("its address is private".to_owned())),
            "client-metadata-address-refused",
        ),
        (Err(WebError::Timeout), "client-metadata-unreachable"),
    ] {
        let site = site(vec![answer]);
        let world = World::with_client(&site).await;
        for _ in 0..3 {
            let refused = world.by_document(ID, &own, "workflow:answer").await;
            assert_refused(refused, InvalidClient, "");
            assert_eq!(world.refused().await.1["code"], code);
        }
        assert_eq!(site.asked.lock().unwrap().len(), 1, "{code}: asked once");
    }
}

#[tokio::test]
async fn a_document_counts_for_a_bounded_time_whatever_it_says() {
    let (old, new) = (key(), key());
    for (max_age, secs) in [(Some(0), 60), (None, 300), (Some(31_536_000), 600)] {
        let site = site(vec![
            found(&document(&old), max_age),
            found(&document(&new), max_age),
        ]);
        let world = World::with_client(&site).await;
        let try_with = |key| world.by_document(ID, key, "workflow:answer");
        try_with(&old).await.unwrap();
        world.advance(secs - 1);
        try_with(&old).await.unwrap();
        assert_refused(try_with(&new).await, InvalidClient, "");
        world.advance(2);
        try_with(&new).await.unwrap();
        assert_refused(try_with(&old).await, InvalidClient, "");
        assert_eq!(site.asked.lock().unwrap().len(), 2);
    }
}

fn asking(client: &str, redirect: &str) -> AuthorizationParameters {
    AuthorizationParameters::from_pairs([
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect),
        ("scope", "workflow:answer"),
        ("state", "s-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ])
    .unwrap()
}

#[tokio::test]
async fn a_person_is_sent_back_to_the_documents_own_addresses_only_and_the_code_is_that_clients() {
    let own = key();
    let site = site(vec![found(&document(&own), None)]);
    let world = World::with_client(&site).await;
    for elsewhere in [
        "https://client.example/back/",
        "https://client.example/back?x=y",
        "https://evil.example/back",
    ] {
        let asked = world
            .issuer
            .authorize(&world.acme, &asking(ID, elsewhere))
            .await;
        assert!(matches!(asked, Err(NotAsked::Told(_))), "{elsewhere}");
        assert_eq!(world.refused().await.1["code"], "redirect-unknown");
    }
    // The addresses of the document are those of that client, not of the agent under its own name.
    let by_name = world
        .issuer
        .authorize(&world.acme, &asking("triage", BACK))
        .await;
    assert!(matches!(by_name, Err(NotAsked::Told(_))));
    let sealed = world
        .issuer
        .authorize(&world.acme, &asking(ID, BACK))
        .await
        .unwrap();
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let asked = world
        .issuer
        .decide_consent(&world.acme, &sealed)
        .await
        .unwrap();
    assert_eq!(asked.client.as_deref(), Some(ID));
    let to = world
        .issuer
        .consent_given(&world.acme, asked, &link.id, &world.maria)
        .unwrap();
    let to = url::Url::parse(&to).unwrap();
    let code = to.query_pairs().find(|(name, _)| name == "code").unwrap().1;
    let redeem = |assertion| world.redeem_with(&code, assertion);
    let agents_own = redeem(world.assertion(&world.triage)).await;
    assert_refused(
        agents_own,
        InvalidGrant,
        "the code was given to another client",
    );
    let response = redeem(world.assertion_as(ID, &own, URL)).await.unwrap();
    let verified = world.verify(&secret(&response)).await.unwrap();
    assert_eq!(verified.person, Some(world.maria.clone()));
    // A request that was taken up before its client was taken out of the list leads nowhere.
    let sealed = world
        .issuer
        .authorize(&world.acme, &asking(ID, BACK))
        .await
        .unwrap();
    let id = world.triage.workflows["answer"].to_string();
    world
        .change::<Workflow>(&id, |w| w.client_ids.clear())
        .await;
    assert!(world.issuer.consent_asked(&world.acme, &sealed).is_err());
}
