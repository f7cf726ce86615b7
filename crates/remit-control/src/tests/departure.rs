//! A person leaves: nothing goes on in their name.

use remit_books::{Change, NewRun};
use remit_domain::agent::AgentState;
use remit_domain::authority::Authority;
use remit_domain::delegation::{Delegation, DelegationState, DelegationUse};
use remit_domain::event::EventKind;
use remit_domain::finding::FindingKind;
use remit_domain::run::{Intent, Mode, Provenance, Run, RunEnd, RunState};
use remit_domain::{DelegationId, Principal, RefusalCode, RunId, Separation};

use super::house::{House, code, email, name};
use crate::Transfer;

/// Lets a run of the agent start in a person's name.
async fn run_for(house: &House, local: &str, kind: DelegationUse) -> RunId {
    let books = house.control.books();
    let person = house.as_(local).person.unwrap().id.clone();
    let workflow = {
        let book = books.org(&house.org).unwrap();
        let registry = book.registry();
        registry
            .workflow_named(&house.agent_id(), "refund")
            .unwrap()
            .clone()
    };
    let delegation = Delegation {
        id: books.id(DelegationId::from_uuid),
        person: person.clone(),
        from: Principal::Person(person.clone()),
        to: house.agent_id(),
        workflow: workflow.id.clone(),
        kind,
        authority: Authority::default(),
        ticket: None,
        depth_left: 1,
        parent: None,
        run: None,
        token: None,
        federated: None,
        created: books.now(),
        expires: books.now().plus_secs(3_600),
        state: DelegationState::Active,
    };
    books
        .commit(&house.org, Change::new().create(&delegation))
        .await
        .unwrap();
    let new = NewRun {
        agent: house.agent_id(),
        mode: Mode::Api,
        trigger: None,
        intent: Intent::default(),
        person: Some(person),
        chain: vec![delegation.id],
        parent: None,
        implicit_key: None,
        provenance: Provenance::default(),
        idle_secs_max: None,
        ends_by: None,
    };
    books
        .start_run(&house.org, &workflow, new)
        .await
        .unwrap()
        .id
}

async fn end_of(house: &House, run: &RunId) -> Option<RunEnd> {
    match house
        .control
        .books()
        .get::<Run>(&house.org, run.as_str())
        .await
        .unwrap()
        .unwrap()
        .noun
        .state
    {
        RunState::Ended { cause, .. } => Some(cause),
        _ => None,
    }
}

#[tokio::test]
async fn an_agent_goes_to_the_deputy_and_what_ran_for_the_departed_ends() {
    let house = House::active().await;
    let transfer = Transfer {
        deputy: Some(email("deputy")),
        ..Transfer::default()
    };
    house
        .control
        .transfer_agent(&house.admin(), &name("returns-bot"), transfer)
        .await
        .unwrap();
    let theirs = run_for(&house, "sponsor", DelegationUse::Standing).await;
    let others = run_for(&house, "owner", DelegationUse::Interactive).await;
    let before = house.epoch();
    let departure = house
        .control
        .leave(&house.admin(), &email("sponsor"))
        .await
        .unwrap();
    assert_eq!(departure.transferred, [name("returns-bot")]);
    assert!(departure.suspended.is_empty());
    assert_eq!(
        (departure.runs.as_slice(), departure.delegations.len()),
        (std::slice::from_ref(&theirs), 1)
    );
    assert_eq!(end_of(&house, &theirs).await, Some(RunEnd::SponsorLeft));
    assert_eq!(end_of(&house, &others).await, None);
    assert!(house.epoch() > before);
    let agent = house
        .control
        .agent(&house.admin(), &name("returns-bot"))
        .unwrap();
    let spec = agent.spec.unwrap();
    assert_eq!(
        (agent.state, spec.sponsor, spec.deputy),
        (AgentState::Active, email("deputy"), None)
    );
    assert_eq!(house.entries(EventKind::AgentTransferred).await, 2);
    assert_eq!(house.entries(EventKind::PersonLeft).await, 1);
    assert_eq!(
        house
            .control
            .person(&house.admin(), &email("sponsor"))
            .unwrap()
            .state,
        "left"
    );
}

#[tokio::test]
async fn an_agent_without_a_deputy_is_suspended_and_everything_it_runs_ends() {
    let house = House::active().await;
    let others = run_for(&house, "deputy", DelegationUse::Interactive).await;
    let departure = house
        .control
        .leave(&house.admin(), &email("owner"))
        .await
        .unwrap();
    assert_eq!(departure.suspended, [name("returns-bot")]);
    assert_eq!(end_of(&house, &others).await, Some(RunEnd::SponsorLeft));
    let agent = house
        .control
        .agent(&house.admin(), &name("returns-bot"))
        .unwrap();
    assert_eq!(agent.state, AgentState::Suspended);
    assert_eq!(
        house.open_findings().await,
        [(FindingKind::Orphan, house.agent_id().to_string())]
    );
    // It comes back only with somebody who is here.
    let bot = name("returns-bot");
    let refused = house
        .control
        .resume_agent(&house.as_("sponsor"), &bot, "go on")
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("owner:"), "{refused}");
    let transfer = Transfer {
        owner: Some(email("owner")),
        ..Transfer::default()
    };
    assert_eq!(
        code(
            house
                .control
                .transfer_agent(&house.admin(), &bot, transfer)
                .await
        ),
        RefusalCode::InvalidRequest
    );
    let transfer = Transfer {
        owner: Some(email("deputy")),
        ..Transfer::default()
    };
    house
        .control
        .transfer_agent(&house.admin(), &bot, transfer)
        .await
        .unwrap();
    house
        .control
        .resume_agent(&house.as_("sponsor"), &bot, "go on")
        .await
        .unwrap();
    assert!(house.open_findings().await.is_empty());
}

#[tokio::test]
async fn a_deputy_who_left_takes_nothing_over() {
    let house = House::active().await;
    let bot = name("returns-bot");
    let transfer = Transfer {
        deputy: Some(email("deputy")),
        ..Transfer::default()
    };
    house
        .control
        .transfer_agent(&house.admin(), &bot, transfer)
        .await
        .unwrap();
    house
        .control
        .leave(&house.admin(), &email("deputy"))
        .await
        .unwrap();
    assert_eq!(
        house
            .control
            .agent(&house.admin(), &bot)
            .unwrap()
            .spec
            .unwrap()
            .deputy,
        None
    );
    let departure = house
        .control
        .leave(&house.admin(), &email("sponsor"))
        .await
        .unwrap();
    assert_eq!(departure.suspended, [bot]);
}

#[tokio::test]
async fn a_new_sponsor_ends_what_the_former_let_start() {
    let house = House::active().await;
    let started = run_for(&house, "sponsor", DelegationUse::Standing).await;
    let transfer = Transfer {
        sponsor: Some(email("deputy")),
        ..Transfer::default()
    };
    house
        .control
        .transfer_agent(&house.admin(), &name("returns-bot"), transfer)
        .await
        .unwrap();
    assert_eq!(
        end_of(&house, &started).await,
        Some(RunEnd::DelegationEnded)
    );
}

#[tokio::test]
async fn retiring_ends_runs_and_delegations() {
    let house = House::active().await;
    let run = run_for(&house, "deputy", DelegationUse::Interactive).await;
    house
        .control
        .retire_agent(&house.admin(), &name("returns-bot"), "done")
        .await
        .unwrap();
    assert!(end_of(&house, &run).await.is_some());
    let book = house.control.books().org(&house.org).unwrap();
    assert!(book.registry().delegations.is_empty() && book.registry().runs.is_empty());
}

#[tokio::test]
async fn nobody_leaves_twice_comes_back_or_leaves_the_house_without_an_administrator() {
    let house = House::new(Separation::Dual).await;
    assert_eq!(
        code(
            house
                .control
                .leave(&house.as_("owner"), &email("deputy"))
                .await
        ),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(house.control.leave(&house.admin(), &email("admin")).await),
        RefusalCode::Conflict
    );
    house
        .control
        .leave(&house.admin(), &email("deputy"))
        .await
        .unwrap();
    assert_eq!(
        code(house.control.leave(&house.admin(), &email("deputy")).await),
        RefusalCode::Conflict
    );
    let back = house
        .control
        .person(&house.admin(), &email("deputy"))
        .unwrap()
        .spec;
    assert_eq!(
        code(
            house
                .control
                .put_person(&house.admin(), &email("deputy"), back, None)
                .await
        ),
        RefusalCode::Conflict
    );
    let stale = house.as_("deputy");
    assert_eq!(code(stale.person()), RefusalCode::Forbidden);
}

#[tokio::test]
async fn nobody_gives_themselves_a_role() {
    use remit_domain::Role;
    let house = House::new(Separation::Dual).await;
    let mut me = house
        .control
        .person(&house.admin(), &email("admin"))
        .unwrap()
        .spec;
    me.roles.insert(Role::Approver);
    assert_eq!(
        code(
            house
                .control
                .put_person(&house.admin(), &email("admin"), me.clone(), None)
                .await
        ),
        RefusalCode::Forbidden
    );
    me.roles.clear();
    assert_eq!(
        code(
            house
                .control
                .put_person(&house.admin(), &email("admin"), me, None)
                .await
        ),
        RefusalCode::Conflict
    );
    let mut owner = house
        .control
        .person(&house.admin(), &email("owner"))
        .unwrap()
        .spec;
    owner.manager = Some(email("owner"));
    assert_eq!(
        code(
            house
                .control
                .put_person(&house.admin(), &email("owner"), owner.clone(), None)
                .await
        ),
        RefusalCode::InvalidRequest
    );
    owner.manager = None;
    owner.roles.clear();
    let before = house.epoch();
    house
        .control
        .put_person(&house.admin(), &email("owner"), owner, None)
        .await
        .unwrap();
    assert!(house.epoch() > before, "what is taken away counts at once");
}
