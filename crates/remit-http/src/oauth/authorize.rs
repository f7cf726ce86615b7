//! The authorization endpoint: from a client's request to the page on which a person decides it.
//!
//! Source: RFC 6749 §3.1 and §4.1, RFC 9126 §2. The page is the console's; it gets the request sealed.

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use remit_issuer::NotAsked;
use remit_token::authorization::AuthorizationParameters;
use remit_token::oauth_error::OAuthError;

use super::Refused;
use super::form::Form;
use crate::site::{Place, Site};

/// The request in the address. A form from a client's own page is of another origin, which no endpoint here takes.
pub(super) async fn by_get(
    State(site): State<Site>,
    place: Place,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    ask(&site, &place, AuthorizationParameters::from_pairs(pairs)).await
}

async fn ask(
    site: &Site,
    place: &Place,
    parameters: Result<AuthorizationParameters, OAuthError>,
) -> Response {
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(error) => return told(&error),
    };
    let (issuer, org) = (site.app.issuer.clone(), place.org().clone());
    let asked = super::to_its_end(async move { issuer.authorize(&org, &parameters).await });
    match asked
        .await
        .unwrap_or_else(|error| Err(NotAsked::Told(error)))
    {
        Ok(sealed) => {
            let root = &site.app.public_url;
            let at = place.base.strip_prefix(root.as_str()).unwrap_or_default();
            see(&format!("{at}/consent?request={sealed}"))
        }
        Err(NotAsked::Sent(to)) => see(&to),
        Err(NotAsked::Told(error)) => told(&error),
    }
}

/// A request that is pushed beforehand, by a client that proves itself.
pub(super) async fn push(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Refused> {
    let proof = super::proof(&request)?;
    let form = Form::read(request).await?;
    let parameters = AuthorizationParameters::from_pairs(form.pairs())?;
    let (issuer, org, client) = (site.app.issuer.clone(), place.org().clone(), form.client()?);
    let pushed = super::to_its_end(async move {
        issuer
            .push(&org, &client, &parameters, proof.as_deref())
            .await
    });
    let pushed = pushed.await??;
    Ok((StatusCode::CREATED, Json(pushed)).into_response())
}

fn see(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(value) => (StatusCode::SEE_OTHER, [(header::LOCATION, value)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// A person stands here whom the client cannot be told about.
fn told(error: &OAuthError) -> Response {
    let text = error
        .error_description
        .replace('&', "&amp;")
        .replace('<', "&lt;");
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>This does not work</title>\n</head>\n<body>\n\
         <main>\n<h1>This does not work</h1>\n<p>{text}.</p>\n<p>Nothing was let or sent. Tell whoever runs the agent.</p>\n</main>\n</body>\n</html>\n"
    );
    (StatusCode::BAD_REQUEST, Html(page)).into_response()
}
