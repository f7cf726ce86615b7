//! One question, action by action: the first request that contradicts the claim ends it.

use std::str::FromStr;

use cedar_policy::{Policy, PolicyId, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::err::Error as SymError;
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicySet, Env};
use remit_ports::prover::{Claim, PolicyText, Proof, ProverError, Question};

use crate::example;
use crate::limits::POLICIES_MAX;

/// Both sides of a question, read.
struct Sides {
    schema: Schema,
    policies: PolicySet,
    others: PolicySet,
    /// Whether a request that both allow contradicts the claim; otherwise, one that only `policies` allow.
    disjoint: bool,
}

pub(crate) async fn ask(solver: LocalSolver, question: Question) -> Result<Proof, ProverError> {
    let sides = read(&question)?;
    let mut compiler = CedarSymCompiler::new(solver).map_err(|e| failed(&e))?;
    let mut undecided = None;
    let wanted = |env: &RequestEnv| {
        let actions = &question.actions;
        actions.is_empty() || actions.iter().any(|a| a == env.action().id().unescaped())
    };
    let mut envs: Vec<RequestEnv> = sides.schema.request_envs().filter(wanted).collect();
    envs.sort_by_key(|env| env.action().to_string());
    for env in envs {
        match one(&mut compiler, &sides, &env).await {
            Ok(None) => {}
            Ok(Some(found)) => {
                let told = example::tell(&found, &sides.policies, &sides.others, sides.disjoint);
                return Ok(Proof::Fails(Box::new(told)));
            }
            Err(SymError::SolverUnknown) => {
                undecided = Some(format!("the solver could not say it of {}", env.action()));
            }
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(undecided.map_or(Proof::Holds, Proof::Undecided))
}

async fn one(
    compiler: &mut CedarSymCompiler<LocalSolver>,
    sides: &Sides,
    env: &RequestEnv,
) -> Result<Option<Env>, SymError> {
    let policies = CompiledPolicySet::compile(&sides.policies, env, &sides.schema)?;
    let others = CompiledPolicySet::compile(&sides.others, env, &sides.schema)?;
    if sides.disjoint {
        compiler
            .check_disjoint_with_counterexample_opt(&policies, &others)
            .await
    } else {
        compiler
            .check_implies_with_counterexample_opt(&policies, &others)
            .await
    }
}

fn read(question: &Question) -> Result<Sides, ProverError> {
    let wrong = |e: &dyn std::fmt::Display| ProverError::Question(e.to_string());
    let (schema, _) = Schema::from_cedarschema_str(&question.schema).map_err(|e| wrong(&e))?;
    let policies = set(&question.policies)?;
    let (others, disjoint) = match &question.claim {
        Claim::Never { condition } => {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            let claimed = PolicyText {
                id: "claim".to_owned(),
                text,
            };
            (set(&[claimed])?, true)
        }
        Claim::Within { others } => (set(others)?, false),
    };
    Ok(Sides {
        schema,
        policies,
        others,
        disjoint,
    })
}

fn set(policies: &[PolicyText]) -> Result<PolicySet, ProverError> {
    if policies.len() > POLICIES_MAX {
        let text = format!("there are more than {POLICIES_MAX} policies");
        return Err(ProverError::Question(text));
    }
    let wrong = |e: &dyn std::fmt::Display| ProverError::Question(e.to_string());
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

fn failed(error: &dyn std::fmt::Display) -> ProverError {
    ProverError::Failed(error.to_string())
}
