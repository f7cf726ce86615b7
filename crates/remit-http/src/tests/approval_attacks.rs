//! Attacks on approvals, from outside: as an agent over MCP, as people over REST. Each is refused with its own reason.

use std::sync::atomic::Ordering;

use remit_books::Change;
use remit_domain::approval::Approval;
use remit_domain::{ApprovalId, Tool};
use serde_json::{Value, json};

use super::house::House;
use super::mcp::modern;

const POLICY: &str = "
apiVersion: remit.dev/v1
kind: PolicySet
metadata: { name: refunds }
spec:
  text: |
    @id(\"asks\") @text(\"a refund needs an approver\") @approvers(\"role:approver\")
    forbid (principal, action == Action::\"orders/refund\", resource) unless { context.approved };
";

/// A house in which a refund asks an approver, and a token of the agent.
struct Scene {
    house: House,
    token: String,
}

impl Scene {
    async fn new() -> Self {
        let house = House::new().await;
        let admin = house.person("admin").to_owned();
        let documents = json!({ "documents": POLICY });
        house.applied("/api/v1", &admin, documents).await;
        let token = house.token("acme", "/mcp").await;
        Self { house, token }
    }

    /// What the agent is told when it calls.
    async fn call(&self, args: Value) -> String {
        let params = json!({ "name": "orders__refund", "arguments": args });
        let request = modern("/mcp", &self.token, "tools/call", params);
        self.house.send(request).await.text
    }

    async fn asked(&self, args: Value) -> String {
        let told = self.call(args).await;
        let at = told
            .find("apr_")
            .unwrap_or_else(|| panic!("nobody was asked: {told}"));
        told.get(at..at + 30).unwrap().to_owned()
    }

    /// Status and refusal code of what a person says.
    async fn says(&self, who: &'static str, verb: &str, id: &str, body: Value) -> (u16, String) {
        let token = self.house.person(who).to_owned();
        self.says_with(&token, verb, id, body).await
    }

    async fn says_with(&self, token: &str, verb: &str, id: &str, body: Value) -> (u16, String) {
        let path = format!("/api/v1/approvals/{id}/{verb}");
        let answer = self.house.post(&path, token, body).await;
        let told = answer.json();
        let code = told["code"].as_str().unwrap_or_default();
        (answer.status, code.to_owned())
    }

    async fn yes(&self, id: &str) {
        let (status, code) = self.says("approver", "approve", id, json!({})).await;
        assert_eq!(status, 200, "{code}");
    }

    fn reached(&self) -> u32 {
        self.house.shop.called.load(Ordering::SeqCst)
    }

    async fn stored(&self, id: &str) -> remit_books::Versioned<Approval> {
        let org = self.house.org("acme");
        let found = self.house.books.get::<Approval>(&org, id).await;
        found.unwrap().unwrap()
    }
}

impl House {
    fn org(&self, name: &str) -> remit_domain::OrgId {
        self.books.org_named(name).unwrap().id.clone()
    }
}

fn refund(amount: u32) -> Value {
    json!({ "amount": amount })
}

#[tokio::test]
async fn a_replay_asks_anew_and_nobody_approves_what_was_used() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    s.yes(&id).await;
    assert!(s.call(refund(5)).await.contains("done"));
    let again = s.call(refund(5)).await;
    assert!(again.contains("PENDING") && !again.contains(&id), "{again}");
    let late = s.says("approver", "approve", &id, json!({})).await;
    assert_eq!(late, (403, "approval-used".to_owned()));
    assert_eq!(s.reached(), 1);
}

#[tokio::test]
async fn a_changed_argument_is_another_call_and_so_is_one_that_only_looks_the_same() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    s.yes(&id).await;
    for other in [
        refund(6),
        json!({ "amount": 5, "note": "" }),
        json!({ "amount": 5, "\u{430}mount": 500 }),
        json!({ "amount": 5, "note": "A\u{200b}" }),
    ] {
        let told = s.call(other.clone()).await;
        assert!(
            !told.contains("done") && !told.contains(&id),
            "{other}: {told}"
        );
    }
    assert_eq!(s.reached(), 0);
    assert!(s.call(refund(5)).await.contains("done"));
}

#[tokio::test]
async fn a_changed_definition_stops_the_call_and_is_another_call_afterwards() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    s.yes(&id).await;
    let org = s.house.org("acme");
    let found = s.house.books.get::<Tool>(&org, "orders/refund").await;
    let mut found = found.unwrap().unwrap();
    found.noun.definition.hash = "ab".repeat(32);
    let change = Change::new().update(&found.noun, found.revision).restrict();
    s.house.books.commit(&org, change).await.unwrap();
    let told = s.call(refund(5)).await;
    assert!(!told.contains("done") && !told.contains(&id), "{told}");
    assert_eq!(s.reached(), 0);
}

#[tokio::test]
async fn a_changed_policy_makes_it_stale() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    s.yes(&id).await;
    let admin = s.house.person("admin").to_owned();
    // Another policy asks, too: the yes was not for what that asks.
    let another = POLICY
        .replace("name: refunds", "name: more")
        .replace("role:approver", "role:admin");
    let documents = json!({ "documents": another });
    s.house.applied("/api/v1", &admin, documents).await;
    let told = s.call(refund(5)).await;
    assert!(told.contains("STALE"), "{told}");
    let late = s.says("approver", "approve", &id, json!({})).await;
    assert_eq!(late, (403, "approval-stale".to_owned()));
    assert_eq!(s.reached(), 0);
}

#[tokio::test]
async fn what_waited_too_long_is_over() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    s.house.clock.advance(std::time::Duration::from_secs(3_601));
    let late = s.says("approver", "approve", &id, json!({})).await;
    assert_eq!(late, (403, "approval-expired".to_owned()));
}

#[tokio::test]
async fn another_organizations_approver_and_an_agent_are_nobody() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    let stranger = s.house.people[&("globex", "approver")].clone();
    let (status, _) = s.says_with(&stranger, "approve", &id, json!({})).await;
    assert_eq!(status, 401);
    let path = format!("/t/globex/api/v1/approvals/{id}/approve");
    let there = s.house.post(&path, &stranger, json!({})).await;
    assert_eq!(
        (there.status, &there.json()["code"]),
        (404, &json!("not-found"))
    );
    let agent = s.house.token("acme", "/api/v1").await;
    let (status, code) = s.says_with(&agent, "approve", &id, json!({})).await;
    assert_eq!((status, code.as_str()), (403, "forbidden"));
    for who in ["auditor", "developer", "admin", "nobody"] {
        let refused = s.says(who, "approve", &id, json!({})).await;
        assert_eq!(refused, (403, "forbidden".to_owned()), "{who}");
    }
}

#[tokio::test]
async fn nobody_approves_for_themselves_nor_through_a_second_identity() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    // The run acts for whoever made the approver: root made both, so the one stands behind the other.
    let org = s.house.org("acme");
    let (root, approver) = {
        let book = s.house.books.org(&org).unwrap();
        let registry = book.registry();
        let named = |name: &str| registry.person_named(name).unwrap().id.clone();
        (named("root@acme.example"), named("approver@acme.example"))
    };
    for (requester, why) in [(approver, "acts for you"), (root, "created or enrolled by")] {
        let mut found = s.stored(&id).await;
        found.noun.person = Some(requester);
        let change = Change::new().update(&found.noun, found.revision);
        s.house.books.commit(&org, change).await.unwrap();
        let path = format!("/api/v1/approvals/{id}/approve");
        let token = s.house.person("approver").to_owned();
        let refused = s.house.post(&path, &token, json!({})).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (403, &json!("forbidden"))
        );
        assert!(refused.text.contains(why), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_double_click_and_two_approvers_at_once_are_one_yes() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    let (a, b) = tokio::join!(
        s.says("approver", "approve", &id, json!({})),
        s.says("approver", "approve", &id, json!({}))
    );
    let mut both = [a.0, b.0];
    both.sort_unstable();
    assert_eq!(both, [200, 409], "{a:?} {b:?}");
    assert_eq!(s.stored(&id).await.noun.verdicts.len(), 1);
    assert!(s.call(refund(5)).await.contains("done"));
    let told = s.call(refund(5)).await;
    assert!(!told.contains("done"), "{told}");
    assert_eq!(s.reached(), 1);
}

#[tokio::test]
async fn what_was_cancelled_is_not_approved_and_lets_nothing_pass() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    let token = s.house.person("responder").to_owned();
    let target = json!({ "type": "agent", "name": "returns-bot" });
    let stop = json!({ "target": target, "level": "suspend", "reason": "x" });
    let stopped = s.house.post("/api/v1/containments", &token, stop).await;
    assert!(stopped.status < 300, "{}", stopped.text);
    let late = s.says("approver", "approve", &id, json!({})).await;
    assert_eq!(late, (403, "approval-cancelled".to_owned()));
    assert!(!s.call(refund(5)).await.contains("done"));
    assert_eq!(s.reached(), 0);
}

#[tokio::test]
async fn a_yes_that_was_taken_back_lets_nothing_pass() {
    let s = Scene::new().await;
    let id = s.asked(refund(5)).await;
    s.yes(&id).await;
    let (status, code) = s.says("approver", "withdraw", &id, json!({})).await;
    assert_eq!(status, 200, "{code}");
    let told = s.call(refund(5)).await;
    assert!(told.contains("PENDING") && !told.contains(&id), "{told}");
    let late = s.says("approver", "approve", &id, json!({})).await;
    assert_eq!(late, (403, "approval-withdrawn".to_owned()));
    assert_eq!(s.reached(), 0);
    assert!(id.parse::<ApprovalId>().is_ok());
}
