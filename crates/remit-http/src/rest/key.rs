//! The keys that sign access tokens: how old they are, and replacing the one in use.

use axum::http::Method;
use remit_control::{ListQuery, Listing};
use remit_domain::Timestamp;
use remit_domain::key::KeyUse;
use remit_issuer::IssuerKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list::page;
use super::table::{ADMIN, ADMIN_AUDITOR};
use super::{Ask, Nothing, Reply, Route, route};
use crate::identity::Identity;
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/signing-keys", ADMIN_AUDITOR, "Keys that sign access tokens and SVIDs, as published", keys),
        route(Method::POST, "/signing-keys/rotate", ADMIN, "Sign with a new key; the old one stays published until the last of what it signed has ended", rotate),
    ]
}

/// A key that signs access tokens or SVIDs, or did.
#[derive(Serialize, JsonSchema)]
struct SigningKeyView {
    /// What it signs.
    #[serde(rename = "use")]
    usage: KeyUse,
    /// Its key id: RFC 7638 thumbprint, as tokens and the published key set name it; of an authority, SHA-256 of its
    /// certificate in base64url.
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
            usage: key.usage,
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
    let svid_keys = app.issuer.svid_keys(ask.place.org()).await?;
    let views = keys
        .into_iter()
        .chain(svid_keys)
        .map(|key| SigningKeyView::of(key, now));
    Ok(page(views.collect(), &ask.query, |k: &SigningKeyView| {
        k.kid.clone()
    })
    .into())
}

/// Which keys to replace.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Rotated {
    /// The key that signs access tokens.
    #[default]
    Issuer,
    /// The authority of the trust domain, and the keys that sign JWT-SVIDs and, where they are on, WIT-SVIDs. New ones sign
    /// five minutes after they are published.
    Svid,
}

/// What to replace.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Rotate {
    /// Which keys.
    #[serde(rename = "use")]
    usage: Rotated,
}

async fn rotate(ask: Ask<Rotate>) -> Result<Reply<Vec<SigningKeyView>>, Problem> {
    let app = &ask.site.app;
    let by = ask.identity.as_ref().map(Identity::principal);
    let by = by.unwrap_or(remit_domain::Principal::Remit);
    let org = ask.place.org();
    let keys = match ask.body.usage {
        Rotated::Issuer => vec![app.issuer.rotate_signing_key(org, by).await?],
        Rotated::Svid => app.issuer.rotate_svid_keys(org, &by).await?,
    };
    let views = keys.into_iter();
    let views = views.map(|key| SigningKeyView::of(key, app.books.now()));
    Ok(Reply::created(views.collect()))
}
