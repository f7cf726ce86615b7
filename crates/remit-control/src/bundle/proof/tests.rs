//! A proof takes its time beside everything else, and nothing goes live before its end.

use std::sync::Arc;

use async_trait::async_trait;
use remit_domain::RefusalCode;
use remit_ports::prover::Prover;
use remit_ports::store::EntryFilter;
use tokio::sync::Semaphore;

use super::*;
use crate::bundle::{NewProposal, ProposalView};
use crate::fixture::{ADMIN, OWNER, World};

const CAP: &str = "@id(\"cap\") @text(\"nobody refunds more than 50\")\n\
    forbid (principal, action == Action::\"orders/refund\", resource)\n\
    when { context.args has amount && context.args.amount.greaterThan(decimal(\"50.0\")) };";
const CLAIM: &str = "never: [{ id: no-agents, text: no agent, when: principal.tier > 9 }]";

/// A solver that takes until it is told to end, and then says this of every claim.
struct Slow {
    go: Semaphore,
    says: Answer,
}

#[async_trait]
impl Prover for Slow {
    async fn version(&self) -> Result<String, ProverError> {
        Ok("slow 1".to_owned())
    }

    async fn prove(&self, question: Question) -> Result<Vec<Answer>, ProverError> {
        let _go = self.go.acquire().await;
        Ok(question.asked.iter().map(|_| self.says.clone()).collect())
    }
}

/// A world whose solver is at work, and a proposal in it.
struct Waiting {
    w: World,
    control: Control,
    solver: Arc<Slow>,
    proposal: ProposalView,
}

impl Waiting {
    async fn new(says: Answer) -> Self {
        let w = World::new().await;
        let solver = Arc::new(Slow {
            go: Semaphore::new(0),
            says,
        });
        let control = w.control.clone().with_prover(solver.clone());
        let new = NewProposal {
            title: "a cap".to_owned(),
            sets: [("refunds".parse().unwrap(), CAP.to_owned())].into(),
            tests: [("refunds.test.yaml".to_owned(), CLAIM.to_owned())].into(),
            source: None,
        };
        let caller = w.caller(OWNER);
        let proposal = control.propose_policies(&caller, new).await.unwrap();
        Self {
            w,
            control,
            solver,
            proposal,
        }
    }

    /// The proposal, once its proof has ended.
    async fn ended(&self) -> ProposalView {
        self.solver.go.add_permits(1_000);
        for _ in 0..1_000 {
            let now = self.now().await;
            if now.proof != "running" {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the proof does not end");
    }

    async fn now(&self) -> ProposalView {
        let caller = self.w.caller(ADMIN);
        self.control
            .proposal(&caller, &self.proposal.id)
            .await
            .unwrap()
    }

    async fn approved(&self) -> Result<ProposalView, ControlError> {
        let caller = self.w.caller(ADMIN);
        self.control
            .approve_proposal(&caller, &self.proposal.id, None)
            .await
    }

    /// How often the end of a proof is in the ledger.
    async fn told(&self) -> usize {
        let filter = EntryFilter {
            kinds: vec![EventKind::PolicyProved],
            limit: 100,
            ..EntryFilter::default()
        };
        let org = &self.w.caller(ADMIN).org;
        self.control
            .books
            .opened_entries(org, &filter)
            .await
            .unwrap()
            .len()
    }
}

fn conflict<T: std::fmt::Debug>(result: Result<T, ControlError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code(), Some(RefusalCode::Conflict), "{error}");
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn nobody_approves_what_the_solver_is_at_work_on() {
    let waiting = Waiting::new(Ok(Proof::Holds)).await;
    assert_eq!(
        (waiting.proposal.proof, waiting.proposal.state),
        ("running", "proposed")
    );
    assert!(conflict(waiting.approved().await).contains("at work"));
    let admin = waiting.w.caller(ADMIN);
    let id = &waiting.proposal.id;
    conflict(waiting.control.enforce_proposal(&admin, id).await);
    let done = waiting.ended().await;
    assert_eq!(done.proof, "proved");
    assert_eq!(waiting.told().await, 1);
    let claims = done.report["claims"].as_array().unwrap();
    assert_eq!(claims.last().unwrap()["id"], "no-agents");
    assert_eq!(waiting.approved().await.unwrap().state, "approved");
    waiting.control.enforce_proposal(&admin, id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_refuted_is_not_approved_and_what_is_undecided_says_so() {
    for (says, word) in [
        (Ok(Proof::Fails(Box::default())), "refuted"),
        (Ok(Proof::Undecided("no".to_owned())), "undecided"),
        (Err(ProverError::Failed("no".to_owned())), "undecided"),
    ] {
        let waiting = Waiting::new(says).await;
        assert_eq!(waiting.ended().await.proof, word);
        match word {
            "refuted" => assert!(conflict(waiting.approved().await).contains("claims fail")),
            _ => assert_eq!(waiting.approved().await.unwrap().state, "approved"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_says_nothing_of_what_is_decided_meanwhile() {
    let waiting = Waiting::new(Ok(Proof::Holds)).await;
    let (caller, id) = (waiting.w.caller(OWNER), &waiting.proposal.id);
    waiting
        .control
        .reject_proposal(&caller, id, None)
        .await
        .unwrap();
    waiting.solver.go.add_permits(1_000);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(waiting.now().await.state, "rejected");
    assert_eq!(waiting.told().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_proof_whose_node_has_gone_is_taken_up() {
    let waiting = Waiting::new(Ok(Proof::Holds)).await;
    let solver = Arc::new(Slow {
        go: Semaphore::new(1_000),
        says: Ok(Proof::Holds),
    });
    // Another node, which knows nothing of what this one is at.
    let other = Control {
        proving: Arc::default(),
        ..waiting.w.control.clone().with_prover(solver)
    };
    let org = waiting.w.caller(ADMIN).org;
    other.take_up_proofs(&org).await.unwrap();
    assert_eq!(
        waiting.now().await.proof,
        "running",
        "its own node may be at work"
    );
    waiting.w.clock.advance(Duration::from_secs(361));
    other.take_up_proofs(&org).await.unwrap();
    assert_eq!(waiting.now().await.proof, "proved");
    // Both ended: it is told once.
    waiting.ended().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(waiting.told().await, 1);
}
