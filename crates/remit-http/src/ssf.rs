//! Shared signals: receivers set up what they hear, and ask for it; transmitters send what they have to tell.
//!
//! A receiver comes in by a token of its own kind, and reaches its own streams and nothing else. What is delivered is decided in
//! `remit_issuer::signal`.
//!
//! Source: OpenID Shared Signals Framework 1.0 §7 and §8.1, RFC 8936.

mod receive;

pub use receive::take_signal;

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use remit_domain::signal::SignalReceiver;
use remit_domain::{Refusal, RefusalCode, SignalStreamId};
use remit_issuer::{PollRequest, StatusAsked, StreamAsked, SubjectAsked, VerificationAsked};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bearer;
use crate::body::{self, BodyError};
use crate::guard;
use crate::problem::Problem;
use crate::site::{Place, Site};

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route(
            "/ssf/streams",
            get(streams)
                .post(streams)
                .put(streams)
                .patch(streams)
                .delete(streams),
        )
        .route("/ssf/status", get(status).post(status))
        .route("/ssf/verify", post(verify))
        .route("/ssf/subjects/add", post(add_subject))
        .route("/ssf/subjects/remove", post(remove_subject))
        .route("/ssf/poll/{stream}", post(poll))
        .route("/ssf/events", post(receive::events))
}

/// The metadata of every organization; the suffix goes between host and path (SSF 1.0 §7.2).
pub(crate) fn well_known(site: &Site) -> Router<Site> {
    Router::new()
        .route("/.well-known/ssf-configuration", get(metadata))
        .route("/.well-known/ssf-configuration/t/{org}", get(metadata))
        .layer(from_fn_with_state(site.clone(), guard::open_endpoint))
}

async fn metadata(State(site): State<Site>, place: Place) -> Result<Response, Problem> {
    let document = site.app.issuer.transmitter_metadata(place.org())?;
    let cached = [(header::CACHE_CONTROL, "public, max-age=300")];
    Ok((cached, Json(document)).into_response())
}

/// A request of a receiver, read.
struct Asked {
    site: Site,
    place: Place,
    receiver: Arc<SignalReceiver>,
    method: Method,
    stream: Option<String>,
    body: Vec<u8>,
}

#[derive(Default, Deserialize)]
struct OfStream {
    stream_id: Option<String>,
}

impl Asked {
    async fn read(site: Site, request: Request) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let place = Place::from_request_parts(&mut parts, &site).await?;
        let token = bearer::of(&parts.headers);
        let token = token.as_ref().map(|t| t.expose_secret());
        let issuer = &site.app.issuer;
        let receiver = issuer.authenticate_receiver(place.org(), token).await?;
        let query = axum::extract::Query::<OfStream>::try_from_uri(&parts.uri);
        let query = query.map_err(|_| Problem::invalid("the query is not valid"))?;
        let params = RawPathParams::from_request_parts(&mut parts, &site).await;
        let params = params.map_err(|_| Problem::not_found("there is nothing at this address"))?;
        let named = params.iter().find(|(key, _)| *key == "stream");
        let named = named.map(|(_, value)| value.to_owned());
        let reads = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
        if reads && !body::is(&parts.headers, "application/json") {
            return Err(Problem::invalid("`Content-Type` must be application/json"));
        }
        let body = if reads {
            whole(body).await?
        } else {
            Vec::new()
        };
        Ok(Self {
            method: parts.method,
            stream: named.or(query.0.stream_id),
            site,
            place,
            receiver,
            body,
        })
    }

    fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let value = remit_mcp::json::read(&self.body);
        let value = value.map_err(|e| Problem::invalid(e.to_string()))?;
        let read = serde_json::from_value(value);
        read.map_err(|e| Problem::invalid(format!("the body is not valid: {e}")))
    }

    fn stream(&self) -> Result<Option<SignalStreamId>, Problem> {
        let unknown = || Problem::not_found("you have no such stream");
        let id = self.stream.as_ref();
        id.map(|id| id.parse().map_err(|_| unknown())).transpose()
    }

    fn one(&self) -> Result<SignalStreamId, Problem> {
        let missing = || Problem::invalid("`stream_id` is missing");
        self.stream()?.ok_or_else(missing)
    }
}

async fn whole(body: axum::body::Body) -> Result<Vec<u8>, Problem> {
    body::read(body).await.map_err(|error| match error {
        BodyError::TooLarge => Refusal::new(RefusalCode::TooLarge, error.to_string()).into(),
        BodyError::TooSlow | BodyError::Broken => Problem::invalid(error.to_string()),
    })
}

/// An answer that nobody keeps; who has not proved who they are hears how.
fn answered_or(answer: Result<Response, Problem>) -> Response {
    answered(answer.unwrap_or_else(IntoResponse::into_response))
}

fn answered(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

async fn streams(State(site): State<Site>, request: Request) -> Response {
    answered_or(on_streams(site, request).await)
}

async fn on_streams(site: Site, request: Request) -> Result<Response, Problem> {
    let asked = Asked::read(site, request).await?;
    let (issuer, org) = (&asked.site.app.issuer, asked.place.org());
    let receiver = &asked.receiver;
    Ok(match asked.method {
        Method::POST => {
            let wanted = asked.body::<StreamAsked>()?;
            let made = issuer.create_stream(org, receiver, &wanted).await?;
            (StatusCode::CREATED, Json(made)).into_response()
        }
        Method::PUT | Method::PATCH => {
            let whole = asked.method == Method::PUT;
            let wanted = asked.body::<StreamAsked>()?;
            let changed = issuer.change_stream(org, receiver, &wanted, whole);
            Json(changed.await?).into_response()
        }
        Method::DELETE => {
            issuer.delete_stream(org, receiver, &asked.one()?).await?;
            StatusCode::NO_CONTENT.into_response()
        }
        _ => {
            let only = asked.stream()?;
            let mut found = issuer.streams(org, receiver, only.as_ref())?;
            match (only, found.pop()) {
                (Some(_), Some(one)) => Json(one).into_response(),
                (_, last) => {
                    found.extend(last);
                    Json(found).into_response()
                }
            }
        }
    })
}

async fn status(State(site): State<Site>, request: Request) -> Response {
    answered_or(on_status(site, request).await)
}

async fn on_status(site: Site, request: Request) -> Result<Response, Problem> {
    let asked = Asked::read(site, request).await?;
    let (issuer, org) = (&asked.site.app.issuer, asked.place.org());
    let shown = if asked.method == Method::POST {
        let wanted = asked.body::<StatusAsked>()?;
        let set = issuer.set_stream_status(org, &asked.receiver, &wanted);
        set.await?
    } else {
        issuer.stream_status(org, &asked.receiver, &asked.one()?)?
    };
    Ok(Json(shown).into_response())
}

async fn verify(State(site): State<Site>, request: Request) -> Response {
    answered_or(on_verify(site, request).await)
}

async fn on_verify(site: Site, request: Request) -> Result<Response, Problem> {
    let asked = Asked::read(site, request).await?;
    let (issuer, org) = (&asked.site.app.issuer, asked.place.org());
    let wanted = asked.body::<VerificationAsked>()?;
    issuer.verify_stream(org, &asked.receiver, &wanted).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn add_subject(State(site): State<Site>, request: Request) -> Response {
    answered_or(on_subject(site, request, true).await)
}

async fn remove_subject(State(site): State<Site>, request: Request) -> Response {
    answered_or(on_subject(site, request, false).await)
}

async fn on_subject(site: Site, request: Request, hears: bool) -> Result<Response, Problem> {
    let asked = Asked::read(site, request).await?;
    let (issuer, org) = (&asked.site.app.issuer, asked.place.org());
    let wanted = asked.body::<SubjectAsked>()?;
    let set = issuer.set_subject(org, &asked.receiver, &wanted, hears);
    set.await?;
    let status = if hears {
        StatusCode::OK
    } else {
        StatusCode::NO_CONTENT
    };
    Ok(status.into_response())
}

async fn poll(State(site): State<Site>, request: Request) -> Response {
    answered_or(on_poll(site, request).await)
}

async fn on_poll(site: Site, request: Request) -> Result<Response, Problem> {
    let asked = Asked::read(site, request).await?;
    let (issuer, org) = (&asked.site.app.issuer, asked.place.org());
    let wanted = asked.body::<PollRequest>()?;
    let id = asked.one()?;
    let told = issuer.poll_signals(org, &asked.receiver, &id, &wanted);
    Ok(Json(told.await?).into_response())
}
