//! The rogue agent is contained, and what is left of its access is proved to be nothing.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::answers::{Cli, shown};
use super::stage::{Call, Stage, Work};
use crate::client::{Verdict, text_of};
use crate::upstreams::story;

const RESPONDER: &str = "rita@acme.example";

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    stage.begin("8. How does security revoke, quarantine or kill?");
    let rogue = stage
        .rogue
        .take()
        .context("no use-case left an agent at work")?;
    let call = || ("itsm/get_ticket", json!({ "ticket": story::TICKET }));
    stage
        .allowed(&rogue, "before: the agent still works", call())
        .await?;
    let cli = Cli::of(stage, RESPONDER)?;
    let reason = "it followed an instruction in a ticket";
    let args = [
        "contain",
        "agent",
        rogue.agent,
        "--level",
        "kill",
        "--reason",
        reason,
        "--yes",
    ];
    let answer = cli.ask(&args).await?;
    stage.say.line(&format!("  $ remit {}", shown(&args)));
    stage.say.quote(&answer.text);
    stage.expect("remit contain", "exit 0", &answer.exit());
    certificate(stage, &rogue.run).await?;
    nothing_left(stage, &rogue, call()).await?;
    rogue.mcp.close().await;
    Ok(())
}

/// Neither the token it holds nor the key it held is good for anything.
async fn nothing_left(stage: &mut Stage, rogue: &Work, (tool, args): Call<'_>) -> Result<()> {
    let after = stage.call(rogue, tool, &args).await?;
    let why = [
        "has ended",
        "contained",
        "revoked",
        "AuthRequired",
        "Auth required",
        "401",
        "403",
    ];
    let stopped = why.iter().any(|word| after.text.contains(word));
    let refused = after.verdict == Verdict::Denied && stopped;
    let what = "after: its next call, with the token it still holds";
    stage.expect_that(what, refused, "refused", &after.text);
    let token = stage
        .agent(rogue.agent)?
        .own_token("workflow:account-recovery")
        .await?;
    let (refused, told) = match token {
        Ok(_) => (false, "a token".to_owned()),
        Err(refusal) => (true, refusal.to_string()),
    };
    if refused {
        stage.refused();
    }
    stage.expect_that(
        "after: the token endpoint, asked with its key",
        refused,
        "refused",
        &told,
    );
    let agent = stage
        .admin()
        .get(&format!("/agents/{}", rogue.agent))
        .await?;
    stage.expect("after: keys it holds", "0", &text_of(&agent, "/keys"));
    Ok(())
}

/// The certificate, and that it accounts for the run that was at work.
async fn certificate(stage: &mut Stage, run: &str) -> Result<()> {
    let responder = stage.person(RESPONDER)?;
    let all = responder.items("/containments").await?;
    let id = all.first().map(|c| text_of(c, "/id")).unwrap_or_default();
    let certificate = responder
        .get(&format!("/containments/{id}/certificate"))
        .await?;
    let items = certificate
        .get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let named = items
        .iter()
        .any(|item| text_of(item, "/id") == run && text_of(item, "/status") == "stopped");
    stage.holds(
        "the certificate calls the run",
        named,
        ["stopped", "something else"],
    );
    stage.residual = certificate
        .get("residual")
        .and_then(Value::as_u64)
        .filter(|_| certificate.get("is_final") == Some(&Value::Bool(true)));
    let residual = stage
        .residual
        .map_or_else(|| "not final".to_owned(), |n| n.to_string());
    stage.expect("residual access in the final certificate", "0", &residual);
    Ok(())
}
