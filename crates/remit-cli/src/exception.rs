//! Exceptions: for a while, one agent is not bound by one policy. Two people, always.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK, WAITING};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::text;
use crate::when::parse_span;
use serde_json::Value;

/// Commands on exceptions.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Guardrails have no exceptions. Every decision that an exception changes names it, and it ends by itself.\n\nExamples:\n  remit exception request refunds/refund-asks-finance --agent support-triage --for 4h --reason 'finance is out until noon'\n  remit exception approve exc_…"
)]
pub enum ExceptionCommand {
    /// List exceptions
    #[command(alias = "list")]
    Ls {
        /// requested, approved, expired or revoked
        #[arg(long)]
        state: Option<String>,
    },
    /// Show one
    #[command(alias = "get")]
    Show {
        /// Id
        id: String,
    },
    /// Ask for one; exits with 4 while it waits for somebody else
    Request(Request),
    /// Approve one that somebody else asked for
    Approve {
        /// Id
        id: String,
    },
    /// Refuse one, or take it back at once
    Revoke {
        /// Id
        id: String,
    },
}

/// What to except from.
#[derive(Debug, Args)]
pub struct Request {
    /// SET/NAME of the policy
    policy: String,
    /// Agent
    #[arg(long)]
    agent: String,
    /// Only for this tool, UPSTREAM/TOOL
    #[arg(long)]
    tool: Option<String>,
    /// For how long from its approval, at most 7d
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_span)]
    secs: i64,
    /// Why; people read it later
    #[arg(long)]
    reason: String,
}

const COLUMNS: [Column; 6] = [
    column("ID", Show::Text("id")),
    column("STATE", Show::State("state")),
    column("POLICY", Show::Text("policy")),
    column("AGENT", Show::Text("agent")),
    column("UNTIL", Show::When("until")),
    column("BY", Show::Text("requested_by")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: ExceptionCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let found = match command {
        ExceptionCommand::Ls { state } => {
            let query: Vec<(&str, &str)> = state.iter().map(|s| ("state", s.as_str())).collect();
            let found = client.list(&["exceptions"], &query, ITEMS_MAX).await?;
            out.list(
                &found,
                &COLUMNS,
                "id",
                "No exception: every policy holds for everybody.",
            )?;
            return Ok(OK);
        }
        ExceptionCommand::Show { id } => client.get(&["exceptions", &id]).await?,
        ExceptionCommand::Approve { id } => {
            client
                .post(&["exceptions", &id, "approve"], &json!({}))
                .await?
        }
        ExceptionCommand::Revoke { id } => {
            client
                .post(&["exceptions", &id, "revoke"], &json!({}))
                .await?
        }
        ExceptionCommand::Request(new) => {
            let body = json!({ "policy": new.policy, "agent": new.agent, "tool": new.tool,
                "secs": new.secs, "reason": new.reason });
            client.post(&["exceptions"], &body).await?
        }
    };
    out.one(&found, "id", || page(out, &found))?;
    Ok(if text(&found, "state") == "requested" {
        WAITING
    } else {
        OK
    })
}

fn page(out: Out, found: &Value) -> String {
    Page::new(
        out,
        &format!(
            "{}  {}",
            text(found, "state").to_uppercase(),
            text(found, "id")
        ),
    )
    .at("Policy", found, "policy")
    .at("Agent", found, "agent")
    .at("Tool", found, "tool")
    .at("Reason", found, "reason")
    .at("Asked by", found, "requested_by")
    .at("Approved by", found, "approved_by")
    .when("From", found, "from")
    .when("Until", found, "until")
    .text()
}
