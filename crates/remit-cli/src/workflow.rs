//! Workflows of agents, and what each grants.

use clap::Subcommand;
use serde_json::Value;

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, items, plain, text};
use crate::when;

/// Commands on workflows.
#[derive(Debug, Subcommand)]
pub enum WorkflowCommand {
    /// List workflows, of one agent or of all
    #[command(alias = "list")]
    Ls {
        /// Name of the agent
        agent: Option<String>,
    },
    /// Show one workflow with its grants and their bounds
    #[command(alias = "get")]
    Show {
        /// AGENT/WORKFLOW
        workflow: String,
    },
}

const COLUMNS: [Column; 6] = [
    column(
        "WORKFLOW",
        Show::With(|w| format!("{}/{}", text(w, "agent"), text(w, "name"))),
    ),
    column("STATE", Show::State("state")),
    column("GRANTS", Show::Count("grants")),
    column("DATA", Show::Text("data_classes")),
    column("LASTS", Show::With(|w| lasts(w, "run_secs_max"))),
    column("PURPOSE", Show::Text("purpose")),
];

fn lasts(workflow: &Value, field: &str) -> String {
    workflow
        .get(field)
        .and_then(Value::as_i64)
        .map(when::span)
        .unwrap_or_default()
}

/// Splits `agent/workflow`.
pub(crate) fn split(name: &str) -> anyhow::Result<(&str, &str)> {
    let parts = name
        .split_once('/')
        .filter(|(a, w)| !a.is_empty() && !w.is_empty() && !w.contains('/'));
    parts.ok_or_else(|| Usage(format!("`{name}` is not of the form AGENT/WORKFLOW")).into())
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: WorkflowCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        WorkflowCommand::Ls { agent } => {
            let agents = match agent {
                Some(agent) => vec![agent],
                None => client
                    .list(&["agents"], &[], ITEMS_MAX)
                    .await?
                    .iter()
                    .map(|a| text(a, "name"))
                    .collect(),
            };
            let mut all = Vec::new();
            for agent in agents {
                all.extend(
                    client
                        .list(&["agents", &agent, "workflows"], &[], ITEMS_MAX)
                        .await?,
                );
            }
            let name = all.iter().map(with_name).collect::<Vec<_>>();
            out.list(&name, &COLUMNS, "full_name", "No workflow yet, so no access. Write a document of kind Workflow and run `remit apply -f FILE`.")?;
        }
        WorkflowCommand::Show { workflow } => {
            let (agent, name) = split(&workflow)?;
            let found = client.get(&["agents", agent, "workflows", name]).await?;
            out.one(&with_name(&found), "full_name", || page(out, &found))?;
        }
    }
    Ok(OK)
}

fn with_name(workflow: &Value) -> Value {
    let mut workflow = workflow.clone();
    let name = format!("{}/{}", text(&workflow, "agent"), text(&workflow, "name"));
    if let Value::Object(fields) = &mut workflow {
        fields.insert("full_name".to_owned(), name.into());
    }
    workflow
}

fn page(out: Out, workflow: &Value) -> String {
    let grants = [
        column("TOOL", Show::Text("tool")),
        column(
            "BOUNDS",
            Show::With(|g| at(g, "bounds").map(bounds).unwrap_or_default()),
        ),
        column(
            "LIMITS",
            Show::With(|g| at(g, "limits").map(bounds).unwrap_or_default()),
        ),
        column("EXPIRES", Show::When("expires")),
    ];
    Page::new(
        out,
        &format!(
            "{}/{}  {}",
            text(workflow, "agent"),
            text(workflow, "name"),
            text(workflow, "state").to_uppercase()
        ),
    )
    .at("Purpose", workflow, "purpose")
    .at("Data classes", workflow, "data_classes")
    .field("A run lasts", lasts(workflow, "run_secs_max"))
    .field("idle at most", lasts(workflow, "run_idle_secs_max"))
    .at("May spawn", workflow, "spawnable")
    .table("Grants", items(workflow, "grants"), &grants)
    .text()
}

/// Bounds in short: JSON without its quotes.
fn bounds(value: &Value) -> String {
    match value {
        Value::Array(all) => all.iter().map(compact).collect::<Vec<_>>().join("; "),
        other => compact(other),
    }
}

fn compact(value: &Value) -> String {
    match value {
        Value::Object(_) => value
            .to_string()
            .replace('"', "")
            .trim_start_matches('{')
            .trim_end_matches('}')
            .to_owned(),
        other => plain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;
    use serde_json::json;

    #[test]
    fn grants_are_shown_with_their_bounds() {
        let workflow = json!({
            "agent": "support", "name": "refund", "state": "active", "purpose": "Refunds", "run_secs_max": 3600, "run_idle_secs_max": 1800,
            "data_classes": ["customer_pii"],
            "grants": [
                {"tool": "orders/refund", "bounds": {"amount": [{"integer": {"min": 1, "max": 500}}]}, "limits": [{"count": 3, "per": "day"}], "expires": "2026-11-23T08:00:00Z"},
                {"tool": "orders/order_status", "bounds": {}, "limits": []},
            ],
        });
        insta::assert_snapshot!(page(out(), &workflow));
    }

    #[test]
    fn names_have_two_parts() {
        assert_eq!(split("a/b").unwrap(), ("a", "b"));
        for wrong in ["a", "/b", "a/", "a/b/c"] {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }
}
