//! Errors of REST: problem details.
//!
//! Source: RFC 9457 §3. Every refusal of a REST, ledger or operations endpoint leaves through here, with the status and
//! title of the one table in [`crate::refusals`].

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use remit_domain::{Refusal, RefusalCode};
use remit_token::{BearerError, Scope};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::refusals::row_of;

/// Start of every problem type; what follows is the refusal code.
pub const TYPE_PREFIX: &str = "https://remit.dev/problems/";

/// Seconds after which a refused request may be repeated, where repeating can help.
const RETRY_AFTER_S: u32 = 1;

/// A problem: what a REST request is refused with (RFC 9457 §3.1).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Problem {
    /// Address that names the sort of problem: `https://remit.dev/problems/` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short summary, the same for every problem of this sort.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What happened, why, and what to do.
    pub detail: String,
    /// Stable code.
    pub code: RefusalCode,
    /// The record it is about, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Box<str>>,
    /// Single faults, where a request has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Value>,
    /// What is wrong with the proof of the key that a token is bound to, for the challenge.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) proof: Option<BearerError>,
    /// Every scope of a token with which the same request would get further, for the challenge.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) needs: Option<Box<Scope>>,
}

impl Problem {
    /// A problem with its public text.
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        let row = row_of(code);
        Self {
            kind: format!("{TYPE_PREFIX}{code}"),
            title: row.title,
            status: row.status.as_u16(),
            detail: detail.into(),
            code,
            instance: None,
            errors: Vec::new(),
            proof: None,
            needs: None,
        }
    }

    /// The request is not valid.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(RefusalCode::InvalidRequest, detail)
    }

    /// There is no such thing, or none that the caller may know of.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(RefusalCode::NotFound, detail)
    }

    /// We could not. What went wrong is for the operator's trace, never for the caller.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        let mut chain = cause.to_string();
        let mut next = cause.source();
        while let Some(source) = next {
            chain.push_str(": ");
            chain.push_str(&source.to_string());
            next = source.source();
        }
        tracing::error!(cause = %chain, "request failed");
        Self::failed()
    }

    /// The books cannot be written or read now. Why is for the operator.
    pub fn unavailable(cause: &dyn std::error::Error) -> Self {
        tracing::error!(%cause, "the books cannot be written or read");
        Self::new(
            RefusalCode::LedgerUnavailable,
            "the books cannot be written or read now, so nothing was changed; the operator finds the cause with `remit doctor`, and in the log under the request id of this answer",
        )
    }

    /// The same where nothing more is known.
    pub fn failed() -> Self {
        Self {
            title: "Could not answer",
            status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
            ..Self::new(
                RefusalCode::LedgerUnavailable,
                "the server could not do this; nothing was changed. The operator finds the cause in the log under the request id of this answer",
            )
        }
    }

    /// With the single faults.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<Value>) -> Self {
        self.errors = errors;
        self
    }

    /// With another status than the table gives, where HTTP itself names a better one (405, 406, 412, 415).
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status.as_u16();
        self.title = status.canonical_reason().unwrap_or_default();
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.text)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        // A problem has only texts and numbers; what cannot fail is not worth a second path.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if row_of(self.code).later {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_published() {
        insta::assert_json_snapshot!(Problem::new(
            RefusalCode::Conflict,
            "agent `triage` is at revision 4"
        ));
    }

    #[test]
    fn causes_stay_inside() {
        let problem =
            Problem::internal(&std::io::Error::other("postgres://remit:hunter2@db/remit"));
        let text = serde_json::to_string(&problem).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn what_may_work_later_says_when() {
        let response = Problem::new(RefusalCode::Limited, "too many").into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
    }
}
