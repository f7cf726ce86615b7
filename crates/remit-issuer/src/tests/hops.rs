//! What an organization's policies forbid to hand on: no hop gets round them, and none is decided by what no longer holds.

use remit_domain::Kind;
use remit_domain::policy_set::PolicySet;
use remit_ports::store::Filter;

use super::federation::Cluster;
use super::*;
use crate::SpawnRequest;

/// Cedar text goes live.
async fn live(books: &Books, org: &OrgId, name: &str, text: &str) {
    let set: PolicySet = serde_json::from_value(json!({
        "name": name, "text": text, "enabled": true, "by": { "type": "remit" }, "at": books.now()
    }))
    .unwrap();
    let change = Change::new().create(&set).restrict();
    books.commit(org, change).await.unwrap();
}

fn forbid(action: &str, when: &str) -> String {
    format!(
        "@id(\"no\") @text(\"not here\") forbid (principal, action == Action::\"{action}\", resource) when {{ {when} }};"
    )
}

impl World {
    pub(super) async fn forbids(&self, action: &str, when: &str) {
        live(&self.books, &self.acme, "hops", &forbid(action, when)).await;
    }

    /// A policy goes live while the next run is being committed.
    fn forbids_meanwhile(&self, action: &str, when: &str) {
        let (books, org) = (self.books.clone(), self.acme.clone());
        let text = forbid(action, when);
        *self.vault.meanwhile.lock().unwrap() = Some(Box::new(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(live(&books, &org, "meanwhile", &text));
        }));
    }

    async fn how_many(&self, kind: Kind) -> usize {
        let filter = Filter {
            limit: 1_000,
            ..Filter::default()
        };
        let found = self.books.store().list(&self.acme, kind, &filter).await;
        found.unwrap().records.len()
    }

    /// Asserts that a hop was refused by the policy, said and recorded, and nothing was made.
    async fn was_forbidden(&self, answer: Result<TokenResponse, OAuthError>, tokens: usize) {
        assert_refused(
            answer,
            OAuthErrorCode::UnauthorizedClient,
            "denied: not here",
        );
        let (_, facts) = self.refused().await;
        assert_eq!(facts["code"], "denied");
        assert_eq!(facts["policies"], json!(["hops/no"]));
        assert_eq!(self.how_many(Kind::Token).await, tokens);
    }
}

#[tokio::test]
async fn a_policy_stops_a_token_however_it_is_asked_for() {
    let world = World::new().await;
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let own = world.token(&world.triage, "workflow:refund").await;
    let acting = world.acting(&world.triage, "answer", 1).await;
    let parent = world.verify(&acting).await.unwrap();
    let request = SpawnRequest::new(
        world.searcher.id.clone(),
        world.searcher.workflows["search"].clone(),
    );
    let spawned = world
        .issuer
        .spawn(&world.acme, &parent, request)
        .await
        .unwrap();
    let tokens = world.how_many(Kind::Token).await;
    world.forbids("issue", "context.now > 0").await;
    let subject = world.subject(&link).await;
    let answer = world.exchange(&world.triage, &subject, "").await;
    world.was_forbidden(answer, tokens).await;
    let answer = world
        .exchange(&world.searcher, spawned.subject_token.expose_secret(), "")
        .await;
    world.was_forbidden(answer, tokens).await;
    let answer = world.credentials(&world.triage, "workflow:answer").await;
    world.was_forbidden(answer, tokens).await;
    let narrower = exchange(
        world.assertion(&world.triage),
        &own,
        TokenType::AccessToken,
        "",
    );
    let answer = world.issuer.token(&world.acme, &narrower).await;
    world.was_forbidden(answer, tokens).await;
    // What was issued before goes on: the policy is about hops.
    assert!(world.verify(&acting).await.is_ok());
}

#[tokio::test]
async fn a_policy_stops_handing_on_to_a_sub_agent_either_way() {
    let world = World::new().await;
    let acting = world.acting(&world.triage, "answer", 1).await;
    let parent = world.verify(&acting).await.unwrap();
    let when = r#"context.kind == "sub_agent" && context has from_agent && context.from_agent == "triage" && principal.name == "searcher" && context.depth == 2"#;
    world.forbids("delegate", when).await;
    let links = world.how_many(Kind::Delegation).await;
    let request = SpawnRequest::new(
        world.searcher.id.clone(),
        world.searcher.workflows["search"].clone(),
    );
    let refused = world.issuer.spawn(&world.acme, &parent, request).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.to_string(), "denied: not here");
    let (_, facts) = world.refused().await;
    assert_eq!(
        (&facts["code"], &facts["door"], &facts["policies"]),
        (&json!("denied"), &json!("spawn"), &json!(["hops/no"]))
    );
    let TokenRequest::TokenExchange(by_exchange) = exchange(
        world.assertion(&world.triage),
        &acting,
        TokenType::AccessToken,
        "workflow:search",
    ) else {
        panic!("another grant")
    };
    let by_exchange = TokenExchange {
        audience: vec![world.searcher.id.to_string()],
        ..*by_exchange
    };
    let by_exchange = TokenRequest::TokenExchange(Box::new(by_exchange));
    let answer = world.issuer.token(&world.acme, &by_exchange).await;
    world.was_forbidden(answer, 1).await;
    assert_eq!(world.how_many(Kind::Delegation).await, links);
}

#[tokio::test]
async fn a_policy_stops_what_an_identity_provider_says() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    world
        .forbids("delegate", r#"context.kind == "id_jag""#)
        .await;
    let answer = cluster.redeem_own(&cluster.jag_token()).await;
    world.was_forbidden(answer, 0).await;
    assert_eq!(world.how_many(Kind::Delegation).await, 0);
}

#[tokio::test]
async fn a_policy_stops_what_is_said_elsewhere() {
    let world = World::new().await;
    super::assert_identity::listed(&world).await;
    let token = world.acting(&world.triage, "refund", 0).await;
    world
        .forbids("issue", r#"context.kind == "identity_assertion""#)
        .await;
    let request = super::assert_identity::ask(
        world.assertion(&world.triage),
        &token,
        super::assert_identity::THERE,
        "",
    );
    let request = TokenRequest::TokenExchange(Box::new(request));
    let answer = world.issuer.token(&world.acme, &request).await;
    world.was_forbidden(answer, 1).await;
    assert_eq!(world.entries(EventKind::IdJagIssued).await.0, 0);
}

#[tokio::test]
async fn a_policy_that_cannot_be_evaluated_issues_nothing() {
    let world = World::new().await;
    world
        .forbids("issue", "context.now + 9223372036854775807 < 0")
        .await;
    let answer = world.credentials(&world.triage, "workflow:refund").await;
    assert_refused(
        answer,
        OAuthErrorCode::UnauthorizedClient,
        "denied: policy hops/no could not be evaluated",
    );
    assert_eq!(world.how_many(Kind::Token).await, 0);
}

#[tokio::test]
async fn what_is_decided_says_so_in_its_entry() {
    let world = World::new().await;
    world.acting(&world.triage, "answer", 1).await;
    let (_, facts) = world.entries(EventKind::TokenExchanged).await;
    assert!(facts.get("hop").is_none(), "nothing was asked");
    world.forbids("delegate", "context.hour == 3").await;
    let acting = world.acting(&world.triage, "answer", 1).await;
    let bundle = {
        let engine = world.books.org(&world.acme).unwrap().engine().unwrap();
        engine.bundle().to_owned()
    };
    let (_, facts) = world.entries(EventKind::TokenExchanged).await;
    assert_eq!(
        (&facts["hop"], &facts["bundle"]),
        (&json!("allow"), &json!(bundle))
    );
    let parent = world.verify(&acting).await.unwrap();
    let request = SpawnRequest::new(
        world.searcher.id.clone(),
        world.searcher.workflows["search"].clone(),
    );
    world
        .issuer
        .spawn(&world.acme, &parent, request)
        .await
        .unwrap();
    let (_, facts) = world.entries(EventKind::DelegationGranted).await;
    assert_eq!(facts["bundle"], json!(bundle));
}

/// What was decided by policies that are not live any more is not committed: it is decided anew, by those that are.
#[tokio::test]
async fn a_policy_that_comes_between_the_answer_and_the_commit_counts() {
    for before in [false, true] {
        let world = World::new().await;
        if before {
            world.forbids("issue", "context.hour == 3").await;
        }
        world.forbids_meanwhile("issue", "context.now > 0");
        let answer = world.credentials(&world.triage, "workflow:refund").await;
        assert_refused(
            answer,
            OAuthErrorCode::UnauthorizedClient,
            "denied: not here",
        );
        assert_eq!(world.how_many(Kind::Token).await, 0);
        assert_eq!(world.how_many(Kind::Run).await, 0);
    }
}

#[tokio::test]
async fn a_policy_that_comes_while_a_sub_agent_is_spawned_counts() {
    let world = World::new().await;
    let acting = world.acting(&world.triage, "answer", 1).await;
    let parent = world.verify(&acting).await.unwrap();
    world.forbids_meanwhile("delegate", r#"context.kind == "sub_agent""#);
    let request = SpawnRequest::new(
        world.searcher.id.clone(),
        world.searcher.workflows["search"].clone(),
    );
    let refused = world.issuer.spawn(&world.acme, &parent, request).await;
    assert_eq!(refused.unwrap_err().to_string(), "denied: not here");
    assert_eq!(world.how_many(Kind::Delegation).await, 1);
}

#[tokio::test]
async fn what_is_taken_away_meanwhile_stops_nobody_else() {
    let world = World::new().await;
    world.forbids("issue", "context.hour == 3").await;
    // Another agent is contained while this one's run is committed: the epoch moves, and it is decided anew.
    world.contain_meanwhile(json!({ "type": "agent", "id": world.indexer.id }));
    world
        .credentials(&world.triage, "workflow:refund")
        .await
        .unwrap();
    assert_eq!(world.how_many(Kind::Token).await, 1);
}

#[tokio::test]
async fn another_organization_is_not_asked() {
    let world = World::new().await;
    let everything = forbid("issue", "context.now > 0");
    live(&world.books, &world.globex, "hops", &everything).await;
    world
        .credentials(&world.triage, "workflow:refund")
        .await
        .unwrap();
}
