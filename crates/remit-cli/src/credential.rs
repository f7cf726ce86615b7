//! Credentials: what agents hold now, how old it is, and what a person should look at.

use clap::Subcommand;
use serde_json::Value;

use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::{Format, Out};
use crate::table::{Page, Show, column};
use crate::value::{count, items, text};
use crate::when;

/// Commands on credentials.
#[derive(Debug, Subcommand)]
pub enum CredentialCommand {
    /// List keys, live tokens and SVIDs, and standing access, with their ages and findings
    #[command(alias = "list")]
    Ls {
        /// Only of this agent
        #[arg(long)]
        agent: Option<String>,
    },
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: CredentialCommand) -> Done {
    let CredentialCommand::Ls { agent } = command;
    let (client, out) = (connection.client()?, connection.out());
    let found = client
        .get_with(
            &["credentials"],
            &[("agent", agent.as_deref().unwrap_or_default())],
        )
        .await?;
    if out.format == Format::Name {
        let all = [
            items(&found, "keys"),
            items(&found, "tokens"),
            items(&found, "svids"),
        ]
        .concat();
        out.list(&all, &[], "thumbprint|id", "")?;
    } else {
        out.one(&found, "id", || page(out, &found))?;
    }
    Ok(OK)
}

fn page(out: Out, found: &Value) -> String {
    let (keys, tokens, svids, standing) = (
        items(found, "keys"),
        items(found, "tokens"),
        items(found, "svids"),
        items(found, "standing"),
    );
    if keys.is_empty() && tokens.is_empty() && svids.is_empty() && standing.is_empty() {
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
    let key_columns = [
        column("THUMBPRINT", Show::Text("thumbprint")),
        column("AGENT", Show::Text("agent")),
        column("AGE", Show::When("created")),
        column("LIVE TOKENS", Show::Text("live_tokens")),
        column("FINDINGS", Show::Text("findings")),
    ];
    let token_columns = [
        column("TOKEN", Show::Text("id")),
        column("WORKFLOW", Show::Text("workflow")),
        column("RUN", Show::Text("run")),
        column("FOR", Show::Text("person")),
        column("LEFT", Show::Left("expires")),
    ];
    let svid_columns = [
        column("SVID", Show::Text("id")),
        column("FORM", Show::Text("form")),
        column("WORKFLOW", Show::Text("workflow")),
        column("RUN", Show::Text("run")),
        column("ATTESTED", Show::Text("attested")),
        column("LEFT", Show::Left("expires")),
    ];
    let standing_columns = [
        column("KIND", Show::Text("kind")),
        column("ID", Show::Text("id")),
        column("WORKFLOW", Show::Text("workflow")),
        column("PERSON", Show::Text("person")),
        column("WHAT", Show::With(|s| text(s, "text"))),
    ];
    Page::new(out, &heading)
        .table("Keys", keys, &key_columns)
        .table("Live tokens", tokens, &token_columns)
        .table("Live SVIDs", svids, &svid_columns)
        .table("Standing access", standing, &standing_columns)
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
