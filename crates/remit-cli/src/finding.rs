//! Findings: what somebody should look at; and the doctor, who looks at everything.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, ERROR, OK};
use crate::output::Out;
use crate::table::{Column, Show, column, table};
use crate::value::{line, text};
use crate::when::Between;

/// Commands on findings.
#[derive(Debug, Subcommand)]
pub enum FindingCommand {
    /// List findings
    #[command(alias = "list")]
    Ls {
        /// In which state
        #[arg(long, default_value = "open", value_parser = ["open", "closed", "all"])]
        state: String,
        /// Only what you have to do something about
        #[arg(long)]
        mine: bool,
        #[command(flatten)]
        between: Between,
    },
    /// Close a finding that was looked at
    Close {
        /// Id
        id: String,
        /// What was done; goes into the ledger
        #[arg(long)]
        reason: String,
    },
}

const COLUMNS: [Column; 7] = [
    column("ID", Show::Text("id")),
    column("KIND", Show::Text("kind")),
    column("STATE", Show::State("state")),
    column("SEEN", Show::Text("seen")),
    column("SINCE", Show::When("opened")),
    column("OWNER", Show::Text("owner")),
    column("WHAT", Show::Text("text")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: FindingCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        FindingCommand::Ls {
            state,
            mine,
            between,
        } => {
            let state = if state == "all" { "" } else { &state };
            let mine = if mine { "true" } else { "" };
            let [since, until] = between.query(out.now);
            let query = [
                ("state", state),
                ("mine", mine),
                ("since", &since),
                ("until", &until),
            ];
            let all = client.list(&["findings"], &query, ITEMS_MAX).await?;
            out.list(&all, &COLUMNS, "id", "Nothing has to be looked at.")?;
        }
        FindingCommand::Close { id, reason } => {
            let closed = client
                .post(&["findings", &id, "close"], &json!({ "reason": reason }))
                .await?;
            out.done(&closed, "id", &format!("{id} is closed."))?;
        }
    }
    Ok(OK)
}

/// The doctor has no options of its own.
#[derive(Debug, Args)]
pub struct Doctor {}

/// Looks at everything; exits with 1 when something is not as it must be.
pub(crate) async fn doctor(connection: &Connection) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let checks = client.list(&["doctor"], &[], ITEMS_MAX).await?;
    let ill = checks
        .iter()
        .filter(|c| c.get("ok") != Some(&Value::Bool(true)))
        .count();
    out.one(&Value::Array(checks.clone()), "name", || {
        examined(out, &checks, ill)
    })?;
    Ok(if ill == 0 { OK } else { ERROR })
}

fn examined(out: Out, checks: &[Value], ill: usize) -> String {
    let columns = [
        column("CHECK", Show::Text("name")),
        column(
            "IS",
            Show::With(|c| {
                (if c.get("ok") == Some(&Value::Bool(true)) {
                    "ok"
                } else {
                    "FAIL"
                })
                .to_owned()
            }),
        ),
        column("FOUND", Show::Text("detail")),
    ];
    let mut text_ = table(checks, &columns, out);
    for check in checks.iter().filter(|c| !text(c, "fix").is_empty()) {
        text_.push_str(&format!(
            "\n\n{}: {}\n  -> {}",
            line(&text(check, "name"), 100),
            line(&text(check, "detail"), 500),
            line(&text(check, "fix"), 500)
        ));
    }
    let verdict = if ill == 0 {
        "Everything is as it must be.".to_owned()
    } else {
        format!("{ill} of {} need somebody.", checks.len())
    };
    format!("{text_}\n\n{verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;

    #[test]
    fn the_doctor_says_what_to_do() {
        let checks = [
            json!({"name": "ledger", "ok": true, "detail": "48 entries, checkpoint 2 s old", "fix": ""}),
            json!({"name": "upstream orders", "ok": false, "detail": "does not answer: connection refused", "fix": "start it, or disable it"}),
        ];
        insta::assert_snapshot!(examined(out(), &checks, 1));
    }
}
