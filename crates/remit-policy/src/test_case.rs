//! Test cases beside policies: facts of a call, and what is to be decided of it.
//!
//! A case says only what matters to it. What it leaves out is as permissive as guardrails allow: an active agent of tier
//! 4 in production, released for autonomy, with a grant of the tool, in a live run.

mod given;
mod hop;

use std::collections::BTreeMap;

use remit_domain::Tool;
use remit_domain::name::Name;
use remit_domain::tool::{Classification, ToolRef};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::decision::Decision;
use crate::engine::Engine;
use crate::facts::Facts;
use crate::limits::CASES_MAX;

pub use given::Given;
pub use hop::TriedHop;

/// Test cases and claims of one file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Tools that are not registered where the tests run.
    #[serde(default)]
    pub tools: BTreeMap<ToolRef, ToolSpec>,
    /// What every case starts from.
    #[serde(default)]
    pub given: Value,
    /// The cases.
    #[serde(default)]
    pub cases: Vec<Case>,
    /// Claims for the prover.
    #[serde(default)]
    pub never: Vec<Never>,
}

/// A tool for tests.
#[derive(Debug, Clone, Deserialize)]
pub struct ToolSpec {
    /// What it does.
    #[serde(flatten)]
    pub classification: Classification,
    /// Its input schema.
    #[serde(default)]
    pub input_schema: Value,
}

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: String,
    /// Which tool is called; none where a hop is tried.
    #[serde(default)]
    pub tool: Option<ToolRef>,
    /// Which hop is tried, in the place of a call.
    #[serde(default)]
    pub hop: Option<TriedHop>,
    /// The facts, over what every case starts from (RFC 7396).
    #[serde(default)]
    pub given: Value,
    /// What is to be decided.
    pub expect: Expect,
    /// Policies that must be among those that decide, as `SET/NAME` or `guardrail/NAME`.
    #[serde(default)]
    pub by: Vec<String>,
    /// Words that a reason must hold.
    #[serde(default)]
    pub says: Option<String>,
}

/// What a case expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the outcome of the same name")]
pub enum Expect {
    Allow,
    Ask,
    Deny,
}

impl Expect {
    /// The outcome's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// A claim: no call for which the condition holds is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Never {
    /// Its name.
    pub id: Name,
    /// What it means, as a sentence.
    pub text: String,
    /// A Cedar expression.
    pub when: String,
}

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// Which.
    pub name: String,
    /// Whether all is as expected.
    pub passed: bool,
    /// What was expected.
    pub expected: &'static str,
    /// What was decided.
    pub found: String,
    /// Policies that decided.
    pub policies: Vec<String>,
    /// What is not as expected, one line each.
    pub problems: Vec<String>,
}

impl Suite {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// One line with the place, where it is no such file or holds too many cases.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let suite: Self = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
        if suite.cases.len() + suite.never.len() > CASES_MAX {
            return Err(format!(
                "there are more than {CASES_MAX} cases: split the file"
            ));
        }
        Ok(suite)
    }

    /// The tools of the file as they would be registered.
    ///
    /// # Errors
    /// One line, when a tool cannot be made of what is written.
    pub fn tools(&self) -> Result<Vec<Tool>, String> {
        let tool = |(tool, spec): (&ToolRef, &ToolSpec)| {
            let schema = if spec.input_schema.is_null() {
                Value::Bool(true)
            } else {
                spec.input_schema.clone()
            };
            let hash = crate::digest::sha256(schema.to_string().as_bytes());
            serde_json::from_value(json!({
                "tool": tool, "definition": { "hash": hash, "body": { "name": tool.tool(), "inputSchema": schema } },
                "pending": null, "classification": spec.classification, "state": "enabled",
            }))
            .map_err(|e| format!("tool {tool}: {e}"))
        };
        self.tools.iter().map(tool).collect()
    }

    /// Runs every case under `engine`.
    pub fn run(&self, engine: &Engine) -> Vec<CaseResult> {
        self.cases
            .iter()
            .map(|case| self.one(engine, case))
            .collect()
    }

    fn one(&self, engine: &Engine, case: &Case) -> CaseResult {
        let (found, policies, problems) = match self.decided(engine, case) {
            Ok(decision) => (
                decision.outcome.as_str().to_owned(),
                decision.policies.clone(),
                check(case, &decision),
            ),
            Err(text) => ("error".to_owned(), Vec::new(), vec![text]),
        };
        CaseResult {
            name: case.name.clone(),
            passed: problems.is_empty(),
            expected: case.expect.as_str(),
            found,
            policies,
            problems,
        }
    }

    /// # Errors
    /// One line, when nothing can be decided.
    fn decided(&self, engine: &Engine, case: &Case) -> Result<Decision, String> {
        let given = |text: String| format!("given: {text}");
        let tool = match (&case.tool, &case.hop) {
            (Some(tool), None) => tool,
            (None, Some(hop)) => {
                let said = given::read(&self.given, &case.given).map_err(given)?;
                return Ok(engine.decide_hop(&hop.facts(engine, said).map_err(given)?));
            }
            _ => return Err("a case tries a call or a hop: name a `tool`, or a `hop`".to_owned()),
        };
        let (hash, classification) = engine.tool_known(tool).ok_or_else(|| {
            format!("tool {tool} is not known: register it, or describe it under `tools`")
        })?;
        let (fixed, dynamic) =
            given::facts(&self.given, &case.given, tool, hash, classification).map_err(given)?;
        let args = engine.validate_args(tool, &dynamic.args);
        args.map_err(|error| error.to_string())?;
        Ok(engine.decide(Facts {
            fixed: &fixed,
            dynamic: &dynamic,
        }))
    }
}

fn check(case: &Case, decision: &Decision) -> Vec<String> {
    let mut problems = Vec::new();
    let found = decision.outcome.as_str();
    let because = || {
        let reasons: Vec<_> = decision
            .reasons
            .iter()
            .map(|r| format!("({}) {}", r.policy, r.text))
            .collect();
        reasons.join("; ")
    };
    if found != case.expect.as_str() {
        let text = format!(
            "expected {}, found {found}: {}",
            case.expect.as_str(),
            because()
        );
        problems.push(text);
    }
    for policy in &case.by {
        if !decision.policies.contains(policy) {
            let text = format!(
                "{policy} did not decide; these did: {}",
                decision.policies.join(", ")
            );
            problems.push(text);
        }
    }
    if let Some(says) = &case.says
        && !decision.reasons.iter().any(|r| r.text.contains(says))
    {
        problems.push(format!("no reason says `{says}`: {}", because()));
    }
    problems
}

#[cfg(test)]
mod tests;
