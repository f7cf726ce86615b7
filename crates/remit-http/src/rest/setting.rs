//! Settings: what the organization makes of calls, level by level.

use axum::http::Method;
use remit_control::spec::{SettingName, SettingSpec};
use remit_control::{ListQuery, Listing, SettingQuery, SettingView, SettingsExplained};

use super::table::{ADMIN, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/settings", PERSON, "Settings", settings),
        route(Method::GET, "/settings/explain", PERSON, "What the settings about a call come to, level by level", explain),
        route(Method::GET, "/settings/{name}", PERSON, "One setting", setting),
        route(Method::PUT, "/settings/{name}", ADMIN, "Create or change a setting; never one's own", put),
        route(Method::DELETE, "/settings/{name}", ADMIN, "Remove a setting", remove),
    ]
}

async fn settings(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<SettingView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.settings(&ask.caller()?, &ask.query)?.into())
}

async fn explain(ask: Ask<Nothing, SettingQuery>) -> Result<Reply<SettingsExplained>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.explain_settings(&ask.caller()?, &ask.query)?.into())
}

async fn setting(ask: Ask) -> Result<Reply<SettingView>, Problem> {
    let name: SettingName = ask.named("name")?;
    let control = &ask.site.app.control;
    Ok(control.setting(&ask.caller()?, &name)?.into())
}

async fn put(ask: Ask<SettingSpec>) -> Result<Reply<SettingView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<SettingName>("name")?);
    let control = &ask.site.app.control;
    let saved = control.put_setting(&caller, &name, ask.body, ask.seen);
    Ok(Reply::saved(saved.await?))
}

async fn remove(ask: Ask) -> Result<Reply<SettingView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named::<SettingName>("name")?);
    let control = &ask.site.app.control;
    Ok(control.remove_setting(&caller, &name).await?.into())
}
