//! Directories that tell who is here, over SCIM.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, text};

/// Commands on directories.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "A mapping is YAML or JSON, by the display names of the directory's groups:\n  groups:\n    Security Operations: { roles: [responder] }\n    Finance Approvers: { roles: [approver], teams: [finance] }\n\nExamples:\n  remit scim add okta -f mapping.yaml\n  remit scim token okta --days 90"
)]
pub enum ScimCommand {
    /// List directories
    #[command(alias = "list")]
    Ls,
    /// Show one, and what its groups give
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Add a directory, or set what its groups give
    #[command(alias = "map")]
    Add {
        /// Name
        name: String,
        /// File with what its groups give, or - for standard input; without it they give nothing
        #[arg(short, long)]
        file: Option<PathBuf>,
    },
    /// Make its token, to be shown once; the one before it ends at once
    Token {
        /// Name
        name: String,
        /// For how many days, 1 to 366
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// Revoke a directory for good; what its groups gave stays
    Revoke {
        /// Name
        name: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: String,
    },
}

const COLUMNS: [Column; 5] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("PEOPLE", Show::Text("people")),
    column("GROUPS", Show::Text("kept_groups")),
    column("TOKEN ENDS", Show::Left("expires")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: ScimCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        ScimCommand::Ls => {
            let all = client.list(&["scim-clients"], &[], ITEMS_MAX).await?;
            let none = "No directory tells who is here. Add one with `remit scim add NAME`.";
            out.list(&all, &COLUMNS, "name", none)?;
        }
        ScimCommand::Show { name } => {
            let found = client.get(&["scim-clients", &name]).await?;
            out.one(&found, "name", || page(out, &found))?;
        }
        ScimCommand::Add { name, file } => {
            let spec = match file {
                Some(file) => crate::input::document(&file)?,
                None => json!({}),
            };
            let set = client.put(&["scim-clients", &name], &spec, None).await?;
            out.one(&set, "name", || page(out, &set))?;
        }
        ScimCommand::Token { name, days } => {
            let path = ["scim-clients", &name, "token"];
            let made = client.post(&path, &json!({ "days": days })).await?;
            out.one(&made, "token", || {
                format!(
                    "{}\n\nShown once. The directory sends it to {} as a bearer token, until {}.",
                    text(&made, "token"),
                    text(&made, "base_url"),
                    text(&made, "expires")
                )
            })?;
        }
        ScimCommand::Revoke { name, reason } => {
            let path = ["scim-clients", &name, "revoke"];
            let revoked = client.post(&path, &json!({ "reason": reason })).await?;
            out.one(&revoked, "name", || page(out, &revoked))?;
        }
    }
    Ok(OK)
}

fn page(out: Out, found: &Value) -> String {
    let title = format!(
        "{}  {}",
        text(found, "name"),
        text(found, "state").to_uppercase()
    );
    let groups = at(found, "groups").and_then(Value::as_object);
    let given = groups.into_iter().flatten().map(|(name, given)| {
        let roles = text(given, "roles");
        let teams = text(given, "teams");
        Value::from(format!("{name}: roles {roles}; teams {teams}"))
    });
    let given: Vec<Value> = given.collect();
    let page = Page::new(out, &title)
        .at("Id", found, "id")
        .at("People", found, "people")
        .at("Groups", found, "kept_groups")
        .at("Made by", found, "made_by")
        .at("Set up by", found, "behind")
        .lines("Groups give", &given);
    if text(found, "state") == "without_token" {
        return page.text();
    }
    page.when("Token ends", found, "expires").text()
}
