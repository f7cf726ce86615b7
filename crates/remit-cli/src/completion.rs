//! Completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::print::print;

/// For which shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  remit completion bash > ~/.local/share/bash-completion/completions/remit\n  remit completion fish > ~/.config/fish/completions/remit.fish"
)]
pub struct Completion {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The commands of this crate, under the binary's name.
#[derive(Debug, clap::Parser)]
#[command(name = "remit")]
struct Own {
    #[command(subcommand)]
    _command: crate::Command,
}

/// Prints the script for `root`, or for the commands of this crate.
pub(crate) fn run(args: &Completion, root: Option<clap::Command>) {
    let mut root = root.unwrap_or_else(Own::command);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut root, "remit", &mut script);
    print(&String::from_utf8_lossy(&script));
}
