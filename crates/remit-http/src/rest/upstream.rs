//! Systems and the servers that belong to them.

use axum::http::Method;
use remit_control::spec::{SystemSpec, UpstreamSpec};
use remit_control::{ListQuery, Listing, Offer, SyncReport, SystemView, UpstreamView};

use super::table::{ADMIN, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/systems", PERSON, "Systems", systems),
        route(Method::GET, "/systems/{name}", PERSON, "One system", system),
        route(Method::PUT, "/systems/{name}", ADMIN, "Create or change a system", put_system),
        route(Method::GET, "/upstreams", PERSON, "Upstreams", upstreams),
        route(Method::GET, "/upstreams/{name}", PERSON, "One upstream", upstream),
        route(Method::PUT, "/upstreams/{name}", ADMIN, "Create or change an upstream", put_upstream),
        route(Method::POST, "/upstreams/{name}/sync", ADMIN, "Read the tools of an upstream", sync),
        route(Method::POST, "/upstreams/{name}/offer", ADMIN, "Take in the tools of an upstream that Remit does not reach: a wrapped or a guarded one", offer),
    ]
}

async fn systems(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<SystemView>>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .systems(&ask.caller()?, &ask.query)?
        .into())
}

async fn system(ask: Ask) -> Result<Reply<SystemView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .system(&ask.caller()?, &ask.named("name")?)?
        .into())
}

async fn put_system(ask: Ask<SystemSpec>) -> Result<Reply<SystemView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named("name")?);
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_system(&caller, &name, ask.body, ask.seen)
            .await?,
    ))
}

async fn upstreams(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<UpstreamView>>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .upstreams(&ask.caller()?, &ask.query)?
        .into())
}

async fn upstream(ask: Ask) -> Result<Reply<UpstreamView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .upstream(&ask.caller()?, &ask.named("name")?)?
        .into())
}

async fn put_upstream(ask: Ask<UpstreamSpec>) -> Result<Reply<UpstreamView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named("name")?);
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_upstream(&caller, &name, ask.body, ask.seen)
            .await?,
    ))
}

async fn sync(ask: Ask<Nothing>) -> Result<Reply<SyncReport>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .sync_upstream(&ask.caller()?, &ask.named("name")?)
        .await?
        .into())
}

async fn offer(ask: Ask<Offer>) -> Result<Reply<SyncReport>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named("name")?);
    Ok(ask
        .site
        .app
        .control
        .sync_offer(&caller, &name, ask.body)
        .await?
        .into())
}
