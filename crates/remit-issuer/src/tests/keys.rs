//! Keys that sign are replaced without breaking what they signed, and runs start once for all nodes.

use super::*;

#[tokio::test]
async fn tokens_signed_before_a_rotation_verify_until_the_old_key_is_gone() {
    let world = World::new().await;
    let before = world.token(&world.triage, "workflow:answer").await;
    let kids = async || {
        let jwks = world.issuer.jwks(&world.acme).await.unwrap();
        serde_json::to_value(&jwks).unwrap()["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|k| k["kid"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let old = kids().await;
    let by = Principal::Person(world.owner.clone());
    let new = world
        .issuer
        .rotate_signing_key(&world.acme, by)
        .await
        .unwrap();
    assert!(!old.contains(&new.kid));
    let both: BTreeSet<_> = old.iter().cloned().chain([new.kid.clone()]).collect();
    assert_eq!(kids().await, both, "the old key stays published");
    // Looked at anew, by an issuer that remembers nothing.
    let fresh = Issuer::new(world.books.clone(), URL, "acme".parse().unwrap()).unwrap();
    let verify = async |issuer: &Issuer, token: &str| {
        issuer
            .verify_access(&world.acme, token, None, &Resource::Mcp)
            .await
            .map(|_| ())
    };
    verify(&fresh, &before).await.unwrap();
    let after = world.token(&world.triage, "workflow:answer").await;
    verify(&fresh, &after).await.unwrap();
    let kid = |token: &str| {
        use base64::Engine;
        let head = token.split('.').next().unwrap();
        let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head);
        serde_json::from_slice::<Value>(&head.unwrap()).unwrap()["kid"].clone()
    };
    assert_eq!(kid(&after), new.kid.as_str(), "the new key signs");
    assert_ne!(kid(&before), kid(&after));
    assert_eq!(world.entries(EventKind::SigningKeyRetired).await.0, 1);
    world.clock.advance(Duration::from_secs(481));
    assert_eq!(
        kids().await,
        BTreeSet::from([new.kid]),
        "the old key is gone"
    );
    assert!(verify(&fresh, &before).await.is_err());
}

#[tokio::test]
async fn what_is_at_rest_of_a_signing_key_is_sealed() {
    let world = World::new().await;
    world.token(&world.triage, "workflow:answer").await;
    let by = Principal::Remit;
    world
        .issuer
        .rotate_signing_key(&world.acme, by)
        .await
        .unwrap();
    let keys = world
        .books
        .signing_keys(&world.acme, remit_domain::key::KeyUse::Issuer)
        .await
        .unwrap();
    assert_eq!(keys.len(), 2);
    for (key, secret) in keys {
        use base64::Engine;
        let plain = base64::engine::general_purpose::STANDARD.encode(&secret);
        assert_ne!(key.sealed, plain);
        assert!(!key.public.contains("\"d\""));
    }
}

/// A second node over the same store, which hears nothing of the first.
pub(super) async fn second_node(world: &World) -> Issuer {
    let books = Books::open(Parts {
        store: world.store.clone(),
        clock: world.clock.clone(),
        entropy: Arc::new(SeededEntropy::new(8)),
        vault: Arc::new(OpenVault::default()),
        origin: "remit.example/log".to_owned(),
        node: "second".to_owned(),
    })
    .await
    .unwrap();
    Issuer::new(books, URL, "acme".parse().unwrap()).unwrap()
}

#[tokio::test]
async fn two_nodes_start_one_implicit_run() {
    let world = World::new().await;
    world.token(&world.searcher, "workflow:search").await;
    let second = second_node(&world).await;
    let ask = || credentials(world.assertion(&world.triage), "workflow:answer", &[]);
    let runs = async || {
        let (runs, _) = world
            .books
            .list::<remit_domain::Run>(&world.acme, &remit_ports::store::Filter::default())
            .await
            .unwrap();
        let own = runs.into_iter().filter(|r| r.noun.agent == world.triage.id);
        own.map(|r| r.noun).collect::<Vec<_>>()
    };
    world.issuer.token(&world.acme, &ask()).await.unwrap();
    let joined = second.token(&world.acme, &ask()).await.unwrap();
    let first = runs().await;
    assert_eq!(first.len(), 1, "the second node joins the run of the first");
    let verified = second
        .verify_access(&world.acme, &secret(&joined), None, &Resource::Mcp)
        .await
        .unwrap();
    assert_eq!(verified.run, first[0].id);
    // After its end the next one starts, once again for both.
    let ending = remit_books::Ending::because(Principal::Remit, remit_domain::run::RunEnd::Agent);
    let id = &first[0].id;
    world.books.end_run(&world.acme, id, &ending).await.unwrap();
    world.issuer.token(&world.acme, &ask()).await.unwrap();
    let live = runs().await;
    assert_eq!(live.len(), 2);
    let live = live.iter().filter(|r| r.is_live(world.books.now()));
    assert_eq!(live.count(), 1);
}

/// A signer that lets no key out: what is kept here is a name, tokens hold as any others, and without it nothing is signed.
#[tokio::test]
async fn keys_may_be_held_by_somebody_else() {
    let world = World::new().await;
    let signer = Arc::new(remit_testkit::FakeSigner::default());
    let by = |signer: Arc<remit_testkit::FakeSigner>| {
        let org = "acme".parse().unwrap();
        Issuer::signing_by(world.books.clone(), URL, org, signer).unwrap()
    };
    let issuer = by(signer.clone());
    let ask = async |issuer: &Issuer| {
        let request = credentials(world.assertion(&world.indexer), "", &[]);
        issuer.token(&world.acme, &request).await
    };
    let token = secret(&ask(&issuer).await.unwrap());
    world.verify(&token).await.unwrap();
    issuer
        .rotate_signing_key(&world.acme, Principal::Remit)
        .await
        .unwrap();
    world.verify(&token).await.unwrap();
    let later = secret(&ask(&issuer).await.unwrap());
    let fresh = by(signer.clone());
    let checked = fresh.verify_access(&world.acme, &later, None, &Resource::Mcp);
    checked.await.unwrap();
    assert_eq!(signer.made(), 2);
    let keys = world
        .books
        .signing_keys(&world.acme, remit_domain::key::KeyUse::Issuer);
    for (_, handle) in keys.await.unwrap() {
        assert!(handle.starts_with(b"key "), "the key itself is not here");
    }
    // Another signer does not know the key, and a broken one signs nothing: no token either way.
    let issued = world.entries(EventKind::TokenIssued).await.0;
    let stranger = by(Arc::default());
    let refused = ask(&stranger).await.map(drop).unwrap_err();
    assert_eq!(refused.error, OAuthErrorCode::TemporarilyUnavailable);
    signer.breaks();
    let refused = ask(&issuer).await.map(drop).unwrap_err();
    assert_eq!(refused.error, OAuthErrorCode::TemporarilyUnavailable);
    assert_eq!(world.entries(EventKind::TokenIssued).await.0, issued);
}
