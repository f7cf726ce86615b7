//! Every target against everything that can be held.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::containment::Level;
use crate::{ContainmentId, Kind, Noun, Principal, Timestamp};

fn id(prefix: &str, n: u8) -> String {
    format!("{prefix}_{}{n}", "0".repeat(25))
}

fn noun<N: DeserializeOwned>(value: Value) -> N {
    serde_json::from_value(value).unwrap()
}

fn put<N: Noun + DeserializeOwned + serde::Serialize>(registry: &mut Registry, value: Value) -> N {
    let noun: N = noun(value.clone());
    registry.apply(N::KIND, &noun.key(), 1, &value).unwrap();
    noun
}

fn agent(registry: &mut Registry, n: u8, model: &str) {
    let per = id("per", 1);
    put::<Agent>(
        registry,
        json!({
            "id": id("agt", n), "name": format!("a{n}"), "owner": per, "sponsor": per, "deputy": null, "responsible_team": null,
            "platform_team": null, "purpose": "", "business_process": "", "model": model, "provider": "", "runtime": "",
            "environment": "production", "data_classes": [], "systems": [], "expected_actions": [], "tier": 3,
            "review_cadence_days": 90, "next_review": null, "enforcement": "gateway", "registered_by": per, "state": "active",
            "state_reason": null
        }),
    );
}

fn link(registry: &mut Registry, n: u8, from: Value, parent: Option<u8>, run: Option<u8>) {
    put::<Delegation>(
        registry,
        json!({
            "id": id("dlg", n), "person": id("per", 4), "from": from, "to": id("agt", n), "workflow": id("wf", n),
            "kind": "interactive", "authority": {}, "ticket": null, "depth_left": 3, "parent": parent.map(|n| id("dlg", n)),
            "run": run.map(|n| id("run", n)), "created": "2026-11-22T08:00:00Z", "expires": "2026-11-22T09:00:00Z",
            "state": "active"
        }),
    );
}

fn run(
    registry: &mut Registry,
    n: u8,
    agent: u8,
    (person, chain): (Option<u8>, &[u8]),
    parent: Option<u8>,
) -> Run {
    put(
        registry,
        json!({
            "id": id("run", n), "agent": id("agt", agent), "workflow": id("wf", agent), "mode": "api", "trigger": null,
            "intent": {}, "person": person.map(|n| id("per", n)),
            "chain": chain.iter().map(|n| id("dlg", *n)).collect::<Vec<_>>(), "parent": parent.map(|n| id("run", n)),
            "root": id("run", parent.unwrap_or(n)), "implicit_key": (n == 3).then_some("key-3"),
            "provenance": { "model": (n == 3).then_some("said") }, "started": "2026-11-22T08:00:00Z",
            "deadline": "2026-11-22T09:00:00Z", "idle_secs_max": 60, "state": "active"
        }),
    )
}

fn token(n: u8, run: &Run) -> Token {
    noun(json!({
        "id": id("crd", n), "agent": run.agent, "workflow": run.workflow, "run": run.id, "person": run.person,
        "delegation": null, "thumbprint": format!("key-{n}"), "bound_to": format!("bound-{n}"), "issued": "2026-11-22T08:00:00Z",
        "expires": "2026-11-22T08:05:00Z", "revoked": null
    }))
}

fn svid(n: u8, run: &Run, token: &Token) -> Svid {
    noun(json!({
        "id": id("crd", n), "form": "jwt", "agent": run.agent, "workflow": run.workflow, "instance": "i", "spiffe_id": "s",
        "run": run.id, "token": token.id, "bound_to": null, "attested": null, "audience": [], "certificate": null,
        "thumbprint": token.thumbprint, "issued": "2026-11-22T08:00:00Z", "expires": "2026-11-22T08:05:00Z", "withdrawn": null
    }))
}

fn approval(run: &Run, tool: &str, hash: &str) -> Approval {
    noun(json!({
        "id": id("apr", 1), "digest": "d", "decision": id("dec", 1), "agent": run.agent, "workflow": run.workflow, "run": run.id,
        "person": run.person, "tool": tool, "definition_hash": hash, "args": {}, "asks": [], "reasons": [],
        "requested": "2026-11-22T08:00:00Z", "expires": "2026-11-22T09:00:00Z", "verdicts": [], "state": "pending"
    }))
}

/// What each target holds of: the run of agent 1 for a person (1), the run of agent 2 below it (2), a run of agent 2 by itself (3);
/// with their tokens, SVIDs and approvals.
#[test]
#[expect(clippy::too_many_lines, reason = "one table, and what it is about")]
fn every_target_holds_what_rests_on_it_and_nothing_else() {
    let mut registry = Registry::default();
    agent(&mut registry, 1, "big");
    agent(&mut registry, 2, "small");
    let person = json!({ "type": "person", "id": id("per", 4) });
    link(&mut registry, 1, person, None, None);
    let first = run(&mut registry, 1, 1, (Some(4), &[1]), None);
    let parent = json!({ "type": "agent", "id": id("agt", 1) });
    link(&mut registry, 2, parent, Some(1), Some(1));
    let below = run(&mut registry, 2, 2, (Some(4), &[1, 2]), Some(1));
    let alone = run(&mut registry, 3, 2, (None, &[]), None);
    let runs = [&first, &below, &alone];
    let tokens: Vec<Token> = (1..=3)
        .map(|n| token(n, runs[usize::from(n) - 1]))
        .collect();
    let svids: Vec<Svid> = (0..3)
        .map(|n| svid(4 + n as u8, runs[n], &tokens[n]))
        .collect();
    let approvals = [
        approval(&first, "shop/refund", "h1"),
        approval(&below, "shop/status", "h2"),
        approval(&alone, "mail/send", "h1"),
    ];

    let some = |n: u8| format!("bound-{n}");
    let cases: Vec<(Target, [&str; 4])> = vec![
        (
            Target::Agent(noun(json!(id("agt", 1)))),
            ["12", "12", "12", "12"],
        ),
        (
            Target::Agent(noun(json!(id("agt", 2)))),
            ["23", "23", "23", "23"],
        ),
        (
            Target::Workflow(noun(json!(id("wf", 2)))),
            ["23", "23", "23", "23"],
        ),
        (Target::Run(below.id.clone()), ["2", "2", "2", "2"]),
        (Target::Run(first.id.clone()), ["12", "12", "12", "12"]),
        (Target::Chain(first.id.clone()), ["12", "12", "12", "12"]),
        (Target::Chain(below.id.clone()), ["", "", "", ""]),
        (
            Target::Person(noun(json!(id("per", 4)))),
            ["12", "12", "12", "12"],
        ),
        (Target::Person(noun(json!(id("per", 5)))), ["", "", "", ""]),
        (Target::Credential(id("crd", 1)), ["", "1", "1", ""]),
        (Target::Credential(some(2)), ["", "2", "", ""]),
        (Target::Credential("key-3".to_owned()), ["3", "3", "3", "3"]),
        (Target::Credential(id("crd", 6)), ["", "", "3", ""]),
        (
            Target::Upstream("shop".parse().unwrap()),
            ["", "", "", "12"],
        ),
        (
            Target::Tool("mail/send".parse().unwrap()),
            ["", "", "", "3"],
        ),
        (Target::Definition("h1".to_owned()), ["", "", "", "13"]),
        (Target::Model("big".to_owned()), ["12", "12", "12", "12"]),
        (Target::Model("said".to_owned()), ["3", "3", "3", "3"]),
        (
            Target::Organization(noun(json!(id("org", 1)))),
            ["123", "123", "123", "123"],
        ),
        (Target::Everything, ["123", "123", "123", "123"]),
    ];
    for (target, expected) in cases {
        let which = |holds: &dyn Fn(usize) -> bool| -> String {
            (0..3)
                .filter(|n| holds(*n))
                .map(|n| (n + 1).to_string())
                .collect()
        };
        let found = [
            which(&|n| target.holds(&registry.lineage_of_run(runs[n]))),
            which(&|n| target.holds(&registry.lineage_of_token(&tokens[n]))),
            which(&|n| target.holds(&registry.lineage_of_svid(&svids[n]))),
            which(&|n| target.holds(&registry.lineage_of_approval(&approvals[n]))),
        ];
        assert_eq!(found, expected, "{target}: runs, tokens, SVIDs, approvals");
    }
}

#[test]
fn a_delegation_falls_with_any_above_it() {
    let mut registry = Registry::default();
    agent(&mut registry, 1, "big");
    agent(&mut registry, 2, "small");
    link(
        &mut registry,
        1,
        json!({ "type": "person", "id": id("per", 4) }),
        None,
        None,
    );
    let parent = json!({ "type": "agent", "id": id("agt", 1) });
    link(&mut registry, 2, parent, Some(1), None);
    let lower = &registry.delegations[&noun(json!(id("dlg", 2)))];
    let workflow = Target::Workflow(noun(json!(id("wf", 1))));
    assert!(workflow.holds(&registry.lineage_of_delegation(lower)));
    assert!(!workflow.holds(&registry.lineage_of_link(lower)));
}

#[test]
fn a_gateway_of_the_organization_goes_on_telling_what_came_of_its_calls() {
    let of = Lineage::of_credentials(["key of an enforcement point"]);
    assert!(!Target::Everything.holds(&of));
    let key = Target::Credential("key of an enforcement point".to_owned());
    assert!(key.holds(&of));
}

fn contained(registry: &mut Registry, confirmation: Value, lifted: Value) {
    let at = Timestamp::from_secs(1_000);
    let id = ContainmentId::from_uuid(uuid::Uuid::nil());
    let what = (Target::Everything, Level::Suspend);
    let made = Containment::new(id.clone(), what, "r", Principal::Operator, at);
    let mut body = serde_json::to_value(made).unwrap();
    body["confirmation"] = confirmation;
    body["lifted"] = lifted;
    registry
        .apply(Kind::Containment, id.as_str(), 1, &body)
        .unwrap();
}

#[test]
fn only_what_is_in_force_holds_anything() {
    let operator = json!({ "type": "operator" });
    let at = json!("2026-11-22T08:00:00Z");
    for (confirmation, lifted, holds) in [
        (json!({ "state": "not_needed" }), Value::Null, true),
        (json!({ "state": "waits", "until": at }), Value::Null, false),
        (
            json!({ "state": "given", "at": at, "by": operator }),
            Value::Null,
            true,
        ),
        (json!({ "state": "break_glass" }), Value::Null, true),
        (
            json!({ "state": "withdrawn", "at": at, "by": operator }),
            Value::Null,
            false,
        ),
        (
            json!({ "state": "not_needed" }),
            json!([at, operator]),
            false,
        ),
    ] {
        let mut registry = Registry::default();
        agent(&mut registry, 1, "big");
        contained(&mut registry, confirmation.clone(), lifted);
        let agent = registry.agents.values().next().unwrap();
        let refused = registry.not_held(|| Lineage::of_agent(agent)).err();
        assert_eq!(
            refused.map(|r| r.code),
            holds.then_some(RefusalCode::Contained),
            "{confirmation}"
        );
    }
}
