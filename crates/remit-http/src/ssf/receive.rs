//! Signals that others send here.
//!
//! Source: RFC 8935 §2. What a signal does is decided in `remit_control::take_signal`.

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use remit_control::{Control, ControlError, SignalDone, SignalHeard};
use remit_domain::signal::SignalTransmitter;
use remit_domain::{OrgId, Refusal};
use remit_issuer::{Heard, HeardError, Issuer};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{answered, whole};
use crate::problem::Problem;
use crate::site::{Place, Site};
use crate::{bearer, body};

/// The media type of a security event token.
const SET: &str = "application/secevent+jwt";

/// Takes a signal that holds: what follows from it is done, once. One that was taken before is counted.
///
/// # Errors
/// When it cannot be recorded; nothing was done then, and the signal has to be told again.
pub async fn take_signal(
    issuer: &Issuer,
    control: &Control,
    org: &OrgId,
    transmitter: &SignalTransmitter,
    heard: Heard,
) -> Result<SignalDone, ControlError> {
    let change = heard.claims.get("change_type").and_then(Value::as_str);
    let heard = SignalHeard {
        transmitter: transmitter.id.clone(),
        change: change.map(str::to_owned),
        id: heard.id,
        event: heard.event,
        subject: heard.subject,
        issuer: heard.issuer,
    };
    let done = control.take_signal(org, &heard).await?;
    if done == SignalDone::Repeated {
        issuer.note_repeated(org, transmitter).await;
    }
    Ok(done)
}

/// Why a signal is not taken.
enum NotTaken {
    /// It is none that is believed here.
    Set(&'static str, String),
    /// Whoever sent it is not let in, or it cannot be looked at now.
    Problem(Problem),
}

impl From<Problem> for NotTaken {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self::Problem(refusal.into())
    }
}

impl From<ControlError> for NotTaken {
    fn from(error: ControlError) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for NotTaken {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Set(err, description) => {
                let said = json!({ "err": err, "description": description });
                let mut response = (StatusCode::BAD_REQUEST, Json(said)).into_response();
                let english = HeaderValue::from_static("en");
                response
                    .headers_mut()
                    .insert(header::CONTENT_LANGUAGE, english);
                response
            }
        }
    }
}

pub(super) async fn events(State(site): State<Site>, request: Request) -> Response {
    let taken = on_events(site, request).await;
    let answer = taken.map(|()| StatusCode::ACCEPTED.into_response());
    answered(answer.unwrap_or_else(IntoResponse::into_response))
}

async fn on_events(site: Site, request: Request) -> Result<(), NotTaken> {
    let (mut parts, sent) = request.into_parts();
    let place = Place::from_request_parts(&mut parts, &site).await?;
    let token = bearer::of(&parts.headers);
    let token = token.as_ref().map(|t| t.expose_secret());
    let (issuer, control) = (&site.app.issuer, &site.app.control);
    let transmitter = issuer.authenticate_transmitter(place.org(), token).await?;
    let invalid = |text: String| NotTaken::Set("invalid_request", text);
    if !body::is(&parts.headers, SET) {
        return Err(invalid(format!("`Content-Type` must be {SET}")));
    }
    let sent = whole(sent).await?;
    let sent = String::from_utf8(sent);
    let sent = sent.map_err(|_| invalid("the body is no token".to_owned()))?;
    let heard = issuer.hear(place.org(), &transmitter, sent.trim()).await;
    let heard = heard.map_err(|error| match error {
        HeardError::Not { err, description } => NotTaken::Set(err, description),
        // RFC 8935 §2.2: anything but 400 is told again.
        HeardError::Later(refusal) => refusal.into(),
    })?;
    take_signal(issuer, control, place.org(), &transmitter, heard).await?;
    Ok(())
}
