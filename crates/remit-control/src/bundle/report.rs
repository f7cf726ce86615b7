//! What is found out about policies before anybody looks at them: tests, claims, and whether they only narrow.

use std::collections::{BTreeMap, BTreeSet};

use remit_books::OrgBook;
use remit_domain::Tool;
use remit_domain::name::Name;
use remit_policy::test_case::{CaseResult, Suite};
use remit_policy::{Engine, PolicyNote};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::proof::{PROVE_NOW, own_claims};
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
    /// Whether the solver is still at work: then nobody approves it.
    #[serde(default)]
    pub proving: bool,
}

impl ProposalReport {
    /// Claims that were shown to be wrong.
    pub fn claims_failed(&self) -> usize {
        self.claims.iter().filter(|c| c.result == "fails").count()
    }

    /// What the claims came to, in a word: `running`, `proved`, `refuted`, `undecided`, or `absent` where there is no solver.
    pub fn proof(&self) -> &'static str {
        let any = |word: &str| self.claims.iter().any(|c| c.result == word);
        match () {
            () if self.proving => "running",
            () if any("fails") => "refuted",
            () if self.solver.is_none() => "absent",
            () if any("undecided") || any("unproved") => "undecided",
            () => "proved",
        }
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
    /// What tests and the comparison with what is live say; nothing is proved yet.
    pub(super) fn tested(
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
        Ok(ProposalReport {
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
        })
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
        let now = super::compile(&book, &sources(&live))?;
        let mut report = self.tested(&book, &engine, &live, &new)?;
        let own = own_claims(&new.tests)?;
        self.solve(&engine, &now, &own, PROVE_NOW, &mut report)
            .await;
        Ok(report)
    }
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
