//! From a request to its handler: who asks, whether they may, and only then what they ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use remit_domain::RefusalCode;
use tracing::Instrument;

use super::ask::RawAsk;
use super::route::{Route, Who};
use crate::body::{self, BodyError};
use crate::identity::{self, Identity, identify_agent_too};
use crate::problem::Problem;
use crate::site::{Place, Site};

/// Answers one request.
pub(crate) async fn dispatch(site: Site, route: Arc<Route>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let place = match Place::from_request_parts(&mut parts, &site).await {
        Ok(place) => place,
        Err(problem) => match first(&site, &route, &parts) {
            Some(place) => place,
            None => return problem.into_response(),
        },
    };
    let answered = answer(&site, &place, &route, parts, body).await;
    answered.unwrap_or_else(|problem| identity::answer(&site, &place, problem))
}

/// The operator makes the first organization, when there is no place yet that a request could be for.
fn first(site: &Site, route: &Route, parts: &Parts) -> Option<Place> {
    let operators = route.who.contains(&Who::Operator) && parts.uri.path().starts_with(super::BASE);
    if operators {
        Place::before_any(site)
    } else {
        None
    }
}

async fn answer(
    site: &Site,
    place: &Place,
    route: &Route,
    mut parts: Parts,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let identity = who(site, place, route, &parts).await?;
    let path = path(&mut parts, site).await?;
    let original = parts.extensions.get::<OriginalUri>();
    let whole_path = original
        .map_or(parts.uri.path(), |uri| uri.path())
        .to_owned();
    let seen = if_match(&parts.headers)?;
    let body = if route.body.is_some() {
        read(&parts.headers, body).await?
    } else {
        Vec::new()
    };
    let ask = RawAsk {
        site: site.clone(),
        place: place.clone(),
        identity,
        path,
        uri: parts.uri,
        whole_path,
        headers: parts.headers,
        body,
        seen,
    };
    let running = (route.run)(ask);
    if route.method == Method::GET {
        return running.await;
    }
    // A change that was begun is ended, whether or not the client waits for it.
    match tokio::spawn(running.in_current_span()).await {
        Ok(answered) => answered,
        Err(error) => Err(Problem::internal(&error)),
    }
}

/// Who asks. Nothing else of a request is looked at before its sender is known to be one who may make it.
async fn who(
    site: &Site,
    place: &Place,
    route: &Route,
    parts: &Parts,
) -> Result<Option<Identity>, Problem> {
    if route.is_open() {
        return Ok(None);
    }
    // The operator's own organization has no people and no agents.
    let somewhere = (!place.book.is_operator()).then_some(place);
    let identity = identify_agent_too(site, somewhere, parts).await?;
    if route.who.iter().any(|who| who.includes(&identity)) {
        return Ok(Some(identity));
    }
    Err(Problem::new(RefusalCode::Forbidden, forbidden(route.who)))
}

fn forbidden(who: &[Who]) -> String {
    let named: Vec<_> = who.iter().map(|w| w.as_str()).collect();
    format!(
        "this is for: {}; an administrator gives people their roles",
        named.join(", ")
    )
}

async fn path(parts: &mut Parts, site: &Site) -> Result<BTreeMap<String, String>, Problem> {
    let params = RawPathParams::from_request_parts(parts, site).await;
    let params = params.map_err(|_| Problem::not_found("the address is not valid UTF-8"))?;
    Ok(params
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

async fn read(headers: &HeaderMap, body: axum::body::Body) -> Result<Vec<u8>, Problem> {
    let bytes = body::read(body).await.map_err(|error| match error {
        BodyError::TooLarge => Problem::new(RefusalCode::TooLarge, error.to_string()),
        BodyError::TooSlow => Problem::new(RefusalCode::Timeout, error.to_string())
            .with_status(StatusCode::REQUEST_TIMEOUT),
        BodyError::Broken => Problem::invalid(error.to_string()),
    })?;
    if !bytes.is_empty() && !body::is(headers, "application/json") {
        let problem = Problem::invalid("`Content-Type` must be application/json");
        return Err(problem.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    Ok(bytes)
}

/// The revision in `If-Match`: one strong ETag of ours, or `*` for any (RFC 9110 §13.1.1).
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let wrong =
        || Problem::invalid("`If-Match` must be one ETag that this server gave, such as \"4\"");
    let text = value.to_str().map_err(|_| wrong())?.trim();
    if values.next().is_some() {
        return Err(wrong());
    }
    if text == "*" {
        return Ok(None);
    }
    let revision = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .and_then(|t| t.parse().ok());
    revision.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn if_match_is_one_strong_tag() {
        let read = |text: &'static str| {
            if_match(&HeaderMap::from_iter([(
                header::IF_MATCH,
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(read("\"4\"").unwrap(), Some(4));
        assert_eq!(read("*").unwrap(), None);
        for wrong in ["4", "W/\"4\"", "\"4\", \"5\"", "\"x\"", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
    }
}
