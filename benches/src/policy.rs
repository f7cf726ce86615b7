//! Decisions under many policies and for many agents, decisions taken again, and what the solver takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use remit_domain::Tool;
use remit_policy::prove::claims;
use remit_policy::test_case::{Never, Suite};
use remit_policy::{Decision, Dynamic, Engine, Fixed, PolicySource, Prepared};
use remit_ports::Prover;
use remit_ports::prover::{Asked, Claim, PolicyText, Proof, Question};
use remit_prove::Cvc5;
use serde_json::{Value, json};

use crate::report::Report;

const MANY: &str = "Decision under many policies, with labels, a setting and limits";
const AGAIN: &str = "Replay: recorded decisions taken again, in memory";
const PROOF: &str = "Proof of the claims that hold everywhere (cvc5)";
const CALLS: usize = 50_000;
/// As many as the policies about one tool each need.
const TOOLS: usize = 1_000;
/// Decisions taken again.
const PAST: usize = 200_000;
/// Longest the proof of every shipped claim may take, in seconds.
const PROOF_SECS: f64 = 30.0;

/// The starter bundles, whose policies are proved together: name, policies, tests (which describe their tools).
const BUNDLES: [(&str, &str, &str); 5] = [
    (
        "audit",
        include_str!("../../examples/policies/compliance-audit/audit.cedar"),
        include_str!("../../examples/policies/compliance-audit/audit.test.yaml"),
    ),
    (
        "incident-response",
        include_str!("../../examples/policies/security-operations/incident-response.cedar"),
        include_str!("../../examples/policies/security-operations/incident-response.test.yaml"),
    ),
    (
        "platform",
        include_str!("../../examples/policies/devops/platform.cedar"),
        include_str!("../../examples/policies/devops/platform.test.yaml"),
    ),
    (
        "refunds",
        include_str!("../../examples/policies/customer-support/refunds.cedar"),
        include_str!("../../examples/policies/customer-support/refunds.test.yaml"),
    ),
    (
        "service-desk",
        include_str!("../../examples/policies/it-support/service-desk.cedar"),
        include_str!("../../examples/policies/it-support/service-desk.test.yaml"),
    ),
];

fn id(prefix: &str, n: usize) -> String {
    format!("{prefix}_{}{n:010}", "0".repeat(16))
}

fn tool_name(n: usize) -> String {
    format!("app-{}/act-{}", n % 10, n / 10)
}

fn classification(n: usize) -> Value {
    let effect = match n % 3 {
        0 => "read",
        1 => "draft",
        _ => "write",
    };
    json!({ "effect": effect, "data_classes": ["orders"], "targets": { "order": "order" }, "customer": "customer" })
}

fn tools() -> anyhow::Result<Vec<Tool>> {
    let tool = |n: usize| {
        let json = json!({
            "tool": tool_name(n), "pending": null, "state": "enabled", "classification": classification(n),
            "definition": { "hash": "11", "body": { "inputSchema": { "type": "object", "properties": {
                "order": { "type": "string" }, "customer": { "type": "string" }, "amount": { "type": "number" } } } } }
        });
        Ok(serde_json::from_value(json)?)
    };
    (0..TOOLS).map(tool).collect()
}

/// What an organization with many policies has: of each ten one is about everything there is, three are about one tool, two
/// about one upstream, two about one agent, one about one workflow, and one about an effect.
fn policies(count: usize) -> Vec<String> {
    let one = |n: usize| {
        let scope = match n % 10 {
            // Those about everything are few, however many there are: ten at most.
            0 if n < 100 => "principal, action, resource".to_owned(),
            0..=3 => format!(
                "principal, action == Action::\"{}\", resource",
                tool_name(n / 10)
            ),
            4 | 5 => format!("principal, action, resource in Upstream::\"app-{}\"", n % 7),
            6 | 7 => format!("principal == Agent::\"agent-{n}\", action, resource"),
            8 => format!("principal in Workflow::\"agent-{n}/work\", action, resource"),
            _ => format!(
                "principal == Agent::\"agent-{}\", action in Action::\"effect:write\", resource",
                n + 1
            ),
        };
        let hour = n % 24;
        format!(
            "@id(\"p{n}\") forbid ({scope}) when {{ context.hour == {hour} && context.labels.contains(\"class-{n}\") }};\n"
        )
    };
    // Policies about one upstream are a rule for a thousand tools: at most fifty of them.
    let mut sets = vec![String::new()];
    for n in 0..count {
        if n % 10 >= 4 && n % 10 <= 5 && n >= 350 {
            let text = format!(
                "@id(\"p{n}\") forbid (principal == Agent::\"agent-{n}\", action, resource) when {{ context.hour == 3 }};\n"
            );
            push(&mut sets, &text);
        } else {
            push(&mut sets, &one(n));
        }
    }
    sets
}

/// Sets are limited in size.
fn push(sets: &mut Vec<String>, text: &str) {
    match sets.last_mut() {
        Some(last) if last.len() + text.len() < 60_000 => last.push_str(text),
        _ => sets.push(text.to_owned()),
    }
}

fn compile(tools: &[Tool], sets: &[String]) -> anyhow::Result<Engine> {
    let names: Vec<String> = (0..sets.len()).map(|n| format!("set-{n}")).collect();
    let sources: Vec<_> = names
        .iter()
        .zip(sets)
        .map(|(name, text)| PolicySource { name, text })
        .collect();
    let tools: Vec<_> = tools.iter().collect();
    Ok(Engine::compile(&tools, &sources)?)
}

fn fixed(n: usize) -> anyhow::Result<Fixed> {
    let tool = n % TOOLS;
    Ok(serde_json::from_value(json!({
        "agent": { "id": id("agt", n), "name": format!("agent-{n}"), "state": "active", "tier": 4, "environment": "production",
            "data_classes": ["orders"], "systems": [id("sys", 1)], "enforcement": "gateway", "sponsor": id("per", n % 1_000),
            "owner_living": true, "sponsor_living": true },
        "workflow": { "id": id("wf", n), "name": "work", "agent": id("agt", n), "data_classes": ["orders"], "enabled": true,
            "grants": [{ "id": id("grt", n), "tool": tool_name(tool),
                "bounds": { "amount": [{ "decimal": { "min": 0, "max": 500 } }], "order": [{ "prefix": { "prefix": "A", "separator": "-" } }] },
                "limits": [{ "sum": { "arg": "amount", "max": 1000, "per": "day" } }],
                "expires": null, "autonomy": "measured", "granted_by": id("per", 1), "granted_at": "2026-11-01T00:00:00Z" }] },
        "tool": { "tool": tool_name(tool), "definition_hash": "11", "state": "enabled", "upstream_enabled": true,
            "classification": classification(tool) },
        "system": { "id": id("sys", 1), "name": "shop", "environment": "production", "criticality": "high" },
        "person": { "id": id("per", 2), "active": true, "entitlements": [], "roles": [], "teams": [] },
        "chain": [{ "from": { "type": "person", "id": id("per", 2) }, "to": id("agt", n), "delegation": id("dlg", n),
            "authority": { "targets": { "order": ["A-118"] } }, "expires": "2027-01-01T00:00:00Z", "depth_left": 1 }],
        "run": { "root": id("run", n), "intent": { "purpose": "refund A-118", "ticket": "T-1", "authority": { "targets": { "order": ["A-118"] } } },
            "mode": "interactive", "deadline": "2027-01-01T00:00:00Z" },
        "settings": [{ "id": "organization", "level": "organization", "locked": false, "value": { "rate": { "calls": 1000, "per": "minute" } } }],
        "limits": [
            { "name": "a-day", "measure": "calls", "max": 100_000, "over": "day", "per": "sponsor" },
            { "name": "a-month", "measure": { "sum": { "arg": "amount" } }, "max": 1_000_000, "over": "month", "per": "agent", "by": "customer" }],
    }))?)
}

fn dynamic(n: usize) -> anyhow::Result<Dynamic> {
    let mut dynamic = Dynamic::at("2026-11-22T08:00:00Z".parse()?);
    dynamic.args = json!({ "order": "A-118", "customer": "C-1", "amount": (n % 300) as u64 });
    dynamic.labels = ["customer-pii", "orders", "untrusted"]
        .map(str::to_owned)
        .into();
    Ok(dynamic)
}

fn ready(engine: &Engine, agents: usize) -> anyhow::Result<Vec<Prepared>> {
    (0..agents)
        .map(|n| Ok(engine.prepare(Arc::new(fixed(n)?))))
        .collect()
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let tools = tools()?;
    for (count, agents) in [
        (10, 1_000),
        (1_000, 1_000),
        (1_000, 100_000),
        (10_000, 10_000),
    ] {
        decide(report, &tools, count, agents)?;
    }
    replay(report, &tools)?;
    prove(report).await
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn decide(report: &mut Report, tools: &[Tool], count: usize, agents: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    let engine = compile(tools, &policies(count))?;
    let compiled = began.elapsed().as_secs_f64();
    let prepared = ready(&engine, agents)?;
    let calls: Vec<_> = (0..300).map(dynamic).collect::<Result<_, _>>()?;
    let mut took = Vec::with_capacity(CALLS);
    // Agents far from each other in memory: as many caches missed as in life.
    for n in 0..CALLS {
        let (Some(ready), Some(call)) = (
            prepared.get(n.wrapping_mul(7_919) % agents),
            calls.get(n % calls.len()),
        ) else {
            continue;
        };
        let began = Instant::now();
        let decision = engine.decide_prepared(ready, call);
        took.push(began.elapsed().as_secs_f64() * 1e6);
        ensure!(
            decision.outcome.as_str() == "allow",
            "{:?}",
            decision.reasons
        );
    }
    took.sort_by(f64::total_cmp);
    let at = |share: f64| {
        took.get((CALLS as f64 * share) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    let what = format!("guardrails and {count} policies, {agents} agents");
    report.note(MANY, format!("p50, {what}"), format!("{:.1} µs", at(0.5)));
    let name = format!("p99, {what}");
    if count <= 1_000 {
        report.at_most(MANY, &name, at(0.99), 50.0, "µs");
    } else {
        report.note(MANY, name, format!("{:.1} µs", at(0.99)));
    }
    report.note(
        MANY,
        format!("compiled, {what}"),
        format!("{compiled:.2} s"),
    );
    Ok(())
}

/// What `remit policy simulate` does with recorded decisions, without reading them: each is taken again and compared.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn replay(report: &mut Report, tools: &[Tool]) -> anyhow::Result<()> {
    let engine = compile(tools, &policies(1_000))?;
    let prepared = ready(&engine, 1_000)?;
    let past: Vec<(&Prepared, Dynamic, Decision)> = (0..PAST)
        .map(|n| {
            let (ready, call) = (
                prepared.get(n % prepared.len()).context("no agents")?,
                dynamic(n)?,
            );
            let decision = engine.decide_prepared(ready, &call);
            Ok((ready, call, decision))
        })
        .collect::<anyhow::Result<_>>()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    let same: usize = std::thread::scope(|scope| {
        let parts: Vec<_> = past
            .chunks(past.len().div_ceil(threads))
            .map(|chunk| {
                let engine = &engine;
                scope.spawn(move || {
                    let same = chunk
                        .iter()
                        .filter(|(ready, call, was)| engine.decide_prepared(ready, call) == *was);
                    same.count()
                })
            })
            .collect();
        parts.into_iter().filter_map(|t| t.join().ok()).sum()
    });
    let rate = PAST as f64 / began.elapsed().as_secs_f64();
    ensure!(same == PAST, "only {same} of {PAST} came out as recorded");
    let what = format!("decisions/s, {threads} threads, guardrails and 1,000 policies");
    report.at_least(AGAIN, &what, rate, 100_000.0, "/s");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
async fn prove(report: &mut Report) -> anyhow::Result<()> {
    let solver = Cvc5::default();
    if let Err(error) = solver.version().await {
        report.note(PROOF, "every claim", format!("not measured: {error}"));
        return Ok(());
    }
    let mut tools = Vec::new();
    for (name, _, tests) in BUNDLES {
        let suite = Suite::parse(tests).map_err(|e| anyhow!("{name}: {e:?}"))?;
        tools.extend(suite.tools().map_err(|e| anyhow!("{name}: {e:?}"))?);
    }
    let tools: Vec<_> = tools.iter().collect();
    let sources = BUNDLES.map(|(name, text, _)| PolicySource { name, text });
    let engine = Engine::compile(&tools, &sources)?;
    let texts = engine.texts().into_iter();
    let policies: Vec<_> = texts.map(|(id, text)| PolicyText { id, text }).collect();
    let began = Instant::now();
    let actions = engine.representatives();
    let asked = |claim: &Never| Asked {
        actions: actions.clone(),
        claim: Claim::Never {
            condition: claim.when.clone(),
        },
    };
    let question = Question {
        schema: engine.schema_text().to_owned(),
        policies,
        asked: claims().iter().map(asked).collect(),
        within: Duration::from_secs(300),
    };
    let answers = solver.prove(question).await.context("the solver")?;
    for (claim, answer) in claims().iter().zip(answers) {
        ensure!(answer == Ok(Proof::Holds), "{}: {answer:?}", claim.id);
    }
    let secs = began.elapsed().as_secs_f64();
    let what = format!(
        "{} claims over the five starter bundles together",
        claims().len()
    );
    report.at_most(PROOF, &what, secs, PROOF_SECS, "s");
    Ok(())
}
