//! Two hundred uses at once, on two nodes, of what is good for one: one gets something, and the others are told that it was used.

use super::federation::Cluster;
use super::keys::second_node;
use super::*;

const AT_ONCE: usize = 200;

/// Sends the same request so often at once, every other time to a second node over the same store.
///
/// Says how many got something, and with which codes the others were recorded.
async fn two_hundred(
    world: &World,
    request: impl Fn(usize) -> (TokenRequest, Option<String>),
) -> (usize, BTreeSet<String>) {
    let second = second_node(world).await;
    let before = world.refused_codes().await.len();
    let asking = (0..AT_ONCE).map(|n| {
        let node = if n % 2 == 0 { &world.issuer } else { &second };
        let (node, org) = (node.clone(), world.acme.clone());
        let (request, proof) = request(n);
        tokio::spawn(async move {
            let asked = node.token_with_proof(&org, &request, proof.as_deref());
            asked.await.is_ok()
        })
    });
    let asking: Vec<_> = asking.collect();
    let mut won = 0;
    for one in asking {
        won += usize::from(one.await.unwrap());
    }
    let codes = world.refused_codes().await.split_off(before);
    (won, codes.into_iter().collect())
}

impl World {
    async fn refused_codes(&self) -> Vec<String> {
        let filter = EntryFilter {
            kinds: vec![EventKind::AuthenticationRefused],
            limit: 10_000,
            ..EntryFilter::default()
        };
        let all = self
            .books
            .opened_entries(&self.acme, &filter)
            .await
            .unwrap();
        let code = |facts: Value| facts["code"].as_str().unwrap_or_default().to_owned();
        all.iter()
            .map(|entry| code(json!(entry.leaf.facts)))
            .collect()
    }
}

fn only(code: &str) -> (usize, BTreeSet<String>) {
    (1, [code.to_owned()].into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_assertion() {
    let world = World::new().await;
    let request = credentials(world.assertion(&world.indexer), "", &[]);
    let told = two_hundred(&world, |_| (request.clone(), None)).await;
    assert_eq!(told, only("assertion-replayed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delegation_assertion() {
    let world = World::new().await;
    let kind = DelegationUse::Interactive;
    let link = world.delegate(&world.triage, "answer", kind, 1).await;
    let subject = world.subject(&link).await;
    let told = two_hundred(&world, |_| {
        let client = world.assertion(&world.triage);
        (exchange(client, &subject, TokenType::Jwt, ""), None)
    });
    assert_eq!(told.await, only("subject-replayed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_authorization_code() {
    let world = World::with_redirects().await;
    let (_, code) = world.code(&[]).await;
    let (won, codes) = two_hundred(&world, |_| {
        let request = world.redeeming(&world.triage, &code);
        (TokenRequest::AuthorizationCode(Box::new(request)), None)
    })
    .await;
    // Whoever comes after its run was ended for the replay hears that.
    assert!(won <= 1, "{won}");
    assert!(codes.contains("code-replayed"), "{codes:?}");
    assert_eq!(
        world.entries(EventKind::TokenExchanged).await.0
            + world.entries(EventKind::TokenIssued).await.0,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_proof_of_a_key() {
    let world = World::new().await;
    let proof = world.proof_at(&key(), super::dpop::ENDPOINT, None, "one");
    let told = two_hundred(&world, |_| {
        let client = world.assertion(&world.triage);
        (
            credentials(client, "workflow:answer", &[]),
            Some(proof.clone()),
        )
    });
    assert_eq!(told.await, only("dpop-replayed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_assertion_of_a_persons_identity() {
    let cluster = Cluster::new().await;
    let jag = cluster.jag_token();
    // One first, so that both nodes need not fetch the provider's keys at once.
    let warm = cluster.jag_token();
    cluster.redeem_own(&warm).await.unwrap();
    let before = cluster.world.refused_codes().await.len();
    let asking = (0..AT_ONCE).map(|_| cluster.redeem_own(&jag));
    let answers = super::federation::futures_of(asking).await;
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1);
    let codes: BTreeSet<_> = cluster
        .world
        .refused_codes()
        .await
        .split_off(before)
        .into_iter()
        .collect();
    assert_eq!(codes, ["assertion-replayed".to_owned()].into());
}
