//! An agent's access token as it comes with a request: as a bearer token, or with a proof of the key that it is bound to.
//!
//! Source: RFC 6750 §2.1, RFC 9449 §7.1. The proof is looked at once, before anything else of the request, and its address is
//! compared with our own: `public_url` and the path, never what Host says.

use axum::extract::OriginalUri;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use remit_domain::{Refusal, RefusalCode};
use remit_gateway::Presented;
use remit_issuer::{ProofRefused, ProofShown};
use remit_token::opaque_secret::has_prefix;
use remit_token::{BearerError, Challenge, Scheme, Scope};
use secrecy::{ExposeSecret, SecretString};

use crate::site::{Place, Site};
use crate::{bearer, client_certificate};

/// The header of a proof (RFC 9449 §4.1).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header by which the server gives out nonces (RFC 9449 §8.2).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A token with the scheme that it came in; nothing is checked.
pub(crate) struct Shown {
    token: SecretString,
    scheme: Scheme,
}

impl Shown {
    /// The token.
    pub(crate) fn token(&self) -> &SecretString {
        &self.token
    }
}

/// The token of a request; none when there is none, several, or one that cannot be one.
pub(crate) fn shown(headers: &HeaderMap) -> Option<Shown> {
    let bearer = bearer::of(headers).map(|token| (token, Scheme::Bearer));
    let found = bearer.or_else(|| Some((bearer::of_scheme(headers, "dpop")?, Scheme::DPoP)));
    found.map(|(token, scheme)| Shown { token, scheme })
}

/// The one proof among the headers; of several none is believed.
pub(crate) fn proof(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(DPOP).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The token as the gateway takes it: with the key that was proved, where it came with a proof.
///
/// - `door`: where it is used, for the record.
pub(crate) async fn present(
    site: &Site,
    place: &Place,
    door: &'static str,
    shown: Shown,
    parts: &Parts,
) -> Result<Presented, ProofRefused> {
    let Shown { token, scheme } = shown;
    if scheme == Scheme::Bearer {
        return Ok(Presented {
            certificate: client_certificate::shown(&parts.extensions),
            ..Presented::bearer(token)
        });
    }
    if has_prefix(token.expose_secret()) {
        let text =
            "this token is bound to no key, so nothing can be proved of it; send it as `Bearer`";
        return Err(ProofRefused {
            refusal: Refusal::new(RefusalCode::ProofInvalid, text),
            error: BearerError::InvalidToken,
        });
    }
    // Below `/t/{org}` the request itself has only the rest of the path.
    let original = parts.extensions.get::<OriginalUri>();
    let shown = ProofShown {
        proof: proof(&parts.headers),
        method: parts.method.as_str(),
        path: original.map_or(parts.uri.path(), |uri| uri.path()),
    };
    let issuer = &site.app.issuer;
    let key = issuer
        .prove_key(place.org(), door, token.expose_secret(), &shown)
        .await?;
    Ok(Presented {
        token,
        key,
        certificate: client_certificate::shown(&parts.extensions),
    })
}

/// The challenge that a proof is refused with.
pub(crate) fn challenge(error: BearerError, metadata: Option<&str>) -> HeaderValue {
    let challenge = Challenge {
        scheme: Scheme::DPoP,
        resource_metadata: metadata,
        error: Some(error),
        ..Challenge::default()
    };
    let value = challenge.header_value().ok();
    value
        .and_then(|text| HeaderValue::from_str(&text).ok())
        .unwrap_or(HeaderValue::from_static("DPoP"))
}

/// The challenge that asks for another token, with every scope that it needs (RFC 6750 §3.1).
pub(crate) fn step_up(scope: &Scope, metadata: Option<&str>) -> HeaderValue {
    let challenge = Challenge {
        resource_metadata: metadata,
        error: Some(BearerError::InsufficientScope),
        scope: Some(scope),
        ..Challenge::default()
    };
    let value = challenge.header_value().ok();
    value
        .and_then(|text| HeaderValue::from_str(&text).ok())
        .unwrap_or(HeaderValue::from_static("Bearer"))
}

/// Whether a request is one of a client that proves its key, and is to hear the nonce for its next proof.
pub(crate) fn proves(headers: &HeaderMap) -> bool {
    headers.contains_key(DPOP) || bearer::of_scheme(headers, "dpop").is_some()
}
