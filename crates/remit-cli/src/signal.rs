//! Signals between providers (OpenID Shared Signals): who hears what happens here, and whose signals are heard.

mod transmitter;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{items, text};
use transmitter::TransmitterCommand;

/// Commands on signals.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit signal receiver add soc --audience https://soc.acme.example\n  remit signal receiver token soc --days 90\n  remit signal transmitter set okta --issuer https://acme.okta.example --audience https://remit.acme.example\n  remit signal dead"
)]
pub enum SignalCommand {
    /// Who hears what happens here
    #[command(subcommand)]
    Receiver(ReceiverCommand),
    /// Whose signals are heard here
    #[command(subcommand)]
    Transmitter(TransmitterCommand),
    /// List signals that their receiver did not take, and that were given up
    Dead,
    /// Tell a signal once more that was given up
    Retry {
        /// Its id
        id: String,
    },
}

/// Commands on receivers of signals.
#[derive(Debug, Subcommand)]
pub enum ReceiverCommand {
    /// List receivers, and what their streams have told
    #[command(alias = "list")]
    Ls,
    /// Show one
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Add one, or set its audience
    Add {
        /// Name
        name: String,
        /// What signals to it say in `aud`
        #[arg(long)]
        audience: String,
    },
    /// Make its token, to be shown once; the one before it ends at once
    Token {
        /// Name
        name: String,
        /// For how many days, 1 to 366
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// Revoke one for good: its streams tell nothing more
    Revoke {
        /// Name
        name: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: String,
    },
}

const RECEIVERS: [Column; 5] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("AUDIENCE", Show::Text("audience")),
    column("STREAMS", Show::Count("streams")),
    column("TOKEN ENDS", Show::Left("expires")),
];

const STREAMS: [Column; 8] = [
    column("STREAM", Show::Text("id")),
    column("BY", Show::Text("method")),
    column("STATUS", Show::State("status")),
    column("EVENTS", Show::Text("events")),
    column("TOLD", Show::Text("told")),
    column("GIVEN UP", Show::Text("dead")),
    column("TRIES AGAIN", Show::When("try_at")),
    column("LAST ERROR", Show::Text("last_error")),
];

const DEAD: [Column; 6] = [
    column("ID", Show::Text("id")),
    column("RECEIVER", Show::Text("receiver")),
    column("EVENT", Show::Text("event")),
    column("ENTRY", Show::Text("entry")),
    column("SINCE", Show::When("at")),
    column("WHY", Show::Text("why")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: SignalCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        SignalCommand::Receiver(command) => receiver(connection, command).await?,
        SignalCommand::Transmitter(command) => transmitter::run(connection, command).await?,
        SignalCommand::Dead => {
            let all = client.list(&["dead-signals"], &[], ITEMS_MAX).await?;
            out.list(&all, &DEAD, "id", "Nothing was given up.")?;
        }
        SignalCommand::Retry { id } => {
            let path = ["dead-signals", &id, "retry"];
            let again = client.post(&path, &json!({})).await?;
            out.done(&again, "id", &format!("{id} is told once more."))?;
        }
    }
    Ok(OK)
}

async fn receiver(connection: &Connection, command: ReceiverCommand) -> anyhow::Result<()> {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        ReceiverCommand::Ls => {
            let all = client.list(&["signal-receivers"], &[], ITEMS_MAX).await?;
            let none = "Nobody hears what happens here. Add somebody with `remit signal receiver add NAME --audience URL`.";
            out.list(&all, &RECEIVERS, "name", none)
        }
        ReceiverCommand::Show { name } => {
            let found = client.get(&["signal-receivers", &name]).await?;
            out.one(&found, "name", || page(out, &found))
        }
        ReceiverCommand::Add { name, audience } => {
            let spec = json!({ "audience": audience });
            let path = ["signal-receivers", name.as_str()];
            let set = client.put(&path, &spec, None).await?;
            out.one(&set, "name", || page(out, &set))
        }
        ReceiverCommand::Token { name, days } => {
            let path = ["signal-receivers", &name, "token"];
            let made = client.post(&path, &json!({ "days": days })).await?;
            out.one(&made, "token", || shown(&made, "The receiver sends it to"))
        }
        ReceiverCommand::Revoke { name, reason } => {
            let path = ["signal-receivers", &name, "revoke"];
            let revoked = client.post(&path, &json!({ "reason": reason })).await?;
            out.one(&revoked, "name", || page(out, &revoked))
        }
    }
}

fn shown(made: &Value, who: &str) -> String {
    format!(
        "{}\n\nShown once. {who} {} as a bearer token, until {}.",
        text(made, "token"),
        text(made, "address"),
        text(made, "expires")
    )
}

fn page(out: Out, found: &Value) -> String {
    let title = format!(
        "{}  {}",
        text(found, "name"),
        text(found, "state").to_uppercase()
    );
    Page::new(out, &title)
        .at("Id", found, "id")
        .at("Audience", found, "audience")
        .at("Made by", found, "made_by")
        .table("Streams", items(found, "streams"), &STREAMS)
        .text()
}
