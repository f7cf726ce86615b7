//! Enforcement points: which gateways may ask for decisions, and about whom.

use axum::http::Method;
use remit_control::spec::EnforcementPointSpec;
use remit_control::{EnforcementPointView, ListQuery, Listing};
use remit_domain::name::Name;

use super::agent::Because;
use super::table::{ADMIN, PERSON, RESPONDER_ADMIN};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/enforcement-points", PERSON, "Gateways that ask for decisions", points),
        route(Method::GET, "/enforcement-points/{name}", PERSON, "One enforcement point", point),
        route(Method::PUT, "/enforcement-points/{name}", ADMIN, "Register or change an enforcement point", put),
        route(Method::POST, "/enforcement-points/{name}/disable", RESPONDER_ADMIN, "Take an enforcement point out of use at once", disable),
    ]
}

async fn points(
    ask: Ask<Nothing, ListQuery>,
) -> Result<Reply<Listing<EnforcementPointView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .enforcement_points(&ask.caller()?, &ask.query)?
        .into())
}

async fn point(ask: Ask) -> Result<Reply<EnforcementPointView>, Problem> {
    let name: Name = ask.named("name")?;
    let control = &ask.site.app.control;
    Ok(control.enforcement_point(&ask.caller()?, &name)?.into())
}

async fn put(ask: Ask<EnforcementPointSpec>) -> Result<Reply<EnforcementPointView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let saved = control.put_enforcement_point(&caller, &name, ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}

async fn disable(ask: Ask<Because>) -> Result<Reply<EnforcementPointView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let disabled = control.disable_enforcement_point(&caller, &name, &ask.body.reason);
    Ok(disabled.await?.into())
}
