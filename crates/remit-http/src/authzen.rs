//! AuthZEN: decisions as a service, for the organization's own enforcement points.
//!
//! Only a registered enforcement point asks here, with a token of its own kind, and only about the agents assigned to it.
//! Evaluation and search are advice: they consume nothing. With `context.remit.enforce` an evaluation takes the walk of any
//! call, and its outcome is reported at `/access/v1/outcome`.
//!
//! | to | go to |
//! | --- | --- |
//! | know how a question is read | [`read`] |
//! | see what is answered | [`words`] |
//!
//! Source: OpenID AuthZEN Authorization API 1.0; AuthZEN Access Request and Approval Profile, draft 1 (openid/authzen
//! e287920e).

mod entity;
mod evaluation;
mod http;
mod metadata;
mod outcome;
mod read;
mod request;
mod search;
mod stream;
mod words;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use remit_domain::{Refusal, RefusalCode};
use remit_issuer::VerifiedPoint;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::bearer;
use crate::body::{self, BodyError};
use crate::limits::REQUEST_ID_BYTES_MAX;
use crate::refusals::row_of;
use crate::site::{Place, Site};

pub(crate) use metadata::routes as well_known;
pub(crate) use request::Keys;

/// This door, in records.
const DOOR: &str = "authzen";
/// Where a caller names its request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The endpoints of one organization.
pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/access/v1/evaluation", routing::post(evaluation::one))
        .route("/access/v1/evaluations", routing::post(evaluation::many))
        .route("/access/v1/search/subject", routing::post(search::subject))
        .route(
            "/access/v1/search/resource",
            routing::post(search::resource),
        )
        .route("/access/v1/search/action", routing::post(search::action))
        .route("/access/v1/outcome", routing::post(outcome::report))
        .route("/access/v1/requests", routing::post(request::submit))
        .route("/access/v1/requests/{id}", routing::get(request::status))
        .route(
            "/access/v1/requests/{id}/cancel",
            routing::post(request::cancel),
        )
        .layer(from_fn(echo))
}

/// The stream of decisions, which has no end that could be waited for.
pub(crate) fn streams() -> Router<Site> {
    Router::new()
        .route("/access/v1/decisions", routing::get(stream::of_point))
        .route("/api/v1/decisions/stream", routing::get(stream::of_auditor))
}

/// Gives the caller's own id of a request back (Authorization API 1.0, Request Identification).
async fn echo(request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).cloned();
    let printable = |b: &u8| (0x20..0x7f).contains(b);
    let given =
        given.filter(|id| id.len() <= REQUEST_ID_BYTES_MAX && id.as_bytes().iter().all(printable));
    let mut response = next.run(request).await;
    if let Some(id) = given {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Why a request as a whole is not answered: the body is a message (Authorization API 1.0, Error Responses).
pub(crate) struct NotAnswered(Refusal, Option<StatusCode>);

impl NotAnswered {
    /// The request is not valid.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Refusal::new(RefusalCode::InvalidRequest, text).into()
    }

    /// The same with another status than the table gives.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.1 = Some(status);
        self
    }
}

impl From<Refusal> for NotAnswered {
    fn from(refusal: Refusal) -> Self {
        Self(refusal, None)
    }
}

impl IntoResponse for NotAnswered {
    fn into_response(self) -> Response {
        let Self(refusal, status) = self;
        let row = row_of(refusal.code);
        let status = status.unwrap_or(row.status);
        let mut response = (status, Json(Value::String(refusal.to_string()))).into_response();
        if row.later {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

/// Who asks, and where.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) site: Site,
    pub(crate) place: Place,
    pub(crate) point: VerifiedPoint,
}

/// The enforcement point that sends a request. Nothing else of the request is looked at before it has proved itself.
///
/// - `door`: where it asks, for the record.
pub(crate) async fn point(
    site: &Site,
    place: &Place,
    headers: &HeaderMap,
    door: &'static str,
) -> Result<VerifiedPoint, Refusal> {
    let issuer = &site.app.issuer;
    let found = match bearer::of(headers) {
        Some(token) => {
            issuer
                .verify_point(place.org(), token.expose_secret())
                .await
        }
        None => Err(Refusal::new(
            RefusalCode::Unauthenticated,
            "send `Authorization: Bearer` with a token of an enforcement point; it gets one at the token endpoint with its key",
        )),
    };
    match found {
        Ok(point) => Ok(point),
        Err(refusal) => Err(issuer.refuse_point(place.org(), door, None, refusal).await),
    }
}

impl Asker {
    /// Who sends a request, and its body.
    pub(crate) async fn of(
        site: Site,
        request: Request,
    ) -> Result<(Self, HeaderMap, Body), NotAnswered> {
        let (mut parts, body) = request.into_parts();
        let place = Place::from_request_parts(&mut parts, &site).await;
        let place = place.map_err(|problem| {
            NotAnswered::from(Refusal::new(RefusalCode::NotFound, problem.detail))
        })?;
        let point = point(&site, &place, &parts.headers, DOOR).await?;
        let asker = Self { site, place, point };
        Ok((asker, parts.headers, body))
    }

    /// The same with the body read: one JSON object. What is wrong with it is a bad request, whatever it is (Authorization API
    /// 1.0, Error Responses).
    pub(crate) async fn with_body(
        State(site): State<Site>,
        request: Request,
    ) -> Result<(Self, HeaderMap, Value), NotAnswered> {
        let (asker, headers, body) = Self::of(site, request).await?;
        if !body::is(&headers, "application/json") {
            return Err(NotAnswered::invalid(
                "`Content-Type` must be application/json",
            ));
        }
        let bytes = body::read(body).await.map_err(|error| match error {
            BodyError::TooLarge => {
                NotAnswered::from(Refusal::new(RefusalCode::TooLarge, error.to_string()))
            }
            BodyError::TooSlow | BodyError::Broken => NotAnswered::invalid(error.to_string()),
        })?;
        let value =
            remit_mcp::json::read(&bytes).map_err(|e| NotAnswered::invalid(e.to_string()))?;
        if value.is_object() {
            Ok((asker, headers, value))
        } else {
            Err(NotAnswered::invalid("the body must be a JSON object"))
        }
    }

    /// Counts questions; each of a batch is one.
    pub(crate) fn count(&self, questions: usize) -> Result<(), NotAnswered> {
        let n = u32::try_from(questions).unwrap_or(u32::MAX);
        let gateway = &self.site.app.gateway;
        Ok(gateway.count_questions(&self.point.point.id, n)?)
    }
}
