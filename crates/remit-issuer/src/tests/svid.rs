//! SVIDs go to what stands in the registry, end with what they were asked for with, and open nothing of Remit itself.

use super::*;
use remit_domain::RefusalCode;
use remit_domain::credential::Svid;
use remit_domain::key::KeyUse;
use remit_token::jwt_svid::{self, ExpectSvid};
use remit_token::x509_svid::request;

pub(super) const ELSEWHERE: &str = "https://orders.example";

pub(super) fn csr() -> Vec<u8> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = aws_lc_rs::rand::SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    request(made.as_ref()).unwrap()
}

fn signed_by(certificate: &[u8], authority: &[u8]) -> bool {
    let (_, leaf) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let (_, authority) = x509_parser::parse_x509_certificate(authority).unwrap();
    leaf.verify_signature(Some(authority.public_key())).is_ok()
}

pub(super) async fn holder(world: &World) -> Arc<Verified> {
    let token = world.token(&world.triage, "workflow:answer").await;
    world.verify(&token).await.unwrap()
}

#[tokio::test]
async fn an_svid_names_agent_workflow_and_run_and_ends_with_its_token() {
    let world = World::new().await;
    let holder = holder(&world).await;
    world.advance(60);
    let (x509, jwt) = (
        world.issuer.x509_svid(&holder, &csr(), None).await.unwrap(),
        world
            .issuer
            .jwt_svid(&holder, &[ELSEWHERE.to_owned()], None)
            .await
            .unwrap(),
    );
    let path = format!("/agent/{}/{}/{}", holder.agent, holder.workflow, holder.run);
    let name = format!("spiffe://acme.remit.example{path}");
    assert_eq!(x509.spiffe_id.to_string(), name);
    assert_eq!(jwt.spiffe_id.to_string(), name);
    assert_eq!(
        (x509.expires, jwt.expires),
        (holder.expires, holder.expires)
    );
    let bundle = world.issuer.bundle(&world.acme).await.unwrap();
    assert!(signed_by(&x509.certificate, &bundle.x509[0].0));
    let other = world.issuer.bundle(&world.globex).await.unwrap();
    assert!(!signed_by(&x509.certificate, &other.x509[0].0));
    let expect = ExpectSvid {
        trust_domain: "acme.remit.example",
        audience: ELSEWHERE,
        sole_audience: true,
        now: world.books.now().as_secs(),
        leeway_s: 0,
    };
    let token = jwt.token.expose_secret();
    let find = |keys: &[remit_token::PublicJwk], kid: &str| {
        keys.iter()
            .find(|key| key.thumbprint().as_str() == kid)
            .copied()
    };
    assert!(jwt_svid::verify(token, |kid| find(&bundle.jwt, kid), &expect).is_ok());
    assert!(jwt_svid::verify(token, |kid| find(&other.jwt, kid), &expect).is_err());
    let (issued, facts) = world.entries(EventKind::SvidIssued).await;
    assert_eq!((issued, &facts["form"]), (2, &json!("jwt")));
    assert!(
        !facts.to_string().contains(ELSEWHERE),
        "the audience is sealed"
    );
    let live = world
        .books
        .live_svids(&world.acme, Some(&holder.agent))
        .await
        .unwrap();
    assert_eq!(live.len(), 2);
    assert!(
        live.iter()
            .all(|svid| svid.noun.thumbprint.as_ref() == Some(&world.triage.thumbprint))
    );
    world.advance(300);
    assert!(
        world
            .books
            .live_svids(&world.acme, None)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_stolen_token_gets_no_proof_towards_remit_itself() {
    let world = World::new().await;
    let holder = holder(&world).await;
    for own in [
        URL,
        "https://remit.example/oauth2/token",
        "https://remit.example/t/globex",
    ] {
        let audience = [ELSEWHERE.to_owned(), own.to_owned()];
        let refused = world
            .issuer
            .jwt_svid(&holder, &audience, None)
            .await
            .unwrap_err();
        assert_eq!(refused.code, RefusalCode::InvalidRequest, "{own}");
    }
    assert_eq!(world.refused().await.0, 3);
    let near = ["https://remit.example.attacker.example".to_owned()];
    assert!(world.issuer.jwt_svid(&holder, &near, None).await.is_ok());
    for audience in [vec![], vec![String::new()], vec!["a".to_owned(); 9]] {
        assert!(
            world
                .issuer
                .jwt_svid(&holder, &audience, None)
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn what_does_not_stand_gets_no_svid_though_its_token_was_checked_before() {
    for case in [
        "suspended",
        "contained",
        "token",
        "key",
        "workflow",
        "left",
        "run",
    ] {
        let world = World::new().await;
        let holder = holder(&world).await;
        let expected = match case {
            "suspended" => {
                world.set_state(&world.triage, AgentState::Suspended).await;
                RefusalCode::AgentNotActive
            }
            "contained" => {
                world
                    .contain(json!({ "type": "credential", "id": world.triage.thumbprint }))
                    .await;
                RefusalCode::Contained
            }
            "token" => {
                world
                    .contain(json!({ "type": "credential", "id": holder.token }))
                    .await;
                RefusalCode::Contained
            }
            "key" => {
                let at = Some(world.books.now());
                world
                    .change::<AgentKey>(&world.triage.thumbprint, |key| key.removed = at)
                    .await;
                RefusalCode::Unauthenticated
            }
            "workflow" => {
                world
                    .change::<Workflow>(holder.workflow.as_str(), |w| w.enabled = false)
                    .await;
                RefusalCode::WorkflowUnknown
            }
            "left" => {
                world.leaves(&world.sponsor).await;
                RefusalCode::NoAccountablePerson
            }
            _ => {
                world
                    .contain(json!({ "type": "run", "id": holder.run }))
                    .await;
                RefusalCode::Contained
            }
        };
        let refused = world
            .issuer
            .x509_svid(&holder, &csr(), None)
            .await
            .unwrap_err();
        assert_eq!(refused.code, expected, "{case}");
        let audience = [ELSEWHERE.to_owned()];
        let refused = world
            .issuer
            .jwt_svid(&holder, &audience, None)
            .await
            .unwrap_err();
        assert_eq!(refused.code, expected, "{case}");
        assert_eq!(world.entries(EventKind::SvidIssued).await.0, 0, "{case}");
        assert_eq!(world.refused().await.0, 2, "{case}");
    }
}

#[tokio::test]
async fn an_authority_is_published_before_it_signs_and_until_what_it_signed_has_ended() {
    let world = World::new().await;
    let bundle = async || world.issuer.bundle(&world.acme).await.unwrap();
    let signs = async || {
        let holder = holder(&world).await;
        let svid = world.issuer.x509_svid(&holder, &csr(), None).await.unwrap();
        let all = bundle().await.x509;
        all.iter()
            .position(|(der, _)| signed_by(&svid.certificate, der))
            .unwrap()
    };
    let first = bundle().await;
    assert_eq!((first.x509.len(), first.jwt.len()), (1, 1));
    assert_ne!(first.x509[0].1, first.jwt[0], "each use has its own key");
    let by = Principal::Person(world.owner.clone());
    world
        .issuer
        .rotate_svid_keys(&world.acme, &by)
        .await
        .unwrap();
    let second = bundle().await;
    assert_eq!((second.x509.len(), second.jwt.len()), (2, 2));
    assert!(second.sequence > first.sequence);
    assert_eq!(signs().await, 0, "the new one is not known everywhere yet");
    world.advance(301);
    assert_eq!(signs().await, 1);
    // The last certificate of the old one ends 900 s after it stopped signing.
    world.advance(900);
    assert_eq!(bundle().await.x509.len(), 2);
    world.advance(300);
    let third = bundle().await;
    assert_eq!((third.x509.len(), third.jwt.len()), (1, 1));
    assert_eq!(third.x509[0], second.x509[1]);
    assert!(third.sequence > second.sequence);
    // They are replaced by themselves.
    world.advance(30 * 86_400);
    assert_eq!(bundle().await.x509.len(), 2);
    // A server that was off for long makes new ones rather than sign with what has ended.
    world.advance(100 * 86_400);
    let late = bundle().await;
    assert_eq!(late.x509.len(), 1);
    assert_eq!(signs().await, 0);
}

#[tokio::test]
async fn what_is_at_rest_of_an_authority_is_sealed() {
    let world = World::new().await;
    world.issuer.bundle(&world.acme).await.unwrap();
    for usage in [KeyUse::X509Svid, KeyUse::JwtSvid] {
        let keys = world.books.signing_keys(&world.acme, usage).await.unwrap();
        assert_eq!(keys.len(), 1);
        let (key, secret) = &keys[0];
        use base64::Engine;
        let plain = base64::engine::general_purpose::STANDARD.encode(secret);
        assert!(!key.public.contains(&plain) && key.sealed != plain);
    }
}

#[tokio::test]
async fn svids_of_one_agent_are_limited_and_withdrawn_ones_are_not_live() {
    let world = World::new().await;
    let holder = holder(&world).await;
    world.issuer.x509_svid(&holder, &csr(), None).await.unwrap();
    let live = world.books.live_svids(&world.acme, None).await.unwrap();
    let change = world.books.plan_withdrawal(live, &Principal::Remit);
    world.books.commit(&world.acme, change).await.unwrap();
    assert!(
        world
            .books
            .live_svids(&world.acme, None)
            .await
            .unwrap()
            .is_empty()
    );
    let filter = remit_ports::store::Filter::default();
    let (kept, _) = world
        .books
        .list::<Svid>(&world.acme, &filter)
        .await
        .unwrap();
    assert!(kept[0].noun.withdrawn.is_some());
    let mut refused = None;
    for _ in 0..crate::limits::CLIENT_REQUESTS_PER_MINUTE {
        if let Err(refusal) = world.issuer.x509_svid(&holder, &csr(), None).await {
            refused = Some(refusal.code);
            break;
        }
    }
    assert_eq!(refused, Some(RefusalCode::Limited));
}

#[tokio::test]
async fn a_revoked_token_takes_its_svids_with_it_and_gets_no_more() {
    let world = World::new().await;
    let token = world.token(&world.triage, "workflow:answer").await;
    let (holder, other) = (world.verify(&token).await.unwrap(), holder(&world).await);
    for holder in [&holder, &other] {
        world.issuer.x509_svid(holder, &csr(), None).await.unwrap();
    }
    let client = auth(world.assertion(&world.triage));
    let revoked = world.issuer.revoke(&world.acme, &client, &token).await;
    revoked.unwrap();
    let live = world.books.live_svids(&world.acme, None).await.unwrap();
    assert_eq!(live.len(), 1, "what another token asked for stays");
    assert_eq!(live[0].noun.token.as_ref(), Some(&other.token));
    let refused = world
        .issuer
        .x509_svid(&holder, &csr(), None)
        .await
        .unwrap_err();
    assert_eq!(refused.code, RefusalCode::Unauthenticated);
}
