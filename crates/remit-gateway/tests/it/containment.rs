//! What is contained sends nothing more, and what was in flight is cancelled.

use remit_books::{Change, Ending};
use remit_domain::containment::{Containment, Level, Target};
use remit_domain::event::EventKind;
use remit_domain::run::RunEnd;
use remit_domain::{ContainmentId, Principal, RefusalCode};
use remit_testkit::Script;
use serde_json::json;

use crate::world::World;

pub(crate) async fn contain(world: &World, target: Target) {
    let containment = Containment {
        id: world.books.id(ContainmentId::from_uuid),
        target,
        level: Level::Quarantine,
        reason: "it goes wrong".to_owned(),
        by: Principal::Remit,
        at: world.books.now(),
        lifted: None,
        certificates: Vec::new(),
    };
    world
        .books
        .commit(&world.org, Change::new().create(&containment).restrict())
        .await
        .unwrap();
}

#[tokio::test]
async fn every_target_stops_the_next_call() {
    let targets: [fn(&World) -> Target; 4] = [
        |w| Target::Agent(w.run.agent.clone()),
        |w| Target::Workflow(w.run.workflow.clone()),
        |w| Target::Run(w.run.id.clone()),
        |_| Target::Credential(format!("crd_{}B", "0".repeat(25))),
    ];
    for target in targets {
        let world = World::new().await;
        assert!(
            world
                .call("order_status", json!({ "order": "A" }))
                .await
                .is_ok()
        );
        contain(&world, target(&world)).await;
        assert_eq!(
            world.code("order_status", json!({ "order": "A" })).await,
            RefusalCode::Contained
        );
        assert_eq!(world.upstreams.reached().len(), 1);
    }
}

#[tokio::test]
async fn a_call_in_flight_is_cancelled_when_its_agent_is_contained() {
    let world = World::new().await;
    world.upstreams.script(Script::Hang);
    let call = world.call("order_status", json!({ "order": "A" }));
    let stop = async {
        world.upstreams.arrived().await;
        contain(&world, Target::Agent(world.run.agent.clone())).await;
    };
    let (answer, ()) = tokio::join!(call, stop);
    assert_eq!(answer.unwrap_err().refusal.code, RefusalCode::Cancelled);
    assert_eq!(
        world.recorded(EventKind::CallCompleted, "status").await,
        ["cancelled"]
    );
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
