//! Governing by hand: policies by two people, settings, limits, freezes and the breaker, each by the rules of control.

use super::house::House;

const FORBID: &str = "@id(\"no-status\")\n@text(\"nobody looks\")\nforbid (principal, action, resource) when { false };\n";

/// The page that an action led to.
fn led_to(location: &str) -> String {
    location.split('?').next().unwrap().to_owned()
}

#[tokio::test]
async fn policies_go_live_by_two_people_and_back_in_one_step() {
    let house = House::new().await;
    let text = "forbid(principal, action, resource) when { false };";
    let form = [("title", "try"), ("set", "extra"), ("text", text)];
    let nobody = house.post("/policies/propose", "approver", &form).await;
    assert_eq!(nobody.status, 403);
    let wrong = [
        ("title", "try"),
        ("set", "extra"),
        ("text", "permit(principal,"),
    ];
    let wrong = house.post("/policies/propose", "developer", &wrong).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert!(
        wrong.text.contains("do not compile") && wrong.text.contains("permit(principal,"),
        "what was typed is kept: {}",
        wrong.text
    );
    let made = house.post("/policies/propose", "developer", &form).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let at = led_to(made.header("location"));
    let page = house.open(&at, "developer").await.text;
    assert!(
        page.contains("Difference") && page.contains("only adds policies that forbid"),
        "{page}"
    );
    assert!(!page.contains("Make it live"), "nobody has approved it");
    // Who proposed it does not approve it, and nothing is live before an administrator makes it so.
    let own = house.post(&format!("{at}/approve"), "developer", &[]).await;
    assert_eq!(own.status, 403);
    let early = house.post(&format!("{at}/enforce"), "admin", &[]).await;
    assert_eq!(early.status, 409, "{}", early.text);
    let yes = house
        .post(&format!("{at}/approve"), "vera", &[("comment", "fine")])
        .await;
    assert_eq!(yes.status, 303, "{}", yes.text);
    let staged = house.post(&format!("{at}/stage"), "admin", &[]).await;
    assert_eq!(staged.header("location"), "/policies/shadow?done=staged");
    let shadow = house
        .open("/policies/shadow?done=staged", "admin")
        .await
        .text;
    assert!(shadow.contains("action=\"/policies/unstage\"") && shadow.contains("Undo"));
    let live = house.post(&format!("{at}/enforce"), "admin", &[]).await;
    assert_eq!(live.status, 303, "{}", live.text);
    let caller = house.caller("acme", "admin").await;
    let first = house.control.policy_stage(&caller).unwrap();
    assert!(
        house
            .open("/policies/rollback", "admin")
            .await
            .text
            .contains("Nothing to go back to")
    );
    second(&house).await;
    let page = house.open("/policies/rollback", "admin").await.text;
    assert!(page.contains("Make this bundle live again"), "{page}");
    let back = house.post("/policies/rollback", "admin", &[]).await;
    assert_eq!(back.status, 303, "{}", back.text);
    // It takes a policy away, so nothing has changed before somebody else agrees.
    let at = led_to(back.header("location"));
    for verb in ["approve", "enforce"] {
        let done = house.post(&format!("{at}/{verb}"), "vera", &[]).await;
        assert_eq!(done.status, 303, "{}", done.text);
    }
    let now = house.control.policy_stage(&caller).unwrap();
    assert_eq!(now.live, first.live);
}

/// Another bundle, proposed and made live.
async fn second(house: &House) {
    let more = [("title", "more"), ("set", "extra"), ("text", FORBID)];
    let made = house.post("/policies/propose", "developer", &more).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let at = led_to(made.header("location"));
    for verb in ["approve", "enforce"] {
        let done = house.post(&format!("{at}/{verb}"), "vera", &[]).await;
        assert_eq!(done.status, 303, "{}", done.text);
    }
}

#[tokio::test]
async fn tests_simulations_and_proofs_answer_and_change_nothing() {
    let house = House::new().await;
    let tests = house.open("/policies/tests?days=7", "developer").await;
    assert!(
        tests.text.contains("Coverage") && tests.text.contains("No test cases"),
        "{}",
        tests.text
    );
    let days = [("days", "7")];
    let simulated = house.post("/policies/simulate", "auditor", &days).await;
    assert!(
        simulated.text.contains("What would change"),
        "{}",
        simulated.text
    );
    let gone = [("days", "7"), ("bundle", "no-such")];
    let gone = house.post("/policies/simulate", "auditor", &gone).await;
    assert_eq!(gone.status, 404);
    assert_eq!(
        house
            .post("/policies/simulate", "nobody", &days)
            .await
            .status,
        403
    );
    let proved = house.post("/policies/prove", "developer", &[]).await;
    assert!(
        proved.text.contains("nothing is proved") && proved.text.contains("unproved"),
        "without a solver it says so: {}",
        proved.text
    );
    let asked = [
        ("policy", "guardrail/intent"),
        ("agent", "returns-bot"),
        ("hours", "24"),
        ("reason", "r"),
    ];
    let never = house
        .post("/policies/exceptions", "developer", &asked)
        .await;
    assert_eq!(
        never.status, 400,
        "no exception from a guardrail: {}",
        never.text
    );
}

#[tokio::test]
async fn rules_on_calls_are_set_and_switched_by_administrators_alone() {
    let house = House::new().await;
    let setting = [
        ("name", "tool:orders/refund"),
        ("value", "deny"),
        ("locked", "1"),
        ("reason", "no refunds today"),
    ];
    assert_eq!(
        house.post("/rules", "developer", &setting).await.status,
        403
    );
    let set = house.post("/rules", "admin", &setting).await;
    assert_eq!(set.status, 303, "{}", set.text);
    let explained = house
        .open("/rules/explain?tool=orders/refund", "nobody")
        .await
        .text;
    assert!(
        explained.contains("tool:orders/refund denies"),
        "{explained}"
    );
    // Never one's own.
    let own = [
        ("name", "person:admin@acme.example"),
        ("value", "flag"),
        ("reason", "r"),
    ];
    let own = house.post("/rules", "admin", &own).await;
    assert_eq!(own.status, 403);
    assert!(
        own.text.contains("Nobody writes settings for themselves"),
        "{}",
        own.text
    );
    let removed = [("name", "tool:orders/refund")];
    assert_eq!(
        house
            .post("/rules/setting/remove", "admin", &removed)
            .await
            .status,
        303
    );
}

#[tokio::test]
async fn limits_are_set_shown_and_switched_with_a_way_back() {
    let house = House::new().await;
    let limit = [
        ("name", "refunds"),
        ("measure", "sum"),
        ("arg", "amount"),
        ("max", "2000"),
        ("over", "day"),
        ("per", "sponsor"),
        ("tool", "orders/refund"),
        ("reason", "enough"),
    ];
    let made = house.post("/rules/limits", "admin", &limit).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let page = house.open("/rules/limits/refunds", "auditor").await.text;
    assert!(
        page.contains("kind: Limit") && page.contains("Nothing is used of it now"),
        "{page}"
    );
    let off = house.post("/rules/limits/refunds", "admin", &[]).await;
    let back = house.open(off.header("location"), "admin").await.text;
    assert!(
        back.contains("Switched.") && back.contains("Undo"),
        "{back}"
    );
    let caller = house.caller("acme", "admin").await;
    let name = "refunds".parse().unwrap();
    let state = house
        .control
        .limit(&caller, &name)
        .await
        .unwrap()
        .limit
        .state;
    assert_eq!(state, "disabled");
}

#[tokio::test]
async fn freezes_the_breaker_and_documents_are_checked_as_everywhere() {
    let house = House::new().await;
    let freeze = [
        ("name", "holidays"),
        ("from", "2026-11-20T00:00:00Z"),
        ("until", "2026-12-01T00:00:00Z"),
        ("reason", "everybody is away"),
    ];
    let made = house.post("/rules/freezes", "admin", &freeze).await;
    assert_eq!(made.status, 303, "{}", made.text);
    assert!(
        house
            .open("/rules/freezes/holidays", "nobody")
            .await
            .text
            .contains("holds now")
    );
    let breaker = [
        ("mode", "enforce"),
        ("window_secs", "60"),
        ("repeats", "1"),
        ("failure_percent", "50"),
        ("failure_calls", "20"),
    ];
    let wrong = house.post("/rules/breaker", "admin", &breaker).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert!(wrong.text.contains("value=\"1\""), "what was typed is kept");
    let document = format!(
        "apiVersion: remit.dev/v1\nkind: PolicySet\nmetadata: {{ name: strict }}\nspec:\n  text: {}\n",
        serde_json::to_string(FORBID).unwrap()
    );
    let sent = [
        ("document", document.as_str()),
        ("back", "https://elsewhere.example"),
    ];
    let applied = house.post("/rules/documents", "admin", &sent).await;
    let to = applied.header("location").to_owned();
    assert!(
        applied.status == 400 || to == "/rules?done=saved",
        "{to} {}",
        applied.text
    );
}
