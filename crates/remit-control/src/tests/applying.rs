//! Documents: planned, applied, and nothing left to do.

use remit_domain::{RefusalCode, Separation};
use remit_testkit::Script;
use serde_json::{Value, json};

use super::house::{AGENT, House, PEOPLE, code, email, listed, name};
use crate::spec::{DocumentKind, schema};
use crate::{Action, ControlError};

const POLICY: &str = "
apiVersion: remit.dev/v1
kind: PolicySet
metadata: { name: extra }
spec:
  text: |
    @id(\"no-refunds-on-sunday\")
    forbid (principal, action, resource) when { context.nothing == 1 };
";

#[tokio::test]
async fn a_second_plan_is_empty() {
    let house = House::new(Separation::Dual).await;
    let all = format!("{PEOPLE}---{AGENT}");
    let plan = house.control.plan(&house.admin(), &all).unwrap();
    assert_eq!(plan.errors, []);
    assert!(
        plan.changes.iter().all(|c| c.action == Action::None),
        "{plan:#?}"
    );
    assert_eq!(plan.changes.len(), 8);
    let before = house
        .control
        .books()
        .store()
        .entry_count(&house.org)
        .await
        .unwrap();
    let applied = house.apply(&all).await;
    assert!(applied.changes.is_empty());
    assert_eq!(
        house
            .control
            .books()
            .store()
            .entry_count(&house.org)
            .await
            .unwrap(),
        before
    );
    // Activation sets the next review, and that is no change of the document's either.
    house
        .control
        .activate_agent(&house.as_("sponsor"), &name("returns-bot"))
        .await
        .unwrap();
    assert_eq!(house.control.plan(&house.admin(), &all).unwrap().update, 0);
}

#[tokio::test]
async fn a_plan_says_what_and_changes_nothing() {
    let house = House::empty(Separation::Dual).await;
    let before = house
        .control
        .books()
        .store()
        .entry_count(&house.org)
        .await
        .unwrap();
    let plan = house.control.plan(&house.admin(), PEOPLE).unwrap();
    assert_eq!(
        house
            .control
            .books()
            .store()
            .entry_count(&house.org)
            .await
            .unwrap(),
        before
    );
    assert_eq!((plan.create, plan.update), (6, 0));
    // People come after the team and before the system; the manager before the managed.
    let order: Vec<_> = plan.changes.iter().map(|c| c.name.as_str()).collect();
    let place = |n: &str| order.iter().position(|o| *o == n).unwrap();
    assert!(place("support") < place("sponsor@acme.example"));
    assert!(place("sponsor@acme.example") < place("owner@acme.example"));
    assert!(place("owner@acme.example") < place("shop") && place("shop") < place("orders"));
    house.apply(PEOPLE).await;
    let changed = PEOPLE.replace("criticality: high", "criticality: low");
    let plan = house.control.plan(&house.admin(), &changed).unwrap();
    let shop = plan
        .changes
        .iter()
        .find(|c| c.action != Action::None)
        .unwrap();
    assert_eq!(
        (shop.name.as_str(), shop.action, shop.diff.len()),
        ("shop", Action::Update, 1)
    );
    assert_eq!(
        (
            shop.diff[0].field.as_str(),
            &shop.diff[0].before,
            &shop.diff[0].after
        ),
        ("criticality", &json!("high"), &json!("low"))
    );
}

#[tokio::test]
async fn a_plan_that_was_looked_at_is_the_one_applied() {
    let house = House::new(Separation::Dual).await;
    let text = PEOPLE.replace("display_name: Owner", "display_name: The Owner");
    let plan = house.control.plan(&house.admin(), &text).unwrap();
    let mut other = house
        .control
        .person(&house.admin(), &email("owner"))
        .unwrap()
        .spec;
    other.display_name = "Somebody".to_owned();
    house
        .control
        .put_person(&house.admin(), &email("owner"), other, None)
        .await
        .unwrap();
    assert_eq!(
        code(
            house
                .control
                .apply(&house.admin(), &text, Some(&plan.hash))
                .await
        ),
        RefusalCode::Conflict
    );
    let plan = house.control.plan(&house.admin(), &text).unwrap();
    let applied = house
        .control
        .apply(&house.admin(), &text, Some(&plan.hash))
        .await
        .unwrap();
    assert_eq!(applied.changes.len(), 1);
}

#[tokio::test]
async fn mistakes_are_named_with_their_place_before_anything_changes() {
    let house = House::empty(Separation::Dual).await;
    let text = PEOPLE
        .replace("teams: [support]", "teams: [suport]")
        .replace("system: shop", "system: shopp");
    let Err(ControlError::Documents(problems)) =
        house.control.apply(&house.admin(), &text, None).await
    else {
        panic!("it was applied");
    };
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].line == 7 && problems[0].message.contains("suport"),
        "{problems:?}"
    );
    let unknown = house
        .control
        .plan(&house.admin(), &PEOPLE.replace("criticality:", "critical:"))
        .unwrap();
    assert_eq!(unknown.errors.len(), 1);
    assert!(
        unknown.errors[0].line == 25 && unknown.errors[0].message.contains("critical"),
        "{unknown:?}"
    );
    assert!(
        house
            .control
            .people(&house.admin(), &Default::default())
            .unwrap()
            .items
            .len()
            == 1
    );
    let circle = PEOPLE.replace(
        "display_name: Sponsor,",
        "display_name: Sponsor, manager: owner@acme.example,",
    );
    let plan = house.control.plan(&house.admin(), &circle).unwrap();
    assert_eq!(plan.errors.len(), 2, "{plan:#?}");
}

#[tokio::test]
async fn all_of_it_is_applied_or_nothing() {
    let house = House::new(Separation::Dual).await;
    let changed = PEOPLE.replace("display_name: Deputy", "display_name: The Deputy");
    let text = format!("{changed}---{POLICY}");
    // The policy names what is not in the schema: plan says so where it is, and apply says the same.
    let plan = house.control.plan(&house.admin(), &text).unwrap();
    assert_eq!(plan.errors.len(), 1, "{plan:?}");
    let problem = &plan.errors[0];
    assert!(
        problem.message.contains("PolicySet `extra`") && problem.message.contains("extra:2:"),
        "{problem}"
    );
    let Err(ControlError::Documents(problems)) =
        house.control.apply(&house.admin(), &text, None).await
    else {
        panic!("it was applied");
    };
    assert_eq!(problems, plan.errors);
    let deputy = house.control.person(&house.admin(), &email("deputy"));
    assert_eq!(deputy.unwrap().spec.display_name, "Deputy");
    // A set that is off is held against the schema too.
    let off = format!("{}  enabled: false\n", text);
    assert_eq!(
        house
            .control
            .plan(&house.admin(), &off)
            .unwrap()
            .errors
            .len(),
        1
    );
    let applied = house.control.apply(&house.admin(), &off, None).await;
    assert!(matches!(applied, Err(ControlError::Documents(_))));
    let again = text.replace("context.nothing == 1", "false");
    let applied = house.apply(&again).await;
    assert_eq!(applied.changes.len(), 2);
    assert_eq!(
        house.control.plan(&house.admin(), &again).unwrap().update,
        0
    );
    let view = house
        .control
        .policy_set(&house.admin(), &name("extra"))
        .await
        .unwrap();
    assert_eq!(
        (view.state, view.by.as_str()),
        ("active", "admin@acme.example")
    );
}

#[tokio::test]
async fn a_tool_is_synced_before_it_is_classified_and_plan_says_so() {
    let other = House::new(Separation::Dual).await;
    let hash = other
        .classification("orders/refund", "write")
        .definition_hash;
    let tool = format!(
        "
apiVersion: remit.dev/v1
kind: Tool
metadata: {{ name: orders/refund }}
spec: {{ definition_hash: \"{hash}\", effect: write }}
"
    );
    let house = House::empty(Separation::Dual).await;
    house.upstreams.script(Script::Answer(
        json!({ "tools": [listed("refund", "refunds")] }),
    ));
    let all = format!("{PEOPLE}---{tool}---{AGENT}");
    let plan = house.control.plan(&house.admin(), &all).unwrap();
    // The workflow that grants the tool is not blamed too.
    assert_eq!(plan.errors.len(), 1, "{plan:?}");
    assert!(
        plan.errors[0]
            .message
            .contains("remit upstream sync orders"),
        "{plan:?}"
    );
    assert!(matches!(
        house.control.apply(&house.admin(), &all, None).await,
        Err(ControlError::Documents(_))
    ));
    let grants = house
        .control
        .plan(&house.admin(), &format!("{PEOPLE}---{AGENT}"))
        .unwrap();
    assert!(
        grants.errors[0]
            .message
            .contains("remit upstream sync orders"),
        "{grants:?}"
    );
    house.apply(PEOPLE).await;
    house
        .control
        .sync_upstream(&house.admin(), &"orders".parse().unwrap())
        .await
        .unwrap();
    house.apply(&all).await;
    let plan = house.control.plan(&house.admin(), &all).unwrap();
    assert_eq!(
        (plan.create, plan.update, plan.errors.len()),
        (0, 0, 0),
        "{plan:#?}"
    );
    // Another definition than the one that was read is not approved.
    let wrong = tool.replace(&hash, &"0".repeat(64));
    let plan = house.control.plan(&house.admin(), &wrong).unwrap();
    assert!(plan.errors[0].message.contains(&hash), "{plan:?}");
}

#[tokio::test]
async fn plan_refuses_what_apply_would() {
    let house = House::new(Separation::Dual).await;
    let admin = "
apiVersion: remit.dev/v1
kind: Person
metadata: { name: admin@acme.example }
spec: { display_name: Admin, roles: [admin, approver] }
";
    let no_admin = admin.replace("[admin, approver]", "[auditor]");
    let cases = [
        (admin.to_owned(), "for themselves"),
        (no_admin, "for themselves"),
        (
            admin.replace("[admin, approver]", "[]"),
            "the last administrator",
        ),
        (
            PEOPLE.replace("display_name: Deputy", "display_name: \"\""),
            "display_name",
        ),
    ];
    for (text, why) in cases {
        let plan = house.control.plan(&house.admin(), &text).unwrap();
        assert!(
            plan.errors.iter().any(|e| e.message.contains(why)),
            "{text}: {plan:?}"
        );
        let Err(ControlError::Documents(problems)) =
            house.control.apply(&house.admin(), &text, None).await
        else {
            panic!("it was applied: {text}");
        };
        assert_eq!(problems, plan.errors);
    }
}

/// Words that are in the documents, and what a slip of the pen, or of judgement, makes of them.
const SLIPS: [(&str, &str); 12] = [
    ("teams: [support]", "teams: [nobody]"),
    ("criticality: high", "criticality: low"),
    ("system: shop", "system: other"),
    ("display_name: Owner", "display_name: \"\""),
    ("tier: 4", "tier: 1"),
    ("tier: 3", "tier: 4"),
    ("owner: owner@acme.example", "owner: gone@acme.example"),
    ("owner: owner@acme.example", "owner: deputy@acme.example"),
    (
        "sponsor: sponsor@acme.example",
        "sponsor: owner@acme.example",
    ),
    ("tool: orders/refund", "tool: orders/refnd"),
    ("name: returns-bot", "name: other-bot"),
    ("effect: write", "effect: read"),
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn what_plan_accepts_apply_accepts(
        slips in proptest::collection::vec(0..SLIPS.len(), 0..4),
        single: bool,
        active: bool,
        fresh: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let separation = if single { Separation::Single } else { Separation::Dual };
            let house = if fresh { House::empty(separation).await } else { House::new(separation).await };
            if active && !fresh {
                house.control.activate_agent(&house.as_("sponsor"), &name("returns-bot")).await.unwrap();
            }
            let text = slips.iter().fold(format!("{PEOPLE}---{AGENT}"), |text, slip| {
                let (is, becomes) = SLIPS[*slip];
                text.replace(is, becomes)
            });
            let plan = house.control.plan(&house.admin(), &text).unwrap();
            let applied = house.control.apply(&house.admin(), &text, Some(&plan.hash)).await;
            match applied {
                Ok(applied) => {
                    assert_eq!(plan.errors, [], "apply took what plan refused");
                    assert_eq!(applied.changes.len(), plan.create + plan.update);
                    let again = house.control.plan(&house.admin(), &text).unwrap();
                    assert_eq!((again.create, again.update, again.errors), (0, 0, Vec::new()));
                }
                Err(ControlError::Documents(problems)) => assert_eq!(problems, plan.errors),
                Err(other) => panic!("plan: {plan:?}; apply: {other}"),
            }
        });
    }
}

#[tokio::test]
async fn policies_are_checked_with_their_place_and_nothing_goes_live() {
    let house = House::new(Separation::Dual).await;
    let text = "forbid (principal, action, resource) when { context.nothing == 1 };";
    let found = house
        .control
        .validate_policies(&house.as_("owner"), &name("x"), text)
        .unwrap();
    assert!(!found.valid && found.problems[0].line >= 1, "{found:?}");
    assert!(
        house
            .control
            .policy_sets(&house.admin(), &Default::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert!(
        house
            .control
            .policy_schema(&house.admin())
            .unwrap()
            .contains("refund")
    );
    let spec = serde_json::from_value(json!({ "text": text, "enabled": false })).unwrap();
    assert!(matches!(
        house
            .control
            .put_policy_set(&house.admin(), &name("x"), spec, None)
            .await,
        Err(ControlError::Policy(_))
    ));
}

#[test]
fn every_kind_has_a_schema_that_refuses_unknown_fields() {
    for kind in DocumentKind::ALL {
        let schema = serde_json::to_value(schema(kind)).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["kind"]["const"], kind.as_str());
        let at = schema["properties"]["spec"]["$ref"]
            .as_str()
            .unwrap()
            .trim_start_matches('#');
        let spec = schema.pointer(at).unwrap();
        assert_eq!(spec["additionalProperties"], Value::Bool(false), "{kind:?}");
    }
}
