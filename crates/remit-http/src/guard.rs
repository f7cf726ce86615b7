//! What every request passes before anything else looks at it, and every answer on its way out.
//!
//! Host and Origin are checked on every surface, so that a page in a browser can reach nothing by a name of its own
//! (DNS rebinding). Nothing is ever built from them.

mod addresses;
mod answer;
mod limiter;
mod names;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use remit_domain::RefusalCode;
use remit_token::BearerError;
use tokio::sync::Semaphore;

pub(crate) use answer::finish;
pub(crate) use limiter::{Failures, Limiter};

use crate::limits::{
    ANSWER_TIME_MAX, CODE_ATTEMPTS_BURST, OPEN_REQUESTS_BURST, REFUSED_CREDENTIALS_BURST,
    REQUESTS_AT_ONCE_MAX,
};
use crate::problem::Problem;
use crate::site::{App, Site};

use addresses::Addresses;
use names::Names;

/// The checks and their state.
pub(crate) struct Guard {
    names: Names,
    addresses: Addresses,
    at_once: Arc<Semaphore>,
    open: Limiter,
    clients: Failures,
    codes: Limiter,
    refused: Limiter,
    pub(crate) secure: bool,
}

impl Guard {
    pub(crate) fn new(app: &App) -> Self {
        Self {
            names: Names::new(&app.public_url, &app.hosts, app.on_loopback),
            addresses: Addresses {
                behind_proxy: app.behind_proxy,
            },
            at_once: Arc::new(Semaphore::new(REQUESTS_AT_ONCE_MAX)),
            open: Limiter::new(OPEN_REQUESTS_BURST, 10),
            clients: Failures::new(OPEN_REQUESTS_BURST, 10),
            codes: Limiter::new(CODE_ATTEMPTS_BURST, 60),
            refused: Limiter::new(REFUSED_CREDENTIALS_BURST, 60),
            secure: app.public_url.starts_with("https://"),
        }
    }
}

/// Host, Origin, and how many requests at once.
pub(crate) async fn door(State(site): State<Site>, request: Request, next: Next) -> Response {
    if let Err(problem) = site.guard.names.check(request.uri(), request.headers()) {
        return problem.into_response();
    }
    let Ok(_place) = Arc::clone(&site.guard.at_once).try_acquire_owned() else {
        return Problem::new(
            RefusalCode::Limited,
            "the server is busy; try again in a moment",
        )
        .into_response();
    };
    let client = site.guard.addresses.of(&request);
    let mut response = next.run(request).await;
    if response.status() == axum::http::StatusCode::UNAUTHORIZED
        && !asks_for_nonce(&response)
        && !site.guard.refused.allows(client)
    {
        let text = "too many credentials from this address were refused; wait a minute, and check the credential";
        response = Problem::new(RefusalCode::Limited, text).into_response();
    }
    response
}

/// Whether an answer only gives the nonce that a proof needs, to somebody whose token is good.
fn asks_for_nonce(response: &Response) -> bool {
    let challenge = response.headers().get(axum::http::header::WWW_AUTHENTICATE);
    let text = challenge.and_then(|value| value.to_str().ok());
    text.is_some_and(|text| text.contains(BearerError::UseDpopNonce.as_str()))
}

/// The limit of endpoints that need no credential.
pub(crate) async fn open_endpoint(
    State(site): State<Site>,
    request: Request,
    next: Next,
) -> Response {
    limited(&site, &site.guard.open, request, next).await
}

/// The limit of endpoints that take a single-use code.
pub(crate) async fn code_endpoint(
    State(site): State<Site>,
    request: Request,
    next: Next,
) -> Response {
    limited(&site, &site.guard.codes, request, next).await
}

/// The limit of endpoints at which clients prove themselves: what is refused counts. Who has proved itself has a limit of its own,
/// so that any number of agents may share an address.
pub(crate) async fn client_endpoint(
    State(site): State<Site>,
    request: Request,
    next: Next,
) -> Response {
    let address = site.guard.addresses.of(&request);
    if !site.guard.clients.allows(address) {
        return too_many();
    }
    let response = next.run(request).await;
    if !response.status().is_success() {
        site.guard.clients.count(address);
    }
    response
}

async fn limited(site: &Site, limiter: &Limiter, request: Request, next: Next) -> Response {
    if limiter.allows(site.guard.addresses.of(&request)) {
        return next.run(request).await;
    }
    too_many()
}

fn too_many() -> Response {
    too_many_requests().into_response()
}

pub(crate) fn too_many_requests() -> Problem {
    let text = "too many requests from this address; wait a moment";
    Problem::new(RefusalCode::Limited, text)
}

/// The longest an answer may take, for everything but MCP calls, which have their own limit.
pub(crate) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            RefusalCode::Timeout,
            "there was no answer in time; read what became of it before repeating",
        )
        .into_response(),
    }
}
