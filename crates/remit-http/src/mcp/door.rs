//! Which endpoint a message came to, and how it sends callers away to get a token.
//!
//! Source: RFC 9728 §5.1, RFC 6750 §3; MCP 2026-07-28 basic/authorization.

use std::sync::OnceLock;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use remit_domain::upstream::UpstreamName;
use remit_domain::{Refusal, RefusalCode};
use remit_gateway::{Endpoint, Presented};
use remit_issuer::Issuer;
use remit_token::Scope;
use remit_token::challenge::{BearerError, Challenge, Scheme};
use remit_token::metadata::{WELL_KNOWN_PROTECTED_RESOURCE, well_known_url};
use secrecy::{ExposeSecret, SecretString};

use crate::presented;
use crate::problem::Problem;
use crate::refusals::{McpShape, row_of};
use crate::site::{Place, Site};

/// An MCP endpoint of an organization.
pub(crate) struct Door {
    pub(crate) place: Place,
    pub(crate) endpoint: Endpoint,
    /// Its address: what a token's `aud` must cover.
    pub(crate) resource: String,
    issuer: Issuer,
    /// The token that the request shows, for the challenge that asks for another one.
    shown: OnceLock<SecretString>,
}

impl FromRequestParts<Site> for Door {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let place = Place::from_request_parts(parts, site).await?;
        let params = RawPathParams::from_request_parts(parts, site).await;
        let params = params.map_err(|_| Problem::not_found("there is nothing at this address"))?;
        // Whether an upstream of a well-formed name exists is for those to know who have tools of it.
        let endpoint = match params.iter().find(|(key, _)| *key == "upstream") {
            None => Endpoint::All,
            Some((_, name)) => match name.parse::<UpstreamName>() {
                Ok(name) => Endpoint::One(name),
                Err(_) => {
                    return Err(Problem::not_found(
                        "an upstream is named by 1 to 20 of a-z, 0-9 and `-`",
                    ));
                }
            },
        };
        let resource = match &endpoint {
            Endpoint::All => format!("{}/mcp", place.base),
            Endpoint::One(name) => format!("{}/mcp/{name}", place.base),
        };
        Ok(Self {
            place,
            endpoint,
            resource,
            issuer: site.app.issuer.clone(),
            shown: OnceLock::new(),
        })
    }
}

impl Door {
    /// 401 for a caller without a usable credential; `tried` when there was something in the header.
    pub(crate) fn challenge(&self, tried: bool) -> Response {
        let error = tried.then_some(BearerError::InvalidToken);
        let text = "this endpoint needs `Authorization: Bearer` with an access token for it; the challenge says where to get one";
        self.send_away(
            Scheme::Bearer,
            error,
            None,
            Problem::new(RefusalCode::Unauthenticated, text),
        )
    }

    /// The token that a request shows, with the key that it proves; else the answer that says where to get one.
    pub(super) async fn token(&self, site: &Site, parts: &Parts) -> Result<Presented, Response> {
        let Some(shown) = presented::shown(&parts.headers) else {
            return Err(self.challenge(parts.headers.contains_key(header::AUTHORIZATION)));
        };
        let found = presented::present(site, &self.place, "mcp", shown, parts).await;
        if let Ok(presented) = &found {
            let _ = self.shown.set(presented.token.clone());
        }
        found.map_err(|refused| {
            let metadata = well_known_url(&self.resource, WELL_KNOWN_PROTECTED_RESOURCE).ok();
            let value = presented::challenge(refused.error, metadata.as_deref());
            let mut response = Problem::from(refused.refusal).into_response();
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, value);
            response
        })
    }

    /// The challenge that a refusal of the caller's credential is answered with; none for other refusals.
    pub(crate) fn refused(&self, refusal: &Refusal) -> Option<Response> {
        let error = match row_of(refusal.code).mcp {
            McpShape::Challenge => BearerError::InvalidToken,
            McpShape::OtherToken => BearerError::InsufficientScope,
            McpShape::Result | McpShape::Protocol(_) => return None,
        };
        let scheme = match refusal.code {
            RefusalCode::ProofInvalid => Scheme::DPoP,
            _ => Scheme::Bearer,
        };
        // The token is good elsewhere: what it was for is what another one has to be for, here, all in one challenge.
        let token = self.shown.get().map(ExposeSecret::expose_secret);
        let scope = token
            .filter(|_| error == BearerError::InsufficientScope)
            .and_then(|token| self.issuer.scopes_seen(self.place.org(), token));
        Some(self.send_away(
            scheme,
            Some(error),
            scope.as_ref(),
            Problem::from(refusal.clone()),
        ))
    }

    fn send_away(
        &self,
        scheme: Scheme,
        error: Option<BearerError>,
        scope: Option<&Scope>,
        problem: Problem,
    ) -> Response {
        let metadata = well_known_url(&self.resource, WELL_KNOWN_PROTECTED_RESOURCE).ok();
        let challenge = Challenge {
            scheme,
            resource_metadata: metadata.as_deref(),
            error,
            scope,
            ..Challenge::default()
        };
        let value = challenge
            .header_value()
            .ok()
            .and_then(|text| HeaderValue::from_str(&text).ok());
        let mut response = problem.into_response();
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            value.unwrap_or(HeaderValue::from_static("Bearer")),
        );
        response
    }
}
