//! Tickets: what another system says of the tickets that runs work on.

use axum::http::Method;
use remit_control::{ListQuery, Listing, TicketHook, TicketSigned, TicketSpec, TicketView};

use super::table::{EVERYBODY, PERSON, RESPONDER_ADMIN};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/tickets", PERSON, "What is known of tickets", tickets),
        route(Method::GET, "/tickets/{id}", PERSON, "What is known of one ticket", ticket),
        route(Method::POST, "/tickets/hook", EVERYBODY, "Take in the state of a ticket, signed by the system that keeps it (Standard Webhooks)", hook),
        route(Method::PUT, "/tickets/{id}", RESPONDER_ADMIN, "Tell the state of a ticket", put),
    ]
}

async fn tickets(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<TicketView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.tickets(&ask.caller()?, &ask.query)?.into())
}

async fn ticket(ask: Ask) -> Result<Reply<TicketView>, Problem> {
    let id: String = ask.named("id")?;
    let control = &ask.site.app.control;
    Ok(control.ticket(&ask.caller()?, &id)?.into())
}

async fn put(ask: Ask<TicketSpec>) -> Result<Reply<TicketView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named::<String>("id")?);
    let control = &ask.site.app.control;
    let saved = control.put_ticket(&caller, &id, &ask.body);
    Ok(Reply::saved(saved.await?))
}

async fn hook(ask: Ask<TicketHook>) -> Result<Reply<TicketView>, Problem> {
    let header = |name: &str| {
        let value = ask.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    };
    let signed = TicketSigned {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signatures: header("webhook-signature"),
        body: &ask.raw,
    };
    let control = &ask.site.app.control;
    let saved = control.hooked_ticket(ask.place.org(), signed, &ask.body);
    Ok(saved.await?.view.into())
}
