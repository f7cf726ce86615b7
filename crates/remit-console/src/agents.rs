//! Agents: found among a million, registered by form or document, looked at from every side, suspended and resumed.

mod change;
mod reach;
mod register;
mod tabs;

pub(crate) use reach::picture as reach_picture;
pub(crate) use register::apply;
pub(crate) use tabs::yaml_text;

use askama::Template;
use remit_control::{AgentView, Completeness};
use remit_domain::Role;
use remit_domain::agent::AgentState;
use remit_domain::name::Name;

use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::Fault;
use crate::route::{ADMIN_DEVELOPER, PERSON, Route, act, page};
use crate::ui::{Cell, Copy, Empty, Filter, Header, Html, Row, Table};

/// The states, for the filter.
const STATES: [&str; 5] = ["draft", "active", "suspended", "quarantined", "retired"];

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/agents", PERSON, list),
        page("/agents/new", ADMIN_DEVELOPER, register::form),
        act("/agents/new", ADMIN_DEVELOPER, register::send),
        page("/agents/{name}", PERSON, tabs::overview),
        page("/agents/{name}/access", PERSON, tabs::access),
        page("/agents/{name}/activity", PERSON, tabs::activity),
        page("/agents/{name}/history", PERSON, tabs::history),
        page("/agents/{name}/yaml", PERSON, tabs::yaml),
        act("/agents/{name}/yaml", ADMIN_DEVELOPER, register::send_yaml),
        page("/agents/{name}/suspend", PERSON, change::suspend_page),
        act("/agents/{name}/activate", PERSON, change::activate),
        act("/agents/{name}/suspend", PERSON, change::suspend),
        act("/agents/{name}/resume", PERSON, change::resume),
        page("/agents/{name}/retire", PERSON, change::retire_page),
        act("/agents/{name}/retire", PERSON, change::retire),
        act(
            "/agents/{name}/keys/{thumbprint}/remove",
            PERSON,
            change::remove_key,
        ),
    ]
}

#[derive(Template)]
#[template(path = "list.html")]
struct List<'a> {
    title: &'a str,
    note: &'a str,
    action: Option<(String, &'a str)>,
    filter: Option<Html>,
    body: Html,
    copy: Html,
}

/// A list with its title, what can be made there, and how else to get it.
pub(crate) fn listed(
    title: &str,
    note: &str,
    action: Option<(String, &str)>,
    filter: Option<&Filter>,
    table: &Table,
    copy: &Copy,
) -> Html {
    Html::of(&List {
        title,
        note,
        action,
        filter: filter.map(Html::of),
        body: Html::of(table),
        copy: Html::of(copy),
    })
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let mut query = ask.list();
    let caller = ask.caller()?;
    // Names come in order, so that what begins with the wanted text is one stretch of the list.
    let wanted = ask.q("q").map(str::to_lowercase);
    if let Some(wanted) = &wanted
        && query.after.is_none()
    {
        query.after = before(wanted);
    }
    let mut listing = ask.control().agents(&caller, &query)?;
    if let Some(wanted) = &wanted {
        let all = listing.items.len();
        listing
            .items
            .retain(|a| a.name.as_str().starts_with(wanted.as_str()));
        if listing.items.len() < all {
            listing.next = None;
        }
    }
    let may_register = ask.holds_any(&[Role::Admin, Role::Developer]);
    let empty = match &wanted {
        Some(wanted) => Empty::new(
            "No agent begins with that",
            &format!(
                "No name begins with `{}`.",
                crate::text::Shown::line(wanted)
            ),
        ),
        None if may_register => Empty::new(
            "No agents yet",
            "Register one by form or YAML, or apply a folder of documents.",
        )
        .action(ask.to("/agents/new"), "Register an agent")
        .commands(&["remit apply -f agents/", "remit agent ls"]),
        None => Empty::new(
            "No agents yet",
            "A developer or an administrator registers them.",
        ),
    };
    let table = Table::new(
        "agents",
        "Agents",
        &[
            "Agent",
            "State",
            "Sponsor",
            "Owner",
            "Environment",
            "Tier",
            "Workflows",
            "Keys",
        ],
        empty,
    )
    .rows(listing.items.iter().map(|a| row(&ask, a)))
    .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/agents"))
        .search("q", "Name begins with", ask.q("q"))
        .select("state", "State", &STATES, ask.q("state"));
    let new = may_register.then(|| (ask.to("/agents/new"), "Register an agent"));
    let copy = Copy::get("agent ls", &ask.place.base, "/agents");
    let note = "Who exists, who answers for it, and whether it may act.";
    ask.page("Agents")
        .html(listed("Agents", note, new, Some(&filter), &table, &copy))
        .ok()
}

/// The greatest text that sorts before everything that begins with `wanted`.
pub(crate) fn before(wanted: &str) -> Option<String> {
    let mut bytes = wanted.to_owned();
    let last = bytes.pop()?;
    let previous = char::from_u32(u32::from(last).checked_sub(1)?)?;
    bytes.push(previous);
    bytes.push(char::MAX);
    Some(bytes)
}

fn row(ask: &Ask, a: &AgentView) -> Row {
    let spec = a.spec.as_ref();
    Row::new(
        &a.id,
        vec![
            Cell::link(ask.to_named("/agents", a.name.as_str(), ""), &a.name),
            Cell::badge(a.state.as_str()),
            spec.map(|s| Cell::text(&s.sponsor)).into(),
            spec.map(|s| Cell::text(&s.owner)).into(),
            spec.map(|s| Cell::text(word(&s.environment))).into(),
            spec.map(|s| Cell::text(word(&s.tier))).into(),
            Cell::number(a.workflows.len()),
            Cell::number(a.keys),
        ],
    )
}

/// A value as its stable word.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// What the person may do with an agent: control decides; what is offered here is what it would not refuse at once.
pub(crate) struct May {
    answers: bool,
    sponsor: bool,
    admin: bool,
    responder: bool,
}

impl May {
    fn of(ask: &Ask, agent: &AgentView) -> Self {
        let email = ask.session.as_ref().map(|s| s.person.email.clone());
        let is = |pick: fn(&remit_control::spec::AgentSpec) -> &remit_domain::name::Email| {
            agent
                .spec
                .as_ref()
                .is_some_and(|s| Some(pick(s)) == email.as_ref())
        };
        let sponsor = is(|s| &s.sponsor);
        Self {
            sponsor,
            answers: sponsor || is(|s| &s.owner),
            admin: ask.holds(Role::Admin),
            responder: ask.holds(Role::Responder),
        }
    }
}

/// The agent of the path, with the header that all its pages share.
fn with_header(ask: &Ask, here: &str) -> Result<(AgentView, Page), Fault> {
    let name: Name = ask.named("name")?;
    let agent = ask.control().agent(&ask.caller()?, &name)?;
    let may = May::of(ask, &agent);
    let to = |after: &str| ask.to_named("/agents", name.as_str(), after);
    let mut header = Header::new("Agent", &agent.name)
        .id(&agent.id)
        .state(agent.state.as_str());
    if let Some(spec) = &agent.spec {
        header = header
            .fact("Sponsor", Cell::text(&spec.sponsor))
            .fact("Owner", Cell::text(&spec.owner))
            .fact("Tier", Cell::text(word(&spec.tier)))
            .fact("Environment", Cell::text(word(&spec.environment)))
            .fact("Enforcement", Cell::text(word(&spec.enforcement)));
    }
    header = header
        .fact("Risk", Cell::badge(risk(agent.risk)))
        .fact("Findings", found(&agent.findings));
    let active = agent.state == AgentState::Active;
    let gone = agent.state == AgentState::Retired;
    header = header
        .action(
            active && (may.answers || may.admin),
            to("/suspend"),
            "Suspend",
            false,
        )
        .action(
            !gone && (may.responder || may.admin),
            ask.to(&format!("/stop?agent={}", agent.name)),
            "Contain",
            true,
        )
        .action(
            !gone && (may.answers || may.admin),
            to("/retire"),
            "Retire",
            true,
        );
    for (after, words) in [
        ("", "Overview"),
        ("/access", "Access"),
        ("/activity", "Activity"),
        ("/history", "History"),
        ("/yaml", "YAML"),
    ] {
        header = header.tab(to(after), words, after == here);
    }
    let copy = Copy::get(
        &format!("agent show {name}"),
        &ask.place.base,
        &format!("/agents/{name}"),
    );
    let copy = match &agent.spec {
        Some(_) => copy.yaml(&tabs::document(&agent)),
        None => copy,
    };
    let header = header.copy(&copy);
    let page = ask.page(&agent.name).with(&header);
    Ok((agent, page))
}

/// The risk that policies see, in a word.
fn risk(level: u8) -> &'static str {
    match level {
        0 => "none",
        1 => "low",
        2 => "medium",
        _ => "high",
    }
}

/// The open findings that the risk comes of.
fn found(kinds: &std::collections::BTreeSet<String>) -> Cell {
    Cell::lines(kinds.iter().map(|kind| kind.replace('_', " ")))
}

fn missing(completeness: &Completeness) -> Vec<String> {
    completeness.missing.clone()
}
