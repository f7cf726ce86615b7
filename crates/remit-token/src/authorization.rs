//! Authorization requests: what a client's redirect asks of a person, and the values that tie the answer to it.
//!
//! Source: RFC 6749 §4.1, RFC 7636 (S256 only), RFC 8252 §7.3 (loopback ports), RFC 9126, RFC 9449 §10, RFC 9700 §2.1. Nothing
//! in a request is verified here but its form; which client and which redirect addresses there are is for the caller to know.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use url::{Host, Url};

use crate::authorization_details::AuthorizationDetails;
use crate::keys::Thumbprint;
use crate::limits::{
    AUTHORIZATION_DETAILS_BYTES_MAX, FORM_PARAMETERS_MAX, REDIRECT_BYTES_MAX, STATE_BYTES_MAX,
    URI_BYTES_MAX,
};
use crate::oauth_error::{OAuthError, OAuthErrorCode};
use crate::scope::Scope;

/// `grant_type` by which a code becomes a token (RFC 6749 §4.1.3).
pub const GRANT_AUTHORIZATION_CODE: &str = "authorization_code";
/// Start of the address of a pushed request (RFC 9126 §2.2).
pub const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";

/// The one parameter that is JSON, so that its characters and its length are its own (RFC 9396 §2).
const DETAILS: &str = "authorization_details";

/// Parameters that decide something, and so may occur once only.
const KNOWN: [&str; 13] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "state",
    "scope",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "request",
    "request_uri",
    "resource",
    DETAILS,
];

/// The parameters of an authorization request: each once, within limits, printable.
#[derive(Debug, Clone, Default)]
pub struct AuthorizationParameters(BTreeMap<String, String>);

/// What a client asks of a person, of known form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// What is asked for.
    pub scope: Scope,
    /// What is asked for beyond it (RFC 9396).
    pub authorization_details: AuthorizationDetails,
    /// Where the token is to be good.
    pub resource: Option<String>,
    /// What the client wants back with the answer, at most [`STATE_BYTES_MAX`] bytes.
    pub state: Option<String>,
    /// S256 of the verifier that comes with the code.
    pub code_challenge: String,
    /// The key that the code, and so the token, is bound to.
    pub dpop_jkt: Option<Thumbprint>,
}

fn invalid<T>(text: &'static str) -> Result<T, OAuthError> {
    Err(OAuthError::new(OAuthErrorCode::InvalidRequest, text))
}

impl AuthorizationParameters {
    /// Reads decoded parameters, in any order. Unknown ones are ignored (RFC 6749 §3.1).
    ///
    /// # Errors
    /// `invalid_request` for too many, too long or repeated ones.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, OAuthError> {
        let mut found = BTreeMap::new();
        for (count, (name, value)) in pairs.into_iter().enumerate() {
            let (name, value) = (name.as_ref(), value.as_ref());
            if count >= FORM_PARAMETERS_MAX {
                return invalid("the request has too many parameters");
            }
            if !KNOWN.contains(&name) || value.is_empty() {
                continue;
            }
            let fits = match name {
                DETAILS => value.len() <= AUTHORIZATION_DETAILS_BYTES_MAX,
                _ => {
                    value.len() <= URI_BYTES_MAX && value.bytes().all(|b| matches!(b, b' '..=b'~'))
                }
            };
            if !fits {
                return invalid("a parameter is too long or has characters that are not allowed");
            }
            if found.insert(name.to_owned(), value.to_owned()).is_some() {
                return invalid("a parameter is given more than once");
            }
        }
        Ok(Self(found))
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What is asked for, for a client and a redirect address that the caller knows to be good.
    ///
    /// # Errors
    /// As in RFC 6749 §4.1.2.1: `unsupported_response_type`, `invalid_request`, `invalid_scope`.
    pub fn read(&self) -> Result<AuthorizationRequest, OAuthError> {
        if self.get("request").is_some() {
            return invalid(
                "request objects are not read here; push the request instead (RFC 9126)",
            );
        }
        if self.get("response_type") != Some("code") {
            let text = "the only 'response_type' is 'code'";
            return Err(OAuthError::new(
                OAuthErrorCode::UnsupportedResponseType,
                text,
            ));
        }
        if !matches!(self.get("response_mode"), None | Some("query")) {
            return invalid("the only 'response_mode' is 'query'");
        }
        let state = self.get("state").map(str::to_owned);
        if state
            .as_ref()
            .is_some_and(|state| state.len() > STATE_BYTES_MAX)
        {
            return invalid(
                "'state' is longer than 256 bytes; keep what it stands for with the client",
            );
        }
        let challenge = self
            .get("code_challenge")
            .filter(|c| Thumbprint::parse(c).is_ok());
        let Some(challenge) =
            challenge.filter(|_| self.get("code_challenge_method") == Some("S256"))
        else {
            return invalid("send a 'code_challenge' with 'code_challenge_method=S256' (PKCE)");
        };
        let Ok(dpop_jkt) = self.get("dpop_jkt").map(Thumbprint::parse).transpose() else {
            return invalid("'dpop_jkt' is not the thumbprint of a key");
        };
        let scope = Scope::parse(self.get("scope").unwrap_or_default());
        let scope =
            scope.map_err(|e| OAuthError::new(OAuthErrorCode::InvalidScope, e.to_string()))?;
        let details = self.get(DETAILS).map(AuthorizationDetails::parse);
        let authorization_details = details.transpose().map_err(|error| {
            OAuthError::new(
                OAuthErrorCode::InvalidAuthorizationDetails,
                error.to_string(),
            )
        })?;
        Ok(AuthorizationRequest {
            authorization_details: authorization_details.unwrap_or_default(),
            scope,
            resource: self.get("resource").map(str::to_owned),
            state,
            code_challenge: challenge.to_owned(),
            dpop_jkt,
        })
    }
}

/// Whether a verifier is the one that a challenge was made of (RFC 7636 §4.6).
#[must_use]
pub fn verifies(code_verifier: &str, code_challenge: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let fits = (43..=128).contains(&code_verifier.len()) && code_verifier.bytes().all(unreserved);
    let made = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, code_verifier.as_bytes()));
    fits && bool::from(made.as_bytes().ct_eq(code_challenge.as_bytes()))
}

/// Whether an address may be registered for redirects: https, or http on this very machine, and without a fragment.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_redirect_uri(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text)
        .ok()
        .filter(|_| text.len() <= REDIRECT_BYTES_MAX);
    let Some(url) = url.filter(|_| text.bytes().all(|b| matches!(b, b'!'..=b'~'))) else {
        return Err("is no absolute address of at most 512 bytes");
    };
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("has a fragment or a user, which no redirect address has");
    }
    if url.scheme() == "https" || is_loopback(&url) {
        return Ok(());
    }
    Err("is neither https nor http on 127.0.0.1, [::1] or localhost")
}

/// Whether an address that is asked for is one that was registered: the same byte for byte, but for the port on this very
/// machine, which a client there cannot know beforehand (RFC 8252 §7.3).
#[must_use]
pub fn is_redirect_uri(asked: &str, registered: &str) -> bool {
    if asked == registered {
        return true;
    }
    let without_port = |text: &str| {
        check_redirect_uri(text).ok()?;
        let mut url = Url::parse(text).ok().filter(is_loopback)?;
        url.set_port(None).ok()?;
        Some(url)
    };
    without_port(registered).is_some_and(|url| without_port(asked) == Some(url))
}

fn is_loopback(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    here && url.scheme() == "http"
}
