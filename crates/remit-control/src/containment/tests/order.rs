//! Containments that take two people.

use remit_domain::finding::{Finding, FindingKind};

use super::*;

fn organization() -> TargetName {
    noun(json!({ "type": "organization", "name": "acme" }))
}

async fn ordered(w: &World, by: u8) -> ContainmentView {
    let by = w.caller(by);
    w.control
        .contain(&by, &organization(), Level::Suspend, "all odd")
        .await
        .unwrap()
}

fn stands(w: &World, run: &Run) -> bool {
    let book = w.books.org(&w.org).unwrap();
    book.registry().standing(&run.id, w.books.now()).is_ok()
}

#[tokio::test]
async fn one_person_contains_no_organization() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let view = ordered(&w, ADMIN).await;
    assert_eq!(view.state, "waiting");
    assert!(view.certificate.is_none());
    assert!(stands(&w, &run), "nothing is contained yet");
    let confirm = async |n: u8| code(w.control.confirm_containment(&w.caller(n), &view.id).await);
    for n in [ADMIN, RESPONDER, APPROVER, OWNER, AUDITOR, NOBODY] {
        assert_eq!(confirm(n).await, RefusalCode::Forbidden, "person {n}");
    }
    let agent = w
        .control
        .confirm_containment(&w.agent_caller(), &view.id)
        .await;
    assert_eq!(code(agent), RefusalCode::Forbidden);
    assert!(stands(&w, &run));
    let confirmed = w
        .control
        .confirm_containment(&w.caller(ADMIN_TOO), &view.id)
        .await
        .unwrap();
    assert_eq!(
        (confirmed.state, confirmed.confirmed_by.as_deref()),
        ("active", Some("p10@acme.example"))
    );
    assert!(!stands(&w, &run));
    assert_eq!(confirm(ADMIN_TOO).await, RefusalCode::Conflict);
    let withdrawn = w
        .control
        .withdraw_containment(&w.caller(ADMIN), &view.id)
        .await;
    assert_eq!(code(withdrawn), RefusalCode::Conflict);
    w.control
        .lift_containment(&w.caller(ADMIN), &view.id, "clear")
        .await
        .unwrap();
    assert!(stands(&w, &run));
}

#[tokio::test]
async fn nobody_confirms_through_whom_they_created() {
    for (puppet, master) in [(ADMIN_TOO, ADMIN), (ADMIN, ADMIN_TOO)] {
        let w = World::new().await;
        w.vouch(puppet, master).await;
        let view = ordered(&w, ADMIN).await;
        let confirmed = w
            .control
            .confirm_containment(&w.caller(ADMIN_TOO), &view.id)
            .await;
        assert_eq!(code(confirmed), RefusalCode::Forbidden);
    }
}

#[tokio::test]
async fn what_waits_too_long_or_was_taken_back_contains_nothing() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let view = ordered(&w, RESPONDER).await;
    let taken = w
        .control
        .withdraw_containment(&w.caller(CLERK), &view.id)
        .await;
    assert_eq!(code(taken), RefusalCode::Forbidden);
    let taken = w
        .control
        .withdraw_containment(&w.caller(RESPONDER), &view.id)
        .await
        .unwrap();
    assert_eq!(taken.state, "withdrawn");
    let confirmed = w
        .control
        .confirm_containment(&w.caller(ADMIN), &view.id)
        .await;
    assert_eq!(code(confirmed), RefusalCode::Conflict);
    let lifted = w
        .control
        .lift_containment(&w.caller(ADMIN), &view.id, "x")
        .await;
    assert_eq!(code(lifted), RefusalCode::Conflict);

    let view = ordered(&w, RESPONDER).await;
    w.pass(3_600);
    let confirmed = w
        .control
        .confirm_containment(&w.caller(ADMIN), &view.id)
        .await;
    assert_eq!(code(confirmed), RefusalCode::ApprovalExpired);
    let shown = w
        .control
        .containment(&w.caller(ADMIN), &view.id)
        .await
        .unwrap();
    assert_eq!(shown.state, "expired");
    assert!(stands(&w, &run));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_confirm_at_once_one_contains() {
    let w = Arc::new(World::new().await);
    w.start(1, None, Vec::new(), None).await;
    let view = ordered(&w, RESPONDER).await;
    let mut all = tokio::task::JoinSet::new();
    for n in 0..16u8 {
        let (w, id) = (w.clone(), view.id.clone());
        let n = if n % 2 == 0 { ADMIN } else { ADMIN_TOO };
        all.spawn(async move {
            w.control
                .confirm_containment(&w.caller(n), &id)
                .await
                .is_ok()
        });
    }
    let won = all.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(won, 1);
    let shown = w
        .control
        .containment(&w.caller(ADMIN), &view.id)
        .await
        .unwrap();
    assert_eq!((shown.state, shown.certificates), ("active", 1));
}

#[tokio::test]
async fn a_break_glass_account_does_it_alone_and_everybody_hears_of_it() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    w.change_person(ADMIN, |p| p.break_glass = true).await;
    let view = ordered(&w, ADMIN).await;
    assert_eq!((view.state, view.alone), ("active", true));
    assert!(!stands(&w, &run));
    let (found, _) = w
        .books
        .list::<Finding>(&w.org, &Default::default())
        .await
        .unwrap();
    let mut about = found.iter().map(|f| &f.noun);
    assert!(about.any(|f| f.kind == FindingKind::BreakGlassUsed && f.subject == view.id.as_str()));
}
