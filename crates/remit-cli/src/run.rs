//! Runs: what agents did, in order, with every decision.

mod page;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::ask;
use crate::client::{Client, ITEMS_MAX};
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::input;
use crate::output::{Format, Out};
use crate::print::print;
use crate::table::{Column, Show, column};
use crate::value::{count, items, text};
use crate::when::Between;

use page::page;

pub(crate) use page::event_line;

/// How often a run that is followed is looked at.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);

/// Which runs are listed.
#[derive(Debug, Args)]
pub struct Which {
    /// Only of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = ["active", "suspended", "ended"])]
    state: Option<String>,
    #[command(flatten)]
    between: Between,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// Commands on runs.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit run ls --agent support --since 24h\n  remit run show run_01JD…\n  remit run tail run_01JD… --follow\n  remit run declassify run_01JD… --label customer-pii --reason 'the answer holds no name'\n  remit run end run_01JD… --outcome corrected --measure minutes_saved=12"
)]
pub enum RunCommand {
    /// List runs, newest first
    #[command(alias = "list")]
    Ls(Which),
    /// Show one run: intent, chain, and everything that happened
    #[command(alias = "get")]
    Show {
        /// Id
        id: String,
    },
    /// Open a run of an agent on your own delegation
    Start(Box<Start>),
    /// End a run, and say how it went
    End {
        /// Id
        id: String,
        /// done, failed, abandoned or corrected
        #[arg(long, default_value = "done")]
        outcome: String,
        /// Measure: NAME=VALUE; may be repeated
        #[arg(long = "measure", value_name = "NAME=VALUE", value_parser = measure)]
        measures: Vec<(String, Value)>,
    },
    /// Destroy the content of a run that has ended: purpose, arguments, inputs of decisions. Entries stay provable
    Shred {
        /// Id
        id: String,
        /// Why; it is kept
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List what a run has touched: its labels, each with the call that raised it
    Labels {
        /// Id
        id: String,
    },
    /// Ask to take labels back from a run; exits with 4 while it waits for an approver who has no part in it
    Declassify {
        /// Id
        id: String,
        /// Label to take back; may be repeated
        #[arg(long = "label", value_name = "LABEL", required = true)]
        labels: Vec<String>,
        /// Why the run may go on as if it had not touched this
        #[arg(long)]
        reason: String,
    },
    /// Show the events of a run, one a line
    Tail {
        /// Id
        id: String,
        /// Go on until the run ends
        #[arg(short, long)]
        follow: bool,
    },
}

/// A run to open.
#[derive(Debug, Args)]
pub struct Start {
    /// AGENT/WORKFLOW
    workflow: String,
    /// Your delegation to it
    #[arg(long, value_name = "ID")]
    delegation: String,
    /// interactive, or background on a standing delegation
    #[arg(long, default_value = "interactive")]
    mode: String,
    /// What it is for
    #[arg(long)]
    purpose: Option<String>,
    /// Ticket it is about
    #[arg(long)]
    ticket: Option<String>,
    /// Narrower authority as JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    authority: Option<String>,
    /// It only looks around: tools that read metadata, for ten minutes and 100 calls. An intent can say otherwise
    #[arg(long)]
    look_around: bool,
    /// What starts it; required of a background run
    #[arg(long)]
    trigger: Option<String>,
}

fn measure(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(n, _)| !n.is_empty())
        .ok_or_else(|| format!("`{text}` is not of the form NAME=VALUE"))?;
    // A number or a truth value stays one; everything else is text.
    let read = serde_json::from_str::<Value>(value)
        .ok()
        .filter(|v| v.is_number() || v.is_boolean());
    Ok((name.to_owned(), read.unwrap_or_else(|| value.into())))
}

const COLUMNS: [Column; 7] = [
    column("ID", Show::Text("id")),
    column("STATE", Show::State("state")),
    column("WORKFLOW", Show::Text("workflow")),
    column("MODE", Show::Text("mode")),
    column("FOR", Show::Text("person")),
    column("STARTED", Show::When("started")),
    column("OUTCOME", Show::Text("ended.outcome|ended.cause")),
];

/// Runs one.
async fn list(client: &Client, out: Out, which: &Which) -> anyhow::Result<()> {
    let [since, until] = which.between.query(out.now);
    let query = [
        ("agent", which.agent.as_deref().unwrap_or_default()),
        ("state", which.state.as_deref().unwrap_or_default()),
        ("since", &since),
        ("until", &until),
    ];
    let limit = which.limit.clamp(1, ITEMS_MAX);
    let runs = client.list(&["runs"], &query, limit).await?;
    out.list(&runs, &COLUMNS, "id", "No such run. An agent opens one when it gets a token; `remit connect` shows how to attach one.")
}

pub(crate) async fn run(connection: &Connection, command: RunCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        RunCommand::Ls(which) => list(&client, out, &which).await?,
        RunCommand::Show { id } => show(&client, out, &id).await?,
        RunCommand::Start(start) => {
            let opened = client.post(&["runs"], &opening(*start)?).await?;
            out.one(&opened, "id", || page(out, &opened, &Value::Null))?;
        }
        RunCommand::End {
            id,
            outcome,
            measures,
        } => {
            let measures: Map<String, Value> = measures.into_iter().collect();
            let ended = client
                .post(
                    &["runs", &id, "end"],
                    &json!({ "outcome": outcome, "measures": measures }),
                )
                .await?;
            out.one(&ended, "run.id|id", || over(&id, &outcome, &ended))?;
        }
        RunCommand::Shred { id, reason, yes } => {
            ask::confirm(
                &format!("The content of {id} is destroyed; nothing brings it back. Go on?"),
                yes,
            )?;
            let shredded = client
                .post(&["runs", &id, "shred"], &json!({ "reason": reason }))
                .await?;
            out.one(&shredded, "id", || {
                format!("{id}: its content is gone. Its entries stay, and still verify.\n")
            })?;
        }
        RunCommand::Labels { id } => {
            let found = client.get(&["runs", &id, "labels"]).await?;
            out.list(
                items(&found, "labels"),
                &crate::declassification::LABELS,
                "label",
                "Nothing: the run has touched no data that is classified.",
            )?;
        }
        RunCommand::Declassify { id, labels, reason } => {
            let asked = client
                .post(
                    &["runs", &id, "declassify"],
                    &json!({ "labels": labels, "reason": reason }),
                )
                .await?;
            return crate::declassification::told(out, &asked);
        }
        RunCommand::Tail { id, follow } => tail(&client, out, &id, follow).await?,
    }
    Ok(OK)
}

fn opening(start: Start) -> anyhow::Result<Value> {
    let mut intent = Map::new();
    intent.insert(
        "purpose".to_owned(),
        start.purpose.unwrap_or_default().into(),
    );
    intent.extend(start.ticket.map(|t| ("ticket".to_owned(), t.into())));
    if let Some(authority) = &start.authority {
        intent.insert("authority".to_owned(), input::json(authority)?);
    }
    if start.look_around {
        intent.insert("discovery".to_owned(), json!({}));
    }
    let mut body = json!({ "workflow": start.workflow, "mode": start.mode, "intent": intent, "delegation": start.delegation });
    if let Value::Object(fields) = &mut body {
        fields.extend(start.trigger.map(|t| ("trigger".to_owned(), t.into())));
    }
    Ok(body)
}

fn over(id: &str, outcome: &str, ended: &Value) -> String {
    let number = |path: &str, noun: &str| {
        count(
            ended.get(path).and_then(Value::as_u64).unwrap_or_default(),
            noun,
        )
    };
    let children = items(ended, "runs").len().saturating_sub(1) as u64;
    format!(
        "{id} is over ({outcome}). With it: {}, {}, {}.",
        count(children, "child run"),
        number("tokens", "token"),
        number("approvals", "approval")
    )
}

async fn show(client: &Client, out: Out, id: &str) -> anyhow::Result<()> {
    let run = client.get(&["runs", id]).await?;
    let story = client.get(&["runs", id, "events"]).await?;
    let mut whole = run.clone();
    if let (Value::Object(fields), Format::Json | Format::Yaml) = (&mut whole, out.format) {
        fields.insert("story".to_owned(), story.clone());
    }
    out.one(&whole, "id", || page(out, &run, &story))
}

fn events(story: &Value) -> &[Value] {
    story
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_else(|| items(story, "events|items"))
}

async fn tail(client: &Client, out: Out, id: &str, follow: bool) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    loop {
        let over = text(&client.get(&["runs", id]).await?, "state") == "ended";
        let story = client.get(&["runs", id, "events"]).await?;
        let new: Vec<&Value> = events(&story)
            .iter()
            .filter(|e| seen.insert(text(e, "index")))
            .collect();
        for event in new {
            match out.format {
                Format::Table | Format::Name => print(&event_line(event)),
                _ => print(&event.to_string()),
            }
        }
        if over || !follow {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_keep_their_sort() {
        assert_eq!(measure("minutes=12").unwrap().1, json!(12));
        assert_eq!(measure("good=true").unwrap().1, json!(true));
        assert_eq!(measure("note=a=b").unwrap().1, json!("a=b"));
        assert!(measure("x").is_err());
    }
}
