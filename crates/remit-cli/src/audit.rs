//! The ledger: searched, verified, copied, proved.

mod copy;
mod export;
mod proof;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use remit_ledger::Report;
use remit_tlog::VerifierKey;
use serde_json::{Value, json};

use crate::client::{Client, ITEMS_MAX};
use crate::connection::Connection;
use crate::exit::{Done, NOT_VERIFIED, OK, Usage};
use crate::input;
use crate::output::{Format, Out};
use crate::print::note;
use crate::run::event_line;
use crate::value::{count, items, line, text};
use crate::when::Between;

/// Commands on the ledger.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit audit search --agent support --kind call.decided\n  remit audit verify\n  remit audit export --out ledger/\n  remit audit verify --dir ledger/ --key 'remit.example/log+ab12cd34+…' --since-checkpoint kept.txt\n  remit audit prove 48 --out entry-48.proof\n  remit audit verify-proof entry-48.proof --key vkey.txt"
)]
pub enum AuditCommand {
    /// Search the ledger
    Search(Box<Search>),
    /// Verify the whole ledger: on the server, or a copy of it without any server. Exits with 5 when it is broken
    Verify(Verify),
    /// Copy the ledger into a directory, so that it can be verified without the server
    Export {
        /// Directory; one that holds an earlier copy is brought up to date, and must be continued by this one
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The operator's own ledger
        #[arg(long)]
        operator: bool,
    },
    /// Prove that one record is in the ledger, with the record itself
    Prove {
        /// Its number
        entry: u64,
        /// Write the proof to this file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Verify such a proof without any server. Exits with 5 when it proves nothing
    VerifyProof {
        /// The proof
        file: PathBuf,
        /// Verifier key of the ledger, or a file that holds it, from elsewhere than the proof
        #[arg(long, value_name = "VKEY")]
        key: String,
        /// The record, where the proof does not hold it
        #[arg(long, value_name = "FILE")]
        entry: Option<PathBuf>,
    },
}

/// What to search for.
#[derive(Debug, Args)]
pub struct Search {
    /// Only of this kind: call.decided, agent.registered, …
    #[arg(long)]
    kind: Option<String>,
    /// Only of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only of this run
    #[arg(long)]
    run: Option<String>,
    /// Only of this decision
    #[arg(long)]
    decision: Option<String>,
    #[command(flatten)]
    between: Between,
    /// Only from this record on
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// Oldest first
    #[arg(long)]
    oldest: bool,
    /// At most this many
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

/// What to verify.
#[derive(Debug, Args)]
pub struct Verify {
    /// Directory that `remit audit export` wrote; nothing is asked of any server then
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Verifier key of the ledger, or a file that holds it, from elsewhere than the copy
    #[arg(long, value_name = "VKEY", requires = "dir")]
    key: Option<String>,
    /// A checkpoint that was kept elsewhere: without one, truncation and forks cannot be noticed
    #[arg(long, value_name = "FILE")]
    since_checkpoint: Option<PathBuf>,
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: AuditCommand) -> Done {
    let out = connection.out();
    match command {
        AuditCommand::Search(search) => return find(&connection.client()?, out, *search).await,
        AuditCommand::Verify(verify) => match &verify.dir {
            Some(dir) => offline(out, dir, &verify),
            None => {
                online(
                    &connection.client()?,
                    out,
                    verify.since_checkpoint.as_deref(),
                )
                .await
            }
        },
        AuditCommand::Export { out: dir, operator } => {
            let report = export::run(&connection.client()?, &dir, operator).await?;
            note("The key came from the same server; compare it with one you have from elsewhere.");
            told(out, &report, &format!("Copied to {}.", dir.display()))
        }
        AuditCommand::Prove { entry, out: file } => {
            proof::prove(&connection.client()?, out, entry, file.as_deref()).await
        }
        AuditCommand::VerifyProof { file, key, entry } => {
            proof::verify(out, &file, &verifier_key(&key)?, entry.as_deref())
        }
    }
}

async fn find(client: &Client, out: Out, search: Search) -> Done {
    let of = |value: &Option<String>| value.clone().unwrap_or_default();
    let (kind, agent, run, decision) = (
        of(&search.kind),
        of(&search.agent),
        of(&search.run),
        of(&search.decision),
    );
    let [since, until] = search.between.query(out.now);
    // The first page begins where it is told; `after` goes on from there.
    let from = search.from.map(|n| n.to_string()).unwrap_or_default();
    let newest = if search.oldest || search.from.is_some() {
        ""
    } else {
        "true"
    };
    let query = [
        ("kind", kind.as_str()),
        ("agent", &agent),
        ("run", &run),
        ("decision", &decision),
        ("since", &since),
        ("until", &until),
        ("from", &from),
        ("newest", newest),
    ];
    let entries = client
        .list(
            &["audit", "entries"],
            &query,
            search.limit.clamp(1, ITEMS_MAX),
        )
        .await?;
    match out.format {
        Format::Table if !entries.is_empty() => {
            let lines: Vec<String> = entries
                .iter()
                .map(|e| format!("{}  {}", event_line(e), line(&text(e, "who"), 60)))
                .collect();
            crate::print::print(&lines.join("\n"));
        }
        _ => out.list(&entries, &[], "index", "No such record.")?,
    }
    Ok(OK)
}

/// A key as text, or in a file.
pub(crate) fn verifier_key(given: &str) -> anyhow::Result<VerifierKey> {
    let text = if given.contains('+') && !Path::new(given).exists() {
        given.to_owned()
    } else {
        input::file(Path::new(given), input::BYTES_MAX)?
    };
    text.trim()
        .parse()
        .map_err(|e| Usage(format!("`{}` is not a verifier key: {e}", line(given, 80))).into())
}

fn kept(path: Option<&Path>) -> anyhow::Result<Option<String>> {
    path.map(|p| input::file(p, input::BYTES_MAX)).transpose()
}

async fn online(client: &Client, out: Out, since: Option<&Path>) -> Done {
    let body = kept(since)?.map_or_else(|| json!({}), |note| json!({ "checkpoint": note }));
    let found = client.post(&["audit", "verify"], &body).await?;
    let ok = found.get("ok") == Some(&Value::Bool(true));
    out.one(&found, "root", || verified(&found, ok))?;
    Ok(if ok { OK } else { NOT_VERIFIED })
}

fn verified(found: &Value, ok: bool) -> String {
    let number = |path: &str, noun: &str| {
        count(
            found.get(path).and_then(Value::as_u64).unwrap_or_default(),
            noun,
        )
    };
    let gaps = items(found, "gaps");
    let mut lines = vec![
        format!(
            "{}  root {}",
            line(&text(found, "origin"), 200),
            line(&text(found, "root"), 100)
        ),
        format!(
            "{}: {}, {}, {} opened, {} destroyed, {} replayable, {}, {}",
            number("entries", "record"),
            number("decisions", "decision"),
            number("outcomes", "outcome"),
            text(found, "opened"),
            text(found, "shredded"),
            text(found, "replayable"),
            count(gaps.len() as u64, "gap"),
            number("mismatches_count", "mismatch"),
        ),
    ];
    lines.extend(gaps.iter().map(|g| {
        format!(
            "  gap       #{}  {}  {}",
            text(g, "index"),
            text(g, "decision"),
            text(g, "state")
        )
    }));
    lines.extend(items(found, "mismatches").iter().map(|m| {
        let index = text(m, "index");
        let index = if index.is_empty() {
            String::new()
        } else {
            format!("#{index}  ")
        };
        format!("  MISMATCH  {index}{}", line(&text(m, "what"), 400))
    }));
    lines.push(if ok {
        "OK".to_owned()
    } else {
        "BROKEN: what is signed is not what is there".to_owned()
    });
    lines.join("\n")
}

/// A copy, with nothing but its key.
fn offline(out: Out, dir: &Path, verify: &Verify) -> Done {
    let key = match &verify.key {
        Some(given) => verifier_key(given)?,
        None => {
            note(
                "The key is the copy's own, so this finds damage, not forgery; give one you have from elsewhere with --key.",
            );
            copy::key(dir)?
        }
    };
    let report = copy::verify(
        dir,
        &key,
        kept(verify.since_checkpoint.as_deref())?.as_deref(),
    )?;
    if report.continues.is_none() {
        note("Without --since-checkpoint, truncation and forks cannot be noticed.");
    }
    told(out, &report, "")
}

fn told(out: Out, report: &Report, before: &str) -> Done {
    let value = serde_json::to_value(report).context("the report cannot be shown")?;
    out.one(&value, "root", || reported(report, before))?;
    Ok(if report.ok() { OK } else { NOT_VERIFIED })
}

fn reported(report: &Report, before: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(Some(before.to_owned()).filter(|b| !b.is_empty()));
    lines.push(format!(
        "{}  root {}",
        line(&report.origin, 200),
        report.root
    ));
    if let Some(size) = report.continues {
        lines.push(format!(
            "continues the checkpoint over {} that was kept",
            count(size, "record")
        ));
    }
    let number =
        |kind: remit_domain::event::EventKind| report.kinds.get(&kind).copied().unwrap_or_default();
    use remit_domain::event::EventKind::{CallCompleted, CallDecided};
    let faults = report.faults.len() as u64 + report.more_faults;
    lines.push(format!(
        "{}: {}, {}, {}, {}",
        count(report.size, "record"),
        count(number(CallDecided), "decision"),
        count(number(CallCompleted), "outcome"),
        count(report.gaps.len() as u64, "gap"),
        count(faults, "fault"),
    ));
    lines.extend(report.gaps.iter().map(|gap| {
        let what = if gap.reported {
            "reported as a gap"
        } else {
            "no outcome yet, perhaps under way"
        };
        format!("  gap    #{}  {}  {what}", gap.record, gap.decision)
    }));
    lines.extend(report.faults.iter().map(|fault| match fault.record {
        Some(record) => format!("  FAULT  record #{record} {}", line(&fault.text, 400)),
        None => format!("  FAULT  {}", line(&fault.text, 400)),
    }));
    if report.more_faults > 0 {
        lines.push(format!("  … and {} more", report.more_faults));
    }
    lines.push(if report.ok() {
        "OK".to_owned()
    } else {
        "BROKEN: this is not what was signed".to_owned()
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests;
