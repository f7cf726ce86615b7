//! Ways in that were found open once, each attacked again.

use remit_books::Change;
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::containment::Target;
use remit_domain::event::EventKind;
use remit_domain::policy_set::PolicySet;
use remit_domain::{ApprovalId, Refusal, RefusalCode, RunId};
use remit_gateway::{NotLetIn, Received};
use remit_ports::store::{EntryFilter, Filter, Outcome};
use remit_ports::upstreams::UpstreamError;
use remit_testkit::Script;
use serde_json::{Value, json};

use crate::world::World;

/// A state given for one call must not resume another one, which nobody decided or approved.
#[tokio::test]
async fn a_request_state_resumes_only_the_call_it_was_given_for() {
    let world = World::new().await;
    let answer = json!({ "content": [], "requestState": "state of A" });
    world.upstreams.script(Script::Answer(answer));
    let first = world.call("order_status", json!({ "order": "A" })).await;
    let state = first.unwrap().result["requestState"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!state.contains("state of A"));
    let with_state = |tool: &str, args: Value| -> Received {
        let mut received = world.received(tool, args);
        received.call.request_state = Some(state.clone());
        received
    };
    for (tool, args) in [
        ("order_status", json!({ "order": "B" })),
        ("note", json!({ "order": "A" })),
    ] {
        let refused = world.gateway.tool_call(with_state(tool, args)).await;
        assert_eq!(
            refused.unwrap_err().refusal.code,
            RefusalCode::InvalidRequest
        );
    }
    let own = with_state("order_status", json!({ "order": "A" }));
    world.gateway.tool_call(own).await.unwrap();
    assert_eq!(
        world.upstreams.reached().last().unwrap()["requestState"],
        "state of A"
    );
}

/// Whoever is denied over and over does not fill the ledger: what is above the limit is counted.
#[tokio::test]
async fn a_flood_of_denials_is_counted() {
    let world = World::new().await;
    for _ in 0..300 {
        assert_eq!(
            world.code("cancel", json!({ "order": "A" })).await,
            RefusalCode::Denied
        );
    }
    let whole = world.recorded(EventKind::CallDecided, "outcome").await;
    assert!(whole.len() < 250, "{}", whole.len());
    world.gateway.record_counted_refusals().await.unwrap();
    let counted = world.recorded(EventKind::RefusalsCounted, "code").await;
    assert!(counted.contains(&"denied".to_owned()), "{counted:?}");
    assert!(world.upstreams.reached().is_empty());
}

pub(crate) async fn labels_decided_on(world: &World) -> Vec<String> {
    world.books.store().flush().await.unwrap();
    let filter = EntryFilter {
        kinds: vec![EventKind::CallDecided],
        ..EntryFilter::default()
    };
    let entries = world.books.opened_entries(&world.org, &filter).await;
    let last = entries.unwrap().pop().unwrap();
    let labels = &last.body.unwrap().content["dynamic"]["labels"];
    serde_json::from_value(labels.clone()).unwrap()
}

/// A label that the agent raises in another run, on another node, is seen by the very next decision of its own runs.
#[tokio::test]
async fn a_label_raised_elsewhere_is_not_missed_while_the_old_ones_are_remembered() {
    let world = World::new().await;
    let read = || world.call("order_status", json!({ "order": "A" }));
    read().await.unwrap();
    read().await.unwrap();
    assert!(
        !labels_decided_on(&world)
            .await
            .contains(&"secret".to_owned())
    );
    let raised = Outcome {
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
    read().await.unwrap();
    assert!(
        labels_decided_on(&world)
            .await
            .contains(&"secret".to_owned())
    );
}

/// The day for which a label follows its agent counts from the last touch, in the agent's scope as in the run's.
#[tokio::test]
async fn a_label_is_raised_again_in_each_scope_that_it_is_due_in() {
    let world = World::new().await;
    let scope = format!("agent:{}", world.run.agent);
    let raised = async || {
        let labels = world
            .books
            .store()
            .labels(&world.org, &scope)
            .await
            .unwrap();
        labels.labels["untrusted"].at
    };
    let read = || world.call("order_status", json!({ "order": "A" }));
    read().await.unwrap();
    let first = raised().await;
    world.clock.advance(std::time::Duration::from_secs(601));
    read().await.unwrap();
    assert_eq!(raised().await.secs_since(first), 601);
}

/// Opening more runs buys no more of people's time.
#[tokio::test]
async fn approvals_that_wait_are_bounded_for_each_agent() {
    let world = World::new().await;
    let ask = |n: u32| world.code("refund", json!({ "order": "A", "amount": n }));
    assert_eq!(ask(100).await, RefusalCode::ApprovalRequired);
    let filter = Filter::default();
    let found = world.books.list::<Approval>(&world.org, &filter).await;
    let one = found.unwrap().0.pop().unwrap().noun;
    for n in 0..63 {
        let other = Approval {
            id: world.books.id(ApprovalId::from_uuid),
            run: world.books.id(RunId::from_uuid),
            digest: format!("{n}"),
            ..one.clone()
        };
        let change = Change::new().create(&other);
        world.books.commit(&world.org, change).await.unwrap();
    }
    assert_eq!(ask(101).await, RefusalCode::Limited);
    // Those that nobody answered in time make room.
    world.clock.advance(std::time::Duration::from_secs(3_700));
    assert_ne!(ask(102).await, RefusalCode::Limited);
}

/// Who is turned away at the door is recorded with what they asked for, and with who they are where a signature proves it.
#[tokio::test]
async fn who_is_turned_away_is_recorded_with_method_and_agent() {
    let world = World::new().await;
    let refusal = Refusal::new(RefusalCode::Contained, "the agent is contained");
    let not = NotLetIn {
        refusal,
        reason: None,
        known: Some((world.run.agent.clone(), world.run.id.clone())),
    };
    let away = world.gateway.turn_away(&world.org, "resources/read", not);
    assert_eq!(away.await.refusal.code, RefusalCode::Contained);
    let filter = EntryFilter {
        kinds: vec![EventKind::AuthenticationRefused],
        ..EntryFilter::default()
    };
    let entries = world.books.opened_entries(&world.org, &filter).await;
    let entry = entries.unwrap().pop().unwrap();
    assert_eq!(entry.leaf.agent.as_ref(), Some(&world.run.agent));
    assert_eq!(entry.body.unwrap().content["named"], "resources/read");
}

/// What was said in a run is nowhere to be read once its key is gone: not in records, approvals, kept facts or entries.
#[tokio::test]
async fn nothing_of_a_run_is_left_after_it_was_shredded() {
    let world = World::new().await;
    let marker = "MARKER-7f3a";
    let args = json!({ "order": marker, "amount": 120 });
    assert_eq!(
        world.code("refund", args).await,
        RefusalCode::ApprovalRequired
    );
    let all = Filter::default();
    let approvals = async || {
        let found = world.books.list::<Approval>(&world.org, &all);
        found.await.unwrap().0.pop().unwrap().noun
    };
    assert!(approvals().await.args.to_string().contains(marker));
    // Sealed from the beginning: the store never sees it.
    let raw = async || {
        let mut text = String::new();
        for kind in [remit_domain::Kind::Approval, remit_domain::Kind::Run] {
            let page = world.books.store().list(&world.org, kind, &all);
            text += &format!("{:?}", page.await.unwrap().records);
        }
        text
    };
    assert!(!raw().await.contains(marker));
    let by = remit_domain::Principal::Remit;
    let ending = remit_books::Ending::because(by.clone(), remit_domain::run::RunEnd::Agent);
    let (org, run) = (&world.org, &world.run.id);
    assert!(
        world
            .books
            .shred(org, run.as_str(), by.clone(), "x")
            .await
            .is_err()
    );
    world.books.end_run(org, run, &ending).await.unwrap();
    world.books.shred(org, run.as_str(), by, "x").await.unwrap();
    assert_eq!(approvals().await.args, Value::Null);
    // It is still told, without content, that the run is called after its end.
    assert_eq!(
        world.code("refund", json!({ "order": "A" })).await,
        RefusalCode::RunEnded
    );
    assert_eq!(
        world.recorded(EventKind::CallRefused, "code").await.len(),
        1
    );
}

/// A credential that is taken back ends its call in flight: the token is looked at again when something is restricted.
#[tokio::test]
async fn a_key_that_is_revoked_cancels_the_call_in_flight() {
    let world = World::new().await;
    world.upstreams.script(Script::Hang);
    let call = world.call("order_status", json!({ "order": "A" }));
    tokio::pin!(call);
    tokio::select! {
        _ = &mut call => panic!("the call hangs"),
        () = world.upstreams.arrived() => {}
    }
    // Nothing of the registry says so: only the token does.
    world.revoke();
    let change = Change::new().restrict();
    world.books.commit(&world.org, change).await.unwrap();
    let refused = call.await.unwrap_err().refusal;
    assert_eq!(refused.code, RefusalCode::Cancelled);
}

/// An approval whose call never left goes back to its person's yes, but not past a containment that came meanwhile.
#[tokio::test]
async fn an_approval_of_what_was_contained_meanwhile_is_cancelled_and_not_given_back() {
    for (contained, state) in [
        (false, ApprovalState::Approved),
        (true, ApprovalState::Cancelled),
    ] {
        let world = World::new().await;
        let args = json!({ "order": "A-118", "amount": 120 });
        let asked = world.code("refund", args.clone()).await;
        assert_eq!(asked, RefusalCode::ApprovalRequired);
        world.approve().await;
        let why = UpstreamError::Unreachable("it never left".to_owned());
        world.upstreams.script(Script::WaitThenFail(why));
        let call = world.call("refund", args);
        tokio::pin!(call);
        tokio::select! {
            _ = &mut call => panic!("the call waits"),
            () = world.upstreams.arrived() => {}
        }
        if contained {
            crate::containment::contain(&world, Target::Agent(world.run.agent.clone())).await;
        }
        world.upstreams.let_go();
        let refused = call.await.unwrap_err().refusal;
        assert_eq!(refused.code, RefusalCode::UpstreamUnreachable);
        world.books.store().flush().await.unwrap();
        assert_eq!(world.approvals(state).await, 1, "{contained}");
    }
}

/// A leaf holds 4 KiB, however many policies decide: without a cap the entry of such a denial could not be made.
#[tokio::test]
async fn a_call_that_many_policies_deny_is_recorded_in_a_leaf_of_its_size() {
    let world = World::new().await;
    let many: String = (0..60)
        .map(|n| {
            format!(
                "@id(\"{}-{n}\") @text(\"no\") forbid (principal, action == Action::\"orders/note\", resource);\n",
                "a-name-nearly-as-long-as-names-may-be-in-a-policy-here"
            )
        })
        .collect();
    let set = serde_json::from_value::<PolicySet>(json!({
        "name": "many", "enabled": true, "by": { "type": "remit" }, "at": "2026-11-22T08:00:00Z", "text": many
    }));
    let change = Change::new().create(&set.unwrap());
    world.books.commit(&world.org, change).await.unwrap();
    assert_eq!(
        world.code("note", json!({ "order": "A" })).await,
        RefusalCode::Denied
    );
    let filter = EntryFilter {
        kinds: vec![EventKind::CallDecided],
        ..EntryFilter::default()
    };
    let entries = world.books.opened_entries(&world.org, &filter).await;
    let entry = entries.unwrap().pop().unwrap();
    let leaf = serde_json::to_vec(&entry.leaf).unwrap();
    assert!(leaf.len() <= 4_096, "{}", leaf.len());
    let all = &entry.body.unwrap().content["decision"]["policies"];
    assert_eq!(
        all.as_array().unwrap().len(),
        60,
        "the sealed decision names all"
    );
}
