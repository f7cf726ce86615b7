//! Revoking one token: everything that was got with it falls with it, also what is got beside the revocation.

use super::*;
use crate::SpawnRequest;
use remit_domain::run::RunState;

impl World {
    async fn revoke(&self, actor: &Actor, token: &str) {
        let client = auth(self.assertion(actor));
        self.issuer
            .revoke(&self.acme, &client, token)
            .await
            .unwrap();
    }

    /// The same token at one upstream.
    async fn narrowed(&self, actor: &Actor, token: &str) -> String {
        let request = exchange(self.assertion(actor), token, TokenType::AccessToken, "");
        let TokenRequest::TokenExchange(mut request) = request else {
            panic!("an exchange");
        };
        request.resource = vec![format!("{URL}/mcp/orders")];
        let request = TokenRequest::TokenExchange(request);
        secret(&self.issuer.token(&self.acme, &request).await.unwrap())
    }

    /// A sub-agent of whoever holds `token`, and its own token.
    async fn sub_agent(&self, token: &str) -> (remit_domain::RunId, String) {
        let parent = self.issuer.inspect(&self.acme, token).await.unwrap();
        let workflow = self.searcher.workflows["search"].clone();
        let request = SpawnRequest::new(self.searcher.id.clone(), workflow);
        let spawned = self
            .issuer
            .spawn(&self.acme, &parent, request)
            .await
            .unwrap();
        let subject = spawned.subject_token.expose_secret();
        let token = self.exchange(&self.searcher, subject, "").await.unwrap();
        (spawned.run.id, secret(&token))
    }

    async fn why(&self, token: &str) -> &'static str {
        let at = Resource::Upstream("orders".parse().unwrap());
        let used = self.issuer.verify_access(&self.acme, token, None, &at);
        used.await.map_or_else(|refused| refused.reason, |_| "good")
    }
}

#[tokio::test]
async fn what_was_exchanged_or_spawned_with_a_token_falls_with_it() {
    let world = World::new().await;
    let first = world.acting(&world.triage, "answer", 2).await;
    let narrow = world.narrowed(&world.triage, &first).await;
    let narrower = world.narrowed(&world.triage, &narrow).await;
    let (run, child) = world.sub_agent(&first).await;
    let grandchild = world.narrowed(&world.searcher, &child).await;
    // The same run, but another token: nothing of it came from the first.
    let scope = format!(
        "workflow:answer run:{}",
        world.verify(&first).await.unwrap().run
    );
    let beside = world.token(&world.triage, &scope).await;
    for token in [&first, &narrow, &narrower, &child, &grandchild, &beside] {
        assert_eq!(world.why(token).await, "good");
    }
    world.revoke(&world.triage, &first).await;
    assert_eq!(world.why(&first).await, "token-revoked");
    for token in [&narrow, &narrower] {
        assert_eq!(world.why(token).await, "token-revoked");
    }
    for token in [&child, &grandchild] {
        assert_ne!(world.why(token).await, "good");
    }
    assert_eq!(world.why(&beside).await, "good");
    let found = world
        .books
        .get::<remit_domain::Run>(&world.acme, run.as_str());
    let state = found.await.unwrap().unwrap().noun.state;
    assert!(matches!(state, RunState::Ended { .. }), "{state:?}");
    assert_eq!(world.entries(EventKind::TokenRevoked).await.0, 3);
}

/// What is issued beside a revocation escapes the list of what is revoked, but not the look back at what it was got with.
#[tokio::test]
async fn what_is_got_beside_the_revocation_is_refused_too() {
    let world = World::new().await;
    let first = world.acting(&world.triage, "answer", 2).await;
    let narrow = world.narrowed(&world.triage, &first).await;
    let (_, child) = world.sub_agent(&narrow).await;
    let id = world.verify(&first).await.unwrap().token.clone();
    // Only the record of the first is written, as if everything else had come a moment later.
    let now = world.books.now();
    world
        .change::<remit_domain::credential::Token>(id.as_str(), |t| t.revoked = Some(now))
        .await;
    for token in [&narrow, &child] {
        assert_eq!(world.why(token).await, "token-origin-revoked");
    }
    // Nor is anything got with them any more.
    let request = exchange(
        world.assertion(&world.triage),
        &narrow,
        TokenType::AccessToken,
        "",
    );
    let again = world.issuer.token(&world.acme, &request).await;
    assert!(again.is_err());
}

#[tokio::test]
async fn a_contained_token_takes_with_it_what_was_got_with_it() {
    let world = World::new().await;
    let first = world.acting(&world.triage, "answer", 2).await;
    let narrow = world.narrowed(&world.triage, &first).await;
    let id = world.verify(&first).await.unwrap().token.clone();
    world
        .contain(json!({ "type": "credential", "id": id }))
        .await;
    assert_ne!(world.why(&narrow).await, "good");
}
