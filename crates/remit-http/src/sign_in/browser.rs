//! A browser: its cookies, what it calls itself, and the JSON that a page of ours sends.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use remit_domain::RefusalCode;
use remit_issuer::PersonSession;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::body;
use crate::problem::Problem;
use crate::site::{Place, Site};

/// The values of the `Cookie` headers.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
}

/// What the browser calls itself.
pub(super) fn name(headers: &HeaderMap) -> &str {
    headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Who is signed in here.
pub(super) async fn signed_in(
    site: &Site,
    place: &Place,
    headers: &HeaderMap,
) -> Result<PersonSession, Problem> {
    let issuer = &site.app.issuer;
    let secret = issuer.cookies(place.org())?.session(cookies(headers));
    let secret = secret.ok_or_else(|| {
        Problem::new(
            RefusalCode::Unauthenticated,
            "you are not signed in here; sign in first",
        )
    })?;
    Ok(issuer.check_session(place.org(), &secret).await?)
}

/// The JSON of a page of ours. Browsers name the page with every POST, and another site's cannot send this media type.
pub(super) async fn read<B: DeserializeOwned>(request: Request) -> Result<(HeaderMap, B), Problem> {
    let (parts, body) = request.into_parts();
    if !parts.headers.contains_key(header::ORIGIN) {
        return Err(Problem::new(
            RefusalCode::Forbidden,
            "this is for pages of this server; a browser names its page as Origin",
        ));
    }
    if !body::is(&parts.headers, "application/json") {
        return Err(Problem::invalid("send JSON, as application/json")
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let bytes = whole(body).await?;
    let value: Value =
        remit_mcp::json::read(&bytes).map_err(|error| Problem::invalid(error.to_string()))?;
    let read = serde_json::from_value(value)
        .map_err(|error| Problem::invalid(format!("the body is not valid: {error}")))?;
    Ok((parts.headers, read))
}

async fn whole(body: Body) -> Result<Vec<u8>, Problem> {
    let code = |error| match error {
        body::BodyError::TooLarge => RefusalCode::TooLarge,
        body::BodyError::TooSlow => RefusalCode::Timeout,
        body::BodyError::Broken => RefusalCode::InvalidRequest,
    };
    body::read(body)
        .await
        .map_err(|error| Problem::new(code(error), error.to_string()))
}

/// Adds `Set-Cookie`, and keeps the answer out of every cache.
pub(super) fn with_cookies(
    mut response: Response,
    set: impl IntoIterator<Item = String>,
) -> Response {
    let headers = response.headers_mut();
    for cookie in set {
        if let Ok(mut value) = HeaderValue::from_str(&cookie) {
            value.set_sensitive(true);
            headers.append(header::SET_COOKIE, value);
        }
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
