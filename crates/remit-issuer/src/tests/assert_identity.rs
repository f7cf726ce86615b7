//! Identity assertions for other authorization servers: who gets one, and what nobody gets.

use remit_domain::AuthorizationServerId;
use remit_domain::authorization_server::AuthorizationServer;
use remit_domain::credential::Token;
use remit_token::foreign::{ExpectForeign, ForeignKind};
use remit_token::{ForeignAlgorithm, ForeignJwks, foreign};

use super::*;

pub(super) const THERE: &str = "https://auth.chat.example";

pub(super) async fn listed(world: &World) -> AuthorizationServerId {
    let id = world.books.id(AuthorizationServerId::from_uuid);
    let server: AuthorizationServer = serde_json::from_value(json!({
        "id": id, "name": "chat", "description": "", "issuer": THERE, "share_email": true,
        "clients": [{
            "agent": world.triage.id, "workflow": world.triage.workflows["refund"], "client_id": "f53f191f",
            "scopes": ["chat.read", "chat.history"], "resources": ["https://mcp.chat.example"]
        }],
        "enabled": true, "reason": "", "by": { "type": "remit" }, "at": world.books.now()
    }))
    .unwrap();
    put(&world.books, &world.acme, &server).await;
    id
}

pub(super) fn ask(assertion: String, subject: &str, audience: &str, scope: &str) -> TokenExchange {
    let TokenRequest::TokenExchange(request) =
        exchange(assertion, subject, TokenType::AccessToken, scope)
    else {
        panic!("another grant")
    };
    TokenExchange {
        audience: vec![audience.to_owned()],
        requested_token_type: Some(TokenType::IdJag),
        ..*request
    }
}

async fn asserted(
    world: &World,
    actor: &Actor,
    request: TokenExchange,
) -> Result<TokenResponse, OAuthError> {
    let _ = actor;
    let request = TokenRequest::TokenExchange(Box::new(request));
    world.issuer.token(&world.acme, &request).await
}

#[tokio::test]
async fn an_agent_gets_the_word_that_it_acts_for_a_person_at_a_listed_server() {
    let world = World::new().await;
    let server = listed(&world).await;
    let token = world.acting(&world.triage, "refund", 0).await;
    let request = ask(world.assertion(&world.triage), &token, THERE, "chat.read");
    let answer = asserted(&world, &world.triage, request).await.unwrap();
    assert_eq!(answer.issued_token_type, Some(TokenType::IdJag));
    assert!(answer.expires_in <= 300);
    assert_eq!(
        serde_json::to_value(answer.token_type).unwrap(),
        json!("N_A")
    );
    // As the other server reads it.
    let keys = serde_json::to_string(&world.issuer.jwks(&world.acme).await.unwrap()).unwrap();
    let keys = ForeignJwks::from_json(&keys).unwrap();
    let expect = ExpectForeign {
        kind: ForeignKind::IdJag,
        issuer: URL,
        audiences: &[THERE],
        algorithms: &[ForeignAlgorithm::Es256],
        ttl_s_max: 300,
        now: world.books.now().as_secs(),
        leeway_s: 0,
    };
    let claims = foreign::verify(&secret(&answer), &keys, &expect).unwrap();
    assert_eq!(claims.sub, world.maria.as_str());
    for (name, value) in [
        ("client_id", json!("f53f191f")),
        ("scope", json!("chat.read")),
        ("resource", json!("https://mcp.chat.example")),
        ("act", json!({ "sub": world.triage.id })),
        ("email", json!("maria@acme.example")),
    ] {
        assert_eq!(claims.all[name], value, "{name}");
    }
    let (count, facts) = world.entries(EventKind::IdJagIssued).await;
    assert_eq!((count, &facts["server"]), (1, &json!(server)));
    // It is a credential of the run, and good for nothing here.
    let id = claims.text("jti").unwrap();
    let kept = world.books.get::<Token>(&world.acme, id).await.unwrap();
    assert_eq!(kept.unwrap().noun.outside, Some(server));
    assert!(world.verify(&secret(&answer)).await.is_err());
}

#[tokio::test]
async fn what_is_not_listed_is_not_asserted() {
    let world = World::new().await;
    listed(&world).await;
    let token = world.acting(&world.triage, "refund", 0).await;
    let other = world.acting(&world.triage, "answer", 0).await;
    let alone = world.token(&world.triage, "workflow:refund").await;
    let mine = || world.assertion(&world.triage);
    for (request, code) in [
        (
            ask(mine(), &token, "https://evil.example", ""),
            "audience-not-listed",
        ),
        (
            ask(mine(), &token, "https://auth.chat.example/", ""),
            "audience-not-listed",
        ),
        (ask(mine(), &token, THERE, "chat.read chat.admin"), "wider"),
        (
            ask(mine(), &other, THERE, "chat.read"),
            "workflow-not-for-server",
        ),
        (ask(mine(), &alone, THERE, "chat.read"), "chain-broken"),
        (
            ask(world.assertion(&world.searcher), &token, THERE, "chat.read"),
            "actor-other",
        ),
    ] {
        assert!(
            asserted(&world, &world.triage, request).await.is_err(),
            "{code}"
        );
        assert_eq!(world.refused().await.1["code"], code);
    }
    let mut wide = ask(mine(), &token, THERE, "chat.read");
    wide.resource = vec!["https://mcp.other.example".to_owned()];
    assert!(asserted(&world, &world.triage, wide).await.is_err());
    assert_eq!(world.refused().await.1["code"], "wider");
    assert_eq!(world.entries(EventKind::IdJagIssued).await.0, 0);
}

#[tokio::test]
async fn what_is_narrowed_to_tools_is_no_word_for_everything_elsewhere() {
    let world = World::new().await;
    listed(&world).await;
    let token = world.acting(&world.triage, "refund", 0).await;
    let run = world.verify(&token).await.unwrap().run.clone();
    world
        .change::<remit_domain::Run>(run.as_str(), |run| {
            run.intent.authority =
                serde_json::from_value(json!({ "tools": { "orders/read": {} } })).unwrap();
        })
        .await;
    let narrow = ask(world.assertion(&world.triage), &token, THERE, "chat.read");
    assert!(asserted(&world, &world.triage, narrow).await.is_err());
    assert_eq!(world.refused().await.1["code"], "wider");
    assert_eq!(world.entries(EventKind::IdJagIssued).await.0, 0);
}

#[tokio::test]
async fn nothing_is_asserted_for_an_ended_delegation_or_twice_for_one_proof() {
    let world = World::new().await;
    let server = listed(&world).await;
    let token = world.acting(&world.triage, "refund", 0).await;
    let proof = world.assertion(&world.triage);
    let once = ask(proof.clone(), &token, THERE, "");
    assert!(asserted(&world, &world.triage, once).await.is_ok());
    let again = ask(proof, &token, THERE, "");
    assert!(asserted(&world, &world.triage, again).await.is_err());
    assert_eq!(world.refused().await.1["code"], "assertion-replayed");
    world
        .change::<AuthorizationServer>(server.as_str(), |server| server.enabled = false)
        .await;
    let off = ask(world.assertion(&world.triage), &token, THERE, "");
    assert!(asserted(&world, &world.triage, off).await.is_err());
    assert_eq!(world.refused().await.1["code"], "audience-not-listed");
    world
        .change::<AuthorizationServer>(server.as_str(), |server| server.enabled = true)
        .await;
    world.leaves(&world.maria).await;
    let left = ask(world.assertion(&world.triage), &token, THERE, "");
    assert!(asserted(&world, &world.triage, left).await.is_err());
    assert_eq!(world.refused().await.1["code"], "chain-broken");
}
