//! Upstreams: the servers that tools come from.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{CHANGES, Done, OK};
use crate::input;
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, items, text};

/// Commands on upstreams.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "An upstream is written as a document: `remit explain upstream` lists its fields, `remit apply -f FILE` registers it."
)]
pub enum UpstreamCommand {
    /// List upstreams
    #[command(alias = "list")]
    Ls,
    /// Show one upstream and its tools
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Ask an upstream for its tools; exits with 2 when they changed
    Sync {
        /// Name
        name: String,
    },
    /// Tell the tools of an upstream that is behind an enforcement point; exits with 2 when they changed
    Declare {
        /// Name
        name: String,
        /// Its tools: a YAML or JSON list, each with `name`, `description` and `inputSchema` as in MCP; `-` for standard input
        #[arg(short, long, value_name = "FILE")]
        file: std::path::PathBuf,
    },
}

const COLUMNS: [Column; 5] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("SYSTEM", Show::Text("system")),
    column("TRANSPORT", Show::With(transport)),
    column("TOOLS", Show::With(tools)),
];

fn transport(upstream: &Value) -> String {
    format!(
        "{} {}",
        text(upstream, "transport.type"),
        text(upstream, "transport.url|transport.command")
    )
}

/// What stands between an agent and the server; said only where it is not the gateway.
fn enforcement(upstream: &Value) -> &'static str {
    if text(upstream, "enforcement") == "cooperative" {
        "COOPERATIVE, not enforced: it runs beside its agents, and only `remit mcp wrap` keeps them to Remit"
    } else {
        ""
    }
}

fn tools(upstream: &Value) -> String {
    let by_state = at(upstream, "tools").and_then(Value::as_object);
    by_state
        .map(|tools| {
            tools
                .iter()
                .map(|(state, n)| format!("{n} {state}"))
                .collect::<Vec<_>>()
                .join(", ")
        })
        .unwrap_or_default()
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: UpstreamCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        UpstreamCommand::Ls => {
            let all = client.list(&["upstreams"], &[], ITEMS_MAX).await?;
            out.list(&all, &COLUMNS, "name", "No upstream yet. Write a document of kind Upstream and run `remit apply -f FILE`; `remit explain upstream` lists its fields.")?;
        }
        UpstreamCommand::Show { name } => {
            let found = client.get(&["upstreams", &name]).await?;
            let tools = client
                .list(&["tools"], &[("upstream", &name)], ITEMS_MAX)
                .await?;
            out.one(&found, "name", || page(out, &found, &tools))?;
        }
        UpstreamCommand::Sync { name } => {
            let report = client
                .post(&["upstreams", &name, "sync"], &json!({}))
                .await?;
            out.one(&report, "found", || synced(&name, &report))?;
            return Ok(if changed(&report) { CHANGES } else { OK });
        }
        UpstreamCommand::Declare { name, file } => {
            let tools = input::document(&file)?;
            let offer = json!({ "tools": tools, "capabilities": {} });
            let report = client.post(&["upstreams", &name, "offer"], &offer).await?;
            out.one(&report, "found", || synced(&name, &report))?;
            return Ok(if changed(&report) { CHANGES } else { OK });
        }
    }
    Ok(OK)
}

fn page(out: Out, upstream: &Value, tools: &[Value]) -> String {
    Page::new(
        out,
        &format!(
            "{}  {}",
            text(upstream, "name"),
            text(upstream, "state").to_uppercase()
        ),
    )
    .at("System", upstream, "system")
    .field("Enforcement", enforcement(upstream))
    .field("Transport", transport(upstream))
    .field(
        "Secret",
        if upstream.get("secret").is_some_and(|s| !s.is_null()) {
            "injected by Remit, never seen by agents"
        } else {
            ""
        },
    )
    .field(
        "Shared by runs",
        if upstream.get("stateless") == Some(&Value::Bool(true)) {
            "yes"
        } else {
            "no"
        },
    )
    .table("Tools", tools, &crate::tool::COLUMNS)
    .text()
}

/// Whether a sync found anything new.
pub(crate) fn changed(report: &Value) -> bool {
    ["found", "changed", "gone", "restored"]
        .iter()
        .any(|what| !items(report, what).is_empty())
}

pub(crate) fn synced(name: &str, report: &Value) -> String {
    let mut lines = Vec::new();
    let parts = [
        ("+", "found", "new, disabled until classified"),
        ("~", "changed", "changed, refused until approved again"),
        ("-", "gone", "gone"),
        ("+", "restored", "back as it was"),
    ];
    for (sign, what, words) in parts {
        lines.extend(items(report, what).iter().map(|tool| {
            format!(
                "  {sign} {}  ({words})",
                crate::value::line(&crate::value::plain(tool), 200)
            )
        }));
    }
    lines.extend(items(report, "refused").iter().map(|t| {
        format!(
            "  ! {}  (not taken: {})",
            crate::value::line(&text(t, "name"), 100),
            crate::value::line(&text(t, "reason"), 300)
        )
    }));
    let unchanged = report
        .get("unchanged")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let listed = parts
        .iter()
        .map(|(_, what, _)| (items(report, what).len() as u64, *what));
    let counts: Vec<String> = listed
        .chain([(unchanged, "unchanged")])
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| match what {
            "found" => format!("{n} new"),
            what => format!("{n} {what}"),
        })
        .collect();
    lines.push(if counts.is_empty() {
        format!("{name} offers no tools.")
    } else {
        format!("{name}: {}.", counts.join(", "))
    });
    if !items(report, "found").is_empty() || !items(report, "changed").is_empty() {
        lines.push(format!("Look at one with `remit tool show {name}/TOOL`, then `remit tool classify` or `remit tool approve` it."));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_sync_counts_what_is_new() {
        let first = json!({"found": ["orders/refund", "orders/status"], "changed": [], "gone": [], "restored": [], "unchanged": 0, "refused": []});
        assert!(synced("orders", &first).contains("orders: 2 new.\n"));
        let none = json!({"found": [], "changed": [], "gone": [], "restored": [], "unchanged": 0});
        assert_eq!(synced("orders", &none), "orders offers no tools.");
        let same = json!({"found": [], "changed": [], "gone": [], "restored": [], "unchanged": 3});
        assert_eq!(synced("orders", &same), "orders: 3 unchanged.");
    }

    #[test]
    fn a_sync_says_what_has_to_be_looked_at() {
        let report = json!({"found": ["orders/refund"], "changed": ["orders/order_status"], "gone": [], "restored": [], "unchanged": 4, "refused": [{"name": "x\u{1b}[2J", "reason": "its schema is too large"}]});
        insta::assert_snapshot!(synced("orders", &report));
    }
}
