//! Everything at once, by the operator.

use remit_domain::containment::Confirmation;
use remit_domain::finding::Finding;
use remit_domain::{OrgId, Principal, Separation};

use super::*;

async fn second(w: &World) -> OrgId {
    let operator = w.control.operator().unwrap();
    let name = "globex".parse().unwrap();
    let made = w
        .control
        .create_organization(&operator, name, Separation::Dual)
        .await
        .unwrap();
    made.id
}

fn held(w: &World, org: &OrgId) -> usize {
    let book = w.books.org(org).unwrap();
    let registry = book.registry();
    registry
        .containments
        .values()
        .filter(|c| c.target == Target::Everything)
        .count()
}

#[tokio::test]
async fn only_the_operator_orders_it_and_somebody_else_confirms() {
    let w = World::new().await;
    let other = second(&w).await;
    let run = w.start(1, None, Vec::new(), None).await;
    w.token(&run).await;
    let operator = w.control.operator().unwrap();
    for n in [ADMIN, RESPONDER] {
        let made = w
            .control
            .contain_everything(&w.caller(n), Level::Suspend, "x", true)
            .await;
        assert_eq!(code(made), RefusalCode::Forbidden);
    }
    let killed = w
        .control
        .contain_everything(&operator, Level::Kill, "x", true)
        .await;
    assert_eq!(code(killed), RefusalCode::InvalidRequest);
    previewed(&w, &operator).await;

    let view = ordered(&w, &operator).await;
    assert_eq!((view.state, held(&w, &w.org)), ("waiting", 0));
    for n in [RESPONDER, OWNER, NOBODY] {
        let confirmed = w.control.confirm_everything(&w.caller(n), &view.id).await;
        assert_eq!(code(confirmed), RefusalCode::Forbidden);
    }
    let confirmed = w.control.confirm_everything(&operator, &view.id).await;
    assert_eq!(
        code(confirmed),
        RefusalCode::Forbidden,
        "the operator is not two people"
    );
    let confirmed = w
        .control
        .confirm_everything(&w.caller(ADMIN), &view.id)
        .await
        .unwrap();
    let certificate = confirmed.certificate.unwrap().certificate;
    assert_eq!(
        (certificate.items.len(), certificate.residual),
        (2, 0),
        "{certificate:#?}"
    );
    assert_eq!((held(&w, &w.org), held(&w, &other)), (1, 1));
    let book = w.books.org(&w.org).unwrap();
    let refused = book
        .registry()
        .standing(&run.id, w.books.now())
        .unwrap_err();
    assert_eq!(refused.code, RefusalCode::Contained);
}

async fn ordered(w: &World, operator: &Caller) -> ContainmentView {
    w.control
        .contain_everything(operator, Level::Suspend, "worm", false)
        .await
        .unwrap()
}

/// What would stop is told before.
async fn previewed(w: &World, operator: &Caller) {
    let preview = w
        .control
        .preview_everything(operator, Level::Suspend)
        .await
        .unwrap();
    let acme = preview
        .organizations
        .iter()
        .find(|o| o.organization.as_str() == "acme")
        .unwrap();
    assert_eq!(
        (acme.stops["run"], acme.stops["token"], acme.stops["key"]),
        (1, 1, 1)
    );
    assert_eq!(preview.organizations.len(), 2);
}

#[tokio::test]
async fn only_the_operator_lifts_it() {
    let w = World::new().await;
    let other = second(&w).await;
    let run = w.start(1, None, Vec::new(), None).await;
    let operator = w.control.operator().unwrap();
    let view = ordered(&w, &operator).await;
    w.control
        .confirm_everything(&w.caller(ADMIN), &view.id)
        .await
        .unwrap();
    let book = w.books.org(&w.org).unwrap();
    // Nobody inside lifts it, and no organization is made meanwhile.
    let inside = book
        .registry()
        .containments
        .values()
        .next()
        .unwrap()
        .id
        .clone();
    let lifted = w
        .control
        .lift_containment(&w.caller(ADMIN), &inside, "x")
        .await;
    assert_eq!(code(lifted), RefusalCode::Forbidden);
    let name = "initech".parse().unwrap();
    let made = w
        .control
        .create_organization(&operator, name, Separation::Dual)
        .await;
    assert_eq!(code(made), RefusalCode::Contained);

    let lifted = w
        .control
        .lift_everything(&operator, &view.id, "clean")
        .await
        .unwrap();
    assert_eq!(
        (lifted.state, held(&w, &w.org), held(&w, &other)),
        ("lifted", 0, 0)
    );
    assert!(book.registry().standing(&run.id, w.books.now()).is_ok());
    w.control.tick(&operator.org).await.unwrap();
    assert_eq!(held(&w, &w.org), 0, "it does not come back");
}

#[tokio::test]
async fn a_node_that_stopped_in_between_is_taken_up_once() {
    let w = World::new().await;
    let other = second(&w).await;
    let operator = w.control.operator().unwrap();
    let what = (Target::Everything, Level::Quarantine);
    let id = w.books.id(ContainmentId::from_uuid);
    let mut over = Containment::new(id, what, "worm", Principal::Operator, w.books.now());
    over.confirmation = Confirmation::BreakGlass;
    w.books
        .commit(&operator.org, Change::new().create(&over))
        .await
        .unwrap();
    for _ in 0..3 {
        w.control.tick(&operator.org).await.unwrap();
    }
    assert_eq!((held(&w, &w.org), held(&w, &other)), (1, 1));
    let (all, _) = w
        .books
        .list::<Containment>(&w.org, &Default::default())
        .await
        .unwrap();
    assert_eq!(all.len(), 1, "once");
    let (found, _) = w
        .books
        .list::<Finding>(&other, &Default::default())
        .await
        .unwrap();
    assert!(!found.is_empty(), "the alarm is raised in each");
    let view = w
        .control
        .containment_of_everything(&operator, &over.id)
        .await
        .unwrap();
    assert!(view.certificate.unwrap().certificate.is_final);
}

/// What another order holds goes on holding, and what was taken back, or never came into force, frees nobody.
#[tokio::test]
async fn lifting_one_frees_nobody_whom_another_one_holds() {
    let w = World::new().await;
    let operator = w.control.operator().unwrap();
    let alone = async |level| {
        let made = w.control.contain_everything(&operator, level, "worm", true);
        made.await.unwrap().id
    };
    let waiting = ordered(&w, &operator).await.id;
    let lift = async |id: &ContainmentId| w.control.lift_everything(&operator, id, "clean").await;
    assert_eq!(lift(&waiting).await.unwrap().state, "withdrawn");
    let first = alone(Level::Suspend).await;
    let second = alone(Level::Quarantine).await;
    assert_eq!(code(lift(&waiting).await), RefusalCode::Conflict);
    assert!(held(&w, &w.org) > 0);
    assert_eq!(lift(&first).await.unwrap().state, "lifted");
    assert!(held(&w, &w.org) > 0, "the other one is in force");
    assert_eq!(code(lift(&first).await), RefusalCode::Conflict);
    assert_eq!(lift(&second).await.unwrap().state, "lifted");
    assert_eq!(held(&w, &w.org), 0);
}
