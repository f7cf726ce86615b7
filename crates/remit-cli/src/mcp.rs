//! MCP for clients that only speak stdio: `remit mcp bridge` carries each message to the gateway and back.
//!
//! The bridge decides nothing: it proves who the agent is, opens the run, and passes messages on. What may be done is
//! decided at the gateway, where the agent cannot reach.

mod bridge;
mod identity;
mod relay;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::connection::Connection;
use crate::exit::Done;

/// Commands on MCP.
#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Serve the gateway's tools over standard input and output, as one agent
    Bridge(Box<Bridge>),
}

/// As whom, and for what.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A client starts this as its MCP server; `remit connect` writes the entry.\n\nExamples:\n  remit mcp bridge --agent agt_01JD… --key support.pem --workflow answer\n  remit mcp bridge --agent agt_01JD… --key support.pem --workflow refund --purpose 'ticket INC-1042' --upstream orders"
)]
pub struct Bridge {
    /// Id of the agent (agt_…)
    #[arg(long)]
    agent: remit_domain::AgentId,
    /// Its private key, PKCS #8 PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Workflow; may be left out when the agent has only one
    #[arg(long)]
    workflow: Option<String>,
    /// Only this upstream's tools, under their own names
    #[arg(long)]
    upstream: Option<String>,
    /// Declared intent, YAML or JSON: purpose, ticket, authority
    #[arg(long, value_name = "FILE")]
    intent: Option<PathBuf>,
    /// What the run is for
    #[arg(long, conflicts_with = "intent")]
    purpose: Option<String>,
    /// File with a person's single-use subject token, from `remit delegation assert`: the run then acts for that person
    #[arg(long, value_name = "FILE")]
    subject_token: Option<PathBuf>,
    /// Model the agent acts by, for the record
    #[arg(long)]
    model: Option<String>,
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: McpCommand) -> Done {
    let McpCommand::Bridge(args) = command;
    bridge::run(connection, *args).await
}
