//! The keys that sign access tokens: how old they are, and replacing the one in use.

use axum::http::Method;
use remit_control::{ListQuery, Listing};
use remit_domain::Timestamp;
use remit_issuer::IssuerKey;
use schemars::JsonSchema;
use serde::Serialize;

use super::list::page;
use super::table::{ADMIN, ADMIN_AUDITOR};
use super::{Ask, Nothing, Reply, Route, route};
use crate::identity::Identity;
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/signing-keys", ADMIN_AUDITOR, "Keys that sign access tokens, as published", keys),
        route(Method::POST, "/signing-keys/rotate", ADMIN, "Sign with a new key; the old one stays published until its last token has ended", rotate),
    ]
}

/// A key that signs access tokens, or did.
#[derive(Serialize, JsonSchema)]
struct SigningKeyView {
    /// Its key id (RFC 7638 thumbprint), as tokens and the published key set name it.
    kid: String,
    /// `active` signs; `retired` only verifies.
    state: &'static str,
    created: Timestamp,
    /// Age in whole days.
    age_days: i64,
    /// When it stopped signing.
    retired: Option<Timestamp>,
    /// When it is published no more.
    published_until: Option<Timestamp>,
}

impl SigningKeyView {
    fn of(key: IssuerKey, now: Timestamp) -> Self {
        Self {
            kid: key.kid,
            state: if key.retired.is_some() {
                "retired"
            } else {
                "active"
            },
            created: key.created,
            age_days: now.secs_since(key.created) / 86_400,
            retired: key.retired,
            published_until: key.published_until,
        }
    }
}

async fn keys(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<SigningKeyView>>, Problem> {
    let app = &ask.site.app;
    let now = app.books.now();
    let keys = app.issuer.signing_keys(ask.place.org()).await?;
    let views = keys.into_iter().map(|key| SigningKeyView::of(key, now));
    Ok(page(views.collect(), &ask.query, |k: &SigningKeyView| {
        k.kid.clone()
    })
    .into())
}

async fn rotate(ask: Ask<Nothing>) -> Result<Reply<SigningKeyView>, Problem> {
    let app = &ask.site.app;
    let by = ask.identity.as_ref().map(Identity::principal);
    let by = by.unwrap_or(remit_domain::Principal::Remit);
    let key = app.issuer.rotate_signing_key(ask.place.org(), by).await?;
    Ok(Reply::created(SigningKeyView::of(key, app.books.now())))
}
