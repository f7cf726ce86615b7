//! `WWW-Authenticate` values of the schemes Bearer and DPoP.
//!
//! Source: RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1. Nothing is escaped: a value that would need it is refused, so that no text
//! from outside can end a quoted string or start a header.

use std::fmt::Write;

use thiserror::Error;

use crate::dpop;
use crate::limits::CHALLENGE_BYTES_MAX;
use crate::oauth_error::is_allowed;
use crate::scope::Scope;

/// How a token is to be presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// As a bearer token (RFC 6750).
    #[default]
    Bearer,
    /// With a proof of possession (RFC 9449); the challenge names the algorithms.
    DPoP,
}

/// Why access was refused (RFC 6750 §3.1, RFC 9449 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearerError {
    /// The request is malformed; HTTP 400.
    InvalidRequest,
    /// The token is expired, revoked or not valid here; HTTP 401.
    InvalidToken,
    /// The token does not reach far enough; HTTP 403.
    InsufficientScope,
    /// The proof of possession is missing or not good; HTTP 401.
    InvalidDpopProof,
    /// The proof of possession needs the nonce that comes with the answer; HTTP 401 (RFC 9449 §9).
    UseDpopNonce,
}

impl BearerError {
    /// The code on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
        }
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::InvalidToken | Self::InvalidDpopProof | Self::UseDpopNonce => 401,
            Self::InsufficientScope => 403,
        }
    }
}

/// A challenge; leave `error` out when the request had no credential at all (RFC 6750 §3.1).
#[derive(Debug, Clone, Copy, Default)]
pub struct Challenge<'a> {
    /// How a token is to be presented.
    pub scheme: Scheme,
    /// Address of the protected-resource metadata.
    pub resource_metadata: Option<&'a str>,
    /// Why access was refused.
    pub error: Option<BearerError>,
    /// The same for a developer.
    pub error_description: Option<&'a str>,
    /// All scopes that are needed, in one challenge.
    pub scope: Option<&'a Scope>,
}

/// Why a challenge was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// A value has a quote, a backslash, a control character or something outside ASCII.
    #[error(
        "`{0}` has characters that cannot stand in a header; use printable ASCII without quotes"
    )]
    Unquotable(&'static str),
    /// Nothing to say: a challenge needs a parameter.
    #[error("the challenge has no parameter; give at least the metadata address")]
    Empty,
    /// Longer than [`CHALLENGE_BYTES_MAX`].
    #[error("the challenge is longer than {CHALLENGE_BYTES_MAX} bytes; name fewer scopes")]
    TooLong,
}

impl Challenge<'_> {
    /// The header value, such as `Bearer resource_metadata="https://…", error="invalid_token"`.
    ///
    /// # Errors
    /// `Unquotable`, `Empty`, `TooLong`.
    pub fn header_value(&self) -> Result<String, ChallengeError> {
        let scope = self
            .scope
            .filter(|scope| !scope.is_empty())
            .map(Scope::to_string);
        let algs = (self.scheme == Scheme::DPoP).then(|| dpop::ALGORITHMS.join(" "));
        let parameters = [
            ("resource_metadata", self.resource_metadata),
            ("error", self.error.map(BearerError::as_str)),
            ("error_description", self.error_description),
            ("scope", scope.as_deref()),
            ("algs", algs.as_deref()),
        ];
        let mut value = String::from(match self.scheme {
            Scheme::Bearer => "Bearer",
            Scheme::DPoP => "DPoP",
        });
        let mut separator = " ";
        for (name, text) in parameters {
            let Some(text) = text else { continue };
            if text.is_empty() || !text.chars().all(is_allowed) {
                return Err(ChallengeError::Unquotable(name));
            }
            // Writing to a string cannot fail.
            let _ = write!(value, "{separator}{name}=\"{text}\"");
            separator = ", ";
        }
        if separator == " " {
            return Err(ChallengeError::Empty);
        }
        if value.len() > CHALLENGE_BYTES_MAX {
            return Err(ChallengeError::TooLong);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const METADATA: &str = "https://remit.example/.well-known/oauth-protected-resource/mcp";

    #[test]
    fn a_step_up_names_everything_at_once() {
        let scope = Scope::parse("workflow:refund run:r1").unwrap();
        let challenge = Challenge {
            resource_metadata: Some(METADATA),
            error: Some(BearerError::InsufficientScope),
            error_description: Some("the token is for another workflow"),
            scope: Some(&scope),
            ..Challenge::default()
        };
        assert_eq!(
            challenge.header_value().unwrap(),
            format!(
                "Bearer resource_metadata=\"{METADATA}\", error=\"insufficient_scope\", \
                 error_description=\"the token is for another workflow\", scope=\"workflow:refund run:r1\""
            )
        );
    }

    #[test]
    fn a_challenge_for_a_proof_names_the_algorithms() {
        let challenge = Challenge {
            scheme: Scheme::DPoP,
            error: Some(BearerError::UseDpopNonce),
            ..Challenge::default()
        };
        let value = challenge.header_value().unwrap();
        assert_eq!(value, "DPoP error=\"use_dpop_nonce\", algs=\"ES256 EdDSA\"");
    }

    #[test]
    fn a_first_challenge_has_no_error() {
        let challenge = Challenge {
            resource_metadata: Some(METADATA),
            ..Challenge::default()
        };
        let value = challenge.header_value().unwrap();
        assert_eq!(value, format!("Bearer resource_metadata=\"{METADATA}\""));
        assert_eq!(
            Challenge::default().header_value(),
            Err(ChallengeError::Empty)
        );
    }

    #[test]
    fn text_cannot_break_out_of_its_quotes() {
        for bad in [
            "x\", error=\"y",
            "x\\",
            "x\r\nSet-Cookie: a=b",
            "x\0",
            "ä",
            "",
        ] {
            let challenge = Challenge {
                error_description: Some(bad),
                ..Challenge::default()
            };
            let expected = Err(ChallengeError::Unquotable("error_description"));
            assert_eq!(challenge.header_value(), expected, "{bad:?}");
        }
        let long = "x".repeat(CHALLENGE_BYTES_MAX);
        let challenge = Challenge {
            error_description: Some(&long),
            ..Challenge::default()
        };
        assert_eq!(challenge.header_value(), Err(ChallengeError::TooLong));
    }

    proptest! {
        #[test]
        fn a_value_has_as_many_quotes_as_its_parameters_need(text in any::<String>()) {
            let challenge = Challenge { resource_metadata: Some(&text), ..Challenge::default() };
            if let Ok(value) = challenge.header_value() {
                prop_assert_eq!(value.matches('"').count(), 2);
                prop_assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            }
        }
    }
}
