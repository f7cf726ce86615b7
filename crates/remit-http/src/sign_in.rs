//! Signing in with a browser: what scripts of the console's pages call, and where the OpenID provider sends people back to.
//!
//! | address | takes | gives |
//! | --- | --- | --- |
//! | `GET /sign-in/methods` | | which ways there are |
//! | `POST /sign-in/code` | `code`, `next` | the cookie, `next` |
//! | `POST /sign-in/passkey/begin` | | `ceremony`, `options` |
//! | `POST /sign-in/passkey/finish` | `ceremony`, `credential`, `next` | the cookie, `next` |
//! | `GET /sign-in/oidc?next=` | | a redirect to the provider |
//! | `GET /sign-in/oidc/callback` | the provider's answer | the cookie, a redirect to `next` |
//! | `POST /sign-in/passkeys/begin`, `…/finish` | the session | a new passkey |
//! | `POST /sign-in/step-up/begin`, `…/finish` | the session, `digest` | a proof |
//! | `POST /sign-in/end` | the session | nothing: it has ended |
//!
//! Host and Origin were checked before (`guard`). A body is JSON and says so, which no other site's form can; a request
//! that changes something comes from a page of ours, and says that, too.

mod browser;
mod ceremony;
mod oidc;

use axum::middleware::from_fn_with_state;
use axum::{Router, routing};

use crate::guard;
use crate::site::Site;

/// The endpoints of one organization. Each counts against the limit of those who guess.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    let limited = Router::new()
        .route("/sign-in/code", routing::post(ceremony::code))
        .route("/sign-in/passkey/finish", routing::post(ceremony::sign_in))
        .route("/sign-in/oidc/callback", routing::get(oidc::callback))
        .layer(from_fn_with_state(site.clone(), guard::code_endpoint));
    let open = Router::new()
        .route("/sign-in/methods", routing::get(ceremony::methods))
        .route(
            "/sign-in/passkey/begin",
            routing::post(ceremony::begin_sign_in),
        )
        .route("/sign-in/oidc", routing::get(oidc::start))
        .route(
            "/sign-in/passkeys/begin",
            routing::post(ceremony::begin_enrol),
        )
        .route("/sign-in/passkeys/finish", routing::post(ceremony::enrol))
        .route(
            "/sign-in/step-up/begin",
            routing::post(ceremony::begin_step_up),
        )
        .route("/sign-in/step-up/finish", routing::post(ceremony::step_up))
        .route("/sign-in/end", routing::post(ceremony::end))
        .layer(from_fn_with_state(site.clone(), guard::open_endpoint));
    limited.merge(open)
}
