//! Containment: previewed, done, certified, lifted.

use axum::http::Method;
use remit_control::{CertificateView, ContainmentView, Listing, Preview, Restored, TargetName};
use remit_domain::containment::Level;
use schemars::JsonSchema;
use serde::Deserialize;

use super::agent::Because;
use super::list::PastQuery;
use super::table::{PERSON, RESPONDER_ADMIN};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/containments/preview", PERSON, "What a containment would reach", preview),
        route(Method::POST, "/containments", PERSON, "Contain; an agent's owner and sponsor may suspend it", contain),
        route(Method::GET, "/containments", PERSON, "Containments", containments),
        route(Method::GET, "/containments/{id}", PERSON, "One containment, with its newest certificate", containment),
        route(Method::GET, "/containments/{id}/certificate", PERSON, "What was stopped, what is bounded, what is not proved", certificate),
        route(Method::POST, "/containments/{id}/lift", RESPONDER_ADMIN, "Lift a suspension or quarantine", lift),
    ]
}

/// What to look at.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct What {
    target: TargetName,
    level: Level,
}

async fn preview(ask: Ask<What>) -> Result<Reply<Preview>, Problem> {
    let What { target, level } = &ask.body;
    Ok(ask
        .site
        .app
        .control
        .preview_containment(&ask.caller()?, target, *level)
        .await?
        .into())
}

/// What to contain, how far, and why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewContainment {
    target: TargetName,
    level: Level,
    reason: String,
}

async fn contain(ask: Ask<NewContainment>) -> Result<Reply<ContainmentView>, Problem> {
    let NewContainment {
        target,
        level,
        reason,
    } = &ask.body;
    Ok(Reply::created(
        ask.site
            .app
            .control
            .contain(&ask.caller()?, target, *level, reason)
            .await?,
    ))
}

async fn containments(
    ask: Ask<Nothing, PastQuery>,
) -> Result<Reply<Listing<ContainmentView>>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .containments(&ask.caller()?, &ask.query.clone().into())
        .await?
        .into())
}

async fn containment(ask: Ask) -> Result<Reply<ContainmentView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .containment(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

async fn certificate(ask: Ask) -> Result<Reply<CertificateView>, Problem> {
    let found = ask
        .site
        .app
        .control
        .containment(&ask.caller()?, &ask.named("id")?)
        .await?;
    let certificate = found
        .certificate
        .ok_or_else(|| Problem::not_found("there is no certificate yet"))?;
    Ok(certificate.into())
}

async fn lift(ask: Ask<Because>) -> Result<Reply<Restored>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .lift_containment(&ask.caller()?, &ask.named("id")?, &ask.body.reason)
        .await?
        .into())
}
