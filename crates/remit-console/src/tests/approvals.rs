//! Deciding by hand: yes, no, other arguments, questions, and handing on, with arguments that somebody hostile chose.

use remit_books::Change;
use remit_domain::approval::Approval;
use remit_domain::{ApprovalId, DecisionId, RunId, WorkflowId};
use serde_json::json;

use super::house::{EVIL, House};

/// Something that waits for anyone with the role approver, for a person.
async fn asked(house: &House, for_whom: &str) -> String {
    let org = house.org("acme");
    let book = house.books.org(&org).unwrap();
    let approval: Approval = {
        let registry = book.registry();
        let agent = registry.agent_named("returns-bot").unwrap();
        let person = registry
            .person_named(&format!("{for_whom}@acme.example"))
            .unwrap();
        serde_json::from_value(json!({
            "id": house.books.id(ApprovalId::from_uuid), "digest": "d".repeat(64),
            "decision": house.books.id(DecisionId::from_uuid), "agent": agent.id,
            "workflow": house.books.id(WorkflowId::from_uuid), "run": house.books.id(RunId::from_uuid),
            "person": person.id, "tool": "orders/refund", "definition_hash": "ab",
            "args": { "order": EVIL, "amount": 20, EVIL: "<b>x</b>" },
            "asks": [{ "policy": "refunds/asks", "approvers": [{ "role": "approver" }], "quorum": 1, "standing": false, "waives_four_eyes": false }],
            "reasons": [EVIL], "requested": house.books.now(), "expires": house.books.now().plus_secs(3_600),
            "verdicts": [], "state": "pending"
        }))
        .unwrap()
    };
    house
        .books
        .commit(&org, Change::new().create(&approval))
        .await
        .unwrap();
    approval.id.to_string()
}

fn harmless(html: &str) {
    for bad in ["<script>alert", "<img src=x", "<b>x", "\u{202e}", "\u{1b}"] {
        assert!(!html.contains(bad), "{bad:?} in {html}");
    }
}

#[tokio::test]
async fn what_runs_is_shown_whole_and_harmless_and_only_who_may_decides() {
    let house = House::new().await;
    let id = asked(&house, "developer").await;
    for who in ["approver", "developer", "nobody", "auditor"] {
        let page = house.open(&format!("/approvals?id={id}"), who).await.text;
        harmless(&page);
        assert_eq!(page.contains("id=\"decide\""), who == "approver", "{who}");
        assert_eq!(
            page.contains("id=\"answer\""),
            who == "developer" || who == "nobody",
            "{who}"
        );
    }
    let path = format!("/approvals/{id}");
    let no = house
        .post(&format!("{path}/approve"), "developer", &[])
        .await;
    assert_eq!(no.status, 403, "{}", no.text);
    let question = [("text", "what is this?")];
    let none = house
        .post(&format!("{path}/question"), "auditor", &question)
        .await;
    assert_eq!(none.status, 403);
    let plain = [("text", "which <b>order</b>?")];
    let asked = house
        .post(&format!("{path}/question"), "approver", &plain)
        .await;
    assert_eq!(asked.status, 303, "{}", asked.text);
    let answer = [("text", "A-118")];
    let answered = house
        .post(&format!("{path}/answer"), "developer", &answer)
        .await;
    assert_eq!(answered.status, 303, "{}", answered.text);
    let page = house
        .open(&format!("/approvals?id={id}"), "approver")
        .await
        .text;
    assert!(
        page.contains("which &#60;b&#62;order") && page.contains("A-118"),
        "{page}"
    );
    let yes = house
        .post(&format!("{path}/approve"), "approver", &[])
        .await;
    assert_eq!(
        yes.header("location"),
        "/approvals?view=mine&done=approved",
        "{}",
        yes.text
    );
    let decided = house.open("/approvals?view=decided", "approver").await.text;
    assert!(decided.contains("id=\"funnel\"") && decided.contains("1 asked, 1 approved"));
}

#[tokio::test]
async fn other_arguments_are_a_no_and_come_back_as_a_difference() {
    let house = House::new().await;
    let id = asked(&house, "developer").await;
    let path = format!("/approvals/{id}");
    let broken = [("args", "{")];
    let broken = house
        .post(&format!("{path}/edit"), "approver", &broken)
        .await;
    assert_eq!(broken.status, 400);
    let args = [("args", "{\"order\": \"A-118\", \"amount\": 10}")];
    let done = house.post(&format!("{path}/edit"), "approver", &args).await;
    assert_eq!(
        done.header("location"),
        "/approvals?view=mine&done=edited",
        "{}",
        done.text
    );
    let page = house.open(&path, "developer").await.text;
    harmless(&page);
    assert!(
        page.contains("Proposed instead") && page.contains("class=\"added\""),
        "{page}"
    );
    let yes = house
        .post(&format!("{path}/approve"), "approver", &[])
        .await;
    assert!(yes.status >= 400, "it is settled");
}

#[tokio::test]
async fn an_open_tab_does_not_keep_a_session_alive() {
    let house = House::new().await;
    let org = house.org("acme");
    let secret = house.secrets[&("acme", "approver")].clone();
    let seen = house
        .issuer
        .watch_session(&org, &secret)
        .await
        .unwrap()
        .seen;
    let limits = house.issuer.session_limits(&org).unwrap();
    let half = std::time::Duration::from_secs(u64::from(limits.idle_s) / 2 + 1);
    house.clock.advance(half);
    let answer = house.open("/live", "approver").await;
    assert_eq!(answer.status, 200);
    let now = house
        .issuer
        .watch_session(&org, &secret)
        .await
        .unwrap()
        .seen;
    assert_eq!(now, seen, "looking is no use");
    house.clock.advance(half);
    assert!(
        house.issuer.watch_session(&org, &secret).await.is_err(),
        "its idle time is over"
    );
}
