//! The decision alone: guardrails, an organization's policies on arguments, nothing else.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use remit_domain::Tool;
use remit_policy::{Dynamic, Engine, Fixed, PolicySource};
use serde_json::{Value, json};

use crate::report::Report;

const GROUP: &str = "Decision alone";
const CALLS: usize = 50_000;
/// Agents whose facts are made ready, each decided in turn: as many caches missed as in life.
const AGENTS: u32 = 10_000;

fn id(prefix: &str, n: u32) -> String {
    format!("{prefix}_{}{n:010}", "0".repeat(16))
}

fn fixed(n: u32) -> anyhow::Result<Fixed> {
    Ok(serde_json::from_value(json!({
        "agent": { "id": id("agt", n), "name": format!("agent-{n}"), "state": "active", "tier": 4, "environment": "production",
            "data_classes": ["orders"], "systems": [id("sys", 1)], "enforcement": "gateway", "sponsor": id("per", 1),
            "owner_living": true, "sponsor_living": true },
        "workflow": { "id": id("wf", n), "name": "refund", "agent": id("agt", n), "data_classes": ["orders"], "enabled": true,
            "grants": [{ "id": id("grt", n), "tool": "orders/refund",
                "bounds": { "amount": [{ "decimal": { "min": 0, "max": 500 } }], "order": [{ "prefix": { "prefix": "A", "separator": "-" } }] },
                "limits": [{ "sum": { "arg": "amount", "max": 1000, "per": "day" } }],
                "expires": null, "autonomy": "measured", "granted_by": id("per", 1), "granted_at": "2026-11-01T00:00:00Z" }] },
        "tool": { "tool": "orders/refund", "definition_hash": "11", "state": "enabled", "upstream_enabled": true,
            "classification": { "effect": "purchase", "data_classes": ["orders"], "targets": { "order": "order" } } },
        "system": { "id": id("sys", 1), "name": "shop", "environment": "production", "criticality": "high" },
        "person": { "id": id("per", 2), "active": true, "entitlements": [], "roles": [], "teams": [] },
        "chain": [{ "from": { "type": "person", "id": id("per", 2) }, "to": id("agt", n), "delegation": id("dlg", n),
            "authority": { "targets": { "order": ["A-118"] } }, "expires": "2027-01-01T00:00:00Z", "depth_left": 1 }],
        "run": { "root": id("run", n), "intent": { "purpose": "refund A-118", "ticket": "T-1", "authority": { "targets": { "order": ["A-118"] } } },
            "mode": "interactive", "deadline": "2027-01-01T00:00:00Z" }
    }))?)
}

fn tool() -> anyhow::Result<Tool> {
    Ok(serde_json::from_value(json!({
        "tool": "orders/refund", "pending": null, "state": "enabled",
        "classification": { "effect": "purchase", "data_classes": ["orders"], "targets": { "order": "order" } },
        "definition": { "hash": "11", "body": { "name": "refund", "inputSchema": { "type": "object",
            "properties": { "order": { "type": "string" }, "amount": { "type": "number" } },
            "required": ["order", "amount"], "additionalProperties": false } } }
    }))?)
}

/// Policies of an organization: one asks on the amount of this tool, the others are about it too.
fn policies(count: usize) -> String {
    let ask = "@id(\"ask\") @approvers(\"role:approver\") forbid (principal, action == Action::\"orders/refund\", resource) when { context.args.amount.greaterThan(decimal(\"400.0\")) } unless { context.approved };\n";
    let others = (1..count).map(|n| {
        format!("@id(\"p{n}\") forbid (principal == Agent::\"agent-x{n}\", action, resource) when {{ context.args.amount.greaterThan(decimal(\"{n}.0\")) }};\n")
    });
    std::iter::once(ask.to_owned()).chain(others).collect()
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let mut dynamic: Dynamic = Dynamic::at("2026-11-22T08:00:00Z".parse()?);
    let tool = tool()?;
    for count in [1, 10, 1_000] {
        let text = policies(count);
        let engine = Engine::compile(
            &[&tool],
            &[PolicySource {
                name: "acme",
                text: &text,
            }],
        )?;
        let prepared: Vec<_> = (0..AGENTS)
            .map(|n| Ok(engine.prepare(Arc::new(fixed(n)?))))
            .collect::<anyhow::Result<_>>()?;
        let mut took = Vec::with_capacity(CALLS);
        let mut allowed = 0;
        for (n, ready) in prepared.iter().cycle().take(CALLS).enumerate() {
            dynamic.args = json!({ "order": "A-118", "amount": (n % 300) as u64 });
            let began = Instant::now();
            let decision = engine.decide_prepared(ready, &dynamic);
            took.push(began.elapsed().as_secs_f64() * 1e6);
            allowed += usize::from(!decision.is_deny());
        }
        let why = || {
            engine.decide_prepared(
                prepared
                    .first()
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| unreachable!("10,000 agents")),
                &dynamic,
            )
        };
        if allowed != CALLS {
            return Err(anyhow::anyhow!("{:?}", why()))
                .context("the benchmark's calls must be allowed");
        }
        took.sort_by(f64::total_cmp);
        let at = |share: f64| {
            took.get((CALLS as f64 * share) as usize)
                .copied()
                .unwrap_or(0.0)
        };
        report.note(
            GROUP,
            format!("p50, {AGENTS} agents, guardrails and {count} policies"),
            format!("{:.1} µs", at(0.5)),
        );
        report.at_most(
            GROUP,
            &format!("p99, {AGENTS} agents, guardrails and {count} policies"),
            at(0.99),
            50.0,
            "µs",
        );
    }
    let _: Value = dynamic.args;
    Ok(())
}
