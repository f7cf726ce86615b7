//! Rich authorization requests: what is asked for bounds the run, is said in the token, and is never more than there is.

use remit_domain::Run;
use remit_domain::authority::Authority;
use remit_domain::run::RunEnd;
use remit_token::{AuthorizationDetails, ClientAuth};

use super::*;
use crate::{Asker, Caller, RunRequest};
use OAuthErrorCode::InvalidAuthorizationDetails;

fn refund(max: i64) -> Value {
    json!({ "type": "remit_tool", "tool": "orders/refund", "bounds": { "amount": [{ "decimal": { "max": max.to_string() } }] } })
}

fn read() -> Value {
    json!({ "type": "remit_tool", "tool": "orders/read" })
}

fn details(objects: &[Value]) -> AuthorizationDetails {
    AuthorizationDetails::parse(&json!(objects).to_string()).unwrap()
}

fn authority(objects: &[Value]) -> Authority {
    let tools = objects.iter().map(|o| {
        let bounds = o.get("bounds").cloned().unwrap_or(json!({}));
        (o["tool"].as_str().unwrap().to_owned(), bounds)
    });
    let tools: BTreeMap<_, _> = tools.collect();
    serde_json::from_value(json!({ "tools": tools })).unwrap()
}

impl World {
    /// Workflow `answer` may also refund up to 500, and its sub-agent's `search` up to 300.
    async fn with_refunds() -> Self {
        let world = Self::new().await;
        for (actor, workflow, max) in [
            (&world.triage, "answer", 500),
            (&world.searcher, "search", 300),
        ] {
            let id = world.books.id(remit_domain::GrantId::from_uuid);
            let grant = json!({ "id": id, "tool": "orders/refund", "bounds": refund(max)["bounds"], "expires": null,
                "granted_by": world.owner, "granted_at": world.books.now() });
            let key = actor.workflows[workflow].to_string();
            world
                .change::<Workflow>(&key, |w| {
                    w.grants.push(serde_json::from_value(grant).unwrap());
                })
                .await;
        }
        world
    }

    async fn asking(&self, scope: &str, objects: &[Value]) -> Result<TokenResponse, OAuthError> {
        let request = TokenRequest::ClientCredentials(ClientCredentials {
            client: auth(self.assertion(&self.triage)),
            authorization_details: details(objects),
            scope: Scope::parse(scope).unwrap(),
            resource: Vec::new(),
        });
        self.issuer.token(&self.acme, &request).await
    }

    /// An exchange of a token of `actor`, for less.
    async fn narrowing(
        &self,
        actor: &Actor,
        (kind, subject): (TokenType, &str),
        audience: Option<&Actor>,
        objects: &[Value],
    ) -> Result<TokenResponse, OAuthError> {
        let scope = audience.map_or("", |_| "workflow:search");
        let TokenRequest::TokenExchange(mut request) =
            exchange(self.assertion(actor), subject, kind, scope)
        else {
            panic!("an exchange");
        };
        request.audience = audience.iter().map(|a| a.id.to_string()).collect();
        if !objects.is_empty() {
            request.authorization_details = details(objects);
        }
        let request = TokenRequest::TokenExchange(request);
        self.issuer.token(&self.acme, &request).await
    }

    async fn run_of(&self, response: &TokenResponse) -> Arc<Run> {
        let verified = self.verify(&secret(response)).await.unwrap();
        let book = self.books.org(&self.acme).unwrap();
        let registry = book.registry();
        assert_eq!(
            verified.claims.authorization_details,
            response.authorization_details
        );
        Arc::clone(&registry.runs[&verified.run])
    }
}

#[tokio::test]
async fn what_is_asked_for_is_granted_said_and_bounds_the_run() {
    let world = World::with_refunds().await;
    let asked = [refund(50)];
    let response = world.asking("workflow:answer", &asked).await.unwrap();
    assert_eq!(response.authorization_details, details(&asked));
    let run = world.run_of(&response).await;
    assert_eq!(run.intent.authority, authority(&asked));
    let auth: ClientAuth = auth(world.assertion(&world.triage));
    let told = world
        .issuer
        .introspect(&world.acme, Asker::Client(&auth), &secret(&response))
        .await
        .unwrap();
    let told = serde_json::to_value(&told).unwrap();
    assert_eq!(told["authorization_details"], json!(asked));
    // The same request goes on in that run; another has its own; one without details is not narrowed by those before.
    let again = world.asking("workflow:answer", &asked).await.unwrap();
    assert_eq!(world.run_of(&again).await.id, run.id);
    let other = world.asking("workflow:answer", &[refund(51), read()]).await;
    let other = other.unwrap();
    assert_ne!(world.run_of(&other).await.id, run.id);
    let free = world
        .credentials(&world.triage, "workflow:answer")
        .await
        .unwrap();
    assert!(free.authorization_details.is_empty());
    assert_eq!(
        world.run_of(&free).await.intent.authority,
        Authority::default()
    );
    // Bounds that nobody asked for stay as they are granted, and are told.
    let unbound = json!({ "type": "remit_tool", "tool": "orders/refund" });
    let whole = world.asking("workflow:answer", &[unbound]).await.unwrap();
    assert_eq!(whole.authorization_details, details(&[refund(500)]));
}

#[tokio::test]
async fn what_is_more_than_granted_or_not_understood_is_refused_by_its_own_reason() {
    let world = World::with_refunds().await;
    let twice = [refund(50), refund(40)];
    let field = json!({ "type": "remit_tool", "tool": "orders/read", "locations": ["x"] });
    let kind = json!({ "type": "remit_tool", "tool": "orders/refund", "bounds": { "amount": [{ "at_most": 5 }] } });
    let freer = json!({ "type": "remit_tool", "tool": "orders/refund",
        "bounds": { "amount": [{ "one_of": [20, 600] }] } });
    let other = json!({ "type": "remit_tool", "tool": "orders/erase" });
    let nameless = json!({ "type": "remit_tool", "tool": "erase" });
    let foreign = json!({ "type": "payment_initiation", "tool": "orders/read" });
    for (objects, reason) in [
        (&[refund(501)][..], "wider"),
        (&[freer], "wider"),
        (&[read(), other], "wider"),
        (&[field], "details-invalid"),
        (&[kind], "details-invalid"),
        (&[nameless], "details-invalid"),
        (&[json!({ "type": "remit_tool" })], "details-invalid"),
        (&[foreign], "details-type-unknown"),
        (&twice, "details-repeated"),
    ] {
        let answer = world.asking("workflow:answer", objects).await;
        assert_refused(answer, InvalidAuthorizationDetails, "");
        assert_eq!(world.refused().await.1["code"], reason, "{objects:?}");
    }
    let book = world.books.org(&world.acme).unwrap();
    assert!(book.registry().runs.is_empty(), "nothing has begun");
}

#[tokio::test]
async fn an_exchange_only_ever_narrows() {
    let world = World::with_refunds().await;
    let wide = world
        .asking("workflow:answer", &[refund(50), read()])
        .await
        .unwrap();
    let wide_run = world.run_of(&wide).await;
    let own = (TokenType::AccessToken, secret(&wide));
    let own = (own.0, own.1.as_str());
    let narrow = world
        .narrowing(&world.triage, own, None, &[refund(20)])
        .await
        .unwrap();
    assert_eq!(narrow.authorization_details, details(&[refund(20)]));
    let run = world.run_of(&narrow).await;
    assert_eq!(
        (run.parent.as_ref(), &run.root),
        (Some(&wide_run.id), &wide_run.id)
    );
    // Each of these was permitted above, and is not any more.
    let narrow_text = secret(&narrow);
    let mine = (TokenType::AccessToken, narrow_text.as_str());
    for more in [&[refund(50)][..], &[read()], &[refund(20), read()]] {
        let answer = world.narrowing(&world.triage, mine, None, more).await;
        assert_refused(answer, InvalidAuthorizationDetails, "wider");
        assert_eq!(world.refused().await.1["code"], "wider");
    }
    // What asks for nothing stays where it is; so does what asks for the same.
    for objects in [&[][..], &[refund(20)]] {
        let same = world.narrowing(&world.triage, mine, None, objects).await;
        assert_eq!(world.run_of(&same.unwrap()).await.id, run.id);
    }
    // Naming the narrowed run in another grant widens nothing either.
    let scope = format!("workflow:answer run:{}", run.id);
    let renewed = world.credentials(&world.triage, &scope).await.unwrap();
    assert_eq!(renewed.authorization_details, details(&[refund(20)]));
    let answer = world.asking(&scope, &[refund(50)]).await;
    assert_refused(answer, InvalidAuthorizationDetails, "wider");
    // A run that is opened with the narrowed token is within it.
    let verified = world.verify(&narrow_text).await.unwrap();
    let request: RunRequest = serde_json::from_value(json!({
        "workflow": world.triage.workflows["answer"], "mode": "api", "intent": { "authority": { "effects": ["read"] } }
    }))
    .unwrap();
    let opened = world
        .issuer
        .open_run(&world.acme, Caller::Agent(&verified), request)
        .await
        .unwrap();
    let said = crate::details::said(&opened.intent.authority);
    assert_eq!(said, details(&[refund(20)]));
    // It ends with the run that it was narrowed from.
    let ending = remit_books::Ending::because(Principal::Remit, RunEnd::Person);
    world
        .books
        .end_run(&world.acme, &wide_run.id, &ending)
        .await
        .unwrap();
    let ended = world.verify(&narrow_text).await.unwrap_err();
    assert_eq!(ended.refusal.code.as_str(), "run-ended");
}

#[tokio::test]
async fn a_narrowed_run_looks_around_within_what_is_left_of_the_one_above() {
    let world = World::with_refunds().await;
    let key = world.triage.workflows["answer"].to_string();
    let little = serde_json::from_value(json!({ "secs": 100, "calls": 5 })).unwrap();
    world
        .change::<Workflow>(&key, |w| w.discovery = Some(little))
        .await;
    let tool: remit_domain::Tool = serde_json::from_value(json!({
        "tool": "orders/read", "definition": { "hash": "11", "body": {} }, "pending": null,
        "classification": { "effect": "read" }, "state": "enabled"
    }))
    .unwrap();
    put(&world.books, &world.acme, &tool).await;
    let wide = world.credentials(&world.triage, "workflow:answer").await;
    let wide = wide.unwrap();
    let wide_run = world.run_of(&wide).await;
    let mut last = wide;
    for order in ["A", "A-1"] {
        let less = json!({ "type": "remit_tool", "tool": "orders/read",
            "bounds": { "order": [{ "prefix": { "prefix": order, "separator": "-" } }] } });
        let text = secret(&last);
        let own = (TokenType::AccessToken, text.as_str());
        world.advance(10);
        last = world
            .narrowing(&world.triage, own, None, &[less])
            .await
            .unwrap();
        let run = world.run_of(&last).await;
        assert_ne!(run.id, wide_run.id);
        let book = world.books.org(&world.acme).unwrap();
        let registry = book.registry();
        let standing = registry.standing(&run.id, world.books.now()).unwrap();
        let who = remit_books::facts::Who::from(&standing);
        let facts = remit_books::facts::fixed_facts(&registry, &who, &tool.tool).unwrap();
        let boxed = facts.run.discovery.unwrap();
        assert_eq!(
            (boxed.over, boxed.until),
            (wide_run.id.clone(), wide_run.started.plus_secs(100))
        );
    }
}

#[tokio::test]
async fn narrowing_comes_to_an_end() {
    let world = World::with_refunds().await;
    let mut last = world
        .asking("workflow:answer", &[refund(100)])
        .await
        .unwrap();
    let mut refused = None;
    for max in 1..20 {
        let text = secret(&last);
        let own = (TokenType::AccessToken, text.as_str());
        match world
            .narrowing(&world.triage, own, None, &[refund(100 - max)])
            .await
        {
            Ok(response) => last = response,
            Err(error) => {
                refused = Some((max, error));
                break;
            }
        }
    }
    let (at, error) = refused.unwrap();
    assert!(
        error.error_description.starts_with("chain-too-deep"),
        "{error}"
    );
    assert!(at > 4, "{at}");
    world.verify(&secret(&last)).await.unwrap();
}

#[tokio::test]
async fn a_persons_word_is_narrowed_and_never_widened() {
    let world = World::with_refunds().await;
    let mut link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    world
        .change::<Delegation>(link.id.as_str(), |link| {
            link.authority = authority(&[refund(100)]);
        })
        .await;
    link.authority = authority(&[refund(100)]);
    let subject = world.subject(&link).await;
    for more in [&[refund(101)][..], &[read()]] {
        let answer = world
            .narrowing(&world.triage, (TokenType::Jwt, &subject), None, more)
            .await;
        assert_refused(answer, InvalidAuthorizationDetails, "wider");
    }
    let plain = world.narrowing(&world.triage, (TokenType::Jwt, &subject), None, &[]);
    let plain = plain.await.unwrap();
    assert_eq!(plain.authorization_details, details(&[refund(100)]));
    let subject = world.subject(&link).await;
    let ten = [refund(10)];
    let less = world.narrowing(&world.triage, (TokenType::Jwt, &subject), None, &ten);
    let less = less.await.unwrap();
    assert_eq!(less.authorization_details, details(&[refund(10)]));
    assert_ne!(world.run_of(&less).await.id, world.run_of(&plain).await.id);
}

#[tokio::test]
async fn a_sub_agent_gets_less_of_what_its_parent_was_narrowed_to() {
    let world = World::with_refunds().await;
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let subject = world.subject(&link).await;
    let parent = world
        .narrowing(
            &world.triage,
            (TokenType::Jwt, &subject),
            None,
            &[refund(50)],
        )
        .await
        .unwrap();
    let text = secret(&parent);
    let own = (TokenType::AccessToken, text.as_str());
    for more in [&[refund(51)][..], &[read()]] {
        let answer = world
            .narrowing(&world.triage, own, Some(&world.searcher), more)
            .await;
        assert_refused(answer, InvalidAuthorizationDetails, "wider");
        assert_eq!(world.refused().await.1["code"], "wider");
    }
    let handed = world
        .narrowing(&world.triage, own, Some(&world.searcher), &[refund(30)])
        .await
        .unwrap();
    assert_eq!(handed.authorization_details, details(&[refund(30)]));
    let handed = secret(&handed);
    let child = world
        .narrowing(&world.searcher, (TokenType::Jwt, &handed), None, &[])
        .await
        .unwrap();
    assert_eq!(child.authorization_details, details(&[refund(30)]));
    let text = secret(&child);
    let own = (TokenType::AccessToken, text.as_str());
    let answer = world
        .narrowing(&world.searcher, own, None, &[refund(31)])
        .await;
    assert_refused(answer, InvalidAuthorizationDetails, "wider");
    let less = world
        .narrowing(&world.searcher, own, None, &[refund(5)])
        .await
        .unwrap();
    assert_eq!(less.authorization_details, details(&[refund(5)]));
    assert_eq!(
        world.run_of(&less).await.parent,
        Some(world.run_of(&child).await.id.clone())
    );
    // The narrowed run has the chain of the sub-agent's own, and stands in its place nowhere.
    let link: DelegationId = world.run_of(&child).await.chain[1].clone();
    let book = world.books.org(&world.acme).unwrap();
    let link = book.registry().delegations[&link].clone();
    let found = world.issuer.run_of_link(&world.acme, &link).unwrap();
    assert_eq!(found, world.run_of(&child).await.id);
}
