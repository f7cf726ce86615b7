//! Findings: what somebody should look at.

use remit_domain::{FindingId, Role};

use crate::agents::listed;
use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::live::News;
use crate::range::Range;
use crate::route::{PERSON, Route, Who, act, page};
use crate::ui::{Cell, Copy, Empty, Field, Filter, Html, Input, Row, Table, Tone};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/findings", PERSON, list),
        act(
            "/findings/{id}/close",
            Who::Roles(&[Role::Admin, Role::Reviewer]),
            close,
        ),
    ]
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let range = Range::of(&ask)?;
    let mut query = range.list(&ask);
    if query.state.is_none() && ask.q("all").is_none() {
        query.state = Some("open".to_owned());
    }
    let (control, caller) = (ask.control(), ask.caller()?);
    let listing = match ask.q("mine") {
        Some(_) => control.own_findings(&caller, &query).await?,
        None => control.findings(&caller, &query).await?,
    };
    let may = ask.holds_any(&[Role::Admin, Role::Reviewer]);
    let rows = listing.items.iter().map(|f| row(&ask, f, may));
    let empty = Empty::new(
        "No findings",
        "Orphans, standing access, shared keys, changed tools and calls after the end of a run come here by themselves.",
    );
    let table = Table::new(
        "findings",
        "Findings, newest first",
        &[
            "Finding", "What", "About", "Owner", "State", "Seen", "First", "Closed", "Settle",
        ],
        empty,
    )
    .rows(rows)
    .next(ask.next(listing.next));
    let filter = bar(&ask, &range, query.state.as_deref());
    let copy = Copy::list(
        &ask,
        "finding ls",
        "/findings",
        &["state", "mine"],
        Some(&range),
    );
    let news = news(&ask).await;
    ask.page("Findings")
        .with(&news)
        .html(listed(
            "Findings",
            "What somebody should look at.",
            None,
            Some(&filter),
            &table,
            &copy,
        ))
        .ok()
}

/// A finding, and the form that closes it for who `may`.
fn row(ask: &Ask, f: &remit_control::FindingView, may: bool) -> Row {
    let close = (may && f.state == "open").then(|| {
        let form = ask
            .form(
                format!("close-{}", f.id),
                &format!("/findings/{}/close", f.id),
            )
            .field(Field::new("reason", "Why it is settled", Input::Line).required())
            .button("Close", Tone::Plain)
            .inline();
        Cell::Html(Html::of(&form))
    });
    let about = ask.to(&format!("/search?q={}", crate::ask::segment(&f.subject)));
    Row::new(
        &f.id,
        vec![
            Cell::badge(f.kind.as_str()),
            Cell::block(&f.text),
            Cell::link(about, &f.subject),
            f.owner.as_deref().into(),
            Cell::badge(f.state),
            Cell::number(format!("{}×", f.seen)),
            ask.when(f.opened).into(),
            f.closed.map(|t| ask.when(t)).into(),
            close.into(),
        ],
    )
}

fn bar(ask: &Ask, range: &Range, state: Option<&str>) -> Filter {
    let filter = Filter::new(ask.to("/findings"))
        .select("state", "State", &["open", "closed"], state)
        .check("all", "Closed ones too", ask.q("all").is_some())
        .check("mine", "Only mine", ask.q("mine").is_some());
    range.fields(ask, filter)
}

async fn news(ask: &Ask) -> News {
    News::of(
        ask,
        "findings",
        "/findings",
        "Findings have changed: show them",
    )
    .await
}

async fn close(ask: Ask) -> Result<Answer, Fault> {
    let id: FindingId = ask.named("id")?;
    ask.control()
        .close_finding(&ask.caller()?, &id, ask.field("reason"))
        .await?;
    ask.done("/findings", "closed")
}
