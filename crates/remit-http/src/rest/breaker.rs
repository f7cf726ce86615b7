//! The circuit breaker.

use axum::http::Method;
use remit_control::BreakerView;
use remit_domain::breaker::Thresholds;

use super::table::{ADMIN, PERSON};
use super::{Ask, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/breaker", PERSON, "When the circuit breaker trips", breaker),
        route(Method::PUT, "/breaker", ADMIN, "Change when the circuit breaker trips, and what happens then", put),
    ]
}

async fn breaker(ask: Ask) -> Result<Reply<BreakerView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.breaker(&ask.caller()?)?.into())
}

async fn put(ask: Ask<Thresholds>) -> Result<Reply<BreakerView>, Problem> {
    let caller = ask.caller()?;
    let control = &ask.site.app.control;
    let saved = control.put_breaker(&caller, ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}
