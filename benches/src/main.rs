//! Measurements: what governing a call costs, beside the same call ungoverned, in one run on one machine.
//!
//! `make bench` builds for release, runs this and writes `benches/RESULTS.md`. Every figure that Remit claims comes from here.

#![expect(clippy::print_stdout, reason = "a report is what this program is for")]

mod authzen;
mod console;
mod decision;
mod echo;
mod fill;
mod identity;
mod load;
mod machine;
mod pass;
mod policy;
mod redact;
mod report;
mod serve;
mod server;
mod store;

use std::path::PathBuf;

use anyhow::Context;

use report::Report;

/// As the server has it: what is measured in this process costs what it costs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long each load runs, in seconds; [`ROUNDS`] times, interleaved.
const SECONDS: f64 = 4.0;
const ROUNDS: usize = 3;

/// Sizes that the pages of the console are measured at: agents, entries of the ledger, and milliseconds that a page may take.
const SIZES: [console::Size; 2] = [
    console::Size {
        agents: 10_000,
        entries: 1_000_000,
        page_ms: 20.0,
    },
    console::Size {
        agents: 1_000_000,
        entries: 1_000_000,
        page_ms: 100.0,
    },
];

/// Tokens that live at once when memory is looked at.
const TOKENS: usize = 100_000;

const USAGE: &str = "usage: remit-bench PATH-OF-REMIT [--results FILE] [--only decision|policy|redact|store|call|authzen|identity|console] [--agents N] [--entries N] [--tokens N] [--node PATH --node-modules DIR] [--seconds S] [--rounds N]";

/// What is measured, and for how long.
struct Options {
    remit: PathBuf,
    results: Option<PathBuf>,
    only: Option<String>,
    seconds: f64,
    rounds: usize,
    agents: Option<usize>,
    entries: Option<usize>,
    tokens: usize,
    /// Node, and packages with `oidc-provider` in them.
    node: Option<PathBuf>,
    node_modules: Option<PathBuf>,
}

impl Options {
    fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self {
            remit: PathBuf::from(args.next().context(USAGE)?),
            results: None,
            only: None,
            seconds: SECONDS,
            rounds: ROUNDS,
            agents: None,
            entries: None,
            tokens: TOKENS,
            node: None,
            node_modules: None,
        };
        while let Some(flag) = args.next() {
            let value = args.next().context(USAGE)?;
            match flag.as_str() {
                "--results" => options.results = Some(value.into()),
                "--only" => options.only = Some(value),
                "--seconds" => options.seconds = value.parse()?,
                "--rounds" => options.rounds = value.parse()?,
                "--agents" => options.agents = Some(value.parse()?),
                "--entries" => options.entries = Some(value.parse()?),
                "--node" => options.node = Some(value.into()),
                "--node-modules" => options.node_modules = Some(value.into()),
                "--tokens" => options.tokens = value.parse()?,
                _ => anyhow::bail!(USAGE),
            }
        }
        Ok(options)
    }

    /// One size where somebody says how large.
    fn sizes(&self) -> Vec<console::Size> {
        let [small, large] = SIZES;
        if self.agents.is_none() && self.entries.is_none() {
            return vec![small, large];
        }
        let agents = self.agents.unwrap_or(small.agents);
        let page_ms = if agents > small.agents {
            large.page_ms
        } else {
            small.page_ms
        };
        vec![console::Size {
            agents,
            entries: self.entries.unwrap_or(small.entries),
            page_ms,
        }]
    }

    fn wants(&self, what: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == what)
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    let mut report = Report::new();
    if options.wants("decision") {
        decision::measure(&mut report)?;
    }
    if options.wants("policy") {
        policy::measure(&mut report).await?;
    }
    if options.wants("redact") {
        redact::measure(&mut report)?;
    }
    if options.wants("store") {
        store::measure(&mut report).await?;
    }
    if options.wants("call") {
        server::measure(&options.remit, &mut report, options.seconds, options.rounds).await?;
    }
    if options.wants("authzen") {
        authzen::measure(&options.remit, &mut report, options.seconds, options.rounds).await?;
    }
    if options.wants("identity") {
        let (load, tokens) = ((options.seconds, options.rounds), options.tokens);
        let node = options.node.as_deref().zip(options.node_modules.as_deref());
        identity::measure(&options.remit, &mut report, load, tokens, node).await?;
    }
    if options.wants("console") {
        console::measure(&options.remit, &mut report, &options.sizes()).await?;
    }
    let text = report.markdown();
    println!("{text}");
    if let Some(path) = &options.results {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
