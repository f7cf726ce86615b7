//! What is said of an approval beside yes and no: other arguments, questions, answers, handing it on; and the numbers.

use serde_json::{Value, json};

use super::{ApprovalCommand, because};
use crate::client::Client;
use crate::exit::Usage;
use crate::input;
use crate::output::Out;
use crate::table::Page;
use crate::value::{line, text};
use crate::when::{parse_span, span};

/// Runs one that says something.
pub(super) async fn run(client: &Client, out: Out, command: ApprovalCommand) -> anyhow::Result<()> {
    match command {
        ApprovalCommand::Edit { id, args, reason } => {
            let mut body = because(reason);
            if let Some(all) = body.as_object_mut() {
                all.insert("args".to_owned(), input::json(&args)?);
            }
            let settled = client.post(&["approvals", &id, "edit"], &body).await?;
            let said = format!(
                "{id} is denied as it was asked; the agent is told your arguments, and a call with them is asked for anew."
            );
            out.done(&settled, "id", &said)
        }
        ApprovalCommand::Ask { id, text } => {
            let noted = client
                .post(&["approvals", &id, "question"], &json!({ "text": text }))
                .await?;
            out.done(
                &noted,
                "id",
                &format!("{id} waits on; your question stands on it."),
            )
        }
        ApprovalCommand::Answer { id, text } => {
            let noted = client
                .post(&["approvals", &id, "answer"], &json!({ "text": text }))
                .await?;
            out.done(&noted, "id", &format!("{id}: answered."))
        }
        ApprovalCommand::Give { id, to } => {
            let given = client
                .post(&["approvals", &id, "give"], &json!({ "to": to }))
                .await?;
            let said = format!(
                "{id} was handed to {}.",
                line(&text(&given, "given_to"), 120)
            );
            out.done(&given, "id", &said)
        }
        ApprovalCommand::Funnel { since } => {
            let secs = parse_span(&since).map_err(Usage)?;
            let query = [("since_secs", secs.to_string())];
            let query: Vec<(&str, &str)> = query.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let found = client.get_with(&["approvals", "funnel"], &query).await?;
            out.one(&found, "since", || funnel(out, &found))
        }
        other => stand(client, out, other).await,
    }
}

/// Runs one about who looks into it, or that takes a yes back.
async fn stand(client: &Client, out: Out, command: ApprovalCommand) -> anyhow::Result<()> {
    match command {
        ApprovalCommand::Claim { id } => {
            let claimed = client
                .post(&["approvals", &id, "claim"], &json!({}))
                .await?;
            let said = format!(
                "{id} is yours to look into until {}; the others see that.",
                text(&claimed, "claimed_until")
            );
            out.done(&claimed, "id", &said)
        }
        ApprovalCommand::Release { id } => {
            let released = client
                .post(&["approvals", &id, "release"], &json!({}))
                .await?;
            out.done(&released, "id", &format!("{id}: nobody looks into it now."))
        }
        ApprovalCommand::Withdraw { id, reason } => {
            let back = client
                .post(&["approvals", &id, "withdraw"], &because(reason))
                .await?;
            let said = format!(
                "{id} is taken back: what it would have let pass asks anew. What was sent stays sent."
            );
            out.done(&back, "id", &said)
        }
        _ => Ok(()),
    }
}

fn funnel(out: Out, found: &Value) -> String {
    let wait = |name: &str| {
        found
            .get(name)
            .and_then(Value::as_i64)
            .map(span)
            .unwrap_or_default()
    };
    Page::new(out, &format!("{} approvals asked", text(found, "asked")))
        .when("Since", found, "since")
        .at("Approved", found, "approved")
        .at("Used", found, "used")
        .at("Denied", found, "denied")
        .at("Ran out", found, "expired")
        .at("Void", found, "void")
        .at("Waiting", found, "waiting")
        .field("Half within", wait("wait_p50_secs"))
        .field("95 of 100", wait("wait_p95_secs"))
        .text()
}
