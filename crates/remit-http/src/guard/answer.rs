//! What every answer gets on its way out: a request id, security headers, a span and a count.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use crate::ops::Surface;
use crate::presented::{self, DPOP_NONCE};
use crate::problem::Problem;
use crate::site::Site;

/// Name of the header with the request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Outermost of all: an id of ours (a received one is not believed), a span without secrets, a count, headers.
pub(crate) async fn finish(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let id: [u8; 8] = site.app.books.random();
    let id = u64::from_be_bytes(id);
    if let Some(value) = request.headers_mut().get_mut(header::AUTHORIZATION) {
        value.set_sensitive(true);
    }
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", |path| path.as_str())
        .to_owned();
    let method = request.method().clone();
    // The route, not the path: a path may hold an e-mail address.
    let span = tracing::info_span!("http", request_id = format_args!("{id:016x}"), %method, route);
    let proves = presented::proves(request.headers());
    let started = site.app.books.clock().monotonic();
    let mut response = run(request, next).instrument(span.clone()).await;
    let took = site.app.books.clock().monotonic().saturating_sub(started);
    let status = response.status();
    site.metrics.answered(Surface::of(&route), status.as_u16());
    span.in_scope(|| {
        tracing::debug!(
            status = status.as_u16(),
            took_us = took.as_micros(),
            "answered"
        )
    });
    dress(response.headers_mut(), site.guard.secure);
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 §15.5.2: a 401 names the scheme.
        response
            .headers_mut()
            .entry(header::WWW_AUTHENTICATE)
            .or_insert(HeaderValue::from_static("Bearer"));
    }
    if proves && let Ok(Ok(nonce)) = site.app.issuer.dpop_nonce().map(HeaderValue::try_from) {
        // RFC 9449 §8.2: whoever proves a key is given the nonce for the next proof.
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    if let Ok(value) = HeaderValue::from_str(&format!("{id:016x}")) {
        // AuthZEN gives its caller's own id back; it is set there already.
        response.headers_mut().entry(REQUEST_ID).or_insert(value);
    }
    response
}

/// A panic is a fault of ours: the caller hears that, and nothing of what it said.
async fn run(request: Request, next: Next) -> Response {
    use futures_util::FutureExt;
    let outcome = std::panic::AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .await;
    outcome.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        Problem::failed().into_response()
    })
}

fn dress(headers: &mut HeaderMap, secure: bool) {
    const CSP: &str =
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, CSP),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    // Public documents say themselves how long they keep.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if secure {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}
