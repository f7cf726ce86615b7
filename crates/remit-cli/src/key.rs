//! The keys that sign access tokens and SVIDs.

use clap::Subcommand;
use serde_json::json;

use crate::ask;
use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::table::{Show, column};
use crate::value::text;

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Use {
    /// Access tokens
    Issuer,
    /// SVIDs: the authority of the trust domain, the key of JWT-SVIDs, and that of WIT-SVIDs where they are on
    Svid,
}

/// Commands on the keys that sign access tokens and SVIDs.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit key ls\n  remit key rotate\n  remit key rotate --use svid"
)]
pub enum KeyCommand {
    /// List the keys that sign access tokens and SVIDs, with their ages
    #[command(alias = "list")]
    Ls,
    /// Sign with a new key; the old one stays published until the last of what it signed has ended
    Rotate {
        /// What the key signs: access tokens, or SVIDs
        #[arg(long = "use", value_enum, default_value_t = Use::Issuer)]
        usage: Use,
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
                column("USE", Show::Text("use")),
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
        KeyCommand::Rotate { usage, yes } => {
            let (what, when) = match usage {
                Use::Issuer => (
                    "Tokens are signed with a new key from now on",
                    "from now on",
                ),
                Use::Svid => (
                    "SVIDs are signed with new keys in five minutes",
                    "in five minutes",
                ),
            };
            ask::confirm(&format!("{what}. Go on?"), yes)?;
            let word = if usage == Use::Svid { "svid" } else { "issuer" };
            let body = json!({ "use": word });
            let made = client.post(&["signing-keys", "rotate"], &body).await?;
            let keys = made.as_array().cloned().unwrap_or_default();
            for key in &keys {
                out.one(key, "kid", || {
                    format!(
                        "Key {} ({}) signs {when}. What the one before it signed goes on until it ends.\n",
                        text(key, "kid"),
                        text(key, "use")
                    )
                })?;
            }
        }
    }
    Ok(OK)
}
