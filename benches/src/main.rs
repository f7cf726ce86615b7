//! Measurements: what governing a call costs, beside the same call ungoverned, in one run on one machine.
//!
//! `make bench` builds for release, runs this and writes `benches/RESULTS.md`. Every figure that Remit claims comes from here.

#![expect(clippy::print_stdout, reason = "a report is what this program is for")]

mod decision;
mod echo;
mod load;
mod machine;
mod pass;
mod report;
mod server;
mod store;

use std::path::PathBuf;

use anyhow::Context;

use report::Report;

/// How long each load runs, in seconds; three times, interleaved.
const SECONDS: f64 = 4.0;
const ROUNDS: usize = 3;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let remit = PathBuf::from(
        args.next()
            .context("usage: remit-bench PATH-OF-REMIT [RESULTS.md]")?,
    );
    let results = args.next().map(PathBuf::from);
    let mut report = Report::new();
    decision::measure(&mut report)?;
    store::measure(&mut report).await?;
    server::measure(&remit, &mut report, SECONDS, ROUNDS).await?;
    let text = report.markdown();
    println!("{text}");
    if let Some(path) = results {
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
