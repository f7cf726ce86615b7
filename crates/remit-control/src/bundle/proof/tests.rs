//! A proof takes its time beside everything else, and nothing goes live before its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    asked: AtomicUsize,
    at_once: AtomicUsize,
}

impl Slow {
    fn new(permits: usize, says: Answer) -> Arc<Self> {
        Arc::new(Self {
            go: Semaphore::new(permits),
            says,
            asked: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Prover for Slow {
    async fn version(&self) -> Result<String, ProverError> {
        Ok("slow 1".to_owned())
    }

    async fn prove(&self, question: Question) -> Result<Vec<Answer>, ProverError> {
        let now = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_once.fetch_max(now, Ordering::SeqCst);
        let _go = self.go.acquire().await;
        self.asked.fetch_sub(1, Ordering::SeqCst);
        Ok(question.asked.iter().map(|_| self.says.clone()).collect())
    }
}

fn cap(text: &str) -> NewProposal {
    NewProposal {
        title: "a cap".to_owned(),
        sets: [("refunds".parse().unwrap(), text.to_owned())].into(),
        tests: [("refunds.test.yaml".to_owned(), CLAIM.to_owned())].into(),
        source: None,
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
        let solver = Slow::new(0, says);
        let control = w.control.clone().with_prover(solver.clone());
        let caller = w.caller(OWNER);
        let proposal = control.propose_policies(&caller, cap(CAP)).await.unwrap();
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

    /// Another node, which knows nothing of what this one is at, and whose solver is quick.
    fn other(&self) -> Control {
        let solver = Slow::new(1_000, Ok(Proof::Holds));
        Control {
            proving: Arc::default(),
            ..self.w.control.clone().with_prover(solver)
        }
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
    let other = waiting.other();
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

#[tokio::test(start_paused = true)]
async fn what_is_overtaken_is_not_at_work_for_ever() {
    let waiting = Waiting::new(Ok(Proof::Holds)).await;
    let other = waiting.other();
    let (owner, admin) = (waiting.w.caller(OWNER), waiting.w.caller(ADMIN));
    let lower = cap(&CAP.replace("50", "40"));
    let first = other.propose_policies(&owner, lower).await.unwrap();
    other
        .approve_proposal(&admin, &first.id, None)
        .await
        .unwrap();
    other.enforce_proposal(&admin, &first.id).await.unwrap();
    assert_eq!(waiting.now().await.proof, "running");
    waiting.w.clock.advance(Duration::from_secs(361));
    other.take_up_proofs(&admin.org).await.unwrap();
    let now = waiting.now().await;
    assert_eq!(now.proof, "undecided");
    let why = now.report["claims"][0]["example"][0].as_str().unwrap();
    assert!(why.contains("propose it again"), "{why}");
    let id = &waiting.proposal.id;
    conflict(other.enforce_proposal(&admin, id).await);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_proof_counts_from_its_turn() {
    let waiting = Waiting::new(Ok(Proof::Holds)).await;
    let owner = waiting.w.caller(OWNER);
    let lower = cap(&CAP.replace("50", "40"));
    let next = waiting.control.propose_policies(&owner, lower).await;
    let next = next.unwrap();
    // The solver is asked about one at a time, so nobody's time runs while it waits for another's.
    waiting.solver.go.add_permits(1);
    tokio::time::sleep(Duration::from_secs(900)).await;
    assert_eq!(waiting.solver.at_once.load(Ordering::SeqCst), 1);
    let view = waiting.control.proposal(&owner, &next.id).await.unwrap();
    assert_eq!(view.proof, "proved");
}
