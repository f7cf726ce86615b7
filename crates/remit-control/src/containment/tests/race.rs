//! Calls that are decided, admitted and sent while their agent is contained.

use super::*;

/// The race of invariant 8: calls are decided, admitted and sent by many at once while the agent is contained. Not one is
/// admitted after the containment in the ledger, and not one leaves after `contain` has returned.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(
    clippy::too_many_lines,
    reason = "one race, told from its beginning to its end"
)]
async fn no_call_is_admitted_or_sent_beside_a_containment() {
    for level in [Level::Suspend, Level::Kill] {
        let w = Arc::new(World::new().await);
        let runs = [
            w.start(1, None, Vec::new(), None).await,
            w.start(1, None, Vec::new(), None).await,
        ];
        let (over, left_late) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let mut callers = tokio::task::JoinSet::new();
        for n in 0..24usize {
            let (w, run, over, left_late) = (
                w.clone(),
                runs[n % 2].clone(),
                over.clone(),
                left_late.clone(),
            );
            callers.spawn(async move {
                let mut admitted = 0u32;
                for _ in 0..200 {
                    let epoch = w.books.org(&w.org).unwrap().epoch();
                    let Ok((decision, _)) = w.admit(&run, "status", json!({ "order": "A" })).await
                    else {
                        if over.load(Ordering::SeqCst) {
                            return admitted;
                        }
                        tokio::task::yield_now().await;
                        continue;
                    };
                    admitted += 1;
                    // As the gateway: register, then read the epoch, then send.
                    let was_over = over.load(Ordering::SeqCst);
                    let guard = w.books.in_flight().register(departure(&w, &run, &decision));
                    if w.books.org(&w.org).unwrap().epoch() == epoch {
                        guard.say(Progress::Sent);
                        left_late.fetch_or(was_over, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        guard.say(Progress::Answered);
                        w.outcome(&run, &decision, "ok").await;
                    } else {
                        guard.say(Progress::NeverSent);
                        w.outcome(&run, &decision, "not_sent").await;
                    }
                }
                admitted
            });
        }
        while w.books.store().entry_count(&w.org).await.unwrap() < 60 {
            tokio::task::yield_now().await;
        }
        let view = contain(&w, level).await;
        over.store(true, Ordering::SeqCst);
        let admitted: u32 = callers.join_all().await.into_iter().sum();
        assert!(admitted > 0);
        assert!(
            !left_late.load(Ordering::SeqCst),
            "a call left after it was contained"
        );
        let filter = EntryFilter {
            limit: 10_000,
            ..EntryFilter::default()
        };
        let entries = w.books.opened_entries(&w.org, &filter).await.unwrap();
        let contained = entries
            .iter()
            .find(|e| e.leaf.kind == EventKind::Contained)
            .unwrap()
            .stored
            .index;
        let late = entries
            .iter()
            .filter(|e| e.leaf.kind == EventKind::CallDecided && e.stored.index > contained);
        assert_eq!(late.count(), 0, "a call was admitted after the containment");
        assert!(status(&view, "run").into_iter().all(is_stopped));
        assert!(
            entries
                .iter()
                .any(|e| e.leaf.kind == EventKind::CallDecided)
        );
    }
}
