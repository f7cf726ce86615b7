//! The bundle endpoint of a trust domain (SPIFFE Federation §5): everybody may read it, without a credential.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, routing};
use remit_domain::OrgId;
use remit_issuer::Issuer;

use crate::guard::{self, Limiter};
use crate::limits::OPEN_REQUESTS_BURST;
use crate::problem::Problem;
use crate::site::{Place, Site};

/// The endpoint of one organization.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    Router::new()
        .route("/spiffe/bundle", routing::get(bundle))
        .layer(from_fn_with_state(site.clone(), guard::open_endpoint))
}

async fn bundle(State(site): State<Site>, place: Place) -> Result<Response, Problem> {
    answer(&site.app.issuer, place.org()).await
}

async fn answer(issuer: &Issuer, org: &OrgId) -> Result<Response, Problem> {
    let bundle = issuer.bundle(org).await?;
    let max_age = format!("public, max-age={}", bundle.refresh_hint_s);
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, max_age),
    ];
    let body = serde_json::to_vec(&bundle).map_err(|e| Problem::internal(&e))?;
    Ok((headers, body).into_response())
}

/// Whose SVID a connection was shown: its bundle is served there, and nobody else's.
#[derive(Debug, Clone)]
pub struct ShownSvid(pub OrgId);

/// The bundle endpoint of the profile `https_spiffe` (SPIFFE Federation §5.2.2.3): a bundle at `/spiffe/bundle`, and nothing else. Serve it over
/// TLS with the SVID of an organization's endpoint, which goes with each request as [`ShownSvid`], beside the peer's address.
pub fn bundle_endpoint(issuer: Issuer) -> Router {
    let limiter = Arc::new(Limiter::new(OPEN_REQUESTS_BURST, 10));
    let served = move |peer: ConnectInfo<SocketAddr>, shown: Extension<ShownSvid>| async move {
        if !limiter.allows(peer.0.ip()) {
            return Err(guard::too_many_requests());
        }
        answer(&issuer, &shown.0.0).await
    };
    Router::new()
        .route("/spiffe/bundle", routing::get(served))
        .fallback(only_this)
        .layer(from_fn(guard::in_time))
}

async fn only_this() -> Problem {
    Problem::not_found("the bundle of a trust domain is here at /spiffe/bundle, and nothing else")
}
