//! Against the solver itself, where it is installed: `scripts/setup.sh test` does that.

use std::time::Duration;

use remit_ports::prover::{Answer, Asked, Claim, PolicyText, Proof, Prover, ProverError, Question};

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
    questions(forbid, vec![claim])
}

fn questions(forbid: &str, claims: Vec<Claim>) -> Question {
    let asked = |claim| Asked {
        actions: Vec::new(),
        claim,
    };
    Question {
        schema: SCHEMA.to_owned(),
        policies: vec![
            policy("a/all", "permit (principal, action, resource);"),
            policy("a/forbid", forbid),
        ],
        asked: claims.into_iter().map(asked).collect(),
        within: Duration::from_secs(60),
    }
}

/// The answer to a question of one claim.
async fn answer(prover: &Cvc5, question: Question) -> Answer {
    let mut answers = prover.prove(question).await?;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
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
        answer(&prover, question(TIER_1, claim)).await.unwrap(),
        Proof::Holds
    );
    let claim = never(r#"principal.tier <= 2 && resource.effect == "write""#);
    let Proof::Fails(example) = answer(&prover, question(TIER_1, claim)).await.unwrap() else {
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
        answer(&prover, question(candidate, claim))
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
        answer(&prover, question(forbid, claim)).await.unwrap(),
        Proof::Holds
    );
    let claim = never(r#"resource.external && context.labels.contains("health")"#);
    assert!(matches!(
        answer(&prover, question(forbid, claim)).await.unwrap(),
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
    let answer = answer(&prover, question(TIER_1, never("true"))).await;
    assert!(matches!(answer, Err(ProverError::Absent(_))), "{answer:?}");
}

#[tokio::test]
async fn a_condition_cannot_smuggle_another_policy_in() {
    let prover = Cvc5::default();
    let claim = never("false }; forbid (principal, action, resource) when { true");
    let answer = answer(&prover, question(TIER_1, claim)).await;
    assert!(
        matches!(answer, Err(ProverError::Question(_))),
        "{answer:?}"
    );
}

const HOLDS: &str = r#"principal.tier == 1 && resource.effect == "write""#;

#[tokio::test]
async fn each_claim_has_its_own_answer() {
    let prover = Cvc5::default();
    let claims = vec![
        never(HOLDS),
        never("principal.nothing == 1"),
        never("principal.tier == 2"),
        never("not a condition"),
        never(HOLDS),
    ];
    let answers = prover.prove(questions(TIER_1, claims)).await.unwrap();
    let holds = Ok(Proof::Holds);
    assert_eq!((&answers[0], &answers[4]), (&holds, &holds));
    assert!(
        matches!(answers[1], Err(ProverError::Failed(_))),
        "{answers:?}"
    );
    assert!(matches!(answers[2], Ok(Proof::Fails(_))), "{answers:?}");
    assert!(
        matches!(answers[3], Err(ProverError::Question(_))),
        "{answers:?}"
    );
}

#[tokio::test]
async fn what_there_was_no_time_for_is_undecided_and_never_holds() {
    let hurried = Question {
        within: Duration::ZERO,
        ..questions(TIER_1, vec![never(HOLDS), never("not a condition")])
    };
    let answers = Cvc5::default().prove(hurried).await.unwrap();
    assert!(
        answers
            .iter()
            .all(|a| matches!(a, Ok(Proof::Undecided(_)) | Err(_))),
        "{answers:?}"
    );
    // A solver that never says anything.
    let silent = Question {
        within: Duration::from_millis(300),
        ..questions(TIER_1, vec![never(HOLDS)])
    };
    let dir = std::env::temp_dir().join(format!("remit-prove-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let program = dir.join("silent");
    std::fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let answers = Cvc5::new(&program).prove(silent).await.unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(matches!(answers[0], Ok(Proof::Undecided(_))), "{answers:?}");
}

#[tokio::test]
async fn a_solver_that_breaks_off_proves_nothing() {
    let claims = vec![never(HOLDS), never(HOLDS)];
    let answers = Cvc5::new("/bin/false")
        .prove(questions(TIER_1, claims))
        .await;
    let proved = |answer: &Answer| matches!(answer, Ok(Proof::Holds));
    assert!(!answers.is_ok_and(|all| all.iter().any(proved)));
}
