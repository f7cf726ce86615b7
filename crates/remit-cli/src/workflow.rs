//! Workflows of agents, and what each grants.

use clap::Subcommand;
use serde_json::Value;

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, items, lines, text, time};
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
    let heading = format!(
        "{}/{}  {}",
        text(workflow, "agent"),
        text(workflow, "name"),
        text(workflow, "state").to_uppercase()
    );
    let grants: Vec<String> = items(workflow, "grants")
        .iter()
        .map(|g| grant(out, g))
        .collect();
    Page::new(out, &heading)
        .at("Purpose", workflow, "purpose")
        .at("Data classes", workflow, "data_classes")
        .field("A run lasts", lasts(workflow, "run_secs_max"))
        .field("Idle at most", lasts(workflow, "run_idle_secs_max"))
        .at("May spawn", workflow, "spawnable")
        .section("Grants", &lines(&grants.join("\n")))
        .text()
}

/// A grant: its tool, and below it everything that bounds it.
fn grant(out: Out, grant: &Value) -> String {
    let ends = time(grant, "expires").map(|t| format!("  ends {}", when::relative(t, out.now)));
    let mut said = vec![format!(
        "{}{}",
        text(grant, "tool"),
        ends.unwrap_or_default()
    )];
    for (path, bounds) in at(grant, "bounds")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        said.extend(
            bounds
                .as_array()
                .into_iter()
                .flatten()
                .map(|b| format!("  {path} {}", bound(b))),
        );
    }
    said.extend(
        items(grant, "limits")
            .iter()
            .map(|l| format!("  {}", limit(l))),
    );
    said.join("\n")
}

/// A bound in words; one that is not known as it is written.
fn bound(bound: &Value) -> String {
    let ends = |path: &str| {
        let end = |name: &str, none: &str| {
            Some(text(bound, &format!("{path}.{name}")))
                .filter(|t| !t.is_empty())
                .unwrap_or_else(|| none.to_owned())
        };
        format!("{} to {}", end("min", "any"), end("max", "any"))
    };
    if bound.get("integer").is_some() {
        format!("a whole number, {}", ends("integer"))
    } else if bound.get("decimal").is_some() {
        ends("decimal")
    } else if bound.get("prefix").is_some() {
        format!(
            "`{0}`, or beginning with `{0}{1}`",
            text(bound, "prefix.prefix"),
            text(bound, "prefix.separator")
        )
    } else if bound.get("one_of").is_some() {
        format!("one of {}", text(bound, "one_of"))
    } else if bound.get("length").is_some() {
        format!("at most {} long", text(bound, "length.max"))
    } else {
        bound.to_string()
    }
}

fn limit(limit: &Value) -> String {
    let each = text(limit, "sum.by");
    let each = if each.is_empty() {
        String::new()
    } else {
        format!(" for each {each}")
    };
    if limit.get("count").is_some() {
        format!(
            "at most {} calls a {}",
            text(limit, "count.max"),
            text(limit, "count.per")
        )
    } else if limit.get("sum").is_some() {
        format!(
            "{} adds up to at most {} a {}{each}",
            text(limit, "sum.arg"),
            text(limit, "sum.max"),
            text(limit, "sum.per")
        )
    } else {
        limit.to_string()
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
                {"tool": "orders/refund", "bounds": {"amount": [{"decimal": {"min": "0.01", "max": "500"}}], "order": [{"prefix": {"prefix": "A", "separator": "-"}}, {"length": {"max": 9}}], "why": [{"one_of": ["late", "broken"]}], "n": [{"integer": {"max": 3}}], "new": [{"other": 1}]}, "limits": [{"count": {"max": 3, "per": "day"}}, {"sum": {"arg": "amount", "max": "2000", "per": "day", "by": "customer"}}], "expires": "2026-11-23T08:00:00Z"},
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
