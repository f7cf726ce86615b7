//! The OAuth endpoints: tokens, what they are worth, their keys, and where all of it is.
//!
//! Source: RFC 6749, RFC 7009, RFC 7662, RFC 7517, RFC 8414, RFC 8693, RFC 9126, RFC 9728.

mod authorize;
mod form;
mod well_known;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use remit_issuer::Asker;
use remit_token::oauth_error::{OAuthError, OAuthErrorCode};
use secrecy::ExposeSecret;
use tracing::Instrument;

use crate::presented::{self, DPOP};
use crate::problem::Problem;
use crate::site::{Place, Site};
use crate::{bearer, guard};

use form::Form;
pub(crate) use well_known::routes as well_known;

/// The endpoints of one organization.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    let open = Router::new()
        .route("/oauth2/jwks", routing::get(jwks))
        .route("/oauth2/authorize", routing::get(authorize::by_get))
        .layer(from_fn_with_state(site.clone(), guard::open_endpoint));
    Router::new()
        .route("/oauth2/token", routing::post(token))
        .route("/oauth2/introspect", routing::post(introspect))
        .route("/oauth2/revoke", routing::post(revoke))
        .route("/oauth2/par", routing::post(authorize::push))
        .layer(from_fn_with_state(site.clone(), guard::client_endpoint))
        .merge(open)
}

/// An error of these endpoints, on its way out.
struct Refused(OAuthError);

impl From<OAuthError> for Refused {
    fn from(error: OAuthError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.error.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(&self.0)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

/// The proof of a request, where it has one.
fn proof(request: &Request) -> Result<Option<String>, OAuthError> {
    let proof = presented::proof(request.headers()).map(str::to_owned);
    if proof.is_none() && request.headers().contains_key(DPOP) {
        let text = "send one `DPoP` header, with a proof in it";
        return Err(OAuthError::new(OAuthErrorCode::InvalidDpopProof, text));
    }
    Ok(proof)
}

/// What a request has begun, to its end, whether or not its sender waits for it: a fetch that is shared, a record, a denial.
async fn to_its_end<T: Send + 'static>(
    running: impl Future<Output = T> + Send + 'static,
) -> Result<T, OAuthError> {
    let ended = tokio::spawn(running.in_current_span()).await;
    ended.map_err(|_| OAuthError::new(OAuthErrorCode::TemporarilyUnavailable, "try again"))
}

async fn token(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Refused> {
    let proof = proof(&request)?;
    let form = Form::read(request).await?;
    let request = form.token_request()?;
    let (issuer, org) = (site.app.issuer.clone(), place.org().clone());
    let response = to_its_end(async move {
        issuer
            .token_with_proof(&org, &request, proof.as_deref())
            .await
    });
    Ok(Json(response.await??).into_response())
}

/// A client asks with its assertion; a person with a role for it asks with their own token.
async fn introspect(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Refused> {
    let bearer = bearer::of(request.headers());
    let form = Form::read(request).await?;
    let token = form.token()?;
    let issuer = &site.app.issuer;
    let answer = match bearer {
        Some(bearer) => {
            let person = issuer
                .authenticate_person(place.org(), bearer.expose_secret())
                .await;
            let person = person.map_err(|refusal| remit_issuer::oauth_error(&refusal))?;
            issuer
                .introspect(place.org(), Asker::Person(&person), &token)
                .await?
        }
        None => {
            issuer
                .introspect(place.org(), Asker::Client(&form.client()?), &token)
                .await?
        }
    };
    Ok(Json(answer).into_response())
}

/// The answer is the same whatever the token was (RFC 7009 §2.2).
async fn revoke(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Refused> {
    let form = Form::read(request).await?;
    site.app
        .issuer
        .revoke(place.org(), &form.client()?, &form.token()?)
        .await?;
    Ok(StatusCode::OK.into_response())
}

async fn jwks(State(site): State<Site>, place: Place) -> Result<Response, Problem> {
    let keys = site.app.issuer.jwks(place.org()).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    let body = serde_json::to_vec(&keys).map_err(|e| Problem::internal(&e))?;
    Ok((headers, body).into_response())
}

fn invalid(text: &'static str) -> OAuthError {
    OAuthError::new(OAuthErrorCode::InvalidRequest, text)
}
