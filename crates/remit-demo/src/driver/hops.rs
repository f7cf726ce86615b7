//! Three hops from one person: two agents and a sub-agent, each narrower than the one before; taken back in the middle.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::answers::{Cli, shown};
use super::proof::AUDITOR;
use super::stage::{Call, Stage, Task, Work};
use crate::client::{Verdict, text_of};
use crate::upstreams::story;

const COLLECTOR: &str = "audit-collector";
const SAMPLER: &str = "audit-sampler";
const NORA: &str = "nora@acme.example";
/// Hops below the person's own.
const DEPTH: u8 = 2;
/// Why a call is refused once a link above it is gone.
const GONE: [&str; 4] = ["has ended", "chain", "revoked", "401"];

/// A sub-agent at work, and the link that it rests on.
struct Hop {
    work: Work,
    link: String,
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    stage.begin("Three hops from one person, taken back in the middle");
    let task = Task {
        person: NORA,
        agent: COLLECTOR,
        workflow: "collect",
        ticket: "AUD-2026-Q4-2",
        purpose: "collect what control AC-2 rests on",
        bounds: json!({ "targets": { "control": [story::CONTROL] } }),
    };
    let collector = stage.interactive_deep(task, DEPTH).await?;
    let tools = json!({ "grc/list_controls": {}, "grc/pull_evidence": {} });
    let sampler = hop(stage, &collector, "sample", tools).await?;
    let evidence = json!({ "control": [{ "one_of": [story::CONTROL] }] });
    let tools = json!({ "grc/pull_evidence": evidence });
    let reader = hop(stage, &sampler.work, "read", tools).await?;
    let (pull, list) = (
        json!({ "control": story::CONTROL }),
        json!({ "framework": "any" }),
    );
    let pull = || ("grc/pull_evidence", pull.clone());
    let list = || ("grc/list_controls", list.clone());
    let what = "the sub-agent, three hops from the person, pulls the evidence";
    stage.allowed(&reader.work, what, pull()).await?;
    let what = "ATTACK: it lists the controls, which the agent above it may and it may not";
    let policy = "guardrail/delegation-bounds";
    stage.denied(&reader.work, what, list(), policy).await?;
    tree(stage, [&sampler.link, &reader.link]).await?;
    take_back(stage, &sampler.link).await?;
    let what = "after: the sub-agent below the link";
    gone(stage, &reader.work, what, pull()).await?;
    let what = "after: the agent that the link was to";
    gone(stage, &sampler.work, what, list()).await?;
    let what = "after: the agent above the link goes on";
    stage.allowed(&collector, what, list()).await?;
    for work in [reader.work, sampler.work, collector] {
        work.mcp.close().await;
    }
    Ok(())
}

/// The sampler takes what `parent` hands on, for one of its workflows.
async fn hop(stage: &mut Stage, parent: &Work, workflow: &str, tools: Value) -> Result<Hop> {
    let purpose = "read what the control rests on";
    let asked = json!({
        "workflow": format!("{SAMPLER}/{workflow}"), "authority": { "tools": tools },
        "intent": { "purpose": purpose, "authority": {} },
    });
    let spawned = stage
        .as_agent(&parent.token)
        .post("/runs/spawn", &asked)
        .await?;
    let run = text_of(&spawned, "/run/id");
    let token = stage
        .agent(SAMPLER)?
        .exchange(
            &text_of(&spawned, "/subject_token"),
            &format!("workflow:{workflow} run:{run}"),
        )
        .await??;
    let link = text_of(&spawned, "/delegation");
    let work = stage.at_work(SAMPLER, NORA, run, token, purpose).await?;
    Ok(Hop { work, link })
}

/// The command line shows the person with both links below.
async fn tree(stage: &mut Stage, links: [&String; 2]) -> Result<()> {
    let args = ["delegation", "tree", "--person", NORA];
    let answer = Cli::of(stage, AUDITOR)?.ask(&args).await?;
    stage.say.line(&format!("  $ remit {}", shown(&args)));
    stage.say.quote(&answer.text);
    let all = links.iter().all(|link| answer.text.contains(*link));
    stage.holds("the tree has each hop", all, ["all", "not all"]);
    Ok(())
}

/// The person takes back the link in the middle, not the first.
async fn take_back(stage: &mut Stage, link: &str) -> Result<()> {
    let args = ["delegation", "revoke", link, "--reason", "sampled enough"];
    let answer = Cli::of(stage, NORA)?.ask(&args).await?;
    stage.say.line(&format!("  $ remit {}", shown(&args)));
    stage.say.quote(&answer.text);
    stage.expect("remit delegation revoke", "exit 0", &answer.exit());
    Ok(())
}

async fn gone(stage: &mut Stage, work: &Work, what: &str, (tool, args): Call<'_>) -> Result<()> {
    let after = stage.call(work, tool, &args).await.context("after it")?;
    let refused =
        after.verdict == Verdict::Denied && GONE.iter().any(|word| after.text.contains(word));
    stage.expect_that(what, refused, "refused", &after.text);
    Ok(())
}
