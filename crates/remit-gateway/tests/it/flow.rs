//! What a run has touched follows it: into its children, through the walk, and away only by people's word.

use std::sync::Arc;

use async_trait::async_trait;
use remit_books::{Change, NewRun};
use remit_domain::discovery::Discovery;
use remit_domain::event::EventKind;
use remit_domain::run::{Intent, Mode, Provenance};
use remit_domain::{OrgId, RefusalCode, Run, RunId, Workflow};
use remit_gateway::{Authenticator, Caller, Gateway, NotLetIn, Presented};
use remit_ports::store::Lower;
use remit_testkit::{FakeSecrets, Script};
use serde_json::{Value, json};

use crate::regressions::labels_decided_on;
use crate::world::World;

/// Declares more tools, and grants them; each is the tool `note` under another name and classification.
async fn with_tools(world: &World, tools: &[(&str, Value)]) {
    let book = world.books.org(&world.org).unwrap();
    let (base, workflow) = {
        let registry = book.registry();
        let note = registry.tools[&"orders/note".parse().unwrap()].clone();
        let workflow = registry.workflows[&world.run.workflow].clone();
        (note, workflow)
    };
    let mut workflow: Workflow = workflow.as_ref().clone();
    let mut change = Change::new();
    for (name, classification) in tools {
        let mut tool = base.as_ref().clone();
        tool.tool = format!("orders/{name}").parse().unwrap();
        tool.classification = Some(serde_json::from_value(classification.clone()).unwrap());
        change = change.create(&tool);
        let mut grant = workflow.grants[0].clone();
        grant.tool = tool.tool.clone();
        grant.id = world.books.id(remit_domain::GrantId::from_uuid);
        workflow.grants.push(grant);
    }
    let found = world
        .books
        .get::<Workflow>(&world.org, workflow.id.as_str())
        .await
        .unwrap()
        .unwrap();
    let change = change.update(&workflow, found.revision);
    world.books.commit(&world.org, change).await.unwrap();
}

async fn read(world: &World, order: &str) {
    world
        .call("order_status", json!({ "order": order }))
        .await
        .unwrap();
    world.books.store().flush().await.unwrap();
}

/// From declarations alone, whatever the result holds: private data, a stranger's words and a way out are three too many.
#[tokio::test]
async fn the_three_way_combination_waits_until_people_take_a_label_back() {
    let world = World::new().await;
    with_tools(&world, &[("mail", json!({ "effect": "external" }))]).await;
    let mail = || world.call("mail", json!({ "order": "A" }));
    mail().await.unwrap();
    read(&world, "A").await;
    let refused = mail().await.unwrap_err();
    assert_eq!(refused.refusal.code, RefusalCode::ApprovalRequired);
    assert_eq!(labels_decided_on(&world).await, ["orders", "untrusted"]);

    let scopes = [
        world.run.root.to_string(),
        format!("agent:{}", world.run.agent),
    ];
    let mut stamped = Vec::new();
    for scope in scopes {
        let labels = world.books.store().labels(&world.org, &scope).await;
        stamped.push((scope, labels.unwrap().stamp()));
    }
    let change = Change::new().lower(Lower {
        scopes: stamped,
        labels: vec!["orders".to_owned()],
        agents: vec![world.run.agent.clone()],
        by: "dcl_1".to_owned(),
    });
    world.books.commit(&world.org, change).await.unwrap();
    mail().await.unwrap();
    assert_eq!(labels_decided_on(&world).await, ["untrusted"]);
    read(&world, "A").await;
    assert_eq!(
        world.code("mail", json!({ "order": "B" })).await,
        RefusalCode::ApprovalRequired,
        "what is read after that counts again"
    );
}

#[tokio::test]
async fn one_customer_at_a_time_is_acted_on() {
    let world = World::new().await;
    let read = json!({ "effect": "read", "customer": "order" });
    let act = json!({ "effect": "write", "customer": "order" });
    with_tools(&world, &[("look", read), ("credit", act)]).await;
    let on = |customer: &str| json!({ "order": customer });
    world.call("look", on("C-1")).await.unwrap();
    world.call("credit", on("C-1")).await.unwrap();
    assert_eq!(
        world.code("credit", on("C-2")).await,
        RefusalCode::ApprovalRequired
    );
    let labels = labels_decided_on(&world).await;
    assert_eq!(labels.len(), 1);
    assert!(!labels[0].contains("C-1"), "who it is stays out of it");
    world.call("look", on("C-2")).await.unwrap();
    assert_eq!(
        world.code("credit", on("C-1")).await,
        RefusalCode::ApprovalRequired
    );
}

struct Other(Caller);

#[async_trait]
impl Authenticator for Other {
    async fn authenticate(&self, _: &OrgId, _: &Presented, _: &str) -> Result<Caller, NotLetIn> {
        Ok(self.0.clone())
    }
}

/// A gateway that lets a child of the world's run in.
async fn child(world: &World) -> (Gateway, Run) {
    opened(world, Mode::Subagent, Some(world.run.id.clone())).await
}

/// A gateway that lets another run of the world's agent in.
async fn opened(world: &World, mode: Mode, parent: Option<RunId>) -> (Gateway, Run) {
    let workflow =
        world.books.org(&world.org).unwrap().registry().workflows[&world.run.workflow].clone();
    let new = NewRun {
        agent: world.run.agent.clone(),
        mode,
        trigger: None,
        intent: Intent::default(),
        person: None,
        chain: Vec::new(),
        parent,
        implicit_key: None,
        provenance: Provenance::default(),
        idle_secs_max: None,
        ends_by: None,
    };
    let run = world
        .books
        .start_run(&world.org, &workflow, new)
        .await
        .unwrap();
    let caller = Caller {
        agent: run.agent.clone(),
        workflow: run.workflow.clone(),
        run: run.id.clone(),
        person: None,
        credential: "crd_00000000000000000000000001".to_owned(),
        trust: remit_domain::attestation::Trust::Key,
    };
    let gateway = Gateway::new(
        world.books.clone(),
        Arc::new(Other(caller)),
        world.upstreams.clone(),
        Arc::new(FakeSecrets),
    );
    (gateway, run)
}

/// What the agent brings along from an earlier run binds the children of its run too, and what a child reads binds the run.
#[tokio::test]
async fn labels_flow_to_children_and_back() {
    let world = World::new().await;
    let raised = remit_ports::store::Outcome {
        org: world.org.clone(),
        decision: world.books.id(remit_domain::DecisionId::from_uuid),
        at: world.books.now(),
        entries: Vec::new(),
        raise: vec![(format!("agent:{}", world.run.agent), "secret".to_owned())],
        release: Vec::new(),
        puts: Vec::new(),
    };
    world.books.store().outcome(raised).unwrap();
    world.books.store().flush().await.unwrap();
    let (gateway, _) = child(&world).await;
    let look = world.received("order_status", json!({ "order": "A" }));
    gateway.tool_call(look).await.unwrap();
    assert_eq!(labels_decided_on(&world).await, ["secret"]);
    read(&world, "A").await;
    assert_eq!(
        labels_decided_on(&world).await,
        ["orders", "secret", "untrusted"]
    );
}

/// An attacker's way around flow rules: read in one run, end it, and send out from a fresh one. What an agent opens by itself
/// begins with what the agent has touched, for a day; only a run that a person began starts clean.
#[tokio::test]
async fn another_run_of_the_same_agent_washes_nothing_off() {
    let world = World::new().await;
    with_tools(&world, &[("mail", json!({ "effect": "external" }))]).await;
    read(&world, "A").await;
    let mail = || world.received("mail", json!({ "order": "A" }));
    for mode in [Mode::Background, Mode::Api] {
        let (gateway, _) = opened(&world, mode, None).await;
        let refused = gateway.tool_call(mail()).await.unwrap_err();
        assert_eq!(
            refused.refusal.code,
            RefusalCode::ApprovalRequired,
            "{mode:?}"
        );
        assert_eq!(labels_decided_on(&world).await, ["orders", "untrusted"]);
    }
    let (gateway, _) = opened(&world, Mode::Interactive, None).await;
    gateway.tool_call(mail()).await.unwrap();
    assert!(labels_decided_on(&world).await.is_empty());
    world
        .clock
        .advance(std::time::Duration::from_secs(24 * 3_600 + 601));
    let (gateway, _) = opened(&world, Mode::Background, None).await;
    gateway.tool_call(mail()).await.unwrap();
    assert!(labels_decided_on(&world).await.is_empty());
}

async fn looks_around(world: &World, discovery: Discovery) {
    let found = world
        .books
        .get::<Run>(&world.org, world.run.id.as_str())
        .await
        .unwrap()
        .unwrap();
    let mut run = found.noun;
    run.intent.discovery = Some(discovery);
    let change = Change::new().update(&run, found.revision);
    world.books.commit(&world.org, change).await.unwrap();
}

#[tokio::test]
async fn a_run_that_looks_around_sees_metadata_for_a_while_and_nothing_else() {
    let world = World::new().await;
    let tables = json!({ "effect": "read", "metadata": true });
    with_tools(&world, &[("tables", tables)]).await;
    let within = Discovery {
        secs: 60,
        calls: 2,
        tokens: 50_000,
    };
    looks_around(&world, within).await;
    let on = || json!({ "order": "A" });
    for other in ["order_status", "note", "refund"] {
        assert_eq!(
            world.code(other, on()).await,
            RefusalCode::Denied,
            "{other}"
        );
    }
    world.call("tables", on()).await.unwrap();
    let (below, _) = child(&world).await;
    let looked = below.tool_call(world.received("note", on())).await;
    assert_eq!(
        looked.unwrap_err().refusal.code,
        RefusalCode::Denied,
        "nor does a sub-agent"
    );
    below
        .tool_call(world.received("tables", on()))
        .await
        .unwrap();
    assert_eq!(
        world.code("tables", on()).await,
        RefusalCode::LimitExceeded,
        "both were counted together"
    );
    let outcomes = world.recorded(EventKind::CallDecided, "outcome").await;
    assert_eq!(
        outcomes.last().map(String::as_str),
        Some("deny"),
        "and recorded"
    );
}

#[tokio::test]
async fn looking_around_ends_in_time_and_brings_little_back() {
    let world = World::new().await;
    let tables = json!({ "effect": "read", "metadata": true });
    with_tools(&world, &[("tables", tables)]).await;
    let within = Discovery {
        secs: 60,
        calls: 100,
        tokens: 50,
    };
    looks_around(&world, within).await;
    let on = || json!({ "order": "A" });
    let much = json!({ "content": [{ "type": "text", "text": "x".repeat(1_000) }] });
    world.upstreams.script(Script::Answer(much));
    assert_eq!(
        world.code("tables", on()).await,
        RefusalCode::LimitExceeded,
        "more than it may bring is withheld"
    );
    world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(world.code("tables", on()).await, RefusalCode::Denied);
}

/// What cannot be looked into is withheld where the organization says that the class is regulated, and only there.
#[tokio::test]
async fn an_organization_regulates_classes_of_its_own() {
    let world = World::new().await;
    let picture =
        json!({ "content": [{ "type": "image", "mimeType": "image/png", "data": "AAAA" }] });
    let look = async || {
        world.upstreams.script(Script::Answer(picture.clone()));
        world.call("order_status", json!({ "order": "A" })).await
    };
    look().await.unwrap();
    let found = world
        .books
        .get::<remit_domain::Organization>(&world.org, world.org.as_str())
        .await
        .unwrap()
        .unwrap();
    let mut organization = found.noun;
    organization.regulated = ["orders".parse().unwrap()].into();
    let change = Change::new().update(&organization, found.revision);
    world.books.commit(&world.org, change).await.unwrap();
    let refused = look().await.unwrap_err();
    assert!(
        refused.refusal.to_string().contains("WITHHELD"),
        "{}",
        refused.refusal
    );
}
