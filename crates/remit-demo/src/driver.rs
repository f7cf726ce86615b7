//! The five use-cases, run for real against a running server, and what they prove.
//!
//! | to | go to |
//! | --- | --- |
//! | change what a use-case does | the file of its name |
//! | change how calls are made, counted and expected | `stage` |
//! | change the eight questions, or what the command line is asked | `answers` |
//! | change how authority is handed on, and taken back in the middle | `hops` |
//! | change what happens at the end | `closing` |
//! | change what is left for people to look at | `encore` |

mod answers;
mod closing;
mod compliance_audit;
mod customer_support;
mod devops;
mod encore;
mod hops;
mod it_support;
mod proof;
mod report;
mod say;
mod security_operations;
mod stage;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::seed::Ready;
use say::Say;
use stage::Stage;

pub use encore::{Encore, encore};
pub use report::{Counts, Expectation, Report};

/// What a run of the demo needs.
#[derive(Clone)]
pub struct DemoContext {
    /// The server with its data.
    pub ready: Ready,
    /// The command line to ask: this binary, or another one.
    pub remit: PathBuf,
    /// One JSON document instead of text.
    pub json: bool,
}

/// Runs the five use-cases, asks the eight questions, hands one person's authority on over three hops and takes it back in the
/// middle, verifies the ledger offline and contains the rogue agent.
///
/// What did not end as it had to is in the report; the run goes on, so that all of it is seen at once.
///
/// # Errors
/// When the server or the command line cannot be reached, or answers with something that nothing can be said about.
pub async fn run(context: DemoContext) -> Result<Report> {
    let say = if context.json {
        Say::silent()
    } else {
        Say::to_stdout()
    };
    let mut stage = Stage::new(&context, say)?;
    proof::keep(&mut stage)
        .await
        .context("a checkpoint to keep")?;
    it_support::run(&mut stage).await.context("IT support")?;
    customer_support::run(&mut stage)
        .await
        .context("customer support")?;
    security_operations::run(&mut stage)
        .await
        .context("security operations")?;
    devops::run(&mut stage).await.context("DevOps")?;
    compliance_audit::run(&mut stage)
        .await
        .context("compliance audit")?;
    answers::run(&mut stage)
        .await
        .context("the eight questions")?;
    // After the questions: a call in what was taken back is a finding, and the doctor is asked before.
    hops::run(&mut stage)
        .await
        .context("three hops from one person")?;
    proof::run(&mut stage)
        .await
        .context("offline verification")?;
    closing::run(&mut stage).await.context("containment")?;
    let report = stage.finish();
    if context.json {
        say::json(&report)?;
    }
    Ok(report)
}
