//! Limits, and what is used of them.

use axum::http::Method;
use remit_control::spec::LimitSpec;
use remit_control::{LimitReport, LimitView, ListQuery, Listing};
use remit_domain::name::Name;

use super::table::{ADMIN, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/limits", PERSON, "Limits", limits),
        route(Method::GET, "/limits/{name}", PERSON, "One limit, with what is used of it now", limit),
        route(Method::PUT, "/limits/{name}", ADMIN, "Create or change a limit; never one's own", put),
    ]
}

async fn limits(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<LimitView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.limits(&ask.caller()?, &ask.query)?.into())
}

async fn limit(ask: Ask) -> Result<Reply<LimitReport>, Problem> {
    let name: Name = ask.named("name")?;
    let control = &ask.site.app.control;
    Ok(control.limit(&ask.caller()?, &name).await?.into())
}

async fn put(ask: Ask<LimitSpec>) -> Result<Reply<LimitView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let saved = control.put_limit(&caller, &name, ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}
