//! Coverage: which policies ever decide something, in tests and in traffic, and which could go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use remit_domain::name::Name;
use remit_policy::Engine;
use remit_policy::test_case::CaseResult;
use remit_ports::prover::{Asked, Claim, PolicyText, Proof, Question};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bundle::{compile, live_sets, run_tests, sources, suites};
use crate::simulate::traffic;
use crate::{Caller, Control, ControlError};

/// Most decisions that traffic is counted over: the newest ones.
const TRAFFIC_MAX: usize = 20_000;
/// Most policies that the solver is asked about: each is a question of its own.
const SOLVED_MAX: usize = 200;

/// Longest that the solver is asked which policies could go, all together: somebody waits for it.
const SOLVING_TIME_MAX: Duration = Duration::from_secs(45);

/// What questions about single policies share.
struct Solving<'a> {
    engine: &'a Engine,
    tools: Vec<String>,
    until: tokio::time::Instant,
}

/// Policies to be tested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TestRun {
    /// Cedar text by name of the set: everything that would be live. The live ones where absent.
    pub sets: Option<BTreeMap<Name, String>>,
    /// Test cases, YAML by file name. Those of the live bundle where absent.
    pub tests: Option<BTreeMap<String, String>>,
    /// Whether to count decisions of the last days too; 0 where absent.
    pub traffic_secs: i64,
    /// Whether to ask the solver which policies could go.
    pub dead: bool,
}

/// What came of a run of tests.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TestReport {
    /// Whether every case passed.
    pub passed: bool,
    /// The cases.
    #[schemars(with = "Vec<Value>")]
    pub cases: Vec<CaseResult>,
    /// The policies, and what ever made them decide.
    pub coverage: Vec<Covered>,
    /// Percent of the policies that decided a case.
    pub coverage_percent: u64,
}

/// One policy, and what ever made it decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Covered {
    /// Its id.
    pub policy: String,
    /// Its line in the set.
    pub line: usize,
    /// Test cases it decided.
    pub cases: usize,
    /// Recorded decisions it decided; null where traffic was not counted.
    pub decisions: Option<u64>,
    /// `dead` (no call can ever meet it), `shadowed` (without it the same would be decided), `needed`, or null where the
    /// solver was not asked or could not say.
    pub standing: Option<&'static str>,
}

impl Control {
    /// Runs test cases, and tells which policies they, and traffic, ever made decide.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `Policy` when the policies do not compile; `invalid-request`
    /// when a file cannot be read.
    pub async fn test_policies(
        &self,
        caller: &Caller,
        asked: TestRun,
    ) -> Result<TestReport, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let sets = asked.sets.unwrap_or_else(|| live_sets(&book));
        let tests = match asked.tests {
            Some(tests) => tests,
            None => self.policy_bundle(caller, "live").await?.tests,
        };
        let suites = suites(&tests)?;
        let cases = run_tests(&book, &sets, &suites)?;
        let engine = compile(&book, &sources(&sets))?;
        let mut decided: BTreeMap<&str, usize> = BTreeMap::new();
        for case in &cases {
            for policy in case.policies.iter().collect::<BTreeSet<_>>() {
                *decided.entry(policy.as_str()).or_default() += 1;
            }
        }
        let counted = if asked.traffic_secs > 0 {
            let since = self.books.now().plus_secs(-asked.traffic_secs);
            Some(traffic(
                &self.recording(&caller.org, since, TRAFFIC_MAX).await?,
            ))
        } else {
            None
        };
        let mut coverage = Vec::new();
        let solving = Solving {
            engine: &engine,
            tools: engine.representatives(),
            until: tokio::time::Instant::now() + SOLVING_TIME_MAX,
        };
        for note in engine.notes() {
            // The solver is asked about calls.
            let standing = match asked.dead && !note.hop && coverage.len() < SOLVED_MAX {
                true => self.standing_of(&solving, &note.id).await,
                false => None,
            };
            coverage.push(Covered {
                cases: decided.get(note.id.as_str()).copied().unwrap_or(0),
                decisions: counted
                    .as_ref()
                    .map(|c| c.get(&note.id).copied().unwrap_or(0)),
                standing,
                policy: note.id,
                line: note.line,
            });
        }
        let covered = coverage.iter().filter(|c| c.cases > 0).count();
        let percent = (covered * 100).checked_div(coverage.len()).unwrap_or(100);
        Ok(TestReport {
            passed: cases.iter().all(|c| c.passed),
            cases,
            coverage,
            coverage_percent: u64::try_from(percent).unwrap_or(0),
        })
    }

    /// Whether a policy could go, by the solver.
    async fn standing_of(&self, solving: &Solving<'_>, id: &str) -> Option<&'static str> {
        let all: Vec<PolicyText> = solving
            .engine
            .texts()
            .into_iter()
            .map(|(id, text)| PolicyText { id, text })
            .collect();
        let one: Vec<PolicyText> = all.iter().filter(|p| p.id == id).cloned().collect();
        let without: Vec<PolicyText> = all.iter().filter(|p| p.id != id).cloned().collect();
        let anything = PolicyText {
            id: "anything".to_owned(),
            text: "permit (principal, action, resource);".to_owned(),
        };
        let alone = std::iter::once(anything.clone()).chain(one).collect();
        let dead = self.is_within(solving, vec![anything], alone).await?;
        if dead {
            return Some("dead");
        }
        let shadowed = self.is_within(solving, without, all).await?;
        Some(if shadowed { "shadowed" } else { "needed" })
    }

    async fn is_within(
        &self,
        solving: &Solving<'_>,
        policies: Vec<PolicyText>,
        others: Vec<PolicyText>,
    ) -> Option<bool> {
        let left = solving
            .until
            .saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return None;
        }
        let question = Question {
            schema: solving.engine.schema_text().to_owned(),
            policies,
            asked: vec![Asked {
                actions: solving.tools.clone(),
                claim: Claim::Within { others },
            }],
            within: left,
        };
        let answers = self.prover.prove(question).await.ok()?;
        match answers.into_iter().next()? {
            Ok(Proof::Holds) => Some(true),
            Ok(Proof::Fails(_)) => Some(false),
            Ok(Proof::Undecided(_)) | Err(_) => None,
        }
    }
}
