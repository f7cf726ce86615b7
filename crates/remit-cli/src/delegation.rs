//! Delegations: which person stands behind which agent.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::client::{Client, ITEMS_MAX};
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::input;
use crate::output::{Format, Out};
use crate::print::{note, print};
use crate::table::{Column, Page, Show, column};
use crate::value::{at, count, items, line, text};
use crate::when::{self, parse_span};

/// Seconds that one request waits for a change.
const POLL_SECS: &str = "55";

/// Commands on delegations.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit delegation grant --to support --workflow refund --for 8h --ticket INC-1042\n  remit delegation ls --mine --state active\n  remit delegation tree --person maria@acme.example --watch\n  remit delegation assert dlg_01JD… -o name > subject-token"
)]
pub enum DelegationCommand {
    /// Let an agent act for you in one workflow, for a time
    Grant(Box<Grant>),
    /// List delegations
    #[command(alias = "list")]
    Ls {
        /// Only your own
        #[arg(long)]
        mine: bool,
        /// Only to this agent
        #[arg(long)]
        agent: Option<String>,
        /// Only for this ticket
        #[arg(long)]
        ticket: Option<String>,
        /// Only in this state
        #[arg(long, value_parser = ["active", "revoked", "expired"])]
        state: Option<String>,
    },
    /// Show one delegation, and what it narrows
    #[command(alias = "get")]
    Show {
        /// Id
        id: String,
    },
    /// End a delegation, with everything that rests on it
    Revoke {
        /// Id
        id: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: String,
    },
    /// Show who stands behind whom, hop by hop
    Tree {
        /// Only below this person
        #[arg(long, value_name = "EMAIL")]
        person: Option<String>,
        /// Only chains that pass this agent
        #[arg(long)]
        agent: Option<String>,
        /// Go on, and show it anew each time it changes
        #[arg(long)]
        watch: bool,
    },
    /// Get a single-use, five-minute subject token for the agent of a delegation of yours
    Assert {
        /// Id
        id: String,
    },
}

/// A delegation to make.
#[derive(Debug, Args)]
pub struct Grant {
    /// Agent that may act
    #[arg(long = "to", alias = "agent", value_name = "AGENT")]
    agent: String,
    /// Workflow
    #[arg(long)]
    workflow: String,
    /// For runs you are part of, or for runs in the background (sponsors only)
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,
    /// For how long: 15m, 8h, 30d
    #[arg(long = "for", value_parser = parse_span, value_name = "SPAN")]
    for_secs: i64,
    /// Id of the ticket it is for: it ends when that is told to be closed
    #[arg(long)]
    ticket: Option<String>,
    /// Narrower authority as JSON, or @FILE: {"effects": ["read"], "targets": {"order": ["A-118"]}}
    #[arg(long, value_name = "JSON")]
    authority: Option<String>,
    /// How many further hops may follow
    #[arg(long)]
    depth: Option<u8>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Kind {
    #[default]
    Interactive,
    Standing,
}

const COLUMNS: [Column; 7] = [
    column("ID", Show::Text("id")),
    column("PERSON", Show::Text("person")),
    column("WORKFLOW", Show::Text("workflow")),
    column("KIND", Show::Text("kind")),
    column("TICKET", Show::Text("ticket")),
    column("STATE", Show::State("state")),
    column("LEFT", Show::Left("expires")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: DelegationCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        DelegationCommand::Grant(grant) => make(&client, out, *grant).await?,
        DelegationCommand::Ls {
            mine,
            agent,
            ticket,
            state,
        } => {
            let query = [
                ("mine", if mine { "true" } else { "" }),
                ("agent", agent.as_deref().unwrap_or_default()),
                ("ticket", ticket.as_deref().unwrap_or_default()),
                ("state", state.as_deref().unwrap_or_default()),
            ];
            let all = client.list(&["delegations"], &query, ITEMS_MAX).await?;
            out.list(
                &all,
                &COLUMNS,
                "id",
                "No delegation: no agent acts for anybody. Make one with `remit delegation grant`.",
            )?;
        }
        DelegationCommand::Show { id } => {
            let found = client.get(&["delegations", &id]).await?;
            out.one(&found, "id", || page(out, &found))?;
        }
        DelegationCommand::Revoke { id, reason } => {
            let ended = client
                .post(
                    &["delegations", &id, "revoke"],
                    &json!({ "reason": reason }),
                )
                .await?;
            out.one(&ended, "delegations", || revoked(&ended))?;
        }
        DelegationCommand::Tree {
            person,
            agent,
            watch,
        } => {
            let of = [person.unwrap_or_default(), agent.unwrap_or_default()];
            return show_tree(&client, out, &of, watch).await;
        }
        DelegationCommand::Assert { id } => {
            let made = client
                .post(&["delegations", &id, "assertion"], &json!({}))
                .await?;
            out.one(&made, "subject_token", || {
                format!(
                    "{}\n\nGood once, for {}. The agent exchanges it for its own token.",
                    text(&made, "subject_token"),
                    at(&made, "expires_in")
                        .and_then(Value::as_i64)
                        .map(when::span)
                        .unwrap_or_default()
                )
            })?;
        }
    }
    Ok(OK)
}

async fn make(client: &Client, out: Out, grant: Grant) -> anyhow::Result<()> {
    let kind = match grant.kind {
        Kind::Interactive => "interactive",
        Kind::Standing => "standing",
    };
    let mut body = json!({ "agent": grant.agent, "workflow": grant.workflow, "kind": kind, "for_secs": grant.for_secs });
    if let Value::Object(fields) = &mut body {
        fields.extend(grant.ticket.map(|t| ("ticket".to_owned(), t.into())));
        fields.extend(grant.depth.map(|d| ("depth".to_owned(), d.into())));
        if let Some(authority) = &grant.authority {
            fields.insert("authority".to_owned(), input::json(authority)?);
        }
    }
    let made = client.post(&["delegations"], &body).await?;
    out.one(&made, "id", || page(out, &made))
}

fn page(out: Out, found: &Value) -> String {
    let heading = format!(
        "{}  {}  {} -> {}",
        text(found, "id"),
        text(found, "state").to_uppercase(),
        text(found, "from"),
        text(found, "workflow")
    );
    Page::new(out, &heading)
        .at("Person", found, "person")
        .at("Kind", found, "kind")
        .at("Ticket", found, "ticket")
        .when("Made", found, "created")
        .when("Ends", found, "expires")
        .at("Hops left", found, "depth_left")
        .at("Under", found, "parent")
        .field(
            "Revoked",
            at(found, "revoked")
                .map(|r| format!("by {}: {}", text(r, "by"), text(r, "reason")))
                .unwrap_or_default(),
        )
        .lines("Narrows", items(found, "narrows"))
        .lines("Runs", items(found, "runs"))
        .text()
}

fn revoked(ended: &Value) -> String {
    let n = |path: &str, noun: &str| count(items(ended, path).len() as u64, noun);
    let number = |path: &str, noun: &str| {
        count(
            ended.get(path).and_then(Value::as_u64).unwrap_or_default(),
            noun,
        )
    };
    format!(
        "Ended: {}, {}, {}, {}.",
        n("delegations", "delegation"),
        n("runs", "run"),
        number("tokens", "token"),
        number("approvals", "approval")
    )
}

async fn show_tree(client: &Client, out: Out, of: &[String; 2], watch: bool) -> Done {
    let [person, agent] = of;
    let of = [("person", person.as_str()), ("agent", agent.as_str())];
    if watch {
        return watch_tree(client, out, of).await;
    }
    let found = client
        .list(&["delegations", "tree"], &of, ITEMS_MAX)
        .await?;
    let found = Value::Array(found);
    out.one(&found, "person", || tree(out, &found))?;
    Ok(OK)
}

async fn watch_tree(client: &Client, out: Out, of: [(&str, &str); 2]) -> Done {
    let mut after = String::new();
    if out.format == Format::Table {
        note("Watching who acts for whom; ctrl-C ends it.");
    }
    loop {
        let mut query = of.to_vec();
        query.extend([("after", after.as_str()), ("timeout_s", POLL_SECS)]);
        query.retain(|(_, value)| !value.is_empty());
        let told = client
            .get_with(&["delegations", "tree", "watch"], &query)
            .await?;
        let next = text(&told, "next");
        if next == after {
            continue;
        }
        after = next;
        let found = at(&told, "items").cloned().unwrap_or_default();
        match out.format {
            Format::Table => {
                let now = crate::edge::now();
                print(&format!("{now}\n{}\n", tree(Out { now, ..out }, &found)));
            }
            _ => print(&found.to_string()),
        }
    }
}

fn tree(out: Out, found: &Value) -> String {
    let mut lines = Vec::new();
    for person in found.as_array().into_iter().flatten() {
        lines.push(format!(
            "{}  {}",
            line(&text(person, "person"), 100),
            line(&text(person, "display_name"), 100)
        ));
        below(out, items(person, "delegations"), "", &mut lines);
    }
    if lines.is_empty() {
        return "No delegation in force: no agent acts for anybody.".to_owned();
    }
    lines.join("\n")
}

/// The runs that act under a delegation, each with those below it.
fn acting(out: Out, runs: &[Value], indent: &str, lines: &mut Vec<String>) {
    for run in runs {
        let since = crate::value::time(run, "started")
            .map(|t| when::relative(t, out.now))
            .unwrap_or_default();
        let state = match text(run, "state").as_str() {
            "active" => String::new(),
            other => format!(" {other}"),
        };
        lines.push(format!(
            "{indent}  ▸ {} {}{state}, {since}",
            text(run, "run"),
            text(run, "mode")
        ));
        acting(out, items(run, "below"), &format!("{indent}  "), lines);
    }
}

/// Branches as `tree` draws them.
fn below(out: Out, hops: &[Value], indent: &str, lines: &mut Vec<String>) {
    for (at, hop) in hops.iter().enumerate() {
        let (branch, further) = if at + 1 == hops.len() {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let left = crate::value::time(hop, "expires")
            .map(|t| when::left(t, out.now))
            .unwrap_or_default();
        let narrows = text(hop, "narrows");
        let narrows = if narrows.is_empty() {
            String::new()
        } else {
            format!(" · {}", line(&narrows, 80))
        };
        lines.push(format!(
            "{indent}{branch}{}  {} {left}{narrows}  [{}, sponsor {}]",
            line(&text(hop, "workflow"), 120),
            text(hop, "kind"),
            text(hop, "id"),
            line(&text(hop, "sponsor"), 60),
        ));
        acting(
            out,
            items(hop, "acting"),
            &format!("{indent}{further}"),
            &mut *lines,
        );
        below(
            out,
            items(hop, "below"),
            &format!("{indent}{further}"),
            lines,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;

    #[test]
    fn a_tree_shows_who_stands_behind_whom() {
        let hop = |id: &str, agent: &str, below: Value| json!({"id": id, "agent": agent, "workflow": format!("{agent}/answer"), "kind": "interactive", "expires": "2026-11-22T16:00:00Z", "narrows": ["only read"], "sponsor": "omar@acme.example", "below": below});
        let found = json!([{"person": "maria@acme.example", "display_name": "Maria", "delegations": [
            hop("dlg_1", "orchestrator", json!([hop("dlg_2", "kb-bot", json!([])), hop("dlg_3", "support", json!([]))])),
            hop("dlg_4", "triage", json!([])),
        ]}]);
        let run = |id: &str, below: Value| json!({"run": id, "mode": "interactive", "state": "active", "started": "2026-11-22T07:58:00Z", "below": below});
        let mut found = found;
        found[0]["delegations"][1]["acting"] =
            json!([run("run_1", json!([run("run_2", json!([]))]))]);
        insta::assert_snapshot!(tree(out(), &found));
        assert!(tree(out(), &json!([])).contains("No delegation"));
    }
}
