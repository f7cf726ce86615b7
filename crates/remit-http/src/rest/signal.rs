//! Signals: who hears what happens here, what was given up, and whose signals are heard.

use axum::http::Method;
use remit_control::{
    DeadSignalView, ListQuery, Listing, SignalReceiverSpec, SignalReceiverView, SignalToken,
    SignalTransmitterSpec, SignalTransmitterView,
};
use remit_domain::Timestamp;
use remit_domain::name::Name;
use remit_issuer::TrustedIssuerReport;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::agent::Because;
use super::list::page;
use super::table::{ADMIN, PERSON, RESPONDER_ADMIN};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/signal-receivers", PERSON, "Who hears what happens here, and what their streams have told", receivers),
        route(Method::GET, "/signal-receivers/{name}", PERSON, "One receiver of signals", receiver),
        route(Method::PUT, "/signal-receivers/{name}", ADMIN, "Add a receiver of signals, or set its audience", put_receiver),
        route(Method::POST, "/signal-receivers/{name}/token", ADMIN, "Make the receiver's token; the one before it ends", receiver_token),
        route(Method::POST, "/signal-receivers/{name}/revoke", RESPONDER_ADMIN, "Revoke a receiver of signals for good", revoke_receiver),
        route(Method::GET, "/signal-transmitters", PERSON, "Whose signals are heard here, and of whom they may tell", transmitters),
        route(Method::GET, "/signal-transmitters/{name}", PERSON, "One transmitter of signals", transmitter),
        route(Method::PUT, "/signal-transmitters/{name}", ADMIN, "Register a transmitter of signals, or change what is believed of it", put_transmitter),
        route(Method::POST, "/signal-transmitters/{name}/test", ADMIN, "Ask a transmitter for its keys now", test_transmitter),
        route(Method::POST, "/signal-transmitters/{name}/token", ADMIN, "Make the transmitter's token; the one before it ends", transmitter_token),
        route(Method::POST, "/signal-transmitters/{name}/revoke", RESPONDER_ADMIN, "Revoke a transmitter of signals for good", revoke_transmitter),
        route(Method::GET, "/dead-signals", PERSON, "Signals that their receiver did not take, and that were given up", dead),
        route(Method::POST, "/dead-signals/{id}/retry", RESPONDER_ADMIN, "Tell a signal once more that was given up", retry),
    ]
}

async fn receivers(
    ask: Ask<Nothing, ListQuery>,
) -> Result<Reply<Listing<SignalReceiverView>>, Problem> {
    let (caller, control) = (ask.caller()?, &ask.site.app.control);
    Ok(control.signal_receivers(&caller, &ask.query).await?.into())
}

async fn receiver(ask: Ask) -> Result<Reply<SignalReceiverView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    Ok(control.signal_receiver(&caller, &name).await?.into())
}

async fn put_receiver(ask: Ask<SignalReceiverSpec>) -> Result<Reply<SignalReceiverView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let saved = control.put_signal_receiver(&caller, &name, &ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}

/// For how long a token is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignalTokenLife {
    /// Days, 1 to 366.
    days: i64,
}

/// A token, shown once.
#[derive(Serialize, JsonSchema)]
struct MadeSignalToken {
    token: String,
    /// Where it is used.
    address: String,
    expires: Timestamp,
}

impl MadeSignalToken {
    fn of(made: SignalToken, address: String) -> Reply<Self> {
        Reply::created(Self {
            token: made.token.expose_secret().to_owned(),
            address,
            expires: made.expires,
        })
    }
}

async fn receiver_token(ask: Ask<SignalTokenLife>) -> Result<Reply<MadeSignalToken>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let made = control.make_receiver_token(&caller, &name, ask.body.days);
    let address = format!("{}/ssf/streams", ask.place.base);
    Ok(MadeSignalToken::of(made.await?, address))
}

async fn revoke_receiver(ask: Ask<Because>) -> Result<Reply<SignalReceiverView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let revoked = control.revoke_signal_receiver(&caller, &name, &ask.body.reason);
    Ok(revoked.await?.into())
}

async fn transmitters(
    ask: Ask<Nothing, ListQuery>,
) -> Result<Reply<Listing<SignalTransmitterView>>, Problem> {
    let control = &ask.site.app.control;
    let found = control.signal_transmitters(&ask.caller()?, &ask.query)?;
    Ok(found.into())
}

async fn transmitter(ask: Ask) -> Result<Reply<SignalTransmitterView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    Ok(control.signal_transmitter(&caller, &name)?.into())
}

async fn put_transmitter(
    ask: Ask<SignalTransmitterSpec>,
) -> Result<Reply<SignalTransmitterView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let saved = control.put_signal_transmitter(&caller, &name, &ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}

async fn test_transmitter(ask: Ask) -> Result<Reply<TrustedIssuerReport>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let app = &ask.site.app;
    let found = app.control.signal_transmitter(&caller, &name)?;
    let report = app.issuer.test_transmitter(&caller.org, &found.id);
    Ok(report.await?.into())
}

async fn transmitter_token(ask: Ask<SignalTokenLife>) -> Result<Reply<MadeSignalToken>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let made = control.make_transmitter_token(&caller, &name, ask.body.days);
    let address = format!("{}/ssf/events", ask.place.base);
    Ok(MadeSignalToken::of(made.await?, address))
}

async fn revoke_transmitter(ask: Ask<Because>) -> Result<Reply<SignalTransmitterView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let revoked = control.revoke_signal_transmitter(&caller, &name, &ask.body.reason);
    Ok(revoked.await?.into())
}

async fn dead(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<DeadSignalView>>, Problem> {
    let (caller, control) = (ask.caller()?, &ask.site.app.control);
    let all = control.dead_signals(&caller).await?;
    Ok(page(all, &ask.query, |d: &DeadSignalView| d.id.to_string()).into())
}

async fn retry(ask: Ask<Nothing>) -> Result<Reply<DeadSignalView>, Problem> {
    let (caller, control) = (ask.caller()?, &ask.site.app.control);
    Ok(control
        .retry_signal(&caller, &ask.named("id")?)
        .await?
        .into())
}
