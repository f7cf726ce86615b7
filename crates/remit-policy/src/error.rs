//! What can go wrong before a decision. Deciding itself cannot fail: it denies.

use std::fmt;

use crate::limits::PROBLEMS_MAX;

/// Facts that have no canonical form, so that no decision on them could be replayed.
#[derive(Debug, thiserror::Error)]
#[error("these facts have no canonical form")]
pub struct FactsError {
    #[from]
    source: serde_json::Error,
}

/// One thing wrong in one policy set.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Which set.
    pub set: String,
    /// Line, from 1; 0 where the set as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 as above.
    pub column: usize,
    /// Id of the policy, where it is known.
    pub policy: Option<String>,
    /// What, why, what to do.
    pub message: String,
    /// What was probably meant, where Cedar has an idea.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.set, self.line, self.column)?;
        if let Some(policy) = &self.policy {
            write!(f, "policy `{policy}`: ")?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// Policies that do not go live. What was live before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Something is wrong with the sets.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
    /// The tools give no schema.
    #[error("no policy schema can be made of these tools: {0}")]
    Schema(String),
}

impl PolicyError {
    /// Every problem with its place; none when the schema is at fault.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Problems(problems) => problems,
            Self::Schema(_) => &[],
        }
    }

    /// In the order of their places: Cedar gives them in any.
    pub(crate) fn of(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| {
            let place = |p: &Problem| (p.line, p.column);
            (&a.set, place(a), &a.message).cmp(&(&b.set, place(b), &b.message))
        });
        problems.truncate(PROBLEMS_MAX);
        Self::Problems(problems)
    }
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Arguments that are not what the tool's input schema says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// The engine does not know the tool.
    #[error("tool `{0}` is not known here")]
    UnknownTool(String),
    /// The tool's own input schema cannot be used, so that nothing can be said of any arguments.
    #[error("the input schema of this tool cannot be used: {0}; its upstream has to correct it")]
    Schema(String),
    /// What does not fit.
    #[error("the arguments do not fit the tool's input schema: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Arguments(Vec<ArgProblem>),
}

/// One argument that does not fit. Holds no value of an argument.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ArgProblem {
    /// JSON Pointer (RFC 6901); empty for the arguments as a whole.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for ArgProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        write!(f, "`{path}`: {}", self.reason)
    }
}
