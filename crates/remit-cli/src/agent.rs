//! Agents: which exist, who answers for them, and their lifecycle.

pub(crate) mod key;
mod register;

#[cfg(test)]
pub(crate) use key::pem;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::ask;
use crate::client::{Client, ITEMS_MAX};
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{items, text};

/// Commands on agents.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit agent ls --state active\n  remit agent register triage --owner maria@acme.example --sponsor omar@acme.example --environment production --tier 1\n  remit agent key add triage --generate triage.pem\n  remit agent activate triage"
)]
pub enum AgentCommand {
    /// List agents, with who answers for them
    #[command(alias = "list")]
    Ls {
        /// Only agents in this state
        #[arg(long, value_parser = ["draft", "active", "suspended", "quarantined", "retired"])]
        state: Option<String>,
    },
    /// Show one agent: purpose, people, workflows, keys, and what it still lacks
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Register an agent, or change it
    Register(Box<register::Register>),
    /// Let an agent have credentials
    Activate {
        /// Name
        name: String,
    },
    /// Stop an agent for now
    Suspend(Because),
    /// Let a suspended agent go on
    Resume(Because),
    /// End an agent for good
    Retire {
        #[command(flatten)]
        because: Because,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Give an agent to other people
    Transfer {
        /// Name
        name: String,
        /// E-mail address of the new owner
        #[arg(long)]
        owner: Option<String>,
        /// E-mail address of the new sponsor
        #[arg(long)]
        sponsor: Option<String>,
        /// E-mail address of the new deputy
        #[arg(long)]
        deputy: Option<String>,
        /// Team one of whom takes over where no deputy is here
        #[arg(long)]
        deputy_team: Option<String>,
    },
    /// Keys that an agent proves itself with
    #[command(subcommand)]
    Key(key::KeyCommand),
}

/// An agent, and why.
#[derive(Debug, clap::Args)]
pub struct Because {
    /// Name
    name: String,
    /// Why; goes into the ledger
    #[arg(long)]
    reason: String,
}

const COLUMNS: [Column; 7] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("TIER", Show::Text("tier")),
    column("OWNER", Show::Text("owner")),
    column("SPONSOR", Show::Text("sponsor")),
    column("WORKFLOWS", Show::Count("workflows")),
    column("PURPOSE", Show::Text("purpose")),
];

const EMPTY: &str = "No agent yet. Register one with `remit agent register NAME …`, or many with `remit apply -f DIR`.";

/// Runs one.
pub(crate) async fn run(at: &Connection, command: AgentCommand) -> Done {
    let (client, out) = (at.client()?, at.out());
    match command {
        AgentCommand::Ls { state } => {
            let agents = client
                .list(
                    &["agents"],
                    &[("state", state.as_deref().unwrap_or_default())],
                    ITEMS_MAX,
                )
                .await?;
            let empty = match &state {
                Some(state) => format!("No agent is {state}."),
                None => EMPTY.to_owned(),
            };
            out.list(&agents, &COLUMNS, "name", &empty)?;
        }
        AgentCommand::Show { name } => show(&client, out, &name).await?,
        AgentCommand::Register(register) => register::run(&client, out, *register).await?,
        AgentCommand::Activate { name } => {
            act(&client, out, &name, "activate", &json!({}), "is active").await?
        }
        AgentCommand::Suspend(b) => because(&client, out, b, "suspend", "is suspended").await?,
        AgentCommand::Resume(b) => because(&client, out, b, "resume", "is active again").await?,
        AgentCommand::Retire { because: b, yes } => {
            ask::type_name(&b.name, yes)?;
            because(&client, out, b, "retire", "is retired, for good").await?;
        }
        AgentCommand::Transfer {
            name,
            owner,
            sponsor,
            deputy,
            deputy_team,
        } => {
            let given = [
                ("owner", owner),
                ("sponsor", sponsor),
                ("deputy", deputy),
                ("deputy_team", deputy_team),
            ];
            let body: Map<String, Value> = given
                .into_iter()
                .filter_map(|(k, v)| Some((k.to_owned(), v?.into())))
                .collect();
            if body.is_empty() {
                return Err(Usage(
                    "say to whom: --owner, --sponsor, --deputy or --deputy-team".to_owned(),
                )
                .into());
            }
            act(
                &client,
                out,
                &name,
                "transfer",
                &Value::Object(body),
                "was transferred",
            )
            .await?;
        }
        AgentCommand::Key(command) => key::run(&client, out, command).await?,
    }
    Ok(OK)
}

async fn because(
    client: &Client,
    out: Out,
    because: Because,
    verb: &str,
    said: &str,
) -> anyhow::Result<()> {
    let body = json!({ "reason": because.reason });
    act(client, out, &because.name, verb, &body, said).await
}

async fn act(
    client: &Client,
    out: Out,
    name: &str,
    verb: &str,
    body: &Value,
    said: &str,
) -> anyhow::Result<()> {
    let done = client.post(&["agents", name, verb], body).await?;
    out.done(&done, "name", &format!("{name} {said}."))
}

async fn show(client: &Client, out: Out, name: &str) -> anyhow::Result<()> {
    let mut agent = client.get(&["agents", name]).await?;
    let lacks = client.get(&["agents", name, "completeness"]).await?;
    let workflows = client
        .list(&["agents", name, "workflows"], &[], ITEMS_MAX)
        .await?;
    // Keys are for administrators and the owner; everybody else sees the rest.
    let keys = client
        .list(&["agents", name, "keys"], &[], ITEMS_MAX)
        .await
        .unwrap_or_default();
    if let Value::Object(agent) = &mut agent {
        agent.insert("completeness".to_owned(), lacks);
    }
    out.one(&agent, "name", || page(out, &agent, &workflows, &keys))
}

fn page(out: Out, agent: &Value, workflows: &[Value], keys: &[Value]) -> String {
    let heading = format!(
        "{}  {}  {}",
        text(agent, "name"),
        text(agent, "state").to_uppercase(),
        text(agent, "id")
    );
    let model = [
        text(agent, "model"),
        text(agent, "provider"),
        text(agent, "runtime"),
    ];
    let model = model
        .into_iter()
        .filter(|t| !t.is_empty())
        .collect::<Vec<_>>()
        .join(" · ");
    let workflow_columns = [
        column("WORKFLOW", Show::Text("name")),
        column("STATE", Show::State("state")),
        column("GRANTS", Show::Count("grants")),
        column("PURPOSE", Show::Text("purpose")),
    ];
    Page::new(out, &heading)
        .at("Why", agent, "state_reason")
        .at("Purpose", agent, "purpose")
        .at("Business process", agent, "business_process")
        .at("Owner", agent, "owner")
        .at("Sponsor", agent, "sponsor")
        .at("Deputy", agent, "deputy")
        .at("Team of deputies", agent, "deputy_team")
        .at("Responsible team", agent, "responsible_team")
        .at("Platform team", agent, "platform_team")
        .field("Model", model)
        .at("Environment", agent, "environment")
        .at("Tier", agent, "tier")
        .at("Systems", agent, "systems")
        .at("Data classes", agent, "data_classes")
        .at("Expected actions", agent, "expected_actions")
        .at("Enforcement", agent, "enforcement")
        .at("Cooperative, not enforced", agent, "cooperative")
        .field("Reviewed", cadence(agent))
        .when("Next review", agent, "next_review")
        .lines(
            "Lacks before it can be active",
            items(agent, "completeness.missing"),
        )
        .table("Workflows", workflows, &workflow_columns)
        .table("Keys", keys, &key::COLUMNS)
        .section(
            "Next",
            &format!(
                "remit access show {name}\nremit run ls --agent {name}",
                name = text(agent, "name")
            ),
        )
        .text()
}

/// How often it is looked at again.
fn cadence(agent: &Value) -> String {
    match agent.get("review_cadence_days").and_then(Value::as_u64) {
        Some(days) => format!("every {days} days"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;

    #[test]
    fn an_agent_is_shown_with_what_it_lacks() {
        let agent = json!({
            "id": "agt_01JD8M3W7Q4X5Y6Z7A8B9C0D1E", "name": "support-triage", "state": "draft", "owner": "maria@acme.example",
            "sponsor": "omar@acme.example", "purpose": "Sorts tickets", "model": "large-1", "provider": "acme", "tier": 1,
            "environment": "production", "systems": ["tickets"], "review_cadence_days": 90, "next_review": "2027-02-01T00:00:00Z",
            "completeness": {"complete": false, "missing": ["a key", "a workflow with a grant"]},
        });
        let workflows = [
            json!({"name": "answer", "state": "active", "grants": [{}, {}], "purpose": "Answers tickets"}),
        ];
        let keys = [
            json!({"thumbprint": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "state": "active", "created": "2026-11-20T08:00:00Z"}),
        ];
        insta::assert_snapshot!(page(out(), &agent, &workflows, &keys));
    }
}
