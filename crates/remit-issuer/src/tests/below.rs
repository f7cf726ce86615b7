//! Places below a run: what is asked for at once, on two nodes, takes no more than there are.

use remit_domain::Run;
use remit_domain::limits::{RUN_CHILDREN_MAX, RUN_TREE_MAX};
use remit_ports::store::Filter;
use remit_token::AuthorizationDetails;

use super::keys::second_node;
use super::*;

/// How many ask at once.
const AT_ONCE: usize = 50;

impl World {
    async fn below(&self, run: &str) -> usize {
        let filter = Filter {
            state: Some("active".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let (runs, _) = self.books.list::<Run>(&self.acme, &filter).await.unwrap();
        let own = |r: &&remit_books::Versioned<Run>| {
            r.noun.parent.as_ref().is_some_and(|p| p.as_str() == run)
        };
        runs.iter().filter(own).count()
    }

    fn spawning(&self, token: &str) -> TokenRequest {
        let scope = "workflow:search";
        let assertion = self.assertion(&self.triage);
        let request = exchange(assertion, token, TokenType::AccessToken, scope);
        let TokenRequest::TokenExchange(mut request) = request else {
            panic!("an exchange");
        };
        request.audience = vec![self.searcher.id.to_string()];
        TokenRequest::TokenExchange(request)
    }

    /// A token that was narrowed already, for less still.
    fn narrowing_below(&self, token: &str, n: usize) -> TokenRequest {
        self.narrowing_by(
            token,
            json!({ "n": [{ "integer": { "max": 0 } }], "m": [{ "integer": { "max": n } }] }),
        )
    }

    /// The same token, for less: each time for less in another way, so that each begins a run.
    fn narrowing_to(&self, token: &str, most: usize) -> TokenRequest {
        self.narrowing_by(token, json!({ "n": [{ "integer": { "max": most } }] }))
    }

    fn narrowing_by(&self, token: &str, bounds: Value) -> TokenRequest {
        let assertion = self.assertion(&self.triage);
        let request = exchange(assertion, token, TokenType::AccessToken, "");
        let TokenRequest::TokenExchange(mut request) = request else {
            panic!("an exchange");
        };
        let detail = json!([{ "type": "remit_tool", "tool": "orders/read", "bounds": bounds }]);
        request.authorization_details = AuthorizationDetails::parse(&detail.to_string()).unwrap();
        TokenRequest::TokenExchange(request)
    }
}

/// Fills all places but `free`, then has fifty take the rest at once on so many nodes.
async fn rush(nodes: usize, free: usize, request: impl Fn(&World, &str, usize) -> TokenRequest) {
    let world = World::new().await;
    world.store.be_alone(nodes == 1);
    let token = world.acting(&world.triage, "answer", 2).await;
    let run = world.verify(&token).await.unwrap().run.to_string();
    for n in 0..RUN_CHILDREN_MAX - free {
        let request = request(&world, &token, n);
        world.issuer.token(&world.acme, &request).await.unwrap();
    }
    let second = second_node(&world).await;
    let asking = (0..AT_ONCE).map(|n| {
        let node = if n % nodes == 0 {
            &world.issuer
        } else {
            &second
        };
        let (node, org) = (node.clone(), world.acme.clone());
        let request = request(&world, &token, 1_000 + n);
        tokio::spawn(async move { node.token(&org, &request).await })
    });
    let asking: Vec<_> = asking.collect();
    let (mut got, mut refused) = (0, Vec::new());
    for one in asking {
        match one.await.unwrap() {
            Ok(_) => got += 1,
            Err(error) => refused.push(error.error_description),
        }
    }
    assert_eq!(
        world.below(&run).await,
        RUN_CHILDREN_MAX,
        "no more than there are places"
    );
    assert_eq!(got, free, "and every place is taken");
    assert!(
        refused.iter().all(|text| text.starts_with("limited")),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_that_spawn_at_once_take_the_four_places_that_are_left() {
    rush(2, 4, |world, token, _| world.spawning(token)).await;
    rush(1, 4, |world, token, _| world.spawning(token)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_that_narrow_at_once_take_the_four_places_that_are_left() {
    rush(2, 4, |world, token, n| world.narrowing_to(token, n)).await;
    rush(1, 4, |world, token, n| world.narrowing_to(token, n)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_place_that_a_run_leaves_is_taken_again() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 2).await;
    let mut last = None;
    for n in 0..RUN_CHILDREN_MAX {
        let request = world.narrowing_to(&token, n);
        last = Some(world.issuer.token(&world.acme, &request).await.unwrap());
    }
    let request = || world.narrowing_to(&token, 2_000);
    let full = world.issuer.token(&world.acme, &request()).await;
    assert_refused(full, OAuthErrorCode::TemporarilyUnavailable, "limited");
    let child = world.verify(&secret(&last.unwrap())).await.unwrap();
    let ending = remit_books::Ending::because(Principal::Remit, remit_domain::run::RunEnd::Agent);
    world
        .books
        .end_run(&world.acme, &child.run, &ending)
        .await
        .unwrap();
    world.issuer.token(&world.acme, &request()).await.unwrap();
}

/// A tree is as large as it may be, wherever in it runs begin and on whichever node.
async fn rush_in_the_tree(nodes: usize) {
    let world = World::new().await;
    world.store.be_alone(nodes == 1);
    let root = world.acting(&world.triage, "answer", 2).await;
    let first = world.verify(&root).await.unwrap().run.clone();
    let mut roots = Vec::new();
    for n in 0..RUN_TREE_MAX / RUN_CHILDREN_MAX {
        let request = world.narrowing_to(&root, n);
        let token = world.issuer.token(&world.acme, &request).await;
        roots.push(secret(&token.unwrap()));
    }
    let full = 1 + roots.len();
    for n in 0..RUN_TREE_MAX - full - 4 {
        let token = &roots[n % roots.len()];
        let request = world.narrowing_below(token, n);
        world.issuer.token(&world.acme, &request).await.unwrap();
    }
    let second = second_node(&world).await;
    let asking = (0..AT_ONCE).map(|n| {
        let node = if n % nodes == 0 {
            &world.issuer
        } else {
            &second
        };
        let (node, org) = (node.clone(), world.acme.clone());
        let request = world.narrowing_below(&roots[n % roots.len()], 1_000 + n);
        tokio::spawn(async move { node.token(&org, &request).await })
    });
    let asking: Vec<_> = asking.collect();
    let mut got = 0;
    for one in asking {
        match one.await.unwrap() {
            Ok(_) => got += 1,
            Err(error) => assert!(error.error_description.starts_with("limited"), "{error}"),
        }
    }
    assert_eq!(got, 4, "what was left");
    let filter = Filter {
        state: Some("active".to_owned()),
        limit: 1_000,
        ..Filter::default()
    };
    let (runs, _) = world.books.list::<Run>(&world.acme, &filter).await.unwrap();
    let in_tree = runs.iter().filter(|r| r.noun.root == first).count();
    assert_eq!(in_tree, RUN_TREE_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_at_once_below_several_runs_take_what_is_left_in_their_tree() {
    rush_in_the_tree(1).await;
    rush_in_the_tree(2).await;
}
