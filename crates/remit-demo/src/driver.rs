//! The five use-cases, run for real.

use std::path::PathBuf;

use serde::Serialize;

use crate::seed::Ready;

/// What a run of the demo needs.
#[derive(Clone)]
pub struct DemoContext {
    /// The server with its data.
    pub ready: Ready,
    /// The command line to ask.
    pub remit: PathBuf,
    /// One JSON document instead of text.
    pub json: bool,
}

/// Something that had to happen.
#[derive(Debug, Clone, Serialize)]
pub struct Expectation {
    /// What.
    pub name: String,
    /// How it had to end.
    pub expected: String,
    /// How it ended.
    pub got: String,
    /// Whether that is the same.
    pub ok: bool,
}

/// What happened.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Everything that had to happen, in order.
    pub expectations: Vec<Expectation>,
}

impl Report {
    /// Whether everything happened as it had to.
    pub fn ok(&self) -> bool {
        !self.expectations.is_empty() && self.expectations.iter().all(|e| e.ok)
    }
}

/// Runs the demo.
///
/// # Errors
/// When the server or the command line cannot be reached.
pub async fn run(context: DemoContext) -> anyhow::Result<Report> {
    let _ = context;
    anyhow::bail!("not run")
}
