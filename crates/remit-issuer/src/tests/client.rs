//! Who gets a token by proving a key, and who does not.

use super::*;
use OAuthErrorCode::{InvalidClient, InvalidScope, InvalidTarget};

#[tokio::test]
async fn a_registered_agent_gets_five_minutes_for_one_workflow_and_one_run() {
    let world = World::new().await;
    let response = world
        .credentials(&world.triage, "workflow:answer")
        .await
        .unwrap();
    assert_eq!(response.expires_in, 300);
    let verified = world.verify(&secret(&response)).await.unwrap();
    assert_eq!(verified.agent, world.triage.id);
    assert_eq!(verified.workflow, world.triage.workflows["answer"]);
    assert_eq!(verified.claims.sub, world.triage.id.as_str());
    assert_eq!((&verified.person, &verified.claims.act), (&None, &None));
    assert_eq!(verified.claims.txn.as_deref(), Some(verified.run.as_str()));
    assert_eq!(verified.thumbprint, world.triage.thumbprint);
    let (issued, facts) = world.entries(EventKind::TokenIssued).await;
    assert_eq!(
        (issued, &facts["key"]),
        (1, &json!(world.triage.thumbprint))
    );
    // The same key and workflow go on in the same run.
    let again = world
        .verify(&world.token(&world.triage, "workflow:answer").await)
        .await
        .unwrap();
    assert_eq!(again.run, verified.run);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_assertion_is_good_once_also_fifty_times_at_once() {
    let world = World::new().await;
    let assertion = world.assertion(&world.indexer);
    let request = credentials(assertion, "", &[]);
    let tries = (0..50).map(|_| {
        let (issuer, org, request) = (world.issuer.clone(), world.acme.clone(), request.clone());
        tokio::spawn(async move { issuer.token(&org, &request).await })
    });
    let mut won = 0;
    for answer in tries.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error.error, InvalidClient),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(world.entries(EventKind::TokenIssued).await.0, 1);
    assert_eq!(world.refused().await.0, 49);
    assert_eq!(world.refused().await.1["code"], "assertion-replayed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_join_one_implicit_run() {
    let world = World::new().await;
    let tries = (0..20).map(|_| {
        let request = credentials(world.assertion(&world.indexer), "", &[]);
        let (issuer, org) = (world.issuer.clone(), world.acme.clone());
        tokio::spawn(async move { issuer.token(&org, &request).await.unwrap() })
    });
    let mut runs = BTreeSet::new();
    for response in tries.collect::<Vec<_>>() {
        runs.insert(
            world
                .verify(&secret(&response.await.unwrap()))
                .await
                .unwrap()
                .run
                .clone(),
        );
    }
    assert_eq!(runs.len(), 1);
}

#[tokio::test]
async fn whoever_proves_nothing_learns_nothing() {
    let world = World::new().await;
    let (triage, searcher) = (&world.triage, &world.searcher);
    let stranger = Actor {
        id: world.books.id(AgentId::from_uuid),
        key: key(),
        thumbprint: String::new(),
        workflows: BTreeMap::new(),
    };
    let assertions = [
        world.assertion_to(triage, &triage.key, "https://other.example"),
        world.assertion_to(triage, &triage.key, &format!("{URL}/t/globex")),
        world.assertion_to(triage, &searcher.key, URL),
        world.assertion(&stranger),
        "rmt_pat_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc53rX1".to_owned(),
        "not.a.token".to_owned(),
    ];
    let mut told = BTreeSet::new();
    for assertion in assertions {
        let error = world
            .issuer
            .token(&world.acme, &credentials(assertion, "workflow:answer", &[]))
            .await
            .unwrap_err();
        assert_eq!(error.error, InvalidClient);
        told.insert(error.error_description.into_owned());
    }
    assert_eq!(told.len(), 1, "every refusal says the same");
    assert_eq!(world.refused().await.0, 6);
    // The token endpoint's own address is tolerated as audience.
    let fine = world.assertion_to(triage, &triage.key, &format!("{URL}/oauth2/token"));
    assert!(
        world
            .issuer
            .token(&world.acme, &credentials(fine, "workflow:answer", &[]))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_agent_may_call_itself_by_its_name_and_proves_its_own_key_all_the_same() {
    let world = World::new().await;
    let (triage, searcher) = (&world.triage, &world.searcher);
    let name = world.name_of(triage);
    let own = world.assertion_as(&name, &triage.key, URL);
    let response = world
        .issuer
        .token(
            &world.acme,
            &credentials(own.clone(), "workflow:answer", &[]),
        )
        .await
        .unwrap();
    let verified = world.verify(&secret(&response)).await.unwrap();
    assert_eq!(verified.agent, triage.id);
    assert_eq!(verified.claims.client_id, triage.id.as_str());
    let others = [
        world.assertion_as(&name, &searcher.key, URL),
        world.assertion_as("nobody", &triage.key, URL),
        world.assertion_as(&name.to_uppercase(), &triage.key, URL),
        own,
    ];
    for assertion in others {
        let answer = world
            .issuer
            .token(&world.acme, &credentials(assertion, "workflow:answer", &[]))
            .await;
        assert_refused(answer, InvalidClient, "");
    }
}

#[tokio::test]
async fn a_client_id_beside_the_assertion_must_be_the_same() {
    let world = World::new().await;
    let mut client = auth(world.assertion(&world.indexer));
    client.client_id = Some(world.triage.id.to_string());
    let request = ClientCredentials {
        authorization_details: Default::default(),
        client,
        scope: Scope::default(),
        resource: Vec::new(),
    };
    let answer = world
        .issuer
        .token(&world.acme, &TokenRequest::ClientCredentials(request))
        .await;
    assert_refused(answer, InvalidClient, "");
}

#[tokio::test]
async fn an_expired_assertion_is_refused() {
    let world = World::new().await;
    let assertion = world.assertion(&world.indexer);
    world.advance(91);
    assert_refused(
        world
            .issuer
            .token(&world.acme, &credentials(assertion, "", &[]))
            .await,
        InvalidClient,
        "",
    );
}

#[tokio::test]
async fn another_organizations_agent_is_nobody_here() {
    let world = World::new().await;
    let assertion =
        world.assertion_to(&world.triage, &world.triage.key, &format!("{URL}/t/globex"));
    let answer = world
        .issuer
        .token(&world.globex, &credentials(assertion, "", &[]))
        .await;
    assert_refused(answer, InvalidClient, "the client could not");
}

#[tokio::test]
async fn a_removed_or_contained_key_gets_nothing() {
    let world = World::new().await;
    let now = world.books.now();
    world
        .change::<AgentKey>(&world.triage.thumbprint, |key| key.removed = Some(now))
        .await;
    assert_refused(
        world.credentials(&world.triage, "workflow:answer").await,
        InvalidClient,
        "the client could not",
    );
    world
        .contain(json!({ "type": "credential", "id": world.indexer.thumbprint }))
        .await;
    assert_refused(
        world.credentials(&world.indexer, "").await,
        InvalidClient,
        "contained",
    );
}

#[tokio::test]
async fn an_agent_that_does_not_stand_gets_nothing() {
    let world = World::new().await;
    world.set_state(&world.triage, AgentState::Suspended).await;
    assert_refused(
        world.credentials(&world.triage, "workflow:answer").await,
        InvalidClient,
        "agent-not-active",
    );
    world.set_state(&world.triage, AgentState::Retired).await;
    assert_refused(
        world.credentials(&world.triage, "workflow:answer").await,
        InvalidClient,
        "agent-not-active",
    );
    world
        .contain(json!({ "type": "agent", "id": world.searcher.id }))
        .await;
    assert_refused(
        world.credentials(&world.searcher, "").await,
        InvalidClient,
        "contained",
    );
    world.leaves(&world.sponsor).await;
    assert_refused(
        world.credentials(&world.indexer, "").await,
        InvalidClient,
        "no-accountable-person",
    );
    let (count, facts) = world.refused().await;
    assert_eq!(
        (count, &facts["code"]),
        (4, &json!("no-accountable-person"))
    );
}

#[tokio::test]
async fn a_scope_names_one_workflow_of_the_agent_and_nothing_else() {
    let world = World::new().await;
    for scope in [
        "",
        "workflow:search",
        "workflow:answer workflow:refund",
        "workflow:answer admin",
        "workflow:",
    ] {
        assert_refused(
            world.credentials(&world.triage, scope).await,
            InvalidScope,
            "",
        );
    }
    // One workflow only: it may be left out.
    assert!(world.credentials(&world.searcher, "").await.is_ok());
    world
        .change::<Workflow>(world.triage.workflows["answer"].as_str(), |w| {
            w.enabled = false
        })
        .await;
    assert_refused(
        world.credentials(&world.triage, "workflow:answer").await,
        InvalidScope,
        "workflow-unknown",
    );
    world
        .contain(json!({ "type": "workflow", "id": world.triage.workflows["refund"] }))
        .await;
    assert!(
        world
            .credentials(&world.triage, "workflow:refund")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_token_is_for_a_resource_of_ours() {
    let world = World::new().await;
    let at = |path: &str| format!("{URL}{path}");
    for bad in [
        "https://evil.example/mcp",
        "https://remit.example",
        "https://remit.example/mcp/",
        "https://remit.example/mcp/none",
    ] {
        assert_refused(
            world.credentials_at(&world.indexer, "", &[bad]).await,
            InvalidTarget,
            "",
        );
    }
    let two = [at("/mcp"), at("/mcp/orders")];
    assert_refused(
        world
            .credentials_at(&world.indexer, "", &[&two[0], &two[1]])
            .await,
        InvalidTarget,
        "",
    );
}

#[tokio::test]
async fn a_wide_token_is_good_at_a_narrow_resource_and_never_the_reverse() {
    let world = World::new().await;
    let at = format!("{URL}/mcp/orders");
    let narrow = secret(
        &world
            .credentials_at(&world.indexer, "", &[&at])
            .await
            .unwrap(),
    );
    let orders = Resource::Upstream("orders".parse().unwrap());
    let other = Resource::Upstream("billing".parse().unwrap());
    assert!(world.good_at(&narrow, &orders).await);
    for wider in [&Resource::Mcp, &Resource::Api, &other] {
        assert!(!world.good_at(&narrow, wider).await, "{wider:?}");
    }
    let wide = world.token(&world.indexer, "").await;
    for narrower in [&Resource::Mcp, &Resource::Api, &orders] {
        assert!(world.good_at(&wide, narrower).await, "{narrower:?}");
    }
}

#[tokio::test]
async fn what_is_contained_while_a_token_is_made_gets_none() {
    let world = World::new().await;
    world.contain_meanwhile(json!({ "type": "agent", "id": world.indexer.id }));
    let answer = world.credentials(&world.indexer, "").await;
    assert_refused(answer, OAuthErrorCode::UnauthorizedClient, "contained");
    assert_eq!(
        world.entries(EventKind::TokenIssued).await.0,
        1,
        "it was recorded before it was taken back"
    );
    assert_eq!(world.entries(EventKind::TokenRevoked).await.0, 1);
}

/// The client hears one word; the ledger has the reason of each.
#[tokio::test]
async fn every_wrong_assertion_is_recorded_with_its_own_reason() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let world = World::new().await;
    let triage = &world.triage;
    let now = world.books.now().as_secs();
    let at = |iat: i64, ttl_s: i64, jti: &str| {
        let new = NewAssertion {
            client_id: triage.id.as_str(),
            issuer: URL,
            jti,
            iat,
            ttl_s,
        };
        sign(&new, &triage.key).unwrap()
    };
    let under = |header: Value| {
        let good = world.assertion(triage);
        let (_, rest) = good.split_once('.').unwrap();
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    let kid = triage.key.kid().as_str().to_owned();
    let jwk = json!(key().public());
    let header = |alg: &str| json!({ "alg": alg, "typ": "JWT", "kid": kid });
    let mut with_key = header("ES256");
    with_key["jwk"] = jwk;
    let mut with_url = header("ES256");
    with_url["jku"] = json!("https://evil.example/keys");
    let mut with_certificate = header("ES256");
    with_certificate["x5u"] = json!("https://evil.example/x5");
    for (assertion, code) in [
        (under(header("none")), "token-algorithm-refused"),
        (under(header("HS256")), "token-algorithm-refused"),
        (under(with_key), "token-header-refused"),
        (under(with_url), "token-header-refused"),
        (under(with_certificate), "token-header-refused"),
        (at(now - 600, 60, "old"), "token-expired"),
        (at(now + 600, 60, "early"), "token-not-yet-valid"),
        (
            world.assertion_to(triage, &triage.key, "https://other.example"),
            "token-audience-wrong",
        ),
        (
            world.assertion_to(triage, &triage.key, &format!("{URL}/t/globex")),
            "token-audience-wrong",
        ),
        (
            world.assertion_to(triage, &world.searcher.key, URL),
            "token-signature-invalid",
        ),
        ("not.a.token".to_owned(), "token-malformed"),
    ] {
        let before = world.refused().await.0;
        let request = credentials(assertion, "workflow:answer", &[]);
        let error = world.issuer.token(&world.acme, &request).await.unwrap_err();
        assert_eq!(error.error, InvalidClient, "{code}");
        let (after, facts) = world.refused().await;
        assert_eq!((after, &facts["code"]), (before + 1, &json!(code)));
    }
}
