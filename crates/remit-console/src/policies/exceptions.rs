//! Exceptions: one agent is not bound by one policy, for a while. Two people, always.

use remit_control::{ExceptionView, NewException};
use remit_domain::{ExceptionId, Role};

use super::header;
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::ui::{Cell, Copy, Empty, Field, Filter, Html, Input, Notice, Row, Section, Table, Tone};

const HOUR: i64 = 3_600;

pub(super) async fn list(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask, None)?.ok()
}

fn shown(ask: &Ask, fault: Option<&Fault>) -> Result<Page, Fault> {
    let listing = ask.control().exceptions(&ask.caller()?, &ask.list())?;
    let rows = listing.items.iter().map(|e| row(ask, e));
    let empty = Empty::new(
        "No exceptions",
        "Whoever needs one asks below; somebody else approves it, and it ends by itself.",
    )
    .commands(&["remit exception request --help"]);
    let head = [
        "Policy",
        "Agent",
        "Tool",
        "State",
        "Why",
        "Asked by",
        "Approved by",
        "Until",
        "Do",
    ];
    let table = Table::new("exceptions", "Exceptions", &head, empty)
        .rows(rows)
        .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/policies/exceptions")).select(
        "state",
        "State",
        &["requested", "approved", "expired", "revoked"],
        ask.q("state"),
    );
    let copy = Copy::get("exception ls", &ask.place.base, "/exceptions");
    let mut page = ask
        .page("Exceptions")
        .with(&header(ask, "/exceptions", &copy))
        .with(
            &Section::new("exceptions-of", "Exceptions")
                .note("Never from a guardrail. Every decision that rests on one names it.")
                .with(&filter)
                .with(&table),
        );
    if let Some(fault) = fault {
        page = page
            .notice(Some(Notice::new("bad", capitalized(&fault.text()))))
            .status(fault.status());
    }
    if ask.holds_any(&[Role::Admin, Role::Developer, Role::Responder]) {
        page = page.with(&Section::new("request-it", "Ask for one").with(&form(ask)));
    }
    Ok(page)
}

/// Whoever asked for it, and whoever may end anybody's.
fn may_end(ask: &Ask, e: &ExceptionView) -> bool {
    let me = ask.session.as_ref().map(|s| s.person.email.to_string());
    me.as_ref() == Some(&e.requested_by) || ask.holds_any(&[Role::Admin, Role::Responder])
}

fn row(ask: &Ask, e: &ExceptionView) -> Row {
    let button = |verb: &str, words: &str, tone| {
        let id = format!("{verb}-{}", e.id);
        let at = format!("/policies/exceptions/{}/{verb}", e.id);
        Html::of(&ask.form(id, &at).button(words, tone).inline())
    };
    let todo = match e.state {
        "requested" if ask.holds(Role::Admin) => {
            Cell::Html(button("approve", "Approve", Tone::Main))
        }
        "approved" if may_end(ask, e) => Cell::Html(button("revoke", "End it", Tone::Danger)),
        _ => Cell::Nothing,
    };
    Row::new(
        &e.id,
        vec![
            Cell::text(&e.policy),
            Cell::link(ask.to_named("/agents", e.agent.as_str(), ""), &e.agent),
            e.tool.as_ref().map(Cell::text).into(),
            Cell::badge(e.state),
            Cell::text(&e.reason),
            Cell::text(&e.requested_by),
            e.approved_by.as_ref().map(Cell::text).into(),
            e.until.map(|t| ask.when(t).with_exact()).into(),
            todo,
        ],
    )
}

fn form(ask: &Ask) -> crate::ui::Form {
    let line = |name: &str, label: &str, hint: &str| {
        Field::new(name, label, Input::Line)
            .hint(hint)
            .value(ask.field(name))
    };
    let hours = match ask.field("hours") {
        "" => "24",
        typed => typed,
    };
    ask.form("except", "/policies/exceptions")
        .field(line("policy", "Policy", "As SET/NAME.").required())
        .field(line("agent", "Agent", "").required())
        .field(line(
            "tool",
            "Tool",
            "As upstream/tool; every tool where nothing is given.",
        ))
        .field(Field::select(
            "hours",
            "For how many hours, from its approval",
            &["1", "8", "24", "72", "168"],
            hours,
        ))
        .field(line("reason", "Why", "").required())
        .button("Ask for it", Tone::Main)
}

fn asked(ask: &Ask) -> Result<NewException, Fault> {
    Ok(NewException {
        policy: ask.field("policy").trim().to_owned(),
        agent: ask.field_as("agent")?,
        tool: ask.given_as("tool")?,
        secs: ask.field_as::<i64>("hours")?.saturating_mul(HOUR),
        reason: ask.field("reason").trim().to_owned(),
    })
}

pub(super) async fn request(ask: Ask) -> Result<Answer, Fault> {
    let made = async {
        let new = asked(&ask)?;
        ask.control()
            .request_exception(&ask.caller()?, new)
            .await
            .map_err(Fault::from)
    };
    match made.await {
        Ok(_) => ask.done("/policies/exceptions", "requested"),
        Err(fault) if fault.is_correctable() => shown(&ask, Some(&fault))?.ok(),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn approve(ask: Ask) -> Result<Answer, Fault> {
    let id: ExceptionId = ask.named("id")?;
    ask.control().approve_exception(&ask.caller()?, &id).await?;
    ask.done("/policies/exceptions", "excepted")
}

pub(super) async fn revoke(ask: Ask) -> Result<Answer, Fault> {
    let id: ExceptionId = ask.named("id")?;
    ask.control().revoke_exception(&ask.caller()?, &id).await?;
    ask.done("/policies/exceptions", "ended")
}
