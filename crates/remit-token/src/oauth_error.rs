//! The error body of the OAuth endpoints.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::limits::ERROR_DESCRIPTION_BYTES_MAX;

/// Error codes of the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OAuthErrorCode {
    /// A parameter is missing, repeated or malformed (RFC 6749 §5.2).
    InvalidRequest,
    /// Client authentication failed (RFC 6749 §5.2).
    InvalidClient,
    /// The subject token or other grant is not valid (RFC 6749 §5.2).
    InvalidGrant,
    /// The client may not use this grant (RFC 6749 §5.2).
    UnauthorizedClient,
    /// The grant type is not offered (RFC 6749 §5.2).
    UnsupportedGrantType,
    /// The scope is unknown, malformed or too wide (RFC 6749 §5.2).
    InvalidScope,
    /// The `resource` or `audience` is not one that tokens are issued for (RFC 8693 §2.2.2, RFC 8707 §2).
    InvalidTarget,
    /// The `authorization_details` are unknown, malformed or too wide (RFC 9396 §5).
    InvalidAuthorizationDetails,
    /// The proof of possession is missing or not good (RFC 9449 §5).
    InvalidDpopProof,
    /// The proof of possession needs a nonce, which the answer brings (RFC 9449 §8).
    UseDpopNonce,
    /// Only the code flow is offered (RFC 6749 §4.1.2.1).
    UnsupportedResponseType,
    /// The person has said no (RFC 6749 §4.1.2.1).
    AccessDenied,
    /// We could not answer now (RFC 6749 §4.1.2.1, used with HTTP 503).
    TemporarilyUnavailable,
}

impl OAuthErrorCode {
    const ALL: [Self; 13] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::InvalidAuthorizationDetails,
        Self::InvalidDpopProof,
        Self::UseDpopNonce,
        Self::UnsupportedResponseType,
        Self::AccessDenied,
        Self::TemporarilyUnavailable,
    ];

    /// The code on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::AccessDenied => "access_denied",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// The HTTP status that goes with it (RFC 6749 §5.2).
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidClient => 401,
            Self::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }
}

impl Serialize for OAuthErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for OAuthErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::ALL
            .into_iter()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| serde::de::Error::custom("unknown OAuth error code"))
    }
}

/// An error answer of the token endpoint (RFC 6749 §5.2).
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{}: {error_description}", error.as_str())]
pub struct OAuthError {
    /// The code.
    pub error: OAuthErrorCode,
    /// For the developer of the client.
    #[serde(default)]
    pub error_description: Cow<'static, str>,
}

impl OAuthError {
    /// Makes an error. Characters that RFC 6749 §5.2 does not allow become `'`, and the text is cut at
    /// [`ERROR_DESCRIPTION_BYTES_MAX`], so that no description can break an answer.
    #[must_use]
    pub fn new(error: OAuthErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        let given = description.into();
        let fits = given.len() <= ERROR_DESCRIPTION_BYTES_MAX && given.chars().all(is_allowed);
        let error_description = if fits {
            given
        } else {
            let safe = given.chars().map(|c| if is_allowed(c) { c } else { '\'' });
            Cow::Owned(safe.take(ERROR_DESCRIPTION_BYTES_MAX).collect())
        };
        Self {
            error,
            error_description,
        }
    }
}

/// RFC 6749 §5.2: `%x20-21 / %x23-5B / %x5D-7E`.
pub(crate) fn is_allowed(c: char) -> bool {
    matches!(c, ' '..='~') && c != '"' && c != '\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_the_wire() {
        for code in OAuthErrorCode::ALL {
            let text = serde_json::to_string(&code).unwrap();
            assert_eq!(text, format!("\"{}\"", code.as_str()));
            assert_eq!(serde_json::from_str::<OAuthErrorCode>(&text).unwrap(), code);
        }
        assert!(serde_json::from_str::<OAuthErrorCode>("\"no_such_code\"").is_err());
    }

    #[test]
    fn a_description_cannot_break_out() {
        let error = OAuthError::new(OAuthErrorCode::InvalidScope, "bad \"x\"\r\nSet-Cookie: ä");
        assert_eq!(error.error_description, "bad 'x'''Set-Cookie: '");
        let long = OAuthError::new(OAuthErrorCode::InvalidScope, "ä".repeat(9999));
        assert_eq!(long.error_description.len(), ERROR_DESCRIPTION_BYTES_MAX);
    }
}
