//! What a directory is refused with (RFC 7644 section 3.12).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use remit_control::ControlError;
use remit_domain::{Refusal, RefusalCode};
use serde_json::{Value, json};

use crate::problem::Problem;

/// The media type of every message.
pub(super) const MEDIA_TYPE: &str = "application/scim+json";
const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// A refusal.
#[derive(Debug)]
pub(super) struct ScimError {
    pub(super) status: StatusCode,
    kind: Option<&'static str>,
    detail: String,
}

impl ScimError {
    fn of(status: StatusCode, kind: Option<&'static str>, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
        }
    }

    /// The request is wrong in this way (RFC 7644, table 9).
    pub(super) fn bad(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::of(StatusCode::BAD_REQUEST, Some(kind), detail)
    }

    pub(super) fn not_found() -> Self {
        let text = "there is nothing at this address; ResourceTypes says what there is";
        Self::of(StatusCode::NOT_FOUND, None, text)
    }

    pub(super) fn method() -> Self {
        let text = "this address does not take that method";
        Self::of(StatusCode::METHOD_NOT_ALLOWED, None, text)
    }

    pub(super) fn not_implemented(detail: &str) -> Self {
        Self::of(StatusCode::NOT_IMPLEMENTED, None, detail)
    }

    pub(super) fn changed() -> Self {
        let text = "it has changed since that ETag; read it again and repeat";
        Self::of(StatusCode::PRECONDITION_FAILED, None, text)
    }

    /// The word under which it is recorded, where it is a filter or a change that is not looked at.
    pub(super) fn recorded_as(&self) -> Option<&'static str> {
        match self.kind {
            Some("invalidFilter") => Some("scim-filter-refused"),
            Some("tooMany") => Some("scim-too-many"),
            _ => None,
        }
    }

    /// The same as something that exists already.
    pub(super) fn uniqueness(self) -> Self {
        let conflict = self.status == StatusCode::CONFLICT;
        Self {
            kind: if conflict {
                Some("uniqueness")
            } else {
                self.kind
            },
            ..self
        }
    }
}

impl From<Problem> for ScimError {
    fn from(problem: Problem) -> Self {
        let invalid = problem.code == RefusalCode::InvalidRequest;
        Self {
            status: problem.status(),
            kind: invalid.then_some("invalidValue"),
            detail: problem.detail,
        }
    }
}

impl From<ControlError> for ScimError {
    fn from(error: ControlError) -> Self {
        Problem::from(error).into()
    }
}

impl From<Refusal> for ScimError {
    fn from(refusal: Refusal) -> Self {
        Problem::from(refusal).into()
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let mut body = json!({ "schemas": [SCHEMA], "status": self.status.as_u16().to_string(), "detail": self.detail });
        if let (Some(kind), Value::Object(members)) = (self.kind, &mut body) {
            members.insert("scimType".to_owned(), kind.into());
        }
        let mut response = message(self.status, &body);
        if self.status == StatusCode::UNAUTHORIZED {
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A message.
pub(super) fn message(status: StatusCode, body: &Value) -> Response {
    let content = [(header::CONTENT_TYPE, MEDIA_TYPE)];
    (status, content, body.to_string()).into_response()
}
