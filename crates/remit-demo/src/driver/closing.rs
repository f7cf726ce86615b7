//! The rogue agent is contained, and what is left of its access is proved to be nothing.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::answers::Cli;
use super::stage::Stage;
use crate::client::{Verdict, text_of};
use crate::upstreams::story;

const RESPONDER: &str = "rita@acme.example";

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    stage.begin("8. How does security revoke, quarantine or kill?");
    let rogue = stage.rogue.take().context("no use-case left an agent at work")?;
    let call = json!({ "ticket": story::TICKET });
    let before = stage.call(&rogue, "itsm/get_ticket", &call).await?;
    stage.expect_that("before: the agent still works", before.verdict == Verdict::Allowed, "allowed", word(before.verdict));

    let cli = Cli::of(stage, RESPONDER)?;
    let reason = "it followed an instruction in a ticket";
    let args = ["contain", "agent", rogue.agent, "--level", "kill", "--reason", reason, "--yes"];
    let answer = cli.ask(&args).await?;
    stage.say.line(&format!("  $ remit {}", args.join(" ")));
    stage.say.quote(&answer.text);
    stage.expect("remit contain", "exit 0", &answer.exit());
    certificate(stage, &rogue.run).await?;

    let after = stage.call(&rogue, "itsm/get_ticket", &call).await;
    let (refused, told) = match after {
        Ok(outcome) => (outcome.verdict == Verdict::Denied, outcome.text),
        // The connection itself was refused: nothing passes either.
        Err(error) => {
            stage.refused();
            (true, format!("{:#}", error.root_cause()))
        }
    };
    stage.expect_that("after: its next call, with the token it still holds", refused, "denied", &told);
    let token = stage.agent(rogue.agent)?.own_token("workflow:account-recovery").await?;
    if token.is_err() {
        stage.refused();
    }
    let told = token.map_or_else(|refusal| refusal.to_string(), |_| "a token".to_owned());
    stage.expect_that("after: the token endpoint, asked with its key", told != "a token", "refused", &told);
    let agent = stage.admin().get(&format!("/agents/{}", rogue.agent)).await?;
    stage.expect("after: keys it holds", "0", &text_of(&agent, "/keys"));
    rogue.mcp.close().await;
    Ok(())
}

/// The certificate, and that it accounts for the run that was at work.
async fn certificate(stage: &mut Stage, run: &str) -> Result<()> {
    let responder = stage.person(RESPONDER)?;
    let all = responder.items("/containments").await?;
    let id = all.first().map(|c| text_of(c, "/id")).unwrap_or_default();
    let certificate = responder.get(&format!("/containments/{id}/certificate")).await?;
    let items = certificate.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let named = items.iter().any(|item| text_of(item, "/id") == run && text_of(item, "/status") == "stopped");
    stage.expect_that("the certificate calls the run stopped, and says how that was verified", named, "stopped", if named { "stopped" } else { "not named" });
    stage.residual = certificate.get("residual").and_then(Value::as_u64).filter(|_| certificate.get("is_final") == Some(&Value::Bool(true)));
    let residual = stage.residual.map_or_else(|| "not final".to_owned(), |n| n.to_string());
    stage.expect("residual access in the final certificate", "0", &residual);
    Ok(())
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allowed => "allowed",
        Verdict::Asked => "asked",
        Verdict::Denied => "denied",
        Verdict::Failed => "failed",
    }
}
