//! What is kept of signing in: tokens on the server, contexts on this machine.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::contexts::{Contexts, Entry};
use crate::edge;
use crate::exit::{Done, OK};
use crate::table::{Show, column};
use crate::value::text;

/// Commands on one's own tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List one's own tokens
    #[command(alias = "list")]
    Ls,
    /// Revoke one of them
    Rm {
        /// Start of its digest
        digest: String,
    },
}

/// Runs one.
pub(crate) async fn tokens(connection: &Connection, command: TokenCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        TokenCommand::Ls => {
            let all = client.list(&["me", "tokens"], &[], ITEMS_MAX).await?;
            let columns = [
                column(
                    "DIGEST",
                    Show::With(|t| text(t, "digest").chars().take(12).collect()),
                ),
                column("LABEL", Show::Text("label")),
                column("MADE", Show::When("created")),
                column("LEFT", Show::Left("expires")),
                column("IN USE", Show::Text("current")),
            ];
            out.list(&all, &columns, "digest", "No token.")?;
        }
        TokenCommand::Rm { digest } => {
            let revoked = client.delete(&["me", "tokens", &digest]).await?;
            out.done(
                &revoked,
                "digest",
                &format!("The token {digest}… is revoked."),
            )?;
        }
    }
    Ok(OK)
}

/// Commands on contexts.
#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List the servers one is signed in to
    #[command(alias = "list")]
    Ls,
    /// Use another one from now on
    Use {
        /// Name
        name: String,
    },
}

/// Runs one.
pub(crate) fn contexts(connection: &Connection, command: ContextCommand) -> Done {
    let dir = edge::config_dir()?;
    let mut contexts = Contexts::load(&dir)?;
    match command {
        ContextCommand::Ls => {
            let row = |(name, entry): (&String, &Entry)| {
                let used = if contexts.current.as_ref() == Some(name) {
                    "*"
                } else {
                    ""
                };
                json!({ "name": name, "current": used, "addr": entry.addr, "org": entry.org, "who": entry.who, "signed_in": entry.token.is_some() })
            };
            let all: Vec<Value> = contexts.contexts.iter().map(row).collect();
            let columns = [
                column("", Show::Text("current")),
                column("NAME", Show::Text("name")),
                column("ADDRESS", Show::Text("addr")),
                column("ORGANIZATION", Show::Text("org")),
                column("WHO", Show::Text("who")),
                column("SIGNED IN", Show::Text("signed_in")),
            ];
            connection.out().list(
                &all,
                &columns,
                "name",
                "Signed in nowhere. Sign in with `remit login LINK`.",
            )?;
        }
        ContextCommand::Use { name } => {
            contexts.pick(Some(&name))?;
            contexts.current = Some(name.clone());
            contexts.save(&dir)?;
            connection.out().done(
                &json!({ "name": name }),
                "name",
                &format!("Using `{name}`."),
            )?;
        }
    }
    Ok(OK)
}
