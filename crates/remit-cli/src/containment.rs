//! Containment: stopping everything derived from a target, and the certificate that says how far each thing has stopped.

mod file;
mod page;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::ask;
use crate::audit::verifier_key;
use crate::client::{Client, ITEMS_MAX};
use crate::connection::Connection;
use crate::exit::{Done, OK, WAITING};
use crate::output::Out;
use crate::print::note;
use crate::table::{Column, Show, column};
use crate::value::{count, items, text};
use crate::when::Between;

use page::{page, previewed, previewed_all};

/// What to contain.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Levels:\n  suspend     nothing goes on; lifting restores the target, never its tokens\n  quarantine  nothing goes on and evidence is kept; lifting needs a responder\n  kill        final for what is derived: keys removed, runs ended; not of what many agents share\n\nThe organization takes two people: one orders, another administrator confirms. Everything is the operator's.\n\nExamples:\n  remit contain agent kb-bot --level quarantine --reason \"reads link-local hosts\"\n  remit contain workflow support/refund --level suspend --reason \"wrong cap\" --yes"
)]
pub enum ContainCommand {
    /// An agent with all its workflows, runs and keys
    Agent(Contain),
    /// One workflow, AGENT/WORKFLOW
    Workflow(Contain),
    /// One run with its children
    Run(Contain),
    /// A whole tree of runs with its delegations, by any run of it or the `txn` of its tokens
    Chain(Contain),
    /// What a person lets agents do for them: delegations, and every run under them
    Person(Contain),
    /// One key by thumbprint, or one token or SVID by id
    Credential(Contain),
    /// Every tool of an upstream, whoever calls it
    Upstream(Contain),
    /// One tool, UPSTREAM/TOOL, whoever calls it
    Tool(Contain),
    /// One definition of a tool by its hash, whatever tool has it
    Definition(Contain),
    /// Every agent registered with a model, and every run that names it
    Model(Contain),
    /// The whole organization; another administrator has to confirm it
    Organization(Contain),
    /// Every organization (operator); an administrator of one has to confirm it
    Everything(ContainAll),
}

/// How to contain everything.
#[derive(Debug, Args)]
pub struct ContainAll {
    /// How far
    #[arg(long, value_enum)]
    level: Shared,
    /// Why; goes into the ledger
    #[arg(long)]
    reason: String,
    /// At once and without a second person, in an emergency: raises an alarm in every organization
    #[arg(long)]
    break_glass: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// How far what many share is contained.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shared {
    Suspend,
    Quarantine,
}

/// How to contain it.
#[derive(Debug, Args)]
pub struct Contain {
    /// Its name or id
    #[arg(allow_hyphen_values = true)]
    name: String,
    /// How far
    #[arg(long, value_enum)]
    level: Level,
    /// Why; goes into the ledger
    #[arg(long)]
    reason: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Suspend,
    Quarantine,
    Kill,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Quarantine => "quarantine",
            Self::Kill => "kill",
        }
    }
}

/// Commands on containments.
#[derive(Debug, Subcommand)]
pub enum ContainmentCommand {
    /// List containments
    #[command(alias = "list")]
    Ls {
        /// Only in this state
        #[arg(long, value_parser = ["active", "lifted", "waiting", "withdrawn"])]
        state: Option<String>,
        /// Those of every organization (operator)
        #[arg(long)]
        everything: bool,
        #[command(flatten)]
        between: Between,
    },
    /// Show one, with its newest certificate
    #[command(alias = "get")]
    Show {
        /// Id
        id: String,
        /// It is of every organization (operator)
        #[arg(long)]
        everything: bool,
    },
    /// Get the newest certificate with its proof, as a file
    Certificate {
        /// Id
        id: String,
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Verify such a file without any server. Exits with 5 when it proves nothing
    Verify {
        /// The certificate
        file: PathBuf,
        /// Verifier key of the ledger, or a file that holds it, from elsewhere than the certificate
        #[arg(long, value_name = "VKEY")]
        key: String,
    },
    /// Confirm what somebody else ordered, where it takes two people (administrator)
    Confirm {
        /// Id
        id: String,
        /// It is of every organization, ordered by the operator
        #[arg(long)]
        everything: bool,
    },
    /// Take back what waits for a second person
    Withdraw {
        /// Id
        id: String,
    },
    /// Let what was contained go on; tokens do not come back
    Lift {
        /// Id
        id: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: String,
        /// It is of every organization (operator); one that waits is taken back
        #[arg(long)]
        everything: bool,
    },
}

const COLUMNS: [Column; 7] = [
    column("ID", Show::Text("id")),
    column("STATE", Show::State("state")),
    column("LEVEL", Show::Text("level")),
    column("TARGET", Show::Text("target_name")),
    column("RESIDUAL", Show::Text("certificate.residual")),
    column("BY", Show::Text("by")),
    column("WHEN", Show::When("at")),
];

/// Contains.
pub(crate) async fn contain(connection: &Connection, command: ContainCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let (kind, contain) = match command {
        ContainCommand::Agent(c) => ("agent", c),
        ContainCommand::Workflow(c) => ("workflow", c),
        ContainCommand::Run(c) => ("run", c),
        ContainCommand::Chain(c) => ("chain", c),
        ContainCommand::Person(c) => ("person", c),
        ContainCommand::Credential(c) => ("credential", c),
        ContainCommand::Upstream(c) => ("upstream", c),
        ContainCommand::Tool(c) => ("tool", c),
        ContainCommand::Definition(c) => ("definition", c),
        ContainCommand::Model(c) => ("model", c),
        ContainCommand::Organization(c) => ("organization", c),
        ContainCommand::Everything(c) => return everything(&client, out, &c).await,
    };
    let target = json!({ "type": kind, (field(kind, &contain.name)): contain.name });
    let level = contain.level.as_str();
    if !contain.yes {
        let preview = client
            .post(
                &["containments", "preview"],
                &json!({ "target": target, "level": level }),
            )
            .await?;
        note(&previewed(out, &preview));
        ask::type_name(&contain.name, false)?;
    }
    let body = json!({ "target": target, "level": level, "reason": contain.reason });
    let contained = client.post(&["containments"], &body).await?;
    told(out, &contained)
}

/// Shows a containment; one that another person has to confirm is waiting.
fn told(out: Out, contained: &Value) -> Done {
    out.one(contained, "id", || page(out, contained))?;
    Ok(match text(contained, "state").as_str() {
        "waiting" => WAITING,
        _ => OK,
    })
}

async fn everything(client: &Client, out: Out, contain: &ContainAll) -> Done {
    let level = match contain.level {
        Shared::Suspend => "suspend",
        Shared::Quarantine => "quarantine",
    };
    if !contain.yes {
        let at = ["everything", "preview"];
        let preview = client.post(&at, &json!({ "level": level })).await?;
        note(&previewed_all(out, &preview));
        ask::type_name("everything", false)?;
    }
    let body =
        json!({ "level": level, "reason": contain.reason, "break_glass": contain.break_glass });
    told(out, &client.post(&["everything"], &body).await?)
}

/// What has a name as well as an id is known by either; the others have ids only.
fn field(kind: &str, name: &str) -> &'static str {
    let id = match kind {
        "agent" => name.starts_with("agt_"),
        "workflow" => name.starts_with("wf_") || !name.contains('/'),
        "person" => name.starts_with("per_"),
        "organization" => name.starts_with("org_"),
        "upstream" | "tool" | "model" => false,
        _ => true,
    };
    if id { "id" } else { "name" }
}

/// Runs a command on containments.
pub(crate) async fn run(connection: &Connection, command: ContainmentCommand) -> Done {
    if let ContainmentCommand::Verify { file, key } = &command {
        return file::verify(connection.out(), file, &verifier_key(key)?);
    }
    let (client, out) = (connection.client()?, connection.out());
    match command {
        ContainmentCommand::Ls {
            state,
            everything,
            between,
        } => {
            let [since, until] = between.query(out.now);
            let query = [
                ("state", state.as_deref().unwrap_or_default()),
                ("since", &since),
                ("until", &until),
            ];
            let all = client.list(&[of(everything)], &query, ITEMS_MAX).await?;
            out.list(&all, &COLUMNS, "id", "Nothing is contained. To stop something: remit contain agent NAME --level suspend --reason …")?;
        }
        ContainmentCommand::Show { id, everything } => show(&client, out, &id, everything).await?,
        ContainmentCommand::Certificate { id, out: to } => {
            return file::get(&client, out, &id, to.as_deref()).await;
        }
        ContainmentCommand::Verify { .. } => {}
        ContainmentCommand::Confirm { id, everything } => {
            let at = [of(everything), id.as_str(), "confirm"];
            return told(out, &client.post(&at, &json!({})).await?);
        }
        ContainmentCommand::Withdraw { id } => {
            let at = ["containments", id.as_str(), "withdraw"];
            return told(out, &client.post(&at, &json!({})).await?);
        }
        ContainmentCommand::Lift {
            id,
            reason,
            everything,
        } => {
            let body = json!({ "reason": reason });
            let lifted = client.post(&[of(everything), &id, "lift"], &body).await?;
            if everything {
                return told(out, &lifted);
            }
            out.one(&lifted, "containment.id|id", || restored(&id, &lifted))?;
        }
    }
    Ok(OK)
}

/// Where they are.
fn of(everything: bool) -> &'static str {
    match everything {
        true => "everything",
        false => "containments",
    }
}

async fn show(client: &Client, out: Out, id: &str, everything: bool) -> anyhow::Result<()> {
    let mut found = client.get(&[of(everything), id]).await?;
    let newest = match everything {
        true => Ok(Value::Null),
        false => client.get(&["containments", id, "certificate"]).await,
    };
    if let (Value::Object(fields), Ok(certificate)) = (&mut found, newest)
        && !certificate.is_null()
    {
        fields.insert("certificate".to_owned(), certificate);
    }
    out.one(&found, "id", || page(out, &found))
}

fn restored(id: &str, lifted: &Value) -> String {
    let state = text(lifted, "agent_state");
    let target = text(lifted, "containment.target_name");
    let mut said = vec![format!("{id} is lifted.")];
    let of_agent = target.starts_with("agent ");
    if of_agent && !state.is_empty() {
        said.push(format!("The {target} is {state} now."));
    } else if !target.is_empty() && !of_agent {
        said.push(format!("The {target} may go on."));
        if !state.is_empty() && state != "active" {
            said.push(format!(
                "Its agent is {state}, so nothing of it goes on yet."
            ));
        }
    }
    let number = |path: &str| count(items(lifted, path).len() as u64, "run");
    said.push(format!(
        "To go on: {}. Ended meanwhile: {}.",
        number("runs"),
        number("ended")
    ));
    said.push("Tokens do not come back: agents get new ones.".to_owned());
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lifted_is_what_may_go_on() {
        let lifted = |target: &str, state: &str| {
            let lifted = json!({"agent_state": state, "containment": {"target_name": target}, "runs": ["run_1"], "ended": []});
            restored("con_1", &lifted)
        };
        insta::assert_snapshot!(
            [
                lifted("agent kb-bot", "active"),
                lifted("workflow kb-bot/answer", "active"),
                lifted("workflow kb-bot/answer", "quarantined"),
            ]
            .join("\n")
        );
    }

    #[test]
    fn targets_are_named_or_identified() {
        assert_eq!(
            [
                field("agent", "kb-bot"),
                field("agent", "agt_1"),
                field("workflow", "a/b"),
                field("run", "run_1"),
                field("credential", "x"),
                field("person", "maria@acme.example"),
                field("tool", "shop/refund"),
                field("definition", "ab")
            ],
            ["name", "id", "name", "id", "id", "name", "name", "id"]
        );
    }
}
