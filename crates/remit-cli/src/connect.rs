//! Configuration that connects an agent's client to the gateway, through `remit mcp bridge`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::ask;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::input;
use crate::print::{note, print};
use crate::value::text;

/// What to connect.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  remit connect claude-code --agent support --key support.pem --workflow answer\n  remit connect vscode --agent support --key support.pem --write"
)]
pub struct Connect {
    /// Client
    #[arg(value_enum)]
    client: Client,
    /// Agent, by name or id
    #[arg(long)]
    agent: String,
    /// Its private key; the path goes into the configuration, the key does not
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Workflow; may be left out when the agent has only one
    #[arg(long)]
    workflow: Option<String>,
    /// Only this upstream's tools, under their own names
    #[arg(long)]
    upstream: Option<String>,
    /// What the client is to call the server
    #[arg(long, default_value = "remit")]
    name: String,
    /// Write it into the project in this directory, beside what is there
    #[arg(long)]
    write: bool,
    /// Do not ask before another entry of that name is replaced
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Client {
    ClaudeCode,
    Cursor,
    Vscode,
}

impl Client {
    /// File of a project, and the member that lists servers.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::ClaudeCode => (".mcp.json", "mcpServers"),
            Self::Cursor => (".cursor/mcp.json", "mcpServers"),
            Self::Vscode => (".vscode/mcp.json", "servers"),
        }
    }
}

/// Prints the configuration, or writes it.
pub(crate) async fn run(connection: &Connection, args: Connect) -> Done {
    let agent = if args.agent.starts_with("agt_") {
        args.agent.clone()
    } else {
        text(
            &connection.client()?.get(&["agents", &args.agent]).await?,
            "id",
        )
    };
    let key = std::fs::canonicalize(&args.key).with_context(|| {
        format!(
            "`{}` cannot be found; make a key with `remit agent key add {} --generate FILE`",
            args.key.display(),
            args.agent
        )
    })?;
    let (addr, org) = (connection.address()?, connection.organization()?);
    let entry = entry(
        &args,
        &agent,
        &key,
        addr.as_str().trim_end_matches('/'),
        org.as_deref(),
    );
    let (file, member) = args.client.place();
    if !args.write {
        print(&serde_json::to_string_pretty(
            &json!({ (member): { (&args.name): entry } }),
        )?);
        note(&format!(
            "Put this into {file}, or run it again with --write."
        ));
        return Ok(OK);
    }
    write(Path::new(file), member, &args.name, &entry, args.yes)?;
    note(&format!(
        "Wrote `{}` into {file}. Start the client again, then look: remit run ls --agent {}",
        args.name, args.agent
    ));
    Ok(OK)
}

fn entry(args: &Connect, agent: &str, key: &Path, addr: &str, org: Option<&str>) -> Value {
    let mut words = vec![
        "mcp".to_owned(),
        "bridge".to_owned(),
        "--agent".to_owned(),
        agent.to_owned(),
        "--key".to_owned(),
        key.display().to_string(),
    ];
    for (flag, value) in [
        ("--workflow", &args.workflow),
        ("--upstream", &args.upstream),
    ] {
        words.extend(value.iter().flat_map(|v| [flag.to_owned(), v.clone()]));
    }
    let mut env = Map::new();
    env.insert("REMIT_ADDR".to_owned(), addr.into());
    env.extend(org.map(|org| ("REMIT_ORG".to_owned(), org.into())));
    // The bridge is the agent: a person's token is not for it, should the client hand down its environment.
    env.insert("REMIT_TOKEN".to_owned(), "".into());
    let mut entry = json!({ "command": "remit", "args": words, "env": env });
    if let (Value::Object(fields), true) = (&mut entry, args.client != Client::Cursor) {
        fields.insert("type".to_owned(), "stdio".into());
    }
    entry
}

fn write(file: &Path, member: &str, name: &str, entry: &Value, yes: bool) -> anyhow::Result<()> {
    let mut whole = match std::fs::metadata(file) {
        Ok(_) => {
            serde_json::from_str(&input::file(file, input::BYTES_MAX)?).with_context(|| {
                format!(
                    "`{}` is not plain JSON, so it is left alone; add the entry by hand",
                    file.display()
                )
            })?
        }
        Err(_) => json!({}),
    };
    let Value::Object(fields) = &mut whole else {
        bail!(
            "`{}` is not a JSON object, so it is left alone",
            file.display()
        )
    };
    let servers = fields.entry(member).or_insert_with(|| json!({}));
    let Value::Object(servers) = servers else {
        bail!(
            "`{member}` in `{}` is not a JSON object, so it is left alone",
            file.display()
        )
    };
    match servers.get(name) {
        Some(there) if there == entry => return Ok(()),
        Some(_) => ask::confirm(
            &format!("`{}` has another `{name}`. Replace it?", file.display()),
            yes,
        )?,
        None => {}
    }
    servers.insert(name.to_owned(), entry.clone());
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let new = file.with_extension("json.new");
    std::fs::write(&new, format!("{}\n", serde_json::to_string_pretty(&whole)?))
        .with_context(|| format!("`{}` cannot be written", new.display()))?;
    std::fs::rename(&new, file).with_context(|| format!("`{}` cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(client: Client) -> Connect {
        Connect {
            client,
            agent: "support".to_owned(),
            key: "support.pem".into(),
            workflow: Some("answer".to_owned()),
            upstream: None,
            name: "remit".to_owned(),
            write: false,
            yes: false,
        }
    }

    #[test]
    fn each_client_gets_its_own_form() {
        for client in [Client::ClaudeCode, Client::Cursor, Client::Vscode] {
            let entry = entry(
                &args(client),
                "agt_1",
                Path::new("/keys/support.pem"),
                "https://remit.example",
                Some("acme"),
            );
            let (file, member) = client.place();
            insta::assert_snapshot!(
                format!("{client:?}"),
                format!(
                    "{file}\n{}",
                    serde_json::to_string_pretty(&json!({ (member): { "remit": entry } })).unwrap()
                )
            );
        }
    }

    #[test]
    fn other_entries_stay_and_strange_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".vscode/mcp.json");
        write(&file, "servers", "remit", &json!({"a": 1}), false).unwrap();
        std::fs::write(
            &file,
            r#"{"inputs": [], "servers": {"other": {"url": "x"}, "remit": {"a": 1}}}"#,
        )
        .unwrap();
        write(&file, "servers", "remit", &json!({"a": 1}), false).unwrap();
        write(&file, "servers", "remit", &json!({"a": 2}), true).unwrap();
        let whole: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(
            whole,
            json!({"inputs": [], "servers": {"other": {"url": "x"}, "remit": {"a": 2}}})
        );
        std::fs::write(&file, "// comment\n{}").unwrap();
        assert!(write(&file, "servers", "remit", &json!({}), true).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "// comment\n{}");
    }
}
