//! Credentials: what agents hold now, how old it is, and what a person should look at.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::agent::key;
use crate::ask;
use crate::client::Client;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::input;
use crate::output::{Format, Out};
use crate::table::{Column, Page, Show, column};
use crate::value::{count, items, text};
use crate::when;

/// Commands on credentials.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "An id is a thumbprint, a crd_…, a scm_…, or the start of a token's digest; eight characters from its start are enough.\n\nExamples:\n  remit credential ls --findings\n  remit credential inspect NzbLsXh8uDCc\n  remit credential rotate NzbLsXh8uDCc --generate support-2.pem --overlap 24h\n  remit credential revoke 3f9a1c77 --reason 'it was in a repository'"
)]
pub enum CredentialCommand {
    /// List keys, tokens, SVIDs and standing access, with their ages and findings
    #[command(alias = "list")]
    Ls {
        /// Only of this agent
        #[arg(long)]
        agent: Option<String>,
        /// Only those that somebody should look at
        #[arg(long)]
        findings: bool,
    },
    /// Show one credential of any sort: whose it is, when it was last used, what is wrong with it
    #[command(alias = "show")]
    Inspect {
        /// Its id
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Revoke a credential of any sort: it is good for nothing from now on
    Revoke {
        /// Its id
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Replace a credential: the key of an agent with overlap, the token of a directory, the key that signs access tokens
    Rotate {
        /// Its id
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// The agent's next public key: PEM or JWK; `-` for standard input
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Make the agent's next key pair, keep the private half in this new file (mode 0600), register the public one
        #[arg(long, value_name = "FILE", conflicts_with = "key")]
        generate: Option<PathBuf>,
        /// How long the old key stays good beside the new one, at most 30d
        #[arg(long, default_value = "24h", value_parser = when::parse_span)]
        overlap: i64,
        /// How long the next token of a directory lives, in days
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: CredentialCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        CredentialCommand::Ls { agent, findings } => {
            ls(&client, out, agent.as_deref(), findings).await?;
        }
        CredentialCommand::Inspect { id } => {
            let found = client.get(&["credentials", &id]).await?;
            out.one(&found, "id", || inspected(out, &found))?;
        }
        CredentialCommand::Revoke { id, reason, yes } => {
            let question = format!("The credential {id} is good for nothing from now on. Go on?");
            ask::confirm(&question, yes)?;
            let path = ["credentials", &id, "revoke"];
            let revoked = client.post(&path, &json!({ "reason": reason })).await?;
            let said = format!(
                "The {} of {} is {}.",
                sort(&revoked),
                text(&revoked, "holder"),
                text(&revoked, "state")
            );
            out.done(&revoked, "id", &said)?;
        }
        CredentialCommand::Rotate {
            id,
            key,
            generate,
            overlap,
            days,
        } => {
            let key = match (&generate, &key) {
                (Some(path), _) => json!({ "jwk": key::generated(path)? }),
                (None, Some(path)) => key::public(&input::file_or_stdin(path)?)?,
                (None, None) => json!({}),
            };
            let mut body = json!({ "overlap_s": overlap, "days": days });
            if let (Some(body), Some(key)) = (body.as_object_mut(), key.as_object()) {
                body.extend(key.clone());
            }
            let rotated = client.post(&["credentials", &id, "rotate"], &body).await;
            let rotated = rotated.map_err(|e| key::not_registered(e, generate.as_deref()))?;
            out.one(&rotated, "new.id|token|kid", || replaced(&rotated))?;
        }
    }
    Ok(OK)
}

async fn ls(client: &Client, out: Out, agent: Option<&str>, findings: bool) -> anyhow::Result<()> {
    let query = [("agent", agent.unwrap_or_default())];
    let mut found = client.get_with(&["credentials"], &query).await?;
    if findings {
        only_with_findings(&mut found);
    }
    if out.format == Format::Name {
        let all = [
            items(&found, "keys"),
            items(&found, "tokens"),
            items(&found, "svids"),
            items(&found, "held"),
        ]
        .concat();
        let mut names: Vec<Value> = Vec::new();
        for one in &all {
            let name = ["thumbprint", "id"].iter().find_map(|at| one.get(at));
            if let Some(name) = name.filter(|name| !names.contains(*name)) {
                names.push(name.clone());
            }
        }
        let names: Vec<Value> = names.into_iter().map(|id| json!({ "id": id })).collect();
        return out.list(&names, &[], "id", "");
    }
    out.one(&found, "id", || page(out, &found))
}

/// Leaves only what somebody should look at: what is standing is a finding by itself.
fn only_with_findings(found: &mut Value) {
    let Some(lists) = found.as_object_mut() else {
        return;
    };
    for (name, list) in lists.iter_mut().filter(|(name, _)| *name != "standing") {
        if let Value::Array(all) = list {
            let has = |one: &Value| {
                let findings = one.get("findings").and_then(Value::as_array);
                findings.is_some_and(|f| !f.is_empty())
            };
            all.retain(|one| matches!(name.as_str(), "keys" | "held") && has(one));
        }
    }
}

fn sort(credential: &Value) -> String {
    text(credential, "kind").replace('_', " ")
}

fn inspected(out: Out, found: &Value) -> String {
    let title = format!(
        "{} {}  {}",
        sort(found),
        text(found, "id"),
        text(found, "state").to_uppercase()
    );
    let about = found.get("about").and_then(Value::as_object);
    let about = about.into_iter().flatten();
    let about: Vec<Value> = about
        .map(|(name, value)| Value::from(format!("{name}: {}", value.as_str().unwrap_or_default())))
        .collect();
    let mut page = Page::new(out, &title)
        .at("Held by", found, "holder")
        .when("Made", found, "created");
    for (label, at) in [("Ends", "expires"), ("Last used", "last_used")] {
        if found.get(at).is_some_and(|v| !v.is_null()) {
            page = page.when(label, found, at);
        }
    }
    page.at("Findings", found, "findings")
        .lines("About", &about)
        .text()
}

fn replaced(rotated: &Value) -> String {
    if !text(rotated, "token").is_empty() {
        return format!(
            "{}\n\nShown once; the one before it has ended. Good until {}.",
            text(rotated, "token"),
            text(rotated, "expires")
        );
    }
    if !text(rotated, "kid").is_empty() {
        let kid = text(rotated, "kid");
        return format!("Access tokens are signed with {kid} from now on.");
    }
    format!(
        "{} has the key {}. The old one, {}, is good until {}.",
        text(rotated, "new.holder"),
        text(rotated, "new.id"),
        text(rotated, "old.id"),
        text(rotated, "old.expires")
    )
}

const KEY: [Column; 5] = [
    column("THUMBPRINT", Show::Text("thumbprint")),
    column("AGENT", Show::Text("agent")),
    column("AGE", Show::When("created")),
    column("LIVE TOKENS", Show::Text("live_tokens")),
    column("FINDINGS", Show::Text("findings")),
];
const TOKEN: [Column; 5] = [
    column("TOKEN", Show::Text("id")),
    column("WORKFLOW", Show::Text("workflow")),
    column("RUN", Show::Text("run")),
    column("FOR", Show::Text("person")),
    column("LEFT", Show::Left("expires")),
];
const SVID: [Column; 6] = [
    column("SVID", Show::Text("id")),
    column("FORM", Show::Text("form")),
    column("WORKFLOW", Show::Text("workflow")),
    column("RUN", Show::Text("run")),
    column("ATTESTED", Show::Text("attested")),
    column("LEFT", Show::Left("expires")),
];
const HELD: [Column; 7] = [
    column(
        "ID",
        Show::With(|c| text(c, "id").chars().take(30).collect()),
    ),
    column("KIND", Show::With(sort)),
    column("HELD BY", Show::Text("holder")),
    column("STATE", Show::State("state")),
    column("AGE", Show::When("created")),
    column("USED", Show::When("last_used")),
    column("FINDINGS", Show::Text("findings")),
];
const STANDING: [Column; 5] = [
    column("KIND", Show::Text("kind")),
    column("ID", Show::Text("id")),
    column("WORKFLOW", Show::Text("workflow")),
    column("PERSON", Show::Text("person")),
    column("WHAT", Show::With(|s| text(s, "text"))),
];

fn page(out: Out, found: &Value) -> String {
    let (keys, tokens, svids, standing) = (
        items(found, "keys"),
        items(found, "tokens"),
        items(found, "svids"),
        items(found, "standing"),
    );
    // Keys of agents have a table of their own.
    let held: Vec<Value> = items(found, "held")
        .iter()
        .filter(|one| text(one, "kind") != "agent_key")
        .cloned()
        .collect();
    if held.is_empty()
        && keys.is_empty()
        && tokens.is_empty()
        && svids.is_empty()
        && standing.is_empty()
    {
        return "No credentials: nothing that an agent could prove itself with.".to_owned();
    }
    let longest = tokens
        .iter()
        .filter_map(|t| t.get("expires_in")?.as_i64())
        .max();
    let longest = longest
        .map(|secs| format!(", the longest for {}", when::span(secs)))
        .unwrap_or_default();
    let heading = format!(
        "{}, {} live{longest}",
        count(keys.len() as u64, "key"),
        count(tokens.len() as u64, "token")
    );
    Page::new(out, &heading)
        .table("Keys", keys, &KEY)
        .table("Live tokens", tokens, &TOKEN)
        .table("Live SVIDs", svids, &SVID)
        .table(
            "Held by people, directories, enforcement points and Remit",
            &held,
            &HELD,
        )
        .table("Standing access", standing, &STANDING)
        .text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;
    use serde_json::json;

    #[test]
    fn credentials_are_shown_with_their_ages() {
        let found = json!({
            "keys": [{"thumbprint": "NzbLsXh8uDCc", "agent": "support", "created": "2026-08-01T08:00:00Z", "age_days": 113, "live_tokens": 1, "findings": ["older than 90 days"]}],
            "tokens": [{"id": "crd_1", "agent": "support", "workflow": "support/refund", "run": "run_1", "person": "maria@acme.example", "key": "NzbL", "issued": "2026-11-22T07:59:00Z", "expires": "2026-11-22T08:04:00Z", "expires_in": 240}],
            "standing": [],
        });
        insta::assert_snapshot!(page(out(), &found));
    }
}
