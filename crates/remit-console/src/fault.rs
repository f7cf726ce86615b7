//! Why there is no page, or nothing was done: what happened, why, what to do, and the id to ask with.

use askama::Template;
use axum::http::StatusCode;
use remit_control::ControlError;
use remit_domain::{Refusal, RefusalCode};

use crate::ask::Pairs;
use crate::text::Shown;
use crate::ui::Html;

/// Why not.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nobody is signed in, or not any more.
    SignedOut,
    /// A form came without its session's token: sent before the session ended, or by somebody else. It may be sent again by
    /// hand, from a page of ours that shows what it says.
    Again { action: String, form: Pairs },
    /// The answer is no.
    Refused {
        code: Option<RefusalCode>,
        text: String,
        more: Vec<String>,
    },
    /// We could not.
    Failed,
}

impl Fault {
    pub(crate) fn refused(code: RefusalCode, text: impl Into<String>) -> Self {
        Self::Refused {
            code: Some(code),
            text: text.into(),
            more: Vec::new(),
        }
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::refused(RefusalCode::InvalidRequest, text)
    }

    pub(crate) fn not_found() -> Self {
        Self::refused(RefusalCode::NotFound, "there is nothing at this address")
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::Again { .. } => StatusCode::FORBIDDEN,
            Self::Refused { code: None, .. } => StatusCode::BAD_REQUEST,
            Self::Refused {
                code: Some(code), ..
            } => status(*code),
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What happened, in one line, for a form that is shown again.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::SignedOut => "you are not signed in, or not any more".to_owned(),
            Self::Again { .. } => "this form was not sent from your session".to_owned(),
            Self::Refused { text, .. } => text.clone(),
            Self::Failed => {
                "the server could not do it; try again, and ask whoever runs it with the id below"
                    .to_owned()
            }
        }
    }

    pub(crate) fn more(&self) -> &[String] {
        match self {
            Self::Refused { more, .. } => more,
            _ => &[],
        }
    }

    /// Whether the one who typed can put it right, so that the form is shown again.
    pub(crate) fn is_correctable(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

fn status(code: RefusalCode) -> StatusCode {
    match code {
        RefusalCode::NotFound => StatusCode::NOT_FOUND,
        RefusalCode::Forbidden => StatusCode::FORBIDDEN,
        RefusalCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        // Whoever decides on what somebody else has settled meanwhile.
        RefusalCode::Conflict
        | RefusalCode::ApprovalDenied
        | RefusalCode::ApprovalExpired
        | RefusalCode::ApprovalCancelled
        | RefusalCode::ApprovalStale
        | RefusalCode::ApprovalUsed
        | RefusalCode::ApprovalWithdrawn => StatusCode::CONFLICT,
        RefusalCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalCode::Timeout => StatusCode::REQUEST_TIMEOUT,
        RefusalCode::Limited | RefusalCode::LimitExceeded => StatusCode::TOO_MANY_REQUESTS,
        RefusalCode::LedgerUnavailable | RefusalCode::SnapshotStale => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_REQUEST,
    }
}

impl From<ControlError> for Fault {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Refused(refusal) => refusal.into(),
            ControlError::Documents(problems) => Self::Refused {
                code: Some(RefusalCode::InvalidRequest),
                text: "the document has problems; correct them and send it again".to_owned(),
                more: problems
                    .iter()
                    .map(|p| format!("line {}, column {}: {}", p.line, p.column, p.message))
                    .collect(),
            },
            ControlError::Policy(error) if error.problems().is_empty() => {
                Self::invalid(error.to_string())
            }
            ControlError::Policy(error) => Self::Refused {
                code: Some(RefusalCode::InvalidRequest),
                text: "the policies do not compile; correct them and send them again".to_owned(),
                more: error.problems().iter().map(ToString::to_string).collect(),
            },
            ControlError::Books(cause) => {
                tracing::error!(error = %chain(&cause), "a page could not be made");
                Self::Failed
            }
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal.code, refusal.text)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The page that says so.
#[derive(Template)]
#[template(path = "fault.html")]
pub(crate) struct FaultPage {
    title: &'static str,
    text: Shown,
    more: Vec<Shown>,
    /// What to do.
    advice: &'static str,
    back: String,
}

impl FaultPage {
    pub(crate) fn html(fault: &Fault, home: &str) -> (&'static str, Html) {
        let (title, advice) = match fault.status().as_u16() {
            401 => (
                "Sign in again",
                "Your browser session has ended. Sign in, then come back to this page.",
            ),
            403 => (
                "You may not do this",
                "Somebody with the role can do it, or an administrator can give you the role.",
            ),
            404 => (
                "There is nothing here",
                "It may have another name, or be in another organization.",
            ),
            409 => (
                "It has changed meanwhile",
                "Open it again, look at what is new, and repeat what you wanted.",
            ),
            429 => ("Too many requests", "Wait a minute, then try again."),
            500.. => (
                "The server could not do it",
                "Try again. If it stays so, whoever runs the server finds the cause in its log.",
            ),
            _ => (
                "It was not done",
                "Go back, correct it, and send it again. Nothing has changed.",
            ),
        };
        let page = Self {
            title,
            text: Shown::block(capitalized(&fault.text())),
            more: fault.more().iter().map(Shown::block).collect(),
            advice,
            back: format!("{home}/"),
        };
        (title, Html::of(&page))
    }
}

/// A sentence out of a refusal's lower-case text.
pub(crate) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!(
            "{}{}.",
            first.to_uppercase(),
            chars.as_str().trim_end_matches('.')
        ),
        None => String::new(),
    }
}
