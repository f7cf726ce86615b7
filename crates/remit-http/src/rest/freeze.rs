//! Change freezes and time windows.

use axum::http::Method;
use remit_control::spec::FreezeSpec;
use remit_control::{FreezeView, ListQuery, Listing};
use remit_domain::name::Name;

use super::table::{ADMIN, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/freezes", PERSON, "Change freezes and time windows", freezes),
        route(Method::GET, "/freezes/{name}", PERSON, "One freeze or window", freeze),
        route(Method::PUT, "/freezes/{name}", ADMIN, "Create or change a freeze or window", put),
    ]
}

async fn freezes(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<FreezeView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.freezes(&ask.caller()?, &ask.query)?.into())
}

async fn freeze(ask: Ask) -> Result<Reply<FreezeView>, Problem> {
    let name: Name = ask.named("name")?;
    let control = &ask.site.app.control;
    Ok(control.freeze(&ask.caller()?, &name)?.into())
}

async fn put(ask: Ask<FreezeSpec>) -> Result<Reply<FreezeView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let saved = control.put_freeze(&caller, &name, ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}
