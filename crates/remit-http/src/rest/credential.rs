//! Credentials of every sort: listed with their ages, looked at, revoked, replaced.

use axum::http::Method;
use remit_control::{CredentialView, Credentials, NewCredential, Rotated};
use remit_domain::Timestamp;
use remit_domain::name::Name;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::agent::Because;
use super::table::PERSON;
use super::{Ask, Nothing, Reply, Route, route};
use crate::identity::Identity;
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/credentials", PERSON, "Keys, tokens, SVIDs and standing access, with their ages and what is wrong with them", credentials),
        route(Method::GET, "/credentials/{id}", PERSON, "One credential of any sort, by its id or at least 8 characters from its start", credential),
        route(Method::POST, "/credentials/{id}/revoke", PERSON, "Revoke a credential: an administrator, a responder, or whose it is", revoke),
        route(Method::POST, "/credentials/{id}/rotate", PERSON, "Replace a credential: the key of an agent with overlap, the token of a directory, the key that signs access tokens", rotate),
    ]
}

/// Whose credentials.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct CredentialQuery {
    /// Only of this agent.
    agent: Option<Name>,
}

async fn credentials(ask: Ask<Nothing, CredentialQuery>) -> Result<Reply<Credentials>, Problem> {
    let control = &ask.site.app.control;
    let caller = ask.caller()?;
    let found = control.credentials(&caller, ask.query.agent.as_ref());
    Ok(found.await?.into())
}

async fn credential(ask: Ask) -> Result<Reply<CredentialView>, Problem> {
    let id: String = ask.named("id")?;
    let control = &ask.site.app.control;
    Ok(control.credential(&ask.caller()?, &id).await?.into())
}

async fn revoke(ask: Ask<Because>) -> Result<Reply<CredentialView>, Problem> {
    let id: String = ask.named("id")?;
    let control = &ask.site.app.control;
    let caller = ask.caller()?;
    let revoked = control.revoke_credential(&caller, &id, &ask.body.reason);
    Ok(revoked.await?.into())
}

/// What took the place of a credential.
#[derive(Default, Serialize, JsonSchema)]
struct RotatedView {
    /// The new key of an agent.
    new: Option<CredentialView>,
    /// The key that it replaces, with the time until which that is good.
    old: Option<CredentialView>,
    /// The new token of a directory, shown once.
    token: Option<String>,
    /// When that token ends.
    expires: Option<Timestamp>,
    /// Key id of the key that signs access tokens from now on.
    kid: Option<String>,
}

async fn rotate(ask: Ask<NewCredential>) -> Result<Reply<RotatedView>, Problem> {
    let id: String = ask.named("id")?;
    let app = &ask.site.app;
    let caller = ask.caller()?;
    let rotated = app.control.rotate_credential(&caller, &id, &ask.body);
    Ok(Reply::created(match rotated.await? {
        Rotated::Key { new, old } => RotatedView {
            new: Some(*new),
            old: Some(*old),
            ..RotatedView::default()
        },
        Rotated::Token { token, expires } => RotatedView {
            token: Some(token.expose_secret().to_owned()),
            expires: Some(expires),
            ..RotatedView::default()
        },
        Rotated::Signing => {
            let by = ask.identity.as_ref().map(Identity::principal);
            let by = by.unwrap_or(remit_domain::Principal::Remit);
            let key = app.issuer.rotate_signing_key(ask.place.org(), by).await?;
            RotatedView {
                kid: Some(key.kid),
                ..RotatedView::default()
            }
        }
    }))
}
