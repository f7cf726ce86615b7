//! Links and passkeys, as scripts of our pages use them.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use remit_domain::passkey::Passkey;
use remit_domain::{PasskeyId, Timestamp};
use remit_issuer::{Ceremony, NewSession};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::browser::{name, read, signed_in, with_cookies};
use crate::problem::Problem;
use crate::site::{Place, Site};

/// Which ways to sign in there are.
pub(super) async fn methods(State(site): State<Site>, place: Place) -> Result<Response, Problem> {
    let issuer = &site.app.issuer;
    let provider = issuer.provider(place.org()).await?;
    let provider = provider.filter(|found| found.noun.is_in_use());
    Ok(Json(json!({
        "link": true,
        "passkey": issuer.has_passkeys(),
        "oidc": provider.map(|found| found.noun.settings.issuer),
    }))
    .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: SecretString,
    #[serde(default)]
    next: String,
}

pub(super) async fn code(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, body) = read::<Code>(request).await?;
    let code = body.code.expose_secret();
    let signed = site
        .app
        .issuer
        .sign_in_with_link(place.org(), code, name(&headers));
    welcome(&site, &place, &signed.await?, &body.next)
}

fn begun(ceremony: Ceremony) -> Response {
    let body = json!({ "ceremony": ceremony.ceremony, "options": ceremony.options });
    with_cookies(Json(body).into_response(), None)
}

pub(super) async fn begin_sign_in(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    read::<Nothing>(request).await?;
    Ok(begun(site.app.issuer.begin_passkey_sign_in(place.org())?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    ceremony: String,
    credential: Value,
    #[serde(default)]
    next: String,
}

pub(super) async fn sign_in(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, body) = read::<Answer>(request).await?;
    let signed = site.app.issuer.sign_in_with_passkey(
        place.org(),
        &body.ceremony,
        body.credential,
        name(&headers),
    );
    welcome(&site, &place, &signed.await?, &body.next)
}

fn welcome(
    site: &Site,
    place: &Place,
    session: &NewSession,
    next: &str,
) -> Result<Response, Problem> {
    let issuer = &site.app.issuer;
    let cookie = issuer
        .cookies(place.org())?
        .set_session(session.secret.expose_secret());
    let body = json!({ "session": session.id, "next": issuer.local_address(place.org(), next)? });
    Ok(with_cookies(Json(body).into_response(), [cookie]))
}

pub(super) async fn begin_enrol(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, _) = read::<Nothing>(request).await?;
    let session = signed_in(&site, &place, &headers).await?;
    let issuer = &site.app.issuer;
    Ok(begun(issuer.begin_passkey(place.org(), &session).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPasskey {
    ceremony: String,
    credential: Value,
    #[serde(default)]
    label: String,
}

/// A passkey, without its key.
#[derive(Serialize)]
struct Made {
    id: PasskeyId,
    label: String,
    created: Timestamp,
}

pub(super) async fn enrol(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, body) = read::<NewPasskey>(request).await?;
    let session = signed_in(&site, &place, &headers).await?;
    let made = site
        .app
        .issuer
        .finish_passkey(
            place.org(),
            &session,
            &body.ceremony,
            body.credential,
            &body.label,
        )
        .await?;
    let Passkey {
        id, label, created, ..
    } = made;
    Ok((StatusCode::CREATED, Json(Made { id, label, created })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Digest {
    digest: String,
}

pub(super) async fn begin_step_up(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, body) = read::<Digest>(request).await?;
    let session = signed_in(&site, &place, &headers).await?;
    let issuer = &site.app.issuer;
    Ok(begun(
        issuer
            .step_up_begin(place.org(), &session, &body.digest)
            .await?,
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    digest: String,
    ceremony: String,
    credential: Value,
}

pub(super) async fn step_up(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, body) = read::<Proof>(request).await?;
    let session = signed_in(&site, &place, &headers).await?;
    let proof = site
        .app
        .issuer
        .step_up_finish(
            place.org(),
            &session,
            &body.digest,
            &body.ceremony,
            body.credential,
        )
        .await?;
    Ok(Json(proof).into_response())
}

pub(super) async fn end(
    State(site): State<Site>,
    place: Place,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, _) = read::<Nothing>(request).await?;
    let session = signed_in(&site, &place, &headers).await?;
    let issuer = &site.app.issuer;
    issuer
        .end_session(place.org(), &session.person, &session.id)
        .await?;
    let cookie = issuer.cookies(place.org())?.clear_session();
    Ok(with_cookies(
        StatusCode::NO_CONTENT.into_response(),
        [cookie],
    ))
}
