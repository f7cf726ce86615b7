//! The eight questions that a deployment has to answer, each by a command's output, held against what this run did.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::process::Command;

use super::proof::AUDITOR;
use super::stage::Stage;
use crate::upstreams::story;

/// The command line, signed in as somebody.
pub(super) struct Cli {
    remit: PathBuf,
    addr: String,
    token: String,
    home: tempfile::TempDir,
}

/// What a command answered.
pub(super) struct Answer {
    code: Option<i32>,
    /// Standard output, and standard error after it.
    pub(super) text: String,
}

impl Answer {
    fn of(output: &Output) -> Self {
        let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), text: format!("{}{}", read(&output.stdout), read(&output.stderr)) }
    }

    /// Whether it succeeded.
    pub(super) fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended.
    pub(super) fn exit(&self) -> String {
        self.code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit {code}"))
    }
}

impl Cli {
    /// As an administrator.
    pub(super) fn admin(stage: &Stage) -> Result<Self> {
        Self::with(stage, &stage.ready.admin_token)
    }

    /// As a person.
    pub(super) fn of(stage: &Stage, email: &str) -> Result<Self> {
        Self::with(stage, stage.token_of(email)?)
    }

    fn with(stage: &Stage, token: &str) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("remit-demo-home-").tempdir()?;
        Ok(Self { remit: stage.remit.clone(), addr: stage.ready.base_url.clone(), token: token.to_owned(), home })
    }

    /// Runs a command against the server.
    pub(super) async fn ask(&self, args: &[&str]) -> Result<Answer> {
        let mut command = self.command(args);
        self.finish(command.env("REMIT_ADDR", &self.addr).env("REMIT_TOKEN", &self.token)).await
    }

    /// Runs a command that is told neither the server nor a token.
    pub(super) async fn offline(&self, args: &[&str]) -> Result<Answer> {
        self.finish(&mut self.command(args)).await
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.remit);
        // Nothing of this account's own settings or sign-ins takes part.
        command.args(args).env_clear().env("HOME", self.home.path()).env("XDG_CONFIG_HOME", self.home.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn finish(&self, command: &mut Command) -> Result<Answer> {
        let output = command.output().await.with_context(|| format!("`{}` cannot be run", self.remit.display()))?;
        Ok(Answer::of(&output))
    }
}

/// A command, its exit code, and what its output has to hold.
struct Question<'a> {
    args: Vec<&'a str>,
    exit: &'a str,
    facts: Vec<&'a str>,
}

fn question<'a>(args: &[&'a str], facts: &[&'a str]) -> Question<'a> {
    Question { args: args.to_vec(), exit: "exit 0", facts: facts.to_vec() }
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    let facts = stage.facts.clone();
    let fact = |name: &str| facts.get(name).map(String::as_str).context("a use-case left no fact");
    let (admin, auditor) = (Cli::admin(stage)?, Cli::of(stage, AUDITOR)?);
    let small = refund(20.0);
    let large = refund(480.0);
    let intent = json!({ "purpose": "refund A-118", "authority": { "targets": { "order": [story::ORDER] } } }).to_string();
    let other = json!({ "purpose": "refund A-121", "authority": { "targets": { "order": [story::SMALL_ORDER] } } }).to_string();
    let quiet = explain(&small, &intent);
    let asks = explain(&large, &intent);
    let outside = explain(&large, &other);

    let one = [
        question(&["agent", "ls"], &["it-helpdesk", "support-triage", "audit-sampler", "ines@acme.example", "maria@acme.example"]),
        question(&["agent", "show", "support-triage"], &["maria@acme.example", "Customer support", "arrived broken"]),
    ];
    section(stage, &admin, "1. Which agents exist, who owns them, and why?", &one).await?;
    let two = [question(&["access", "show", "support-triage"], &["orders/refund", "orders/customer_lookup", "refund-asks-finance"])];
    section(stage, &admin, "2. Which systems, tools and data can each reach?", &two).await?;
    let three = [
        question(&["credential", "ls"], &["it-helpdesk", "account-recovery"]),
        Question { exit: "", ..question(&["doctor"], &["ledger"]) },
    ];
    section(stage, &admin, "3. Are credentials scoped, short-lived and rotated?", &three).await?;
    let four = [
        question(&quiet, &["ALLOW"]),
        Question { exit: "exit 4", ..question(&asks, &["ASK", "refund-asks-finance"]) },
        Question { exit: "exit 3", ..question(&outside, &["DENY", "intent"]) },
    ];
    section(stage, &admin, "4. Can authorization change when the task context changes?", &four).await?;
    let five = [question(&["delegation", "tree"], &["maria@acme.example", "nora@acme.example", "audit-collector", "audit-sampler"])];
    section(stage, &admin, "5. How is delegated access tied to a human sponsor?", &five).await?;
    let six = [
        question(&["access", "show", "support-triage", "--asks"], &["orders/refund", "team:finance"]),
        question(&["approval", "ls"], &[fact("pending")?, "itsm/reset_mfa"]),
    ];
    section(stage, &admin, "6. What must pause for a human?", &six).await?;
    let seven = [
        question(&["run", "show", fact("refund_run")?], &["orders/refund", "maria@acme.example", "which arrived broken", "refund-cap"]),
        question(&["audit", "verify"], &["OK", "0 mismatches"]),
    ];
    section(stage, &auditor, "7. Which records prove intent, calls, decisions and outcomes?", &seven).await
    // 8 is answered at the end, by doing it.
}

fn explain<'a>(args: &'a str, intent: &'a str) -> Vec<&'a str> {
    let fixed = ["policy", "explain", "--agent", "support-triage", "--workflow", "refund", "--tool", "orders/refund"];
    let rest = ["--person", "maria@acme.example", "--args", args, "--intent", intent];
    fixed.into_iter().chain(rest).collect()
}

fn refund(amount: f64) -> String {
    json!({ "order": story::ORDER, "amount": amount, "card": story::ORDER_CARD, "reason": "damaged" }).to_string()
}

async fn section(stage: &mut Stage, cli: &Cli, heading: &str, questions: &[Question<'_>]) -> Result<()> {
    stage.begin(heading);
    for question in questions {
        let answer = cli.ask(&question.args).await?;
        let command = format!("remit {}", question.args.join(" "));
        stage.say.line(&format!("  $ {command}"));
        stage.say.quote(&answer.text);
        let missing: Vec<&str> = question.facts.iter().filter(|fact| !answer.text.contains(**fact)).copied().collect();
        let exit_right = question.exit.is_empty() || answer.exit() == question.exit;
        let expected = format!("{} and {}", question.exit, question.facts.join(", "));
        let got = match (exit_right, missing.is_empty()) {
            (true, true) => "it tells what this run did".to_owned(),
            (false, _) => answer.exit(),
            (true, false) => format!("it does not tell {}", missing.join(", ")),
        };
        stage.expect_that(&command, exit_right && missing.is_empty(), &expected, &got);
    }
    Ok(())
}
