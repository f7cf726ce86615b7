//! What a token is still good for, at each use.

use super::*;
use crate::{Asker, Introspection};
use remit_books::Ending;
use remit_domain::run::RunEnd;

async fn code(world: &World, token: &str) -> &'static str {
    match world.verify(token).await {
        Ok(_) => "good",
        Err(refused) => refused.refusal.code.as_str(),
    }
}

#[tokio::test]
async fn a_remembered_token_ends_with_whatever_it_rests_on() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 1).await;
    let run = world.verify(&token).await.unwrap().run.clone();
    assert_eq!(code(&world, &token).await, "good");
    world.set_state(&world.triage, AgentState::Suspended).await;
    assert_eq!(code(&world, &token).await, "agent-not-active");
    world.set_state(&world.triage, AgentState::Active).await;
    assert_eq!(code(&world, &token).await, "good");
    world.contain(json!({ "type": "run", "id": run })).await;
    assert_eq!(code(&world, &token).await, "contained");
}

#[tokio::test]
async fn an_ended_run_is_told_to_its_own_token_with_who_it_was() {
    let world = World::new().await;
    let token = world.token(&world.indexer, "").await;
    let run = world.verify(&token).await.unwrap().run.clone();
    world
        .books
        .end_run(
            &world.acme,
            &run,
            &Ending::because(Principal::Remit, RunEnd::Person),
        )
        .await
        .unwrap();
    for _ in 0..2 {
        let refused = world.verify(&token).await.unwrap_err();
        assert_eq!(refused.refusal.code.as_str(), "run-ended");
        assert_eq!(refused.verified.unwrap().agent, world.indexer.id);
    }
    // The next request starts another run.
    let next = world.token(&world.indexer, "").await;
    assert_ne!(world.verify(&next).await.unwrap().run, run);
}

#[tokio::test]
async fn removing_or_containing_the_key_or_token_ends_the_token() {
    let world = World::new().await;
    let now = world.books.now();
    let one = world.token(&world.indexer, "").await;
    let two = world.token(&world.searcher, "").await;
    assert_eq!(
        (code(&world, &one).await, code(&world, &two).await),
        ("good", "good")
    );
    world
        .change::<AgentKey>(&world.indexer.thumbprint, |key| key.removed = Some(now))
        .await;
    assert_eq!(
        (code(&world, &one).await, code(&world, &two).await),
        ("unauthenticated", "good")
    );
    let id = world.verify(&two).await.unwrap().token.clone();
    world
        .contain(json!({ "type": "credential", "id": id }))
        .await;
    assert_eq!(code(&world, &two).await, "contained");
}

#[tokio::test]
async fn a_token_ends_at_its_end_also_when_remembered() {
    let world = World::new().await;
    let token = world.token(&world.indexer, "").await;
    world.advance(299);
    assert_eq!(code(&world, &token).await, "good");
    world.advance(1);
    assert_eq!(code(&world, &token).await, "unauthenticated");
    let fresh = world.token(&world.indexer, "").await;
    world.advance(300);
    assert_eq!(
        code(&world, &fresh).await,
        "unauthenticated",
        "not seen before its end"
    );
}

#[tokio::test]
async fn a_token_of_one_organization_is_nothing_in_another() {
    let world = World::new().await;
    let token = world.token(&world.indexer, "").await;
    assert_eq!(code(&world, &token).await, "good");
    let other = world
        .issuer
        .verify_access(&world.globex, &token, None, &Resource::Mcp)
        .await
        .unwrap_err();
    assert_eq!(other.refusal.code.as_str(), "unauthenticated");
}

#[tokio::test]
async fn a_token_that_was_never_recorded_is_refused() {
    let world = World::new().await;
    let mut claims = world
        .verify(&world.token(&world.indexer, "").await)
        .await
        .unwrap()
        .claims
        .clone();
    let keys = world.issuer.org_keys(&world.acme).await.unwrap();
    claims.jti = world
        .books
        .id(remit_domain::CredentialId::from_uuid)
        .to_string();
    let forged = remit_token::access_token::sign(&claims, keys.signing().unwrap()).unwrap();
    assert_eq!(code(&world, &forged).await, "unauthenticated");
    // Nor one that was signed by somebody else.
    let other = remit_token::access_token::sign(&claims, &key()).unwrap();
    assert_eq!(code(&world, &other).await, "unauthenticated");
    for text in ["", "a.b.c", "rmt_pat_x", &"x".repeat(20_000)] {
        assert_eq!(code(&world, text).await, "unauthenticated");
    }
}

#[tokio::test]
async fn nothing_is_served_from_a_stale_snapshot() {
    let world = World::new().await;
    let token = world.token(&world.indexer, "").await;
    assert_eq!(code(&world, &token).await, "good");
    world.store.set_fresh(false);
    assert_eq!(code(&world, &token).await, "snapshot-stale");
}

#[tokio::test]
async fn an_owner_revokes_its_own_token_and_nobody_elses() {
    let world = World::new().await;
    let token = world.token(&world.indexer, "").await;
    let revoke = async |actor: &Actor, token: &str| {
        world
            .issuer
            .revoke(&world.acme, &auth(world.assertion(actor)), token)
            .await
    };
    revoke(&world.triage, &token).await.unwrap();
    assert_eq!(code(&world, &token).await, "good");
    revoke(&world.indexer, "garbage").await.unwrap();
    assert_eq!(world.entries(EventKind::TokenRevoked).await.0, 0);
    revoke(&world.indexer, &token).await.unwrap();
    assert_eq!(code(&world, &token).await, "unauthenticated");
    revoke(&world.indexer, &token).await.unwrap();
    assert_eq!(world.entries(EventKind::TokenRevoked).await.0, 1);
    let replayed = world.assertion(&world.indexer);
    world
        .issuer
        .revoke(&world.acme, &auth(replayed.clone()), "x")
        .await
        .unwrap();
    assert!(
        world
            .issuer
            .revoke(&world.acme, &auth(replayed), "x")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn introspection_knows_what_stands_and_tells_strangers_no_more() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 1).await;
    let ask = async |actor: &Actor, token: &str| -> Introspection {
        let client = auth(world.assertion(actor));
        world
            .issuer
            .introspect(&world.acme, Asker::Client(&client), token)
            .await
            .unwrap()
    };
    let own = ask(&world.triage, &token).await;
    assert_eq!(own.claims.as_ref().unwrap().sub, world.maria.as_str());
    assert_eq!(
        serde_json::to_value(&own).unwrap()["client_id"],
        json!(world.triage.id)
    );
    let other = serde_json::to_value(ask(&world.indexer, &token).await).unwrap();
    assert_eq!(other, json!({ "active": true }));
    world
        .contain(json!({ "type": "agent", "id": world.triage.id }))
        .await;
    let inactive = serde_json::to_value(ask(&world.indexer, &token).await).unwrap();
    assert_eq!(inactive, json!({ "active": false }));
    assert_eq!(
        serde_json::to_value(ask(&world.indexer, "x").await).unwrap(),
        json!({ "active": false })
    );
    let maria = world.sign_in(&world.maria).await;
    assert!(
        world
            .issuer
            .introspect(&world.acme, Asker::Person(&maria), &token)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_run_nobody_uses_ends_and_one_in_use_does_not() {
    let world = World::new().await;
    let idle = world
        .verify(&world.token(&world.indexer, "").await)
        .await
        .unwrap()
        .run
        .clone();
    let mut used = world.token(&world.searcher, "").await;
    let busy = world.verify(&used).await.unwrap().run.clone();
    for _ in 0..9 {
        world.advance(240);
        used = world.token(&world.searcher, "").await;
        assert_eq!(world.verify(&used).await.unwrap().run, busy);
        world.issuer.tick().await;
    }
    let book = world.books.org(&world.acme).unwrap();
    assert!(!book.registry().runs.contains_key(&idle));
    assert!(book.registry().runs.contains_key(&busy));
    let (_, facts) = world.entries(EventKind::RunEnded).await;
    assert_eq!(facts["cause"], "idle");
    let scope = format!("run:{idle}");
    assert_refused(
        world.credentials(&world.indexer, &scope).await,
        OAuthErrorCode::InvalidScope,
        "run-ended",
    );
    world.advance(7_200);
    world.issuer.tick().await;
    assert!(!book.registry().runs.contains_key(&busy));
}
