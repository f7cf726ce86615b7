//! The company's OpenID provider.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::ask;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::Out;
use crate::table::Page;
use crate::value::text;

/// Commands on the company's OpenID provider.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Settings are YAML or JSON, such as:\n  issuer: https://login.acme.example\n  client_id: remit\n  client_secret: { file: /etc/remit/secrets/acme/idp }\n  groups_claim: groups\n  groups: { sec-ops: [responder], platform: [admin, developer] }"
)]
pub enum IdpCommand {
    /// Show the provider
    #[command(alias = "get")]
    Show,
    /// Set the provider
    Set {
        /// File with its settings, or - for standard input
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Ask the provider for what signing in needs, and say what has to be registered there
    Test,
    /// Take the provider away: people sign in with passkeys and links
    Rm {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: IdpCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let at = ["identity-provider"];
    match command {
        IdpCommand::Show => {
            let found = client.get(&at).await?;
            out.one(&found, "issuer", || page(out, &found))?;
        }
        IdpCommand::Set { file } => {
            let settings = crate::input::document(&file)?;
            let set = client.put(&at, &settings, None).await?;
            out.one(&set, "issuer", || page(out, &set))?;
        }
        IdpCommand::Test => {
            let report = client
                .post(&["identity-provider", "test"], &json!({}))
                .await?;
            out.one(&report, "issuer", || tested(out, &report))?;
        }
        IdpCommand::Rm { yes } => {
            ask::confirm(
                "People will sign in with passkeys and links only. Go on?",
                yes,
            )?;
            let removed = client.delete(&at).await?;
            out.done(&removed, "issuer", "The provider is taken away.")?;
        }
    }
    Ok(OK)
}

fn page(out: Out, provider: &Value) -> String {
    let title = format!(
        "{}  {}",
        text(provider, "issuer"),
        text(provider, "state").to_uppercase()
    );
    Page::new(out, &title)
        .at("Client", provider, "client_id")
        .at("Scopes", provider, "scopes")
        .at("Verified address", provider, "verified_email")
        .at("Groups claim", provider, "groups_claim")
        .at("Passkeys", provider, "passkeys")
        .text()
}

fn tested(out: Out, report: &Value) -> String {
    Page::new(out, &format!("{} answers.", text(report, "issuer")))
        .at("People go to", report, "authorization_endpoint")
        .at("Keys", report, "keys")
        .at("Register there", report, "redirect_uri")
        .text()
}
