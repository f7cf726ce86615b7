//! A person's word, and who may use it.

use super::*;
use OAuthErrorCode::{InvalidClient, InvalidGrant, InvalidRequest, InvalidScope, InvalidTarget};

#[tokio::test]
async fn the_person_becomes_the_subject_and_the_agent_the_actor() {
    let world = World::new().await;
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let response = world
        .exchange(&world.triage, &world.subject(&link).await, "")
        .await
        .unwrap();
    assert_eq!(response.issued_token_type, Some(TokenType::AccessToken));
    let verified = world.verify(&secret(&response)).await.unwrap();
    assert_eq!(verified.person, Some(world.maria.clone()));
    assert_eq!(verified.claims.sub, world.maria.as_str());
    assert_eq!(
        verified.claims.act.as_ref().unwrap().sub,
        world.triage.id.as_str()
    );
    assert_eq!(verified.claims.delegations, [link.id.to_string()]);
    let run = world.books.org(&world.acme).unwrap().registry().runs[&verified.run].clone();
    assert_eq!(run.mode, remit_domain::run::Mode::Interactive);
    assert!(run.deadline <= link.expires);
    assert_eq!(world.entries(EventKind::TokenExchanged).await.0, 1);
    // Another subject token of the same delegation goes on in the same run; so does the agent by its id.
    let again = world
        .exchange(
            &world.triage,
            &world.subject(&link).await,
            "workflow:answer",
        )
        .await
        .unwrap();
    assert_eq!(
        world.verify(&secret(&again)).await.unwrap().run,
        verified.run
    );
    let scope = format!("workflow:answer run:{}", run.id);
    let renewed = world
        .verify(&world.token(&world.triage, &scope).await)
        .await
        .unwrap();
    assert_eq!(
        (&renewed.run, &renewed.person),
        (&run.id, &Some(world.maria.clone()))
    );
    // By itself it is in a run of its own.
    let own = world
        .verify(&world.token(&world.triage, "workflow:answer").await)
        .await
        .unwrap();
    assert_ne!(own.run, run.id);
    assert_eq!(own.person, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subject_token_is_good_once_also_at_once() {
    let world = World::new().await;
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let subject = world.subject(&link).await;
    let tries = (0..20).map(|_| {
        let request = exchange(world.assertion(&world.triage), &subject, TokenType::Jwt, "");
        let (issuer, org) = (world.issuer.clone(), world.acme.clone());
        tokio::spawn(async move { issuer.token(&org, &request).await })
    });
    let mut won = 0;
    for answer in tries.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error.error, InvalidGrant),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(world.refused().await.1["code"], "subject-replayed");
}

#[tokio::test]
async fn only_the_agent_and_workflow_named_may_use_it() {
    let world = World::new().await;
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let subject = world.subject(&link).await;
    assert_refused(
        world.exchange(&world.searcher, &subject, "").await,
        InvalidGrant,
        "the subject token names another agent",
    );
    assert_eq!(world.refused().await.1["code"], "may-act-other");
    assert_refused(
        world
            .exchange(&world.triage, &subject, "workflow:refund")
            .await,
        InvalidScope,
        "workflow-unknown",
    );
    assert_eq!(world.refused().await.1["code"], "workflow-unknown");
    // A client that did not prove itself spends nothing.
    let forged = world.assertion_to(&world.triage, &world.searcher.key, URL);
    let request = exchange(forged, &subject, TokenType::Jwt, "");
    assert_refused(
        world.issuer.token(&world.acme, &request).await,
        InvalidClient,
        "",
    );
    assert!(world.exchange(&world.triage, &subject, "").await.is_ok());
}

#[tokio::test]
async fn a_personal_token_is_never_a_subject_token() {
    let world = World::new().await;
    let admin = world.sign_in(&world.owner).await;
    let link = world
        .issuer
        .create_enrolment(&world.acme, &admin, &world.maria)
        .await
        .unwrap();
    let made = world
        .issuer
        .redeem_enrolment(&world.acme, link.code.expose_secret(), "x", None)
        .await
        .unwrap();
    for kind in [TokenType::Jwt, TokenType::AccessToken, TokenType::IdToken] {
        let request = exchange(
            world.assertion(&world.triage),
            made.token.expose_secret(),
            kind,
            "",
        );
        assert_refused(
            world.issuer.token(&world.acme, &request).await,
            InvalidGrant,
            "a personal token is never",
        );
    }
    assert_eq!(world.refused().await.1["code"], "personal-token");
}

#[tokio::test]
async fn a_delegation_that_does_not_count_opens_nothing() {
    let world = World::new().await;
    let delegate = async || {
        world
            .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
            .await
    };
    let refused = async |subject: &str| {
        assert_refused(
            world.exchange(&world.triage, subject, "").await,
            InvalidGrant,
            "",
        )
    };
    // Revoked after the subject token was given out.
    let link = delegate().await;
    let subject = world.subject(&link).await;
    world
        .change::<Delegation>(link.id.as_str(), |link| {
            let (at, by) = (link.created, link.from.clone());
            link.state = DelegationState::Revoked {
                at,
                by,
                reason: String::new(),
            };
        })
        .await;
    refused(&subject).await;
    assert!(
        world
            .issuer
            .assertion(&world.acme, &link.id, &world.maria)
            .await
            .is_err()
    );
    // Ended meanwhile.
    let link = delegate().await;
    world.advance(3_500);
    let subject = world.subject(&link).await;
    world.advance(101);
    refused(&subject).await;
    // The subject token itself ended.
    let subject = world.subject(&delegate().await).await;
    world.advance(301);
    refused(&subject).await;
    // The person has left.
    let subject = world.subject(&delegate().await).await;
    world.leaves(&world.maria).await;
    refused(&subject).await;
}

#[tokio::test]
async fn nobody_is_given_another_persons_word() {
    let world = World::new().await;
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let other = world
        .issuer
        .assertion(&world.acme, &link.id, &world.owner)
        .await
        .unwrap_err();
    assert_eq!(other.code.as_str(), "not-found");
    let standing = world
        .delegate(&world.triage, "answer", DelegationUse::Standing, 1)
        .await;
    let standing = world
        .issuer
        .assertion(&world.acme, &standing.id, &world.maria)
        .await
        .unwrap_err();
    assert_eq!(standing.code.as_str(), "invalid-request");
}

#[tokio::test]
async fn a_run_of_another_delegation_cannot_be_joined() {
    let world = World::new().await;
    let first = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let response = world
        .exchange(&world.triage, &world.subject(&first).await, "")
        .await
        .unwrap();
    let run = world.verify(&secret(&response)).await.unwrap().run.clone();
    let second = world
        .delegate_by(
            &world.owner,
            &world.triage,
            "answer",
            DelegationUse::Interactive,
            1,
        )
        .await;
    let subject = world.subject(&second).await;
    let scope = format!("workflow:answer run:{run}");
    assert_refused(
        world.exchange(&world.triage, &subject, &scope).await,
        InvalidScope,
        "run-unknown",
    );
    // And each person's implicit run is their own.
    let other = world.exchange(&world.triage, &subject, "").await.unwrap();
    let other = world.verify(&secret(&other)).await.unwrap();
    assert_ne!(other.run, run);
    assert_eq!(other.person, Some(world.owner.clone()));
}

#[tokio::test]
async fn tokens_of_one_kind_do_not_pass_for_another() {
    let world = World::new().await;
    let token = world.token(&world.triage, "workflow:answer").await;
    assert_refused(
        world.exchange(&world.triage, &token, "").await,
        InvalidGrant,
        "",
    );
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let subject = world.subject(&link).await;
    assert!(world.verify(&subject).await.is_err());
    let request = exchange(
        world.assertion(&world.triage),
        &subject,
        TokenType::AccessToken,
        "",
    );
    assert_refused(
        world.issuer.token(&world.acme, &request).await,
        InvalidGrant,
        "",
    );
    let request = exchange(
        world.assertion(&world.triage),
        &subject,
        TokenType::IdToken,
        "",
    );
    assert_refused(
        world.issuer.token(&world.acme, &request).await,
        InvalidRequest,
        "",
    );
    assert!(world.verify(&world.assertion(&world.triage)).await.is_err());
}

#[tokio::test]
async fn an_own_token_is_exchanged_for_a_narrower_one_that_ends_no_later() {
    let world = World::new().await;
    let token = world.token(&world.triage, "workflow:answer").await;
    world.advance(200);
    let at = |resource: &str, actor: &Actor, token: &str| {
        let TokenRequest::TokenExchange(mut request) =
            exchange(world.assertion(actor), token, TokenType::AccessToken, "")
        else {
            panic!("an exchange")
        };
        request.resource = vec![format!("{URL}{resource}")];
        TokenRequest::TokenExchange(request)
    };
    let narrow = world
        .issuer
        .token(&world.acme, &at("/mcp/orders", &world.triage, &token))
        .await
        .unwrap();
    assert_eq!(narrow.expires_in, 100);
    let back = at("/mcp", &world.triage, &secret(&narrow));
    assert_refused(
        world.issuer.token(&world.acme, &back).await,
        InvalidTarget,
        "",
    );
    assert_eq!(world.refused().await.1["code"], "wider");
    let other = at("/mcp/orders", &world.searcher, &token);
    assert_refused(
        world.issuer.token(&world.acme, &other).await,
        InvalidGrant,
        "the subject token is another agent's",
    );
    assert_eq!(world.refused().await.1["code"], "actor-other");
}
