//! Runs, and who may open and end them.

use super::*;
use crate::{Caller, RunEndRequest, RunRequest};
use remit_domain::run::{Mode, RunOutcome, RunState};
use remit_domain::{Refusal, Run};

fn request(world: &World, mode: Mode) -> RunRequest {
    RunRequest {
        workflow: world.triage.workflows["answer"].clone(),
        mode,
        intent: Default::default(),
        trigger: None,
        delegation: None,
        subject_token: None,
        provenance: Default::default(),
    }
}

fn ending(outcome: RunOutcome) -> RunEndRequest {
    RunEndRequest {
        outcome,
        measures: BTreeMap::new(),
    }
}

fn code(answer: Result<Run, Refusal>) -> &'static str {
    answer.map(|_| ()).unwrap_err().code.as_str()
}

#[tokio::test]
async fn an_agent_opens_a_run_and_gets_tokens_for_it() {
    let world = World::new().await;
    let token = world
        .verify(&world.token(&world.triage, "workflow:answer").await)
        .await
        .unwrap();
    let mut asked = request(&world, Mode::Api);
    asked.intent.ticket = Some("T-1".to_owned());
    let run = world
        .issuer
        .open_run(&world.acme, Caller::Agent(&token), asked)
        .await
        .unwrap();
    assert_eq!((&run.person, run.chain.len()), (&None, 0));
    let in_run = world
        .token(&world.triage, &format!("workflow:answer run:{}", run.id))
        .await;
    assert_eq!(world.verify(&in_run).await.unwrap().run, run.id);
    // Not for another workflow, nor by another agent.
    let other = world
        .credentials(&world.triage, &format!("workflow:refund run:{}", run.id))
        .await;
    assert_refused(other, OAuthErrorCode::InvalidScope, "run-unknown");
    let stranger = world
        .credentials(&world.searcher, &format!("run:{}", run.id))
        .await;
    assert_refused(stranger, OAuthErrorCode::InvalidScope, "run-unknown");
    let mut asked = request(&world, Mode::Api);
    asked.workflow = world.triage.workflows["refund"].clone();
    assert_eq!(
        code(
            world
                .issuer
                .open_run(&world.acme, Caller::Agent(&token), asked)
                .await
        ),
        "workflow-unknown"
    );
}

async fn nightly(world: &World, trigger: Option<&str>) -> Result<Run, Refusal> {
    let token = world
        .verify(&world.token(&world.triage, "workflow:answer").await)
        .await
        .unwrap();
    let mut asked = request(world, Mode::Background);
    asked.trigger = trigger.map(str::to_owned);
    world
        .issuer
        .open_run(&world.acme, Caller::Agent(&token), asked)
        .await
}

#[tokio::test]
async fn a_background_run_needs_the_sponsors_standing_delegation() {
    use DelegationUse::{Interactive, Standing};
    let world = World::new().await;
    assert_eq!(
        code(nightly(&world, Some("cron")).await),
        "no-accountable-person"
    );
    // Another person's standing delegation, the sponsor's interactive one, or one for another workflow is not enough.
    world.delegate(&world.triage, "answer", Standing, 0).await;
    world
        .delegate_by(&world.sponsor, &world.triage, "answer", Interactive, 0)
        .await;
    world
        .delegate_by(&world.sponsor, &world.triage, "refund", Standing, 0)
        .await;
    assert_eq!(
        code(nightly(&world, Some("cron")).await),
        "no-accountable-person"
    );
    assert_eq!(world.refused().await.1["code"], "no-accountable-person");
}

#[tokio::test]
async fn a_background_run_names_its_trigger_and_ends_with_its_delegation() {
    let world = World::new().await;
    let standing = DelegationUse::Standing;
    let link = world
        .delegate_by(&world.sponsor, &world.triage, "answer", standing, 0)
        .await;
    assert_eq!(code(nightly(&world, None).await), "invalid-request");
    assert_eq!(code(nightly(&world, Some(" ")).await), "invalid-request");
    let run = nightly(&world, Some("cron")).await.unwrap();
    assert_eq!(run.person, Some(world.sponsor.clone()));
    assert_eq!(run.chain, [link.id]);
    assert_eq!(run.trigger.as_deref(), Some("cron"));
    assert!(run.deadline <= link.expires);
    world.advance(3_600);
    assert_eq!(
        code(nightly(&world, Some("cron")).await),
        "no-accountable-person"
    );
}

#[tokio::test]
async fn an_interactive_run_needs_the_persons_own_word() {
    let world = World::new().await;
    let token = world
        .verify(&world.token(&world.triage, "workflow:answer").await)
        .await
        .unwrap();
    let (agent, maria) = (Caller::Agent(&token), world.sign_in(&world.maria).await);
    let owner = world.sign_in(&world.owner).await;
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 1)
        .await;
    let open = async |caller: Caller<'_>, delegation: bool, subject: Option<&str>| {
        let mut asked = request(&world, Mode::Interactive);
        asked.delegation = delegation.then(|| link.id.clone());
        asked.subject_token = subject.map(SecretString::from);
        world.issuer.open_run(&world.acme, caller, asked).await
    };
    assert_eq!(code(open(agent, false, None).await), "invalid-request");
    assert_eq!(
        code(open(agent, true, None).await),
        "invalid-request",
        "an id is not the person's word"
    );
    assert_eq!(
        code(open(Caller::Person(&owner), true, None).await),
        "chain-broken"
    );
    let opened = open(Caller::Person(&maria), true, None).await.unwrap();
    assert_eq!(opened.person, Some(world.maria.clone()));
    let subject = world.subject(&link).await;
    assert!(open(agent, false, Some(&subject)).await.is_ok());
    assert_eq!(
        code(open(agent, false, Some(&subject)).await),
        "unauthenticated"
    );
    // Spent there, spent at the token endpoint.
    assert!(world.exchange(&world.triage, &subject, "").await.is_err());
    assert_eq!(
        code(
            world
                .issuer
                .open_run(&world.acme, agent, request(&world, Mode::Subagent))
                .await
        ),
        "invalid-request"
    );
    let by_person = world
        .issuer
        .open_run(
            &world.acme,
            Caller::Person(&maria),
            request(&world, Mode::Api),
        )
        .await;
    assert_eq!(code(by_person), "invalid-request");
}

#[tokio::test]
async fn a_run_is_ended_by_its_agent_and_by_those_who_answer_for_it() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 1).await;
    let verified = world.verify(&token).await.unwrap();
    let other = world
        .verify(&world.token(&world.searcher, "").await)
        .await
        .unwrap();
    let end = async |caller: Caller<'_>, request| {
        world
            .issuer
            .end_run(&world.acme, caller, &verified.run, request)
            .await
    };
    assert_eq!(
        code(end(Caller::Agent(&other), ending(RunOutcome::Done)).await),
        "run-unknown"
    );
    assert_eq!(
        code(end(Caller::Agent(&verified), ending(RunOutcome::Corrected)).await),
        "forbidden"
    );
    let stranger = person(&world.books, &world.acme, "eve@acme.example", &[]).await;
    let stranger = world.sign_in(&stranger).await;
    assert_eq!(
        code(end(Caller::Person(&stranger), ending(RunOutcome::Done)).await),
        "forbidden"
    );
    let maria = world.sign_in(&world.maria).await;
    let ended = end(Caller::Person(&maria), ending(RunOutcome::Corrected))
        .await
        .unwrap();
    assert!(matches!(
        ended.state,
        RunState::Ended {
            outcome: Some(RunOutcome::Corrected),
            ..
        }
    ));
    // What has ended stays as it ended.
    let again = end(Caller::Agent(&verified), ending(RunOutcome::Failed))
        .await
        .unwrap();
    assert_eq!(again, ended);
    assert_eq!(
        world
            .verify(&token)
            .await
            .unwrap_err()
            .refusal
            .code
            .as_str(),
        "run-ended"
    );
}

#[tokio::test]
async fn measures_are_few_and_small() {
    let world = World::new().await;
    let verified = world
        .verify(&world.token(&world.indexer, "").await)
        .await
        .unwrap();
    let end = async |measures: Value| {
        let measures = serde_json::from_value(measures).unwrap();
        let request = RunEndRequest {
            outcome: RunOutcome::Done,
            measures,
        };
        world
            .issuer
            .end_run(
                &world.acme,
                Caller::Agent(&verified),
                &verified.run,
                request,
            )
            .await
    };
    let many: BTreeMap<String, u32> = (0..33).map(|n| (n.to_string(), n)).collect();
    for measures in [
        json!({ "a": [1] }),
        json!({ "a": "x".repeat(300) }),
        json!({ "x".repeat(65): 1 }),
        json!(many),
    ] {
        assert!(end(measures).await.is_err());
    }
    assert!(
        end(json!({ "rows": 3, "ok": true, "note": "fine" }))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_suspended_run_is_not_replaced_by_another_implicit_one() {
    let world = World::new().await;
    let run = world
        .verify(&world.token(&world.indexer, "").await)
        .await
        .unwrap()
        .run
        .clone();
    world
        .change::<Run>(run.as_str(), |run| run.state = RunState::Suspended)
        .await;
    let again = world.credentials(&world.indexer, "").await;
    assert_refused(again, OAuthErrorCode::UnauthorizedClient, "contained");
}

#[tokio::test]
async fn what_a_caller_says_has_limits() {
    let world = World::new().await;
    let token = world
        .verify(&world.token(&world.triage, "workflow:answer").await)
        .await
        .unwrap();
    let mut long = request(&world, Mode::Api);
    long.intent.purpose = "x".repeat(2_001);
    assert_eq!(
        code(
            world
                .issuer
                .open_run(&world.acme, Caller::Agent(&token), long)
                .await
        ),
        "too-large"
    );
    let mut odd = request(&world, Mode::Api);
    odd.intent.ticket = Some("T-1\u{1b}[2J".to_owned());
    assert_eq!(
        code(
            world
                .issuer
                .open_run(&world.acme, Caller::Agent(&token), odd)
                .await
        ),
        "invalid-request"
    );
    let mut many = request(&world, Mode::Api);
    many.provenance.context = vec![String::new(); 300];
    assert_eq!(
        code(
            world
                .issuer
                .open_run(&world.acme, Caller::Agent(&token), many)
                .await
        ),
        "too-large"
    );
}

#[tokio::test]
async fn what_is_contained_while_a_run_opens_has_no_run() {
    let world = World::new().await;
    let token = world
        .verify(&world.token(&world.triage, "workflow:answer").await)
        .await
        .unwrap();
    world.contain_meanwhile(json!({ "type": "agent", "id": world.triage.id }));
    let opened = world
        .issuer
        .open_run(
            &world.acme,
            Caller::Agent(&token),
            request(&world, Mode::Api),
        )
        .await;
    assert_eq!(code(opened), "contained");
    let (_, facts) = world.entries(EventKind::RunEnded).await;
    assert_eq!(facts["cause"], "contained");
}
