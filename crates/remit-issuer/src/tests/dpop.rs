//! Tokens bound to a key, and everything that is no proof of it.

use remit_token::dpop::{self, NewProof};
use remit_token::{AccessTokenType, BearerError};

use super::keys::second_node;
use super::*;
use crate::{ProofRefused, ProofShown};
use OAuthErrorCode::{InvalidDpopProof, UseDpopNonce};

pub(super) const ENDPOINT: &str = "https://remit.example/oauth2/token";

impl World {
    pub(super) fn proof_at(
        &self,
        key: &SigningKey,
        url: &str,
        token: Option<&str>,
        jti: &str,
    ) -> String {
        let nonce = self.issuer.dpop_nonce().unwrap();
        self.proof_with(key, url, token, jti, Some(&nonce))
    }

    fn proof_with(
        &self,
        key: &SigningKey,
        url: &str,
        token: Option<&str>,
        jti: &str,
        nonce: Option<&str>,
    ) -> String {
        let new = NewProof {
            method: "POST",
            url,
            access_token: token,
            nonce,
            jti,
            iat: self.books.now().as_secs(),
        };
        dpop::sign(&new, key).unwrap()
    }

    async fn ask(&self, proof: Option<&str>) -> Result<TokenResponse, OAuthError> {
        let request = credentials(self.assertion(&self.triage), "workflow:answer", &[]);
        self.issuer
            .token_with_proof(&self.acme, &request, proof)
            .await
    }

    /// A token that is bound to this key.
    pub(super) async fn bound(&self, key: &SigningKey) -> String {
        let jti = format!("bound-{}", self.jti.fetch_add(1, Ordering::SeqCst));
        let proof = self.proof_at(key, ENDPOINT, None, &jti);
        secret(&self.ask(Some(&proof)).await.unwrap())
    }

    async fn prove(&self, token: &str, proof: Option<&str>) -> Result<String, ProofRefused> {
        let shown = ProofShown {
            proof,
            method: "POST",
            path: "/mcp",
        };
        let proved = self.issuer.prove_key(&self.acme, "mcp", token, &shown);
        Ok(proved.await?.unwrap())
    }
}

#[tokio::test]
async fn a_proof_binds_the_token_to_its_key() {
    let world = World::new().await;
    let own = key();
    let proof = world.proof_at(&own, ENDPOINT, None, "one");
    let response = world.ask(Some(&proof)).await.unwrap();
    assert_eq!(response.token_type, AccessTokenType::DPoP);
    let token = secret(&response);
    let (_, facts) = world.entries(EventKind::TokenIssued).await;
    assert_eq!(facts["bound_to"], own.kid().as_str());
    let proof = world.proof_at(&own, "https://remit.example/mcp", Some(&token), "two");
    let proved = world.prove(&token, Some(&proof)).await.unwrap();
    assert_eq!(proved, own.kid().as_str());
    let good = async |key: Option<&str>| {
        let at = Resource::Mcp;
        world
            .issuer
            .verify_access(&world.acme, &token, key, &at)
            .await
    };
    let verified = good(Some(&proved)).await.unwrap();
    let cnf = verified.claims.cnf.as_ref().unwrap();
    assert_eq!(cnf.jkt.as_ref(), Some(own.kid()));
    for key in [None, Some(world.triage.thumbprint.as_str()), Some("")] {
        let refused = good(key).await.unwrap_err();
        assert_eq!(refused.refusal.code.as_str(), "proof-invalid", "{key:?}");
        assert!(
            refused.verified.is_some(),
            "it is known whose token was tried"
        );
    }
    let asked = world.sign_in(&world.owner).await;
    let asker = crate::Asker::Person(&asked);
    let told = world.issuer.introspect(&world.acme, asker, &token).await;
    let told = serde_json::to_value(told.unwrap()).unwrap();
    assert_eq!(
        (&told["token_type"], &told["cnf"]["jkt"]),
        (&json!("DPoP"), &json!(own.kid()))
    );
    // The key itself can be contained, as any credential.
    world
        .contain(json!({ "type": "credential", "id": own.kid() }))
        .await;
    let refused = good(Some(&proved)).await.unwrap_err();
    assert_eq!(refused.refusal.code.as_str(), "contained");
}

#[tokio::test]
async fn a_proof_needs_a_nonce_of_ours_that_is_not_old() {
    let world = World::new().await;
    let own = key();
    let bare = world.proof_with(&own, ENDPOINT, None, "a", None);
    assert_refused(world.ask(Some(&bare)).await, UseDpopNonce, "");
    assert_eq!(world.refused().await.0, 0, "a first request is no offence");
    let old = world.issuer.dpop_nonce().unwrap();
    world.advance(61);
    assert_ne!(old, world.issuer.dpop_nonce().unwrap());
    // Any node reads it, and none has to remember it.
    let second = second_node(&world).await;
    let request = credentials(world.assertion(&world.triage), "workflow:answer", &[]);
    let proof = world.proof_with(&own, ENDPOINT, None, "b", Some(&old));
    let answer = second.token_with_proof(&world.acme, &request, Some(&proof));
    answer.await.unwrap();
    world.advance(239);
    for (nonce, code) in [
        (old.as_str(), "dpop-nonce-stale"),
        ("bm9uY2U", "dpop-nonce-other"),
        ("", "dpop-nonce-other"),
        ("!", "dpop-nonce-other"),
        (&"A".repeat(300), "dpop-nonce-other"),
    ] {
        let proof = world.proof_with(&own, ENDPOINT, None, "c", Some(nonce));
        assert_refused(world.ask(Some(&proof)).await, UseDpopNonce, "");
        assert_eq!(world.refused().await.1["code"], code, "{nonce}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_proof_is_good_once_on_whichever_node() {
    let world = World::new().await;
    let own = key();
    let at_token = world.proof_at(&own, ENDPOINT, None, "once");
    let token = secret(&world.ask(Some(&at_token)).await.unwrap());
    assert_refused(world.ask(Some(&at_token)).await, InvalidDpopProof, "");
    assert_eq!(world.refused().await.1["code"], "dpop-replayed");
    let second = second_node(&world).await;
    let proof = world.proof_at(&own, "https://remit.example/mcp", Some(&token), "twice");
    let tries = (0..40).map(|n| {
        let issuer = if n % 2 == 0 { &second } else { &world.issuer };
        let (issuer, org) = (issuer.clone(), world.acme.clone());
        let (token, proof) = (token.clone(), proof.clone());
        tokio::spawn(async move {
            let shown = ProofShown {
                proof: Some(&proof),
                method: "POST",
                path: "/mcp",
            };
            issuer.prove_key(&org, "mcp", &token, &shown).await
        })
    });
    let mut won = 0;
    for answer in tries.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            Ok(key) => {
                assert_eq!(key.as_deref(), Some(own.kid().as_str()));
                won += 1;
            }
            Err(refused) => assert_eq!(refused.error, BearerError::InvalidDpopProof),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(world.refused().await.1["code"], "dpop-replayed");
}

#[tokio::test]
async fn what_is_no_proof_at_a_resource_is_refused_with_its_own_reason() {
    let world = World::new().await;
    let (own, other) = (key(), key());
    let token = world.bound(&own).await;
    let at = "https://remit.example/mcp";
    let unbound = world.token(&world.triage, "workflow:answer").await;
    let nonce = world.issuer.dpop_nonce().unwrap();
    let made = |method: &str, url: &str, token: &str, iat: i64, key: &SigningKey| {
        let iat = world.books.now().as_secs() + iat;
        let (access_token, nonce) = (Some(token), Some(nonce.as_str()));
        let new = NewProof {
            method,
            url,
            access_token,
            nonce,
            jti: "x",
            iat,
        };
        dpop::sign(&new, key).unwrap()
    };
    for (proof, error, code) in [
        (
            made("POST", at, &token, 0, &other),
            "invalid_token",
            "dpop-key-other",
        ),
        (
            made("GET", at, &token, 0, &own),
            "invalid_dpop_proof",
            "dpop-htm-other",
        ),
        (
            made("POST", "https://evil.example/mcp", &token, 0, &own),
            "invalid_dpop_proof",
            "dpop-htu-other",
        ),
        (
            made("POST", ENDPOINT, &token, 0, &own),
            "invalid_dpop_proof",
            "dpop-htu-other",
        ),
        (
            made("POST", at, &unbound, 0, &own),
            "invalid_dpop_proof",
            "dpop-ath-other",
        ),
        (
            world.proof_at(&own, at, None, "y"),
            "invalid_dpop_proof",
            "dpop-ath-other",
        ),
        (
            made("POST", at, &token, -91, &own),
            "invalid_dpop_proof",
            "dpop-stale",
        ),
        (
            made("POST", at, &token, 31, &own),
            "invalid_dpop_proof",
            "dpop-early",
        ),
        ("a.b.c".to_owned(), "invalid_dpop_proof", "dpop-malformed"),
    ] {
        let refused = world.prove(&token, Some(&proof)).await.unwrap_err();
        assert_eq!(refused.error.as_str(), error, "{code}");
        assert_eq!(refused.refusal.code.as_str(), "proof-invalid");
        assert_eq!(world.refused().await.1["code"], code);
    }
    let refused = world.prove(&token, None).await.unwrap_err();
    assert_eq!(refused.error, BearerError::InvalidDpopProof);
    assert_eq!(world.refused().await.1["code"], "dpop-proof-missing");
}

#[tokio::test]
async fn a_token_that_is_bound_to_nothing_does_not_look_bound() {
    let world = World::new().await;
    let unbound = world.token(&world.triage, "workflow:answer").await;
    let proof = world.proof_at(&key(), "https://remit.example/mcp", Some(&unbound), "z");
    let refused = world.prove(&unbound, Some(&proof)).await.unwrap_err();
    assert_eq!(refused.error, BearerError::InvalidToken);
    assert_eq!(world.refused().await.1["code"], "dpop-token-unbound");
    assert_eq!(world.refused().await.1["door"], "mcp");
}

#[tokio::test]
async fn a_bound_token_is_exchanged_by_its_key_only() {
    let world = World::new().await;
    let (own, other) = (key(), key());
    let token = world.bound(&own).await;
    let ask = async |proof: Option<String>| {
        let assertion = world.assertion(&world.triage);
        let request = exchange(assertion, &token, TokenType::AccessToken, "");
        world
            .issuer
            .token_with_proof(&world.acme, &request, proof.as_deref())
            .await
    };
    assert_refused(ask(None).await, InvalidDpopProof, "");
    assert_eq!(world.refused().await.1["code"], "dpop-proof-missing");
    let proof = world.proof_at(&other, ENDPOINT, None, "o");
    assert_refused(ask(Some(proof)).await, InvalidDpopProof, "");
    assert_eq!(world.refused().await.1["code"], "dpop-key-other");
    let proof = world.proof_at(&own, ENDPOINT, None, "p");
    let narrowed = ask(Some(proof)).await.unwrap();
    assert_eq!(narrowed.token_type, AccessTokenType::DPoP);
    // A person's word is redeemed into a token of whoever redeems it.
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let assertion = world.assertion(&world.triage);
    let request = exchange(assertion, &world.subject(&link).await, TokenType::Jwt, "");
    let proof = world.proof_at(&other, ENDPOINT, None, "q");
    let redeemed = world
        .issuer
        .token_with_proof(&world.acme, &request, Some(&proof))
        .await
        .unwrap();
    assert_eq!(redeemed.token_type, AccessTokenType::DPoP);
    let refused = world.verify(&secret(&redeemed)).await.unwrap_err();
    assert_eq!(refused.refusal.code.as_str(), "proof-invalid");
}

#[tokio::test]
async fn a_workflow_may_demand_bound_tokens() {
    let world = World::new().await;
    let id = world.triage.workflows["answer"].to_string();
    world
        .change::<Workflow>(&id, |w| w.dpop_bound_access_tokens = true)
        .await;
    assert_refused(world.ask(None).await, InvalidDpopProof, "");
    assert_eq!(world.refused().await.1["code"], "dpop-proof-missing");
    world.bound(&key()).await;
}

#[tokio::test]
async fn an_organization_may_demand_bound_tokens_of_everybody() {
    let world = World::new().await;
    let before = world.token(&world.triage, "workflow:answer").await;
    assert!(world.verify(&before).await.is_ok());
    let id = world.acme.to_string();
    world
        .change::<Organization>(&id, |o| o.bound_tokens = true)
        .await;
    // Neither what was given out before, nor another one.
    let refused = world.verify(&before).await.unwrap_err();
    assert_eq!(refused.refusal.code.as_str(), "proof-invalid");
    assert_refused(world.ask(None).await, InvalidDpopProof, "");
    assert_eq!(world.refused().await.1["code"], "token-unbound");
    let request = exchange(
        world.assertion(&world.triage),
        &before,
        TokenType::AccessToken,
        "",
    );
    assert!(world.issuer.token(&world.acme, &request).await.is_err());
    world.bound(&key()).await;
}
