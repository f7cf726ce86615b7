//! What is contained sends nothing more, and what was in flight is cancelled.

use remit_books::{Change, Ending};
use remit_domain::containment::{Containment, Level, Target};
use remit_domain::event::EventKind;
use remit_domain::run::RunEnd;
use remit_domain::{ContainmentId, Principal, RefusalCode};
use remit_gateway::Endpoint;
use remit_mcp::Sha256Digest;
use remit_testkit::Script;
use serde_json::json;

use crate::lists::names;
use crate::world::World;

pub(crate) async fn contain(world: &World, target: Target) {
    let containment = Containment {
        id: world.books.id(ContainmentId::from_uuid),
        target,
        level: Level::Quarantine,
        reason: "it goes wrong".to_owned(),
        by: Principal::Remit,
        at: world.books.now(),
        confirmation: Default::default(),
        lifted: None,
        certificates: Vec::new(),
    };
    world
        .books
        .commit(&world.org, Change::new().create(&containment).restrict())
        .await
        .unwrap();
}

/// Everything that holds a call of `order_status`.
const TARGETS: [fn(&World) -> Target; 11] = [
    |w| Target::Agent(w.run.agent.clone()),
    |w| Target::Workflow(w.run.workflow.clone()),
    |w| Target::Run(w.run.id.clone()),
    |w| Target::Chain(w.run.root.clone()),
    |_| Target::Credential(format!("crd_{}B", "0".repeat(25))),
    |_| Target::Upstream("orders".parse().unwrap()),
    |_| Target::Tool("orders/order_status".parse().unwrap()),
    |_| Target::Definition(Sha256Digest::of(b"order_status").to_string()),
    |_| Target::Model("m".to_owned()),
    |w| Target::Organization(w.org.clone()),
    |_| Target::Everything,
];

#[tokio::test]
async fn every_target_stops_the_next_call() {
    for target in TARGETS {
        let world = World::new().await;
        assert!(
            world
                .call("order_status", json!({ "order": "A" }))
                .await
                .is_ok()
        );
        let target = target(&world);
        contain(&world, target.clone()).await;
        assert_eq!(
            world.code("order_status", json!({ "order": "A" })).await,
            RefusalCode::Contained,
            "{target}"
        );
        assert_eq!(world.upstreams.reached().len(), 1, "{target}");
        assert_eq!(
            world.recorded(EventKind::CallRefused, "code").await,
            ["contained"],
            "{target}"
        );
    }
}

#[tokio::test]
async fn another_tool_goes_on_while_one_is_contained() {
    for target in [
        Target::Tool("orders/order_status".parse().unwrap()),
        Target::Definition(Sha256Digest::of(b"order_status").to_string()),
    ] {
        let world = World::new().await;
        contain(&world, target).await;
        assert!(world.call("note", json!({ "order": "A" })).await.is_ok());
    }
}

#[tokio::test]
async fn a_call_in_flight_is_cancelled_when_anything_it_rests_on_is_contained() {
    for target in TARGETS {
        let world = World::new().await;
        let target = target(&world);
        world.upstreams.script(Script::Hang);
        let call = world.call("order_status", json!({ "order": "A" }));
        let stop = async {
            world.upstreams.arrived().await;
            contain(&world, target.clone()).await;
        };
        let (answer, ()) = tokio::join!(call, stop);
        assert_eq!(
            answer.unwrap_err().refusal.code,
            RefusalCode::Cancelled,
            "{target}"
        );
        assert_eq!(
            world.recorded(EventKind::CallCompleted, "status").await,
            ["cancelled"]
        );
    }
}

#[tokio::test]
async fn a_call_in_flight_goes_on_when_something_else_is_contained() {
    let world = World::new().await;
    let call = world.call("order_status", json!({ "order": "A" }));
    let stop = async {
        contain(&world, Target::Tool("orders/refund".parse().unwrap())).await;
        contain(&world, Target::Model("another".to_owned())).await;
    };
    let (answer, ()) = tokio::join!(call, stop);
    assert!(answer.is_ok());
}

#[tokio::test]
async fn a_tool_that_is_contained_is_not_listed() {
    let world = World::new().await;
    let listed = async |world: &World| {
        let endpoint = Endpoint::One("orders".parse().unwrap());
        let names = names(world, endpoint).await;
        names.contains(&"order_status".to_owned())
    };
    assert!(listed(&world).await);
    let tool = Target::Tool("orders/order_status".parse().unwrap());
    contain(&world, tool).await;
    assert!(!listed(&world).await);
}

#[tokio::test]
async fn a_call_after_the_end_of_its_run_is_refused_and_a_finding() {
    let world = World::new().await;
    let ending = Ending::because(Principal::Agent(world.run.agent.clone()), RunEnd::Agent);
    world
        .books
        .end_run(&world.org, &world.run.id, &ending)
        .await
        .unwrap();
    for _ in 0..3 {
        assert_eq!(
            world.code("order_status", json!({ "order": "A" })).await,
            RefusalCode::RunEnded
        );
    }
    assert_eq!(
        world.recorded(EventKind::FindingOpened, "finding").await,
        ["call_after_run_end"]
    );
    assert_eq!(
        world.recorded(EventKind::CallRefused, "code").await.len(),
        3
    );
}
