//! Authorization servers of others: to which of them agents may carry the word that they act for a person.

use axum::http::Method;
use remit_control::spec::AuthorizationServerSpec;
use remit_control::{AuthorizationServerView, ListQuery, Listing};
use remit_domain::name::Name;

use super::agent::Because;
use super::table::{ADMIN, PERSON, RESPONDER_ADMIN};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/authorization-servers", PERSON, "Authorization servers of others, to which agents may assert for whom they act", servers),
        route(Method::GET, "/authorization-servers/{name}", PERSON, "One authorization server", server),
        route(Method::PUT, "/authorization-servers/{name}", ADMIN, "List or change an authorization server", put),
        route(Method::POST, "/authorization-servers/{name}/disable", RESPONDER_ADMIN, "Assert nothing to a server any more", disable),
    ]
}

async fn servers(
    ask: Ask<Nothing, ListQuery>,
) -> Result<Reply<Listing<AuthorizationServerView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .authorization_servers(&ask.caller()?, &ask.query)?
        .into())
}

async fn server(ask: Ask) -> Result<Reply<AuthorizationServerView>, Problem> {
    let name: Name = ask.named("name")?;
    let control = &ask.site.app.control;
    Ok(control.authorization_server(&ask.caller()?, &name)?.into())
}

async fn put(ask: Ask<AuthorizationServerSpec>) -> Result<Reply<AuthorizationServerView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let saved = control.put_authorization_server(&caller, &name, ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}

async fn disable(ask: Ask<Because>) -> Result<Reply<AuthorizationServerView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let disabled = control.disable_authorization_server(&caller, &name, &ask.body.reason);
    Ok(disabled.await?.into())
}
