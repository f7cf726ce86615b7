//! Approvals: asked, watched, decided.

use std::time::Duration;

use axum::http::Method;
use remit_control::{
    AgentApprovalView, ApprovalFilter, ApprovalFunnel, ApprovalView, Listing, Watch,
};
use remit_domain::ApprovalId;
use remit_domain::approval::RunTerms;
use remit_domain::name::Email;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::table::{PERSON, PERSON_AGENT};
use super::{Ask, Nothing, Reply, Route, route};
use crate::limits::WAIT_S_MAX;
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/approvals", PERSON, "Approvals", approvals),
        route(Method::GET, "/approvals/watch", PERSON, "Wait for new approvals", watch),
        route(Method::GET, "/approvals/funnel", PERSON, "What became of approvals lately, and how long people took", funnel),
        route(Method::GET, "/approvals/{id}", PERSON_AGENT, "One approval; an agent sees its own", approval),
        route(Method::GET, "/approvals/{id}/wait", PERSON_AGENT, "Wait until an approval is settled", wait),
        route(Method::POST, "/approvals/{id}/approve", PERSON, "Approve exactly this call, once; or others like it in its run, too", approve),
        route(Method::POST, "/approvals/{id}/deny", PERSON, "Deny it", deny),
        route(Method::POST, "/approvals/{id}/edit", PERSON, "Deny it as it was asked, and propose other arguments", edit),
        route(Method::POST, "/approvals/{id}/question", PERSON, "Ask whoever answers for the call about it", question),
        route(Method::POST, "/approvals/{id}/answer", PERSON, "Answer what was asked about it", answer),
        route(Method::POST, "/approvals/{id}/claim", PERSON, "Say that you look into it, for ten minutes", claim),
        route(Method::POST, "/approvals/{id}/release", PERSON, "Say that you look into it no more", release),
        route(Method::POST, "/approvals/{id}/withdraw", PERSON, "Take back a yes that was not used up", withdraw),
        route(Method::POST, "/approvals/{id}/give", PERSON, "Hand it to somebody who may approve it, too", give),
    ]
}

async fn approvals(
    ask: Ask<Nothing, ApprovalFilter>,
) -> Result<Reply<Listing<ApprovalView>>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .approvals(&ask.caller()?, &ask.query)
        .await?
        .into())
}

/// An approval, as whoever asks may see it.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Seen {
    Person(Box<ApprovalView>),
    Agent(Box<AgentApprovalView>),
}

/// How long to wait.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct WaitQuery {
    /// Seconds, at most 60; 30 where absent.
    timeout_s: Option<u64>,
}

pub(super) fn patience(timeout_s: Option<u64>) -> Duration {
    Duration::from_secs(timeout_s.unwrap_or(30).min(WAIT_S_MAX))
}

async fn seen<Q>(ask: &Ask<Nothing, Q>, id: &ApprovalId) -> Result<Seen, Problem> {
    let control = &ask.site.app.control;
    Ok(match ask.agent() {
        Some(own) => Seen::Agent(Box::new(
            control
                .approval_of_agent(ask.place.org(), &own.agent, id)
                .await?,
        )),
        None => Seen::Person(Box::new(control.approval(&ask.caller()?, id).await?)),
    })
}

async fn approval(ask: Ask) -> Result<Reply<Seen>, Problem> {
    Ok(seen(&ask, &ask.named("id")?).await?.into())
}

async fn wait(ask: Ask<Nothing, WaitQuery>) -> Result<Reply<Seen>, Problem> {
    let id = ask.named("id")?;
    // Whose it is comes first: nobody waits for what is not theirs to see.
    seen(&ask, &id).await?;
    ask.site
        .app
        .control
        .wait_settled(ask.place.org(), &id, patience(ask.query.timeout_s))
        .await?;
    Ok(seen(&ask, &id).await?.into())
}

/// Where to go on, and how long to wait.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct WatchQuery {
    /// The `next` of the answer before.
    after: Option<ApprovalId>,
    /// Seconds, at most 60; 30 where absent.
    timeout_s: Option<u64>,
}

async fn watch(ask: Ask<Nothing, WatchQuery>) -> Result<Reply<Watch>, Problem> {
    let WatchQuery { after, timeout_s } = &ask.query;
    Ok(ask
        .site
        .app
        .control
        .watch_approvals(&ask.caller()?, after.clone(), patience(*timeout_s))
        .await?
        .into())
}

/// Why, where the person says so.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Verdict {
    reason: Option<String>,
}

/// Why, and whether it holds for others like it in the run.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Yes {
    reason: Option<String>,
    /// How many calls, for how long and with which arguments; this call alone, once, where it is left out.
    for_run: Option<RunTerms>,
}

async fn approve(ask: Ask<Yes>) -> Result<Reply<ApprovalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let Yes { reason, for_run } = ask.body;
    let control = &ask.site.app.control;
    let approved = match for_run {
        Some(terms) => {
            control
                .approve_for_run(&caller, &id, reason, terms, None)
                .await?
        }
        None => control.approve(&caller, &id, reason).await?,
    };
    Ok(approved.into())
}

async fn claim(ask: Ask<Nothing>) -> Result<Reply<ApprovalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    Ok(control.claim_approval(&caller, &id).await?.into())
}

async fn release(ask: Ask<Nothing>) -> Result<Reply<ApprovalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    Ok(control.release_approval(&caller, &id).await?.into())
}

async fn withdraw(ask: Ask<Verdict>) -> Result<Reply<ApprovalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    let withdrawn = control.withdraw_approval(&caller, &id, ask.body.reason);
    Ok(withdrawn.await?.into())
}

async fn deny(ask: Ask<Verdict>) -> Result<Reply<ApprovalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    Ok(ask
        .site
        .app
        .control
        .deny(&caller, &id, ask.body.reason)
        .await?
        .into())
}

/// Other arguments, and why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// The arguments that would do: an object.
    args: Value,
    #[serde(default)]
    reason: Option<String>,
}

async fn edit(ask: Ask<Edit>) -> Result<Reply<ApprovalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let Edit { args, reason } = ask.body;
    let control = &ask.site.app.control;
    let edited = control.edit_approval(&caller, &id, args, reason);
    Ok(edited.await?.into())
}

/// What is asked or answered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Said {
    text: String,
}

async fn question(ask: Ask<Said>) -> Result<Reply<ApprovalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    let noted = control.question_approval(&caller, &id, ask.body.text);
    Ok(noted.await?.into())
}

async fn answer(ask: Ask<Said>) -> Result<Reply<ApprovalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    let noted = control.answer_approval(&caller, &id, ask.body.text);
    Ok(noted.await?.into())
}

/// To whom.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Give {
    /// Address of the person.
    to: Email,
}

async fn give(ask: Ask<Give>) -> Result<Reply<ApprovalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    let given = control.give_approval(&caller, &id, &ask.body.to);
    Ok(given.await?.into())
}

/// How far back.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Lately {
    /// Seconds; 7 days where absent.
    since_secs: Option<i64>,
}

async fn funnel(ask: Ask<Nothing, Lately>) -> Result<Reply<ApprovalFunnel>, Problem> {
    let (caller, back) = (ask.caller()?, ask.query.since_secs.unwrap_or(7 * 86_400));
    let control = &ask.site.app.control;
    Ok(control.approval_funnel(&caller, back).await?.into())
}
