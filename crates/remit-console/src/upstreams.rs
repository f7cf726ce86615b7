//! Upstreams: the servers whose tools are governed, and reading what they offer.

use remit_control::{SyncReport, UpstreamView};
use remit_domain::Role;
use remit_domain::upstream::{Transport, UpstreamName};

use crate::agents::listed;
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::Fault;
use crate::route::{ADMIN, PERSON, Route, act, page};
use crate::text::Shown;
use crate::tools;
use crate::ui::{Cell, Copy, Empty, Facts, Filter, Header, Notice, Row, Section, Table, Tone};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/upstreams", PERSON, list),
        page("/upstreams/{name}", PERSON, one),
        act("/upstreams/{name}/sync", ADMIN, sync),
    ]
}

fn transport(upstream: &UpstreamView) -> String {
    match upstream.spec.as_ref().map(|s| &s.transport) {
        Some(Transport::Http { url }) => url.clone(),
        Some(Transport::Stdio { command }) => format!("stdio: {command}"),
        // A process beside its agent: decided and recorded here, and cooperative rather than enforced.
        other => other.map(crate::agents::word).unwrap_or_default(),
    }
}

fn counts(upstream: &UpstreamView) -> Vec<String> {
    upstream
        .tools
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(state, n)| format!("{n} {state}"))
        .collect()
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let listing = ask.control().upstreams(&ask.caller()?, &ask.list())?;
    let rows = listing.items.iter().map(|u| {
        Row::new(
            &u.name,
            vec![
                Cell::link(ask.to(&format!("/upstreams/{}", u.name)), &u.name),
                Cell::badge(u.state),
                u.spec.as_ref().map(|s| Cell::text(&s.system)).into(),
                Cell::code(transport(u)),
                Cell::lines(counts(u)),
            ],
        )
    });
    let empty = Empty::new(
        "No upstream yet",
        "An upstream is an MCP server whose tools are governed here.",
    )
    .action(ask.to("/connect"), "Connect one")
    .commands(&["remit apply -f upstream.yaml", "remit upstream sync NAME"]);
    let table = Table::new(
        "upstreams",
        "Upstreams",
        &["Upstream", "State", "System", "Reached by", "Tools"],
        empty,
    )
    .rows(rows)
    .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/upstreams")).select(
        "state",
        "State",
        &["enabled", "disabled"],
        ask.q("state"),
    );
    let action = Some((ask.to("/tools"), "All tools"));
    let copy = Copy::get("upstream ls", &ask.place.base, "/upstreams");
    ask.page("Upstreams")
        .html(listed(
            "Upstreams",
            "Servers whose tools are governed.",
            action,
            Some(&filter),
            &table,
            &copy,
        ))
        .ok()
}

async fn one(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask, None).await?.ok()
}

async fn shown(ask: &Ask, notice: Option<Notice>) -> Result<Page, Fault> {
    let name: UpstreamName = ask.named("name")?;
    let u = ask.control().upstream(&ask.caller()?, &name)?;
    let copy = Copy::get(
        &format!("upstream show {name}"),
        &ask.place.base,
        &format!("/upstreams/{name}"),
    );
    let header = Header::new("Upstream", &u.name).state(u.state).copy(&copy);
    let mut facts = Facts::new().row("Reached by", Cell::code(transport(&u)));
    if let Some(s) = &u.spec {
        facts = facts
            .row("System", Cell::text(&s.system))
            .row(
                "Secret",
                Cell::text(if s.secret.is_some() {
                    "injected by reference; never shown"
                } else {
                    "none"
                }),
            )
            .row(
                "Sessions",
                Cell::text(if s.stateless {
                    "stateless: one for all runs"
                } else {
                    "one for each run"
                }),
            );
    }
    let mut about = Section::new("about", "About").with(&facts);
    if ask.holds(Role::Admin) {
        let form = ask
            .form("sync", &format!("/upstreams/{name}/sync"))
            .button("Read its tools now", Tone::Main)
            .inline();
        about = about.with(&form);
    }
    let found = ask
        .control()
        .tools(&ask.caller()?, Some(&name), &ask.list())?;
    let next = ask.next(found.next);
    let table = tools::table(ask, &found.items, next);
    Ok(ask
        .page(&name)
        .notice(notice)
        .with(&header)
        .with(&about)
        .with(&Section::new("tools-of", "Tools").with(&table)))
}

async fn sync(ask: Ask) -> Result<Answer, Fault> {
    let name: UpstreamName = ask.named("name")?;
    let report = ask.control().sync_upstream(&ask.caller()?, &name).await?;
    shown(&ask, Some(said(&report))).await?.ok()
}

fn said(r: &SyncReport) -> Notice {
    let text = format!(
        "Read: {} new, {} changed, {} back, {} gone, {} as they were.",
        r.found.len(),
        r.changed.len(),
        r.restored.len(),
        r.gone.len(),
        r.unchanged
    );
    let mut notice = Notice::new(
        if r.changed.is_empty() && r.refused.is_empty() {
            "good"
        } else {
            "warn"
        },
        text,
    );
    notice.more = r
        .changed
        .iter()
        .map(|t| {
            Shown::line(format!(
                "{t} changed: its calls are refused until somebody approves the new definition"
            ))
        })
        .chain(r.refused.iter().map(|t| {
            Shown::block(format!(
                "{} was not taken: {}",
                Shown::line(&t.name),
                t.reason
            ))
        }))
        .collect();
    notice
}
