//! Proving what policies can and cannot do, for every request there can be.

use std::time::Duration;

use async_trait::async_trait;

/// A policy, with the id that people know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// Its id, `SET/NAME`.
    pub id: String,
    /// Cedar text.
    pub text: String,
}

/// What is to be proved of every request that the schema permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// No request for which this Cedar condition holds is allowed.
    Never {
        /// A Cedar expression over `principal`, `action`, `resource` and `context`.
        condition: String,
    },
    /// What is allowed is allowed by these policies too.
    Within {
        /// The policies it is held against.
        others: Vec<PolicyText>,
    },
}

/// What is asked of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which actions to look at, as `upstream/tool`; all where empty.
    pub actions: Vec<String>,
    /// What is claimed.
    pub claim: Claim,
}

/// A question to the prover: claims about the same policies, which are read once for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The schema, as Cedar schema text.
    pub schema: String,
    /// The policies.
    pub policies: Vec<PolicyText>,
    /// What is claimed of them.
    pub asked: Vec<Asked>,
    /// How long the answers may take, all together. What is not answered by then is undecided.
    pub within: Duration,
}

/// A request that shows a claim to be wrong, in words of the policies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counterexample {
    /// Which action, as `upstream/tool`.
    pub action: String,
    /// What the request says, one line a fact: `principal.tier = 1`.
    pub facts: Vec<String>,
    /// Ids of the policies that allow it.
    pub allowed_by: Vec<String>,
    /// Ids of the other policies that deny it; empty for [`Claim::Never`].
    pub denied_by: Vec<String>,
}

/// What the prover found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It holds for every request.
    Holds,
    /// It does not, and this is one that shows it.
    Fails(Box<Counterexample>),
    /// The solver could not say, within its time.
    Undecided(String),
}

/// Why there is no answer at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProverError {
    /// There is no solver.
    #[error(
        "there is no solver here, so nothing is proved: install cvc5 and start Remit again ({0})"
    )]
    Absent(String),
    /// The question is none.
    #[error("this cannot be asked: {0}")]
    Question(String),
    /// The solver failed.
    #[error("the solver failed: {0}")]
    Failed(String),
}

/// The answer to one claim.
pub type Answer = Result<Proof, ProverError>;

/// Proves claims about policies.
///
/// Contract: one answer for each claim, in their order, within the time of the question. `Holds` only if no request of the
/// schema contradicts the claim; a counterexample does contradict it, by the plain evaluator. Without a solver every claim is
/// `Absent`, never `Holds`.
#[async_trait]
pub trait Prover: Send + Sync + 'static {
    /// The solver's name and version.
    ///
    /// # Errors
    /// [`ProverError::Absent`].
    async fn version(&self) -> Result<String, ProverError>;

    /// Answers a question. What goes wrong with one claim is that claim's answer.
    ///
    /// # Errors
    /// [`ProverError`] where none of it is answered.
    async fn prove(&self, question: Question) -> Result<Vec<Answer>, ProverError>;
}

/// No prover: every question is unanswered.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProver;

#[async_trait]
impl Prover for NoProver {
    async fn version(&self) -> Result<String, ProverError> {
        Err(ProverError::Absent("none is configured".to_owned()))
    }

    async fn prove(&self, _: Question) -> Result<Vec<Answer>, ProverError> {
        Err(ProverError::Absent("none is configured".to_owned()))
    }
}
