//! Leases: tokens of upstreams' own authorization servers. No command shows one.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{items, line, plain, text};

/// Commands on leases.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "A lease is a token that an upstream's own authorization server gave for one run. It is revoked there when the run ends.\n\nExamples:\n  remit lease ls --state dead\n  remit lease ls --run run_01J…\n  remit lease revoke lea_01J… --reason 'the server was broken into'"
)]
pub enum LeaseCommand {
    /// List them, newest first
    #[command(alias = "list")]
    Ls {
        /// Only in this state: active, ending, revoked, expired or dead
        #[arg(long)]
        state: Option<String>,
        /// Only of this run
        #[arg(long)]
        run: Option<String>,
    },
    /// Show one: for whom it is, and how it ended
    #[command(alias = "get")]
    Show {
        /// Id
        id: String,
    },
    /// End one and revoke it at its source
    Revoke {
        /// Id
        id: String,
        /// Why; people read it later
        #[arg(long)]
        reason: String,
    },
}

const COLUMNS: [Column; 8] = [
    column("ID", Show::Text("id")),
    column("STATE", Show::State("state")),
    column("UPSTREAM", Show::Text("upstream")),
    column("AGENT", Show::Text("agent")),
    column("PERSON", Show::Text("person")),
    column("ISSUED", Show::When("issued")),
    column("EXPIRES", Show::When("expires")),
    column("PROOF", Show::Text("proof")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: LeaseCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        LeaseCommand::Ls { state, run } => {
            let named = [("state", state), ("run", run)];
            let query: Vec<(&str, &str)> = named
                .iter()
                .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
                .collect();
            let all = client.list(&["leases"], &query, ITEMS_MAX).await?;
            let none = "No upstream's authorization server gave a token.";
            out.list(&all, &COLUMNS, "id", none)?;
        }
        LeaseCommand::Show { id } => {
            let found = client.get(&["leases", &id]).await?;
            out.one(&found, "id", || page(out, &found))?;
        }
        LeaseCommand::Revoke { id, reason } => {
            let body = json!({ "reason": reason });
            let found = client.post(&["leases", &id, "revoke"], &body).await?;
            out.done(&found, "id", &said(&found))?;
        }
    }
    Ok(OK)
}

fn said(found: &Value) -> String {
    let id = line(&text(found, "id"), 40);
    match text(found, "state").as_str() {
        "revoked" => format!("{id} is revoked at its source."),
        "expired" => format!("{id} had ended by itself."),
        _ => {
            let why = line(&text(found, "why"), 200);
            format!("{id} is used no more, but not revoked at its source: {why}.")
        }
    }
}

fn page(out: Out, lease: &Value) -> String {
    let scopes: Vec<_> = items(lease, "scopes").iter().map(plain).collect();
    Page::new(out, &text(lease, "id"))
        .at("State", lease, "state")
        .at("Upstream", lease, "upstream")
        .at("Authorization server", lease, "issuer")
        .at("Grant", lease, "grant")
        .field("Scopes", line(&scopes.join(" "), 1_000))
        .at("Agent", lease, "agent")
        .at("Person", lease, "person")
        .at("Run", lease, "run")
        .when("Issued", lease, "issued")
        .when("Expires", lease, "expires")
        .when("Ended", lease, "ended")
        .at("Proof", lease, "proof")
        .at("Tries", lease, "tries")
        .when("Tried again", lease, "try_at")
        .at("Why", lease, "why")
        .text()
}
