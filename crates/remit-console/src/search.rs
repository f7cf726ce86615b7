//! Search: an id opens what it is of; anything else finds names that hold it.

use remit_domain::Role;

use crate::answer::Answer;
use crate::ask::{Ask, segment};
use crate::fault::Fault;
use crate::route::{PERSON, Route, page};
use crate::text::Shown;
use crate::ui::{Cell, Empty, Filter, Row, Section, Table};

/// Found of each sort.
const FOUND: usize = 25;
/// Most names whose middle is looked at, too.
const LOOKED_AT_MAX: usize = 50_000;
/// Longest text that is looked for.
const WANTED_CHARS_MAX: usize = 120;

pub(crate) fn routes() -> Vec<Route> {
    vec![page("/search", PERSON, search)]
}

/// The page of something by its id.
fn by_id(ask: &Ask, wanted: &str) -> Option<String> {
    let registry = ask.place.book.registry();
    let plain = wanted
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !plain {
        return None;
    }
    let (prefix, _) = wanted.split_once('_')?;
    Some(match prefix {
        "run" => ask.to(&format!("/runs/{wanted}")),
        "apr" => ask.to(&format!("/approvals/{wanted}")),
        "dec" => ask.to(&format!("/decisions/{wanted}")),
        "con" => ask.to(&format!("/containments/{wanted}")),
        "dlg" => ask.to(&format!("/delegations/{wanted}")),
        "agt" => {
            let agent = registry.agents.get(&wanted.parse().ok()?)?;
            ask.to_named("/agents", agent.name.as_str(), "")
        }
        "per" => {
            let person = registry.people.get(&wanted.parse().ok()?)?;
            ask.to_named("/settings/people", person.email.as_str(), "")
        }
        _ => return None,
    })
}

async fn search(ask: Ask) -> Result<Answer, Fault> {
    let wanted: String = ask
        .q("q")
        .unwrap_or_default()
        .chars()
        .take(WANTED_CHARS_MAX)
        .collect();
    if let Some(address) = by_id(&ask, &wanted) {
        return Ok(Answer::See(address));
    }
    let filter = Filter::new(ask.to("/search")).search("q", "Name, address or id", Some(&wanted));
    let mut page = ask.page("Search").with(&filter);
    if wanted.is_empty() {
        return page
            .with(&Empty::new(
                "What do you look for?",
                "A name of an agent, tool, person or upstream, or any id.",
            ))
            .ok();
    }
    let lower = wanted.to_lowercase();
    let mut rows = agents(&ask, &lower);
    rows.extend(others(&ask, &lower));
    let text = if ask.holds_any(&[Role::Auditor, Role::Admin]) {
        "Entries of the ledger are searched under Audit."
    } else {
        ""
    };
    let empty = Empty::new(
        &format!("Nothing has “{}” in its name", Shown::line(&wanted)),
        text,
    );
    let table = Table::new("found", "What was found", &["Name", "What", "State"], empty).rows(rows);
    page = page.with(&Section::new("found-part", "Found").with(&table));
    page.ok()
}

fn agents(ask: &Ask, wanted: &str) -> Vec<Row> {
    let registry = ask.place.book.registry();
    // What begins with it is one stretch of the list; the middle of names is looked at where there are not too many.
    let from = crate::agents::before(wanted);
    let mut found = registry.agents_after(None, from.as_deref(), FOUND);
    found.retain(|a| a.name.as_str().starts_with(wanted));
    if found.len() < FOUND && registry.agents.len() <= LOOKED_AT_MAX {
        let inside = registry.agents.values().filter(|a| {
            let name = a.name.as_str();
            name.contains(wanted) && !name.starts_with(wanted)
        });
        found.extend(inside.take(FOUND - found.len()).cloned());
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
        .into_iter()
        .map(|a| {
            Row::new(
                &a.id,
                vec![
                    Cell::link(ask.to_named("/agents", a.name.as_str(), ""), &a.name),
                    Cell::text("agent"),
                    Cell::badge(a.state.as_str()),
                ],
            )
        })
        .collect()
}

fn others(ask: &Ask, wanted: &str) -> Vec<Row> {
    let registry = ask.place.book.registry();
    let mut rows = Vec::new();
    for tool in registry
        .tools
        .values()
        .filter(|t| t.tool.to_string().to_lowercase().contains(wanted))
        .take(FOUND)
    {
        let href = ask.to(&format!(
            "/tools/{}/{}",
            segment(tool.tool.upstream().as_str()),
            segment(tool.tool.tool())
        ));
        rows.push(Row::new(
            &tool.tool,
            vec![
                Cell::link(href, &tool.tool),
                Cell::text("tool"),
                Cell::badge(&crate::agents::word(&tool.state)),
            ],
        ));
    }
    for upstream in registry
        .upstreams
        .keys()
        .filter(|u| u.as_str().contains(wanted))
        .take(FOUND)
    {
        rows.push(Row::new(
            upstream,
            vec![
                Cell::link(ask.to(&format!("/upstreams/{upstream}")), upstream),
                Cell::text("upstream"),
                Cell::Nothing,
            ],
        ));
    }
    for person in registry
        .people
        .values()
        .filter(|p| {
            p.email.as_str().contains(wanted) || p.display_name.to_lowercase().contains(wanted)
        })
        .take(FOUND)
    {
        let href = ask.to_named("/settings/people", person.email.as_str(), "");
        rows.push(Row::new(
            &person.id,
            vec![
                Cell::link(href, &person.email),
                Cell::text("person"),
                Cell::badge(remit_domain::Noun::state(&**person)),
            ],
        ));
    }
    rows
}
