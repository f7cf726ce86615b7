use super::*;
use crate::load::PolicySource;

const POLICIES: &str = r#"
@id("asks") @approvers("team:finance") @text("a refund above 50 waits for finance")
forbid (principal, action == Action::"orders/refund", resource)
when { context.args.amount.greaterThan(decimal("50.0")) }
unless { context.approved };
"#;

const CASES: &str = r#"
tools:
  orders/refund:
    effect: purchase
    entitlements: [refunds]
    input_schema: { type: object, properties: { amount: { type: number } }, required: [amount] }
given: { args: { amount: 20 } }
cases:
  - { name: a small one is allowed, tool: orders/refund, expect: allow }
  - name: a large one asks
    tool: orders/refund
    given: { args: { amount: 60 } }
    expect: ask
    by: [refunds/asks]
    says: waits for finance
  - { name: an agent of tier 1 buys nothing, tool: orders/refund, given: { agent: { tier: 1 } }, expect: deny, by: [guardrail/tier-1-reads] }
  - { name: what is not released asks, tool: orders/refund, given: { released: false }, expect: ask, by: [guardrail/high-risk-asks] }
  - { name: who is not entitled gets nothing, tool: orders/refund, given: { person: {} }, expect: deny, by: [guardrail/entitlements] }
never:
  - { id: none, text: nothing, when: "false" }
"#;

fn run(cases: &str) -> Vec<CaseResult> {
    let suite = Suite::parse(cases).unwrap();
    let tools = suite.tools().unwrap();
    let tools: Vec<_> = tools.iter().collect();
    let sets = [PolicySource {
        name: "refunds",
        text: POLICIES,
    }];
    suite.run(&Engine::compile(&tools, &sets).unwrap())
}

#[test]
fn cases_say_only_what_matters_and_are_decided_by_the_real_engine() {
    for result in run(CASES) {
        assert!(result.passed, "{result:?}");
    }
}

#[test]
fn a_case_that_is_wrong_says_what_was_decided_and_why() {
    let wrong = CASES.replace(
        "expect: ask\n    by: [refunds/asks]",
        "expect: allow\n    by: [refunds/other]",
    );
    let results = run(&wrong);
    let failed: Vec<_> = results.iter().filter(|r| !r.passed).collect();
    assert_eq!(failed.len(), 1);
    let text = failed[0].problems.join("\n");
    assert!(
        text.contains("expected allow, found ask: (refunds/asks) a refund above 50"),
        "{text}"
    );
    assert!(
        text.contains("refunds/other did not decide; these did: refunds/asks"),
        "{text}"
    );
}

#[test]
fn a_slip_in_a_case_fails_it_and_never_passes_it() {
    for (right, wrong) in [
        ("given: { released: false }", "given: { relesed: false }"),
        (
            "given: { agent: { tier: 1 } }",
            "given: { args: { amount: \"20\" } }",
        ),
        (
            "tool: orders/refund, given: { person",
            "tool: orders/other, given: { person",
        ),
    ] {
        assert!(CASES.contains(right));
        let results = run(&CASES.replace(right, wrong));
        assert_eq!(
            results.iter().filter(|r| r.found == "error").count(),
            1,
            "{wrong}"
        );
    }
    assert!(Suite::parse("cases: [{ name: x, tool: a/b, expect: maybe }]").is_err());
    assert!(Suite::parse("casess: []").is_err());
}
