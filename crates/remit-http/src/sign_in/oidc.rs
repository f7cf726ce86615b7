//! To the company's OpenID provider and back: the two requests that a browser makes by itself.

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use remit_domain::Refusal;
use remit_issuer::OidcAnswer;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::browser::{cookies, name, with_cookies};
use crate::problem::Problem;
use crate::site::{Place, Site};

#[derive(Deserialize)]
pub(super) struct Start {
    #[serde(default)]
    next: String,
}

/// Sends the browser to the provider.
pub(super) async fn start(
    State(site): State<Site>,
    place: Place,
    Query(query): Query<Start>,
) -> Result<Response, Problem> {
    let issuer = &site.app.issuer;
    let begun = match issuer.begin_oidc(place.org(), &query.next).await {
        Ok(begun) => begun,
        Err(refusal) => return back(&site, &place, &refusal),
    };
    let cookie = issuer
        .cookies(place.org())?
        .set_visit(begun.visit.expose_secret());
    Ok(with_cookies(
        Redirect::to(&begun.url).into_response(),
        [cookie],
    ))
}

/// Takes the provider's answer. The visit's cookie goes, whatever comes of it.
pub(super) async fn callback(
    State(site): State<Site>,
    place: Place,
    Query(answer): Query<OidcAnswer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let issuer = &site.app.issuer;
    let ours = issuer.cookies(place.org())?;
    let visit = ours.visit(cookies(&headers)).unwrap_or_default();
    let finished = issuer.finish_oidc(place.org(), &visit, &answer, name(&headers));
    match finished.await {
        Ok(welcome) => {
            let session = ours.set_session(welcome.session.secret.expose_secret());
            let to = Redirect::to(&format!("{}{}", site.app.public_url, welcome.next));
            Ok(with_cookies(
                to.into_response(),
                [session, ours.clear_visit()],
            ))
        }
        Err(refusal) => back(&site, &place, &refusal),
    }
}

/// Back to the page for signing in, which says why.
fn back(site: &Site, place: &Place, refusal: &Refusal) -> Result<Response, Problem> {
    tracing::info!(code = refusal.code.as_str(), text = %refusal.text, "nobody was signed in");
    let to = format!("{}/sign-in?failed={}", place.base, refusal.code);
    let ours = site.app.issuer.cookies(place.org())?;
    Ok(with_cookies(
        Redirect::to(&to).into_response(),
        [ours.clear_visit()],
    ))
}
