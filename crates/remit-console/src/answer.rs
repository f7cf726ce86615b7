//! What a page becomes on the wire, and the headers that every answer carries.

use axum::body::Body;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::ui::{Html, Notice};

/// Only what this server sends, from files of its own: no inline script, no inline style, no frame, no foreign form.
pub(crate) const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A page, before its surroundings.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) parts: Vec<Html>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) status: StatusCode,
    /// Seconds after which a browser without scripts asks for it again.
    pub(crate) again: Option<u8>,
}

impl Page {
    pub(crate) fn new(title: impl std::fmt::Display) -> Self {
        Self {
            title: title.to_string(),
            parts: Vec::new(),
            notices: Vec::new(),
            status: StatusCode::OK,
            again: None,
        }
    }

    pub(crate) fn again(mut self, secs: Option<u8>) -> Self {
        self.again = secs;
        self
    }

    pub(crate) fn with(mut self, part: &impl askama::Template) -> Self {
        self.parts.push(Html::of(part));
        self
    }

    pub(crate) fn html(mut self, part: Html) -> Self {
        self.parts.push(part);
        self
    }

    pub(crate) fn notice(mut self, notice: Option<Notice>) -> Self {
        self.notices.extend(notice);
        self
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn ok(self) -> Result<Answer, crate::fault::Fault> {
        Ok(Answer::Page(Box::new(self)))
    }
}

/// What a handler gives back.
pub(crate) enum Answer {
    Page(Box<Page>),
    /// A part of a page, which htmx puts where it belongs.
    Part(Html),
    /// Look there (303). An address of this server.
    See(String),
    /// The same, with cookies.
    SeeWith(String, Vec<Option<HeaderValue>>),
    /// Something to keep.
    File {
        name: String,
        kind: &'static str,
        body: String,
    },
    /// As it is.
    Raw(Response),
}

/// A redirect that makes a GET of whatever it answers.
pub(crate) fn see(address: &str) -> Response {
    let Ok(value) = HeaderValue::from_str(address) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, value)]).into_response()
}

/// A file to keep. Its name is one of ours: letters, digits, `-`, `_` and `.`.
pub(crate) fn file(name: &str, kind: &'static str, body: String) -> Response {
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .collect();
    let disposition = format!("attachment; filename=\"{name}\"");
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// HTML with its status.
pub(crate) fn html(status: StatusCode, body: String) -> Response {
    let kind = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    (status, [kind], body).into_response()
}

/// Puts on what every answer of the console carries.
///
/// Referrer-Policy is `same-origin`: with `no-referrer`, browsers send `Origin: null` with forms, which is refused.
pub(crate) fn dress(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.append(header::VARY, HeaderValue::from_static("Cookie, HX-Request"));
    response
}
