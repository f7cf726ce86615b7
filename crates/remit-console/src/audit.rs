//! The ledger, for those who check it: searched, proved, verified, taken away.

mod verify;

pub(crate) use verify::Verifications;

use remit_control::{EntryQuery, EventView};
use remit_domain::Role;
use remit_domain::event::EventKind;

use crate::agents::listed;
use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::picture::Ribbon;
use crate::range::Range;
use crate::route::{ADMIN_AUDITOR, AUDITOR, Route, act, page, watch};
use crate::text::{Shown, escaped_line};
use crate::ui::{Cell, Code, Copy, Empty, Facts, Filter, Header, Lines, Row, Section, Table};

/// Entries on a page.
const ENTRIES: u32 = 50;
/// Entries in one export.
const EXPORT: u32 = 1_000;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/audit", ADMIN_AUDITOR, list),
        page("/audit/export", ADMIN_AUDITOR, export),
        page("/audit/verify", AUDITOR, verify::page_of),
        act("/audit/verify", AUDITOR, verify::begin),
        watch("/audit/verify/now", AUDITOR, verify::now),
        page("/audit/{index}", ADMIN_AUDITOR, entry),
        page("/audit/{index}/proof", AUDITOR, proof),
    ]
}

/// Events as a table: the same everywhere that events are told.
pub(crate) fn event_table(
    ask: &Ask,
    id: &'static str,
    caption: &str,
    events: &[EventView],
    next: Option<String>,
) -> Table {
    let empty = Empty::new("Nothing happened here", "Widen the filter or the time.");
    let audits = ask.holds_any(&[Role::Auditor, Role::Admin]);
    let rows = events.iter().map(|e| {
        let word = match e.kind {
            EventKind::CallDecided => Cell::badge(
                e.facts
                    .get("outcome")
                    .and_then(|v| v.as_str())
                    .unwrap_or("deny"),
            ),
            EventKind::CallRefused => Cell::badge("denied"),
            kind => Cell::text(kind.as_str().replace(['.', '_'], " ")),
        };
        let why = e
            .decision
            .as_ref()
            .map(|decision| ask.to(&format!("/decisions/{decision}")));
        let link = match (&why, &e.run) {
            (Some(why), _) => Cell::link(why.clone(), "why"),
            (None, Some(run)) => Cell::link(ask.to(&format!("/runs/{run}")), "run"),
            _ => Cell::Nothing,
        };
        // The first link of a row is what the keys open: the entry for those who read the ledger, else the decision.
        let told = match &why {
            Some(why) if !audits => Cell::link(why.clone(), &e.text),
            _ => Cell::block(&e.text),
        };
        let index = if audits {
            Cell::link(
                ask.to(&format!("/audit/{}", e.index)),
                format!("#{}", e.index),
            )
        } else {
            Cell::text(format!("#{}", e.index))
        };
        Row::new(
            format!("e{}", e.index),
            vec![
                index,
                ask.when(e.at).into(),
                word,
                told,
                Cell::text(&e.who),
                e.agent
                    .as_ref()
                    .map(|a| Cell::link(ask.to_named("/agents", a, ""), a))
                    .into(),
                link,
            ],
        )
    });
    Table::new(
        id,
        caption,
        &["Entry", "When", "What", "Told", "By", "Agent", "More"],
        empty,
    )
    .rows(rows)
    .next(next)
}

fn query(ask: &Ask, limit: u32) -> Result<EntryQuery, Fault> {
    let kind = match ask.q("kind") {
        None => None,
        Some(word) => Some(
            serde_json::from_value::<EventKind>(word.into())
                .map_err(|_| Fault::invalid("no event is of that kind; choose one of the list"))?,
        ),
    };
    let newest = ask.q("order") != Some("oldest first");
    let between = Range::of(ask)?.between;
    Ok(EntryQuery {
        kind,
        agent: ask.q_as("agent")?,
        run: ask.q_as("run")?,
        decision: ask.q_as("decision")?,
        from: ask.q_as("after")?,
        since: between.since,
        until: between.until,
        limit: Some(limit),
        newest,
    })
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let listing = ask
        .control()
        .entries(&ask.caller()?, &query(&ask, ENTRIES)?)
        .await?;
    let next = ask.next(listing.next);
    let table = event_table(
        &ask,
        "entries",
        "Entries of the ledger",
        &listing.items,
        next,
    );
    let kinds: Vec<&str> = EventKind::ALL.iter().map(|k| k.as_str()).collect();
    let filter = Filter::new(ask.to("/audit"))
        .select("kind", "Kind", &kinds, ask.q("kind"))
        .search("agent", "Agent", ask.q("agent"))
        .search("run", "Run", ask.q("run"))
        .search("decision", "Decision", ask.q("decision"))
        .select("order", "Order", &["oldest first"], ask.q("order"))
        .otherwise("newest first");
    let range = Range::of(&ask)?;
    let filter = range.fields(&ask, filter);
    let asked: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(ask.query.iter())
        .finish();
    let tools = Empty {
        title: String::new(),
        text: if ask.holds(Role::Auditor) {
            String::new()
        } else {
            "You read the leaves alone; auditors read what was sealed.".to_owned()
        },
        action: Some((
            ask.to(&format!("/audit/export?{asked}")),
            "Export what is found (JSON lines)".to_owned(),
        )),
        commands: Vec::new(),
    };
    let copy = Copy::list(
        &ask,
        "audit search",
        "/audit/entries",
        &["kind", "agent", "run", "decision"],
        Some(&range),
    );
    let action = ask
        .holds(Role::Auditor)
        .then(|| (ask.to("/audit/verify"), "Verify the ledger"));
    let ribbon = ribbon(&ask, &[]).await?;
    let page = ask.page("Audit").html(listed("Audit", "Every decision and every change, in the order in which they were made. Nothing is changed or deleted.", action, Some(&filter), &table, &copy));
    page.with(&tools)
        .with(&Section::new("chain", "The ledger").with(&ribbon))
        .ok()
}

/// The whole ledger in one line, with what is not as it was signed.
async fn ribbon(ask: &Ask, broken: &[u64]) -> Result<Ribbon, Fault> {
    let store = ask.site.console.books.store();
    let unreadable = |_| Fault::Failed;
    let entries = store
        .entry_count(ask.place.org())
        .await
        .map_err(unreadable)?;
    let signed = store
        .checkpoint(ask.place.org())
        .await
        .map_err(unreadable)?;
    let signed = signed.map_or(0, |(size, _)| size);
    Ok(Ribbon::new(entries, signed, broken, |from| {
        ask.to(&format!("/audit?order=oldest+first&after={from}"))
    }))
}

async fn export(ask: Ask) -> Result<Answer, Fault> {
    let listing = ask
        .control()
        .entries(&ask.caller()?, &query(&ask, EXPORT)?)
        .await?;
    // Evidence is not made prettier: the values are as they were recorded, and what would not be seen is an escape of JSON.
    let lines: Vec<String> = listing.items.iter().map(escaped_line).collect();
    let mut body = lines.join("\n");
    body.push('\n');
    Ok(Answer::File {
        name: format!("remit-{}-entries.jsonl", ask.place.name),
        kind: "application/jsonl; charset=utf-8",
        body,
    })
}

async fn entry(ask: Ask) -> Result<Answer, Fault> {
    let index: u64 = ask.named("index")?;
    let wanted = EntryQuery {
        from: Some(index),
        limit: Some(1),
        ..EntryQuery::default()
    };
    let found = ask
        .control()
        .entries(&ask.caller()?, &wanted)
        .await?
        .items
        .into_iter()
        .find(|e| e.index == index);
    let event = found.ok_or_else(Fault::not_found)?;
    let header = entry_header(&ask, &event);
    let told = Section::new("told", "What it says")
        .with(&Lines::new([&event.text]))
        .with(&Code::new(
            "Facts, in clear in the leaf",
            Shown::json(&event.facts),
        ));
    let told = if event.shredded {
        told.note("What was sealed was destroyed; the proof holds all the same.")
    } else if ask.holds(Role::Auditor) {
        told.with(&Code::new("Sealed content", Shown::json(&event.content)))
    } else {
        told.note("What was sealed is for auditors.")
    };
    let leaf = ask.control().leaf_bytes(&ask.caller()?, index).await?;
    let leaf = String::from_utf8_lossy(&leaf).into_owned();
    let around = Facts::new()
        .row(
            "Before",
            Cell::link(
                ask.to(&format!("/audit/{}", index.saturating_sub(1))),
                format!("#{}", index.saturating_sub(1)),
            ),
        )
        .row(
            "After",
            Cell::link(
                ask.to(&format!("/audit/{}", index + 1)),
                format!("#{}", index + 1),
            ),
        );
    ask.page(format!("Entry {index}"))
        .with(&header)
        .with(&told)
        .with(
            &Section::new("leaf", "The leaf, as it is hashed")
                .with(&Code::new("Leaf", leaf))
                .with(&around),
        )
        .ok()
}

fn entry_header(ask: &Ask, event: &EventView) -> Header {
    let index = event.index;
    Header::new("Entry", format!("#{index} {}", event.kind.as_str()))
        .fact("When", ask.when(event.at).with_exact())
        .fact("By", Cell::text(&event.who))
        .fact(
            "Agent",
            event
                .agent
                .as_ref()
                .map(|a| Cell::link(ask.to_named("/agents", a, ""), a)),
        )
        .fact(
            "Run",
            event
                .run
                .as_ref()
                .map(|r| Cell::link(ask.to(&format!("/runs/{r}")), r)),
        )
        .fact(
            "Decision",
            event
                .decision
                .as_ref()
                .map(|d| Cell::link(ask.to(&format!("/decisions/{d}")), d)),
        )
        .action(
            ask.holds(Role::Auditor),
            ask.to(&format!("/audit/{index}/proof")),
            "Take the proof",
            false,
        )
        .copy(&Copy::get(
            &format!("audit prove {index}"),
            &ask.place.base,
            &format!("/audit/entries/{index}/proof"),
        ))
}

async fn proof(ask: Ask) -> Result<Answer, Fault> {
    let index: u64 = ask.named("index")?;
    let body = ask.control().prove(&ask.caller()?, index).await?;
    Ok(Answer::File {
        name: format!("remit-{}-{index}.proof", ask.place.name),
        kind: "text/plain; charset=utf-8",
        body,
    })
}
