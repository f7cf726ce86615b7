//! Agents, their life, keys, workflows and effective access.

use axum::http::Method;
use remit_control::spec::{AgentSpec, WorkflowRef, WorkflowSpec};
use remit_control::{
    AccessRow, Activity, AgentView, Completeness, EventView, KeyView, ListQuery, Listing, NewKey,
    StoryQuery, Transfer, WorkflowView,
};
use remit_domain::name::Name;
use schemars::JsonSchema;
use serde::Deserialize;

use super::list::page;
use super::table::{ADMIN, ADMIN_DEVELOPER, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/agents", PERSON, "Agents", agents),
        route(Method::GET, "/agents/{name}", PERSON, "One agent", agent),
        route(Method::PUT, "/agents/{name}", ADMIN_DEVELOPER, "Register or change an agent", put),
        route(Method::GET, "/agents/{name}/completeness", PERSON, "What is missing before an agent can be active", completeness),
        route(Method::POST, "/agents/{name}/activate", PERSON, "Activate an agent", activate),
        route(Method::POST, "/agents/{name}/suspend", PERSON, "Suspend an agent and stop what it does", suspend),
        route(Method::POST, "/agents/{name}/resume", PERSON, "Let a suspended agent go on", resume),
        route(Method::POST, "/agents/{name}/retire", PERSON, "Retire an agent for good", retire),
        route(Method::POST, "/agents/{name}/transfer", ADMIN, "Change who answers for an agent", transfer),
        route(Method::GET, "/agents/{name}/keys", PERSON, "Keys of an agent", keys),
        route(Method::POST, "/agents/{name}/keys", PERSON, "Add a public key", add_key),
        route(Method::DELETE, "/agents/{name}/keys/{thumbprint}", PERSON, "Remove a key, and revoke what was issued to it", remove_key),
        route(Method::GET, "/agents/{name}/workflows", PERSON, "Workflows of an agent, with their grants", workflows),
        route(Method::GET, "/agents/{name}/workflows/{workflow}", PERSON, "One workflow", workflow),
        route(Method::PUT, "/agents/{name}/workflows/{workflow}", ADMIN, "Create or change a workflow and its grants", put_workflow),
        route(Method::GET, "/agents/{name}/events", PERSON, "What an agent did and what was done to it, newest first", events),
        route(Method::GET, "/activity", PERSON, "How much was decided in each of the last 24 hours", activity),
        route(Method::GET, "/agents/{name}/access", PERSON, "What an agent can reach, as policy decides it", access),
    ]
}

/// Why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Because {
    /// What people read later.
    pub(super) reason: String,
}

async fn agents(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<AgentView>>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .agents(&ask.caller()?, &ask.query)?
        .into())
}

async fn agent(ask: Ask) -> Result<Reply<AgentView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .agent(&ask.caller()?, &ask.named("name")?)?
        .into())
}

async fn put(ask: Ask<AgentSpec>) -> Result<Reply<AgentView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named("name")?);
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_agent(&caller, &name, ask.body, ask.seen)
            .await?,
    ))
}

async fn completeness(ask: Ask) -> Result<Reply<Completeness>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .completeness(&ask.caller()?, &ask.named("name")?)?
        .into())
}

async fn activate(ask: Ask<Nothing>) -> Result<Reply<AgentView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .activate_agent(&ask.caller()?, &ask.named("name")?)
        .await?
        .into())
}

async fn suspend(ask: Ask<Because>) -> Result<Reply<AgentView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .suspend_agent(&ask.caller()?, &ask.named("name")?, &ask.body.reason)
        .await?
        .into())
}

async fn resume(ask: Ask<Because>) -> Result<Reply<AgentView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .resume_agent(&ask.caller()?, &ask.named("name")?, &ask.body.reason)
        .await?
        .into())
}

async fn retire(ask: Ask<Because>) -> Result<Reply<AgentView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .retire_agent(&ask.caller()?, &ask.named("name")?, &ask.body.reason)
        .await?
        .into())
}

async fn transfer(ask: Ask<Transfer>) -> Result<Reply<AgentView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named("name")?);
    Ok(ask
        .site
        .app
        .control
        .transfer_agent(&caller, &name, ask.body)
        .await?
        .into())
}

async fn keys(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<KeyView>>, Problem> {
    let keys = ask
        .site
        .app
        .control
        .keys(&ask.caller()?, &ask.named("name")?)?;
    Ok(page(keys, &ask.query, |k| k.thumbprint.clone()).into())
}

async fn add_key(ask: Ask<NewKey>) -> Result<Reply<KeyView>, Problem> {
    Ok(Reply::created(
        ask.site
            .app
            .control
            .add_key(&ask.caller()?, &ask.named("name")?, &ask.body)
            .await?,
    ))
}

async fn remove_key(ask: Ask<Nothing>) -> Result<Reply<KeyView>, Problem> {
    let thumbprint: String = ask.named("thumbprint")?;
    Ok(ask
        .site
        .app
        .control
        .remove_key(&ask.caller()?, &ask.named("name")?, &thumbprint)
        .await?
        .into())
}

async fn workflows(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<WorkflowView>>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .workflows(&ask.caller()?, &ask.named("name")?, &ask.query)?
        .into())
}

fn workflow_of<B, Q>(ask: &Ask<B, Q>) -> Result<WorkflowRef, Problem> {
    let (agent, workflow): (Name, Name) = (ask.named("name")?, ask.named("workflow")?);
    Ok(WorkflowRef { agent, workflow })
}

async fn workflow(ask: Ask) -> Result<Reply<WorkflowView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .workflow(&ask.caller()?, &workflow_of(&ask)?)?
        .into())
}

async fn put_workflow(ask: Ask<WorkflowSpec>) -> Result<Reply<WorkflowView>, Problem> {
    let (caller, name) = (ask.caller()?, workflow_of(&ask)?);
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_workflow(&caller, &name, ask.body, ask.seen)
            .await?,
    ))
}

/// Which rows.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AccessQuery {
    /// Only what a person has to approve.
    asks: bool,
    /// At most this many, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// Only what comes after this one.
    after: Option<String>,
}

async fn access(ask: Ask<Nothing, AccessQuery>) -> Result<Reply<Listing<AccessRow>>, Problem> {
    let AccessQuery { asks, limit, after } = &ask.query;
    let rows = ask
        .site
        .app
        .control
        .access(&ask.caller()?, &ask.named("name")?, *asks)?;
    let query = ListQuery {
        limit: *limit,
        after: after.clone(),
        state: None,
        ..ListQuery::default()
    };
    Ok(page(rows, &query, |row| format!("{} {}", row.workflow, row.tool)).into())
}

async fn events(ask: Ask<Nothing, StoryQuery>) -> Result<Reply<Listing<EventView>>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named("name")?);
    Ok(ask
        .site
        .app
        .control
        .agent_story(&caller, &name, &ask.query)
        .await?
        .into())
}

async fn activity(ask: Ask) -> Result<Reply<Activity>, Problem> {
    Ok(ask.site.app.control.activity(&ask.caller()?).await?.into())
}
