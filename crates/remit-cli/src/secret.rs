//! Secrets of the vault. A value is read from a file, from standard input or from a prompt, never from an argument: those
//! are seen by everybody on the machine, and kept in the shell's history. No command shows one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use remit_domain::name::Name;
use remit_domain::secret::VALUE_BYTES_MAX;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::client::{Client, ITEMS_MAX};
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::output::Out;
use crate::print::is_interactive;
use crate::table::{Column, Page, Show, column};
use crate::value::{items, line, text};
use crate::{ask, input};

/// Commands on secrets.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "A value is asked for, or read from --file or standard input; nothing shows it again. An upstream names it:\n  secret: { bearer: { vault: crm-token } }\n\nExamples:\n  remit secret set crm-token --reason 'quarterly rotation'\n  pass show crm | remit secret set crm-token --reason 'moved here'\n  remit secret import secrets.yaml --reason 'moved here'\n  remit secret rollback crm-token --to 3 --reason 'the new one is refused'"
)]
pub enum SecretCommand {
    /// List them
    #[command(alias = "list")]
    Ls,
    /// Show one: its versions, when it was last used, and who can use it
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// List the versions of one that are kept
    Versions {
        /// Name
        name: String,
    },
    /// Set one: the value becomes a new version, which is used from now on
    Set(Set),
    /// Set many, from a YAML or JSON document of names and values
    Import {
        /// File, or - for standard input
        file: PathBuf,
        /// Why; people read it later
        #[arg(long)]
        reason: String,
    },
    /// Make a canary: a value that opens nothing, shown once; where it shows up is a finding
    Canary {
        /// Name
        name: String,
        /// How its value begins, so that it looks like what somebody would take
        #[arg(long, default_value = "")]
        prefix: String,
        /// Where it is put
        #[arg(long)]
        description: Option<String>,
        /// Why; people read it later
        #[arg(long)]
        reason: String,
    },
    /// Use a version that is kept
    Rollback {
        /// Name
        name: String,
        /// Number of the version
        #[arg(long)]
        to: u32,
        /// Why; people read it later
        #[arg(long)]
        reason: String,
    },
    /// Give one to nobody any more
    Disable(Because),
    /// Give one to its upstreams again
    Enable(Because),
    /// Destroy every value of one
    Delete {
        /// Which, and why
        #[command(flatten)]
        because: Because,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Replace the key that seals them, and seal them anew
    RotateKey,
}

/// A secret to set.
#[derive(Debug, Args)]
pub struct Set {
    /// Name
    name: String,
    /// File that holds the value, or - for standard input; asked for when left out
    #[arg(long)]
    file: Option<PathBuf>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// Why; people read it later
    #[arg(long)]
    reason: String,
}

/// Which secret, and why.
#[derive(Debug, Args)]
pub struct Because {
    /// Name
    name: String,
    /// Why; people read it later
    #[arg(long)]
    reason: String,
}

const COLUMNS: [Column; 6] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("VERSION", Show::Text("version")),
    column("SET", Show::When("at")),
    column("LAST USED", Show::When("last_used")),
    column("UPSTREAMS", Show::Text("blast_radius.upstreams")),
];

const VERSIONS: [Column; 5] = [
    column("VERSION", Show::Text("version")),
    column("CURRENT", Show::Text("current")),
    column("SET", Show::When("at")),
    column("BY", Show::Text("by")),
    column("REASON", Show::Text("reason")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: SecretCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        SecretCommand::Ls => {
            let all = client.list(&["secrets"], &[], ITEMS_MAX).await?;
            let none = "The vault holds no secret. Set one with `remit secret set NAME`.";
            out.list(&all, &COLUMNS, "name", none)?;
        }
        SecretCommand::Show { name } => {
            let found = client.get(&["secrets", &name]).await?;
            out.one(&found, "name", || page(out, &found))?;
        }
        SecretCommand::Versions { name } => {
            let found = client.get(&["secrets", &name]).await?;
            let versions = items(&found, "versions");
            out.list(versions, &VERSIONS, "version", "No version is kept.")?;
        }
        SecretCommand::Set(set) => put(&client, out, &set).await?,
        SecretCommand::Import { file, reason } => import(&client, out, &file, &reason).await?,
        SecretCommand::Canary {
            name,
            prefix,
            description,
            reason,
        } => {
            let body = json!({ "prefix": prefix, "description": description, "reason": reason });
            let made = client.post(&["secrets", &name, "canary"], &body).await?;
            let said = format!(
                "{}\n\nShown once. Put it where nobody has to look: when an agent sends or gets it, a finding opens.",
                text(&made, "value")
            );
            out.done(&made, "value", &said)?;
        }
        SecretCommand::Rollback { name, to, reason } => {
            let body = json!({ "version": to, "reason": reason });
            let used = client.post(&["secrets", &name, "rollback"], &body).await?;
            let said = format!("Version {to} of {} is used from now on.", line(&name, 80));
            out.done(&used, "name", &said)?;
        }
        SecretCommand::Disable(because) => {
            let told = "is given to nobody any more";
            act(&client, out, &because, "disable", told).await?;
        }
        SecretCommand::Enable(because) => {
            act(
                &client,
                out,
                &because,
                "enable",
                "is given to its upstreams again",
            )
            .await?;
        }
        SecretCommand::Delete { because, yes } => {
            ask::type_name(&because.name, yes)?;
            let told = "is destroyed, with every version of it";
            act(&client, out, &because, "delete", told).await?;
        }
        SecretCommand::RotateKey => {
            let made = client.post(&["vault", "rotate"], &json!({})).await?;
            let said = format!(
                "Key {} seals the secrets; the one before it is destroyed.",
                text(&made, "number")
            );
            out.done(&made, "number", &said)?;
        }
    }
    Ok(OK)
}

async fn act(
    client: &Client,
    out: Out,
    because: &Because,
    verb: &str,
    told: &str,
) -> anyhow::Result<()> {
    let body = json!({ "reason": because.reason });
    let path = ["secrets", because.name.as_str(), verb];
    let now = client.post(&path, &body).await?;
    out.done(
        &now,
        "name",
        &format!("{} {told}.", line(&because.name, 80)),
    )
}

async fn put(client: &Client, out: Out, set: &Set) -> anyhow::Result<()> {
    let value = match &set.file {
        Some(file) => from_file(file)?,
        None if is_interactive() => ask::hidden(&format!("Value of {}: ", line(&set.name, 80)))?,
        None => SecretString::from(input::stdin(VALUE_BYTES_MAX)?),
    };
    let mut body = json!({ "value": value.expose_secret(), "reason": set.reason });
    if let (Some(description), Some(map)) = (&set.description, body.as_object_mut()) {
        map.insert("description".to_owned(), json!(description));
    }
    let saved = client
        .post(&["secrets", &set.name, "versions"], &body)
        .await?;
    let said = format!(
        "Version {} of {} is used from now on; nothing shows it again.",
        text(&saved, "version"),
        line(&set.name, 80)
    );
    out.done(&saved, "name", &said)
}

fn from_file(file: &Path) -> anyhow::Result<SecretString> {
    let text = if file == Path::new("-") {
        input::stdin(VALUE_BYTES_MAX)?
    } else {
        input::file(file, VALUE_BYTES_MAX)?
    };
    Ok(SecretString::from(text))
}

/// Names and values of a document: all of them are looked at before the first is set.
fn named(document: Value) -> anyhow::Result<BTreeMap<Name, SecretString>> {
    // What is said of a document that cannot be used never repeats a value.
    let Value::Object(map) = document else {
        let text = "the document must be names and values, such as `crm-token: …`";
        return Err(Usage(text.to_owned()).into());
    };
    let mut all = BTreeMap::new();
    for (name, value) in map {
        let name: Name = name.parse().map_err(|e| Usage(format!("{e}")))?;
        let Value::String(value) = value else {
            return Err(Usage(format!("the value of `{name}` must be a text; quote it")).into());
        };
        all.insert(name, SecretString::from(value));
    }
    Ok(all)
}

async fn import(client: &Client, out: Out, file: &Path, reason: &str) -> anyhow::Result<()> {
    let text = input::file_or_stdin(file)?;
    // A parser's error may quote the line.
    let document: Value = serde_saphyr::from_str(&text).map_err(|_| {
        let name = file.display();
        Usage(format!(
            "`{name}` is not one YAML or JSON document; what it holds is not repeated here"
        ))
    })?;
    let all = named(document)?;
    let mut set = Vec::with_capacity(all.len());
    for (name, value) in &all {
        let body = json!({ "value": value.expose_secret(), "reason": reason });
        let path = ["secrets", name.as_str(), "versions"];
        let saved = client.post(&path, &body).await;
        set.push(saved.map_err(|error| {
            error.context(format!(
                "`{name}` was not set; {} before it were",
                set.len()
            ))
        })?);
    }
    out.list(&set, &COLUMNS, "name", "The document names no secret.")
}

fn page(out: Out, secret: &Value) -> String {
    let versions = items(secret, "versions").iter().map(|v| {
        let used = v.get("current").and_then(Value::as_bool) == Some(true);
        Value::from(format!(
            "{}{} by {} at {}: {}",
            text(v, "version"),
            if used { " (used)" } else { "" },
            text(v, "by"),
            text(v, "at"),
            text(v, "reason")
        ))
    });
    let versions: Vec<Value> = versions.collect();
    Page::new(out, &text(secret, "name"))
        .at("State", secret, "state")
        .at("Canary", secret, "canary")
        .at("Description", secret, "description")
        .when("Last used", secret, "last_used")
        .at("Upstreams", secret, "blast_radius.upstreams")
        .at("Transmitters", secret, "blast_radius.transmitters")
        .at("Workflows", secret, "blast_radius.workflows")
        .at("Agents", secret, "blast_radius.agents")
        .lines("Versions", &versions)
        .at("Reason", secret, "reason")
        .at("Changed by", secret, "by")
        .when("Changed", secret, "at")
        .text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_document_never_repeats_a_value() {
        let whole = named(json!({ "crm-token": "s3cr3t-value", "mail": "another-value" }));
        assert_eq!(whole.unwrap().len(), 2);
        for wrong in [
            json!(["s3cr3t-value"]),
            json!({ "crm-token": { "value": "s3cr3t-value" } }),
            json!({ "crm-token": ["s3cr3t-value"] }),
        ] {
            let error = named(wrong).unwrap_err();
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
    }
}
