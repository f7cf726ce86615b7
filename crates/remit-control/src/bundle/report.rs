//! What is found out about policies before anybody looks at them: tests, claims, and whether they only narrow.

use std::collections::{BTreeMap, BTreeSet};

use remit_books::OrgBook;
use remit_domain::Tool;
use remit_domain::name::Name;
use remit_policy::prove::{claims, is_of_one_tool};
use remit_policy::test_case::{CaseResult, Never, Suite};
use remit_policy::{Engine, PolicyNote};
use remit_ports::prover::{Claim, Counterexample, PolicyText, Proof, ProverError, Question};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NewProposal, sources};
use crate::error::invalid;
use crate::policy_set::PolicyProblem;
use crate::{Caller, Control, ControlError};

/// What was found out about policies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalReport {
    /// Test cases that were run.
    pub tests: usize,
    /// Those that failed.
    pub tests_failed: usize,
    /// What failed, one line each.
    pub failures: Vec<String>,
    /// Policies that decided no test case.
    pub untested: Vec<String>,
    /// What Cedar finds odd.
    pub warnings: Vec<String>,
    /// The solver; none where there is none, and then nothing is proved.
    pub solver: Option<String>,
    /// The claims, and what the solver said.
    pub claims: Vec<ClaimResult>,
    /// Whether they only add policies that forbid or ask to what is live.
    pub only_tightens: bool,
    /// Whether what they allow is allowed now too; a counterexample shows what they let through.
    pub within_live: Option<ClaimResult>,
}

impl ProposalReport {
    /// Claims that were shown to be wrong.
    pub fn claims_failed(&self) -> usize {
        self.claims.iter().filter(|c| c.result == "fails").count()
    }
}

/// One claim, and what the solver said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimResult {
    /// Its name.
    pub id: String,
    /// What it means.
    pub text: String,
    /// `holds`, `fails`, `undecided` or `unproved`.
    pub result: String,
    /// A call that shows it to be wrong, one line a fact; or why it is not proved.
    pub example: Vec<String>,
}

impl Control {
    pub(super) async fn report(
        &self,
        book: &OrgBook,
        candidate: &Engine,
        live: &BTreeMap<Name, String>,
        new: &NewProposal,
    ) -> Result<ProposalReport, ControlError> {
        let suites = suites(&new.tests)?;
        let results = run(book, &new.sets, &suites)?;
        let failed: Vec<_> = results.iter().filter(|r| !r.passed).collect();
        let failures = failed
            .iter()
            .flat_map(|r| r.problems.iter().map(|p| format!("{}: {p}", r.name)))
            .collect();
        let own: Vec<Never> = suites.iter().flat_map(|s| s.never.clone()).collect();
        let mut report = ProposalReport {
            tests: results.len(),
            tests_failed: failed.len(),
            failures,
            untested: untested(&candidate.notes(), &results),
            warnings: candidate
                .warnings()
                .iter()
                .map(ToString::to_string)
                .collect(),
            only_tightens: remit_policy::only_tightens(&sources(live), &sources(&new.sets))
                .map_err(ControlError::Policy)?,
            ..ProposalReport::default()
        };
        self.proofs(book, candidate, live, &own, &mut report)
            .await?;
        Ok(report)
    }

    async fn proofs(
        &self,
        book: &OrgBook,
        candidate: &Engine,
        live: &BTreeMap<Name, String>,
        own: &[Never],
        report: &mut ProposalReport,
    ) -> Result<(), ControlError> {
        report.solver = self.prover.version().await.ok();
        for claim in claims().iter().chain(own) {
            report.claims.push(self.claim(candidate, claim).await);
        }
        let now = super::compile(book, &sources(live))?;
        report.within_live = Some(self.within(candidate, &now).await);
        Ok(())
    }

    /// What the solver says of one claim.
    pub(crate) async fn claim(&self, engine: &Engine, claim: &Never) -> ClaimResult {
        let actions = match is_of_one_tool(&claim.when) {
            true => Vec::new(),
            false => engine.representatives(),
        };
        let question = Question {
            schema: engine.schema_text().to_owned(),
            actions,
            policies: texts(engine),
            claim: Claim::Never {
                condition: claim.when.clone(),
            },
        };
        let answer = self.prover.prove(question).await;
        told(claim.id.as_str(), &claim.text, answer)
    }

    /// Whether everything that `candidate` allows, `live` allows too.
    pub(crate) async fn within(&self, candidate: &Engine, live: &Engine) -> ClaimResult {
        let question = Question {
            schema: candidate.schema_text().to_owned(),
            actions: candidate.representatives_beside(live),
            policies: texts(candidate),
            claim: Claim::Within {
                others: texts(live),
            },
        };
        let answer = self.prover.prove(question).await;
        told(
            "within-live",
            "nothing is allowed that is not allowed now",
            answer,
        )
    }

    /// Claims about the live policies, or about others; the solver's answer to each.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `Policy` when the policies do not compile; `invalid-request`
    /// when a test file cannot be read.
    pub async fn prove_policies(
        &self,
        caller: &Caller,
        candidate: Option<NewProposal>,
    ) -> Result<ProposalReport, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let live = super::live_sets(&book);
        let new = match candidate {
            Some(new) => {
                super::sound(&new)?;
                new
            }
            None => {
                let bundle = self.policy_bundle(caller, "live").await?;
                NewProposal {
                    title: "live".to_owned(),
                    sets: live.clone(),
                    tests: bundle.tests,
                    source: None,
                }
            }
        };
        let engine = super::compile(&book, &sources(&new.sets))?;
        self.report(&book, &engine, &live, &new).await
    }
}

fn texts(engine: &Engine) -> Vec<PolicyText> {
    let texts = engine.texts().into_iter();
    texts.map(|(id, text)| PolicyText { id, text }).collect()
}

fn told(id: &str, text: &str, answer: Result<Proof, ProverError>) -> ClaimResult {
    let (result, example) = match answer {
        Ok(Proof::Holds) => ("holds", Vec::new()),
        Ok(Proof::Fails(example)) => ("fails", lines(&example)),
        Ok(Proof::Undecided(why)) => ("undecided", vec![why]),
        Err(error) => ("unproved", vec![error.to_string()]),
    };
    ClaimResult {
        id: id.to_owned(),
        text: text.to_owned(),
        result: result.to_owned(),
        example,
    }
}

fn lines(example: &Counterexample) -> Vec<String> {
    let mut lines = vec![format!("a call of {}", example.action)];
    lines.extend(example.facts.iter().cloned());
    lines.push(format!("is allowed by {}", example.allowed_by.join(", ")));
    if !example.denied_by.is_empty() {
        lines.push(format!(
            "and denied now by {}",
            example.denied_by.join(", ")
        ));
    }
    lines
}

/// Reads test files.
pub(crate) fn suites(tests: &BTreeMap<String, String>) -> Result<Vec<Suite>, ControlError> {
    let read = |(name, yaml): (&String, &String)| {
        let name: String = name.chars().take(160).collect();
        Suite::parse(yaml).map_err(|e| invalid("tests", format!("`{name}`: {e}")))
    };
    tests.iter().map(read).collect()
}

/// Runs test files under these policies, for the tools that are registered and those that the files describe.
pub(crate) fn run(
    book: &OrgBook,
    sets: &BTreeMap<Name, String>,
    suites: &[Suite],
) -> Result<Vec<CaseResult>, ControlError> {
    let registered: Vec<_> = book.registry().tools.values().cloned().collect();
    let mut results = Vec::new();
    for suite in suites {
        let described = suite.tools().map_err(|e| invalid("tests", e))?;
        let mut tools: Vec<&Tool> = registered.iter().map(AsRef::as_ref).collect();
        tools.extend(
            described
                .iter()
                .filter(|d| !registered.iter().any(|r| r.tool == d.tool)),
        );
        let engine = Engine::compile(&tools, &sources(sets)).map_err(ControlError::Policy)?;
        results.extend(suite.run(&engine));
    }
    Ok(results)
}

/// Policies that decided none of these cases.
pub(crate) fn untested(notes: &[PolicyNote], results: &[CaseResult]) -> Vec<String> {
    let decided: BTreeSet<&String> = results.iter().flat_map(|r| &r.policies).collect();
    let never = notes.iter().filter(|n| !decided.contains(&n.id));
    never.map(|n| n.id.clone()).collect()
}

impl From<&remit_policy::Problem> for PolicyProblem {
    fn from(p: &remit_policy::Problem) -> Self {
        Self {
            set: p.set.clone(),
            line: p.line,
            column: p.column,
            policy: p.policy.clone(),
            message: p.message.clone(),
            help: p.help.clone(),
        }
    }
}
