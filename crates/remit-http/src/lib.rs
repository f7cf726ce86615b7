//! The HTTP surface: MCP, OAuth, REST, AuthZEN, Envoy's gRPC, the ledger and what operators look at, on one address.
//!
//! It reads requests, asks the services below, and writes answers; it decides nothing that a service decides. Every
//! address that it gives out comes from `public_url`; Host and Origin are checked, never used. It knows no store, no
//! policy language and no upstream.
//!
//! | to | go to |
//! | --- | --- |
//! | serve | [`router`] over an [`App`], or [`router_with`] pages for people |
//! | serve bundles to whoever knows us by SPIFFE | [`bundle_endpoint`] |
//! | know what a refusal is on each wire | [`refusals`] |
//! | add a REST endpoint | the table in `rest/table.rs` and its siblings: router, document and tests follow |
//! | change what every request passes | `guard.rs` |
//!
//! Specifications: MCP 2026-07-28 and 2025-11-25, OAuth (RFC 6749, RFC 6750, RFC 7009, RFC 7662, RFC 8414, RFC 8693,
//! RFC 9728), RFC 9457, RFC 9110, OpenAPI 3.1, c2sp.org/tlog-tiles, SPIFFE Federation, OpenMetrics, Envoy API v3.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

mod authenticator;
mod authzen;
mod bearer;
mod body;
mod by_route;
mod client_certificate;
mod envoy;
mod guard;
mod identity;
mod ledger;
pub mod limits;
mod mcp;
mod oauth;
mod ops;
mod page;
mod presented;
pub mod problem;
pub mod refusals;
mod rest;
mod scim;
mod sign_in;
mod site;
mod spiffe;
mod ssf;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};

pub use authenticator::TokenAuthenticator;
pub use client_certificate::ClientCertificate;
pub use rest::openapi;
pub use site::App;
pub use spiffe::{ShownSvid, bundle_endpoint};
pub use ssf::take_signal;

use problem::Problem;
use site::Site;

/// The whole surface, with a plain page at the root. Serve it with the peer's address as `ConnectInfo<SocketAddr>`, which
/// limits count by.
pub fn router(app: App) -> Router {
    router_with(app, page::routes())
}

/// The whole surface, with these pages for people: at `/`, `/enrol` and wherever else nothing of this surface is.
///
/// They pass what every request passes: Host and Origin, limits, time, and the headers of every answer that they do not
/// set themselves.
pub fn router_with(app: App, pages: Router) -> Router {
    let site = Site::new(app);
    let timed = |routes: Router<Site>| routes.layer(from_fn(guard::in_time));
    let of_org = || {
        mcp::routes()
            .merge(timed(oauth::routes(&site)))
            .merge(timed(rest::routes(&site)))
            .merge(timed(spiffe::routes(&site)))
            .merge(timed(ledger::routes(&site)))
            .merge(timed(sign_in::routes(&site)))
            .merge(timed(authzen::routes()))
            .merge(timed(scim::routes()))
            .merge(timed(ssf::routes()))
            .merge(authzen::streams())
    };
    Router::new()
        .merge(envoy::routes(&site))
        .merge(of_org())
        .nest("/t/{org}", of_org())
        .merge(timed(oauth::well_known(&site)))
        .merge(timed(authzen::well_known(&site)))
        .merge(timed(ssf::well_known(&site)))
        .merge(timed(ledger::operator_routes(&site)))
        .merge(ops::routes())
        .with_state(site.clone())
        .merge(pages.layer(from_fn(guard::in_time)))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(site.clone(), guard::door))
        .layer(from_fn_with_state(site, guard::finish))
}

async fn nothing_here() -> Problem {
    Problem::not_found("there is nothing at this address; /api/v1/openapi.json lists what there is")
}

async fn other_method() -> Problem {
    Problem::invalid("this address does not take that method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}
