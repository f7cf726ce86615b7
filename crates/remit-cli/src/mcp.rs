//! MCP over standard input and output: `remit mcp bridge` carries each message to the gateway and back, for clients that
//! speak nothing else; `remit mcp wrap` does so for a server that has to run beside its agent.
//!
//! Both decide nothing: they prove who the agent is, open the run, and pass messages on. What may be done is decided at the
//! gateway, where the agent cannot reach.

mod beside;
mod bridge;
pub(crate) mod identity;
mod relay;
mod wrap;

pub(crate) use bridge::told_to_end;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::connection::Connection;
use crate::exit::Done;

/// Commands on MCP.
#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Serve the gateway's tools over standard input and output, as one agent
    Bridge(Box<Bridge>),
    /// Start a server beside its agent, with every call decided and recorded by Remit first (cooperative)
    Wrap(Box<Wrap>),
    /// Tell Remit which tools a wrapped server offers, as an administrator; exits with 2 when they changed
    Offer(Offer),
}

/// A server of the agent's own machine.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The agent's client starts this in place of the server. Nothing but this keeps the agent from starting the server by itself, so Remit shows it as cooperative, not enforced. The server gets PATH, HOME, LANG, TMPDIR and what --env names, and no secret from Remit. Without an answer from Remit nothing is called.\n\nExamples:\n  remit mcp wrap --upstream fs --agent support --key dev.pem -- npx -y @modelcontextprotocol/server-filesystem /data"
)]
pub struct Wrap {
    #[command(flatten)]
    bridge: Bridge,
    #[command(flatten)]
    server: Server,
}

/// What to start.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// Environment variable that the server gets too; may be given several times
    #[arg(long = "env", value_name = "NAME")]
    env: Vec<String>,
    /// The server's command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<std::ffi::OsString>,
}

/// What a wrapped server offers.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Run it where the server is, with a person's token of role admin. New tools come in disabled, changed ones refuse calls until they are approved again.\n\nExamples:\n  remit mcp offer --upstream fs -- npx -y @modelcontextprotocol/server-filesystem /data"
)]
pub struct Offer {
    /// The upstream, registered with transport `wrapped`
    #[arg(long)]
    upstream: String,
    #[command(flatten)]
    server: Server,
}

/// As whom, and for what.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A client starts this as its MCP server; `remit connect` writes the entry.\n\nExamples:\n  remit mcp bridge --agent support --key support.pem --workflow answer\n  remit mcp bridge --agent support --key support.pem --workflow refund --purpose 'ticket INC-1042' --upstream orders"
)]
pub struct Bridge {
    /// Agent, by name or id (agt_…)
    #[arg(long, value_parser = agent)]
    agent: String,
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
    /// Model the agent acts by, with its version, for the record
    #[arg(long)]
    model: Option<String>,
    /// Version of its prompt, for the record
    #[arg(long, value_name = "VERSION")]
    prompt_version: Option<String>,
    /// Version of its configuration, for the record
    #[arg(long, value_name = "VERSION")]
    config_version: Option<String>,
    /// Reference to context it has retrieved, for the record; may be given several times
    #[arg(long = "context-ref", value_name = "REF")]
    context_refs: Vec<String>,
}

impl Bridge {
    /// Only as whom, with nothing declared.
    pub(crate) fn of(agent: String, key: PathBuf, workflow: Option<String>) -> Self {
        Self {
            agent,
            key,
            workflow,
            upstream: None,
            intent: None,
            purpose: None,
            subject_token: None,
            model: None,
            prompt_version: None,
            config_version: None,
            context_refs: Vec::new(),
        }
    }
}

/// A name or an id of an agent.
pub(crate) fn agent(text: &str) -> Result<String, String> {
    let known = text.parse::<remit_domain::AgentId>().is_ok()
        || text.parse::<remit_domain::name::Name>().is_ok();
    if known {
        Ok(text.to_owned())
    } else {
        Err("name an agent, as `remit agent ls` lists them, or its id (agt_…)".to_owned())
    }
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: McpCommand) -> Done {
    match command {
        McpCommand::Bridge(args) => bridge::run(connection, *args).await,
        McpCommand::Wrap(args) => wrap::run(connection, *args).await,
        McpCommand::Offer(args) => wrap::offer(connection, args).await,
    }
}
