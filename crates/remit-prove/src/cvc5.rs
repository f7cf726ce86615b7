//! The solver: one process for each question, ended with it.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use cedar_policy_symcc::solver::LocalSolver;
use remit_ports::prover::{Answer, Proof, Prover, ProverError, Question};
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::ask::{self, Patience, Solvers};
use crate::limits::{QUESTION_TIME_MAX, QUESTIONS_MAX, SOLVE_MILLIS_MAX};

/// The solver cvc5, as a program beside Remit.
#[derive(Debug, Clone)]
pub struct Cvc5 {
    program: OsString,
    turns: Arc<Semaphore>,
}

impl Cvc5 {
    /// The solver at that path, or of that name in `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            turns: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        }
    }
}

impl Solvers for Cvc5 {
    fn solver(&self) -> Result<LocalSolver, ProverError> {
        let mut command = Command::new(&self.program);
        command
            .args(["--lang", "smt", &format!("--tlimit-per={SOLVE_MILLIS_MAX}")])
            .env_clear()
            .kill_on_drop(true);
        LocalSolver::from_command(&mut command).map_err(|e| absent(&e))
    }
}

impl Default for Cvc5 {
    fn default() -> Self {
        Self::new("cvc5")
    }
}

fn absent(error: &dyn std::fmt::Display) -> ProverError {
    ProverError::Absent(error.to_string())
}

#[async_trait]
impl Prover for Cvc5 {
    async fn version(&self) -> Result<String, ProverError> {
        let output = Command::new(&self.program)
            .arg("--version")
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = output.await.map_err(|e| absent(&e))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let first = text.lines().next().unwrap_or_default();
        let version = first.trim_start_matches("This is ").split(" [").next();
        Ok(version.unwrap_or(first).chars().take(80).collect())
    }

    async fn prove(&self, question: Question) -> Result<Vec<Answer>, ProverError> {
        let within = question.within.min(QUESTION_TIME_MAX);
        let until = Instant::now() + within;
        let turn = Arc::clone(&self.turns).acquire_owned();
        let Ok(turn) = timeout_at(until, turn).await else {
            let late = || Ok(Proof::Undecided(ask::late(within)));
            return Ok(question.asked.iter().map(|_| late()).collect());
        };
        let turn = turn.map_err(|e| absent(&e))?;
        // Dropped with this future: then nobody waits any more.
        let (_asks, asker) = oneshot::channel();
        let patience = Patience {
            until,
            within,
            asker,
        };
        let (solvers, runtime) = (self.clone(), Handle::current());
        // A thread of its own: what goes on between two answers of the solver is hard work, and would hold up calls.
        let answered = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            runtime.block_on(ask::ask(&solvers, question, patience))
        });
        answered
            .await
            .map_err(|e| ProverError::Failed(e.to_string()))?
    }
}
