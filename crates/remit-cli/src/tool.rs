//! Tools: found by sync, classified and approved by an administrator for exactly one definition.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::ask;
use crate::client::{Client, ITEMS_MAX};
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::output::Out;
use crate::print::note;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, text, visible};

/// Commands on tools.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit tool ls --state disabled\n  remit tool show orders/refund\n  remit tool classify orders/refund --effect purchase --data-class payment --target order_id=order --show amount\n  remit tool approve orders/refund"
)]
pub enum ToolCommand {
    /// List tools
    #[command(alias = "list")]
    Ls {
        /// Only tools of this upstream
        #[arg(long)]
        upstream: Option<String>,
        /// Only tools in this state
        #[arg(long, value_parser = ["disabled", "enabled", "changed", "gone"])]
        state: Option<String>,
    },
    /// Show one tool: classification, definition, and the diff when it changed
    #[command(alias = "get")]
    Show {
        /// UPSTREAM/TOOL
        tool: String,
    },
    /// Declare what a tool does, and approve it as it is defined now
    Classify(Box<Classify>),
    /// Approve the changed definition of a tool whose classification stays
    Approve(Approve),
    /// Let nobody call a tool
    Disable {
        /// UPSTREAM/TOOL
        tool: String,
        /// Why; goes into the ledger
        #[arg(long, default_value = "disabled by hand")]
        reason: String,
    },
}

/// What a tool does.
#[derive(Debug, Args)]
pub struct Classify {
    /// UPSTREAM/TOOL
    tool: String,
    /// What a call does: read, draft, write, destructive, external, execute, purchase or privilege
    #[arg(long)]
    effect: String,
    /// A call also reaches outside the organization
    #[arg(long)]
    external: bool,
    /// Class of data a call touches; may be repeated
    #[arg(long = "data-class", value_name = "CLASS")]
    data_classes: Vec<String>,
    /// Results carry content nobody vouches for
    #[arg(long)]
    untrusted: bool,
    /// Entitlement that the person must hold whom the agent acts for; may be repeated
    #[arg(long = "entitlement", value_name = "NAME")]
    entitlements: Vec<String>,
    /// Argument that names the object acted on, and the kind of object: order_id=order; may be repeated
    #[arg(long = "target", value_name = "ARGUMENT=KIND", value_parser = pair)]
    targets: Vec<(String, String)>,
    /// Results hold nothing but metadata: names, types, sizes, schemas
    #[arg(long)]
    metadata: bool,
    /// Argument that names the customer whose data a call touches
    #[arg(long, value_name = "ARGUMENT")]
    customer: Option<String>,
    /// Argument whose value may be shown in summaries; may be repeated
    #[arg(long = "show", value_name = "ARGUMENT")]
    show: Vec<String>,
    #[command(flatten)]
    looked: Looked,
}

/// A changed tool.
#[derive(Debug, Args)]
pub struct Approve {
    /// UPSTREAM/TOOL
    tool: String,
    #[command(flatten)]
    looked: Looked,
}

/// That somebody looked at the definition.
#[derive(Debug, Args)]
struct Looked {
    /// Hash of the definition that was looked at; another one is refused
    #[arg(long, value_name = "HASH")]
    hash: Option<String>,
    /// Do not show the definition, do not ask
    #[arg(long)]
    yes: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text
        .split_once('=')
        .filter(|(a, b)| !a.is_empty() && !b.is_empty());
    parts
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .ok_or_else(|| format!("`{text}` is not of the form ARGUMENT=KIND"))
}

/// Columns of tools.
pub(crate) const COLUMNS: [Column; 5] = [
    column("TOOL", Show::Text("tool")),
    column("STATE", Show::State("state")),
    column("EFFECT", Show::Text("classification.effect")),
    column("DATA", Show::Text("classification.data_classes")),
    column(
        "NEXT",
        Show::With(|t| {
            (match text(t, "state").as_str() {
                "disabled" => "classify",
                "changed" => "look at the diff, approve",
                _ => "",
            })
            .to_owned()
        }),
    ),
];

/// Splits `upstream/tool`; a tool's own name may hold slashes.
fn split(name: &str) -> anyhow::Result<(&str, &str)> {
    let parts = name
        .split_once('/')
        .filter(|(u, t)| !u.is_empty() && !t.is_empty());
    parts.ok_or_else(|| Usage(format!("`{name}` is not of the form UPSTREAM/TOOL")).into())
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: ToolCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        ToolCommand::Ls { upstream, state } => {
            let query = [
                ("upstream", upstream.as_deref().unwrap_or_default()),
                ("state", state.as_deref().unwrap_or_default()),
            ];
            let tools = client.list(&["tools"], &query, ITEMS_MAX).await?;
            out.list(
                &tools,
                &COLUMNS,
                "tool",
                "No such tool. `remit upstream sync NAME` asks an upstream for its tools.",
            )?;
        }
        ToolCommand::Show { tool } => {
            let (upstream, name) = split(&tool)?;
            let tool = client.get(&["tools", upstream, name]).await?;
            out.one(&tool, "tool", || page(out, &tool))?;
        }
        ToolCommand::Classify(classify) => {
            let (looked, spec) = (&classify.looked, spec(&classify));
            approve(&client, out, &classify.tool, looked, Some(spec)).await?;
        }
        ToolCommand::Approve(args) => approve(&client, out, &args.tool, &args.looked, None).await?,
        ToolCommand::Disable { tool, reason } => {
            let (upstream, name) = split(&tool)?;
            let done = client
                .post(
                    &["tools", upstream, name, "disable"],
                    &json!({ "reason": reason }),
                )
                .await?;
            out.done(&done, "tool", &format!("Nobody can call {tool} now."))?;
        }
    }
    Ok(OK)
}

fn spec(classify: &Classify) -> Map<String, Value> {
    let targets: BTreeMap<_, _> = classify.targets.iter().cloned().collect();
    let spec = json!({
        "effect": classify.effect, "external": classify.external, "data_classes": classify.data_classes, "untrusted_content": classify.untrusted,
        "entitlements": classify.entitlements, "targets": targets, "metadata": classify.metadata, "customer": classify.customer,
        "show": classify.show,
    });
    spec.as_object().cloned().unwrap_or_default()
}

/// What is approved is the definition that was looked at, and no other.
async fn approve(
    client: &Client,
    out: Out,
    tool: &str,
    looked: &Looked,
    said: Option<Map<String, Value>>,
) -> anyhow::Result<()> {
    let (upstream, name) = split(tool)?;
    let now = client.get(&["tools", upstream, name]).await?;
    let waiting = text(&now, "pending_hash|definition_hash");
    if looked.hash.as_ref().is_some_and(|hash| *hash != waiting) {
        anyhow::bail!(
            "{tool} is defined otherwise now ({waiting}); look at it again: remit tool show {tool}"
        );
    }
    let kept = || {
        at(&now, "classification")
            .and_then(Value::as_object)
            .cloned()
    };
    let mut spec = said.or_else(kept).ok_or_else(|| {
        Usage(format!(
            "{tool} has no classification; use `remit tool classify {tool} --effect …`"
        ))
    })?;
    if looked.hash.is_none() && !looked.yes {
        note(&page(out, &now));
        ask::confirm("Approve this definition?", false)?;
    }
    spec.insert("definition_hash".to_owned(), waiting.into());
    let revision = now.get("revision").and_then(Value::as_u64);
    let saved = client
        .put(&["tools", upstream, name], &Value::Object(spec), revision)
        .await?;
    out.done(
        &saved,
        "tool",
        &format!("{tool} can be called, by agents whose workflow grants it."),
    )
}

fn page(out: Out, tool: &Value) -> String {
    let flag = |path: &str, words: &str| {
        if at(tool, path) == Some(&Value::Bool(true)) {
            words.to_owned()
        } else {
            String::new()
        }
    };
    let definition = at(tool, "definition")
        .map(|d| serde_json::to_string_pretty(d).unwrap_or_default())
        .unwrap_or_default();
    let targets = at(tool, "classification.targets").and_then(Value::as_object);
    let targets = targets.map(|t| {
        t.iter()
            .map(|(a, k)| format!("{a} ({})", crate::value::plain(k)))
            .collect::<Vec<_>>()
            .join(", ")
    });
    Page::new(
        out,
        &format!(
            "{}  {}",
            text(tool, "tool"),
            text(tool, "state").to_uppercase()
        ),
    )
    .at("Effect", tool, "classification.effect")
    .field(
        "Outside",
        flag(
            "classification.external",
            "reaches outside the organization",
        ),
    )
    .at("Data classes", tool, "classification.data_classes")
    .field(
        "Results",
        flag(
            "classification.untrusted_content",
            "carry content nobody vouches for",
        ),
    )
    .at("Entitlements", tool, "classification.entitlements")
    .field("Targets", targets.unwrap_or_default())
    .field(
        "Metadata",
        flag("classification.metadata", "results hold nothing else"),
    )
    .at("Customer", tool, "classification.customer")
    .at("Shown", tool, "classification.show")
    .at("Definition", tool, "definition_hash")
    .at("Waiting", tool, "pending_hash")
    .section("What changed", &visible(&text(tool, "diff")))
    .section(
        "Definition",
        &if text(tool, "diff").is_empty() {
            visible(&definition)
        } else {
            String::new()
        },
    )
    .text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;

    #[test]
    fn a_changed_tool_shows_its_diff() {
        let tool = json!({
            "tool": "orders/refund", "state": "changed", "definition_hash": "sha256:aa", "pending_hash": "sha256:bb",
            "classification": {"effect": "purchase", "external": false, "data_classes": ["payment"], "targets": {"order_id": "order"}},
            "definition": {"name": "refund"}, "diff": "-  \"description\": \"Refunds\"\n+  \"description\": \"Refunds to any card\u{202e}\"",
        });
        insta::assert_snapshot!(page(out(), &tool));
    }

    #[test]
    fn targets_are_pairs() {
        assert_eq!(
            pair("order_id=order").unwrap(),
            ("order_id".to_owned(), "order".to_owned())
        );
        assert!(pair("order_id").is_err() && pair("=x").is_err());
        assert_eq!(split("fs/a/b").unwrap(), ("fs", "a/b"));
    }
}
