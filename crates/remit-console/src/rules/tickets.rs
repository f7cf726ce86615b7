//! Tickets: what their own systems, or people, told of them. Policies may ask for an open or an approved one.

use remit_control::TicketSpec;
use remit_domain::Role;

use super::{header, told};
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::Fault;
use crate::ui::{Cell, Copy, Empty, Field, Filter, Input, Row, Section, Table, Tone};

pub(super) async fn list(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask)?.ok()
}

fn shown(ask: &Ask) -> Result<Page, Fault> {
    let listing = ask.control().tickets(&ask.caller()?, &ask.list())?;
    let rows = listing.items.iter().map(|t| {
        Row::new(
            &t.id,
            vec![
                Cell::text(&t.id),
                Cell::badge(&t.state),
                ask.when(t.as_of).with_exact().into(),
                Cell::text(&t.by),
                ask.when(t.at).into(),
            ],
        )
    });
    let empty = Empty::new(
        "No ticket is known",
        "The system that keeps them tells their state by a signed hook; a responder can, too.",
    )
    .commands(&["remit ticket set ID --state approved"]);
    let table = Table::new(
        "tickets",
        "Tickets",
        &["Ticket", "State", "As of", "Told by", "When"],
        empty,
    )
    .rows(rows)
    .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/rules/tickets")).search("state", "State", ask.q("state"));
    let copy = Copy::get("ticket ls", &ask.place.base, "/tickets");
    let mut page = ask
        .page("Tickets")
        .with(&header(ask, "/tickets", &copy))
        .with(
            &Section::new("tickets-of", "Tickets")
                .with(&filter)
                .with(&table),
        );
    if ask.holds_any(&[Role::Admin, Role::Responder]) {
        let line = |name: &str, label: &str, hint: &str| {
            Field::new(name, label, Input::Line)
                .hint(hint)
                .value(ask.field(name))
                .required()
        };
        let form = ask
            .form("ticket", "/rules/tickets")
            .field(line("id", "Ticket", "As runs name it."))
            .field(line(
                "state",
                "State",
                "open, approved, closed, or another word.",
            ))
            .button("Tell it", Tone::Main);
        page = page.with(&Section::new("tell", "Tell the state of a ticket").with(&form));
    }
    Ok(page)
}

pub(super) async fn put(ask: Ask) -> Result<Answer, Fault> {
    let saved = async {
        let spec = TicketSpec {
            state: ask.field_as("state")?,
            as_of: None,
        };
        ask.control()
            .put_ticket(&ask.caller()?, ask.field("id").trim(), &spec)
            .await
            .map_err(Fault::from)
    };
    match saved.await {
        Ok(_) => ask.done("/rules/tickets", "saved"),
        Err(fault) if fault.is_correctable() => told(shown(&ask)?, &fault).ok(),
        Err(fault) => Err(fault),
    }
}
