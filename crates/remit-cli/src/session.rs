//! Sessions with browsers, and passkeys.

use clap::Subcommand;
use serde_json::json;

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::table::{Column, Show, column};
use crate::value::text;

/// Commands on sessions with browsers.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List your sessions with browsers, or somebody's
    #[command(alias = "list")]
    Ls {
        /// Of this person (for administrators)
        #[arg(long)]
        person: Option<String>,
        /// Of everybody (for administrators)
        #[arg(long, conflicts_with = "person")]
        all: bool,
    },
    /// End a session, or all of them: whoever uses it is signed out at once
    End {
        /// Id
        id: Option<String>,
        /// All of yours, or of `--person`
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// Of this person (for administrators)
        #[arg(long, requires = "all")]
        person: Option<String>,
    },
}

const COLUMNS: [Column; 7] = [
    column("ID", Show::Text("id")),
    column("PERSON", Show::Text("person")),
    column("BY", Show::Text("how")),
    column("SINCE", Show::When("created")),
    column("USED", Show::When("seen")),
    column("ENDS", Show::When("idle_end")),
    column("BROWSER", Show::Text("browser")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: SessionCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        SessionCommand::Ls { person, all } => {
            let query = [
                ("person", person.as_deref().unwrap_or_default()),
                ("all", if all { "true" } else { "" }),
            ];
            let found = client.list(&["sessions"], &query, ITEMS_MAX).await?;
            out.list(
                &found,
                &COLUMNS,
                "id",
                "Nobody is signed in with a browser.",
            )?;
        }
        SessionCommand::End {
            id: Some(id),
            all: false,
            ..
        } => {
            let ended = client.delete(&["sessions", &id]).await?;
            let whose = text(&ended, "person");
            out.done(&ended, "id", &format!("The session of {whose} has ended."))?;
        }
        SessionCommand::End {
            all: true, person, ..
        } => {
            let query = [("person", person.as_deref().unwrap_or_default())];
            let ended = client.delete_with(&["sessions"], &query).await?;
            let count = text(&ended, "ended");
            out.done(&ended, "ended", &format!("Sessions ended: {count}."))?;
        }
        SessionCommand::End { .. } => {
            return Err(Usage("name a session, or give --all".to_owned()).into());
        }
    }
    Ok(OK)
}

/// Commands on passkeys.
#[derive(Debug, Subcommand)]
#[command(after_help = "A passkey is made in a browser, in the console's settings.")]
pub enum PasskeyCommand {
    /// List your passkeys, or somebody's
    #[command(alias = "list")]
    Ls {
        /// Of this person (for administrators)
        #[arg(long)]
        person: Option<String>,
    },
    /// Name one of your passkeys
    Name {
        /// Id
        id: String,
        /// What you call it
        label: String,
    },
    /// Remove a passkey; it never comes back
    Rm {
        /// Id
        id: String,
    },
}

const PASSKEYS: [Column; 4] = [
    column("ID", Show::Text("id")),
    column("NAME", Show::Text("label")),
    column("MADE", Show::When("created")),
    column("USED", Show::When("used")),
];

/// Runs one.
pub(crate) async fn passkeys(connection: &Connection, command: PasskeyCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        PasskeyCommand::Ls { person } => {
            let path: Vec<&str> = match &person {
                Some(person) => vec!["people", person, "passkeys"],
                None => vec!["me", "passkeys"],
            };
            let found = client.list(&path, &[], ITEMS_MAX).await?;
            out.list(
                &found,
                &PASSKEYS,
                "id",
                "No passkey yet. Make one in the console's settings.",
            )?;
        }
        PasskeyCommand::Name { id, label } => {
            let body = json!({ "label": label });
            let named = client.put(&["me", "passkeys", &id], &body, None).await?;
            out.done(&named, "id", &format!("{id} is called {label} now."))?;
        }
        PasskeyCommand::Rm { id } => {
            let removed = client.delete(&["passkeys", &id]).await?;
            out.done(&removed, "id", &format!("{id} is removed."))?;
        }
    }
    Ok(OK)
}
