//! Attacks on delegations, then what has to work.

use super::*;
use crate::fixture::{ADMIN, CLERK, NOBODY, OWNER, RESPONDER, SPONSOR, World, id};
use remit_domain::Run;
use remit_domain::run::RunState;
use serde_json::json;

fn new(kind: &str) -> NewDelegation {
    serde_json::from_value(
        json!({ "agent": "support", "workflow": "refund", "kind": kind, "for_secs": 600 }),
    )
    .unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, ControlError>) -> RefusalCode {
    result.unwrap_err().code().unwrap()
}

#[tokio::test]
async fn an_agent_delegates_nothing_here() {
    let w = World::new().await;
    assert_eq!(
        code(
            w.control
                .grant_delegation(&w.agent_caller(), new("interactive"))
                .await
        ),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(
            w.control
                .delegation_tree(&w.agent_caller(), &TreeFilter::default())
        ),
        RefusalCode::Forbidden
    );
}

#[tokio::test]
async fn only_the_sponsor_makes_a_standing_delegation() {
    let w = World::new().await;
    for n in [ADMIN, OWNER, CLERK] {
        assert_eq!(
            code(
                w.control
                    .grant_delegation(&w.caller(n), new("standing"))
                    .await
            ),
            RefusalCode::Forbidden
        );
    }
    let made = w
        .control
        .grant_delegation(&w.caller(SPONSOR), new("standing"))
        .await
        .unwrap();
    assert_eq!((made.state, made.depth_left), ("active", 1));
}

#[tokio::test]
async fn times_depths_and_narrowings_that_cannot_be_are_refused() {
    let w = World::new().await;
    let with = |member: &str, value: serde_json::Value| {
        let mut body = json!({ "agent": "support", "workflow": "refund", "kind": "interactive", "for_secs": 600 });
        body[member] = value;
        serde_json::from_value::<NewDelegation>(body).unwrap()
    };
    for bad in [
        with("for_secs", json!(0)),
        with("for_secs", json!(-5)),
        with("for_secs", json!(DELEGATION_SECS_MAX + 1)),
        with("depth", json!(8)),
        with("kind", json!("sub_agent")),
        with("ticket", json!("")),
        with("ticket", json!("x".repeat(129))),
        with("ticket", json!("the one of yesterday")),
        with("authority", json!({ "tools": { "orders/nothing": {} } })),
        with("authority", json!({ "targets": { "order": [""] } })),
        with("authority", json!({ "until": "2026-11-22T07:59:59Z" })),
        with(
            "authority",
            json!({ "targets": { "order": (0..300).map(|n| n.to_string()).collect::<Vec<_>>() } }),
        ),
    ] {
        let shown = format!("{bad:?}");
        assert_eq!(
            code(w.control.grant_delegation(&w.caller(CLERK), bad).await),
            RefusalCode::InvalidRequest,
            "{shown}"
        );
    }
    assert!(
        serde_json::from_value::<NewDelegation>(
            json!({ "agent": "a", "workflow": "b", "kind": "interactive",
        "for_secs": 1, "person": id("per", 1) })
        )
        .is_err(),
        "nobody names the person they delegate for"
    );
}

#[tokio::test]
async fn what_is_granted_is_told_without_saying_in_clear_what_it_is_about() {
    let w = World::new().await;
    let mut grant = new("interactive");
    grant.ticket = Some("T-7-of-maria@acme.example".to_owned());
    grant.authority =
        serde_json::from_value(json!({ "targets": { "order": ["A-118"] }, "effects": ["read"] }))
            .unwrap();
    let made = w
        .control
        .grant_delegation(&w.caller(CLERK), grant)
        .await
        .unwrap();
    assert_eq!(made.narrows, ["effects read", "order A-118"]);
    let filter = remit_ports::store::EntryFilter {
        kinds: vec![EventKind::DelegationGranted],
        ..Default::default()
    };
    let entries = w.books.opened_entries(&w.org, &filter).await.unwrap();
    let leaf = String::from_utf8_lossy(&entries[0].stored.leaf).into_owned();
    assert!(!leaf.contains("maria") && !leaf.contains("A-118"), "{leaf}");
    assert_eq!(entries[0].leaf.facts["person"], id("per", CLERK));
    assert_eq!(
        entries[0].body.as_ref().unwrap().content["authority"]["targets"]["order"][0],
        "A-118"
    );
}

#[tokio::test]
async fn taking_back_ends_everything_below_at_once() {
    let w = World::new().await;
    let (first, second, run, child) = w.chain().await;
    let (token, approval) = (w.token(&child).await, w.ask_approver(&child, 1).await);
    let epoch = w.books.org(&w.org).unwrap().epoch();
    let gone = w
        .control
        .revoke_delegation(&w.caller(CLERK), &first.id, "enough")
        .await
        .unwrap();
    assert_eq!(gone.delegations, {
        let mut both = vec![first.id.clone(), second.id.clone()];
        both.sort();
        both
    });
    assert_eq!(
        (
            gone.runs.len(),
            gone.tokens,
            gone.approvals,
            gone.processes.len()
        ),
        (2, 1, 1, 2)
    );
    let book = w.books.org(&w.org).unwrap();
    assert!(book.epoch() > epoch, "calls in flight have to notice");
    for run in [&run, &child] {
        assert!(book.registry().standing(&run.id, w.books.now()).is_err());
        let ended = w
            .books
            .get::<Run>(&w.org, run.id.as_str())
            .await
            .unwrap()
            .unwrap()
            .noun;
        assert!(matches!(ended.state, RunState::Ended { .. }));
    }
    let token = w
        .books
        .get::<remit_domain::credential::Token>(&w.org, token.id.as_str())
        .await
        .unwrap()
        .unwrap();
    assert!(token.noun.revoked.is_some());
    let settled = w
        .control
        .approval(&w.caller(CLERK), &approval)
        .await
        .unwrap();
    assert_eq!(
        settled.state,
        remit_domain::approval::ApprovalState::Cancelled
    );
    assert_eq!(
        code(
            w.control
                .revoke_delegation(&w.caller(CLERK), &first.id, "again")
                .await
        ),
        RefusalCode::Conflict
    );
}

#[tokio::test]
async fn taking_back_a_hop_leaves_what_is_above_it() {
    let w = World::new().await;
    let (first, second, run, child) = w.chain().await;
    let gone = w
        .control
        .revoke_delegation(&w.caller(OWNER), &second.id, "no")
        .await
        .unwrap();
    assert_eq!(
        (gone.delegations, gone.runs),
        (vec![second.id], vec![child.id])
    );
    let book = w.books.org(&w.org).unwrap();
    assert!(book.registry().standing(&run.id, w.books.now()).is_ok());
    assert!(book.registry().delegations.contains_key(&first.id));
}

#[tokio::test]
async fn only_those_concerned_take_back() {
    let w = World::new().await;
    for (n, may) in [
        (NOBODY, false),
        (CLERK, true),
        (SPONSOR, true),
        (OWNER, true),
        (ADMIN, true),
        (RESPONDER, true),
    ] {
        let made = w
            .control
            .grant_delegation(&w.caller(CLERK), new("interactive"))
            .await
            .unwrap();
        let result = w
            .control
            .revoke_delegation(&w.caller(n), &made.id, "test")
            .await;
        assert_eq!(result.is_ok(), may, "person {n}");
    }
}

#[tokio::test]
async fn the_tree_shows_who_stands_behind_a_sub_agent() {
    let w = World::new().await;
    let (first, _, _, child) = w.chain().await;
    let wanted = TreeFilter {
        agent: Some("helper".parse().unwrap()),
        ..TreeFilter::default()
    };
    let tree = w
        .control
        .delegation_tree(&w.caller(NOBODY), &wanted)
        .unwrap();
    assert_eq!(tree.len(), 1);
    assert_eq!(tree[0].person, "p4@acme.example");
    let top = &tree[0].delegations[0];
    assert_eq!(
        (top.delegation.id.clone(), top.sponsor.as_str()),
        (first.id, "p2@acme.example")
    );
    assert_eq!(top.below[0].delegation.agent, "helper");
    assert_eq!(top.below[0].delegation.runs, [child.id]);
    let nobody = TreeFilter {
        person: Some("p9@acme.example".parse().unwrap()),
        ..TreeFilter::default()
    };
    assert!(
        w.control
            .delegation_tree(&w.caller(NOBODY), &nobody)
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn lists_tell_expired_from_active() {
    let w = World::new().await;
    let made = w
        .control
        .grant_delegation(&w.caller(CLERK), new("interactive"))
        .await
        .unwrap();
    let mine = DelegationFilter {
        mine: true,
        ..DelegationFilter::default()
    };
    assert_eq!(
        w.control
            .delegations(&w.caller(CLERK), &mine)
            .await
            .unwrap()[0]
            .id,
        made.id
    );
    assert!(
        w.control
            .delegations(&w.caller(NOBODY), &mine)
            .await
            .unwrap()
            .is_empty()
    );
    w.pass(601);
    assert_eq!(
        w.control
            .delegation(&w.caller(NOBODY), &made.id)
            .await
            .unwrap()
            .state,
        "expired"
    );
}

/// Cedar text goes live.
async fn live(w: &World, text: &str) {
    let set: remit_domain::policy_set::PolicySet = serde_json::from_value(json!({
        "name": "hops", "text": text, "enabled": true, "by": { "type": "remit" }, "at": w.books.now()
    }))
    .unwrap();
    let change = Change::new().create(&set).restrict();
    w.books.commit(&w.org, change).await.unwrap();
}

async fn entries(w: &World, kind: EventKind) -> Vec<remit_books::OpenedEntry> {
    let filter = remit_ports::store::EntryFilter {
        kinds: vec![kind],
        ..Default::default()
    };
    w.books.opened_entries(&w.org, &filter).await.unwrap()
}

#[tokio::test]
async fn a_policy_stops_a_person_however_they_delegate() {
    let w = World::new().await;
    live(
        &w,
        r#"@id("no") @text("not for a day") forbid (principal == Agent::"support", action == Action::"delegate", resource == Workflow::"support/refund") when { context.secs >= 600 && context.person.present };"#,
    )
    .await;
    let ticket = NewDelegation {
        ticket: Some("CASE-88".to_owned()),
        ..new("interactive")
    };
    let answers = [
        (
            "grant",
            w.control
                .grant_delegation(&w.caller(CLERK), new("interactive"))
                .await,
        ),
        (
            "ticket",
            w.control.grant_delegation(&w.caller(CLERK), ticket).await,
        ),
        (
            "consent",
            w.control
                .consent_delegation(&w.caller(CLERK), new("interactive"))
                .await,
        ),
        (
            "standing",
            w.control
                .grant_delegation(&w.caller(SPONSOR), new("standing"))
                .await,
        ),
    ];
    let refused = entries(&w, EventKind::DelegationRefused).await;
    assert_eq!(refused.len(), answers.len());
    for ((kind, answer), entry) in answers.into_iter().zip(&refused) {
        assert_eq!(answer.unwrap_err().to_string(), "denied: not for a day");
        let facts = &entry.leaf.facts;
        assert_eq!(
            (&facts["kind"], &facts["policies"], &facts["code"]),
            (&json!(kind), &json!(["hops/no"]), &json!("denied"))
        );
    }
    assert!(entries(&w, EventKind::DelegationGranted).await.is_empty());
    let short = NewDelegation {
        for_secs: 599,
        ..new("interactive")
    };
    w.control
        .grant_delegation(&w.caller(CLERK), short)
        .await
        .unwrap();
    let granted = entries(&w, EventKind::DelegationGranted).await;
    assert_eq!(granted[0].leaf.facts["hop"], "allow");
    let decided_on = &granted[0].body.as_ref().unwrap().content["hop"];
    assert_eq!(
        (&decided_on["kind"], &decided_on["secs"]),
        (&json!("grant"), &json!(599))
    );
}

#[tokio::test]
async fn a_policy_about_hops_that_errors_lets_nobody_delegate() {
    let w = World::new().await;
    live(
        &w,
        r#"@id("no") forbid (principal, action in Action::"hop", resource) when { context.now + 9223372036854775807 < 0 };"#,
    )
    .await;
    let answer = w
        .control
        .grant_delegation(&w.caller(CLERK), new("interactive"))
        .await;
    assert_eq!(code(answer), RefusalCode::Denied);
}
