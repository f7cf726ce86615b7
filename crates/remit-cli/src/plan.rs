//! Documents: what applying them would change, and applying them.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::ask;
use crate::client::Client;
use crate::connection::Connection;
use crate::documents::Documents;
use crate::exit::{CHANGES, Done, ERROR, OK, Refused};
use crate::output::Format;
use crate::print::{note, print};
use crate::value::{items, line, text};

/// Longest value in a diff, in characters.
const VALUE_CHARS_MAX: usize = 160;

/// What to plan.
#[derive(Debug, Args)]
pub struct Plan {
    /// File or directory of documents; `-` for standard input
    #[arg(short, long, value_name = "PATH", required = true)]
    file: PathBuf,
}

/// What to apply.
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    plan: Plan,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Shows what would change; exits with 2 when anything would.
pub(crate) async fn plan(connection: &Connection, args: Plan) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let documents = Documents::read(&args.file)?;
    let plan = made(&client, &documents).await?;
    out.one(&plan, "hash", || shown(&plan, &documents))?;
    Ok(if !items(&plan, "errors").is_empty() {
        ERROR
    } else if changes(&plan) > 0 {
        CHANGES
    } else {
        OK
    })
}

/// Shows what would change, asks, and does exactly that.
pub(crate) async fn apply(connection: &Connection, args: Apply) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let documents = Documents::read(&args.plan.file)?;
    let plan = made(&client, &documents).await?;
    if !items(&plan, "errors").is_empty() {
        note(&shown(&plan, &documents));
        return Ok(ERROR);
    }
    if changes(&plan) == 0 {
        out.one(&plan, "hash", || shown(&plan, &documents))?;
        return Ok(OK);
    }
    if out.format == Format::Table {
        print(&shown(&plan, &documents));
    }
    ask::confirm("Apply this?", args.yes)?;
    let body = json!({ "documents": documents.text, "expect": text(&plan, "hash") });
    let applied = client
        .post(&["apply"], &body)
        .await
        .map_err(|e| placed(e, &documents))?;
    out.one(&applied, "changes", || done(&applied))?;
    Ok(OK)
}

async fn made(client: &Client, documents: &Documents) -> anyhow::Result<Value> {
    let body = json!({ "documents": documents.text });
    client
        .post(&["plan"], &body)
        .await
        .map_err(|e| placed(e, documents))
}

/// A refusal with its faults told in the files they are in.
fn placed(error: anyhow::Error, documents: &Documents) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(mut refused) => {
            refused.errors = refused
                .errors
                .iter()
                .map(|fault| documents.fault(fault).into())
                .collect();
            refused.into()
        }
        Err(error) => error,
    }
}

fn changes(plan: &Value) -> usize {
    items(plan, "changes")
        .iter()
        .filter(|c| text(c, "action") != "none")
        .count()
}

fn shown(plan: &Value, documents: &Documents) -> String {
    let mut lines = Vec::new();
    for change in items(plan, "changes") {
        let sign = match text(change, "action").as_str() {
            "create" => "+",
            "update" => "~",
            _ => continue,
        };
        lines.push(format!(
            "  {sign} {}/{}",
            text(change, "kind").to_lowercase(),
            line(&text(change, "name"), 120)
        ));
        let created = sign == "+";
        lines.extend(
            items(change, "diff")
                .iter()
                .map(|field| format!("      {}", field_line(field, created))),
        );
    }
    let errors: Vec<String> = items(plan, "errors")
        .iter()
        .map(|e| documents.fault(e))
        .collect();
    if !errors.is_empty() {
        lines.push(format!(
            "{}\n\nNothing can be applied until this is put right.",
            errors.join("\n")
        ));
        return lines.join("\n");
    }
    let number = |action: &str| {
        items(plan, "changes")
            .iter()
            .filter(|c| text(c, "action") == action)
            .count()
    };
    let (add, change) = (number("create"), number("update"));
    if add + change == 0 {
        return "Nothing to change: everything is as the documents say.".to_owned();
    }
    lines.push(format!("\nPlan: {add} to add, {change} to change."));
    lines.join("\n")
}

fn field_line(field: &Value, created: bool) -> String {
    let side = |name: &str| match field.get(name) {
        None | Some(Value::Null) => "none".to_owned(),
        Some(value) => line(&value.to_string(), VALUE_CHARS_MAX),
    };
    let name = line(&text(field, "field"), 120);
    if created {
        format!("{name}: {}", side("after"))
    } else {
        format!("{name}: {} -> {}", side("before"), side("after"))
    }
}

fn done(applied: &Value) -> String {
    let count = |action: &str| {
        items(applied, "changes")
            .iter()
            .filter(|c| text(c, "action") == action)
            .count()
    };
    format!(
        "Applied: {} added, {} changed.",
        count("create"),
        count("update")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_a_plan() {
        let plan = json!({"hash": "h", "errors": [], "changes": [
            {"action": "create", "kind": "Agent", "name": "returns-bot", "line": 1, "diff": [{"field": "sponsor", "before": null, "after": "maria@acme.example"}]},
            {"action": "update", "kind": "PolicySet", "name": "refunds", "line": 9, "diff": [{"field": "enabled", "before": false, "after": true}]},
            {"action": "none", "kind": "Team", "name": "support", "line": 30, "diff": []},
        ]});
        insta::assert_snapshot!(shown(&plan, &Documents::default()));
        assert_eq!(changes(&plan), 2);
        let same = json!({"changes": [{"action": "none"}], "errors": []});
        assert_eq!(
            shown(&same, &Documents::default()),
            "Nothing to change: everything is as the documents say."
        );
    }

    #[test]
    fn what_was_applied_is_counted() {
        let applied = json!({"changes": [{"action": "create", "kind": "Team", "name": "support"}, {"action": "update", "kind": "Agent", "name": "a"}]});
        assert_eq!(done(&applied), "Applied: 1 added, 1 changed.");
    }
}
