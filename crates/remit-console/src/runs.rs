//! Runs: what an agent did in one execution, for whom, via whom, in order.

use askama::Template;
use remit_control::{EventView, ListQuery, RunReport, RunStory, RunView, Shred};
use remit_domain::RunId;
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::run::Provenance;
use remit_domain::run::RunOutcome;

use crate::agents::{listed, word};
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::audit::event_table;
use crate::fault::Fault;
use crate::live::News;
use crate::picture::{Mark, Timeline};
use crate::range::Range;
use crate::route::{ADMIN, PERSON, Route, act, page};
use crate::text::Shown;
use crate::time::span;
use crate::ui::{
    Badge, Cell, Copy, Empty, Facts, Field, Filter, Header, Input, Lines, Notice, Row, Section,
    Table, Tone,
};

/// Runs of one family that are looked at.
const FAMILY_MAX: usize = 60;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/runs", PERSON, list),
        page("/runs/{id}", PERSON, timeline),
        page("/runs/{id}/tree", PERSON, tree),
        page("/runs/{id}/delegation", PERSON, delegation),
        act("/runs/{id}/end", PERSON, end),
        page("/runs/{id}/shred", ADMIN, shred_page),
        act("/runs/{id}/shred", ADMIN, shred),
    ]
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let agent: Option<Name> = ask.q_as("agent")?;
    let range = Range::of(&ask)?;
    let listing = ask
        .control()
        .runs(&ask.caller()?, agent.as_ref(), &range.list(&ask))
        .await?;
    let empty = Empty::new(
        "No runs here",
        "Widen the filter, or start one: a token request opens a run by itself.",
    )
    .commands(&["remit run ls", "remit connect --help"]);
    let table = Table::new(
        "runs",
        "Runs, newest first",
        &[
            "Run", "State", "Agent", "Mode", "For", "Purpose", "Started", "Took",
        ],
        empty,
    )
    .rows(listing.items.iter().map(|r| row(&ask, r)))
    .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/runs"))
        .search("agent", "Agent", ask.q("agent"))
        .select(
            "state",
            "State",
            &["active", "suspended", "ended"],
            ask.q("state"),
        );
    let filter = range.fields(&ask, filter);
    let copy = Copy::list(&ask, "run ls", "/runs", &["agent", "state"], Some(&range));
    let news = News::of(
        &ask,
        "running",
        "/runs",
        "Runs have begun or ended: show them",
    )
    .await;
    ask.page("Runs")
        .with(&news)
        .html(listed(
            "Runs",
            "One execution of a workflow each, with everything that was decided in it.",
            Some((ask.to("/labels"), "Labels taken back")),
            Some(&filter),
            &table,
            &copy,
        ))
        .ok()
}

fn row(ask: &Ask, r: &RunView) -> Row {
    let until = r.ended.as_ref().map_or(ask.now(), |e| e.at);
    Row::new(
        &r.id,
        vec![
            Cell::link(ask.to(&format!("/runs/{}", r.id)), &r.id),
            Cell::badge(r.state),
            Cell::link(ask.to_named("/agents", &r.agent, ""), &r.workflow),
            Cell::text(r.mode.as_str()),
            r.person.as_ref().map(Cell::text).into(),
            Cell::text(&r.intent.purpose),
            ask.when(r.started).into(),
            Cell::text(span(until.secs_since(r.started))),
        ],
    )
}

/// The run of the path with its header.
async fn with_header(ask: &Ask, here: &str) -> Result<(RunStory, Page), Fault> {
    let id: RunId = ask.named("id")?;
    let story = ask.control().run_story(&ask.caller()?, &id).await?;
    let run = &story.run;
    let count = |outcome: &str| {
        let is = |e: &&EventView| {
            e.kind == EventKind::CallDecided
                && e.facts.get("outcome").and_then(|v| v.as_str()) == Some(outcome)
        };
        story.events.iter().filter(is).count()
    };
    let calls = format!(
        "{} allowed · {} asked · {} denied",
        count("allow"),
        count("ask"),
        count("deny")
    );
    let to = |after: &str| ask.to(&format!("/runs/{id}{after}"));
    let mut header = Header::new("Run", &run.workflow)
        .id(&run.id)
        .state(run.state)
        .fact(
            "Agent",
            Cell::link(ask.to_named("/agents", &run.agent, ""), &run.agent),
        )
        .fact("For", run.person.as_ref().map(Cell::text))
        .fact("Sponsor", run.sponsor.as_ref().map(Cell::text))
        .fact("Started", ask.when(run.started).with_exact())
        .fact("Calls", Cell::text(calls))
        .copy(&Copy::get(
            &format!("run show {id}"),
            &ask.place.base,
            &format!("/runs/{id}/events"),
        ));
    for (after, words) in [
        ("", "Timeline"),
        ("/tree", "Tree"),
        ("/delegation", "Delegation"),
    ] {
        header = header.tab(to(after), words, after == here);
    }
    header = header.action(
        run.state != "ended"
            && ask.holds_any(&[remit_domain::Role::Responder, remit_domain::Role::Admin]),
        ask.to(&format!("/stop?run={id}")),
        "Contain",
        true,
    );
    header = header.action(
        run.state == "ended" && ask.holds(remit_domain::Role::Admin),
        to("/shred"),
        "Destroy content",
        true,
    );
    let page = ask.page(format!("Run of {}", run.workflow)).with(&header);
    Ok((story, page))
}

async fn timeline(ask: Ask) -> Result<Answer, Fault> {
    let (story, mut page) = with_header(&ask, "").await?;
    if !story.without_outcome.is_empty() {
        let ids: Vec<String> = story
            .without_outcome
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut notice = Notice::new(
            "warn",
            "Calls that were let through and have no outcome yet",
        );
        notice.more = ids.iter().map(Shown::line).collect();
        page.notices.push(notice);
    }
    if !story.approved.is_empty() {
        let mut notice = Notice::new("plain", "Approved for this run, beyond one call");
        let told = story.approved.iter().map(|a| {
            Shown::line(format!(
                "{} {}: {} of {} used, until {}. Take it back: remit approval withdraw {}",
                a.tool, a.text, a.used, a.count, a.until, a.approval
            ))
        });
        notice.more = told.collect();
        page.notices.push(notice);
    }
    let shown: Vec<&str> = ["allow", "ask", "deny"]
        .into_iter()
        .filter(|o| ask.q(o) != Some("0"))
        .collect();
    let only: Option<&str> = ask.q("outcome");
    let events: Vec<EventView> = story
        .events
        .iter()
        .filter(|e| match (only, outcome(e)) {
            (Some(wanted), Some(is)) => wanted == is,
            (Some(_), None) => false,
            (None, Some(is)) => shown.contains(&is),
            (None, None) => true,
        })
        .cloned()
        .collect();
    let filter = Filter::new(ask.to(&format!("/runs/{}", story.run.id))).select(
        "outcome",
        "Decisions",
        &["allow", "ask", "deny"],
        only,
    );
    let picture = drawn(&ask, &story, &events);
    let table = event_table(&ask, "events", "What happened, in order", &events, None);
    let mut section = Section::new("timeline", "Timeline").with(&filter);
    if !picture.is_empty() {
        section = section.with(&picture);
    }
    page.with(&about(&ask, &story.run))
        .with(&crate::labels::of_run(&ask, &story))
        .with(&section.with(&table))
        .ok()
}

fn outcome(event: &EventView) -> Option<&str> {
    (event.kind == EventKind::CallDecided).then(|| {
        event
            .facts
            .get("outcome")
            .and_then(|v| v.as_str())
            .unwrap_or("deny")
    })
}

fn drawn(ask: &Ask, story: &RunStory, events: &[EventView]) -> Timeline {
    let first = events.first().map_or(story.run.started, |e| e.at);
    let last = events.last().map_or(first, |e| e.at);
    let title = format!(
        "Timeline of {}: {} events in {}",
        story.run.workflow,
        events.len(),
        span(last.secs_since(first))
    );
    let marks = events.iter().map(|e| mark(ask, e)).collect();
    let ends = [ask.when(first).exact, ask.when(last).exact];
    Timeline::new(&title, ends, marks)
}

fn mark(ask: &Ask, event: &EventView) -> Mark {
    let (class, sign) = match (event.kind, outcome(event)) {
        (_, Some("allow")) => ("good", "✓"),
        (_, Some("ask")) => ("warn", "?"),
        (_, Some(_)) | (EventKind::CallRefused, _) => ("bad", "✕"),
        (EventKind::Contained, _) => ("bad", "◼"),
        (EventKind::CallGap, _) => ("bad", "!"),
        _ => ("plain", "·"),
    };
    let href = match &event.decision {
        Some(decision) => ask.to(&format!("/decisions/{decision}")),
        None => format!("#e{}", event.index),
    };
    Mark {
        lane: event.agent.clone().unwrap_or_else(|| event.who.clone()),
        at: event.at.as_micros(),
        class,
        sign,
        title: format!("{} {}", ask.when(event.at).exact, event.text),
        href,
        row: format!("#e{}", event.index),
    }
}

fn about(ask: &Ask, run: &RunView) -> Section {
    let facts = Facts::new()
        .row("Purpose", Cell::block(&run.intent.purpose))
        .maybe("Ticket", run.intent.ticket.as_ref().map(Cell::text))
        .row("Mode", Cell::text(run.mode.as_str()))
        .maybe("Trigger", run.trigger.as_ref().map(Cell::text))
        .maybe(
            "Part of",
            run.parent
                .as_ref()
                .map(|p| Cell::link(ask.to(&format!("/runs/{p}")), p)),
        )
        .maybe(
            "Said by the agent, unattested",
            declared(&run.provenance.said),
        )
        .row("Ends at the latest", ask.when(run.deadline).with_exact())
        .maybe(
            "Ended",
            run.ended.as_ref().map(|e| {
                Cell::text(format!(
                    "{} by {}: {}",
                    ask.when(e.at).exact,
                    e.by,
                    word(&e.cause)
                ))
            }),
        )
        .maybe(
            "Outcome",
            run.ended
                .as_ref()
                .and_then(|e| e.outcome.as_ref())
                .map(|o| Cell::badge(&word(o))),
        );
    let mut section = Section::new("about", "About").with(&facts);
    if run.state != "ended"
        && (is_mine(ask, run)
            || ask.holds_any(&[remit_domain::Role::Admin, remit_domain::Role::Responder]))
    {
        let form = ask
            .form("end", &format!("/runs/{}/end", run.id))
            .field(Field::select(
                "outcome",
                "How it went",
                &["", "done", "failed", "abandoned", "corrected"],
                "",
            ))
            .button("End this run", Tone::Danger)
            .inline();
        section = section.with(&form);
    }
    section
}

/// What the agent said of itself when it opened the run; none where it said nothing.
fn declared(said: &Provenance) -> Option<Cell> {
    let one = |what: &str, said: &Option<String>| said.as_ref().map(|s| format!("{what} {s}"));
    let lines = [
        one("model", &said.model),
        one("prompt", &said.prompt),
        one("configuration", &said.configuration),
    ];
    let context = said.context.iter().map(|c| format!("context {c}"));
    let mut lines = lines.into_iter().flatten().chain(context).peekable();
    lines.peek()?;
    Some(Cell::lines(lines))
}

/// Whether the person who looks is the one it acts for, or its agent's sponsor.
pub(crate) fn is_mine(ask: &Ask, run: &RunView) -> bool {
    ask.session.as_ref().is_some_and(|s| {
        let me = Some(s.person.email.as_str());
        run.person.as_deref() == me || run.sponsor.as_deref() == me
    })
}

async fn end(ask: Ask) -> Result<Answer, Fault> {
    let id: RunId = ask.named("id")?;
    let outcome: Option<RunOutcome> = match ask.given("outcome") {
        None => None,
        Some(word) => Some(
            serde_json::from_value(word.into())
                .map_err(|_| Fault::invalid("that is not one of the outcomes"))?,
        ),
    };
    let report = RunReport {
        outcome,
        ..RunReport::default()
    };
    ask.control().end_run(&ask.caller()?, &id, &report).await?;
    ask.done(&format!("/runs/{id}"), "ended")
}

/// One run of the family, and how deep below the root.
struct Leaf {
    depth: usize,
    href: String,
    here: bool,
    id: Shown,
    workflow: Shown,
    state: Badge,
    person: Shown,
    took: String,
}

#[derive(Template)]
#[template(path = "tree.html")]
struct Tree {
    leaves: Vec<Leaf>,
}

async fn tree(ask: Ask) -> Result<Answer, Fault> {
    let (story, page) = with_header(&ask, "/tree").await?;
    // Children were opened after their root: the newest pages of runs hold them.
    let query = ListQuery {
        limit: Some(1_000),
        ..ListQuery::default()
    };
    let all = ask
        .control()
        .runs(&ask.caller()?, None, &query)
        .await?
        .items;
    let mut family: Vec<RunView> = all
        .into_iter()
        .filter(|r| r.root == story.run.root)
        .collect();
    if !family.iter().any(|r| r.id == story.run.id) {
        family.push(story.run.clone());
    }
    family.sort_by(|a, b| a.id.cmp(&b.id));
    let mut leaves = Vec::new();
    let known: Vec<RunId> = family.iter().map(|r| r.id.clone()).collect();
    let tops = family
        .iter()
        .filter(|r| r.parent.as_ref().is_none_or(|p| !known.contains(p)));
    for top in tops {
        grow(&ask, &family, top, 0, &story.run.id, &mut leaves);
    }
    page.with(
        &Section::new("tree", "Tree")
            .note("A run, and the runs that it handed part of its work to.")
            .with(&Tree { leaves }),
    )
    .ok()
}

fn grow(
    ask: &Ask,
    family: &[RunView],
    run: &RunView,
    depth: usize,
    here: &RunId,
    leaves: &mut Vec<Leaf>,
) {
    if leaves.len() >= FAMILY_MAX || depth > 16 {
        return;
    }
    let until = run.ended.as_ref().map_or(ask.now(), |e| e.at);
    leaves.push(Leaf {
        depth,
        href: ask.to(&format!("/runs/{}", run.id)),
        here: run.id == *here,
        id: Shown::line(&run.id),
        workflow: Shown::line(&run.workflow),
        state: Badge::new(run.state),
        person: Shown::line(run.person.as_deref().unwrap_or("nobody")),
        took: span(until.secs_since(run.started)),
    });
    for child in family.iter().filter(|r| r.parent.as_ref() == Some(&run.id)) {
        grow(ask, family, child, depth + 1, here, leaves);
    }
}

async fn delegation(ask: Ask) -> Result<Answer, Fault> {
    let (story, page) = with_header(&ask, "/delegation").await?;
    let rows = story.chain.iter().enumerate().map(|(at, hop)| {
        Row::new(
            &hop.id,
            vec![
                Cell::number(at + 1),
                Cell::text(&hop.from),
                Cell::link(ask.to_named("/agents", &hop.agent, ""), &hop.agent),
                Cell::lines(&hop.narrows),
                ask.when(hop.expires).into(),
                Cell::badge(hop.state),
                Cell::link(ask.to(&format!("/delegations/{}", hop.id)), &hop.id),
            ],
        )
    });
    let empty = Empty::new(
        "Rests on nobody's delegation",
        "The agent acts within its own grants, for no person.",
    );
    let table = Table::new(
        "chain",
        "Via whom, each hop with what it narrowed",
        &[
            "Hop",
            "From",
            "To",
            "Narrowed to",
            "Until",
            "State",
            "Delegation",
        ],
        empty,
    )
    .rows(rows);
    let mut section = Section::new("chain-of", "Who let this happen").note(
        "Each hop is at most as wide as the one before; all of them are checked at each call.",
    );
    if let Some(picture) = crate::delegations::chain(&ask, &story.chain) {
        section = section.with(&picture);
    }
    page.with(&section.with(&table)).ok()
}

/// What is destroyed, before it is: the id is typed, because nothing brings it back.
async fn shred_page(ask: Ask) -> Result<Answer, Fault> {
    let (story, page) = with_header(&ask, "-").await?;
    let id = &story.run.id;
    let what = Lines::new([
        "Its purpose, its arguments, what people were shown and the inputs of its decisions are destroyed, in copies of the database too.",
        "What happened, when and by whom stays, and every proof holds.",
        "Its decisions cannot be taken again afterwards.",
    ]);
    let form = ask
        .form("shred", &format!("/runs/{id}/shred"))
        .field(
            Field::new(
                "confirm",
                &format!("Type {id} to confirm: this cannot be undone"),
                Input::Line,
            )
            .required(),
        )
        .field(
            Field::new("reason", "Why", Input::Line)
                .hint("Kept in the ledger.")
                .required(),
        )
        .button("Destroy its content", Tone::Danger);
    page.with(
        &Section::new("shred-it", "Destroy the content of this run")
            .with(&what)
            .with(&form),
    )
    .ok()
}

async fn shred(ask: Ask) -> Result<Answer, Fault> {
    let id: RunId = ask.named("id")?;
    if ask.field("confirm").trim() != id.as_str() {
        return Err(Fault::invalid(
            "the id that was typed is not this run's; nothing was destroyed",
        ));
    }
    let why = Shred {
        reason: ask.field("reason").to_owned(),
    };
    ask.control().shred_run(&ask.caller()?, &id, &why).await?;
    ask.done(&format!("/runs/{id}"), "shredded")
}
