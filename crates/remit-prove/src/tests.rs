//! Against the solver itself, where it is installed: `scripts/setup.sh test` does that.

use remit_ports::prover::{Claim, PolicyText, Proof, Prover, ProverError, Question};

use crate::Cvc5;

const SCHEMA: &str = r#"
entity Agent = { tier: Long, state: String, classes: Set<String> };
entity Tool = { effect: String, external: Bool };
action "orders/refund" appliesTo {
  principal: Agent, resource: Tool, context: { approved: Bool, labels: Set<String>, args: { amount: decimal } }
};
"#;

fn policy(id: &str, text: &str) -> PolicyText {
    PolicyText {
        id: id.to_owned(),
        text: text.to_owned(),
    }
}

fn question(forbid: &str, claim: Claim) -> Question {
    Question {
        schema: SCHEMA.to_owned(),
        actions: Vec::new(),
        policies: vec![
            policy("a/all", "permit (principal, action, resource);"),
            policy("a/forbid", forbid),
        ],
        claim,
    }
}

fn never(condition: &str) -> Claim {
    Claim::Never {
        condition: condition.to_owned(),
    }
}

const TIER_1: &str = r#"forbid (principal, action, resource) when { principal.tier == 1 } unless { resource.effect == "read" };"#;

#[tokio::test]
async fn a_claim_that_holds_is_proved_and_one_that_does_not_comes_with_a_request() {
    let prover = Cvc5::default();
    assert!(prover.version().await.unwrap().contains("cvc5"));
    let claim = never(r#"principal.tier == 1 && resource.effect == "write""#);
    assert_eq!(
        prover.prove(question(TIER_1, claim)).await.unwrap(),
        Proof::Holds
    );
    let claim = never(r#"principal.tier <= 2 && resource.effect == "write""#);
    let Proof::Fails(example) = prover.prove(question(TIER_1, claim)).await.unwrap() else {
        panic!("tier 2 writes");
    };
    assert_eq!(example.action, "orders/refund");
    assert_eq!(example.allowed_by, ["a/all"]);
    assert!(
        example
            .facts
            .iter()
            .any(|f| f.starts_with("principal.tier = ")),
        "{example:?}"
    );
    assert!(
        example
            .facts
            .contains(&r#"resource.effect = "write""#.to_owned()),
        "{example:?}"
    );
}

#[tokio::test]
async fn a_narrower_set_is_within_and_a_wider_one_shows_what_it_lets_through() {
    let prover = Cvc5::default();
    let strict = r#"forbid (principal, action, resource) when { context.args.amount.greaterThan(decimal("50.0")) };"#;
    let loose = r#"forbid (principal, action, resource) when { context.args.amount.greaterThan(decimal("500.0")) };"#;
    let all = |forbid| question(forbid, never("true")).policies;
    let within = |candidate, live| {
        let claim = Claim::Within { others: all(live) };
        prover.prove(question(candidate, claim))
    };
    assert_eq!(within(strict, loose).await.unwrap(), Proof::Holds);
    let Proof::Fails(example) = within(loose, strict).await.unwrap() else {
        panic!("it is wider");
    };
    assert_eq!(example.denied_by, ["a/forbid"]);
    assert!(
        example.facts.iter().any(|f| f.contains("amount")),
        "{example:?}"
    );
}

#[tokio::test]
async fn labels_and_sets_are_understood() {
    let prover = Cvc5::default();
    let forbid = r#"forbid (principal, action, resource)
        when { resource.external && context.labels.containsAny(["regulated", "customer-pii"]) } unless { context.approved };"#;
    let claim = never(
        r#"resource.external && context.labels.contains("customer-pii") && !context.approved"#,
    );
    assert_eq!(
        prover.prove(question(forbid, claim)).await.unwrap(),
        Proof::Holds
    );
    let claim = never(r#"resource.external && context.labels.contains("health")"#);
    assert!(matches!(
        prover.prove(question(forbid, claim)).await.unwrap(),
        Proof::Fails(_)
    ));
}

#[tokio::test]
async fn without_a_solver_nothing_is_proved_and_it_says_so() {
    let prover = Cvc5::new("/nonexistent/cvc5");
    assert!(matches!(
        prover.version().await,
        Err(ProverError::Absent(_))
    ));
    let answer = prover.prove(question(TIER_1, never("true"))).await;
    assert!(matches!(answer, Err(ProverError::Absent(_))), "{answer:?}");
}

#[tokio::test]
async fn a_condition_cannot_smuggle_another_policy_in() {
    let prover = Cvc5::default();
    let claim = never("false }; forbid (principal, action, resource) when { true");
    let answer = prover.prove(question(TIER_1, claim)).await;
    assert!(
        matches!(answer, Err(ProverError::Question(_))),
        "{answer:?}"
    );
}
