//! Authorization servers of others: to which of them agents may carry the word that they act for a person.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::input;
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{items, line, text};

/// Commands on authorization servers.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "`remit explain authorizationserver` lists the fields as a document.\n\nExamples:\n  remit authorization-server set chat --issuer https://auth.chat.example --clients clients.yaml --reason 'agents post for people'\n  remit authorization-server disable chat --reason 'INC-11'\n\nclients.yaml:\n  - agent: support-triage\n    workflow: answer\n    client_id: f53f191f\n    scopes: [chat.read]\n    resources: ['https://mcp.chat.example']"
)]
pub enum AuthorizationServerCommand {
    /// List them
    #[command(alias = "list")]
    Ls,
    /// Show one, with its clients
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// List one, or change which workflows may assert what to it
    Set(Set),
    /// Assert nothing to one any more
    Disable {
        /// Name
        name: String,
        /// Why; people read it later
        #[arg(long)]
        reason: String,
    },
}

/// An authorization server to write. What is not said stays.
#[derive(Debug, Args)]
pub struct Set {
    /// Name
    name: String,
    /// Its issuer, exactly as its metadata has it
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Which workflows may assert what to it: a YAML or JSON list; `-` for standard input
    #[arg(long, value_name = "FILE")]
    clients: Option<PathBuf>,
    /// It is told the address of the person
    #[arg(long)]
    share_email: Option<bool>,
    /// What it is
    #[arg(long)]
    description: Option<String>,
    /// Why; people read it later
    #[arg(long)]
    reason: String,
}

const COLUMNS: [Column; 5] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("ISSUER", Show::Text("issuer")),
    column("AGENTS", Show::With(agents)),
    column("REASON", Show::Text("reason")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: AuthorizationServerCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        AuthorizationServerCommand::Ls => {
            let all = client
                .list(&["authorization-servers"], &[], ITEMS_MAX)
                .await?;
            out.list(
                &all,
                &COLUMNS,
                "name",
                "No authorization server of others is listed here.",
            )?;
        }
        AuthorizationServerCommand::Show { name } => {
            let found = client.get(&["authorization-servers", &name]).await?;
            out.one(&found, "name", || page(out, &found))?;
        }
        AuthorizationServerCommand::Set(set) => put(connection, &set).await?,
        AuthorizationServerCommand::Disable { name, reason } => {
            let path = ["authorization-servers", &name, "disable"];
            let off = client.post(&path, &json!({ "reason": reason })).await?;
            let said = format!("Nothing is asserted to {} any more.", line(&name, 80));
            out.done(&off, "name", &said)?;
        }
    }
    Ok(OK)
}

async fn put(connection: &Connection, set: &Set) -> anyhow::Result<()> {
    let (client, out) = (connection.client()?, connection.out());
    let path = ["authorization-servers", set.name.as_str()];
    let there = match client.get(&path).await {
        Ok(there) => Some(there),
        Err(error) if crate::client::is_not_found(&error) => None,
        Err(error) => return Err(error),
    };
    let mut body = serde_json::Map::from_iter([("reason".to_owned(), json!(set.reason))]);
    for name in ["description", "issuer", "clients", "share_email"] {
        if let Some(value) = there.as_ref().and_then(|t| t.get(name)) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    let clients = set.clients.as_ref().map(|file| input::document(file));
    let said = [
        ("issuer", set.issuer.clone().map(Value::from)),
        ("description", set.description.clone().map(Value::from)),
        ("share_email", set.share_email.map(Value::from)),
        ("clients", clients.transpose()?),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    if body.get("issuer").is_none() {
        let text = "name its --issuer: there is no such authorization server yet";
        return Err(Usage(text.to_owned()).into());
    }
    let revision = there.as_ref().and_then(|t| t.get("revision")?.as_u64());
    let saved = client.put(&path, &Value::Object(body), revision).await?;
    let said = format!(
        "{} may carry to {} for whom they act.",
        match agents(&saved) {
            none if none.is_empty() => "No agents yet".to_owned(),
            agents => agents,
        },
        line(&text(&saved, "issuer"), 200),
    );
    out.done(&saved, "name", &said)
}

fn agents(server: &Value) -> String {
    let named = |c: &Value| format!("{}/{}", text(c, "agent"), text(c, "workflow"));
    let all: Vec<_> = items(server, "clients").iter().map(named).collect();
    line(&all.join(", "), 200)
}

fn clients(server: &Value) -> String {
    let listed = |c: &Value, name: &str| {
        let all = items(c, name).iter().filter_map(Value::as_str);
        all.collect::<Vec<_>>().join(" ")
    };
    let told = |c: &Value| {
        format!(
            "{}/{} as {} with {} at {}",
            text(c, "agent"),
            text(c, "workflow"),
            text(c, "client_id"),
            listed(c, "scopes"),
            listed(c, "resources")
        )
    };
    let all: Vec<_> = items(server, "clients").iter().map(told).collect();
    all.join("; ")
}

fn page(out: Out, server: &Value) -> String {
    Page::new(out, &text(server, "name"))
        .at("State", server, "state")
        .at("Issuer", server, "issuer")
        .at("Description", server, "description")
        .field("Clients", line(&clients(server), 2_000))
        .at("Told addresses", server, "share_email")
        .at("Reason", server, "reason")
        .at("Changed by", server, "by")
        .when("Changed", server, "at")
        .text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_in_words() {
        let server = json!({ "clients": [{
            "agent": "triage", "workflow": "answer", "client_id": "c1", "scopes": ["chat.read"], "resources": ["https://m.example"]
        }] });
        assert_eq!(
            clients(&server),
            "triage/answer as c1 with chat.read at https://m.example"
        );
        assert_eq!(agents(&server), "triage/answer");
    }
}
