//! Exit codes, and the errors that have one of their own.

use std::process::ExitCode;

use serde_json::Value;

/// Something went wrong.
pub(crate) const ERROR: u8 = 1;
/// There are changes.
pub(crate) const CHANGES: u8 = 2;
/// Denied.
pub(crate) const DENIED: u8 = 3;
/// Waiting for approval.
pub(crate) const WAITING: u8 = 4;
/// Verification failed.
pub(crate) const NOT_VERIFIED: u8 = 5;
/// The command line is wrong (EX_USAGE of sysexits).
pub(crate) const USAGE: u8 = 64;

/// What a command comes to when nothing broke: its exit code.
pub(crate) type Done = anyhow::Result<u8>;

/// Everything went well.
pub(crate) const OK: u8 = 0;

/// The server refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.text())]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: u16,
    /// Stable code of the problem; empty where the answer was no problem document.
    pub(crate) code: String,
    /// What happened, why, what to do.
    pub(crate) detail: String,
    /// Single faults.
    pub(crate) errors: Vec<Value>,
}

impl Refused {
    fn text(&self) -> String {
        let mut text = if self.detail.is_empty() {
            format!("the server answered {}", self.status)
        } else {
            self.detail.clone()
        };
        for error in &self.errors {
            text.push_str(&format!("\n  {}", crate::problem::fault_line(error)));
        }
        if let Some(hint) = self.hint() {
            text.push_str(&format!("\n  {hint}"));
        }
        text
    }

    fn hint(&self) -> Option<&'static str> {
        match self.status {
            401 => Some("Sign in with `remit login`, or set REMIT_TOKEN."),
            429 | 503 => Some("Try again in a moment."),
            _ => None,
        }
    }
}

/// The command line is wrong in a way that its parser cannot know.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Verification failed before it could begin.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotVerified(pub(crate) String);

/// Exit code of an error.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    if error.chain().any(|e| e.is::<Usage>()) {
        return USAGE;
    }
    if error.chain().any(|e| e.is::<NotVerified>()) {
        return NOT_VERIFIED;
    }
    match error.chain().find_map(|e| e.downcast_ref::<Refused>()) {
        Some(refused)
            if matches!(
                refused.code.as_str(),
                "approval-required" | "approval-pending"
            ) =>
        {
            WAITING
        }
        Some(refused) if refused.status == 403 => DENIED,
        _ => ERROR,
    }
}

/// What the process exits with when its command line cannot be read: the parser's text is printed; asking for help or the
/// version is no error.
pub fn usage_exit(error: clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { USAGE } else { OK })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn refused(status: u16, code: &str) -> anyhow::Error {
        let refused = Refused {
            status,
            code: code.to_owned(),
            detail: "no".to_owned(),
            errors: Vec::new(),
        };
        Err::<(), _>(refused).context("around it").unwrap_err()
    }

    #[test]
    fn each_sort_of_error_has_its_code() {
        assert_eq!(code_of(&refused(403, "forbidden")), DENIED);
        assert_eq!(code_of(&refused(403, "approval-required")), WAITING);
        assert_eq!(code_of(&refused(404, "not-found")), ERROR);
        assert_eq!(code_of(&Usage("x".to_owned()).into()), USAGE);
        assert_eq!(code_of(&NotVerified("x".to_owned()).into()), NOT_VERIFIED);
        assert_eq!(code_of(&anyhow::anyhow!("x")), ERROR);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert!(
            refused(401, "unauthenticated")
                .root_cause()
                .to_string()
                .contains("remit login")
        );
    }
}
