//! Compliance audit: a sub-agent that is to get more than its parent has.

use anyhow::Result;
use serde_json::{Value, json};

use super::stage::{Stage, Task, Work};
use crate::client::text_of;
use crate::upstreams::story;

const AGENT: &str = "audit-collector";
const SAMPLER: &str = "audit-sampler";
const NORA: &str = "nora@acme.example";
const SPONSOR: &str = "tom@acme.example";

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    stage.use_case("Compliance audit");
    let targets = json!({
        "control": [story::CONTROL],
        "finding": [story::FINDING],
        "system": [story::AUDITED_SYSTEM],
    });
    let task = Task {
        person: NORA,
        agent: AGENT,
        workflow: "collect",
        ticket: "AUD-2026-Q4",
        purpose: "test control AC-2 on erp",
        bounds: json!({ "targets": targets }),
    };
    let work = stage.interactive(task).await?;
    routine(stage, &work).await?;
    let child = sample(stage, &work).await?;
    ask(stage, &work).await?;
    deny(stage, &work).await?;
    attack(stage, &work, &child).await?;
    let log = stage.effects(&work, "grc").await?;
    stage.times(
        "findings were opened",
        1,
        log.effects_of("open_finding").count(),
    );
    stage.times(
        "close_finding reached the server",
        0,
        log.calls_of("close_finding"),
    );
    stage.times("users were sampled", 1, log.calls_of("sample_users"));
    child.mcp.close().await;
    work.mcp.close().await;
    Ok(())
}

async fn routine(stage: &mut Stage, work: &Work) -> Result<()> {
    let args = json!({ "framework": "any" });
    stage
        .allowed(work, "lists the controls", ("grc/list_controls", args))
        .await?;
    let args = json!({ "control": story::CONTROL });
    stage
        .allowed(work, "pulls the evidence", ("grc/pull_evidence", args))
        .await?;
    Ok(())
}

async fn ask(stage: &mut Stage, work: &Work) -> Result<()> {
    let text = "two leavers can still sign in";
    let args = json!({ "control": story::CONTROL, "severity": "high", "text": text });
    stage
        .once(work, "opens a finding", ("grc/open_finding", args), SPONSOR)
        .await?;
    Ok(())
}

async fn deny(stage: &mut Stage, work: &Work) -> Result<()> {
    let args = json!({ "finding": story::FINDING, "resolution": "looks fine" });
    let call = ("grc/close_finding", args);
    stage
        .denied(work, "closes a finding", call, "guardrail/entitlements")
        .await
}

fn child(authority: Value) -> Value {
    let intent = json!({ "purpose": "sample users of erp", "authority": {} });
    json!({ "workflow": format!("{SAMPLER}/sample"), "authority": authority, "intent": intent })
}

/// The sub-agent redeems what its parent hands on with its own key, and samples.
async fn sample(stage: &mut Stage, parent: &Work) -> Result<Work> {
    let authority = json!({ "tools": { "grc/sample_users": { "count": [{ "integer": { "min": 1, "max": 5 } }] } } });
    let spawned = stage
        .as_agent(&parent.token)
        .post("/runs/spawn", &child(authority))
        .await?;
    let run = text_of(&spawned, "/run/id");
    let scope = format!("workflow:sample run:{run}");
    let token = stage
        .agent(SAMPLER)?
        .exchange(&text_of(&spawned, "/subject_token"), &scope)
        .await??;
    let work = stage
        .at_work(SAMPLER, NORA, run, token, "sample users of erp")
        .await?;
    let args = json!({ "system": story::AUDITED_SYSTEM, "count": 5 });
    stage
        .allowed(
            &work,
            "its sub-agent samples five users",
            ("grc/sample_users", args),
        )
        .await?;
    Ok(work)
}

/// More than the parent has is refused when asked for; more than was handed on is refused when used.
async fn attack(stage: &mut Stage, parent: &Work, child_at_work: &Work) -> Result<()> {
    let wider = json!({ "tools": { "grc/sample_users": {}, "orders/customer_lookup": {} } });
    let answer = stage
        .as_agent(&parent.token)
        .try_post("/runs/spawn", &child(wider))
        .await?;
    let (code, detail) = match answer {
        Ok(_) => ("spawned".to_owned(), String::new()),
        Err(problem) => {
            stage.refused();
            (problem.code, problem.detail)
        }
    };
    stage.expect(
        "ATTACK: a sub-agent is to get a tool that its parent has not",
        "wider",
        &code,
    );
    stage.say.quote(&detail);
    let call = (
        "grc/sample_users",
        json!({ "system": story::AUDITED_SYSTEM, "count": 25 }),
    );
    let what = "ATTACK: the sub-agent samples more users than its parent may";
    stage
        .denied(child_at_work, what, call, "guardrail/delegation-bounds")
        .await
}
