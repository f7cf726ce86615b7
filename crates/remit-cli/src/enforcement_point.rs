//! Enforcement points: gateways of the organization's own that ask for decisions.

mod token;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::agent::key;
use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::input;
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{items, line, text};

/// Commands on enforcement points.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "`remit explain enforcementpoint` lists the fields of a route, and of a point as a document.\n\nExamples:\n  remit enforcement-point set edge --generate edge.pem --agent support-triage/refund --enforce --reason 'our API gateway'\n  remit enforcement-point set edge --agent support-triage --enforce --routes routes.yaml --reason 'Envoy before the shop'\n  remit enforcement-point token edge --key edge.pem\n  remit enforcement-point token pep_… --key edge.pem --sds /run/remit/token.json --watch\n  remit enforcement-point disable edge --reason 'INC-7: its host was taken over'"
)]
pub enum EnforcementPointCommand {
    /// List enforcement points
    #[command(alias = "list")]
    Ls,
    /// Show one
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Register one, or change its key, its agents, its routes and what it may
    Set(Box<Set>),
    /// Take one out of use at once
    Disable {
        /// Name
        name: String,
        /// Why; people read it later
        #[arg(long)]
        reason: String,
    },
    /// Get an access token for one, with its key
    Token(token::Token),
}

/// A point to write.
#[derive(Debug, Args)]
pub struct Set {
    /// Name
    name: String,
    /// Its public key: PEM or JWK
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Make a new key pair, keep the private half in this new file (mode 0600), register the public one
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    generate: Option<PathBuf>,
    /// Agent it may ask about, with the workflow that is meant where a question names none; may be repeated
    #[arg(long = "agent", value_name = "AGENT[/WORKFLOW]")]
    agents: Vec<String>,
    /// It may have a decision take effect, and reports the outcome
    #[arg(long)]
    enforce: bool,
    /// Which HTTP requests are which calls, for Envoy: a YAML or JSON list; `-` for standard input. Without it they stay
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,
    /// What it is
    #[arg(long, default_value = "")]
    description: String,
    /// Why; people read it later
    #[arg(long)]
    reason: String,
}

const COLUMNS: [Column; 6] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("ID", Show::Text("id")),
    column("AGENTS", Show::With(agents)),
    column("ENFORCES", Show::Text("enforce")),
    column("REASON", Show::Text("reason")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: EnforcementPointCommand) -> Done {
    let out = connection.out();
    match command {
        EnforcementPointCommand::Token(args) => token::run(connection, args).await?,
        EnforcementPointCommand::Ls => {
            let client = connection.client()?;
            let all = client.list(&["enforcement-points"], &[], ITEMS_MAX).await?;
            out.list(
                &all,
                &COLUMNS,
                "name",
                "No enforcement point is registered.",
            )?;
        }
        EnforcementPointCommand::Show { name } => {
            let found = connection
                .client()?
                .get(&["enforcement-points", &name])
                .await?;
            out.one(&found, "name", || page(out, &found))?;
        }
        EnforcementPointCommand::Set(set) => put(connection, &set).await?,
        EnforcementPointCommand::Disable { name, reason } => {
            let path = ["enforcement-points", &name, "disable"];
            let off = connection
                .client()?
                .post(&path, &json!({ "reason": reason }))
                .await?;
            let said = format!(
                "{} gets no decision and no token any more.",
                line(&name, 80)
            );
            out.done(&off, "name", &said)?;
        }
    }
    Ok(OK)
}

async fn put(connection: &Connection, set: &Set) -> anyhow::Result<()> {
    let (client, out) = (connection.client()?, connection.out());
    let path = ["enforcement-points", set.name.as_str()];
    let there = match client.get(&path).await {
        Ok(there) => Some(there),
        Err(error) if crate::client::is_not_found(&error) => None,
        Err(error) => return Err(error),
    };
    let new_key = match (&set.key, &set.generate) {
        (Some(file), _) => Some(jwk(&input::file_or_stdin(file)?)?),
        (None, Some(file)) => Some(key::generated(file)?),
        (None, None) => None,
    };
    let kept = |name: &str| there.as_ref().and_then(|t| t.get(name)).cloned();
    let keys = match new_key {
        Some(key) => json!([key]),
        None => kept("keys").ok_or_else(|| {
            Usage("name its public key with --key, or make one with --generate".to_owned())
        })?,
    };
    let routes = match &set.routes {
        Some(file) => input::document(file)?,
        None => kept("routes").unwrap_or_else(|| json!([])),
    };
    let agents: Vec<Value> = set.agents.iter().map(|a| assigned(a)).collect();
    let body = json!({
        "description": set.description, "keys": keys, "agents": agents, "enforce": set.enforce,
        "routes": routes, "reason": set.reason,
    });
    let revision = there.as_ref().and_then(|t| t.get("revision")?.as_u64());
    let saved = client.put(&path, &body, revision).await?;
    let said = format!(
        "{} may ask about {}. Its OAuth client id is {}.",
        line(&set.name, 80),
        if agents.is_empty() {
            "nobody yet".to_owned()
        } else {
            self::agents(&saved)
        },
        text(&saved, "id")
    );
    out.done(&saved, "name", &said)
}

/// A public key as JWK, whatever form it was given in.
fn jwk(given: &str) -> anyhow::Result<Value> {
    let body = key::public(given)?;
    match (body.get("jwk"), body.get("pem").and_then(Value::as_str)) {
        (Some(jwk), _) => Ok(jwk.clone()),
        (None, Some(pem)) => Ok(serde_json::to_value(remit_token::PublicJwk::from_pem(
            pem,
        )?)?),
        (None, None) => Err(Usage("the key is neither PEM nor JWK".to_owned()).into()),
    }
}

fn assigned(text: &str) -> Value {
    match text.split_once('/') {
        Some((agent, workflow)) => json!({ "agent": agent, "workflow": workflow }),
        None => json!({ "agent": text }),
    }
}

fn agents(point: &Value) -> String {
    let named = |a: &Value| match text(a, "workflow") {
        workflow if workflow.is_empty() => text(a, "agent"),
        workflow => format!("{}/{workflow}", text(a, "agent")),
    };
    let all: Vec<_> = items(point, "agents").iter().map(named).collect();
    line(&all.join(", "), 200)
}

fn routes(point: &Value) -> String {
    let route = |r: &Value| {
        format!(
            "{} {}{} is {}",
            text(r, "method"),
            text(r, "host"),
            text(r, "path"),
            text(r, "tool")
        )
    };
    let all: Vec<_> = items(point, "routes").iter().map(route).collect();
    all.join("; ")
}

fn page(out: Out, point: &Value) -> String {
    let keys = items(point, "thumbprints");
    let keys: Vec<_> = keys.iter().filter_map(Value::as_str).collect();
    Page::new(out, &text(point, "name"))
        .at("State", point, "state")
        .at("Client id", point, "id")
        .at("Description", point, "description")
        .field("Keys", keys.join(", "))
        .field("Agents", agents(point))
        .at("Enforces", point, "enforce")
        .field("Routes", line(&routes(point), 1_000))
        .at("Reason", point, "reason")
        .at("Changed by", point, "by")
        .when("Changed", point, "at")
        .text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_and_routes_are_told_in_words() {
        let point = json!({
            "agents": [{ "agent": "triage", "workflow": "refund" }, { "agent": "audit" }],
            "routes": [{ "method": "POST", "host": "api.example", "path": "/refunds", "tool": "orders/refund" }],
        });
        assert_eq!(agents(&point), "triage/refund, audit");
        assert_eq!(routes(&point), "POST api.example/refunds is orders/refund");
        assert_eq!(assigned("triage/refund")["workflow"], "refund");
    }
}
