//! The keys that sign access tokens.

use clap::Subcommand;
use serde_json::json;

use crate::ask;
use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::table::{Show, column};
use crate::value::text;

/// Commands on the keys that sign access tokens.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  remit key ls\n  remit key rotate")]
pub enum KeyCommand {
    /// List the keys that sign access tokens, with their ages
    #[command(alias = "list")]
    Ls,
    /// Sign with a new key; the old one stays published until its last token has ended
    Rotate {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: KeyCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        KeyCommand::Ls => {
            let keys = client.list(&["signing-keys"], &[], ITEMS_MAX).await?;
            let columns = [
                column("KID", Show::Text("kid")),
                column("STATE", Show::State("state")),
                column("CREATED", Show::When("created")),
                column("DAYS", Show::Text("age_days")),
                column("PUBLISHED UNTIL", Show::When("published_until")),
            ];
            out.list(
                &keys,
                &columns,
                "kid",
                "No key yet: it is made with the first token.",
            )?;
        }
        KeyCommand::Rotate { yes } => {
            ask::confirm("Tokens are signed with a new key from now on. Go on?", yes)?;
            let made = client.post(&["signing-keys", "rotate"], &json!({})).await?;
            out.one(&made, "kid", || {
                format!(
                    "Key {} signs from now on. Tokens of the one before it go on until they end.\n",
                    text(&made, "kid")
                )
            })?;
        }
    }
    Ok(OK)
}
