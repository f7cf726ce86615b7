//! Whoever goes on changing what is contained.

use super::*;

/// Starting something below a run writes the run too, where there are several nodes: an agent that does nothing else is in the way of
/// every commit that takes its runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_agent_that_keeps_changing_its_runs_is_contained_all_the_same() {
    for level in [Level::Suspend, Level::Kill] {
        let w = Arc::new(World::new().await);
        let mut runs = Vec::new();
        for _ in 0..40 {
            runs.push(w.start(1, None, Vec::new(), None).await.id);
        }
        let changed = Arc::new(AtomicBool::new(false));
        let (many, seen, all) = (w.clone(), changed.clone(), runs.clone());
        let busy = tokio::spawn(async move {
            let agent = id("agt", 1).parse().unwrap();
            let stands = || {
                let book = many.books.org(&many.org).unwrap();
                book.registry().standing_agent(&agent).is_ok()
            };
            while stands() {
                for run in &all {
                    let found = many.books.get::<Run>(&many.org, run.as_str()).await;
                    let found = found.unwrap().unwrap();
                    if stands() && found.noun.state == RunState::Active {
                        let change = Change::new().update(&found.noun, found.revision);
                        let made = many.books.commit(&many.org, change).await;
                        seen.fetch_or(made.is_ok(), Ordering::SeqCst);
                    }
                }
            }
        });
        while !changed.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        let view = contain(&w, level).await;
        busy.await.unwrap();
        let stopped = status(&view, "run");
        assert_eq!(stopped.len(), runs.len());
        assert!(stopped.into_iter().all(is_stopped));
    }
}
