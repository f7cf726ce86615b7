//! What stopping does, shown before it is done: what ends, and what the agent can reach no more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use remit_control::{AccessRow, AgentView, Preview, Use, Uses};
use remit_domain::name::Name;

use crate::agents::reach_picture;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::ui::{Cell, Empty, Lines, Notice, Row, Section, Table};

/// Pictures, one of each agent that loses something: the target's and those it handed work to.
const PICTURES: [&str; 4] = ["reach", "reach-2", "reach-3", "reach-4"];
/// Agents that are looked at: whoever stops something is in a hurry, and the first table counts everything that ends.
const AGENTS: usize = 20;
/// Longest that one agent is looked at: counting what it used may read much of a ledger the first time.
const LOOK: Duration = Duration::from_secs(2);
/// Rows of the table; the Access view of each agent has all of its own.
const ROWS: usize = 200;
/// People who are named.
const PEOPLE: usize = 20;

/// What one agent reaches in the workflows that stop.
struct Lost {
    agent: AgentView,
    rows: Vec<AccessRow>,
    uses: Uses,
}

/// What cannot be reached any more, as pictures and a table.
pub(crate) async fn reach(ask: &Ask, preview: &Preview) -> Result<Section, Fault> {
    let section = Section::new("reach-of", "What it reaches until then");
    let mut by_agent = BTreeMap::<&str, BTreeSet<&str>>::new();
    for name in &preview.workflows {
        let (agent, workflow) = name.split_once('/').unwrap_or((name, ""));
        by_agent.entry(agent).or_default().insert(workflow);
    }
    let more = by_agent.len().saturating_sub(AGENTS);
    let mut all = Vec::new();
    for (agent, workflows) in by_agent.into_iter().take(AGENTS) {
        // Nothing about policies or counts stands in the way of stopping.
        let why = match tokio::time::timeout(LOOK, lost(ask, agent, &workflows)).await {
            Ok(Ok(lost)) => {
                all.push(lost);
                continue;
            }
            Ok(Err(fault)) => fault.text(),
            Err(_) => "counting what it used takes too long".to_owned(),
        };
        let text = format!("What {agent} reaches cannot be told now: {why}");
        return Ok(section.with(&Notice::new("warn", text)));
    }
    let mut section = section.note(says(&all));
    if more > 0 {
        let text = format!("{more} more agents below it stop too; they are not shown here.");
        section = section.with(&Notice::new("warn", text));
    }
    for (id, one) in PICTURES.into_iter().zip(&all) {
        if let Some(picture) = reach_picture(ask, id, &one.agent, &one.rows, &one.uses) {
            section = section.with(&picture);
        }
    }
    Ok(section.with(&table(ask, &all)))
}

async fn lost(ask: &Ask, agent: &str, workflows: &BTreeSet<&str>) -> Result<Lost, Fault> {
    let name: Name = agent
        .parse()
        .map_err(|_| Fault::invalid("its name cannot be read"))?;
    let (caller, control) = (ask.caller()?, ask.control());
    let agent = control.agent(&caller, &name)?;
    let mut rows = control.access(&caller, &name, false)?;
    rows.retain(|r| r.decision != "deny" && workflows.contains(r.workflow.as_str()));
    let ids = std::slice::from_ref(&agent.id);
    let uses = control.uses(&caller, ids).await?;
    Ok(Lost { agent, rows, uses })
}

fn says(all: &[Lost]) -> String {
    let rows = || all.iter().flat_map(|l| &l.rows);
    let tools: BTreeSet<_> = rows().map(|r| &r.tool).collect();
    let systems: BTreeSet<_> = rows().filter_map(|r| r.system.as_deref()).collect();
    let classes: BTreeSet<_> = rows().flat_map(|r| &r.data_classes).collect();
    let classes: Vec<&str> = classes.into_iter().map(String::as_str).collect();
    if tools.is_empty() {
        return "It reaches nothing now.".to_owned();
    }
    let data = match classes.as_slice() {
        [] => "no class of data".to_owned(),
        some => format!("data of {}", some.join(", ")),
    };
    format!(
        "{} in {}, with {data}.",
        counted(tools.len(), ("tool", "tools")),
        counted(systems.len(), ("system", "systems"))
    )
}

/// So many of a thing.
fn counted(n: usize, (one, more): (&str, &str)) -> String {
    format!("{n} {}", if n == 1 { one } else { more })
}

fn table(ask: &Ask, all: &[Lost]) -> Table {
    let rows = all.iter().flat_map(|lost| {
        lost.rows.iter().map(|r| {
            let key = (lost.agent.id.clone(), r.tool.clone());
            let used: Use = lost.uses.by.get(&key).copied().unwrap_or_default();
            let calls = match used.calls {
                0 => "never".to_owned(),
                n => n.to_string(),
            };
            Row::new(
                format!("{}/{} {}", lost.agent.name, r.workflow, r.tool),
                vec![
                    Cell::link(crate::tools::address_of(ask, &r.tool), &r.tool),
                    Cell::text(format!("{}/{}", lost.agent.name, r.workflow)),
                    r.system.as_ref().map(Cell::text).into(),
                    Cell::lines(&r.data_classes),
                    Cell::badge(r.decision),
                    Cell::text(calls),
                    used.last.map(|t| ask.when(t)).into(),
                ],
            )
        })
    });
    let head = [
        "Tool",
        "Workflow",
        "System",
        "Data",
        "Decision",
        "Used (30 d)",
        "Last",
    ];
    let empty = Empty::new(
        "It reaches nothing now",
        "No call of it would be let through.",
    );
    Table::new("reached", "What can be reached no more", &head, empty).rows(rows.take(ROWS))
}

/// Whom it concerns, in one line.
fn concerns(preview: &Preview) -> Vec<String> {
    match preview.people.len() {
        0 => Vec::new(),
        n => {
            let some: Vec<&str> = preview
                .people
                .iter()
                .take(PEOPLE)
                .map(String::as_str)
                .collect();
            let more = match n.saturating_sub(PEOPLE) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            vec![format!("It concerns {}{more}.", some.join(", "))]
        }
    }
}

/// What would stop, as a table with its totals.
pub(crate) fn ends(ask: &Ask, preview: &Preview) -> Section {
    let count = |kind: &str| preview.items.iter().filter(|i| i.kind == kind).count();
    let kinds = [
        ("run", ("run", "runs")),
        ("token", ("token", "tokens")),
        ("svid", ("SVID", "SVIDs")),
        ("key", ("key", "keys")),
        ("delegation", ("delegation", "delegations")),
        ("approval", ("waiting approval", "waiting approvals")),
        ("call", ("call in flight", "calls in flight")),
    ];
    let totals: Vec<String> = kinds
        .iter()
        .map(|(kind, words)| (count(kind), words))
        .filter(|(n, _)| *n > 0)
        .map(|(n, words)| counted(n, *words))
        .collect();
    let says = if totals.is_empty() {
        "Nothing is going on now; what would begin later is refused.".to_owned()
    } else {
        format!("Stops {}.", totals.join(", "))
    };
    let rows = preview.items.iter().map(|i| {
        let id = match i.kind {
            "run" => Cell::link(ask.to(&format!("/runs/{}", i.id)), &i.id),
            _ => Cell::code(&i.id),
        };
        Row::new(
            &i.id,
            vec![
                Cell::text(i.kind),
                id,
                Cell::text(&i.label),
                Cell::text(i.becomes),
            ],
        )
    });
    let empty = Empty::new(
        "Nothing is going on",
        "No run, token, key, delegation or request is derived from it now.",
    );
    let table = Table::new(
        "impact",
        "What would stop",
        &["What", "Id", "Name", "Becomes"],
        empty,
    )
    .rows(rows);
    Section::new(
        "impact-of",
        format!(
            "What stopping {} does",
            crate::text::Shown::line(&preview.target)
        ),
    )
    .note(says)
    .with(&Lines::new(&preview.effect))
    .with(&Lines::new(concerns(preview)))
    .with(&table)
}
