//! What an agent can really reach, as the policies decide it.

use clap::Subcommand;
use serde_json::Value;

use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::Out;
use crate::table::{Column, Show, column, table};
use crate::value::{items, line, plain, text};

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
    /// Show privileged combinations that an agent can reach, and what stops each; exits with 2 when one is open
    Paths {
        /// Name of the agent
        agent: String,
        /// Open a finding where nothing stops one
        #[arg(long)]
        record: bool,
    },
}

const PATHS: [Column; 4] = [
    column("SORT", Show::Text("sort")),
    column(
        "CALLS",
        Show::With(|p| {
            items(p, "steps")
                .iter()
                .map(plain)
                .collect::<Vec<_>>()
                .join(", then ")
        }),
    ),
    column("LAST", Show::State("last")),
    column("STOPPED BY", Show::With(stopped)),
];

fn stopped(path: &Value) -> String {
    let by: Vec<String> = items(path, "stopped_by").iter().map(plain).collect();
    if by.is_empty() {
        "NOTHING".to_owned()
    } else {
        by.join(", ")
    }
}

const COLUMNS: [Column; 6] = [
    column("WORKFLOW", Show::Text("workflow")),
    column("TOOL", Show::Text("tool")),
    column("EFFECT", Show::Text("effect")),
    column("DECISION", Show::With(decision)),
    column("DATA", Show::Text("data_classes")),
    column("SYSTEM", Show::With(system)),
];

const ASKS: [Column; 5] = [
    column("WORKFLOW", Show::Text("workflow")),
    column("TOOL", Show::Text("tool")),
    column("EFFECT", Show::Text("effect")),
    column("ASKS", Show::With(asked_of)),
    column("WHEN", Show::With(asked_when)),
];

/// How a condition begins that turns an allow into an ask, or a deny, for some arguments.
const MAY_ASK: &str = "may ask: ";
const MAY_DENY: &str = "may deny: ";

fn system(row: &Value) -> String {
    let both = [text(row, "system"), text(row, "environment")];
    both.into_iter()
        .filter(|t| !t.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn conditions(row: &Value) -> Vec<String> {
    items(row, "conditions").iter().map(plain).collect()
}

/// What is decided with arguments unknown, and what they may turn it into.
fn decision(row: &Value) -> String {
    let has = |start: &str| conditions(row).iter().any(|c| c.starts_with(start));
    let mut word = text(row, "decision");
    if word == "allow" && has(MAY_ASK) {
        word.push_str(", may ask");
    }
    if word != "deny" && has(MAY_DENY) {
        word.push_str(", may deny");
    }
    word
}

/// Who is asked. Where only some arguments ask, the policy that does says whom.
fn asked_of(row: &Value) -> String {
    let approvers = text(row, "approvers");
    if approvers.is_empty() {
        "depends on arguments".to_owned()
    } else {
        approvers
    }
}

fn asked_when(row: &Value) -> String {
    if text(row, "decision") == "ask" {
        return items(row, "reasons")
            .iter()
            .map(plain)
            .collect::<Vec<_>>()
            .join("; ");
    }
    let all = conditions(row);
    all.iter()
        .filter_map(|c| c.strip_prefix(MAY_ASK))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Runs one.
pub(crate) async fn run(at: &Connection, command: AccessCommand) -> Done {
    let (client, out) = (at.client()?, at.out());
    let (agent, asks) = match command {
        AccessCommand::Show { agent, asks } => (agent, asks),
        AccessCommand::Paths { agent, record } => return paths(&client, out, &agent, record).await,
    };
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

async fn paths(client: &crate::client::Client, out: Out, agent: &str, record: bool) -> Done {
    let query = [("record", if record { "true" } else { "false" })];
    let found = client.get_with(&["agents", agent, "paths"], &query).await?;
    let rows = items(&found, "items");
    let open = rows
        .iter()
        .any(|p| p.get("is_open") == Some(&Value::Bool(true)));
    out.one(&found, "steps", || match rows.is_empty() {
        true => format!("{agent} can put nothing privileged together."),
        false => table(rows, &PATHS, out),
    })?;
    Ok(if open { crate::exit::CHANGES } else { OK })
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
    if asks {
        return table(rows, &ASKS, out);
    }
    let number = |word: &str| {
        rows.iter()
            .filter(|r| decision(r).starts_with(word))
            .count()
    };
    let may_ask = rows
        .iter()
        .filter(|r| decision(r).contains("may ask"))
        .count();
    let mut said = vec![table(rows, &COLUMNS, out)];
    let bounded: Vec<&Value> = rows
        .iter()
        .filter(|r| !items(r, "conditions").is_empty())
        .collect();
    if !bounded.is_empty() {
        said.push("\nConditions".to_owned());
    }
    for row in bounded {
        said.push(format!(
            "  {} {}",
            line(&text(row, "workflow"), 80),
            line(&text(row, "tool"), 140)
        ));
        said.extend(
            conditions(row)
                .iter()
                .map(|c| format!("    {}", line(c, 300))),
        );
    }
    said.push(format!(
        "\n{} allowed ({may_ask} of them asked for some arguments), {} asked, {} denied.",
        number("allow"),
        number("ask"),
        number("deny"),
    ));
    said.join("\n")
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
            json!({"workflow": "refund", "tool": "orders/refund", "effect": "purchase", "decision": "ask", "data_classes": ["payment"], "system": "orders", "environment": "production", "conditions": ["amount at most 500", "may deny: no refund to a new card"], "reasons": ["refunds are asked"], "approvers": ["team:support-leads"]}),
        ];
        insta::assert_snapshot!(format!(
            "{}\n--\n{}",
            shown(out(), "support", &rows, false),
            shown(out(), "support", &rows[1..], true)
        ));
    }
}
