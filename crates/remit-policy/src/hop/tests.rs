//! Attacks on policies about hops, then what they are for.

use serde_json::json;

use super::*;
use crate::load::PolicySource;
use crate::test_case::Suite;
use crate::{Engine, Outcome};

fn compiled(text: &str) -> Result<Engine, PolicyError> {
    let yaml = "tools: { orders/refund: { effect: purchase, data_classes: [customer-pii] }, mail/send: { effect: external } }";
    let tools = Suite::parse(yaml).unwrap().tools().unwrap();
    let tools: Vec<_> = tools.iter().collect();
    let own = PolicySource { name: "own", text };
    Engine::compile(&tools, &[own])
}

fn wrong(text: &str) -> String {
    compiled(text).unwrap_err().to_string()
}

/// Cases of one set, each decided as it says.
fn holds(policies: &str, cases: &str) {
    let yaml = format!(
        "tools: {{ orders/refund: {{ effect: purchase, data_classes: [customer-pii] }}, mail/send: {{ effect: external }} }}\ncases:\n{cases}"
    );
    let suite = Suite::parse(&yaml).unwrap();
    for result in suite.run(&compiled(policies).unwrap()) {
        assert!(result.passed, "{result:?}");
    }
}

const NIGHT: &str = r#"
@id("night") @text("nothing is handed on at night")
forbid (principal, action == Action::"delegate", resource)
when { context.hour < 6 };
"#;

#[test]
fn a_hop_is_never_permitted_or_asked_for_by_a_policy() {
    let permit = r#"permit (principal, action == Action::"delegate", resource);"#;
    assert!(wrong(permit).contains("only forbids"), "{}", wrong(permit));
    let asks = r#"@approvers("sponsor") forbid (principal, action in Action::"hop", resource) unless { context.approved };"#;
    assert!(wrong(asks).contains("waits for nobody"), "{}", wrong(asks));
    let either =
        r#"forbid (principal, action in [Action::"delegate", Action::"orders/refund"], resource);"#;
    assert!(wrong(either).contains("write two"), "{}", wrong(either));
}

#[test]
fn a_policy_is_checked_against_what_it_is_about() {
    for (text, says) in [
        (
            r#"forbid (principal, action == Action::"delegate", resource) when { context.args.amount > 1 };"#,
            "args",
        ),
        (
            r#"forbid (principal, action == Action::"issue", resource) when { context.trust < 2 };"#,
            "trust",
        ),
        (
            r#"forbid (principal, action == Action::"issue", resource == Tool::"orders/refund");"#,
            "Tool",
        ),
        (
            r#"forbid (principal, action, resource) when { context.kind == "ticket" };"#,
            "kind",
        ),
        (
            r#"forbid (principal, action, resource) when { action == Action::"delegate" };"#,
            "delegate",
        ),
    ] {
        assert!(wrong(text).contains(says), "{text}: {}", wrong(text));
    }
    let both = format!(
        "{NIGHT}\n{}\n{}",
        r#"@id("a") forbid (principal, action, resource) when { context.kind == "x" };"#,
        r#"@id("b") forbid (principal, action == Action::"issue", resource) when { context.args == 1 };"#
    );
    let problems = compiled(&both).unwrap_err();
    let of: BTreeSet<_> = problems
        .problems()
        .iter()
        .filter_map(|p| p.policy.clone())
        .collect();
    assert_eq!(of, BTreeSet::from(["own/a".into(), "own/b".into()]));
}

#[test]
fn policies_about_calls_and_about_hops_know_nothing_of_each_other() {
    let policies = format!(
        "{NIGHT}\n{}",
        r#"@id("all") forbid (principal, action, resource);"#
    );
    let engine = compiled(&policies).unwrap();
    assert!(engine.has_hop_policies());
    assert!(engine.texts().iter().all(|(id, _)| id != "own/night"));
    assert!(engine.notes().iter().any(|n| n.id == "own/night" && n.hop));
    holds(
        &policies,
        "  - { name: a policy without an action stops no hop, hop: { kind: grant }, expect: allow }
  - { name: one about hops stops no call, tool: orders/refund, given: { at: 2026-01-07T03:00:00Z }, expect: deny, by: [own/all] }",
    );
    assert!(!compiled("").unwrap().has_hop_policies());
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let overflows = r#"@id("sum") forbid (principal, action in Action::"hop", resource) when { context.secs + 9223372036854775807 < 0 };"#;
    holds(
        overflows,
        "  - { name: one is too many, hop: { kind: grant, secs: 1 }, expect: deny, by: [own/sum], says: could not be evaluated }
  - { name: nothing is added, hop: { kind: grant, secs: 0 }, expect: allow }",
    );
}

#[test]
fn a_hop_is_decided_by_what_it_is_and_gives() {
    holds(
        &format!(
            "{NIGHT}\n{}\n{}\n{}",
            r#"@id("no-mail") forbid (principal, action == Action::"delegate", resource) when { context.kind == "sub_agent" && context.external };"#,
            r#"@id("tainted") forbid (principal in Workflow::"searcher/work", action in Action::"hop", resource) when { context.from == "agent" && (context.regulated || context.labels.contains("untrusted")) };"#,
            r#"@id("attested") forbid (principal, action == Action::"issue", resource) when { context has trust && context.trust < 2 && context.depth > 1 };"#
        ),
        "  - { name: by day, hop: { kind: ticket }, expect: allow }
  - { name: by night, hop: { kind: ticket }, given: { at: 2026-01-07T03:00:00Z }, expect: deny, by: [own/night], says: at night }
  - { name: a token by night, hop: { action: issue, kind: code }, given: { at: 2026-01-07T03:00:00Z }, expect: allow }
  - { name: mail goes to no sub-agent, hop: { kind: sub_agent, from_agent: triage, tools: [mail/send] }, expect: deny, by: [own/no-mail] }
  - { name: a person may give mail, hop: { kind: grant, tools: [mail/send] }, expect: allow }
  - { name: refunds go on, hop: { kind: sub_agent, from_agent: triage, tools: [orders/refund] }, expect: allow }
  - { name: a tainted run hands nothing to the searcher, hop: { kind: sub_agent, from_agent: triage }, given: { agent: { name: searcher }, labels: [untrusted] }, expect: deny, by: [own/tainted] }
  - { name: nor a regulated one, hop: { action: issue, kind: sub_agent, from_agent: triage }, given: { agent: { name: searcher }, labels: [customer-pii] }, expect: deny, by: [own/tainted] }
  - { name: to others it does, hop: { kind: sub_agent, from_agent: triage }, given: { labels: [untrusted] }, expect: allow }
  - { name: below a person a key is enough, hop: { action: issue, kind: assertion }, given: { trust: key }, expect: allow }
  - { name: further down it is not, hop: { action: issue, kind: sub_agent, from_agent: triage, depth: 2 }, given: { trust: key }, expect: deny, by: [own/attested] }",
    );
}

#[test]
fn a_case_that_tries_both_or_neither_says_so() {
    let suite = Suite::parse("cases: [{ name: neither, expect: allow }]").unwrap();
    let results = suite.run(&compiled("").unwrap());
    assert!(!results[0].passed && results[0].problems[0].contains("a `hop`"));
}

#[test]
fn what_a_hop_was_decided_on_is_read_back_the_same() {
    let hop: crate::test_case::TriedHop =
        serde_json::from_value(json!({ "kind": "sub_agent", "from_agent": "triage" })).unwrap();
    let engine = compiled(NIGHT).unwrap();
    let facts = hop
        .facts(&engine, crate::test_case::Given::default())
        .unwrap();
    let text = serde_json::to_string(&facts).unwrap();
    let back: HopFacts = serde_json::from_str(&text).unwrap();
    assert_eq!(back, facts);
    assert_eq!(engine.decide_hop(&back).outcome, Outcome::Allow);
}
