//! What leaves by the door: counted refusals, limits, and what the issuer says about itself.

use super::*;
use OAuthErrorCode::TemporarilyUnavailable;

#[tokio::test]
async fn a_flood_of_refusals_is_counted_and_cannot_fill_the_ledger() {
    let world = World::new().await;
    for _ in 0..500 {
        let request = credentials("not.a.token".to_owned(), "", &[]);
        world.issuer.token(&world.acme, &request).await.unwrap_err();
    }
    assert_eq!(world.refused().await.0, 60);
    assert_eq!(world.entries(EventKind::RefusalsCounted).await.0, 0);
    world.advance(60);
    world.issuer.tick().await;
    let (count, facts) = world.entries(EventKind::RefusalsCounted).await;
    let counted = facts["counts"]
        .as_object()
        .unwrap()
        .values()
        .map(|n| n.as_u64().unwrap())
        .sum::<u64>();
    assert_eq!((count, counted), (1, 440));
    world.issuer.tick().await;
    assert_eq!(world.entries(EventKind::RefusalsCounted).await.0, 1);
}

#[tokio::test]
async fn a_client_cannot_fill_the_ledger_with_tokens() {
    let world = World::new().await;
    let mut issued = 0;
    for _ in 0..700 {
        issued += usize::from(world.credentials(&world.indexer, "").await.is_ok());
    }
    assert_eq!(issued, 600);
    assert_refused(
        world.credentials(&world.indexer, "").await,
        TemporarilyUnavailable,
        "limited",
    );
    assert!(
        world.credentials(&world.searcher, "").await.is_ok(),
        "others are not held up"
    );
    world.advance(60);
    assert!(world.credentials(&world.indexer, "").await.is_ok());
}

#[tokio::test]
async fn no_record_no_token() {
    let world = World::new().await;
    let request = credentials(world.assertion(&world.indexer), "", &[]);
    world.token(&world.indexer, "").await;
    world.store.fail_writes(true);
    assert_refused(
        world.issuer.token(&world.acme, &request).await,
        TemporarilyUnavailable,
        "ledger-unavailable",
    );
    world.store.fail_writes(false);
    // Nothing was spent.
    assert!(world.issuer.token(&world.acme, &request).await.is_ok());
}

#[tokio::test]
async fn metadata_names_the_issuer_of_each_organization() {
    let world = World::new().await;
    assert_eq!(world.issuer.issuer_url(&world.acme).unwrap(), URL);
    let globex = world.issuer.authorization_server(&world.globex).unwrap();
    assert_eq!(globex.issuer, format!("{URL}/t/globex"));
    assert_eq!(
        globex.authorization_endpoint,
        Some(format!("{URL}/t/globex/oauth2/authorize"))
    );
    let orders = Resource::Upstream("orders".parse().unwrap());
    let metadata = world
        .issuer
        .protected_resource(&world.acme, &orders)
        .unwrap();
    assert_eq!(metadata.resource, format!("{URL}/mcp/orders"));
    // Whether an upstream is registered is not told to whoever has no credential: every well-formed name is answered alike.
    let theirs = world.issuer.protected_resource(&world.globex, &orders);
    assert_eq!(
        theirs.unwrap().resource,
        format!("{URL}/t/globex/mcp/orders")
    );
    let nobodys = Resource::Upstream("nothing".parse().unwrap());
    let nobodys = world.issuer.protected_resource(&world.acme, &nobodys);
    assert_eq!(nobodys.unwrap().resource, format!("{URL}/mcp/nothing"));
    let url = world
        .issuer
        .resource_metadata_url(&world.globex, &Resource::Mcp)
        .unwrap();
    assert_eq!(
        url,
        format!("{URL}/.well-known/oauth-protected-resource/t/globex/mcp")
    );
    let operator = remit_books::OPERATOR_ORG.parse().unwrap();
    assert!(world.issuer.authorization_server(&operator).is_err());
    assert_eq!(
        world.issuer.jwks(&world.acme).await.unwrap().iter().count(),
        1
    );
    assert!(world.issuer.jwks(&operator).await.is_err());
}
