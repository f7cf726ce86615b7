//! Every target of a containment, at every door of the issuer at once.

use super::*;

/// What falls under a containment of `target`: the run of an agent for a person with its token and SVID.
async fn acting() -> (World, String, Arc<Verified>) {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 1).await;
    let verified = world.verify(&token).await.unwrap();
    (world, token, verified)
}

/// Targets, and whether the agent by itself is held as well as what it does for the person.
fn targets(world: &World, verified: &Verified) -> Vec<(Value, bool)> {
    let agent = json!({ "type": "agent", "id": world.triage.id });
    let workflow = json!({ "type": "workflow", "id": world.triage.workflows["answer"] });
    vec![
        (agent, true),
        (workflow, true),
        (json!({ "type": "run", "id": verified.run }), false),
        (json!({ "type": "chain", "id": verified.run }), false),
        (json!({ "type": "person", "id": world.maria }), false),
        (json!({ "type": "credential", "id": verified.token }), false),
        (
            json!({ "type": "credential", "id": world.triage.thumbprint }),
            true,
        ),
        (json!({ "type": "model", "id": "claude" }), true),
        (json!({ "type": "organization", "id": world.acme }), true),
        (json!({ "type": "everything" }), true),
    ]
}

#[tokio::test]
async fn every_target_stops_tokens_issue_exchange_and_svids_at_once() {
    let count = {
        let (world, _, verified) = acting().await;
        targets(&world, &verified).len()
    };
    for n in 0..count {
        let (world, token, verified) = acting().await;
        let (target, whole) = targets(&world, &verified).swap_remove(n);
        let link = world
            .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
            .await;
        let subject = world.subject(&link).await;
        let own = world.token(&world.triage, "workflow:answer").await;
        world
            .change::<Agent>(world.triage.id.as_str(), |a| {
                a.profile.model = "claude".into()
            })
            .await;
        let audience = ["https://elsewhere.example".to_owned()];
        let svid = world.issuer.jwt_svid(&verified, &audience, None).await;
        assert!(svid.is_ok(), "{target}");

        world.contain(target.clone()).await;
        let refused = world.verify(&token).await.unwrap_err();
        assert_eq!(refused.refusal.code.as_str(), "contained", "{target}");
        let svid = world.issuer.jwt_svid(&verified, &audience, None).await;
        assert_eq!(svid.unwrap_err().code.as_str(), "contained", "{target}");
        let run = format!("workflow:answer run:{}", verified.run);
        let again = world.credentials(&world.triage, &run).await;
        // One token is contained by itself; another of the same run may be had.
        let one = target["id"] == json!(verified.token);
        assert_eq!(again.is_err(), !one, "{target}: a token of the run");
        let exchanged = world.exchange(&world.triage, &subject, "").await;
        let person = target["type"] == "person";
        assert_eq!(exchanged.is_err(), whole || person, "{target}: exchange");
        assert_eq!(
            world.verify(&own).await.is_err(),
            whole,
            "{target}: its own token"
        );
        let fresh = world.credentials(&world.triage, "workflow:answer").await;
        assert_eq!(fresh.is_err(), whole, "{target}: a new token");
        // Nobody else is touched, but by what holds all.
        let all = ["organization", "everything"].contains(&target["type"].as_str().unwrap());
        let other = world.credentials(&world.indexer, "workflow:index").await;
        assert_eq!(other.is_err(), all, "{target}: somebody else");
    }
}

#[tokio::test]
async fn tools_that_are_contained_leave_the_agents_alone() {
    for target in [
        json!({ "type": "upstream", "id": "orders" }),
        json!({ "type": "tool", "id": "orders/read" }),
        json!({ "type": "definition", "id": "ab" }),
    ] {
        let (world, token, _) = acting().await;
        world.contain(target.clone()).await;
        assert!(world.verify(&token).await.is_ok(), "{target}");
        let fresh = world.credentials(&world.triage, "workflow:answer").await;
        assert!(fresh.is_ok(), "{target}");
    }
}

#[tokio::test]
async fn a_person_whose_delegations_are_contained_gives_no_word_for_anybody() {
    let world = World::new().await;
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    world
        .contain(json!({ "type": "person", "id": world.maria }))
        .await;
    let made = world.issuer.assertion(&world.acme, &link.id, &link.person);
    assert_eq!(made.await.unwrap_err().code.as_str(), "contained");
}
