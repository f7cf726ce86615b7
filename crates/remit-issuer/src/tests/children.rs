//! Sub-agents within one process: a run of their own each, with the client's key, never more than the run above.

use super::*;
use remit_domain::Run;
use remit_token::AuthorizationDetails;

async fn child(
    world: &World,
    actor: &Actor,
    token: &str,
    scope: &str,
) -> Result<TokenResponse, OAuthError> {
    let request = exchange(world.assertion(actor), token, TokenType::AccessToken, scope);
    world.issuer.token(&world.acme, &request).await
}

fn run_of(world: &World, verified: &Verified) -> Arc<Run> {
    let book = world.books.org(&world.acme).unwrap();
    book.registry().runs[&verified.run].clone()
}

#[tokio::test]
async fn two_children_under_one_key_are_two_identities() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 0).await;
    let parent = world.verify(&token).await.unwrap();
    let mut children = Vec::new();
    for _ in 0..2 {
        let given = child(&world, &world.triage, &token, "run:new")
            .await
            .unwrap();
        let verified = world.verify(&secret(&given)).await.unwrap();
        assert!(given.scope.contains(&format!("run:{}", verified.run)));
        children.push((secret(&given), verified));
    }
    let [(first, one), (_, other)] = &children[..] else {
        panic!("two children")
    };
    assert_ne!(one.run, other.run);
    let mut paths = BTreeSet::new();
    for child in [&parent, one, other] {
        assert_eq!(
            (&child.agent, &child.workflow, &child.person),
            (&parent.agent, &parent.workflow, &parent.person)
        );
        assert_eq!(child.claims.txn, parent.claims.txn, "one tree");
        let csr = super::svid::csr();
        let svid = world.issuer.x509_svid(child, &csr, None).await.unwrap();
        paths.insert(svid.spiffe_id.to_string());
    }
    assert_eq!(paths.len(), 3, "{paths:?}");
    for child in [one, other] {
        let run = run_of(&world, child);
        assert_eq!(run.parent.as_ref(), Some(&parent.run));
        assert!(remit_books::is_started_by(&run, &world.triage.thumbprint));
        assert!(child.expires <= parent.expires);
    }
    // Another token of the same child is asked for by its run; what is asked for without one is the parent's.
    let scope = format!("workflow:answer run:{}", one.run);
    let again = world.token(&world.triage, &scope).await;
    assert_eq!(world.verify(&again).await.unwrap().run, one.run);
    let same = child(&world, &world.triage, &token, "").await.unwrap();
    assert_eq!(world.verify(&secret(&same)).await.unwrap().run, parent.run);
    // One child ends by itself; the other goes on until the parent ends.
    let ending = remit_books::Ending::because(Principal::Remit, remit_domain::run::RunEnd::Agent);
    let ended = world.books.end_run(&world.acme, &one.run, &ending).await;
    assert_eq!(ended.unwrap().runs, std::slice::from_ref(&one.run));
    assert!(world.verify(first).await.is_err());
    assert!(world.verify(&children[1].0).await.is_ok());
    world
        .books
        .end_run(&world.acme, &parent.run, &ending)
        .await
        .unwrap();
    assert!(world.verify(&children[1].0).await.is_err());
}

#[tokio::test]
async fn a_child_asks_for_less_and_never_for_more() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 0).await;
    let asked = |tool: &str| {
        let TokenRequest::TokenExchange(mut request) = exchange(
            world.assertion(&world.triage),
            &token,
            TokenType::AccessToken,
            "run:new",
        ) else {
            panic!("another grant")
        };
        let details = json!([{ "type": "remit_tool", "tool": tool }]).to_string();
        request.authorization_details = AuthorizationDetails::parse(&details).unwrap();
        TokenRequest::TokenExchange(request)
    };
    let wider = world
        .issuer
        .token(&world.acme, &asked("orders/refund"))
        .await;
    assert_refused(wider, OAuthErrorCode::InvalidAuthorizationDetails, "wider:");
    // Two that ask for the same are two all the same.
    let mut runs = BTreeSet::new();
    for _ in 0..2 {
        let given = world.issuer.token(&world.acme, &asked("orders/read")).await;
        let given = given.unwrap();
        assert_eq!(given.authorization_details.0.len(), 1);
        runs.insert(world.verify(&secret(&given)).await.unwrap().run.clone());
    }
    assert_eq!(runs.len(), 2);
}

#[tokio::test]
async fn a_new_run_is_started_below_ones_own_token_only() {
    let world = World::new().await;
    let scope = "workflow:answer run:new";
    assert_refused(
        world.credentials(&world.triage, scope).await,
        OAuthErrorCode::InvalidScope,
        "'run:new' asks for a run below",
    );
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 0)
        .await;
    let subject = world.subject(&link).await;
    assert_refused(
        world.exchange(&world.triage, &subject, "run:new").await,
        OAuthErrorCode::InvalidScope,
        "'run:new' asks for a run below",
    );
    let token = world.acting(&world.triage, "answer", 0).await;
    assert_refused(
        child(&world, &world.searcher, &token, "run:new").await,
        OAuthErrorCode::InvalidGrant,
        "the subject token is another agent's",
    );
    let run = world.verify(&token).await.unwrap().run.clone();
    assert_refused(
        child(&world, &world.triage, &token, &format!("run:new run:{run}")).await,
        OAuthErrorCode::InvalidScope,
        "a token is for one run",
    );
    assert_refused(
        child(&world, &world.triage, &token, "workflow:refund run:new").await,
        OAuthErrorCode::InvalidScope,
        "the subject token is for another workflow",
    );
    // The runs below one are counted, these included.
    for _ in 0..remit_domain::limits::RUN_CHILDREN_MAX {
        child(&world, &world.triage, &token, "run:new")
            .await
            .unwrap();
    }
    let one_more = child(&world, &world.triage, &token, "run:new").await;
    assert_refused(one_more, OAuthErrorCode::TemporarilyUnavailable, "limited");
}
