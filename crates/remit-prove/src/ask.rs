//! One question, action by action. The policies are compiled once for an action, whatever is claimed of them; the first request
//! that contradicts a claim ends that claim.

use std::str::FromStr;
use std::time::Duration;

use cedar_policy::{Policy, PolicyId, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::err::Error as SymError;
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicySet, Env};
use remit_ports::prover::{Answer, Asked, Claim, PolicyText, Proof, ProverError, Question};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::example;
use crate::limits::{CLAIMS_MAX, POLICIES_MAX};

type Compiler = CedarSymCompiler<LocalSolver>;

/// A claim, as far as it is answered.
struct Open {
    actions: Vec<String>,
    others: PolicySet,
    /// Whether a request that both allow contradicts the claim; otherwise, one that only the policies allow.
    disjoint: bool,
    /// What the solver could not say.
    undecided: Option<String>,
    answer: Option<Answer>,
}

/// What all claims of a question share.
struct Common {
    schema: Schema,
    policies: PolicySet,
}

/// Makes solvers: another one follows one that failed.
pub(crate) trait Solvers: Sync {
    fn solver(&self) -> Result<LocalSolver, ProverError>;
}

/// Until when somebody waits for the answers.
pub(crate) struct Patience {
    pub(crate) until: Instant,
    pub(crate) within: Duration,
    /// Closed when the asker has left.
    pub(crate) asker: oneshot::Receiver<()>,
}

impl Patience {
    fn is_over(&mut self) -> bool {
        let left = self.asker.try_recv() == Err(oneshot::error::TryRecvError::Closed);
        left || Instant::now() >= self.until
    }
}

pub(crate) async fn ask(
    solvers: &impl Solvers,
    question: Question,
    mut patience: Patience,
) -> Result<Vec<Answer>, ProverError> {
    if question.asked.len() > CLAIMS_MAX {
        let text = format!("there are more than {CLAIMS_MAX} claims");
        return Err(ProverError::Question(text));
    }
    let (schema, _) = Schema::from_cedarschema_str(&question.schema).map_err(|e| wrong(&e))?;
    let common = Common {
        schema,
        policies: set(&question.policies)?,
    };
    let mut claims: Vec<Open> = question.asked.into_iter().map(Open::read).collect();
    let mut envs: Vec<RequestEnv> = common.schema.request_envs().collect();
    envs.sort_by_key(|env| env.action().to_string());
    let mut solver = Solver {
        solvers,
        running: None,
    };
    let mut whole = true;
    for env in envs {
        whole = one_action(&mut solver, &common, &mut claims, &env, &mut patience).await;
        if !whole {
            break;
        }
    }
    let answers = claims
        .into_iter()
        .map(|claim| claim.end(whole, patience.within));
    Ok(answers.collect())
}

/// Looks at one action for every claim that is still open and wants it; false where patience ended before all were looked at.
async fn one_action(
    solver: &mut Solver<'_, impl Solvers>,
    common: &Common,
    claims: &mut [Open],
    env: &RequestEnv,
    patience: &mut Patience,
) -> bool {
    let mut compiled = None;
    for claim in claims.iter_mut().filter(|claim| claim.wants(env)) {
        if patience.is_over() {
            return false;
        }
        let policies = compiled.get_or_insert_with(|| {
            CompiledPolicySet::compile(&common.policies, env, &common.schema)
                .map_err(|e| failed(&e))
        });
        let checked = match (policies, solver.running()) {
            (Ok(policies), Ok(solver)) => {
                let checked = claim.check(solver, policies, common, env);
                match timeout_at(patience.until, checked).await {
                    Ok(checked) => checked,
                    Err(_) => return false,
                }
            }
            (Err(error), _) => {
                claim.answer = Some(Err(error.clone()));
                continue;
            }
            (_, Err(error)) => {
                claim.answer = Some(Err(error));
                continue;
            }
        };
        match checked {
            Ok(None) => {}
            Ok(Some(found)) => {
                let told = example::tell(&found, &common.policies, &claim.others, claim.disjoint);
                claim.answer = Some(Ok(Proof::Fails(Box::new(told))));
            }
            Err(SymError::SolverUnknown) => {
                let text = format!("the solver could not say it of {}", env.action());
                claim.undecided = Some(text);
            }
            Err(error) => {
                claim.answer = Some(Err(failed(&error)));
                // It may be in the middle of anything.
                solver.running = None;
            }
        }
    }
    true
}

/// The solver that runs, and where another one comes from.
struct Solver<'a, S> {
    solvers: &'a S,
    running: Option<Compiler>,
}

impl<S: Solvers> Solver<'_, S> {
    fn running(&mut self) -> Result<&mut Compiler, ProverError> {
        let running = match self.running.take() {
            Some(running) => running,
            None => CedarSymCompiler::new(self.solvers.solver()?).map_err(|e| failed(&e))?,
        };
        Ok(self.running.insert(running))
    }
}

impl Open {
    fn read(asked: Asked) -> Self {
        let (others, disjoint) = match asked.claim {
            Claim::Never { condition } => {
                let text = format!("permit (principal, action, resource) when {{ {condition} }};");
                let claimed = PolicyText {
                    id: "claim".to_owned(),
                    text,
                };
                (set(&[claimed]), true)
            }
            Claim::Within { others } => (set(&others), false),
        };
        let (others, answer) = match others {
            Ok(others) => (others, None),
            Err(error) => (PolicySet::new(), Some(Err(error))),
        };
        Self {
            actions: asked.actions,
            others,
            disjoint,
            undecided: None,
            answer,
        }
    }

    fn wants(&self, env: &RequestEnv) -> bool {
        let named = |action: &String| action == env.action().id().unescaped();
        self.answer.is_none() && (self.actions.is_empty() || self.actions.iter().any(named))
    }

    async fn check(
        &self,
        solver: &mut Compiler,
        policies: &CompiledPolicySet,
        common: &Common,
        env: &RequestEnv,
    ) -> Result<Option<Env>, SymError> {
        let others = CompiledPolicySet::compile(&self.others, env, &common.schema)?;
        if self.disjoint {
            solver
                .check_disjoint_with_counterexample_opt(policies, &others)
                .await
        } else {
            solver
                .check_implies_with_counterexample_opt(policies, &others)
                .await
        }
    }

    /// The answer: it holds only where every action was looked at, and nothing was left unsaid of any.
    fn end(self, whole: bool, within: Duration) -> Answer {
        match (self.answer, self.undecided) {
            (Some(answer), _) => answer,
            (None, Some(why)) => Ok(Proof::Undecided(why)),
            (None, None) if whole => Ok(Proof::Holds),
            (None, None) => Ok(Proof::Undecided(late(within))),
        }
    }
}

/// What is said of a claim that there was no time for.
pub(crate) fn late(within: Duration) -> String {
    format!("it was not answered within {} s", within.as_secs())
}

fn set(policies: &[PolicyText]) -> Result<PolicySet, ProverError> {
    if policies.len() > POLICIES_MAX {
        let text = format!("there are more than {POLICIES_MAX} policies");
        return Err(ProverError::Question(text));
    }
    let mut set = PolicySet::new();
    for policy in policies {
        // Parsed as a set, so that a text that closes its clause and begins another policy is seen for what it is.
        let parsed = PolicySet::from_str(&policy.text).map_err(|e| wrong(&e))?;
        let mut all = parsed.policies();
        let (Some(one), None) = (all.next(), all.next()) else {
            return Err(ProverError::Question(format!(
                "`{}` is not one policy",
                policy.id
            )));
        };
        let named: Policy = one.new_id(PolicyId::new(&policy.id));
        set.add(named).map_err(|e| wrong(&e))?;
    }
    Ok(set)
}

fn wrong(error: &dyn std::fmt::Display) -> ProverError {
    ProverError::Question(error.to_string())
}

fn failed(error: &dyn std::fmt::Display) -> ProverError {
    ProverError::Failed(error.to_string())
}
