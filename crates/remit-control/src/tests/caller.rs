//! Who may ask: no agent, anything; no operator, anything inside; nobody, beyond their roles or organization.

use remit_domain::{Principal, RefusalCode, Separation};
use serde_json::json;

use super::house::{House, PEOPLE, code, email, key, name, wf};
use crate::spec::OrganizationSpec;
use crate::{Caller, Control};

/// The code each method refuses `caller` with.
#[expect(
    clippy::too_many_lines,
    reason = "a list with one line a method, none left out"
)]
async fn refusals(
    control: &Control,
    caller: &Caller,
    house: &House,
) -> Vec<(&'static str, RefusalCode)> {
    let (bot, who, query, tool) = (
        name("returns-bot"),
        email("owner"),
        Default::default(),
        "orders/refund".parse().unwrap(),
    );
    let orders = "orders".parse().unwrap();
    let person = control.person(&house.admin(), &who).unwrap().spec;
    let agent = control.agent(&house.admin(), &bot).unwrap().spec.unwrap();
    let system = control
        .system(&house.admin(), &name("shop"))
        .unwrap()
        .spec
        .unwrap();
    let upstream = control
        .upstream(&house.admin(), &orders)
        .unwrap()
        .spec
        .unwrap();
    let refund = wf("returns-bot/refund");
    let workflow = control.workflow(&house.admin(), &refund).unwrap().spec;
    let set = serde_json::from_value(json!({ "text": "" })).unwrap();
    let finding = control.books().id(remit_domain::FindingId::from_uuid);
    vec![
        ("organization", code(control.organization(caller))),
        (
            "put_organization",
            code(
                control
                    .put_organization(
                        caller,
                        OrganizationSpec {
                            separation: Separation::Single,
                            sessions: Default::default(),
                            hygiene: Default::default(),
                            regulated: Default::default(),
                            bound_tokens: false,
                            wit_svids: false,
                        },
                        None,
                    )
                    .await,
            ),
        ),
        ("teams", code(control.teams(caller, &query))),
        (
            "put_team",
            code(
                control
                    .put_team(caller, &name("t"), Default::default(), None)
                    .await,
            ),
        ),
        ("people", code(control.people(caller, &query))),
        ("person", code(control.person(caller, &who))),
        (
            "put_person",
            code(control.put_person(caller, &who, person, None).await),
        ),
        ("leave", code(control.leave(caller, &who).await)),
        ("systems", code(control.systems(caller, &query))),
        (
            "put_system",
            code(
                control
                    .put_system(caller, &name("shop"), system, None)
                    .await,
            ),
        ),
        ("agents", code(control.agents(caller, &query))),
        ("agent", code(control.agent(caller, &bot))),
        (
            "put_agent",
            code(control.put_agent(caller, &bot, agent, None).await),
        ),
        ("completeness", code(control.completeness(caller, &bot))),
        ("activate", code(control.activate_agent(caller, &bot).await)),
        (
            "suspend",
            code(control.suspend_agent(caller, &bot, "x").await),
        ),
        (
            "resume",
            code(control.resume_agent(caller, &bot, "x").await),
        ),
        (
            "retire",
            code(control.retire_agent(caller, &bot, "x").await),
        ),
        (
            "transfer",
            code(
                control
                    .transfer_agent(caller, &bot, Default::default())
                    .await,
            ),
        ),
        ("keys", code(control.keys(caller, &bot))),
        (
            "add_key",
            code(control.add_key(caller, &bot, &key(50)).await),
        ),
        (
            "remove_key",
            code(control.remove_key(caller, &bot, "x").await),
        ),
        ("workflows", code(control.workflows(caller, &bot, &query))),
        (
            "put_workflow",
            code(control.put_workflow(caller, &refund, workflow, None).await),
        ),
        ("upstreams", code(control.upstreams(caller, &query))),
        (
            "put_upstream",
            code(control.put_upstream(caller, &orders, upstream, None).await),
        ),
        ("sync", code(control.sync_upstream(caller, &orders).await)),
        ("tools", code(control.tools(caller, None, &query))),
        ("tool", code(control.tool(caller, &tool))),
        (
            "put_tool",
            code(
                control
                    .put_tool(
                        caller,
                        &tool,
                        house.classification("orders/refund", "read"),
                        None,
                    )
                    .await,
            ),
        ),
        (
            "disable_tool",
            code(control.disable_tool(caller, &tool, "x").await),
        ),
        (
            "policy_sets",
            code(control.policy_sets(caller, &query).await),
        ),
        (
            "put_policy_set",
            code(control.put_policy_set(caller, &name("p"), set, None).await),
        ),
        (
            "validate",
            code(control.validate_policies(caller, &name("p"), "")),
        ),
        ("schema", code(control.policy_schema(caller))),
        ("plan", code(control.plan(caller, PEOPLE))),
        ("apply", code(control.apply(caller, PEOPLE, None).await)),
        ("findings", code(control.findings(caller, &query).await)),
        (
            "close_finding",
            code(control.close_finding(caller, &finding, "x").await),
        ),
    ]
}

#[tokio::test]
async fn agents_and_the_operator_are_refused_everywhere() {
    let house = House::active().await;
    let agent = house
        .control
        .caller(&house.org, Principal::Agent(house.agent_id()));
    // Not even with a person put beside it.
    let disguised = Caller {
        person: house.admin().person,
        ..agent.clone()
    };
    let operator = Caller {
        org: house.org.clone(),
        ..house.control.operator().unwrap()
    };
    let before = house
        .control
        .books()
        .store()
        .entry_count(&house.org)
        .await
        .unwrap();
    for caller in [agent, disguised, operator] {
        for (method, code) in refusals(&house.control, &caller, &house).await {
            assert_eq!(
                code,
                RefusalCode::Forbidden,
                "{method} by {:?}",
                caller.principal
            );
        }
    }
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
    let agent = house
        .control
        .caller(&house.org, Principal::Agent(house.agent_id()));
    assert_eq!(
        code(house.control.organizations(&agent)),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(
            house
                .control
                .create_organization(&agent, name("evil"), Separation::Single)
                .await
        ),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(
            house
                .control
                .create_organization(&house.admin(), name("evil"), Separation::Single)
                .await
        ),
        RefusalCode::Forbidden
    );
}

#[tokio::test]
async fn a_person_of_one_organization_is_nobody_in_another() {
    let house = House::active().await;
    let operator = house.control.operator().unwrap();
    let other = house
        .control
        .create_organization(&operator, name("globex"), Separation::Dual)
        .await
        .unwrap();
    let stranger = house.control.caller(&other.id, house.admin().principal);
    assert_eq!(
        code(house.control.agents(&stranger, &Default::default())),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(
            house
                .control
                .create_organization(&operator, name("acme"), Separation::Dual)
                .await
        ),
        RefusalCode::Conflict
    );
    let names: Vec<_> = house
        .control
        .organizations(&operator)
        .unwrap()
        .into_iter()
        .map(|o| o.name.to_string())
        .collect();
    assert_eq!(names, ["acme", "globex"]);
}

#[tokio::test]
async fn people_without_a_role_read_and_change_nothing() {
    let house = House::active().await;
    let deputy = house.as_("deputy");
    assert!(house.control.agents(&deputy, &Default::default()).is_ok());
    let bot = name("returns-bot");
    assert_eq!(
        code(house.control.add_key(&deputy, &bot, &key(60)).await),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(
            house
                .control
                .sync_upstream(&deputy, &"orders".parse().unwrap())
                .await
        ),
        RefusalCode::Forbidden
    );
    assert_eq!(
        code(house.control.apply(&deputy, PEOPLE, None).await),
        RefusalCode::Forbidden
    );
    let refused = house
        .control
        .leave(&deputy, &email("owner"))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("admin"), "{refused}");
}

/// What the surfaces need: every future can move between threads.
#[test]
fn futures_are_send() {
    fn send<T: Send>(_: T) {}
    fn futures(control: &Control, caller: &Caller) {
        let bot = name("returns-bot");
        send(control.leave(caller, &email("owner")));
        send(control.activate_agent(caller, &bot));
        send(control.retire_agent(caller, &bot, "x"));
        send(control.transfer_agent(caller, &bot, Default::default()));
        send(control.remove_key(caller, &bot, "x"));
        send(control.apply(caller, "", None));
        send(control.disable_tool(caller, &"orders/refund".parse().unwrap(), "x"));
        send(control.revoke_delegation(
            caller,
            &control.books().id(remit_domain::DelegationId::from_uuid),
            "x",
        ));
        let ending =
            remit_books::Ending::because(Principal::Remit, remit_domain::run::RunEnd::Idle);
        send(control.books().end_run(
            &caller.org,
            &control.books().id(remit_domain::RunId::from_uuid),
            &ending,
        ));
    }
    let _ = futures;
}
