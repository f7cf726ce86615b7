//! Calls on their way when their agent is contained.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_and_not_answered_is_never_called_stopped() {
    let w = World::new().await;
    let run = w.start(2, None, Vec::new(), None).await;
    let target: TargetName = noun(json!({ "type": "agent", "name": "helper" }));
    let (decision, _) = w
        .admit(&run, "status", json!({ "order": "A" }))
        .await
        .unwrap();
    let mut departure = departure(&w, &run, &decision);
    departure.tool = "elsewhere/status".parse().unwrap();
    let guard = w.books.in_flight().register(departure);
    guard.say(Progress::Sent);
    let view = w
        .control
        .contain(&w.caller(RESPONDER), &target, Level::Kill, "rogue")
        .await
        .unwrap();
    let certificate = view.certificate.as_ref().unwrap();
    assert!(!certificate.certificate.is_final);
    assert_eq!(
        (certificate.certificate.residual, certificate.not_proved),
        (1, 1)
    );
    assert!(matches!(
        status(&view, "call")[..],
        [ItemStatus::NotProved { .. }]
    ));

    // No answer ever comes: that is still not proved, and no second certificate says otherwise.
    guard.say(Progress::Unanswered);
    drop(guard);
    assert_eq!(w.control.finalize_due(&w.org).await.unwrap(), 0);
    w.outcome(&run, &decision, "ambiguous").await;
    w.control.finalize_due(&w.org).await.unwrap();
    let again = w
        .control
        .containment(&w.caller(ADMIN), &view.id)
        .await
        .unwrap();
    assert_eq!(again.certificate.unwrap().certificate.residual, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_another_node_is_not_proved_until_its_outcome_is_recorded() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let (decision, _) = w
        .admit(&run, "status", json!({ "order": "A" }))
        .await
        .unwrap();
    let view = contain(&w, Level::Kill).await;
    assert_eq!(
        status(&view, "call").len(),
        1,
        "the store knows it, this node does not"
    );
    assert_eq!(view.certificate.as_ref().unwrap().certificate.residual, 1);
    w.outcome(&run, &decision, "ok").await;
    assert_eq!(w.control.finalize_due(&w.org).await.unwrap(), 1);
    let last = w
        .control
        .containment(&w.caller(ADMIN), &view.id)
        .await
        .unwrap();
    assert_eq!(last.certificates, 2);
    let certificate = last.certificate.unwrap().certificate;
    assert!(
        certificate.is_final && certificate.residual == 0,
        "{certificate:#?}"
    );
    assert_eq!(w.control.finalize_due(&w.org).await.unwrap(), 0, "once");
}

#[tokio::test(start_paused = true)]
async fn a_preview_names_what_then_stops() {
    for level in [Level::Suspend, Level::Quarantine, Level::Kill] {
        let w = World::new().await;
        let (_, _, run, child) = w.chain().await;
        w.token(&run).await;
        w.token(&child).await;
        w.ask_approver(&child, 1).await;
        // One call on this node, one that only the store knows, one of somebody else.
        let here = w.books.id(DecisionId::from_uuid);
        let guard = w.books.in_flight().register(departure(&w, &run, &here));
        guard.say(Progress::Sent);
        w.admit(&child, "status", json!({ "order": "A" }))
            .await
            .unwrap();
        let preview = w
            .control
            .preview_containment(&w.caller(RESPONDER), &agent_target(), level)
            .await
            .unwrap();
        let view = contain(&w, level).await;
        let certificate = view.certificate.unwrap().certificate;
        let told: std::collections::BTreeSet<_> = preview
            .items
            .iter()
            .map(|i| (i.kind.to_owned(), i.id.clone()))
            .collect();
        let stopped: std::collections::BTreeSet<_> = certificate
            .items
            .iter()
            .filter(|i| i.kind != "upstream_process")
            .map(|i| (i.kind.clone(), i.id.clone()))
            .collect();
        assert_eq!(told, stopped, "{level:?}");
        assert_eq!(told.iter().filter(|(kind, _)| kind == "call").count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_end_in_time_are_told_as_they_ended() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let mut guards: Vec<(FlightGuard, Progress)> = Vec::new();
    for progress in [
        Progress::NeverSent,
        Progress::Answered,
        Progress::Unanswered,
    ] {
        let decision = w.books.id(DecisionId::from_uuid);
        guards.push((
            w.books.in_flight().register(departure(&w, &run, &decision)),
            progress,
        ));
    }
    let ending = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for (guard, progress) in guards {
            guard.say(progress);
        }
    });
    let view = contain(&w, Level::Kill).await;
    ending.await.unwrap();
    let calls = status(&view, "call");
    assert_eq!(calls.len(), 3);
    assert!(
        calls.into_iter().all(is_stopped),
        "the process that served the unanswered one was ended: {view:#?}"
    );
}
