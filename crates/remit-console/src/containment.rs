//! Stopping: always in the same place, what it stops shown first, and the certificate that says what has stopped.

pub(crate) mod impact;

use askama::Template;
use remit_control::{CertificateView, ContainmentView, ListQuery, Preview, TargetKind, TargetName};
use remit_domain::containment::{Certificate, ItemStatus, Level};
use remit_domain::{ContainmentId, Role};

use crate::agents::listed;
use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::live::News;
use crate::range::Range;
use crate::route::{ADMIN, PERSON, RESPONDER_ADMIN, RESPONDER_ADMIN_AUDITOR, Route, act, page};
use crate::ui::{
    Cell, Copy, Empty, Facts, Field, Filter, Header, Html, Input, Row, Section, Table, Tone,
};

/// Runs to choose from.
const RUNS: usize = 20;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/stop", RESPONDER_ADMIN, stop),
        act("/stop", RESPONDER_ADMIN, contain),
        page("/containments", RESPONDER_ADMIN_AUDITOR, list),
        page("/containments/{id}", PERSON, one),
        act("/containments/{id}/lift", RESPONDER_ADMIN, lift),
        act("/containments/{id}/confirm", ADMIN, confirm),
        act("/containments/{id}/withdraw", PERSON, withdraw),
    ]
}

fn level(word: Option<&str>) -> Level {
    match word {
        Some("suspend") => Level::Suspend,
        Some("kill") => Level::Kill,
        _ => Level::Quarantine,
    }
}

/// Everything that can be chosen, by the word of the address and the form; the narrowest first.
const KINDS: [(&str, TargetKind); 11] = [
    ("run", TargetKind::Run),
    ("workflow", TargetKind::Workflow),
    ("credential", TargetKind::Credential),
    ("chain", TargetKind::Chain),
    ("tool", TargetKind::Tool),
    ("definition", TargetKind::Definition),
    ("person", TargetKind::Person),
    ("agent", TargetKind::Agent),
    ("upstream", TargetKind::Upstream),
    ("model", TargetKind::Model),
    ("organization", TargetKind::Organization),
];

/// What the address or the form names; nothing where nothing was chosen yet.
fn target(given: impl Fn(&str) -> Option<String>) -> Option<TargetName> {
    let chosen = |(word, kind): &(&str, TargetKind)| Some((*kind, given(word)?));
    let (kind, text) = KINDS.iter().find_map(chosen)?;
    let by_id = matches!(
        kind,
        TargetKind::Run | TargetKind::Credential | TargetKind::Chain | TargetKind::Definition
    );
    let (name, id) = match by_id {
        true => (None, Some(text)),
        false => (Some(text), None),
    };
    Some(TargetName { kind, name, id })
}

#[derive(Template)]
#[template(
    source = "<h1>Stop</h1><p class=\"note\">Choose what to stop. Nothing happens before you have seen what it stops.</p>",
    ext = "html"
)]
struct Title;

async fn stop(ask: Ask) -> Result<Answer, Fault> {
    let chosen = target(|word| ask.q(word).map(str::to_owned));
    let page = ask.page("Stop").with(&Title);
    match chosen {
        None => page.with(&choose(&ask).await?).ok(),
        Some(target) => {
            let level = level(ask.q("level"));
            let preview = ask
                .control()
                .preview_containment(&ask.caller()?, &target, level)
                .await?;
            page.with(&levels(&ask, level))
                .with(&impact::ends(&ask, &preview))
                .with(&impact::reach(&ask, &preview).await?)
                .with(&order(&ask, &preview, level))
                .ok()
        }
    }
}

/// What can be stopped: by name, or one of what is going on.
async fn choose(ask: &Ask) -> Result<Section, Fault> {
    let filter = Filter::new(ask.to("/stop"))
        .search("agent", "Agent", None)
        .search("run", "or run (id)", None)
        .search("credential", "or credential (token id, thumbprint)", None)
        .search("chain", "or chain (any run of it)", None)
        .search("person", "or a person's delegations (address)", None)
        .search("upstream", "or upstream", None)
        .search("tool", "or tool (upstream/tool)", None)
        .search("definition", "or definition (hash)", None)
        .search("model", "or model", None)
        .search("organization", "or the organization (its name)", None);
    let query = ListQuery {
        limit: Some(RUNS),
        state: Some("active".to_owned()),
        ..ListQuery::default()
    };
    let runs = ask
        .control()
        .runs(&ask.caller()?, None, &query)
        .await?
        .items;
    let rows = runs.iter().map(|r| {
        Row::new(
            &r.id,
            vec![
                Cell::link(ask.to(&format!("/stop?run={}", r.id)), &r.id),
                Cell::link(
                    ask.to(&format!("/stop?agent={}", crate::ask::segment(&r.agent))),
                    &r.agent,
                ),
                Cell::text(&r.workflow),
                r.person.as_ref().map(Cell::text).into(),
                ask.when(r.started).into(),
            ],
        )
    });
    let table = Table::new(
        "going-on",
        "Runs that go on",
        &[
            "Stop this run",
            "or its agent",
            "Workflow",
            "For",
            "Started",
        ],
        Empty::new("No run goes on", "Name an agent above."),
    )
    .rows(rows);
    Ok(Section::new("choose", "What").with(&filter).with(&table))
}

#[derive(Template)]
#[template(path = "levels.html")]
struct Levels {
    levels: Vec<(String, &'static str, &'static str, bool)>,
}

fn levels(ask: &Ask, now: Level) -> Levels {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in ask
        .query
        .iter()
        .filter(|(name, _)| name != "level" && name != "done")
    {
        query.append_pair(name, value);
    }
    let query = query.finish();
    let all = [
        (
            Level::Suspend,
            "Suspend",
            "Nothing goes on. Lifting restores it; tokens stay revoked.",
        ),
        (
            Level::Quarantine,
            "Quarantine",
            "Nothing goes on and evidence is kept. A responder lifts it.",
        ),
        (
            Level::Kill,
            "Kill",
            "Final: keys are removed and runs ended. It never resumes by itself.",
        ),
    ];
    Levels {
        levels: all
            .into_iter()
            .map(|(level, words, text)| {
                (
                    ask.to(&format!("/stop?{query}&level={}", level.as_str())),
                    words,
                    text,
                    level == now,
                )
            })
            .collect(),
    }
}

fn order(ask: &Ask, preview: &Preview, level: Level) -> Section {
    let mut form = ask
        .form("contain", "/stop")
        .field(Field::hidden("level", level.as_str()));
    for (name, _) in KINDS {
        if let Some(value) = ask.q(name) {
            form = form.field(Field::hidden(name, value));
        }
    }
    if level == Level::Kill {
        let label = format!(
            "Type {} to confirm: this cannot be undone",
            crate::text::Shown::line(&preview.target)
        );
        form = form
            .field(Field::hidden("target", &preview.target))
            .field(Field::new("confirm", &label, Input::Line).required());
    }
    let words = match level {
        Level::Suspend => "Suspend now",
        Level::Quarantine => "Quarantine now",
        Level::Kill => "Kill now",
    };
    form = form
        .field(
            Field::new("reason", "Why", Input::Line)
                .hint("It stands in the certificate's containment.")
                .required(),
        )
        .button(words, Tone::Danger);
    Section::new("order", "Stop it").with(&form)
}

async fn contain(ask: Ask) -> Result<Answer, Fault> {
    let target = target(|word| ask.given(word))
        .ok_or_else(|| Fault::invalid("nothing was chosen; choose what to stop"))?;
    let level = level(Some(ask.field("level")));
    if level == Level::Kill && ask.field("confirm").trim() != ask.field("target") {
        return Err(Fault::invalid(
            "the name that was typed is not the target's; nothing was stopped",
        ));
    }
    let made = ask
        .control()
        .contain(&ask.caller()?, &target, level, ask.field("reason"))
        .await?;
    let word = match (made.state, level) {
        ("waiting", _) => "ordered",
        (_, Level::Kill) => "killed",
        _ => "contained",
    };
    ask.done(&format!("/containments/{}", made.id), word)
}

fn row(ask: &Ask, c: &ContainmentView) -> Row {
    let residual = c
        .certificate
        .as_ref()
        .map(|c| Cell::number(c.certificate.residual));
    Row::new(
        &c.id,
        vec![
            Cell::link(ask.to(&format!("/containments/{}", c.id)), &c.target_name),
            Cell::badge(c.level.as_str()),
            Cell::badge(match c.state {
                "active" => "contained",
                state => state,
            }),
            Cell::text(&c.reason),
            Cell::text(&c.by),
            ask.when(c.at).into(),
            residual.into(),
        ],
    )
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let range = Range::of(&ask)?;
    let listing = ask
        .control()
        .containments(&ask.caller()?, &range.list(&ask))
        .await?;
    let empty = Empty::new("Nothing is contained", "STOP, at the top of every page, stops an agent, a workflow, a run, a credential, a tool and more, and proves it.")
        .action(ask.to("/help/guides/first-hour-of-an-incident"), "The first hour of an incident")
        .commands(&["remit contain agent NAME --level quarantine --reason TEXT"]);
    let table = Table::new(
        "containments",
        "Containments, newest first",
        &[
            "Target",
            "Level",
            "State",
            "Why",
            "By",
            "When",
            "Not stopped",
        ],
        empty,
    )
    .rows(listing.items.iter().map(|c| row(&ask, c)))
    .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/containments")).select(
        "state",
        "State",
        &["active", "lifted", "waiting", "withdrawn"],
        ask.q("state"),
    );
    let filter = range.fields(&ask, filter);
    let copy = Copy::list(
        &ask,
        "containment ls",
        "/containments",
        &["state"],
        Some(&range),
    );
    let words = "Something was contained or lifted: show it";
    let news = News::of(&ask, "contained", "/containments", words).await;
    ask.page("Containment")
        .with(&news)
        .html(listed(
            "Containment",
            "What was stopped, and the proof of how far.",
            None,
            Some(&filter),
            &table,
            &copy,
        ))
        .ok()
}

async fn one(ask: Ask) -> Result<Answer, Fault> {
    let id: ContainmentId = ask.named("id")?;
    let c = ask.control().containment(&ask.caller()?, &id).await?;
    let header = Header::new("Containment", &c.target_name)
        .id(&c.id)
        .state(if c.state == "active" {
            "contained"
        } else {
            c.state
        })
        .fact("Level", Cell::badge(c.level.as_str()))
        .fact("By", Cell::text(&c.by))
        .fact("When", ask.when(c.at).with_exact())
        .fact("Why", Cell::text(&c.reason))
        .fact("Confirmed by", c.confirmed_by.as_ref().map(Cell::text))
        .fact(
            "Alone",
            c.alone
                .then(|| Cell::text("in an emergency, without a second person")),
        )
        .fact(
            "Lifted",
            c.lifted
                .as_ref()
                .map(|l| Cell::text(format!("{} by {}", ask.when(l.at).exact, l.by))),
        )
        .copy(&Copy::get(
            &format!("containment show {id}"),
            &ask.place.base,
            &format!("/containments/{id}"),
        ));
    let mut page = ask
        .page(format!("Containment of {}", c.target_name))
        .with(&header)
        .html(certificate(&ask, &c));
    if let Some(until) = c.confirm_by.filter(|_| c.state == "waiting") {
        page = page.with(&second(&ask, &c, &ask.when(until).exact));
    }
    if c.state == "active"
        && (c.level != Level::Kill || c.target.outlives_its_kill())
        && ask.holds_any(&[Role::Responder, Role::Admin])
    {
        let form = ask
            .form("lift", &format!("/containments/{id}/lift"))
            .field(Field::new("reason", "Why it may go on", Input::Line).required())
            .button("Lift", Tone::Main);
        page = page.with(
            &Section::new("lift-it", "Lift")
                .note("Its runs go on where they can; tokens have to be asked for again.")
                .with(&form),
        );
    }
    page.ok()
}

/// What another administrator has to say yes to.
fn second(ask: &Ask, c: &ContainmentView, until: &str) -> Section {
    let mut section = Section::new("second", "Waits for a second person").note(format!(
        "Nothing is contained yet. Another administrator than {} confirms it until {until}.",
        c.by
    ));
    if ask.holds_any(&[Role::Admin]) {
        let form = ask.form("confirm", &format!("/containments/{}/confirm", c.id));
        section = section.with(&form.button("Contain it now", Tone::Danger));
    }
    let form = ask.form("withdraw", &format!("/containments/{}/withdraw", c.id));
    section.with(&form.button("Take it back", Tone::Main))
}

/// Everything derived from the target, each as it was found.
fn items(ask: &Ask, certificate: &Certificate) -> Table {
    let rows = certificate.items.iter().map(|item| {
        let (state, text, until) = match &item.status {
            ItemStatus::Stopped { verified } => ("stopped", verified, None),
            ItemStatus::Bounded { until, why } => ("bounded", why, Some(*until)),
            ItemStatus::NotProved { why } => ("not proved", why, None),
        };
        Row::new(
            &item.id,
            vec![
                Cell::text(item.kind.replace('_', " ")),
                Cell::text(&item.label),
                Cell::badge(state),
                Cell::text(text),
                until.map(|t| ask.when(t).with_exact()).into(),
                Cell::code(&item.id),
            ],
        )
    });
    Table::new(
        "items",
        "Everything derived from it",
        &[
            "What",
            "Name",
            "How far",
            "How that is known",
            "Until",
            "Id",
        ],
        Empty::new("Nothing was going on", ""),
    )
    .rows(rows)
}

/// Credentials that Remit did not issue.
fn outside(certificate: &Certificate) -> Table {
    Table::new(
        "outside",
        "Outside Remit: not stopped by it",
        &["Kept in", "Name", "Of upstream"],
        Empty::new("None that Remit knows", ""),
    )
    .rows(certificate.outside.iter().map(|o| {
        let cells = vec![
            Cell::text(&o.kind),
            Cell::code(&o.id),
            Cell::text(o.of.as_str()),
        ];
        Row::new(format!("{} {}", o.of, o.id), cells)
    }))
}

fn certificate(ask: &Ask, c: &ContainmentView) -> Html {
    if c.certificate.is_none() && c.state != "active" {
        return Html::default();
    }
    let Some(certificate) = &c.certificate else {
        return Html::of(
            &Section::new("certificate", "Certificate").with(&Empty::new(
                "Not drawn up yet",
                "It is being made; open this page again.",
            )),
        );
    };
    let CertificateView {
        certificate: inner,
        stopped,
        bounded,
        not_proved,
        last_bound,
    } = certificate;
    let says = match (inner.is_final, inner.residual) {
        (true, 0) => "Final: everything derived from it has stopped.".to_owned(),
        (_, n) => format!(
            "{n} not stopped yet; a final certificate follows when the last bound has passed."
        ),
    };
    let facts = Facts::new()
        .row("Says", Cell::text(says))
        .row("Stopped", Cell::number(stopped))
        .row("Ends by itself", Cell::number(bounded))
        .row("Not proved", Cell::number(not_proved))
        .maybe("Last bound", last_bound.map(|t| ask.when(t).with_exact()))
        .row("Drawn up", ask.when(inner.at).with_exact())
        .row("Epoch", Cell::number(inner.epoch));
    let table = items(ask, inner);
    Html::of(
        &Section::new("certificate", "Certificate")
            .with(&facts)
            .with(&table)
            .with(&outside(inner)),
    )
}

async fn lift(ask: Ask) -> Result<Answer, Fault> {
    let id: ContainmentId = ask.named("id")?;
    ask.control()
        .lift_containment(&ask.caller()?, &id, ask.field("reason"))
        .await?;
    ask.done(&format!("/containments/{id}"), "lifted")
}

async fn confirm(ask: Ask) -> Result<Answer, Fault> {
    let id: ContainmentId = ask.named("id")?;
    ask.control()
        .confirm_containment(&ask.caller()?, &id)
        .await?;
    ask.done(&format!("/containments/{id}"), "contained")
}

async fn withdraw(ask: Ask) -> Result<Answer, Fault> {
    let id: ContainmentId = ask.named("id")?;
    ask.control()
        .withdraw_containment(&ask.caller()?, &id)
        .await?;
    ask.done(&format!("/containments/{id}"), "taken-back")
}
