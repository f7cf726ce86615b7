//! The project's own checks and generators.
//!
//! - `cargo xtask tidy`: the rules of the house that no compiler checks (see [`tidy`]).
//! - `cargo xtask generate [--check]`: the reference pages and schemas that the binary writes about itself.
//! - `cargo xtask vendor`: the scripts of others that the console serves, from their npm package.
//!
//! It knows the repository and nothing of the product: it depends on no crate of the workspace.

mod files;
mod generate;
mod metadata;
mod rust;
mod tidy;
mod vendor;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "\
usage: cargo xtask <command>

  tidy                 floors, rooms, forbidden calls, file sizes, migrations, words, decisions, links
  generate [--check]   write (or compare) docs/reference and api/ from the binary itself
  vendor               fetch the console's htmx from its npm package, with its licence
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent folder")?;
    match args.as_slice() {
        ["tidy"] => tidy::run(root),
        ["vendor"] => vendor::run(root),
        ["generate"] => generate::run(root, generate::Mode::Write),
        ["generate", "--check"] => generate::run(root, generate::Mode::Check),
        _ => bail!("unknown command\n\n{USAGE}"),
    }
}

/// Prints one line for the person who ran the command.
///
/// To the error stream, where cargo's own messages go. A closed stream is not worth a failure.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
