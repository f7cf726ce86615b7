//! Transmitters: whose signals are heard here, by which keys, and of whom they may tell.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::Usage;
use crate::input;
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{count, line, text};

/// Commands on transmitters of signals.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "A transmitter tells of people who sign in with it (`remit idp`), of those for whom it speaks as a trusted issuer, and of whom its document names.\n\nExamples:\n  remit signal transmitter set okta --issuer https://acme.okta.example --audience https://remit.acme.example\n  remit signal transmitter token okta --days 90\n  remit signal transmitter set soc --issuer https://soc.example --audience https://remit.acme.example --about about.yaml --event account-disabled\n  remit signal transmitter set feed --issuer https://idp.example --audience https://remit.acme.example --poll https://idp.example/poll/1 --secret-file /etc/remit/secrets/acme/feed\n  remit signal transmitter test okta\n\nabout.yaml:\n  people: {00u1: maria@acme.example}\n  agents: {bot-7: support-triage}\n  every_agent: false"
)]
pub enum TransmitterCommand {
    /// List transmitters
    #[command(alias = "list")]
    Ls,
    /// Show one, and of whom it may tell
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Register one, or change what is believed of it
    Set(Box<Set>),
    /// Ask one for its keys now
    Test {
        /// Name
        name: String,
    },
    /// Make the token that it sends with, to be shown once; the one before it ends at once
    Token {
        /// Name
        name: String,
        /// For how many days, 1 to 366
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// Revoke one for good: nothing that it says counts any more; what it did stays
    Revoke {
        /// Name
        name: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: String,
    },
}

/// A transmitter to write. What is not said stays.
#[derive(Debug, Args)]
pub struct Set {
    /// Name
    name: String,
    /// Its `iss`, exactly as its signals have it
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// What its signals say in `aud`
    #[arg(long)]
    audience: Option<String>,
    /// Its keys are at this address, not where its metadata (`/.well-known/ssf-configuration`) says
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    jwks_uri: Option<String>,
    /// Its keys, where it cannot be reached: a JWK set; `-` for standard input
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// How its signals may be signed: RS256, PS256, ES256, ES384 or EdDSA; may be repeated; RS256 and ES256 without it
    #[arg(long = "algorithm", value_name = "ALG")]
    algorithms: Vec<String>,
    /// What it may tell, such as `account-disabled`; may be repeated; everything without it
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<String>,
    /// Of whom it may tell beside people who sign in with it: `people` (its name for them, to their address), `agents` (its name for
    /// them, to their name here) and `every_agent`; `-` for standard input
    #[arg(long, value_name = "FILE")]
    about: Option<PathBuf>,
    /// Ask it at this address (RFC 8936); without it, it sends
    #[arg(long, value_name = "URL")]
    poll: Option<String>,
    /// The token to ask it with: this file of the server's machine
    #[arg(
        long,
        value_name = "FILE",
        requires = "poll",
        conflicts_with = "secret_env"
    )]
    secret_file: Option<String>,
    /// The token to ask it with: this variable of the server (`REMIT_SECRET_…`)
    #[arg(long, value_name = "NAME", requires = "poll")]
    secret_env: Option<String>,
}

const COLUMNS: [Column; 6] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("ISSUER", Show::Text("issuer")),
    column("TELLS OF", Show::With(about)),
    column("BY", Show::With(method)),
    column("TOKEN ENDS", Show::Left("expires")),
];

/// Runs one.
pub(super) async fn run(
    connection: &Connection,
    command: TransmitterCommand,
) -> anyhow::Result<()> {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        TransmitterCommand::Ls => {
            let path = ["signal-transmitters"];
            let all = client.list(&path, &[], ITEMS_MAX).await?;
            let none = "Nobody's signals are heard here. Register somebody with `remit signal transmitter set NAME --issuer URL --audience URL`.";
            out.list(&all, &COLUMNS, "name", none)
        }
        TransmitterCommand::Show { name } => {
            let found = client.get(&["signal-transmitters", &name]).await?;
            out.one(&found, "name", || page(out, &found))
        }
        TransmitterCommand::Set(set) => put(connection, &set).await,
        TransmitterCommand::Test { name } => {
            let path = ["signal-transmitters", &name, "test"];
            let found = client.post(&path, &json!({})).await?;
            let said = format!(
                "{} can be used: {} of its keys{}.",
                line(&name, 80),
                text(&found, "keys"),
                match text(&found, "jwks_uri") {
                    at if at.is_empty() => " in its document".to_owned(),
                    at => format!(" at {}", line(&at, 200)),
                }
            );
            out.done(&found, "issuer", &said)
        }
        TransmitterCommand::Token { name, days } => {
            let path = ["signal-transmitters", &name, "token"];
            let made = client.post(&path, &json!({ "days": days })).await?;
            let shown = || super::shown(&made, "The transmitter sends it with each signal to");
            out.one(&made, "token", shown)
        }
        TransmitterCommand::Revoke { name, reason } => {
            let path = ["signal-transmitters", &name, "revoke"];
            let revoked = client.post(&path, &json!({ "reason": reason })).await?;
            out.one(&revoked, "name", || page(out, &revoked))
        }
    }
}

async fn put(connection: &Connection, set: &Set) -> anyhow::Result<()> {
    let (client, out) = (connection.client()?, connection.out());
    let path = ["signal-transmitters", set.name.as_str()];
    let there = match client.get(&path).await {
        Ok(there) => Some(there),
        Err(error) if crate::client::is_not_found(&error) => None,
        Err(error) => return Err(error),
    };
    let body = body(set, there.as_ref())?;
    let revision = there.as_ref().and_then(|t| t.get("revision")?.as_u64());
    let saved = client.put(&path, &body, revision).await?;
    out.one(&saved, "name", || page(out, &saved))
}

/// What is to be there: what is said, over what is there.
fn body(set: &Set, there: Option<&Value>) -> anyhow::Result<Value> {
    let mut body = serde_json::Map::new();
    let kept = [
        "issuer",
        "keys",
        "algorithms",
        "audience",
        "events",
        "source",
        "people",
        "agents",
        "every_agent",
    ];
    for name in kept {
        if let Some(value) = there.and_then(|t| t.get(name)) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    let mut say = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let several = |all: &[String]| (!all.is_empty()).then(|| json!(all));
    say("issuer", set.issuer.clone().map(Value::from));
    say("audience", set.audience.clone().map(Value::from));
    say("algorithms", several(&set.algorithms));
    say("events", several(&set.events));
    let at = set.jwks_uri.as_ref();
    say("keys", at.map(|uri| json!({ "jwks_uri": uri })));
    if let Some(file) = &set.jwks {
        say("keys", Some(json!({ "jwks": input::document(file)? })));
    }
    if let Some(endpoint) = &set.poll {
        let secret = match (&set.secret_file, &set.secret_env) {
            (Some(file), _) => json!({ "file": file }),
            (None, Some(name)) => json!({ "env": name }),
            (None, None) => {
                let text = "name the token to ask with: --secret-file or --secret-env";
                return Err(Usage(text.to_owned()).into());
            }
        };
        let poll = json!({ "poll": { "endpoint": endpoint, "secret": secret } });
        say("source", Some(poll));
    }
    if let Some(file) = &set.about {
        let about = input::document(file)?;
        for name in ["people", "agents", "every_agent"] {
            say(name, about.get(name).cloned());
        }
    }
    let needed = |what: &str| Usage(format!("name {what}: there is no such transmitter yet"));
    body.entry("keys")
        .or_insert_with(|| json!({ "discovery": {} }));
    if !body.contains_key("issuer") {
        return Err(needed("its --issuer").into());
    }
    if !body.contains_key("audience") {
        return Err(needed("its --audience").into());
    }
    Ok(Value::Object(body))
}

fn polled(transmitter: &Value) -> Option<String> {
    let poll = transmitter.get("source")?.get("poll")?;
    Some(line(&text(poll, "endpoint"), 200))
}

fn method(transmitter: &Value) -> String {
    let method = polled(transmitter).map_or("push", |_| "poll");
    method.to_owned()
}

fn about(transmitter: &Value) -> String {
    let of = |name: &str| {
        let all = transmitter.get(name).and_then(Value::as_object);
        all.map_or(0, |all| u64::try_from(all.len()).unwrap_or(0))
    };
    let mut all = vec!["who signs in with it".to_owned()];
    if of("people") > 0 {
        all.push("who is named for it".to_owned());
    }
    match transmitter.get("every_agent").and_then(Value::as_bool) {
        Some(true) => all.push("every agent".to_owned()),
        _ if of("agents") > 0 => all.push(count(of("agents"), "agent")),
        _ => {}
    }
    all.join(", ")
}

fn mapped(transmitter: &Value, name: &str) -> String {
    let all = transmitter.get(name).and_then(Value::as_object);
    let all = all.into_iter().flatten();
    let all: Vec<_> = all
        .map(|(theirs, ours)| format!("{theirs} is {}", ours.as_str().unwrap_or_default()))
        .collect();
    line(&all.join("; "), 1_000)
}

fn keys(transmitter: &Value) -> String {
    let of = |name: &str| transmitter.get("keys").and_then(|keys| keys.get(name));
    match (of("jwks_uri"), of("jwks")) {
        (Some(uri), _) => line(uri.as_str().unwrap_or_default(), 500),
        (None, Some(_)) => "in its document".to_owned(),
        (None, None) => "where its metadata says".to_owned(),
    }
}

fn page(out: Out, transmitter: &Value) -> String {
    let title = format!(
        "{}  {}",
        text(transmitter, "name"),
        text(transmitter, "state").to_uppercase()
    );
    let every = transmitter.get("every_agent") == Some(&Value::Bool(true));
    let agents = if every {
        "every one, by its id here".to_owned()
    } else {
        mapped(transmitter, "agents")
    };
    Page::new(out, &title)
        .at("Id", transmitter, "id")
        .at("Issuer", transmitter, "issuer")
        .field("Keys", keys(transmitter))
        .at("Algorithms", transmitter, "algorithms")
        .at("Audience", transmitter, "audience")
        .at("May tell", transmitter, "events")
        .field("People", mapped(transmitter, "people"))
        .field("Agents", agents)
        .field("Asked at", polled(transmitter).unwrap_or_default())
        .at("Changed by", transmitter, "by")
        .when("Token ends", transmitter, "expires")
        .text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Set {
        Set {
            name: "okta".to_owned(),
            issuer: None,
            audience: None,
            jwks_uri: None,
            jwks: None,
            algorithms: Vec::new(),
            events: Vec::new(),
            about: None,
            poll: None,
            secret_file: None,
            secret_env: None,
        }
    }

    #[test]
    fn what_is_not_said_stays() {
        let there = json!({
            "name": "okta", "issuer": "https://a.example", "audience": "https://b.example", "revision": 3,
            "keys": { "jwks_uri": "https://a.example/keys" }, "people": { "00u1": "maria@acme.example" }, "by": "x"
        });
        let mut said = set();
        said.audience = Some("https://remit.example".to_owned());
        let body = body(&said, Some(&there)).unwrap();
        assert_eq!(body["people"], there["people"]);
        assert_eq!(body["keys"], there["keys"]);
        assert_eq!(body["audience"], "https://remit.example");
        assert!(body.get("by").is_none() && body.get("revision").is_none());
        assert!(super::body(&set(), None).is_err());
    }

    #[test]
    fn of_whom_it_tells_is_said_in_words() {
        let said = json!({ "people": { "a": "maria@acme.example" }, "every_agent": true });
        assert_eq!(
            about(&said),
            "who signs in with it, who is named for it, every agent"
        );
    }
}
