//! Two nodes over one store, one of which does not hear what the other does.

use std::sync::Arc;

use remit_domain::containment::{Containment, Level, Target};
use remit_domain::{ContainmentId, OrgId, Organization, Principal};
use remit_testkit::{FakeStore, FakeVault, SeededEntropy, SimClock};

use crate::{Books, Change, Parts};

/// Two nodes that know one organization.
pub(crate) struct Two {
    pub(crate) one: Books,
    pub(crate) other: Books,
    pub(crate) org: OrgId,
}

impl Two {
    pub(crate) async fn new() -> Self {
        let store = Arc::new(FakeStore::new());
        let clock = Arc::new(SimClock::at("2026-11-22T08:00:00Z"));
        let open = async |seed: u64| {
            let parts = Parts {
                store: store.clone(),
                clock: clock.clone(),
                entropy: Arc::new(SeededEntropy::new(seed)),
                vault: Arc::new(FakeVault),
                origin: "test.example/log".to_owned(),
                node: format!("node-{seed}"),
            };
            Books::open(parts).await.unwrap()
        };
        let one = open(1).await;
        let org = one.id(OrgId::from_uuid);
        let organization =
            Organization::new(org.clone(), "acme".parse().unwrap(), Default::default());
        one.create_organization(&organization, Principal::Operator)
            .await
            .unwrap();
        let other = open(2).await;
        Self { one, other, org }
    }

    /// A containment, committed at one of them.
    pub(crate) async fn contain(&self, books: &Books) -> ContainmentId {
        let id = books.id(ContainmentId::from_uuid);
        let agent = books.id(remit_domain::AgentId::from_uuid);
        let held = Containment {
            id: id.clone(),
            target: Target::Agent(agent),
            level: Level::Quarantine,
            reason: "odd".to_owned(),
            by: Principal::Remit,
            at: books.now(),
            confirmation: Default::default(),
            lifted: None,
            certificates: Vec::new(),
        };
        let change = Change::new().create(&held).restrict();
        books.commit(&self.org, change).await.unwrap();
        id
    }

    pub(crate) fn knows(&self, books: &Books, id: &ContainmentId) -> bool {
        let book = books.org(&self.org).unwrap();
        book.registry().containments.contains_key(id)
    }
}

/// The epoch says up to where a node has taken in what restricts. A commit of its own must not carry it past what it has
/// not heard of: a call would be admitted under an epoch whose containment this node does not know.
#[tokio::test]
async fn a_commit_carries_no_node_past_a_containment_it_has_not_heard_of() {
    let two = Two::new().await;
    let unheard = two.contain(&two.other).await;
    let book = two.one.org(&two.org).unwrap();
    let before = book.epoch();
    // One that restricts nothing leaves the epoch alone, whatever the store has reached.
    let team = remit_domain::Team {
        id: two.one.id(remit_domain::TeamId::from_uuid),
        name: "support".parse().unwrap(),
        rota: None,
    };
    let change = Change::new().create(&team);
    two.one.commit(&two.org, change).await.unwrap();
    assert_eq!(book.epoch(), before);
    assert!(!two.knows(&two.one, &unheard));
    // One that restricts finds a step before its own, and reads everything again before the epoch moves.
    let own = two.contain(&two.one).await;
    assert!(two.knows(&two.one, &own));
    assert!(two.knows(&two.one, &unheard), "the epoch leapt over it");
    let reached = two.one.store().epoch(&two.org).await.unwrap();
    assert_eq!(book.epoch(), reached);
}
