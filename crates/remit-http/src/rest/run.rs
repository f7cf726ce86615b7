//! Runs: opened, looked at, ended.

use axum::http::Method;
use remit_control::spec::WorkflowRef;
use remit_control::{
    Between, DeclassificationVerdict, DeclassificationView, ListQuery, Listing,
    NewDeclassification, RunEnded, RunLabels, RunReport, RunStory, RunView, Shred,
};
use remit_domain::authority::Authority;
use remit_domain::name::Name;
use remit_domain::run::{Intent, Mode, Provenance};
use remit_domain::{AgentId, DelegationId, RefusalCode, RunId, Timestamp, WorkflowId};
use remit_issuer::{Caller, RunRequest, SpawnRequest};
use remit_token::Scope;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::table::{ADMIN, AGENT, PERSON, PERSON_AGENT};
use super::{Ask, Nothing, Reply, Route, route};
use crate::identity::Identity;
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/runs", PERSON_AGENT, "Open a run", open),
        route(Method::POST, "/runs/spawn", AGENT, "Hand part of one's run to a sub-agent", spawn),
        route(Method::GET, "/runs", PERSON, "Runs", runs),
        route(Method::GET, "/runs/{id}", PERSON_AGENT, "One run; an agent sees its own", run),
        route(Method::GET, "/runs/{id}/events", PERSON, "What happened in a run, in order", events),
        route(Method::GET, "/runs/{id}/labels", PERSON, "What a run has touched, and the call that raised each label", labels),
        route(Method::POST, "/runs/{id}/declassify", PERSON, "Ask to take labels back from a run", declassify),
        route(Method::GET, "/declassifications", PERSON, "Labels that people asked to take back, newest first", declassifications),
        route(Method::GET, "/declassifications/{id}", PERSON, "One declassification, with what raised its labels", declassification),
        route(Method::POST, "/declassifications/{id}/approve", PERSON, "Take the labels back; an approver who has no part in the run", approve),
        route(Method::POST, "/declassifications/{id}/refuse", PERSON, "Leave the labels where they are", refuse),
        route(Method::POST, "/runs/{id}/shred", ADMIN, "Destroy the content of a run that has ended; its entries stay provable", shred),
        route(Method::POST, "/runs/{id}/end", PERSON_AGENT, "End a run and say how it went", end),
    ]
}

async fn labels(ask: Ask) -> Result<Reply<RunLabels>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .run_labels(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

async fn declassify(ask: Ask<NewDeclassification>) -> Result<Reply<DeclassificationView>, Problem> {
    let (caller, run) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    Ok(control
        .request_declassification(&caller, &run, ask.body)
        .await?
        .into())
}

async fn declassifications(
    ask: Ask<Nothing, ListQuery>,
) -> Result<Reply<Listing<DeclassificationView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .declassifications(&ask.caller()?, &ask.query)
        .await?
        .into())
}

async fn declassification(ask: Ask) -> Result<Reply<DeclassificationView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .declassification(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

async fn approve(
    ask: Ask<DeclassificationVerdict>,
) -> Result<Reply<DeclassificationView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    Ok(control
        .approve_declassification(&caller, &id, ask.body)
        .await?
        .into())
}

async fn refuse(ask: Ask<DeclassificationVerdict>) -> Result<Reply<DeclassificationView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    Ok(control
        .refuse_declassification(&caller, &id, ask.body)
        .await?
        .into())
}

/// A run to open.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRun {
    /// `agent/workflow`; an agent may leave its own name out.
    workflow: String,
    mode: Mode,
    #[serde(default)]
    intent: Intent,
    /// What starts it; required of a background run.
    #[serde(default)]
    trigger: Option<String>,
    /// The delegation it rests on.
    #[serde(default)]
    delegation: Option<DelegationId>,
    /// A person's subject token, with which an agent opens an interactive run.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    subject_token: Option<SecretString>,
    #[serde(default)]
    provenance: Provenance,
}

fn unknown() -> Problem {
    Problem::new(
        RefusalCode::WorkflowUnknown,
        "no such workflow is in use; write agent/workflow",
    )
}

/// The ids of a workflow that is named.
fn workflow_named<B, Q>(ask: &Ask<B, Q>, text: &str) -> Result<(AgentId, WorkflowId), Problem> {
    let registry = ask.place.book.registry();
    let (agent, workflow) = match (text.parse::<WorkflowRef>(), ask.agent()) {
        (Ok(named), _) => {
            let agent = registry
                .agent_named(named.agent.as_str())
                .ok_or_else(unknown)?;
            (agent.id.clone(), named.workflow)
        }
        (Err(_), Some(own)) => (
            own.agent.clone(),
            text.parse::<Name>().map_err(|_| unknown())?,
        ),
        (Err(_), None) => return Err(unknown()),
    };
    let found = registry
        .workflow_named(&agent, workflow.as_str())
        .map(|w| w.id.clone());
    found.map(|id| (agent, id)).ok_or_else(unknown)
}

/// Who asks, as the issuer knows them.
fn asker<B, Q>(ask: &Ask<B, Q>) -> Result<Caller<'_>, Problem> {
    match &ask.identity {
        Some(Identity::Person(person)) => Ok(Caller::Person(person)),
        Some(Identity::Agent(verified)) => Ok(Caller::Agent(verified)),
        _ => Err(Problem::new(
            RefusalCode::Forbidden,
            "this is for people and agents",
        )),
    }
}

async fn view<B, Q>(ask: &Ask<B, Q>, agent: &AgentId, id: &RunId) -> Result<RunView, Problem> {
    Ok(ask
        .site
        .app
        .control
        .run_of_agent(ask.place.org(), agent, id)
        .await?)
}

async fn open(ask: Ask<NewRun>) -> Result<Reply<RunView>, Problem> {
    let NewRun {
        mode,
        intent,
        trigger,
        delegation,
        subject_token,
        provenance,
        ..
    } = &ask.body;
    let (agent, workflow) = workflow_named(&ask, &ask.body.workflow)?;
    let request = RunRequest {
        workflow,
        mode: *mode,
        intent: intent.clone(),
        trigger: trigger.clone(),
        delegation: delegation.clone(),
        subject_token: subject_token.clone(),
        provenance: provenance.clone(),
    };
    let needs = other_workflow(&ask, &request.workflow)?;
    let issuer = &ask.site.app.issuer;
    let opened = issuer.open_run(ask.place.org(), asker(&ask)?, request);
    let run = opened.await.map_err(|refusal| Problem {
        needs: needs
            .filter(|_| refusal.code == RefusalCode::WorkflowUnknown)
            .map(Box::new),
        ..Problem::from(refusal)
    })?;
    Ok(Reply::created(view(&ask, &agent, &run.id).await?))
}

/// The scope of the token that an agent needs for another workflow of its own than its token is for; none for any other caller.
fn other_workflow<B, Q>(ask: &Ask<B, Q>, id: &WorkflowId) -> Result<Option<Scope>, Problem> {
    let Some(own) = ask.agent().filter(|own| own.workflow != *id) else {
        return Ok(None);
    };
    let registry = ask.place.book.registry();
    let Ok(workflow) = registry.standing_workflow(&own.agent, id) else {
        return Ok(None);
    };
    let scope = Scope::from_tokens([format!("workflow:{}", workflow.name)]);
    scope
        .map(Some)
        .map_err(|error| Problem::invalid(error.to_string()))
}

/// What a parent hands to a sub-agent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSpawn {
    /// The sub-agent's, as `agent/workflow`; the parent's workflow lists it as spawnable.
    workflow: WorkflowRef,
    /// What it is narrowed to, besides what the parent has.
    #[serde(default)]
    authority: Authority,
    #[serde(default)]
    intent: Intent,
    #[serde(default)]
    provenance: Provenance,
    /// How long, in seconds; as long as the parent may where absent.
    #[serde(default)]
    for_secs: Option<i64>,
}

/// A sub-agent's run, and the single-use token that the sub-agent redeems with its own key.
#[derive(Serialize, JsonSchema)]
struct Spawned {
    run: RunView,
    delegation: DelegationId,
    subject_token: String,
    /// Seconds.
    expires_in: u32,
}

async fn spawn(ask: Ask<NewSpawn>) -> Result<Reply<Spawned>, Problem> {
    let (agent, workflow) = workflow_named(&ask, &ask.body.workflow.to_string())?;
    let parent = ask.agent().ok_or_else(unknown)?;
    let NewSpawn {
        authority,
        intent,
        provenance,
        for_secs,
        ..
    } = &ask.body;
    let request = SpawnRequest {
        agent: agent.clone(),
        workflow,
        authority: authority.clone(),
        intent: intent.clone(),
        provenance: provenance.clone(),
        for_secs: *for_secs,
    };
    let spawned = ask
        .site
        .app
        .issuer
        .spawn(ask.place.org(), parent, request)
        .await?;
    Ok(Reply::created(Spawned {
        run: view(&ask, &agent, &spawned.run.id).await?,
        delegation: spawned.delegation.id.clone(),
        subject_token: spawned.subject_token.expose_secret().to_owned(),
        expires_in: spawned.expires_in,
    }))
}

/// Which runs.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RunQuery {
    /// Only of this agent.
    agent: Option<Name>,
    /// At most this many, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// Only what comes after this one.
    after: Option<String>,
    /// `active` or `ended`.
    state: Option<String>,
    /// Only runs that started at or after this time.
    since: Option<Timestamp>,
    /// Only runs that started before this time.
    until: Option<Timestamp>,
}

async fn runs(ask: Ask<Nothing, RunQuery>) -> Result<Reply<Listing<RunView>>, Problem> {
    let RunQuery {
        agent,
        limit,
        after,
        state,
        since,
        until,
    } = &ask.query;
    let query = ListQuery {
        limit: *limit,
        after: after.clone(),
        state: state.clone(),
        between: Between {
            since: *since,
            until: *until,
        },
    };
    Ok(ask
        .site
        .app
        .control
        .runs(&ask.caller()?, agent.as_ref(), &query)
        .await?
        .into())
}

async fn run(ask: Ask) -> Result<Reply<RunView>, Problem> {
    let id = ask.named("id")?;
    match ask.agent() {
        Some(own) => Ok(view(&ask, &own.agent, &id).await?.into()),
        None => Ok(ask.site.app.control.run(&ask.caller()?, &id).await?.into()),
    }
}

async fn events(ask: Ask) -> Result<Reply<RunStory>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .run_story(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

async fn shred(ask: Ask<Shred>) -> Result<Reply<RunView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    Ok(control.shred_run(&caller, &id, &ask.body).await?.into())
}

async fn end(ask: Ask<RunReport>) -> Result<Reply<RunEnded>, Problem> {
    let id = ask.named("id")?;
    let control = &ask.site.app.control;
    let ended = match ask.agent() {
        Some(own) => {
            control
                .end_run_of_agent(ask.place.org(), &own.agent, &id, &ask.body)
                .await?
        }
        None => control.end_run(&ask.caller()?, &id, &ask.body).await?,
    };
    Ok(ended.into())
}
