//! What an agent can really reach, as the policies decide it.

use clap::Subcommand;
use serde_json::Value;

use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::Out;
use crate::table::{Column, Show, column, table};
use crate::value::{items, plain, text};

/// Commands on access.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit access show support-triage\n  remit access show support-triage --asks"
)]
pub enum AccessCommand {
    /// Show each tool an agent can reach: allowed, asked or denied, under which conditions, by which policies
    #[command(alias = "get")]
    Show {
        /// Name of the agent
        agent: String,
        /// Only what pauses for a human
        #[arg(long)]
        asks: bool,
    },
}

const COLUMNS: [Column; 7] = [
    column("WORKFLOW", Show::Text("workflow")),
    column("TOOL", Show::Text("tool")),
    column("EFFECT", Show::Text("effect")),
    column("DECISION", Show::State("decision")),
    column("IF", Show::With(first_condition)),
    column("DATA", Show::Text("data_classes")),
    column(
        "SYSTEM",
        Show::With(|r| {
            [text(r, "system"), text(r, "environment")]
                .into_iter()
                .filter(|t| !t.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        }),
    ),
];

const ASKS: [Column; 5] = [
    column("WORKFLOW", Show::Text("workflow")),
    column("TOOL", Show::Text("tool")),
    column("EFFECT", Show::Text("effect")),
    column("ASKS", Show::Text("approvers")),
    column("WHEN", Show::With(first_condition)),
];

fn first_condition(row: &Value) -> String {
    let all = [items(row, "conditions"), items(row, "reasons")].concat();
    match all.as_slice() {
        [] => String::new(),
        [only] => plain(only),
        [first, rest @ ..] => format!("{} (+{})", plain(first), rest.len()),
    }
}

/// Runs one.
pub(crate) async fn run(at: &Connection, command: AccessCommand) -> Done {
    let AccessCommand::Show { agent, asks } = command;
    let (client, out) = (at.client()?, at.out());
    let query = [("asks", if asks { "true" } else { "" })];
    let rows = client
        .list(
            &["agents", &agent, "access"],
            &query,
            crate::client::ITEMS_MAX,
        )
        .await?;
    let all = Value::Array(rows.clone());
    out.one(&all, "tool", || shown(out, &agent, &rows, asks))?;
    Ok(OK)
}

fn shown(out: Out, agent: &str, rows: &[Value], asks: bool) -> String {
    if rows.is_empty() && asks {
        return format!(
            "Nothing that {agent} does pauses for a human. What it can reach: remit access show {agent}"
        );
    }
    if rows.is_empty() {
        return format!(
            "{agent} can reach nothing. It needs a workflow with grants: remit workflow ls {agent}"
        );
    }
    let columns: &[Column] = if asks { &ASKS } else { &COLUMNS };
    let number = |word: &str| rows.iter().filter(|r| text(r, "decision") == word).count();
    let tail = format!(
        "\n\n{} allowed, {} asked, {} denied.",
        number("allow"),
        number("ask"),
        number("deny")
    );
    format!(
        "{}{}",
        table(rows, columns, out),
        if asks { "" } else { &tail }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;
    use serde_json::json;

    #[test]
    fn access_reads_as_one_table() {
        let rows = [
            json!({"workflow": "refund", "tool": "orders/order_status", "effect": "read", "decision": "allow", "data_classes": [], "system": "orders", "environment": "production", "conditions": []}),
            json!({"workflow": "refund", "tool": "orders/refund", "effect": "purchase", "decision": "ask", "data_classes": ["payment"], "system": "orders", "environment": "production", "conditions": ["amount at most 500", "in a run with a ticket"], "approvers": ["team:support-leads"]}),
        ];
        insta::assert_snapshot!(format!(
            "{}\n--\n{}",
            shown(out(), "support", &rows, false),
            shown(out(), "support", &rows[1..], true)
        ));
    }
}
