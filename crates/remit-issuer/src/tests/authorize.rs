//! A person's consent in a browser becomes a code, and the code a token, once and for one client.

use remit_token::AuthorizationCode;
use remit_token::authorization::AuthorizationParameters;
use remit_token::dpop::{self, NewProof};
use url::Url;

use super::*;
use crate::NotAsked;
use OAuthErrorCode::{InvalidGrant, InvalidRequest};

const BACK: &str = "http://127.0.0.1:5000/back";
// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn asking(changes: &[(&str, &str)]) -> AuthorizationParameters {
    let mut pairs = BTreeMap::from([
        ("response_type", "code"),
        ("client_id", "triage"),
        ("redirect_uri", BACK),
        ("scope", "workflow:answer"),
        ("state", "s-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    pairs.extend(changes.iter().copied());
    AuthorizationParameters::from_pairs(pairs).unwrap()
}

/// What a redirect says.
fn said(to: &str) -> BTreeMap<String, String> {
    let url = Url::parse(to).unwrap();
    assert!(to.starts_with(&format!("{BACK}?")), "{to}");
    url.query_pairs().into_owned().collect()
}

impl World {
    pub(super) async fn with_redirects() -> Self {
        let world = Self::new().await;
        let id = world.triage.workflows["answer"].to_string();
        let uris = ["http://127.0.0.1/back", "https://triage.example/back"];
        world
            .change::<Workflow>(&id, |w| w.redirect_uris = uris.map(str::to_owned).into())
            .await;
        world
    }

    /// The person says yes to a request.
    async fn yes(&self, sealed: &str) -> (Delegation, String) {
        let link = self
            .delegate(&self.triage, "answer", DelegationUse::Interactive, 1)
            .await;
        let asked = self
            .issuer
            .decide_consent(&self.acme, sealed)
            .await
            .unwrap();
        let to = self
            .issuer
            .consent_given(&self.acme, asked, &link.id, &self.maria)
            .unwrap();
        let said = said(&to);
        assert_eq!((said["state"].as_str(), said["iss"].as_str()), ("s-1", URL));
        (link, said["code"].clone())
    }

    pub(super) async fn code(&self, changes: &[(&str, &str)]) -> (Delegation, String) {
        let sealed = self.issuer.authorize(&self.acme, &asking(changes)).await;
        self.yes(&sealed.unwrap()).await
    }

    pub(super) fn redeeming(&self, actor: &Actor, code: &str) -> AuthorizationCode {
        AuthorizationCode {
            authorization_details: Default::default(),
            client: auth(self.assertion(actor)),
            code: code.to_owned().into(),
            redirect_uri: Some(BACK.to_owned()),
            code_verifier: VERIFIER.to_owned().into(),
            scope: Scope::default(),
            resource: Vec::new(),
        }
    }

    async fn redeem(
        &self,
        request: AuthorizationCode,
        proof: Option<&str>,
    ) -> Result<TokenResponse, OAuthError> {
        let request = TokenRequest::AuthorizationCode(Box::new(request));
        self.issuer
            .token_with_proof(&self.acme, &request, proof)
            .await
    }
}

#[tokio::test]
async fn a_persons_yes_becomes_a_token_for_them() {
    let world = World::with_redirects().await;
    let (link, code) = world.code(&[]).await;
    let request = world.redeeming(&world.triage, &code);
    let response = world.redeem(request, None).await.unwrap();
    let verified = world.verify(&secret(&response)).await.unwrap();
    assert_eq!(verified.person, Some(world.maria.clone()));
    assert_eq!(
        verified.claims.act.as_ref().unwrap().sub,
        world.triage.id.as_str()
    );
    assert_eq!(verified.claims.delegations, [link.id.to_string()]);
    assert_eq!(verified.workflow, world.triage.workflows["answer"]);
}

#[tokio::test]
async fn a_code_that_is_used_again_ends_what_it_gave() {
    let world = World::with_redirects().await;
    let (_, code) = world.code(&[]).await;
    let token = secret(
        &world
            .redeem(world.redeeming(&world.triage, &code), None)
            .await
            .unwrap(),
    );
    world.verify(&token).await.unwrap();
    let again = world
        .redeem(world.redeeming(&world.triage, &code), None)
        .await;
    assert_refused(again, InvalidGrant, "the code was used already");
    assert_eq!(world.refused().await.1["code"], "code-replayed");
    let ended = world.verify(&token).await.unwrap_err();
    assert_eq!(ended.refusal.code.as_str(), "run-ended");
}

#[tokio::test]
async fn a_code_is_for_one_client_address_verifier_and_time() {
    let world = World::with_redirects().await;
    let (_, code) = world.code(&[]).await;
    let own = || world.redeeming(&world.triage, &code);
    let other = |uri: Option<&str>| AuthorizationCode {
        redirect_uri: uri.map(str::to_owned),
        ..own()
    };
    let verifier = AuthorizationCode {
        code_verifier: VERIFIER.replace('d', "e").into(),
        ..own()
    };
    let forged = AuthorizationCode {
        code: "Zm9yZ2Vk".to_owned().into(),
        ..own()
    };
    for (request, code) in [
        (world.redeeming(&world.searcher, &code), "code-client-other"),
        (other(None), "code-redirect-other"),
        (
            other(Some("http://127.0.0.1:5001/back")),
            "code-redirect-other",
        ),
        (verifier, "code-verifier-other"),
        (forged, "code-invalid"),
    ] {
        assert_refused(world.redeem(request, None).await, InvalidGrant, "");
        assert_eq!(world.refused().await.1["code"], code);
    }
    // None of these used it up; time does.
    world.advance(60);
    assert_refused(world.redeem(own(), None).await, InvalidGrant, "");
    assert_eq!(world.refused().await.1["code"], "code-invalid");
}

#[tokio::test]
async fn a_code_for_a_key_needs_that_key() {
    let world = World::with_redirects().await;
    let (own, other) = (key(), key());
    let (_, code) = world.code(&[("dpop_jkt", own.kid().as_str())]).await;
    let nonce = world.issuer.dpop_nonce().unwrap();
    let proof = |key: &SigningKey, jti| {
        let new = NewProof {
            method: "POST",
            url: "https://remit.example/oauth2/token",
            access_token: None,
            nonce: Some(&nonce),
            jti,
            iat: world.books.now().as_secs(),
        };
        dpop::sign(&new, key).unwrap()
    };
    let request = || world.redeeming(&world.triage, &code);
    assert_refused(world.redeem(request(), None).await, InvalidGrant, "");
    let wrong = proof(&other, "a");
    assert_refused(
        world.redeem(request(), Some(&wrong)).await,
        InvalidGrant,
        "",
    );
    assert_eq!(world.refused().await.1["code"], "code-key-other");
    let good = proof(&own, "b");
    let response = world.redeem(request(), Some(&good)).await.unwrap();
    assert_eq!(response.token_type, remit_token::AccessTokenType::DPoP);
}

#[tokio::test]
async fn a_code_is_worth_nothing_once_the_delegation_is_gone() {
    let world = World::with_redirects().await;
    let (link, code) = world.code(&[]).await;
    world
        .change::<Delegation>(link.id.as_str(), |link| {
            link.state = DelegationState::Revoked {
                at: world.books.now(),
                by: Principal::Remit,
                reason: "no".to_owned(),
            }
        })
        .await;
    let request = world.redeeming(&world.triage, &code);
    assert_refused(
        world.redeem(request, None).await,
        InvalidGrant,
        "chain-broken",
    );
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let world = World::with_redirects().await;
    for (name, value, code) in [
        (
            "redirect_uri",
            "https://evil.example/back",
            "redirect-unknown",
        ),
        (
            "redirect_uri",
            "https://triage.example/back/",
            "redirect-unknown",
        ),
        (
            "redirect_uri",
            "https://triage.example:444/back",
            "redirect-unknown",
        ),
        (
            "redirect_uri",
            "http://127.0.0.1:5000/other",
            "redirect-unknown",
        ),
        ("redirect_uri", "", "redirect-unknown"),
        ("client_id", "nobody", "client-unknown"),
        ("client_id", "searcher", "redirect-unknown"),
    ] {
        let found = world
            .issuer
            .authorize(&world.acme, &asking(&[(name, value)]))
            .await;
        assert!(
            matches!(found, Err(NotAsked::Told(_))),
            "{value}: {found:?}"
        );
        assert_eq!(world.refused().await.1["code"], code, "{value}");
    }
    // What else is wrong goes back to the client.
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "workflow:refund", "unauthorized_client"),
        ("scope", "openid", "invalid_scope"),
        ("scope", "workflow:answer run:x", "invalid_scope"),
        (
            "resource",
            "https://evil.example/mcp",
            "unauthorized_client",
        ),
    ] {
        let found = world
            .issuer
            .authorize(&world.acme, &asking(&[(name, value)]))
            .await;
        let Err(NotAsked::Sent(to)) = found else {
            panic!("{value}: {found:?}")
        };
        let said = said(&to);
        assert_eq!(
            (
                said["error"].as_str(),
                said["state"].as_str(),
                said["iss"].as_str()
            ),
            (error, "s-1", URL),
            "{value}"
        );
    }
}

#[tokio::test]
async fn whoever_has_proved_nothing_learns_nothing_of_agents() {
    let world = World::with_redirects().await;
    let told = async |parameters: &[(&'static str, &'static str)]| {
        let asked = asking(parameters);
        match world.issuer.authorize(&world.acme, &asked).await {
            Err(NotAsked::Told(error)) => error.error_description.into_owned(),
            Err(NotAsked::Sent(to)) => said(&to)["error_description"].clone(),
            Ok(_) => panic!("{parameters:?} was taken up"),
        }
    };
    let address = ("redirect_uri", "https://evil.example/back");
    let unknown = told(&[("client_id", "nobody"), address]).await;
    assert_eq!(told(&[address]).await, unknown);
    let workflow = told(&[("scope", "workflow:refund")]).await;
    assert_eq!(told(&[("scope", "workflow:none")]).await, workflow);
    world
        .contain(json!({ "type": "agent", "id": world.triage.id }))
        .await;
    assert_eq!(
        told(&[]).await,
        workflow,
        "nor that it is contained, and why"
    );
}

#[tokio::test]
async fn an_address_that_was_taken_back_gets_no_answer() {
    let world = World::with_redirects().await;
    let sealed = world.issuer.authorize(&world.acme, &asking(&[])).await;
    let sealed = sealed.unwrap();
    assert!(world.issuer.consent_asked(&world.acme, &sealed).is_ok());
    let id = world.triage.workflows["answer"].to_string();
    world
        .change::<Workflow>(&id, |w| w.redirect_uris.clear())
        .await;
    let gone = world.issuer.consent_asked(&world.acme, &sealed);
    assert_eq!(
        gone.unwrap_err().code,
        remit_domain::RefusalCode::ProofInvalid
    );
}

#[tokio::test]
async fn a_request_is_decided_once_and_a_no_is_told() {
    let world = World::with_redirects().await;
    let sealed = world
        .issuer
        .authorize(&world.acme, &asking(&[]))
        .await
        .unwrap();
    let asked = world
        .issuer
        .decide_consent(&world.acme, &sealed)
        .await
        .unwrap();
    let to = world
        .issuer
        .consent_denied(&world.acme, asked)
        .await
        .unwrap();
    assert_eq!(said(&to)["error"], "access_denied");
    assert_eq!(world.refused().await.1["code"], "consent-denied");
    assert!(
        world
            .issuer
            .decide_consent(&world.acme, &sealed)
            .await
            .is_err()
    );
    // A request of one organization is none in another, and a code is no request.
    let sealed = world
        .issuer
        .authorize(&world.acme, &asking(&[]))
        .await
        .unwrap();
    assert!(world.issuer.consent_asked(&world.globex, &sealed).is_err());
    let (_, code) = world.yes(&sealed).await;
    assert!(world.issuer.consent_asked(&world.acme, &code).is_err());
    let late = world
        .issuer
        .authorize(&world.acme, &asking(&[]))
        .await
        .unwrap();
    world.advance(300);
    assert!(
        world
            .issuer
            .decide_consent(&world.acme, &late)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_pushed_request_is_the_pushing_clients_own() {
    let world = World::with_redirects().await;
    let push = async |actor: &Actor, changes: &[(&str, &str)]| {
        let client = auth(world.assertion(actor));
        world
            .issuer
            .push(&world.acme, &client, &asking(changes), None)
            .await
    };
    let pushed = push(&world.triage, &[]).await.unwrap();
    let by = |client, uri: &str| {
        let pairs = [("client_id", client), ("request_uri", uri)];
        AuthorizationParameters::from_pairs(pairs).unwrap()
    };
    let taken = by("triage", &pushed.request_uri);
    let sealed = world.issuer.authorize(&world.acme, &taken).await.unwrap();
    world.yes(&sealed).await;
    for (client, uri, code) in [
        ("searcher", pushed.request_uri.as_str(), "client-id-other"),
        (
            "triage",
            "urn:ietf:params:oauth:request_uri:x",
            "request-uri-invalid",
        ),
        (
            "triage",
            "https://evil.example/request",
            "request-uri-invalid",
        ),
    ] {
        let found = world.issuer.authorize(&world.acme, &by(client, uri)).await;
        assert!(matches!(found, Err(NotAsked::Told(_))), "{uri}: {found:?}");
        assert_eq!(world.refused().await.1["code"], code);
    }
    for (actor, changes, code) in [
        (&world.searcher, vec![], "client-id-other"),
        (
            &world.triage,
            vec![("redirect_uri", "https://evil.example/")],
            "redirect-unknown",
        ),
        (
            &world.triage,
            vec![("request_uri", pushed.request_uri.as_str())],
            "request-invalid",
        ),
    ] {
        let error = push(actor, &changes).await.unwrap_err();
        assert_eq!(error.error, InvalidRequest, "{code}");
        assert_eq!(world.refused().await.1["code"], code);
    }
}

#[tokio::test]
async fn a_client_asks_for_tools_and_is_sent_back_with_what_is_not_understood() {
    let world = World::with_redirects().await;
    let read =
        r#"[{"type":"remit_tool","tool":"orders/read","bounds":{"order":[{"one_of":["A-118"]}]}}]"#;
    let sealed = world
        .issuer
        .authorize(&world.acme, &asking(&[("authorization_details", read)]))
        .await
        .unwrap();
    let asked = world.issuer.consent_asked(&world.acme, &sealed).unwrap();
    let tools = serde_json::to_value(&asked.tools).unwrap();
    let expected = json!({ "orders/read": { "order": [{ "one_of": ["A-118"] }] } });
    assert_eq!(tools, expected);
    for (wrong, reason) in [
        ("[]", "request-invalid"),
        (
            r#"[{"type":"remit_tool","type":"x","tool":"orders/read"}]"#,
            "request-invalid",
        ),
        (
            r#"[{"type":"payment","tool":"orders/read"}]"#,
            "details-type-unknown",
        ),
        (
            r#"[{"type":"remit_tool","tool":"orders/read","actions":["x"]}]"#,
            "details-invalid",
        ),
    ] {
        let asking = asking(&[("authorization_details", wrong)]);
        let NotAsked::Sent(to) = world
            .issuer
            .authorize(&world.acme, &asking)
            .await
            .unwrap_err()
        else {
            panic!("the client is told");
        };
        assert_eq!(said(&to)["error"], "invalid_authorization_details");
        assert_eq!(world.refused().await.1["code"], reason);
    }
    // Which tools are granted is told to nobody who has not proved to be the client; the ledger knows.
    let more = r#"[{"type":"remit_tool","tool":"orders/erase"}]"#;
    let asking = asking(&[("authorization_details", more)]);
    let answer = world.issuer.authorize(&world.acme, &asking).await;
    let NotAsked::Sent(to) = answer.unwrap_err() else {
        panic!("the client is told");
    };
    assert_eq!(said(&to)["error"], "unauthorized_client");
    assert_eq!(world.refused().await.1["code"], "wider");
    let pushed = world
        .issuer
        .push(
            &world.acme,
            &auth(world.assertion(&world.triage)),
            &asking,
            None,
        )
        .await;
    let error = pushed.map(|_| ()).unwrap_err();
    assert_eq!(error.error, OAuthErrorCode::InvalidAuthorizationDetails);
}

#[tokio::test]
async fn a_pushed_request_is_bound_to_the_key_that_it_proves() {
    let world = World::with_redirects().await;
    let (own, other) = (key(), key());
    let nonce = world.issuer.dpop_nonce().unwrap();
    let proof = |key: &SigningKey, jti, endpoint: &str, nonce| {
        let new = NewProof {
            method: "POST",
            url: &format!("{URL}/oauth2/{endpoint}"),
            access_token: None,
            nonce,
            jti,
            iat: world.books.now().as_secs(),
        };
        dpop::sign(&new, key).unwrap()
    };
    let push = |proof: String, changes: &'static [(&'static str, &'static str)]| {
        let client = auth(world.assertion(&world.triage));
        let world = &world;
        async move {
            let asking = asking(changes);
            let pushed = world
                .issuer
                .push(&world.acme, &client, &asking, Some(&proof));
            pushed.await
        }
    };
    let no_nonce = push(proof(&own, "a", "par", None), &[]).await.unwrap_err();
    assert_eq!(no_nonce.error, OAuthErrorCode::UseDpopNonce);
    let elsewhere = push(proof(&own, "b", "token", Some(&nonce)), &[]).await;
    assert_eq!(
        elsewhere.unwrap_err().error,
        OAuthErrorCode::InvalidDpopProof
    );
    let named: &'static [(&str, &str)] =
        &[("dpop_jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")];
    let mixed = push(proof(&own, "c", "par", Some(&nonce)), named).await;
    assert_eq!(mixed.unwrap_err().error, OAuthErrorCode::InvalidDpopProof);
    assert_eq!(world.refused().await.1["code"], "dpop-key-other");
    let good = proof(&own, "d", "par", Some(&nonce));
    let pushed = push(good.clone(), &[]).await.unwrap();
    let again = push(good, &[]).await.unwrap_err();
    assert_eq!(again.error, OAuthErrorCode::InvalidDpopProof);
    assert_eq!(world.refused().await.1["code"], "dpop-replayed");
    let by_uri = AuthorizationParameters::from_pairs([
        ("client_id", "triage"),
        ("request_uri", pushed.request_uri.as_str()),
    ]);
    let sealed = world.issuer.authorize(&world.acme, &by_uri.unwrap()).await;
    let (_, code) = world.yes(&sealed.unwrap()).await;
    let request = || world.redeeming(&world.triage, &code);
    let thief = proof(&other, "e", "token", Some(&nonce));
    assert_refused(
        world.redeem(request(), Some(&thief)).await,
        InvalidGrant,
        "",
    );
    assert_refused(world.redeem(request(), None).await, InvalidGrant, "");
    assert_eq!(world.refused().await.1["code"], "code-key-other");
    let mine = proof(&own, "f", "token", Some(&nonce));
    world.redeem(request(), Some(&mine)).await.unwrap();
}
