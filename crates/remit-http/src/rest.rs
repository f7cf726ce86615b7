//! REST: one table of routes, from which the router, the OpenAPI document and the authorization tests are made.
//!
//! A route says who may call it; that is checked before anything else of the request is looked at. What a caller may do
//! with one record (own it, sponsor it) is decided below, in control.

mod agent;
mod approval;
mod ask;
mod authorization_server;
mod breaker;
mod bundle;
mod containment;
mod credential;
mod delegation;
mod dispatch;
mod document;
mod enforcement_point;
mod evidence;
mod freeze;
mod key;
mod lease;
mod limit;
mod list;
mod openapi;
mod organization;
mod person;
mod policy;
mod route;
mod run;
mod scim;
mod secret;
mod session;
mod setting;
mod signal;
mod svid;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod ticket;
mod tool;
mod trusted_issuer;
mod upstream;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, on};

use crate::guard;
use crate::site::Site;

use ask::{Ask, Nothing, Reply};
pub use openapi::document as openapi;
pub(crate) use route::Route;
#[cfg(test)]
pub(crate) use route::Who;
use route::route;

/// Where the interface begins.
pub(crate) const BASE: &str = "/api/v1";

/// The endpoints of one organization.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    let mut router =
        Router::new().route("/api/v1/openapi.json", axum::routing::get(openapi::serve));
    for route in table::all() {
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else {
            continue;
        };
        let path = format!("{BASE}{}", route.path);
        let open = route.is_open();
        let route = Arc::new(route);
        let handler = on(filter, move |State(site): State<Site>, request: Request| {
            let route = Arc::clone(&route);
            async move { dispatch::dispatch(site, route, request).await }
        });
        // What takes no credential takes a code that could be guessed at.
        let handler = if open {
            handler.layer(from_fn_with_state(site.clone(), guard::code_endpoint))
        } else {
            handler
        };
        router = router.route(&path, handler);
    }
    router
}
