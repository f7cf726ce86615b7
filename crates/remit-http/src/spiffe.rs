//! The bundle endpoint of a trust domain (SPIFFE Federation §5): everybody may read it, without a credential.

use axum::extract::State;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};

use crate::guard;
use crate::problem::Problem;
use crate::site::{Place, Site};

/// The endpoint of one organization.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    Router::new()
        .route("/spiffe/bundle", routing::get(bundle))
        .layer(from_fn_with_state(site.clone(), guard::open_endpoint))
}

async fn bundle(State(site): State<Site>, place: Place) -> Result<Response, Problem> {
    let bundle = site.app.issuer.bundle(place.org()).await?;
    let max_age = format!("public, max-age={}", bundle.refresh_hint_s);
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, max_age),
    ];
    let body = serde_json::to_vec(&bundle).map_err(|e| Problem::internal(&e))?;
    Ok((headers, body).into_response())
}
