//! Containment: previewed, done, certified, lifted.

use axum::http::Method;
use remit_control::{
    CertificateView, ContainmentView, EverythingPreview, Listing, Preview, Restored, TargetName,
};
use remit_domain::containment::Level;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::agent::Because;
use super::list::PastQuery;
use super::table::{ADMIN, OPERATOR, PERSON, RESPONDER_ADMIN};
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
        route(Method::GET, "/containments/{id}/certificate/file", PERSON, "The certificate with its proof, as a file that is verified without this server", certificate_file),
        route(Method::POST, "/containments/{id}/lift", RESPONDER_ADMIN, "Lift a suspension or quarantine", lift),
        route(Method::POST, "/containments/{id}/confirm", ADMIN, "Confirm a containment that takes two people: somebody else than who ordered it", confirm),
        route(Method::POST, "/containments/{id}/withdraw", PERSON, "Take back a containment that waits for a second person", withdraw),
        route(Method::POST, "/everything/preview", OPERATOR, "What containing every organization would stop, in numbers", preview_everything),
        route(Method::POST, "/everything", OPERATOR, "Order that every organization is contained; an administrator of one confirms it", contain_everything),
        route(Method::GET, "/everything", OPERATOR, "What contained every organization", containments_of_everything),
        route(Method::GET, "/everything/{id}", OPERATOR, "One of them, with what became of each organization", containment_of_everything),
        route(Method::POST, "/everything/{id}/confirm", ADMIN, "Confirm what the operator ordered", confirm_everything),
        route(Method::POST, "/everything/{id}/lift", OPERATOR, "Let every organization go on, or take back what waits", lift_everything),
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

async fn certificate_file(ask: Ask) -> Result<Reply<Value>, Problem> {
    let control = &ask.site.app.control;
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let file = control.certificate_file(&caller, &id).await?;
    let file = serde_json::to_value(file).map_err(|e| Problem::internal(&e))?;
    Ok(file.into())
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

async fn confirm(ask: Ask) -> Result<Reply<ContainmentView>, Problem> {
    let control = &ask.site.app.control;
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    Ok(control.confirm_containment(&caller, &id).await?.into())
}

async fn withdraw(ask: Ask) -> Result<Reply<ContainmentView>, Problem> {
    let control = &ask.site.app.control;
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    Ok(control.withdraw_containment(&caller, &id).await?.into())
}

/// How far.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HowFar {
    level: Level,
}

async fn preview_everything(ask: Ask<HowFar>) -> Result<Reply<EverythingPreview>, Problem> {
    let control = &ask.site.app.control;
    let (caller, level) = (ask.caller()?, ask.body.level);
    Ok(control.preview_everything(&caller, level).await?.into())
}

/// How far, and why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Everything {
    level: Level,
    reason: String,
    /// Without a second person, in an emergency: at once, with an alarm in every organization.
    #[serde(default)]
    break_glass: bool,
}

async fn contain_everything(ask: Ask<Everything>) -> Result<Reply<ContainmentView>, Problem> {
    let Everything {
        level,
        reason,
        break_glass,
    } = &ask.body;
    let control = &ask.site.app.control;
    let caller = ask.caller()?;
    let ordered = control.contain_everything(&caller, *level, reason, *break_glass);
    Ok(Reply::created(ordered.await?))
}

async fn containments_of_everything(
    ask: Ask<Nothing, PastQuery>,
) -> Result<Reply<Listing<ContainmentView>>, Problem> {
    let control = &ask.site.app.control;
    let (caller, query) = (ask.caller()?, ask.query.clone().into());
    let all = control.containments_of_everything(&caller, &query);
    Ok(all.await?.into())
}

async fn containment_of_everything(ask: Ask) -> Result<Reply<ContainmentView>, Problem> {
    let control = &ask.site.app.control;
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    Ok(control
        .containment_of_everything(&caller, &id)
        .await?
        .into())
}

async fn confirm_everything(ask: Ask) -> Result<Reply<ContainmentView>, Problem> {
    let control = &ask.site.app.control;
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    Ok(control.confirm_everything(&caller, &id).await?.into())
}

async fn lift_everything(ask: Ask<Because>) -> Result<Reply<ContainmentView>, Problem> {
    let control = &ask.site.app.control;
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let lifted = control.lift_everything(&caller, &id, &ask.body.reason);
    Ok(lifted.await?.into())
}
