//! Sub-agents: only narrower, only where permitted, only with their own key.

use super::*;
use crate::SpawnRequest;
use OAuthErrorCode::{InvalidGrant, InvalidScope, UnauthorizedClient};
use remit_domain::authority::Authority;
use remit_domain::{Refusal, Run};

fn request(world: &World) -> SpawnRequest {
    SpawnRequest::new(
        world.searcher.id.clone(),
        world.searcher.workflows["search"].clone(),
    )
}

async fn spawn(
    world: &World,
    token: &str,
    request: SpawnRequest,
) -> Result<crate::Spawned, Refusal> {
    let parent = world.verify(token).await.unwrap();
    world.issuer.spawn(&world.acme, &parent, request).await
}

fn authority(body: Value) -> Authority {
    serde_json::from_value(body).unwrap()
}

#[tokio::test]
async fn a_sub_agent_redeems_its_own_token_with_its_own_key() {
    let world = World::new().await;
    let parent_token = world.acting(&world.triage, "answer", 1).await;
    let parent = world.verify(&parent_token).await.unwrap();
    let spawned = spawn(&world, &parent_token, request(&world)).await.unwrap();
    let subject = spawned.subject_token.expose_secret();
    // Not by the parent that asked for it.
    assert_refused(
        world.exchange(&world.triage, subject, "").await,
        InvalidGrant,
        "the subject token names another agent",
    );
    let child = secret(&world.exchange(&world.searcher, subject, "").await.unwrap());
    let child = world.verify(&child).await.unwrap();
    assert_eq!(
        (&child.run, &child.person),
        (&spawned.run.id, &Some(world.maria.clone()))
    );
    let actors: Vec<&str> = child
        .claims
        .act
        .as_ref()
        .unwrap()
        .chain()
        .map(|actor| actor.sub.as_str())
        .collect();
    assert_eq!(
        actors,
        [world.searcher.id.as_str(), world.triage.id.as_str()]
    );
    assert_eq!(
        child.claims.txn, parent.claims.txn,
        "one tree, one transaction"
    );
    assert_eq!(child.claims.delegations.len(), 2);
    assert_refused(
        world.exchange(&world.searcher, subject, "").await,
        InvalidGrant,
        "the subject token was used",
    );
    // What the parent has by itself is written into the link.
    let tools: Vec<String> = spawned
        .delegation
        .authority
        .tools
        .unwrap()
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(tools, ["orders/read"]);
    assert_eq!(spawned.delegation.depth_left, 0);
    // When the parent's run ends, so does the child's.
    let end = remit_books::Ending::because(Principal::Remit, remit_domain::run::RunEnd::Agent);
    world
        .books
        .end_run(&world.acme, &parent.run, &end)
        .await
        .unwrap();
    let scope = format!("run:{}", spawned.run.id);
    assert_refused(
        world.credentials(&world.searcher, &scope).await,
        InvalidScope,
        "run-ended",
    );
}

#[tokio::test]
async fn asking_for_more_than_the_parent_has_is_refused_and_recorded() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 2).await;
    for asked in [
        json!({ "tools": { "orders/refund": {} } }),
        json!({ "effects": ["purchase"] }),
        json!({ "data_classes": ["customer-pii"] }),
        json!({ "until": "2026-12-01T00:00:00Z" }),
    ] {
        let by_authority = SpawnRequest {
            authority: authority(asked.clone()),
            ..request(&world)
        };
        let refusal = spawn(&world, &token, by_authority).await.unwrap_err();
        assert_eq!(refusal.code.as_str(), "wider", "{asked}");
    }
    let by_time = SpawnRequest {
        for_secs: Some(7_200),
        ..request(&world)
    };
    assert_eq!(
        spawn(&world, &token, by_time)
            .await
            .unwrap_err()
            .code
            .as_str(),
        "wider"
    );
    let mut by_intent = request(&world);
    by_intent.intent.authority = authority(json!({ "tools": { "orders/refund": {} } }));
    assert_eq!(
        spawn(&world, &token, by_intent)
            .await
            .unwrap_err()
            .code
            .as_str(),
        "wider"
    );
    let (count, facts) = world.refused().await;
    assert_eq!((count, &facts["code"]), (6, &json!("wider")));
    let same = SpawnRequest {
        authority: authority(json!({ "tools": { "orders/read": {} } })),
        for_secs: Some(60),
        ..request(&world)
    };
    assert!(spawn(&world, &token, same).await.is_ok());
}

#[tokio::test]
async fn a_chain_is_as_deep_as_the_person_permits() {
    let world = World::new().await;
    let none = world.acting(&world.triage, "answer", 0).await;
    assert_eq!(
        spawn(&world, &none, request(&world))
            .await
            .unwrap_err()
            .code
            .as_str(),
        "chain-too-deep"
    );
    let (_, facts) = world.refused().await;
    assert_eq!(
        (&facts["door"], &facts["code"]),
        (&json!("spawn"), &json!("chain-too-deep"))
    );
    let one = world.acting(&world.triage, "answer", 1).await;
    let spawned = spawn(&world, &one, request(&world)).await.unwrap();
    let child = secret(
        &world
            .exchange(&world.searcher, spawned.subject_token.expose_secret(), "")
            .await
            .unwrap(),
    );
    let further = SpawnRequest::new(
        world.indexer.id.clone(),
        world.indexer.workflows["index"].clone(),
    );
    assert_eq!(
        spawn(&world, &child, further)
            .await
            .unwrap_err()
            .code
            .as_str(),
        "chain-too-deep"
    );
}

#[tokio::test]
async fn a_run_that_acts_for_nobody_hands_nothing_on() {
    let world = World::new().await;
    let token = world.token(&world.triage, "workflow:answer").await;
    assert_eq!(
        spawn(&world, &token, request(&world))
            .await
            .unwrap_err()
            .code
            .as_str(),
        "no-accountable-person"
    );
}

#[tokio::test]
async fn only_what_is_listed_as_spawnable_is_spawned() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "refund", 2).await;
    assert_eq!(
        spawn(&world, &token, request(&world))
            .await
            .unwrap_err()
            .code
            .as_str(),
        "forbidden"
    );
    let token = world.acting(&world.triage, "answer", 2).await;
    world
        .set_state(&world.searcher, AgentState::Suspended)
        .await;
    assert_eq!(
        spawn(&world, &token, request(&world))
            .await
            .unwrap_err()
            .code
            .as_str(),
        "agent-not-active"
    );
    // A workflow under another agent's name is no workflow of that agent.
    let mixed = SpawnRequest::new(
        world.indexer.id.clone(),
        world.searcher.workflows["search"].clone(),
    );
    assert_eq!(
        spawn(&world, &token, mixed)
            .await
            .unwrap_err()
            .code
            .as_str(),
        "workflow-unknown"
    );
}

#[tokio::test]
async fn the_token_endpoint_spawns_for_the_current_actor_only() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 1).await;
    let asked = |actor: &Actor, scope: &str| {
        let TokenRequest::TokenExchange(mut request) = exchange(
            world.assertion(actor),
            &token,
            TokenType::AccessToken,
            scope,
        ) else {
            panic!("an exchange")
        };
        request.audience = vec![world.searcher.id.to_string()];
        TokenRequest::TokenExchange(request)
    };
    let stolen = world
        .issuer
        .token(&world.acme, &asked(&world.searcher, "workflow:search"))
        .await;
    assert_refused(stolen, InvalidGrant, "the subject token is another agent's");
    let unnamed = world
        .issuer
        .token(&world.acme, &asked(&world.triage, ""))
        .await;
    assert_refused(unnamed, InvalidScope, "");
    let request = asked(&world.triage, "workflow:search");
    let response = world.issuer.token(&world.acme, &request).await.unwrap();
    assert_eq!(response.issued_token_type, Some(TokenType::Jwt));
    assert!(
        world
            .exchange(&world.searcher, &secret(&response), "")
            .await
            .is_ok()
    );
    // The parent's proof was spent with it.
    assert!(world.issuer.token(&world.acme, &request).await.is_err());
}

#[tokio::test]
async fn a_refused_spawn_at_the_token_endpoint_says_its_code() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "refund", 1).await;
    let TokenRequest::TokenExchange(mut request) = exchange(
        world.assertion(&world.triage),
        &token,
        TokenType::AccessToken,
        "workflow:search",
    ) else {
        panic!("an exchange")
    };
    request.audience = vec![world.searcher.id.to_string()];
    let answer = world
        .issuer
        .token(&world.acme, &TokenRequest::TokenExchange(request))
        .await;
    assert_refused(answer, UnauthorizedClient, "forbidden");
}

#[tokio::test]
async fn a_child_does_not_outlive_its_parent() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 1).await;
    let spawned = spawn(&world, &token, request(&world)).await.unwrap();
    let parent = world.verify(&token).await.unwrap();
    let above = world
        .books
        .get::<Run>(&world.acme, parent.run.as_str())
        .await
        .unwrap()
        .unwrap()
        .noun;
    assert!(spawned.run.deadline <= above.deadline);
    assert!(spawned.delegation.expires <= above.deadline);
    assert_eq!(spawned.run.root, above.root);
}

#[tokio::test]
async fn a_parent_contained_meanwhile_leaves_no_child() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 1).await;
    let run = world.verify(&token).await.unwrap().run.clone();
    world.contain_meanwhile(json!({ "type": "run", "id": run }));
    assert_eq!(
        spawn(&world, &token, request(&world))
            .await
            .unwrap_err()
            .code
            .as_str(),
        "contained"
    );
    let book = world.books.org(&world.acme).unwrap();
    assert!(
        !book
            .registry()
            .runs
            .values()
            .any(|below| below.parent.as_ref() == Some(&run))
    );
}

#[tokio::test]
async fn what_the_parent_is_granted_for_a_time_is_handed_on_for_no_longer() {
    let world = World::new().await;
    let now = world.books.now();
    let token = world.acting(&world.triage, "answer", 2).await;
    let grants = async |given: &[(Value, Option<i64>)]| {
        let all = given.iter().map(|(bounds, secs)| {
            json!({ "id": world.books.id(remit_domain::GrantId::from_uuid), "tool": "orders/read", "bounds": bounds,
                "expires": secs.map(|secs| now.plus_secs(secs)), "granted_by": world.owner, "granted_at": now })
        });
        let all = serde_json::from_value(all.collect()).unwrap();
        let key = world.triage.workflows["answer"].to_string();
        world.change::<Workflow>(&key, |w| w.grants = all).await;
        spawn(&world, &token, request(&world))
            .await
            .unwrap()
            .delegation
            .expires
    };
    let (free, bound) = (json!({}), json!({ "n": [{ "integer": { "max": 5 } }] }));
    let hour = now.plus_secs(3_600);
    assert_eq!(
        grants(&[(free.clone(), None)]).await,
        hour,
        "as long as the delegation"
    );
    assert_eq!(
        grants(&[(free.clone(), Some(600))]).await,
        now.plus_secs(600)
    );
    // Bounds of both are carried, so that either grant is enough for what is within both.
    let both = [(bound.clone(), Some(600)), (bound.clone(), Some(700))];
    assert_eq!(grants(&both).await, now.plus_secs(700));
    assert_eq!(
        grants(&[(bound.clone(), Some(600)), (bound.clone(), None)]).await,
        hour
    );
    // Free arguments are carried, and end with the grant that leaves them free.
    assert_eq!(
        grants(&[(free, Some(600)), (bound, None)]).await,
        now.plus_secs(600)
    );
    let longer = SpawnRequest {
        for_secs: Some(601),
        ..request(&world)
    };
    let refusal = spawn(&world, &token, longer).await.unwrap_err();
    assert_eq!(refusal.code.as_str(), "wider");
}

/// Two agents whose workflows may spawn each other: the second time round one would act for itself.
#[tokio::test]
async fn agents_that_hand_on_to_each_other_come_to_an_end() {
    let world = World::new().await;
    let back = world.triage.workflows["answer"].clone();
    world
        .change::<Workflow>(world.searcher.workflows["search"].as_str(), |w| {
            w.spawnable = [back.clone()].into();
        })
        .await;
    let token = world.acting(&world.triage, "answer", 8).await;
    let spawned = spawn(&world, &token, request(&world)).await.unwrap();
    let subject = spawned.subject_token.expose_secret();
    let child = secret(&world.exchange(&world.searcher, subject, "").await.unwrap());
    let again = SpawnRequest::new(world.triage.id.clone(), back.clone());
    let refusal = spawn(&world, &child, again).await.unwrap_err();
    assert_eq!(refusal.code.as_str(), "delegation-loop");
    let (_, facts) = world.refused().await;
    assert_eq!(
        (&facts["door"], &facts["code"]),
        (&json!("spawn"), &json!("delegation-loop"))
    );
    // Once more in a workflow of its own is what a workflow may declare of itself.
    world
        .change::<Workflow>(back.as_str(), |w| w.spawnable = [back.clone()].into())
        .await;
    let itself = SpawnRequest::new(world.triage.id.clone(), back.clone());
    let spawned = spawn(&world, &token, itself).await.unwrap();
    assert_eq!(spawned.run.chain.len(), 2);
}
