//! Trusted issuers: whose tokens make a workload an agent here.

use axum::http::Method;
use remit_control::spec::TrustedIssuerSpec;
use remit_control::{ListQuery, Listing, TrustedIssuerView};
use remit_domain::name::Name;
use remit_issuer::TrustedIssuerReport;

use super::agent::Because;
use super::table::{ADMIN, PERSON, RESPONDER_ADMIN};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/trusted-issuers", PERSON, "Issuers whose tokens say what a workload is", issuers),
        route(Method::GET, "/trusted-issuers/{name}", PERSON, "One trusted issuer", issuer),
        route(Method::PUT, "/trusted-issuers/{name}", ADMIN, "Register or change a trusted issuer", put),
        route(Method::POST, "/trusted-issuers/{name}/test", ADMIN, "Ask a trusted issuer for its keys now", test),
        route(Method::POST, "/trusted-issuers/{name}/disable", RESPONDER_ADMIN, "Trust an issuer no longer, at once", disable),
    ]
}

async fn issuers(
    ask: Ask<Nothing, ListQuery>,
) -> Result<Reply<Listing<TrustedIssuerView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.trusted_issuers(&ask.caller()?, &ask.query)?.into())
}

async fn issuer(ask: Ask) -> Result<Reply<TrustedIssuerView>, Problem> {
    let name: Name = ask.named("name")?;
    let control = &ask.site.app.control;
    Ok(control.trusted_issuer(&ask.caller()?, &name)?.into())
}

async fn put(ask: Ask<TrustedIssuerSpec>) -> Result<Reply<TrustedIssuerView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let saved = control.put_trusted_issuer(&caller, &name, ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}

async fn test(ask: Ask) -> Result<Reply<TrustedIssuerReport>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let app = &ask.site.app;
    let found = app.control.trusted_issuer(&caller, &name)?;
    let report = app.issuer.test_trusted_issuer(&caller.org, &found.id);
    Ok(report.await?.into())
}

async fn disable(ask: Ask<Because>) -> Result<Reply<TrustedIssuerView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let disabled = control.disable_trusted_issuer(&caller, &name, &ask.body.reason);
    Ok(disabled.await?.into())
}
