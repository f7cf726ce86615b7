//! Decisions: what was decided, why, and whether it would be decided so again.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::documents::Documents;
use crate::exit::{Done, NOT_VERIFIED, OK};
use crate::output::Out;
use crate::table::Page;
use crate::value::{at, items, lines, text};

/// Commands on decisions.
#[derive(Debug, Subcommand)]
pub enum DecisionCommand {
    /// Show a decision
    #[command(alias = "get")]
    Show {
        /// Id
        id: String,
    },
    /// Show which policies decided it, from which facts, and what would change it
    Why {
        /// Id
        id: String,
        /// File or directory of your documents: says in which file and line each policy is
        #[arg(short, long, value_name = "PATH")]
        file: Option<PathBuf>,
    },
    /// Decide it again from its recorded inputs; exits with 5 when the answer is another one
    Replay {
        /// Id
        id: String,
    },
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: DecisionCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        DecisionCommand::Show { id } => {
            let found = client.get(&["decisions", &id]).await?;
            out.one(&found, "id", || head(out, &found).text())?;
        }
        DecisionCommand::Why { id, file } => {
            let found = client.get(&["decisions", &id, "why"]).await?;
            let documents = file.as_deref().map(Documents::read).transpose()?;
            out.one(&found, "decision.id", || {
                why(out, &found, documents.as_ref())
            })?;
        }
        DecisionCommand::Replay { id } => {
            let found = client
                .post(&["decisions", &id, "replay"], &json!({}))
                .await?;
            let same = found.get("same") == Some(&Value::Bool(true));
            out.one(&found, "decision", || replayed(&id, same, &found))?;
            return Ok(if same { OK } else { NOT_VERIFIED });
        }
    }
    Ok(OK)
}

fn head(out: Out, decision: &Value) -> Page {
    let shredded = decision.get("shredded") == Some(&Value::Bool(true));
    let id = text(decision, "id");
    Page::new(
        out,
        &format!(
            "{}  {} -> {}  {}",
            text(decision, "outcome").to_uppercase(),
            text(decision, "agent"),
            text(decision, "tool"),
            text(decision, "at")
        ),
    )
    .field("Decision", &id)
    .at("Result", decision, "result")
    .at("Approval", decision, "consent")
    .at("Workflow", decision, "workflow")
    .at("Run", decision, "run")
    .at("For", decision, "person")
    .at("Sponsor", decision, "sponsor")
    .at("Effect", decision, "effect")
    .at("System", decision, "system")
    .at("Exceptions", decision, "facts.exceptions")
    .at("Policies", decision, "facts.bundle")
    .field(
        "Arguments",
        at(decision, "summary")
            .filter(|s| s.is_object())
            .map(ToString::to_string)
            .unwrap_or_default(),
    )
    .field(
        "Content",
        if shredded {
            "destroyed; what is in the leaf remains"
        } else {
            ""
        },
    )
    .field(
        "Record",
        format!(
            "#{}  prove it: remit audit prove {}",
            text(decision, "index"),
            text(decision, "index")
        ),
    )
}

fn why(out: Out, found: &Value, documents: Option<&Documents>) -> String {
    let decision = at(found, "decision").unwrap_or(&Value::Null);
    let policies: Vec<String> = items(found, "policies")
        .iter()
        .map(|policy| {
            let place = documents.and_then(|d| d.policy_place(policy));
            crate::policy::policy_line_at(policy, place)
        })
        .collect();
    let labels: Vec<Value> = items(found, "labels")
        .iter()
        .map(|l| Value::String(crate::declassification::label_line(l)))
        .collect();
    head(out, decision)
        .lines("Because", items(found, "reasons"))
        .section("Policies that decided", &policies.join("\n"))
        .lines("Touched before", &labels)
        .lines("Chain", items(found, "chain"))
        .lines("Would change it", items(found, "would_change"))
        .text()
}

fn replayed(id: &str, same: bool, found: &Value) -> String {
    let note = text(found, "note");
    let note = if note.is_empty() {
        String::new()
    } else {
        format!("\n{note}")
    };
    let told = if same {
        format!(
            "{id} replays to the same decision and reasons, with policies {}.{note}",
            text(found, "engine")
        )
    } else {
        let all: Vec<String> = items(found, "differences")
            .iter()
            .map(|d| format!("  {}", crate::value::plain(d)))
            .collect();
        format!(
            "{id} does NOT replay to what was recorded:\n{}{note}",
            all.join("\n")
        )
    };
    lines(&told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;

    #[test]
    fn why_names_policies_chain_and_what_would_change_it() {
        let found = json!({
            "decision": {"id": "dec_1", "index": 48, "at": "2026-11-22T07:58:00Z", "outcome": "deny", "consent": "withheld", "agent": "kb-bot", "workflow": "kb-bot/answer", "run": "run_1", "tool": "fetch/fetch", "effect": "external", "system": "web", "summary": {"url": "string"}, "shredded": false},
            "reasons": ["the host is link-local"],
            "policies": [{"id": "net/no-link-local", "line": 3, "forbids": true, "asks": false, "text": "no link-local host"}],
            "chain": ["maria@acme.example -> orchestrator/plan", "orchestrator -> kb-bot/answer"],
            "would_change": ["a host that is not link-local"],
        });
        insta::assert_snapshot!(why(out(), &found, None));
    }
}
