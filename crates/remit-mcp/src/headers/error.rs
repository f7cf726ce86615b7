//! The one error of this room and its JSON-RPC form.

use serde_json::json;

use crate::jsonrpc::{ErrorObject, code};
use crate::protocol::Revision;
use crate::text::one_line;

/// Why a request's headers are refused. Every one is HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A header that the revision requires is absent.
    #[error("header `{header}` is missing")]
    Missing {
        /// Which.
        header: String,
    },
    /// A header that must be single came twice.
    #[error("header `{header}` is sent more than once")]
    Repeated {
        /// Which.
        header: String,
    },
    /// Not visible ASCII, wrong base64, too long, or too many.
    #[error("header `{header}` is malformed")]
    Malformed {
        /// Which.
        header: String,
    },
    /// Header and body differ.
    #[error("header `{header}` is `{sent}` but the body says `{body}`")]
    Mismatch {
        /// Which.
        header: String,
        /// What the header says, cut.
        sent: String,
        /// What the body says, cut.
        body: String,
    },
    /// A header mirrors something that the body does not have.
    #[error("header `{header}` has no counterpart in the body")]
    Unexpected {
        /// Which.
        header: String,
    },
    /// The protocol version is not spoken here.
    #[error("protocol version `{requested}` is not supported")]
    UnsupportedVersion {
        /// What was asked for, cut.
        requested: String,
    },
    /// A required `_meta` field is absent or of the wrong type.
    #[error("`_meta` field `{key}` is missing or malformed")]
    Meta {
        /// Which.
        key: &'static str,
    },
    /// A client sent a response in the stateless revision.
    #[error("responses are not accepted in this protocol version, send a request")]
    ResponseNotAccepted,
}

impl HeaderError {
    /// The JSON-RPC error code.
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self {
            Self::Missing { .. }
            | Self::Repeated { .. }
            | Self::Malformed { .. }
            | Self::Mismatch { .. }
            | Self::Unexpected { .. } => code::HEADER_MISMATCH,
            Self::UnsupportedVersion { .. } => code::UNSUPPORTED_PROTOCOL_VERSION,
            Self::Meta { .. } => code::INVALID_PARAMS,
            Self::ResponseNotAccepted => code::INVALID_REQUEST,
        }
    }

    /// The error to answer with; an unsupported version lists the supported ones.
    #[must_use]
    pub fn to_error(&self) -> ErrorObject {
        let error = ErrorObject::new(self.code(), &self.to_string());
        match self {
            Self::UnsupportedVersion { requested } => {
                error.with_data(json!({ "supported": Revision::SUPPORTED, "requested": requested }))
            }
            _ => error,
        }
    }

    pub(super) fn mismatch(header: &str, sent: &str, body: &str) -> Self {
        Self::Mismatch {
            header: header.to_owned(),
            sent: one_line(sent, 100),
            body: one_line(body, 100),
        }
    }

    pub(super) fn missing(header: &str) -> Self {
        Self::Missing {
            header: header.to_owned(),
        }
    }

    pub(super) fn unsupported(requested: &str) -> Self {
        Self::UnsupportedVersion {
            requested: one_line(requested, 40),
        }
    }
}
