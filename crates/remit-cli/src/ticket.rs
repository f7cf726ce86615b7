//! Tickets: what other systems say of them.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::table::{Column, Page, Show, column};
use crate::value::{line, text};

/// Commands on tickets.
#[derive(Debug, Subcommand)]
pub enum TicketCommand {
    /// List what is known of tickets
    #[command(alias = "list")]
    Ls,
    /// Show what is known of one
    #[command(alias = "get")]
    Show {
        /// Id, as runs name it
        id: String,
    },
    /// Tell the state of a ticket
    Set {
        /// Id, as runs name it
        id: String,
        /// State: open, approved, closed, or another word of its system
        state: String,
        /// When it was in that state; now where absent
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
    },
}

const TICKETS: [Column; 5] = [
    column("ID", Show::Text("id")),
    column("STATE", Show::Text("state")),
    column("AS OF", Show::When("as_of")),
    column("TOLD BY", Show::Text("by")),
    column("TOLD", Show::When("at")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: TicketCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        TicketCommand::Ls => {
            let all = client.list(&["tickets"], &[], ITEMS_MAX).await?;
            out.list(
                &all,
                &TICKETS,
                "id",
                "Nobody has told of a ticket: each is unknown.",
            )?;
        }
        TicketCommand::Show { id } => {
            let found = client.get(&["tickets", &id]).await?;
            out.one(&found, "id", || {
                Page::new(out, &text(&found, "id"))
                    .at("State", &found, "state")
                    .when("As of", &found, "as_of")
                    .at("Told by", &found, "by")
                    .when("Told", &found, "at")
                    .text()
            })?;
        }
        TicketCommand::Set { id, state, as_of } => {
            let mut body = Map::new();
            body.insert("state".to_owned(), json!(state));
            body.extend(as_of.map(|at| ("as_of".to_owned(), json!(at))));
            let saved = client
                .put(&["tickets", &id], &Value::Object(body), None)
                .await?;
            let said = format!("{} is {}.", line(&id, 130), text(&saved, "state"));
            out.done(&saved, "id", &said)?;
        }
    }
    Ok(OK)
}
