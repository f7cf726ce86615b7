//! Where things are, for whoever knows only an address. The suffix goes between host and path.
//!
//! Source: RFC 8414 §3.1, RFC 9728 §3.1, OpenID Connect Discovery 1.0 §4, MCP 2026-07-28 basic/authorization.

use axum::extract::{RawPathParams, State};
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use remit_issuer::Resource;
use serde::Serialize;

use crate::guard;
use crate::problem::Problem;
use crate::site::{Place, Site};

/// The documents of every organization.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    let mut router = Router::new();
    for org in ["", "/t/{org}"] {
        let at = |suffix: &str| format!("/.well-known/{suffix}{org}");
        router = router
            .route(
                &at("oauth-authorization-server"),
                routing::get(authorization_server),
            )
            .route(
                &at("openid-configuration"),
                routing::get(openid_configuration),
            )
            .route(
                &format!("{}/mcp", at("oauth-protected-resource")),
                routing::get(mcp),
            )
            .route(
                &format!("{}/mcp/{{upstream}}", at("oauth-protected-resource")),
                routing::get(mcp),
            )
            .route(
                &format!("{}/api/v1", at("oauth-protected-resource")),
                routing::get(api),
            );
    }
    // The form in which OpenID Connect appends it; MCP clients look there last.
    router
        .route(
            "/t/{org}/.well-known/openid-configuration",
            routing::get(openid_configuration),
        )
        .layer(from_fn_with_state(site.clone(), guard::open_endpoint))
}

async fn authorization_server(State(site): State<Site>, place: Place) -> Result<Response, Problem> {
    Ok(document(site.app.issuer.authorization_server(place.org())?))
}

async fn openid_configuration(State(site): State<Site>, place: Place) -> Result<Response, Problem> {
    Ok(document(site.app.issuer.openid_configuration(place.org())?))
}

async fn mcp(
    State(site): State<Site>,
    place: Place,
    params: RawPathParams,
) -> Result<Response, Problem> {
    let resource = match params.iter().find(|(key, _)| *key == "upstream") {
        None => Resource::Mcp,
        Some((_, name)) => {
            let name = name
                .parse()
                .map_err(|_| Problem::not_found("there is no such resource"))?;
            Resource::Upstream(name)
        }
    };
    Ok(document(
        site.app.issuer.protected_resource(place.org(), &resource)?,
    ))
}

async fn api(State(site): State<Site>, place: Place) -> Result<Response, Problem> {
    Ok(document(
        site.app
            .issuer
            .protected_resource(place.org(), &Resource::Api)?,
    ))
}

fn document(body: impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(body)).into_response()
}
