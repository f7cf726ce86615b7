//! Labels of runs: what a run has touched and the call that it comes of; and taking labels back, which takes two people.

use remit_control::{
    DeclassificationVerdict, DeclassificationView, LabelView, ListQuery, NewDeclassification,
    RunStory,
};
use remit_domain::{DeclassificationId, Role, RunId};

use crate::agents::listed;
use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::range::Range;
use crate::route::{PERSON, Route, act, page};
use crate::ui::{
    Button, Cell, Copy, Empty, Field, Filter, Header, Input, Lines, Row, Section, Table, Tone,
};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/labels", PERSON, list),
        page("/labels/{id}", PERSON, one),
        act("/labels/{id}/approve", PERSON, approve),
        act("/labels/{id}/refuse", PERSON, refuse),
        act("/runs/{id}/declassify", PERSON, request),
    ]
}

/// The labels of a run, and a form that asks to take some back while it goes on.
pub(crate) fn of_run(ask: &Ask, story: &RunStory) -> Section {
    let section = Section::new("labels", "Labels")
        .note("What the run has touched. Policies decide by it, and it never shrinks by itself.")
        .with(&table(ask, &story.labels));
    let may = ask.holds_any(&[Role::Admin, Role::Responder, Role::Approver])
        || crate::runs::is_mine(ask, &story.run);
    if !may || story.run.state == "ended" || story.labels.is_empty() {
        return section;
    }
    let choices = story.labels.iter().map(|l| l.label.as_str());
    let mut form = ask.form("declassify", &format!("/runs/{}/declassify", story.run.id));
    for label in choices {
        form = form.field(Field::new(
            &format!("label {label}"),
            &format!("Take back {}", crate::text::Shown::line(label)),
            Input::Check(false),
        ));
    }
    let form = form
        .field(
            Field::new(
                "reason",
                "Why the run may go on as if it had not",
                Input::Line,
            )
            .hint("An approver who has no part in the run decides; until then the labels hold.")
            .required(),
        )
        .button("Ask to take them back", Tone::Plain);
    section.with(&form)
}

/// Labels, each with what raised it.
fn table(ask: &Ask, labels: &[LabelView]) -> Table {
    let rows = labels.iter().map(|l| {
        let origin = match (&l.tool, &l.decision) {
            (Some(tool), Some(id)) => Cell::link(ask.to(&format!("/decisions/{id}")), tool),
            (None, Some(id)) => Cell::link(ask.to(&format!("/decisions/{id}")), id),
            _ => Cell::text("not kept, or taken back since"),
        };
        let run = l
            .run
            .as_ref()
            .map(|run| Cell::link(ask.to(&format!("/runs/{run}")), run));
        Row::new(
            &l.label,
            vec![
                Cell::code(&l.label),
                origin,
                l.agent
                    .as_ref()
                    .map(|a| Cell::link(ask.to_named("/agents", a, ""), a))
                    .into(),
                run.into(),
                Cell::text(if l.carried {
                    "brought along"
                } else {
                    "this run"
                }),
                ask.when(l.at).into(),
            ],
        )
    });
    let empty = Empty::new("No labels", "It has touched nothing that policies look at.");
    let head = ["Label", "Came of", "Agent", "Run", "How", "When"];
    Table::new("labels-of", "Labels and what each came of", &head, empty).rows(rows)
}

async fn request(ask: Ask) -> Result<Answer, Fault> {
    let id: RunId = ask.named("id")?;
    let chosen = ask.form.iter().filter(|(_, value)| !value.is_empty());
    let new = NewDeclassification {
        labels: chosen
            .filter_map(|(name, _)| name.strip_prefix("label "))
            .map(ToOwned::to_owned)
            .collect(),
        reason: ask.field("reason").to_owned(),
    };
    let made = ask
        .control()
        .request_declassification(&ask.caller()?, &id, new)
        .await?;
    ask.done(&format!("/labels/{}", made.id), "declassify")
}

/// Those that wait, for whoever may decide some.
pub(crate) async fn waiting(ask: &Ask) -> Result<Vec<DeclassificationView>, Fault> {
    if !ask.holds(Role::Approver) {
        return Ok(Vec::new());
    }
    let query = ListQuery {
        limit: Some(20),
        state: Some("requested".to_owned()),
        ..ListQuery::default()
    };
    let found = ask
        .control()
        .declassifications(&ask.caller()?, &query)
        .await?;
    // What nobody decided in time is stored as waiting.
    let waits = |d: &DeclassificationView| d.state == "requested";
    Ok(found.items.into_iter().filter(waits).collect())
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let range = Range::of(&ask)?;
    let listing = ask
        .control()
        .declassifications(&ask.caller()?, &range.list(&ask))
        .await?;
    let rows = listing.items.iter().map(|d| {
        Row::new(
            &d.id,
            vec![
                Cell::link(ask.to(&format!("/labels/{}", d.id)), &d.id),
                Cell::badge(d.state),
                Cell::lines(&d.labels),
                Cell::link(ask.to_named("/agents", &d.agent, ""), &d.agent),
                Cell::text(&d.reason),
                Cell::text(&d.requested_by),
                ask.when(d.requested_at).into(),
            ],
        )
    });
    let empty = Empty::new(
        "No labels were asked to be taken back",
        "Every run keeps what it has touched. A run's page lists its labels and asks for it.",
    )
    .action(ask.to("/runs"), "Runs")
    .commands(&[
        "remit run labels RUN",
        "remit run declassify RUN --label LABEL --reason TEXT",
    ]);
    let table = Table::new(
        "declassifications",
        "Labels that people asked to take back, newest first",
        &["Request", "State", "Labels", "Agent", "Why", "By", "When"],
        empty,
    )
    .rows(rows)
    .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/labels")).select(
        "state",
        "State",
        &["requested", "approved", "refused"],
        ask.q("state"),
    );
    let filter = range.fields(&ask, filter);
    let copy = Copy::get("declassification ls", &ask.place.base, "/declassifications");
    let note = "Labels taken back from runs: asked for by one person, decided by another.";
    ask.page("Labels taken back")
        .html(listed(
            "Labels taken back",
            note,
            None,
            Some(&filter),
            &table,
            &copy,
        ))
        .ok()
}

async fn one(ask: Ask) -> Result<Answer, Fault> {
    let id: DeclassificationId = ask.named("id")?;
    let d = ask.control().declassification(&ask.caller()?, &id).await?;
    let header = Header::new("Declassification", format!("of a run of {}", d.agent))
        .id(&d.id)
        .state(d.state)
        .fact(
            "Run",
            Cell::link(ask.to(&format!("/runs/{}", d.run)), &d.run),
        )
        .fact("By", Cell::text(&d.requested_by))
        .fact("When", ask.when(d.requested_at).with_exact())
        .fact("Why", Cell::text(&d.reason))
        .fact("Decided by", d.decided_by.as_ref().map(Cell::text))
        .fact("Verdict", d.verdict.as_ref().map(Cell::text))
        .copy(&Copy::get(
            &format!("declassification show {id}"),
            &ask.place.base,
            &format!("/declassifications/{id}"),
        ));
    let what = Section::new("what", "What is taken back")
        .note("From the run's whole tree; what its agent carries into later runs goes too.")
        .with(&Lines::new(&d.labels))
        .with(&table(&ask, &d.raised));
    let mut page = ask
        .page(format!("Declassification {}", d.id))
        .with(&header)
        .with(&what);
    let asked = d.requested_by == ask.session()?.person.email.to_string();
    if d.state == "requested" && (asked || ask.holds(Role::Approver)) {
        page = page.with(&decide(&ask, &d, asked));
    }
    page.ok()
}

/// Control says who may: the approver has no part in the run, and who asked may take it back.
fn decide(ask: &Ask, d: &DeclassificationView, asked: bool) -> Section {
    let to = |verb: &str| format!("/labels/{}/{verb}", d.id);
    let reason = Field::new("reason", "Why", Input::Line)
        .hint("Kept in the ledger.")
        .required();
    if asked {
        let form = ask
            .form("withdraw", &to("refuse"))
            .field(reason)
            .button("Withdraw", Tone::Plain);
        return Section::new("decide-it", "Withdraw")
            .note("An approver who has no part in the run decides; who asked may take it back.")
            .with(&form);
    }
    let form = ask
        .form("decide", &to("approve"))
        .field(reason)
        .with(Button::new("Take them back", Tone::Danger))
        .with(Button::new("Leave them", Tone::Plain).to(ask.to(&to("refuse"))));
    Section::new("decide-it", "Decide")
        .note("For an approver who has no part in the run.")
        .with(&form)
}

async fn approve(ask: Ask) -> Result<Answer, Fault> {
    let (id, why) = said(&ask)?;
    ask.control()
        .approve_declassification(&ask.caller()?, &id, why)
        .await?;
    ask.done(&format!("/labels/{id}"), "declassified")
}

async fn refuse(ask: Ask) -> Result<Answer, Fault> {
    let (id, why) = said(&ask)?;
    ask.control()
        .refuse_declassification(&ask.caller()?, &id, why)
        .await?;
    ask.done(&format!("/labels/{id}"), "kept")
}

fn said(ask: &Ask) -> Result<(DeclassificationId, DeclassificationVerdict), Fault> {
    let reason = ask.field("reason").to_owned();
    Ok((ask.named("id")?, DeclassificationVerdict { reason }))
}
