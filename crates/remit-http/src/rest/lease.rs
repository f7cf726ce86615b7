//! Leases: tokens of upstreams' own authorization servers. No endpoint gives one out.

use axum::http::Method;
use remit_control::{LeaseView, ListQuery, Listing};
use remit_domain::{LeaseId, RunId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::agent::Because;
use super::table::{RESPONDER_ADMIN, RESPONDER_ADMIN_AUDITOR};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/leases", RESPONDER_ADMIN_AUDITOR, "Tokens that upstreams' own authorization servers gave, newest first, without the tokens", leases),
        route(Method::GET, "/leases/{id}", RESPONDER_ADMIN_AUDITOR, "One lease: for whom it is, and how it ended", lease),
        route(Method::POST, "/leases/{id}/revoke", RESPONDER_ADMIN, "End a lease and revoke it at its source", revoke),
    ]
}

/// Which leases.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// At most this many, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// Only what comes after this one.
    after: Option<String>,
    /// Only what is in this state.
    state: Option<String>,
    /// Only of this run.
    run: Option<RunId>,
}

async fn leases(ask: Ask<Nothing, Wanted>) -> Result<Reply<Listing<LeaseView>>, Problem> {
    let caller = ask.caller()?;
    let control = &ask.site.app.control;
    let query = ListQuery {
        limit: ask.query.limit,
        after: ask.query.after.clone(),
        state: ask.query.state.clone(),
        ..ListQuery::default()
    };
    let found = control.leases(&caller, &query, ask.query.run.as_ref());
    Ok(found.await?.into())
}

async fn lease(ask: Ask) -> Result<Reply<LeaseView>, Problem> {
    let id: LeaseId = ask.named("id")?;
    let control = &ask.site.app.control;
    Ok(control.lease_of(&ask.caller()?, &id).await?.into())
}

async fn revoke(ask: Ask<Because>) -> Result<Reply<LeaseView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named::<LeaseId>("id")?);
    let control = &ask.site.app.control;
    let revoked = control.revoke_lease(&caller, &id, &ask.body.reason);
    Ok(revoked.await?.into())
}
