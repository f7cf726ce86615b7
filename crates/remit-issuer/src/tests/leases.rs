//! Tokens of an upstream's own authorization server: whose they are, and how each ends, also against races and servers that are down.

use std::sync::Mutex;

use async_trait::async_trait;
use remit_books::Ending;
use remit_domain::lease::{Lease, LeaseProof, LeaseState, REVOCATION_TRIES_MAX};
use remit_domain::name::Name;
use remit_domain::run::RunEnd;
use remit_domain::upstream::{Injection, SecretRef};
use remit_domain::{Run, RunId};
use remit_ports::leases::{LeaseWanted, LentToken, NoToken};
use remit_ports::store::Filter;
use remit_ports::web::{WebError, WebRequest, WebResponse};
use remit_ports::{Leases, Secrets, Web};

use super::*;

/// An authorization server, and the upstream behind it.
#[derive(Default)]
struct Source {
    asked: Mutex<Vec<(String, String)>>,
    down: std::sync::atomic::AtomicBool,
    /// What introspection says.
    active: std::sync::atomic::AtomicBool,
    /// A run that ends while its token is asked for.
    ends: Mutex<Option<(Books, OrgId, RunId)>>,
}

fn because() -> Ending {
    Ending::because(Principal::Remit, RunEnd::Idle)
}

#[async_trait]
impl Web for Source {
    async fn request(&self, _: &OrgId, request: WebRequest) -> Result<WebResponse, WebError> {
        let path = request.url.rsplit('/').next().unwrap().to_owned();
        let body = String::from_utf8(request.body).unwrap();
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push((path.clone(), body));
            asked.iter().filter(|(at, _)| at == "token").count()
        };
        let ends = self.ends.lock().unwrap().take();
        if let Some((books, org, run)) = ends {
            books.end_run(&org, &run, &because()).await.unwrap();
        }
        let down = self.down.load(Ordering::Relaxed);
        let (status, body) = match path.as_str() {
            "token" => {
                let token = format!("token-number-{number}");
                (
                    200,
                    json!({ "access_token": token, "token_type": "Bearer", "expires_in": 7_200 }),
                )
            }
            _ if down => (503, json!({})),
            "introspect" => (
                200,
                json!({ "active": self.active.load(Ordering::Relaxed) }),
            ),
            _ => (200, json!({})),
        };
        Ok(WebResponse {
            status,
            content_type: Some("application/json".to_owned()),
            max_age_s: None,
            body: body.to_string().into_bytes(),
        })
    }
}

struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    fn may_name(&self, _: &Name, _: &SecretRef) -> Result<(), VaultError> {
        Ok(())
    }

    async fn read(&self, _: &Name, _: &SecretRef) -> Result<SecretString, VaultError> {
        panic!("no secret is needed")
    }
}

struct Leased {
    world: World,
    source: Arc<Source>,
}

impl Leased {
    async fn new() -> Self {
        let world = World::new().await;
        let source = Arc::new(Source::default());
        let issuer = world.issuer.clone();
        let _ = issuer.with_web(source.clone(), Arc::new(NoSecrets));
        let client = serde_json::from_value(json!({
            "issuer": "https://auth.example", "token_endpoint": "https://auth.example/token", "client_id": "remit",
            "revocation_endpoint": "https://auth.example/revoke", "introspection_endpoint": "https://auth.example/introspect",
            "grant": "token_exchange", "scopes": ["orders.read", "orders.write"], "tools": { "read": ["orders.read"] },
        }));
        let client = Injection::Oauth(Box::new(client.unwrap()));
        world
            .change::<Upstream>("orders", |upstream| upstream.secret = Some(client))
            .await;
        Self { world, source }
    }

    /// A run of an agent, for nobody.
    async fn run(&self, actor: &Actor, workflow: &str) -> RunId {
        let token = self
            .world
            .token(actor, &format!("workflow:{workflow}"))
            .await;
        self.world.verify(&token).await.unwrap().run.clone()
    }

    async fn lend(
        &self,
        run: &RunId,
        tool: &str,
        refused: Option<&remit_domain::LeaseId>,
    ) -> Result<LentToken, NoToken> {
        let upstream = {
            let book = self.world.books.org(&self.world.acme).unwrap();
            let registry = book.registry();
            Arc::clone(&registry.upstreams[&"orders".parse().unwrap()])
        };
        let wanted = LeaseWanted {
            org: &self.world.acme,
            upstream: &upstream,
            tool: Some(tool),
            run: Some(run),
            refused,
        };
        Ok(self.world.issuer.lend(wanted).await?.unwrap())
    }

    async fn sweep(&self) {
        let book = self.world.books.org(&self.world.acme).unwrap();
        self.world.issuer.sweep_leases(&book, true).await.unwrap();
    }

    async fn all(&self) -> Vec<Lease> {
        let books = &self.world.books;
        let found = books
            .list::<Lease>(&self.world.acme, &Filter::default())
            .await;
        found
            .unwrap()
            .0
            .into_iter()
            .map(|lease| lease.noun)
            .collect()
    }

    fn asked(&self, path: &str) -> usize {
        let asked = self.source.asked.lock().unwrap();
        asked.iter().filter(|(at, _)| at == path).count()
    }

    async fn end(&self, run: &RunId) {
        let world = &self.world;
        world
            .books
            .end_run(&world.acme, run, &because())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn one_token_is_of_one_run_and_of_the_scopes_of_its_tool() {
    let l = Leased::new().await;
    let (one, other) = (
        l.run(&l.world.triage, "answer").await,
        l.run(&l.world.searcher, "search").await,
    );
    let first = l.lend(&one, "read", None).await.unwrap();
    let again = l.lend(&one, "read", None).await.unwrap();
    assert_eq!(first.lease, again.lease);
    let wider = l.lend(&one, "write", None).await.unwrap();
    let others = l.lend(&other, "read", None).await.unwrap();
    assert!(first.lease != wider.lease && first.lease != others.lease);
    assert_eq!(l.asked("token"), 3);
    let mut scopes: Vec<_> = l
        .all()
        .await
        .iter()
        .map(|lease| lease.scopes.len())
        .collect();
    scopes.sort_unstable();
    assert_eq!(scopes, [1, 1, 2]);
    // What the record holds is not the token.
    let record = serde_json::to_string(&l.all().await).unwrap();
    assert!(!format!("{:?}", l.all().await).contains("token-number"));
    assert!(record.contains("sealed"));
    let asked = l.source.asked.lock().unwrap();
    assert!(asked[0].1.contains("scope=orders.read") && !asked[0].1.contains("orders.write"));
    assert!(
        asked
            .iter()
            .all(|(_, body)| body.contains("client_assertion="))
    );
}

#[tokio::test]
async fn a_refused_token_is_put_away_and_another_one_is_given() {
    let l = Leased::new().await;
    let run = l.run(&l.world.triage, "answer").await;
    let first = l.lend(&run, "read", None).await.unwrap();
    let second = l.lend(&run, "read", Some(&first.lease)).await.unwrap();
    assert!(first.lease != second.lease);
    l.sweep().await;
    let states: Vec<_> = l.all().await.iter().map(|lease| lease.state).collect();
    assert_eq!(states, [LeaseState::Revoked, LeaseState::Active]);
}

#[tokio::test]
async fn a_run_that_ends_while_its_token_is_asked_for_gets_none_and_it_is_revoked() {
    let l = Leased::new().await;
    let run = l.run(&l.world.triage, "answer").await;
    let ends = (l.world.books.clone(), l.world.acme.clone(), run.clone());
    *l.source.ends.lock().unwrap() = Some(ends);
    let refused = l.lend(&run, "read", None).await.unwrap_err();
    assert!(refused.0.contains("run has ended"), "{refused}");
    assert_eq!(l.asked("revoke"), 1);
    assert!(l.all().await.is_empty());
    // Nor afterwards.
    assert!(l.lend(&run, "read", None).await.is_err());
    assert_eq!(l.asked("token"), 1);
}

#[tokio::test]
async fn what_a_node_lent_that_went_away_is_revoked_by_another_one_with_proof() {
    let l = Leased::new().await;
    let run = l.run(&l.world.triage, "answer").await;
    l.lend(&run, "read", None).await.unwrap();
    // Another node knows of it by its record alone.
    let another = Issuer::new(l.world.books.clone(), URL, "acme".parse().unwrap()).unwrap();
    let another = another.with_web(l.source.clone(), Arc::new(NoSecrets));
    l.end(&run).await;
    let book = l.world.books.org(&l.world.acme).unwrap();
    another.sweep_leases(&book, false).await.unwrap();
    let lease = l.all().await.pop().unwrap();
    assert_eq!(
        (lease.state, lease.proof),
        (LeaseState::Revoked, Some(LeaseProof::Introspection))
    );
    assert!(lease.sealed.is_none(), "what is over is not kept");
    let (_, entry) = l.world.entries(EventKind::LeaseRevoked).await;
    assert!(!entry.to_string().contains("token-number"));
}

#[tokio::test]
async fn a_source_that_says_one_thing_and_another_is_asked_again() {
    let l = Leased::new().await;
    l.source.active.store(true, Ordering::Relaxed);
    let run = l.run(&l.world.triage, "answer").await;
    l.lend(&run, "read", None).await.unwrap();
    l.end(&run).await;
    l.sweep().await;
    let lease = l.all().await.pop().unwrap();
    assert_eq!(lease.state, LeaseState::Ending);
    assert!(lease.why.unwrap().contains("it is active"));
    l.source.active.store(false, Ordering::Relaxed);
    l.world.advance(2);
    l.sweep().await;
    assert_eq!(l.all().await.pop().unwrap().state, LeaseState::Revoked);
}

#[tokio::test]
async fn what_cannot_be_revoked_is_given_up_where_people_see_it_and_ends_by_itself() {
    let l = Leased::new().await;
    let run = l.run(&l.world.triage, "answer").await;
    l.lend(&run, "read", None).await.unwrap();
    l.source.down.store(true, Ordering::Relaxed);
    l.end(&run).await;
    for tried in 1..=REVOCATION_TRIES_MAX {
        l.sweep().await;
        // Not before its time.
        l.sweep().await;
        assert_eq!(l.asked("revoke"), usize::try_from(tried).unwrap());
        l.world.advance(301);
    }
    let lease = l.all().await.pop().unwrap();
    assert_eq!(
        (lease.state, lease.tries),
        (LeaseState::Dead, REVOCATION_TRIES_MAX)
    );
    assert_eq!(l.world.entries(EventKind::LeaseGivenUp).await.0, 1);
    // Somebody tries again, and its source is there.
    l.source.down.store(false, Ordering::Relaxed);
    let by = Principal::Remit;
    let (org, id) = (&l.world.acme, &lease.id);
    Leases::revoke(&l.world.issuer, org, id, &by, "it is there again")
        .await
        .unwrap();
    assert_eq!(l.all().await.pop().unwrap().state, LeaseState::Revoked);
    let over = Leases::revoke(&l.world.issuer, org, id, &by, "once more").await;
    let over = over.unwrap_err();
    assert_eq!(over.code, remit_domain::RefusalCode::Conflict);
    // Another one, which nobody revokes, ends by itself.
    let run = l.run(&l.world.searcher, "search").await;
    l.lend(&run, "read", None).await.unwrap();
    l.source.down.store(true, Ordering::Relaxed);
    l.end(&run).await;
    l.world.advance(7_300);
    l.sweep().await;
    let lease = l.all().await.pop().unwrap();
    assert_eq!(lease.state, LeaseState::Expired);
    let stored = l.world.books.get::<Run>(org, run.as_str()).await.unwrap();
    assert!(stored.is_some());
}
