//! Attacks on claims, on taking back, on who is asked as time runs and on yes for a run; then what has to work.

use remit_books::Change;
use remit_domain::approval::{Approval, ApprovalState, RunTerms};
use remit_domain::event::EventKind;
use remit_domain::{ApprovalId, RefusalCode, Role, Tool};
use remit_ports::store::EntryFilter;
use serde_json::{Value, json};

use crate::fixture::{
    ADMIN, ADMIN_TOO, APPROVER, APPROVER_TOO, CLERK, NOBODY, OWNER, RESPONDER, SPONSOR, World, noun,
};
use crate::spec::{OnCallSpec, TeamSpec};
use crate::{ApprovalView, ControlError, CoverSpec};

fn refusal<T: std::fmt::Debug>(result: Result<T, ControlError>) -> (RefusalCode, String) {
    match result.unwrap_err() {
        ControlError::Refused(refusal) => (refusal.code, refusal.text),
        other => panic!("{other}"),
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, ControlError>) -> RefusalCode {
    refusal(result).0
}

async fn asked(w: &World, asks: Value) -> ApprovalId {
    let (_, _, run, _) = w.chain().await;
    w.ask(&run, asks).await
}

fn ask(approvers: Value, more: Value) -> Value {
    let mut ask = json!({ "policy": "refunds/asks", "approvers": approvers, "quorum": 1, "standing": true,
                          "waives_four_eyes": false });
    for (name, value) in more.as_object().unwrap() {
        ask[name] = value.clone();
    }
    json!([ask])
}

fn by_role(more: Value) -> Value {
    ask(json!([{ "role": "approver" }]), more)
}

async fn yes(w: &World, who: u8, id: &ApprovalId) -> Result<ApprovalView, ControlError> {
    w.control.approve(&w.caller(who), id, None).await
}

async fn for_run(
    w: &World,
    who: u8,
    id: &ApprovalId,
    terms: Value,
) -> Result<ApprovalView, ControlError> {
    let terms: RunTerms = noun(terms);
    w.control
        .approve_for_run(&w.caller(who), id, None, terms, None)
        .await
}

/// The fixture's tool, as something that an approval for a run may be given for.
async fn reclassify(w: &World, effect: &str) {
    let found = w.books.get::<Tool>(&w.org, "orders/refund").await;
    let mut found = found.unwrap().unwrap();
    found.noun.classification = noun(json!({ "effect": effect }));
    let change = Change::new().update(&found.noun, found.revision).restrict();
    w.books.commit(&w.org, change).await.unwrap();
}

#[tokio::test]
async fn a_claim_gives_no_right_and_takes_none_and_lapses() {
    let w = World::new().await;
    let id = asked(&w, by_role(json!({}))).await;
    let claim = async |who| w.control.claim_approval(&w.caller(who), &id).await;
    for who in [CLERK, NOBODY, SPONSOR] {
        assert_eq!(code(claim(who).await), RefusalCode::Forbidden);
    }
    let agent = w.agent_caller();
    let by_agent = w.control.claim_approval(&agent, &id).await;
    assert_eq!(code(by_agent), RefusalCode::Forbidden);
    let seen = claim(APPROVER).await.unwrap();
    assert_eq!(seen.claimed_by.as_deref(), Some("p5@acme.example"));
    let (refused, text) = refusal(claim(APPROVER_TOO).await);
    assert_eq!(refused, RefusalCode::Conflict);
    assert!(text.contains("you may decide it all the same"), "{text}");
    let release = async |who| w.control.release_approval(&w.caller(who), &id).await;
    assert_eq!(code(release(APPROVER_TOO).await), RefusalCode::Conflict);
    claim(APPROVER).await.unwrap();
    w.pass(600);
    let seen = w.control.approval(&w.caller(APPROVER), &id).await.unwrap();
    assert_eq!(seen.claimed_by, None, "it lapses by itself");
    claim(APPROVER_TOO).await.unwrap();
    let released = release(APPROVER_TOO).await.unwrap();
    assert_eq!(released.claimed_by, None);
    claim(APPROVER_TOO).await.unwrap();
    let done = yes(&w, APPROVER, &id).await.unwrap();
    assert_eq!(
        done.state,
        ApprovalState::Approved,
        "the others may all the same"
    );
    assert_eq!(code(claim(APPROVER_TOO).await), RefusalCode::Conflict);
}

#[tokio::test]
async fn two_who_claim_at_once_are_one() {
    let w = World::new().await;
    let id = asked(&w, by_role(json!({}))).await;
    let (a, b) = (w.caller(APPROVER), w.caller(APPROVER_TOO));
    let (a, b) = tokio::join!(
        w.control.claim_approval(&a, &id),
        w.control.claim_approval(&b, &id)
    );
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
}

#[tokio::test]
async fn time_alone_widens_who_may_and_it_is_told_once_a_step() {
    let w = World::new().await;
    let escalate = json!([{ "after_secs": 600, "approvers": ["owner"] },
                          { "after_secs": 1800, "approvers": [{ "role": "admin" }] }]);
    let id = asked(&w, by_role(json!({ "escalate": escalate }))).await;
    w.pass(599);
    for who in [OWNER, ADMIN] {
        assert_eq!(code(yes(&w, who, &id).await), RefusalCode::Forbidden);
    }
    assert_eq!(w.control.tick(&w.org).await.unwrap().escalations, 0);
    w.pass(1);
    let seen = w.control.approval(&w.caller(OWNER), &id).await.unwrap();
    assert!(seen.you_may_not.is_none() && seen.may_approve.contains_key("p3@acme.example"));
    assert_eq!(seen.asks[0].approvers, ["role:approver", "owner"]);
    assert!(seen.asks[0].escalates[0].is_due && !seen.asks[0].escalates[1].is_due);
    assert_eq!(code(yes(&w, ADMIN, &id).await), RefusalCode::Forbidden);
    assert_eq!(w.control.tick(&w.org).await.unwrap().escalations, 1);
    assert_eq!(w.control.tick(&w.org).await.unwrap().escalations, 0);
    let told = EntryFilter {
        kinds: vec![EventKind::ApprovalEscalated],
        limit: 10,
        ..EntryFilter::default()
    };
    let entries = w.books.store().entries(&w.org, &told).await.unwrap();
    assert_eq!(entries.len(), 1);
    let leaf = String::from_utf8_lossy(&entries[0].leaf).into_owned();
    assert!(leaf.contains(w.caller(OWNER).person().unwrap().id.as_str()));
    w.pass(1_200);
    let done = yes(&w, ADMIN, &id).await.unwrap();
    assert_eq!(done.state, ApprovalState::Approved);
    assert_eq!(done.asks[0].approved_by, ["p1@acme.example"]);
}

#[tokio::test]
async fn four_eyes_hold_however_long_it_waits() {
    let w = World::new().await;
    w.change_person(CLERK, |p| p.roles.extend([Role::Admin]))
        .await;
    w.vouch(ADMIN, CLERK).await;
    let escalate = json!([{ "after_secs": 60, "approvers": [{ "role": "admin" }] }]);
    let id = asked(&w, by_role(json!({ "escalate": escalate }))).await;
    w.pass(61);
    for who in [CLERK, ADMIN] {
        assert_eq!(code(yes(&w, who, &id).await), RefusalCode::Forbidden);
    }
    yes(&w, ADMIN_TOO, &id).await.unwrap();
}

#[tokio::test]
async fn the_sponsors_manager_is_the_sponsors_and_nobody_elses() {
    let w = World::new().await;
    let (of_sponsor, of_clerk) = (w.caller(RESPONDER), w.caller(NOBODY));
    let manager = |c: &crate::Caller| c.person().unwrap().id.clone();
    let (a, b) = (manager(&of_sponsor), manager(&of_clerk));
    w.change_person(SPONSOR, |p| p.manager = Some(a.clone()))
        .await;
    w.change_person(CLERK, |p| p.manager = Some(b.clone()))
        .await;
    let id = asked(&w, ask(json!(["sponsor_manager"]), json!({}))).await;
    for who in [NOBODY, SPONSOR, OWNER, ADMIN] {
        assert_eq!(
            code(yes(&w, who, &id).await),
            RefusalCode::Forbidden,
            "{who}"
        );
    }
    yes(&w, RESPONDER, &id).await.unwrap();
}

async fn team(w: &World, people: &[u8]) -> remit_domain::name::Name {
    let name: remit_domain::name::Name = "payments".parse().unwrap();
    let admin = w.caller(ADMIN);
    let put = w.control.put_team(&admin, &name, TeamSpec::default(), None);
    let id = put.await.unwrap().view.id;
    for who in people {
        w.change_person(*who, |p| {
            p.teams.insert(id.clone());
        })
        .await;
    }
    name
}

async fn turns(w: &World, name: &remit_domain::name::Name, people: &[u8]) {
    let people = people.iter().map(|n| format!("p{n}@acme.example"));
    let spec = TeamSpec {
        on_call: Some(OnCallSpec {
            people: people.map(|p| p.parse().unwrap()).collect(),
            turn_secs: 86_400,
            since: w.books.now(),
        }),
    };
    let admin = w.caller(ADMIN);
    let put = w.control.put_team(&admin, name, spec, None);
    put.await.unwrap();
}

#[tokio::test]
async fn whoever_is_on_call_is_asked_and_the_team_while_nobody_is() {
    let w = World::new().await;
    let name = team(&w, &[APPROVER, APPROVER_TOO]).await;
    let (_, _, run, _) = w.chain().await;
    let asks = ask(json!([{ "on_call": "payments" }]), json!({}));
    let new = async || w.ask(&run, asks.clone()).await;
    // Nobody takes turns: the whole team, and it says so.
    let id = new().await;
    let seen = w.control.approval(&w.caller(APPROVER), &id).await.unwrap();
    assert_eq!(seen.may_approve.len(), 2);
    assert!(
        seen.routing[0].contains("the whole team is asked"),
        "{:?}",
        seen.routing
    );
    assert_eq!(code(yes(&w, NOBODY, &id).await), RefusalCode::Forbidden);
    // Somebody who is not of the team is on call for nobody, whoever wrote them down.
    turns(&w, &name, &[NOBODY, APPROVER, APPROVER_TOO]).await;
    let id = new().await;
    for who in [NOBODY, APPROVER_TOO, ADMIN] {
        assert_eq!(
            code(yes(&w, who, &id).await),
            RefusalCode::Forbidden,
            "{who}"
        );
    }
    let seen = yes(&w, APPROVER, &id).await.unwrap();
    assert_eq!(seen.state, ApprovalState::Approved);
    // Somebody stands in until a time.
    let until = w.books.now().plus_secs(1_800);
    let cover = |who: u8, person: u8| CoverSpec {
        person: format!("p{person}@acme.example").parse().unwrap(),
        until: if who == ADMIN {
            until.plus_secs(0)
        } else {
            until
        },
    };
    for (who, person, wanted) in [
        (NOBODY, APPROVER_TOO, RefusalCode::Forbidden),
        (APPROVER_TOO, APPROVER_TOO, RefusalCode::Forbidden),
        (ADMIN, NOBODY, RefusalCode::InvalidRequest),
    ] {
        let by = w.caller(who);
        let refused = w.control.cover_on_call(&by, &name, cover(who, person));
        assert_eq!(code(refused.await), wanted, "{who}");
    }
    let by = w.caller(APPROVER);
    // For their own turn, and no longer: whose turn is next is not theirs to give away.
    let mut long = cover(APPROVER, APPROVER_TOO);
    long.until = w.books.now().plus_secs(29 * 86_400);
    let refused = w.control.cover_on_call(&by, &name, long).await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    let set = w
        .control
        .cover_on_call(&by, &name, cover(APPROVER, APPROVER_TOO));
    assert_eq!(
        set.await.unwrap().on_call.now.as_deref(),
        Some("p6@acme.example")
    );
    let id = new().await;
    assert_eq!(code(yes(&w, APPROVER, &id).await), RefusalCode::Forbidden);
    w.pass(1_800);
    assert_eq!(
        code(yes(&w, APPROVER_TOO, &id).await),
        RefusalCode::Forbidden
    );
    yes(&w, APPROVER, &id).await.unwrap();
}

#[tokio::test]
async fn whoever_is_on_call_does_not_approve_what_is_done_for_themselves() {
    let w = World::new().await;
    let name = team(&w, &[CLERK, APPROVER]).await;
    turns(&w, &name, &[CLERK]).await;
    let id = asked(&w, ask(json!([{ "on_call": "payments" }]), json!({}))).await;
    assert_eq!(code(yes(&w, CLERK, &id).await), RefusalCode::Forbidden);
    let seen = w.control.approval(&w.caller(CLERK), &id).await.unwrap();
    assert!(
        seen.routing[0].contains("the whole team"),
        "{:?}",
        seen.routing
    );
    yes(&w, APPROVER, &id).await.unwrap();
}

#[tokio::test]
async fn only_what_every_policy_lets_is_approved_for_a_run() {
    let w = World::new().await;
    let terms = || json!({ "count": 5, "secs": 1800 });
    for effect in ["destructive", "purchase", "privilege", "execute"] {
        reclassify(&w, effect).await;
        let id = asked(&w, by_role(json!({}))).await;
        let (refused, text) = refusal(for_run(&w, APPROVER, &id, terms()).await);
        assert_eq!(refused, RefusalCode::Forbidden, "{effect}");
        assert!(text.contains("call by call"), "{text}");
        let seen = w.control.approval(&w.caller(APPROVER), &id).await.unwrap();
        assert!(!seen.may_stand && seen.state == ApprovalState::Pending);
    }
    reclassify(&w, "write").await;
    let each = asked(&w, by_role(json!({ "standing": false }))).await;
    let (refused, text) = refusal(for_run(&w, APPROVER, &each, terms()).await);
    assert_eq!(refused, RefusalCode::Forbidden);
    assert!(text.contains("@standing"), "{text}");
    let id = asked(&w, by_role(json!({}))).await;
    for who in [CLERK, NOBODY] {
        let refused = for_run(&w, who, &id, terms()).await;
        assert_eq!(code(refused), RefusalCode::Forbidden, "{who}");
    }
    for wrong in [
        json!({ "count": 101, "secs": 1800 }),
        json!({ "count": 5, "secs": 10 }),
        json!({ "count": 5, "secs": 1800, "bounds": { "amount": [{ "decimal": { "max": 10 } }] } }),
    ] {
        let refused = for_run(&w, APPROVER, &id, wrong).await;
        assert_eq!(code(refused), RefusalCode::InvalidRequest);
    }
    let done = for_run(&w, APPROVER, &id, terms()).await.unwrap();
    let for_run = done.for_run.unwrap();
    assert_eq!((for_run.count, for_run.used), (5, 0));
    assert_eq!(done.expires, w.books.now().plus_secs(1_800));
    w.pass(1_800);
    let seen = w.control.approval(&w.caller(APPROVER), &id).await.unwrap();
    assert_eq!(seen.state, ApprovalState::Expired);
}

#[tokio::test]
async fn a_quorum_approves_for_a_run_only_what_all_of_it_said() {
    let w = World::new().await;
    reclassify(&w, "write").await;
    let (five, six) = (
        json!({ "count": 5, "secs": 600 }),
        json!({ "count": 6, "secs": 600 }),
    );
    for (first, second, holds) in [
        (Some(five.clone()), Some(five.clone()), true),
        (Some(five.clone()), Some(six), false),
        (Some(five.clone()), None, false),
        (None, Some(five), false),
    ] {
        let id = asked(&w, by_role(json!({ "quorum": 2 }))).await;
        let mut done = None;
        for (who, terms) in [(APPROVER, first), (APPROVER_TOO, second)] {
            done = Some(match terms {
                Some(terms) => for_run(&w, who, &id, terms).await.unwrap(),
                None => yes(&w, who, &id).await.unwrap(),
            });
        }
        let done = done.unwrap();
        assert_eq!(done.state, ApprovalState::Approved);
        assert_eq!(done.for_run.is_some(), holds);
    }
}

#[tokio::test]
async fn a_yes_is_taken_back_by_those_concerned_and_only_while_it_is_one() {
    let w = World::new().await;
    reclassify(&w, "write").await;
    let back = async |who: u8, id: &ApprovalId| {
        w.control.withdraw_approval(&w.caller(who), id, None).await
    };
    let id = asked(&w, by_role(json!({}))).await;
    assert_eq!(
        code(back(APPROVER, &id).await),
        RefusalCode::Conflict,
        "no yes yet"
    );
    for who in [
        APPROVER,
        APPROVER_TOO,
        CLERK,
        OWNER,
        SPONSOR,
        ADMIN_TOO,
        RESPONDER,
    ] {
        let id = asked(&w, by_role(json!({}))).await;
        for_run(&w, APPROVER, &id, json!({ "count": 2, "secs": 600 }))
            .await
            .unwrap();
        assert_eq!(code(back(NOBODY, &id).await), RefusalCode::Forbidden);
        let by = w.agent_caller();
        let agent = w.control.withdraw_approval(&by, &id, None);
        assert_eq!(code(agent.await), RefusalCode::Forbidden);
        let epoch = w.books.store().epoch(&w.org).await.unwrap();
        let done = back(who, &id).await.unwrap();
        assert_eq!(done.state, ApprovalState::Withdrawn, "{who}");
        let after = w.books.store().epoch(&w.org).await.unwrap();
        assert_eq!(
            after,
            epoch + 1,
            "what was decided before it is decided again"
        );
        assert_eq!(code(back(who, &id).await), RefusalCode::Conflict);
        assert_eq!(
            code(yes(&w, APPROVER_TOO, &id).await),
            RefusalCode::ApprovalWithdrawn
        );
    }
    let found = w.books.get::<Approval>(&w.org, id.as_str()).await;
    assert_eq!(found.unwrap().unwrap().noun.state, ApprovalState::Pending);
}
