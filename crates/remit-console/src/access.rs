//! Access: who reaches what, how much of it is used, and what would be decided of a call.

use std::collections::BTreeMap;

use askama::Template;
use remit_control::{Hypothetical, ListQuery, Use};
use remit_domain::AgentId;
use remit_domain::name::Name;

use crate::answer::{Answer, Page};
use crate::ask::{Ask, segment};
use crate::fault::{Fault, capitalized};
use crate::limits::{MAP_AGENTS, MAP_TOOLS};
use crate::route::{PERSON, Route, act, page};
use crate::text::Shown;
use crate::ui::{Badge, Code, Copy, Empty, Field, Filter, Input, Lines, Notice, Section, Tone};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/access", PERSON, map),
        page("/access/explain", PERSON, explain_page),
        act("/access/explain", PERSON, explain),
    ]
}

/// One cell of the map.
struct Square {
    class: &'static str,
    sign: &'static str,
    /// Shade, 0 to 4.
    shade: u8,
    calls: String,
    title: Shown,
    href: String,
}

struct Line {
    name: Shown,
    href: String,
    squares: Vec<Option<Square>>,
}

#[derive(Template)]
#[template(path = "access.html")]
struct Map {
    at: String,
    filter: Filter,
    /// The pieces of each name, between which it may be broken, and its address.
    tools: Vec<(Vec<Shown>, String)>,
    lines: Vec<Line>,
    more_tools: usize,
    next: Option<String>,
    counting: bool,
    empty: Empty,
    copy: Copy,
}

/// What an agent may do with a tool, and with how many words.
type Reach = BTreeMap<String, &'static str>;

async fn map(ask: Ask) -> Result<Answer, Fault> {
    let (caller, control) = (ask.caller()?, ask.control());
    let query = ListQuery {
        limit: Some(MAP_AGENTS),
        after: ask.q("after").map(ToOwned::to_owned),
        state: Some("active".to_owned()),
        ..ListQuery::default()
    };
    let listing = control.agents(&caller, &query)?;
    let ids: Vec<AgentId> = listing.items.iter().map(|a| a.id.clone()).collect();
    let uses = control.uses(&caller, &ids).await?;
    let reaches = listing
        .items
        .iter()
        .map(|agent| reach(&ask, &agent.name))
        .collect::<Result<Vec<_>, Fault>>()?;
    let wanted = ask.q("tool");
    let mut counts = BTreeMap::<&String, usize>::new();
    for tool in reaches
        .iter()
        .flat_map(|r| r.keys())
        .filter(|t| wanted.is_none_or(|w| t.contains(w)))
    {
        *counts.entry(tool).or_default() += 1;
    }
    let all: Vec<&String> = counts.keys().copied().collect();
    let more_tools = all.len().saturating_sub(MAP_TOOLS);
    let tools: Vec<&String> = all.into_iter().take(MAP_TOOLS).collect();
    let lines = listing
        .items
        .iter()
        .zip(&reaches)
        .map(|(agent, reach)| Line {
            name: Shown::line(&agent.name),
            href: ask.to_named("/agents", agent.name.as_str(), "/access"),
            squares: tools
                .iter()
                .map(|tool| {
                    let decision = reach.get(*tool)?;
                    let used = uses
                        .by
                        .get(&(agent.id.clone(), (*tool).clone()))
                        .copied()
                        .unwrap_or_default();
                    Some(square(&ask, agent.name.as_str(), tool, decision, used))
                })
                .collect(),
        })
        .collect();
    let map = Map {
        at: ask.place.at.clone(),
        filter: Filter::new(ask.to("/access")).search("tool", "Tool", wanted),
        tools: tools.iter().map(|tool| column(&ask, tool)).collect(),
        lines,
        more_tools,
        next: ask.next(listing.next),
        counting: !uses.complete,
        empty: Empty::new(
            "No active agent",
            "Who may reach what is shown here as soon as an agent is active.",
        ),
        copy: Copy::get("access show AGENT", &ask.place.base, "/agents/AGENT/access"),
    };
    ask.page("Access").with(&map).ok()
}

fn reach(ask: &Ask, agent: &Name) -> Result<Reach, Fault> {
    let mut reach = Reach::new();
    for row in ask.control().access(&ask.caller()?, agent, false)? {
        let word = reach.entry(row.tool).or_insert(row.decision);
        // Of several workflows, the one that may do most counts.
        if rank(row.decision) > rank(word) {
            *word = row.decision;
        }
    }
    Ok(reach)
}

/// The name of a column, and where its tool's page is.
fn column(ask: &Ask, tool: &str) -> (Vec<Shown>, String) {
    let pieces = tool.split_inclusive(['/', '_', '.', '-']);
    (
        pieces.map(Shown::line).collect(),
        crate::tools::address_of(ask, tool),
    )
}

fn rank(decision: &str) -> u8 {
    match decision {
        "allow" => 2,
        "ask" => 1,
        _ => 0,
    }
}

fn square(ask: &Ask, agent: &str, tool: &str, decision: &'static str, used: Use) -> Square {
    let (class, sign) = match (decision, used.calls) {
        ("deny", _) => ("denied", "✕"),
        (_, 0) => ("never", "∅"),
        ("ask", _) => ("asks", "?"),
        _ => ("used", ""),
    };
    let shade = match used.calls {
        0 => 0,
        1..10 => 1,
        10..100 => 2,
        100..1_000 => 3,
        _ => 4,
    };
    let last = used.last.map_or_else(
        || "never used".to_owned(),
        |t| format!("last {}", ask.when(t).relative),
    );
    Square {
        class,
        sign,
        shade,
        calls: if used.calls > 0 {
            used.calls.to_string()
        } else {
            String::new()
        },
        title: Shown::line(format!(
            "{agent}, {tool}: {decision}, {} calls in 30 days, {last}, {} denied",
            used.calls, used.denied
        )),
        href: ask.to(&format!(
            "/access/explain?agent={}&tool={}",
            segment(agent),
            segment(tool)
        )),
    }
}

async fn explain_page(ask: Ask) -> Result<Answer, Fault> {
    form(&ask, |name| ask.q(name).unwrap_or_default().to_owned()).ok()
}

#[derive(Template)]
#[template(
    source = "<h1>Explain a call</h1><p class=\"note\">What would be decided, by which policies, and what would change it. Nothing is called and nothing is recorded.</p>",
    ext = "html"
)]
struct Title;

fn form(ask: &Ask, value: impl Fn(&str) -> String) -> Page {
    let line = |name: &str, label: &str, hint: &str| {
        Field::new(name, label, Input::Line)
            .hint(hint)
            .value(value(name))
    };
    let args = Some(value("args"))
        .filter(|a| !a.is_empty())
        .unwrap_or_else(|| "{}".to_owned());
    let form = ask
        .form("explain", "/access/explain")
        .field(line("agent", "Agent", "").required())
        .field(line("workflow", "Workflow", "").required())
        .field(line("tool", "Tool", "As upstream/tool.").required())
        .field(Field::new("args", "Arguments (JSON)", Input::Area(5)).value(args))
        .field(line("person", "For (e-mail address)", ""))
        .field(line(
            "labels",
            "Labels of the run",
            "Separated by spaces: data classes it has seen, untrusted.",
        ))
        .button("Explain", Tone::Main);
    ask.page("Explain a call")
        .with(&Title)
        .with(&Section::new("explain-it", "The call").with(&form))
}

fn call(ask: &Ask) -> Result<Hypothetical, Fault> {
    let args = ask.given("args").unwrap_or_else(|| "{}".to_owned());
    let args = serde_json::from_str(&args)
        .map_err(|e| Fault::invalid(format!("the arguments are not JSON: {e}")))?;
    Ok(Hypothetical {
        agent: ask.field_as::<Name>("agent")?,
        workflow: ask.field_as::<Name>("workflow")?,
        tool: ask.field_as("tool")?,
        args,
        person: ask.given_as("person")?,
        intent: None,
        authority: None,
        labels: ask
            .field("labels")
            .split_whitespace()
            .map(ToOwned::to_owned)
            .collect(),
        trust: None,
    })
}

async fn explain(ask: Ask) -> Result<Answer, Fault> {
    let caller = ask.caller()?;
    let explained =
        call(&ask).and_then(|call| ask.control().explain(&caller, call).map_err(Fault::from));
    let page = form(&ask, |name| ask.field(name).to_owned());
    let e = match explained {
        Ok(explained) => explained,
        Err(fault) if fault.is_correctable() => {
            let status = fault.status();
            return page
                .notice(Some(Notice::new("bad", capitalized(&fault.text()))))
                .status(status)
                .ok();
        }
        Err(fault) => return Err(fault),
    };
    let badge = Badge::new(e.outcome);
    let class = match badge.class {
        "good" => "good",
        "warn" => "warn",
        _ => "bad",
    };
    let mut answer = Section::new("answer", format!("{}: what would be decided", e.outcome))
        .with(&Lines::new(&e.reasons));
    if !e.argument_problems.is_empty() {
        answer = answer.with(&Lines::new(
            e.argument_problems.iter().map(|p| format!("argument: {p}")),
        ));
    }
    if !e.approvers.is_empty() {
        answer = answer.with(&Lines::new(
            e.approvers.iter().map(|a| format!("may approve: {a}")),
        ));
    }
    if !e.would_change.is_empty() {
        answer = answer.with(&Lines::new(
            e.would_change
                .iter()
                .map(|c| format!("would change it: {c}")),
        ));
    }
    for policy in &e.explanation.policies {
        answer = answer.with(&Code::new(
            format!(
                "{}, line {}: {}",
                Shown::line(&policy.id),
                policy.line,
                Shown::line(&policy.text)
            ),
            &policy.source,
        ));
    }
    let mut notice = Notice::new(class, format!("It would be: {}", e.outcome));
    notice.more = e
        .standing
        .iter()
        .map(|s| Shown::block(format!("a real call would be refused before: {s}")))
        .collect();
    page.notice(Some(notice)).with(&answer).ok()
}
