//! Where the decision point is (Authorization API 1.0 §9). The suffix goes between host and path.

use axum::extract::State;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde_json::json;

use crate::guard;
use crate::problem::Problem;
use crate::site::{Place, Site};

/// The document of every organization.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    Router::new()
        .route("/.well-known/authzen-configuration", routing::get(document))
        .route(
            "/.well-known/authzen-configuration/t/{org}",
            routing::get(document),
        )
        .layer(from_fn_with_state(site.clone(), guard::open_endpoint))
}

async fn document(State(site): State<Site>, place: Place) -> Result<Response, Problem> {
    let issuer = &site.app.issuer;
    let at = issuer.decision_point_url(place.org())?;
    let url = |path: &str| format!("{at}/{path}");
    let body = json!({
        "policy_decision_point": issuer.issuer_url(place.org())?,
        "access_evaluation_endpoint": url("evaluation"),
        "access_evaluations_endpoint": url("evaluations"),
        "search_subject_endpoint": url("search/subject"),
        "search_resource_endpoint": url("search/resource"),
        "search_action_endpoint": url("search/action"),
        "access_request_endpoint": url("requests"),
        "jwks_uri": format!("{}/oauth2/jwks", issuer.issuer_url(place.org())?),
        "capabilities": ["urn:openid:authzen:capability:access-request"],
    });
    Ok(([(header::CACHE_CONTROL, "public, max-age=300")], Json(body)).into_response())
}
