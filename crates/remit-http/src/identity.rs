//! Who sends a request of REST or to the ledger: a person, the operator, or an agent with its own token.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use remit_domain::{Principal, RefusalCode};
use remit_gateway::Presented;
use remit_issuer::{PersonIdentity, Resource, Verified};
use remit_token::{BearerError, opaque_secret};
use secrecy::ExposeSecret;

use crate::presented;
use crate::problem::Problem;
use crate::site::{Place, Site};
use crate::{authenticator, bearer};

/// Start of the operator's token.
const OPERATOR_PREFIX: &str = "rmt_adm_";

/// Who sends a request.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// A person of the path's organization.
    Person(Box<PersonIdentity>),
    /// An agent of the path's organization.
    Agent(Arc<Verified>),
    /// The operator of the instance.
    Operator,
}

impl Identity {
    /// The same as a principal.
    pub(crate) fn principal(&self) -> Principal {
        match self {
            Self::Person(person) => Principal::Person(person.id().clone()),
            Self::Agent(verified) => Principal::Agent(verified.agent.clone()),
            Self::Operator => Principal::Operator,
        }
    }
}

/// Who sends a request, by its bearer credential; the kind of credential is told by its form.
///
/// - `place`: the organization that a person or agent must be of; none where only the operator may be.
pub(crate) async fn identify(
    site: &Site,
    place: Option<&Place>,
    headers: &HeaderMap,
) -> Result<Identity, Problem> {
    let Some(token) = bearer::of(headers) else {
        return Err(unauthenticated(
            "send `Authorization: Bearer` with your token",
        ));
    };
    by_token(site, place, &Presented::bearer(token)).await
}

/// The same for a route that agents may call, with the proof of the key that the agent's token is bound to.
pub(crate) async fn identify_agent_too(
    site: &Site,
    place: Option<&Place>,
    parts: &Parts,
) -> Result<Identity, Problem> {
    let (Some(place), Some(shown)) = (place, presented::shown(&parts.headers)) else {
        return identify(site, place, &parts.headers).await;
    };
    let presented = presented::present(site, place, "api", shown, parts).await;
    let presented = presented.map_err(|refused| Problem {
        proof: Some(refused.error),
        ..Problem::from(refused.refusal)
    })?;
    by_token(site, Some(place), &presented).await
}

async fn by_token(
    site: &Site,
    place: Option<&Place>,
    presented: &Presented,
) -> Result<Identity, Problem> {
    let issuer = &site.app.issuer;
    let token = presented.token.expose_secret();
    if token.starts_with(OPERATOR_PREFIX) {
        let operator = issuer.authenticate_operator(token).await;
        return Ok(operator.map(|()| Identity::Operator)?);
    }
    let Some(place) = place else {
        return Err(unauthenticated("this takes the operator's token"));
    };
    if opaque_secret::has_prefix(token) {
        let person = issuer.authenticate_person(place.org(), token).await?;
        return Ok(Identity::Person(Box::new(person)));
    }
    match issuer
        .verify_access(
            place.org(),
            token,
            authenticator::proved(presented),
            &Resource::Api,
        )
        .await
    {
        Ok(verified) => Ok(Identity::Agent(verified)),
        Err(refused) => {
            let elsewhere = refused
                .verified
                .as_deref()
                .filter(|v| !v.resource.covers(&Resource::Api))
                .map(|v| v.claims.scope.clone());
            let refusal = issuer.refuse_access(place.org(), "api", refused).await;
            let Some(scope) = elsewhere else {
                return Err(refusal.into());
            };
            let text = "the token is for another resource; get one for this resource";
            Err(Problem {
                needs: Some(Box::new(scope)),
                ..Problem::new(RefusalCode::Forbidden, text)
            })
        }
    }
}

fn metadata(site: &Site, place: &Place) -> Option<String> {
    let issuer = &site.app.issuer;
    issuer
        .resource_metadata_url(place.org(), &Resource::Api)
        .ok()
}

fn unauthenticated(text: &str) -> Problem {
    Problem::new(RefusalCode::Unauthenticated, text)
}

/// A problem as an answer; 401 names the scheme, and for agents where tokens come from (RFC 6750 §3, RFC 9728 §5.1); 403 names
/// every scope of a token that would do, where one would (RFC 6750 §3.1).
pub(crate) fn answer(site: &Site, place: &Place, problem: Problem) -> Response {
    let unauthenticated = problem.status().as_u16() == 401;
    let proof = match problem.code {
        // A bound token that came as a bearer token is no proof either.
        RefusalCode::ProofInvalid => Some(problem.proof.unwrap_or(BearerError::InvalidToken)),
        _ => None,
    };
    let needs = problem.needs.clone();
    let mut response = problem.into_response();
    if let Some(scope) = needs {
        let metadata = metadata(site, place);
        let value = presented::step_up(&scope, metadata.as_deref());
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, value);
    }
    if unauthenticated {
        let metadata = metadata(site, place);
        let value = match proof {
            Some(error) => presented::challenge(error, metadata.as_deref()),
            None => bearer_challenge(metadata.as_deref()),
        };
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

fn bearer_challenge(metadata: Option<&str>) -> HeaderValue {
    let text = metadata.map_or("Bearer".to_owned(), |url| {
        format!("Bearer resource_metadata=\"{url}\"")
    });
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer"))
}
