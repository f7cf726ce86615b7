//! What an agent reaches, as a picture: agent, tools, systems, classes of data. Its table is the effective access beside it.

use std::collections::BTreeMap;

use remit_control::{AccessRow, AgentView, Uses};

use crate::ask::{Ask, segment};
use crate::picture::{Edge, Layers, Node};

/// Tools, or groups of them, that are drawn: with the agent and the others at most 60 nodes.
const TOOLS: usize = 30;
/// Systems and classes of data that are drawn, each.
const OTHERS: usize = 14;

/// What one node of the second layer stands for.
#[derive(Default)]
struct Reached {
    tools: usize,
    calls: u64,
    asks: bool,
    systems: BTreeMap<String, u64>,
    classes: BTreeMap<String, BTreeMap<String, u64>>,
}

/// None where it reaches nothing.
///
/// - `id`: of the picture on its page.
pub(crate) fn picture(
    ask: &Ask,
    id: &'static str,
    agent: &AgentView,
    rows: &[AccessRow],
    uses: &Uses,
) -> Option<Layers> {
    let reached: Vec<&AccessRow> = rows.iter().filter(|r| r.decision != "deny").collect();
    if reached.is_empty() {
        return None;
    }
    let each = by(&reached, agent, uses, |r| r.tool.clone());
    let grouped = each.len() > TOOLS;
    let groups = if grouped {
        by(&reached, agent, uses, |r| upstream(&r.tool).to_owned())
    } else {
        each
    };
    Some(drawn(ask, id, agent, &groups, grouped))
}

fn upstream(tool: &str) -> &str {
    tool.split('/').next().unwrap_or(tool)
}

fn by(
    rows: &[&AccessRow],
    agent: &AgentView,
    uses: &Uses,
    name: impl Fn(&AccessRow) -> String,
) -> BTreeMap<String, Reached> {
    let mut all = BTreeMap::<String, Reached>::new();
    let mut seen = std::collections::BTreeSet::new();
    for row in rows {
        let one = all.entry(name(row)).or_default();
        // One tool may be granted in several workflows; it is used as often as it is used.
        let fresh = seen.insert(&row.tool);
        let key = (agent.id.clone(), row.tool.clone());
        let calls = uses.by.get(&key).map_or(0, |u| u.calls);
        one.tools += usize::from(fresh);
        one.calls += if fresh { calls } else { 0 };
        one.asks |=
            row.decision == "ask" || row.conditions.iter().any(|c| c.starts_with("may ask"));
        let system = row.system.clone().unwrap_or_else(|| "no system".to_owned());
        *one.systems.entry(system.clone()).or_default() += calls;
        for class in &row.data_classes {
            let of = one.classes.entry(system.clone()).or_default();
            *of.entry(class.clone()).or_default() += calls;
        }
    }
    all
}

/// 0 never, then one step for each power of ten, so that much and little use differ at a glance.
fn weight(calls: u64) -> u8 {
    match calls {
        0 => 0,
        1..10 => 1,
        10..100 => 2,
        100..1_000 => 3,
        1_000..10_000 => 4,
        _ => 6,
    }
}

fn drawn(
    ask: &Ask,
    id: &'static str,
    agent: &AgentView,
    groups: &BTreeMap<String, Reached>,
    grouped: bool,
) -> Layers {
    let mut nodes = vec![Node {
        layer: 0,
        name: agent.name.to_string(),
        under: agent.state.as_str().to_owned(),
        href: ask.to_named("/agents", agent.name.as_str(), ""),
        class: "plain",
    }];
    let mut edges = Vec::new();
    let systems = totals(groups.values().flat_map(|g| &g.systems));
    let classes = totals(groups.values().flat_map(|g| g.classes.values().flatten()));
    let first_system = 1 + groups.len().min(TOOLS);
    for (at, (name, one)) in groups.iter().take(TOOLS).enumerate() {
        edges.push(edge(0, at + 1, one.calls));
        for (system, calls) in &one.systems {
            let to = place(&systems, system).map(|n| first_system + n);
            edges.extend(to.map(|to| edge(at + 1, to, *calls)));
        }
        nodes.push(tool(ask, name, one, grouped));
    }
    for (system, calls) in systems.iter().take(OTHERS) {
        nodes.push(other(ask, 2, system, *calls));
    }
    let first_class = nodes.len();
    for (at, (system, _)) in systems.iter().take(OTHERS).enumerate() {
        let of = groups.values().filter_map(|g| g.classes.get(*system));
        for (class, calls) in totals(of.flatten()) {
            let to = place(&classes, class).map(|n| first_class + n);
            edges.extend(to.map(|to| edge(first_system + at, to, calls)));
        }
    }
    for (class, calls) in classes.iter().take(OTHERS) {
        nodes.push(other(ask, 3, class, *calls));
    }
    Layers::new(
        id,
        &format!("What {} reaches", agent.name),
        "From left to right: agent, tools, systems, classes of data. A wider line is used more, a dashed one was never used; what asks first says so. The table below says the same.",
        &nodes,
        &edges,
    )
}

fn edge(from: usize, to: usize, calls: u64) -> Edge {
    Edge {
        from,
        to,
        weight: weight(calls),
        words: Vec::new(),
    }
}

/// Sums by name, in the order of names.
fn totals<'a>(all: impl Iterator<Item = (&'a String, &'a u64)>) -> Vec<(&'a String, u64)> {
    let mut sums = BTreeMap::<&String, u64>::new();
    for (name, calls) in all {
        *sums.entry(name).or_default() += calls;
    }
    sums.into_iter().collect()
}

/// Where it is among those that are drawn.
fn place(all: &[(&String, u64)], name: &str) -> Option<usize> {
    let at = all.iter().position(|(known, _)| *known == name)?;
    (at < OTHERS).then_some(at)
}

fn tool(ask: &Ask, name: &str, one: &Reached, grouped: bool) -> Node {
    let (upstream, tool) = name.split_once('/').unwrap_or((name, ""));
    let href = if grouped {
        ask.to(&format!("/upstreams/{}", segment(upstream)))
    } else {
        ask.to(&format!("/tools/{}/{}", segment(upstream), segment(tool)))
    };
    let used = match one.calls {
        0 => "never used".to_owned(),
        n => format!("{n} calls"),
    };
    let mut under = if one.asks {
        "asks · ".to_owned()
    } else {
        String::new()
    };
    if grouped {
        under = format!("{under}{} tools · ", one.tools);
    }
    Node {
        layer: 1,
        name: name.to_owned(),
        under: format!("{under}{used}"),
        href,
        class: if one.asks { "warn" } else { "plain" },
    }
}

fn other(ask: &Ask, layer: usize, name: &str, calls: u64) -> Node {
    let (what, class) = if layer == 2 {
        ("system", "plain")
    } else {
        ("data", "bad")
    };
    Node {
        layer,
        name: name.to_owned(),
        under: format!("{what} · {calls} calls"),
        href: ask.to(&format!("/search?q={}", segment(name))),
        class,
    }
}
