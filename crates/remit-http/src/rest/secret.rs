//! Secrets of the vault. A value only comes in: no endpoint gives one out.

use axum::http::Method;
use remit_control::{
    CanaryMade, ListQuery, Listing, NewCanary, NewSecret, SecretView, VaultKeyView,
};
use remit_domain::name::Name;
use schemars::JsonSchema;
use serde::Deserialize;

use super::agent::Because;
use super::table::{ADMIN, RESPONDER_ADMIN, RESPONDER_ADMIN_AUDITOR};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/secrets", RESPONDER_ADMIN_AUDITOR, "Secrets of the vault, without their values", secrets),
        route(Method::GET, "/secrets/{name}", RESPONDER_ADMIN_AUDITOR, "One secret: its versions, when it was last used, and who can use it", secret),
        route(Method::POST, "/secrets/{name}/versions", ADMIN, "Set a secret: its value becomes a new version, which is used from now on", set),
        route(Method::POST, "/secrets/{name}/canary", ADMIN, "Make a canary: a value that opens nothing, and is a finding where it shows up", canary),
        route(Method::POST, "/secrets/{name}/rollback", ADMIN, "Use a version that is kept", rollback),
        route(Method::POST, "/secrets/{name}/disable", RESPONDER_ADMIN, "Give a secret to nobody any more", disable),
        route(Method::POST, "/secrets/{name}/enable", ADMIN, "Give a secret to its upstreams again", enable),
        route(Method::POST, "/secrets/{name}/delete", ADMIN, "Destroy every value of a secret", delete),
        route(Method::POST, "/vault/rotate", ADMIN, "Replace the key that seals the secrets, and seal them anew", rotate),
    ]
}

/// Which version is to be used.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rollback {
    /// Its number.
    version: u32,
    /// Why; people read it later.
    reason: String,
}

async fn secrets(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<SecretView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.secrets(&ask.caller()?, &ask.query)?.into())
}

async fn secret(ask: Ask) -> Result<Reply<SecretView>, Problem> {
    let name: Name = ask.named("name")?;
    let control = &ask.site.app.control;
    Ok(control.secret(&ask.caller()?, &name)?.into())
}

async fn set(ask: Ask<NewSecret>) -> Result<Reply<SecretView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let saved = control.set_secret(&caller, &name, &ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}

async fn canary(ask: Ask<NewCanary>) -> Result<Reply<CanaryMade>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let made = control.make_canary(&caller, &name, &ask.body).await?;
    Ok(Reply::created(made))
}

async fn rollback(ask: Ask<Rollback>) -> Result<Reply<SecretView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let rolled = control.roll_back_secret(&caller, &name, ask.body.version, &ask.body.reason);
    Ok(rolled.await?.into())
}

async fn disable(ask: Ask<Because>) -> Result<Reply<SecretView>, Problem> {
    enabled(ask, false).await
}

async fn enable(ask: Ask<Because>) -> Result<Reply<SecretView>, Problem> {
    enabled(ask, true).await
}

async fn enabled(ask: Ask<Because>, enabled: bool) -> Result<Reply<SecretView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let changed = control.enable_secret(&caller, &name, enabled, &ask.body.reason);
    Ok(changed.await?.into())
}

async fn delete(ask: Ask<Because>) -> Result<Reply<SecretView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<Name>("name")?);
    let control = &ask.site.app.control;
    let deleted = control.delete_secret(&caller, &name, &ask.body.reason);
    Ok(deleted.await?.into())
}

async fn rotate(ask: Ask) -> Result<Reply<VaultKeyView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.rotate_vault_key(&ask.caller()?).await?.into())
}
