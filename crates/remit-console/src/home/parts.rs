//! What Home has for each role beside what it has for everybody.

use remit_control::{ListQuery, StoryQuery};
use remit_domain::Role;
use remit_domain::event::EventKind;

use crate::ask::Ask;
use crate::fault::Fault;
use crate::picture::Ribbon;
use crate::ui::{Cell, Empty, Html, Row, Section, Table};

/// Agents of a developer whose last calls are looked at, calls of each, and denials shown.
const AGENTS: usize = 5;
const CALLS: u32 = 40;
const DENIALS: usize = 8;
/// Containments shown.
const CONTAINED: usize = 6;

/// The parts, most urgent first.
pub(super) async fn of(ask: &Ask) -> Result<Vec<Html>, Fault> {
    let mut parts = Vec::new();
    if ask.holds(Role::Responder) {
        parts.push(contained(ask).await?);
    }
    if ask.holds(Role::Developer) {
        parts.push(denials(ask).await?);
    }
    if ask.holds(Role::Auditor) {
        parts.push(evidence(ask).await?);
    }
    Ok(parts)
}

/// For responders: what is stopped now, and where to stop something.
async fn contained(ask: &Ask) -> Result<Html, Fault> {
    let query = ListQuery {
        limit: Some(CONTAINED),
        state: Some("active".to_owned()),
        ..ListQuery::default()
    };
    let all = ask.control().containments(&ask.caller()?, &query).await?;
    let rows = all.items.iter().map(|c| {
        let residual = c.certificate.as_ref();
        Row::new(
            &c.id,
            vec![
                Cell::link(ask.to(&format!("/containments/{}", c.id)), &c.target_name),
                Cell::badge(c.level.as_str()),
                Cell::text(&c.reason),
                ask.when(c.at).into(),
                residual
                    .map(|c| Cell::number(c.certificate.residual))
                    .into(),
            ],
        )
    });
    let empty = Empty::new(
        "Nothing is contained",
        "Stop an agent, a workflow, a run or a credential, and prove it.",
    )
    .action(ask.to("/stop"), "Choose what to stop");
    let head = ["Target", "Level", "Why", "When", "Not stopped"];
    let table = Table::new("contained", "Contained now", &head, empty).rows(rows);
    Ok(Html::of(
        &Section::new("contained-now", "Contained now").with(&table),
    ))
}

/// For developers: what their agents were denied lately, and where it says what would change it.
async fn denials(ask: &Ask) -> Result<Html, Fault> {
    let me = ask.session()?.person.id.clone();
    let names: Vec<_> = {
        let registry = ask.place.book.registry();
        let own = registry.answered_by(&me).into_iter();
        own.take(AGENTS).map(|a| a.name.clone()).collect()
    };
    let query = StoryQuery {
        kind: Some(EventKind::CallDecided),
        limit: Some(CALLS),
        ..StoryQuery::default()
    };
    let caller = ask.caller()?;
    let mut found = Vec::new();
    for name in &names {
        let story = ask.control().agent_story(&caller, name, &query).await?;
        found.extend(
            story
                .items
                .into_iter()
                .filter(|e| e.facts.get("outcome").and_then(|v| v.as_str()) == Some("deny")),
        );
    }
    found.sort_by_key(|e| std::cmp::Reverse(e.index));
    let rows = found.iter().take(DENIALS).map(|e| {
        let how = e.decision.as_ref().map(|id| {
            Cell::link(
                ask.to(&format!("/decisions/{id}#change")),
                "why, and what would change it",
            )
        });
        Row::new(
            e.index,
            vec![
                Cell::block(&e.text),
                e.agent
                    .as_ref()
                    .map(|a| Cell::link(ask.to_named("/agents", a, ""), a))
                    .into(),
                ask.when(e.at).into(),
                how.into(),
            ],
        )
    });
    let empty =
        Empty::new("Nothing of yours was denied lately", "").action(ask.to("/mine"), "My agents");
    let head = ["Denied", "Agent", "When", "How to go on"];
    let table = Table::new("denials", "What my agents were denied", &head, empty).rows(rows);
    Ok(Html::of(
        &Section::new("my-denials", "What my agents were denied").with(&table),
    ))
}

/// For auditors: the ledger, and the way to its evidence.
async fn evidence(ask: &Ask) -> Result<Html, Fault> {
    let store = ask.site.console.books.store();
    let unreadable = |_| Fault::Failed;
    let org = ask.place.org();
    let entries = store.entry_count(org).await.map_err(unreadable)?;
    let signed = store.checkpoint(org).await.map_err(unreadable)?;
    let ribbon = Ribbon::new(entries, signed.map_or(0, |(size, _)| size), &[], |from| {
        ask.to(&format!("/audit?order=oldest+first&after={from}"))
    });
    let ways = Ways {
        ways: vec![
            (ask.to("/audit/verify"), "Verify the ledger"),
            (ask.to("/audit"), "Search and export"),
        ],
    };
    Ok(Html::of(
        &Section::new("evidence", "Evidence")
            .note("Every decision and every change; each entry can be proved.")
            .with(&ribbon)
            .with(&ways),
    ))
}

/// Where to go on, side by side.
#[derive(askama::Template)]
#[template(
    source = "<p class=\"row\">{% for (href, words) in ways %}<a class=\"button plain\" href=\"{{ href }}\">{{ words }}</a>{% endfor %}</p>",
    ext = "html"
)]
struct Ways {
    ways: Vec<(String, &'static str)>,
}
