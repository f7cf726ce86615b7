//! Declassification: labels that people take back from runs. Two people, always.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK, WAITING};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{items, text};

/// Commands on declassifications.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Labels say what a run has touched, and only grow. `remit run declassify` asks to take some back; an approver who has no part in the\nrun decides. A request is void once the run has touched the same again.\n\nExamples:\n  remit run labels run_01JD…\n  remit declassification approve dcl_… --reason 'I have read what it will send'"
)]
pub enum DeclassificationCommand {
    /// List declassifications, newest first
    #[command(alias = "list")]
    Ls {
        /// requested, approved or refused
        #[arg(long)]
        state: Option<String>,
    },
    /// Show one, with what raised its labels
    #[command(alias = "get")]
    Show {
        /// Id
        id: String,
    },
    /// Take the labels back
    Approve {
        /// Id
        id: String,
        /// Why; it is kept
        #[arg(long)]
        reason: String,
    },
    /// Leave the labels where they are
    Refuse {
        /// Id
        id: String,
        /// Why; it is kept
        #[arg(long)]
        reason: String,
    },
}

const COLUMNS: [Column; 6] = [
    column("ID", Show::Text("id")),
    column("STATE", Show::State("state")),
    column("RUN", Show::Text("run")),
    column("AGENT", Show::Text("agent")),
    column("LABELS", Show::Text("labels")),
    column("BY", Show::Text("requested_by")),
];

/// Labels of a run.
pub(crate) const LABELS: [Column; 5] = [
    column("LABEL", Show::Text("label")),
    column("TOOL", Show::Text("tool")),
    column("DECISION", Show::Text("decision")),
    column("RUN", Show::Text("run")),
    column("AT", Show::When("at")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: DeclassificationCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let found = match command {
        DeclassificationCommand::Ls { state } => {
            let query: Vec<(&str, &str)> = state.iter().map(|s| ("state", s.as_str())).collect();
            let found = client
                .list(&["declassifications"], &query, ITEMS_MAX)
                .await?;
            out.list(
                &found,
                &COLUMNS,
                "id",
                "None: every run keeps the labels it has.",
            )?;
            return Ok(OK);
        }
        DeclassificationCommand::Show { id } => client.get(&["declassifications", &id]).await?,
        DeclassificationCommand::Approve { id, reason } => {
            client
                .post(
                    &["declassifications", &id, "approve"],
                    &json!({ "reason": reason }),
                )
                .await?
        }
        DeclassificationCommand::Refuse { id, reason } => {
            client
                .post(
                    &["declassifications", &id, "refuse"],
                    &json!({ "reason": reason }),
                )
                .await?
        }
    };
    told(out, &found)
}

/// One declassification, and whether it waits.
pub(crate) fn told(out: Out, found: &Value) -> Done {
    out.one(found, "id", || page(out, found))?;
    Ok(if text(found, "state") == "requested" {
        WAITING
    } else {
        OK
    })
}

/// A label in one line: `customer-pii  orders/customer_lookup (dec_…)`.
pub(crate) fn label_line(label: &Value) -> String {
    let of = match (text(label, "tool"), text(label, "decision")) {
        (tool, decision) if !tool.is_empty() => format!("{tool} ({decision})"),
        (_, decision) if !decision.is_empty() => decision,
        _ => "not kept, or taken back since".to_owned(),
    };
    let carried = match label.get("carried") {
        Some(Value::Bool(true)) => format!(", brought along from {}", text(label, "run")),
        _ => String::new(),
    };
    format!("{}: {of}{carried}", text(label, "label"))
}

fn page(out: Out, found: &Value) -> String {
    let raised: Vec<Value> = items(found, "raised")
        .iter()
        .map(|l| Value::String(label_line(l)))
        .collect();
    Page::new(
        out,
        &format!(
            "{}  {}",
            text(found, "state").to_uppercase(),
            text(found, "id")
        ),
    )
    .at("Run", found, "run")
    .at("Agent", found, "agent")
    .at("Labels", found, "labels")
    .at("Reason", found, "reason")
    .at("Asked by", found, "requested_by")
    .when("Asked", found, "requested_at")
    .at("Decided by", found, "decided_by")
    .when("Decided", found, "decided_at")
    .at("Verdict", found, "verdict")
    .lines("Raised by", &raised)
    .text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_the_call_that_raised_it() {
        let line = label_line(
            &json!({ "label": "pii", "tool": "crm/find", "decision": "dec_1", "run": "run_1", "carried": true }),
        );
        assert_eq!(line, "pii: crm/find (dec_1), brought along from run_1");
        let line = label_line(&json!({ "label": "pii" }));
        assert_eq!(line, "pii: not kept, or taken back since");
    }
}
