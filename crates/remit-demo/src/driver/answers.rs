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
        Self {
            code: output.status.code(),
            text: format!("{}{}", read(&output.stdout), read(&output.stderr)),
        }
    }

    /// Whether it succeeded.
    pub(super) fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended.
    pub(super) fn exit(&self) -> String {
        self.code.map_or_else(
            || "ended by a signal".to_owned(),
            |code| format!("exit {code}"),
        )
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
        let home = tempfile::Builder::new()
            .prefix("remit-demo-home-")
            .tempdir()?;
        Ok(Self {
            remit: stage.remit.clone(),
            addr: stage.ready.base_url.clone(),
            token: token.to_owned(),
            home,
        })
    }

    /// Runs a command against the server.
    pub(super) async fn ask(&self, args: &[&str]) -> Result<Answer> {
        let mut command = self.command(args);
        self.finish(
            command
                .env("REMIT_ADDR", &self.addr)
                .env("REMIT_TOKEN", &self.token),
        )
        .await
    }

    /// Runs a command that is told neither the server nor a token.
    pub(super) async fn offline(&self, args: &[&str]) -> Result<Answer> {
        self.finish(&mut self.command(args)).await
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.remit);
        // Nothing of this account's own settings or sign-ins takes part.
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn finish(&self, command: &mut Command) -> Result<Answer> {
        let output = command
            .output()
            .await
            .with_context(|| format!("`{}` cannot be run", self.remit.display()))?;
        Ok(Answer::of(&output))
    }
}

/// What the policy that asks says of itself.
const ASKS_FINANCE: &str = "a refund of 50 EUR or more waits for finance";

/// A command, its exit code, and what its output has to hold.
struct Question<'a> {
    args: Vec<&'a str>,
    exit: &'static str,
    facts: Vec<&'a str>,
}

fn question<'a>(args: &[&'a str], facts: &[&'a str]) -> Question<'a> {
    Question {
        args: args.to_vec(),
        exit: "exit 0",
        facts: facts.to_vec(),
    }
}

impl Question<'_> {
    fn ending(self, exit: &'static str) -> Self {
        Self { exit, ..self }
    }
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    who_and_what(stage).await?;
    context(stage).await?;
    people_and_records(stage).await
    // The eighth is answered at the end, by doing it.
}

/// Questions 1 to 3.
async fn who_and_what(stage: &mut Stage) -> Result<()> {
    let admin = Cli::admin(stage)?;
    let all = [
        "it-helpdesk",
        "support-triage",
        "audit-sampler",
        "ines@acme.example",
        "maria@acme.example",
    ];
    let one = ["maria@acme.example", "Customer support", "arrived broken"];
    let asked = [
        question(&["agent", "ls"], &all),
        question(&["agent", "show", "support-triage"], &one),
    ];
    section(
        stage,
        &admin,
        "1. Which agents exist, who owns them, and why?",
        &asked,
    )
    .await?;
    let facts = [
        "orders/refund",
        "orders/customer_lookup",
        "customer-pii",
        ASKS_FINANCE,
        "no agent refunds more than 500 EUR",
    ];
    let asked = [question(&["access", "show", "support-triage"], &facts)];
    section(
        stage,
        &admin,
        "2. Which systems, tools, data and APIs can each reach?",
        &asked,
    )
    .await?;
    let keys = [
        "it-helpdesk/account-recovery",
        "audit-sampler/sample",
        "maria@acme.example",
    ];
    let asked = [
        question(&["credential", "ls"], &keys),
        question(&["doctor"], &["agent-keys", "signing-keys", "ledger"]),
    ];
    section(
        stage,
        &admin,
        "3. Are credentials scoped, short-lived and rotated?",
        &asked,
    )
    .await
}

/// Question 4: the same refund, small, large, and in a run that is about another order.
async fn context(stage: &mut Stage) -> Result<()> {
    let admin = Cli::admin(stage)?;
    let (small, large) = (refund(20.0), refund(480.0));
    let (own, other) = (intent(story::ORDER), intent(story::SMALL_ORDER));
    let asked = [
        question(&explain(&small, &own), &["ALLOW"]),
        question(
            &explain(&large, &own),
            &["ASK", "refund-asks-finance", "team:finance"],
        )
        .ending("exit 4"),
        question(&explain(&large, &other), &["DENY", "guardrail/intent"]).ending("exit 3"),
    ];
    section(
        stage,
        &admin,
        "4. Can authorization change when the task context changes?",
        &asked,
    )
    .await
}

/// Questions 5 to 7.
async fn people_and_records(stage: &mut Stage) -> Result<()> {
    let facts = stage.facts.clone();
    let fact = |name: &str| {
        facts
            .get(name)
            .map(String::as_str)
            .context("a use-case left no fact")
    };
    let (pending, run) = (fact("pending")?, fact("refund_run")?);
    let (admin, auditor) = (Cli::admin(stage)?, Cli::of(stage, AUDITOR)?);
    let tree = [
        "maria@acme.example",
        "nora@acme.example",
        "audit-collector",
        "audit-sampler",
        "omar@acme.example",
    ];
    let asked = [question(&["delegation", "tree"], &tree)];
    section(
        stage,
        &admin,
        "5. How is delegated access tied to a human sponsor?",
        &asked,
    )
    .await?;
    let asked = [
        question(
            &["access", "show", "support-triage", "--asks"],
            &["orders/refund", ASKS_FINANCE],
        ),
        question(&["approval", "ls"], &[pending, "itsm/reset_mfa"]),
    ];
    section(stage, &admin, "6. What must pause for a human?", &asked).await?;
    let story = [
        "orders/refund",
        "maria@acme.example",
        "which arrived broken",
        "outside 0.01..500",
        "approval.settled",
    ];
    let asked = [
        question(&["run", "show", run], &story),
        question(&["audit", "verify"], &["0 mismatches", "OK"]),
    ];
    let heading = "7. Which records prove intent, calls, decisions and outcomes?";
    section(stage, &auditor, heading, &asked).await
}

fn explain<'a>(args: &'a str, intent: &'a str) -> Vec<&'a str> {
    let what = [
        "--agent",
        "support-triage",
        "--workflow",
        "refund",
        "--tool",
        "orders/refund",
    ];
    let how = [
        "--person",
        "maria@acme.example",
        "--args",
        args,
        "--intent",
        intent,
    ];
    ["policy", "explain"]
        .into_iter()
        .chain(what)
        .chain(how)
        .collect()
}

fn intent(order: &str) -> String {
    json!({ "purpose": "a refund", "authority": { "targets": { "order": [order] } } }).to_string()
}

/// Arguments as a shell would take them.
pub(super) fn shown(args: &[&str]) -> String {
    let word = |arg: &&str| {
        if arg.contains([' ', '"', '{']) {
            format!("'{arg}'")
        } else {
            (*arg).to_owned()
        }
    };
    args.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn refund(amount: f64) -> String {
    json!({ "order": story::ORDER, "amount": amount, "card": story::ORDER_CARD, "reason": "damaged" }).to_string()
}

async fn section(
    stage: &mut Stage,
    cli: &Cli,
    heading: &str,
    questions: &[Question<'_>],
) -> Result<()> {
    stage.begin(heading);
    for question in questions {
        let answer = cli.ask(&question.args).await?;
        let command = format!("remit {}", shown(&question.args));
        stage.say.line(&format!("  $ {command}"));
        stage.say.quote(&answer.text);
        let missing: Vec<&str> = question
            .facts
            .iter()
            .filter(|fact| !answer.text.contains(**fact))
            .copied()
            .collect();
        let exit_right = answer.exit() == question.exit;
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
