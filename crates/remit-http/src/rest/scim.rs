//! Clients of the SCIM interface: which directories tell who is here, and what their groups give.

use axum::http::Method;
use remit_control::{ListQuery, Listing, ScimClientSpec, ScimClientView};
use remit_domain::Timestamp;
use remit_domain::name::Name;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::agent::Because;
use super::table::{ADMIN, PERSON, RESPONDER_ADMIN};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/scim-clients", PERSON, "Directories that tell who is here", clients),
        route(Method::GET, "/scim-clients/{name}", PERSON, "One directory", client),
        route(Method::PUT, "/scim-clients/{name}", ADMIN, "Add a directory, or set what its groups give", put),
        route(Method::POST, "/scim-clients/{name}/token", ADMIN, "Make the directory's token; the one before it ends", token),
        route(Method::POST, "/scim-clients/{name}/revoke", RESPONDER_ADMIN, "Revoke a directory for good", revoke),
    ]
}

async fn clients(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<ScimClientView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.scim_clients(&ask.caller()?, &ask.query)?.into())
}

async fn client(ask: Ask) -> Result<Reply<ScimClientView>, Problem> {
    let name: Name = ask.named("name")?;
    let control = &ask.site.app.control;
    Ok(control.scim_client(&ask.caller()?, &name)?.into())
}

async fn put(ask: Ask<ScimClientSpec>) -> Result<Reply<ScimClientView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let saved = control.put_scim_client(&caller, &name, &ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}

/// For how long a token is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenLife {
    /// Days, 1 to 366.
    days: i64,
}

/// A token, shown once.
#[derive(Serialize, JsonSchema)]
struct MadeToken {
    token: String,
    /// Where the directory sends its requests.
    base_url: String,
    expires: Timestamp,
}

async fn token(ask: Ask<TokenLife>) -> Result<Reply<MadeToken>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let made = control.make_scim_token(&caller, &name, ask.body.days);
    let made = made.await?;
    Ok(Reply::created(MadeToken {
        token: made.token.expose_secret().to_owned(),
        base_url: format!("{}/scim/v2", ask.place.base),
        expires: made.expires,
    }))
}

async fn revoke(ask: Ask<Because>) -> Result<Reply<ScimClientView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let revoked = control.revoke_scim_client(&caller, &name, &ask.body.reason);
    Ok(revoked.await?.into())
}
