//! Compliance audit: a sub-agent that is to get more than its parent has.

use anyhow::Result;
use serde_json::{Value, json};

use super::it_support::times;
use super::stage::{Stage, Task, Work};
use crate::client::text_of;
use crate::upstreams::story;

const AGENT: &str = "audit-collector";
const SAMPLER: &str = "audit-sampler";
const NORA: &str = "nora@acme.example";
const SPONSOR: &str = "tom@acme.example";

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    stage.use_case("Compliance audit");
    let purpose = "test control AC-2 on erp";
    let targets = json!({ "control": [story::CONTROL], "finding": [story::FINDING], "system": [story::AUDITED_SYSTEM] });
    let bounds = json!({ "targets": targets });
    let task = Task { person: NORA, agent: AGENT, workflow: "collect", ticket: Some("AUD-2026-Q4"), purpose, bounds };
    let work = stage.interactive(task).await?;

    stage.allowed(&work, "lists the controls", "grc/list_controls", json!({ "framework": "any" })).await?;
    stage.allowed(&work, "pulls the evidence", "grc/pull_evidence", json!({ "control": story::CONTROL })).await?;
    let child = sample(stage, &work).await?;

    let call = || json!({ "control": story::CONTROL, "severity": "high", "text": "two leavers can still sign in" });
    let approval = stage.asked(&work, "opens a finding", "grc/open_finding", call()).await?;
    stage.may_not_approve(NORA, &approval).await?;
    stage.approve(SPONSOR, &approval).await?;
    stage.allowed(&work, "the same call passes", "grc/open_finding", call()).await?;
    stage.asked(&work, "the same call once more waits again", "grc/open_finding", call()).await?;

    let args = json!({ "finding": story::FINDING, "resolution": "looks fine" });
    stage.denied(&work, "closes a finding", ("grc/close_finding", args), "entitlements").await?;

    attack(stage, &work, &child).await?;
    let log = stage.effects(&work, "grc").await?;
    stage.expect("findings were opened", "1 time", &times(log.effects_of("open_finding").count()));
    stage.expect("close_finding reached the server", "0 times", &format!("{} times", log.calls_of("close_finding")));
    stage.expect("users were sampled", "1 times", &format!("{} times", log.calls_of("sample_users")));
    child.mcp.close().await;
    work.mcp.close().await;
    Ok(())
}

fn child(authority: Value) -> Value {
    let intent = json!({ "purpose": "sample users of erp", "authority": {} });
    json!({ "workflow": format!("{SAMPLER}/sample"), "authority": authority, "intent": intent })
}

/// The sub-agent redeems what its parent hands on with its own key, and samples.
async fn sample(stage: &mut Stage, parent: &Work) -> Result<Work> {
    let authority = json!({ "tools": { "grc/sample_users": { "count": [{ "integer": { "min": 1, "max": 5 } }] } } });
    let spawned = stage.as_agent(&parent.token).post("/runs/spawn", &child(authority)).await?;
    let run = text_of(&spawned, "/run/id");
    let scope = format!("workflow:sample run:{run}");
    let token = stage.agent(SAMPLER)?.exchange(&text_of(&spawned, "/subject_token"), &scope).await??;
    let work = stage.at_work(SAMPLER, NORA, run, token, "sample users of erp").await?;
    let args = json!({ "system": story::AUDITED_SYSTEM, "count": 5 });
    stage.allowed(&work, "its sub-agent samples five users", "grc/sample_users", args).await?;
    Ok(work)
}

/// More than the parent has is refused when asked for; more than was handed on is refused when used.
async fn attack(stage: &mut Stage, parent: &Work, child_at_work: &Work) -> Result<()> {
    let wider = json!({ "tools": { "grc/sample_users": {}, "orders/customer_lookup": {} } });
    let answer = stage.as_agent(&parent.token).try_post("/runs/spawn", &child(wider)).await?;
    let (code, detail) = answer.map_or_else(|p| (p.code, p.detail), |_| ("spawned".to_owned(), String::new()));
    stage.refused();
    stage.expect("ATTACK: a sub-agent is to get a tool that its parent has not", "wider", &code);
    stage.say.quote(&detail);
    let args = json!({ "system": story::AUDITED_SYSTEM, "count": 25 });
    let what = "ATTACK: the sub-agent samples more users than its parent may";
    stage.denied(child_at_work, what, ("grc/sample_users", args), "chain").await
}
