//! Policy bundles: proposed, approved, tried in the shadow, live, rolled back; and exceptions from single policies.

use axum::http::Method;
use remit_control::spec::WorkflowRef;
use remit_control::{
    AccessPath, BundleDiff, BundleView, ExceptionView, ListQuery, Listing, NewException,
    NewProposal, ProposalReport, ProposalView, RolledBack, ShadowReport, Simulated, Simulation,
    StageView, Suggestion, TestReport, TestRun,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::table::{ADMIN, ADMIN_DEVELOPER, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/bundles", PERSON, "Policy bundles that are kept", bundles),
        route(Method::GET, "/bundles/stage", PERSON, "Which bundle is live, and which decides in the shadow", stage),
        route(Method::GET, "/bundles/shadow", PERSON, "What the bundle in the shadow would have decided otherwise", shadow),
        route(Method::GET, "/bundles/diff", PERSON, "What differs between two bundles", diff),
        route(Method::GET, "/bundles/{version}", PERSON, "One policy bundle; `live` is the live one", bundle),
        route(Method::POST, "/bundles/unstage", ADMIN, "Take the bundle out of the shadow", unstage),
        route(Method::POST, "/bundles/rollback", ADMIN, "Go back to a bundle that was live", rollback),
        route(Method::POST, "/bundles/test", PERSON, "Run test cases, and tell what they cover", test),
        route(Method::POST, "/bundles/prove", PERSON, "Prove claims about the live policies", prove),
        route(Method::POST, "/bundles/prove-candidate", PERSON, "Prove claims about other policies", prove_candidate),
        route(Method::POST, "/bundles/simulate", PERSON, "Take recorded decisions again under other policies", simulate),
        route(Method::GET, "/proposals", PERSON, "Proposals of policies, newest first", proposals),
        route(Method::POST, "/proposals", ADMIN_DEVELOPER, "Propose policies", propose),
        route(Method::GET, "/proposals/{id}", PERSON, "One proposal", proposal),
        route(Method::POST, "/proposals/{id}/approve", ADMIN, "Approve a proposal that somebody else made", approve),
        route(Method::POST, "/proposals/{id}/reject", PERSON, "Reject a proposal, or take one's own back", reject),
        route(Method::POST, "/proposals/{id}/stage", ADMIN, "Let it decide in the shadow", put_in_shadow),
        route(Method::POST, "/proposals/{id}/enforce", ADMIN, "Make an approved proposal live", enforce),
        route(Method::GET, "/exceptions", PERSON, "Exceptions from policies", exceptions),
        route(Method::POST, "/exceptions", PERSON, "Ask for an exception from a policy", request),
        route(Method::GET, "/exceptions/{id}", PERSON, "One exception", exception),
        route(Method::POST, "/exceptions/{id}/approve", ADMIN, "Approve an exception that somebody else asked for", approve_exception),
        route(Method::POST, "/exceptions/{id}/revoke", PERSON, "Refuse an exception, or take it back", revoke),
        route(Method::GET, "/agents/{name}/paths", PERSON, "Privileged combinations that an agent can reach", paths),
        route(Method::GET, "/agents/{name}/workflows/{workflow}/suggestion", PERSON, "A narrower workflow from what it was used for", suggestion),
    ]
}

async fn bundles(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<BundleView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .policy_bundles(&ask.caller()?, &ask.query)
        .await?
        .into())
}

async fn bundle(ask: Ask) -> Result<Reply<BundleView>, Problem> {
    let version: String = ask.named("version")?;
    let control = &ask.site.app.control;
    Ok(control
        .policy_bundle(&ask.caller()?, &version)
        .await?
        .into())
}

async fn stage(ask: Ask) -> Result<Reply<StageView>, Problem> {
    Ok(ask.site.app.control.policy_stage(&ask.caller()?)?.into())
}

async fn shadow(ask: Ask) -> Result<Reply<ShadowReport>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.shadow_report(&ask.caller()?).await?.into())
}

/// Which two.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DiffQuery {
    /// Version of the one; `live` is the live one.
    #[serde(default = "live")]
    from: String,
    /// Version of the other.
    #[serde(default = "live")]
    to: String,
}

fn live() -> String {
    "live".to_owned()
}

async fn diff(ask: Ask<Nothing, DiffQuery>) -> Result<Reply<BundleDiff>, Problem> {
    let (caller, query) = (ask.caller()?, &ask.query);
    let control = &ask.site.app.control;
    Ok(control
        .policy_diff(&caller, &query.from, &query.to)
        .await?
        .into())
}

async fn unstage(ask: Ask) -> Result<Reply<StageView>, Problem> {
    Ok(ask.site.app.control.unstage(&ask.caller()?).await?.into())
}

/// Where to go back to.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Back {
    /// Version of a bundle that was live; the one before where absent.
    to: Option<String>,
}

async fn rollback(ask: Ask<Back>) -> Result<Reply<RolledBack>, Problem> {
    let caller = ask.caller()?;
    let control = &ask.site.app.control;
    Ok(control
        .roll_back(&caller, ask.body.to.as_deref())
        .await?
        .into())
}

async fn test(ask: Ask<TestRun>) -> Result<Reply<TestReport>, Problem> {
    let caller = ask.caller()?;
    Ok(ask
        .site
        .app
        .control
        .test_policies(&caller, ask.body)
        .await?
        .into())
}

async fn prove(ask: Ask) -> Result<Reply<ProposalReport>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.prove_policies(&ask.caller()?, None).await?.into())
}

async fn prove_candidate(ask: Ask<NewProposal>) -> Result<Reply<ProposalReport>, Problem> {
    let caller = ask.caller()?;
    let control = &ask.site.app.control;
    Ok(control
        .prove_policies(&caller, Some(ask.body))
        .await?
        .into())
}

async fn simulate(ask: Ask<Simulation>) -> Result<Reply<Simulated>, Problem> {
    let caller = ask.caller()?;
    Ok(ask
        .site
        .app
        .control
        .simulate(&caller, ask.body)
        .await?
        .into())
}

async fn proposals(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<ProposalView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.proposals(&ask.caller()?, &ask.query).await?.into())
}

async fn propose(ask: Ask<NewProposal>) -> Result<Reply<ProposalView>, Problem> {
    let caller = ask.caller()?;
    Ok(ask
        .site
        .app
        .control
        .propose_policies(&caller, ask.body)
        .await?
        .into())
}

async fn proposal(ask: Ask) -> Result<Reply<ProposalView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .proposal(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

/// What is said with a verdict.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Comment {
    /// What people read later.
    comment: Option<String>,
}

async fn approve(ask: Ask<Comment>) -> Result<Reply<ProposalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    Ok(control
        .approve_proposal(&caller, &id, ask.body.comment)
        .await?
        .into())
}

async fn reject(ask: Ask<Comment>) -> Result<Reply<ProposalView>, Problem> {
    let (caller, id) = (ask.caller()?, ask.named("id")?);
    let control = &ask.site.app.control;
    Ok(control
        .reject_proposal(&caller, &id, ask.body.comment)
        .await?
        .into())
}

async fn put_in_shadow(ask: Ask) -> Result<Reply<StageView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .stage_proposal(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

async fn enforce(ask: Ask) -> Result<Reply<StageView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .enforce_proposal(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

async fn exceptions(
    ask: Ask<Nothing, ListQuery>,
) -> Result<Reply<Listing<ExceptionView>>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.exceptions(&ask.caller()?, &ask.query)?.into())
}

async fn request(ask: Ask<NewException>) -> Result<Reply<ExceptionView>, Problem> {
    let caller = ask.caller()?;
    Ok(ask
        .site
        .app
        .control
        .request_exception(&caller, ask.body)
        .await?
        .into())
}

async fn exception(ask: Ask) -> Result<Reply<ExceptionView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.exception(&ask.caller()?, &ask.named("id")?)?.into())
}

async fn approve_exception(ask: Ask) -> Result<Reply<ExceptionView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .approve_exception(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

async fn revoke(ask: Ask) -> Result<Reply<ExceptionView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control
        .revoke_exception(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

/// Privileged paths.
#[derive(Serialize, JsonSchema)]
struct Paths {
    /// Open ones first.
    items: Vec<AccessPath>,
}

/// Whether to keep it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PathsQuery {
    /// Whether a finding opens where nothing stands against one.
    record: bool,
}

async fn paths(ask: Ask<Nothing, PathsQuery>) -> Result<Reply<Paths>, Problem> {
    let (caller, agent) = (ask.caller()?, ask.named("name")?);
    let control = &ask.site.app.control;
    let items = control
        .access_paths(&caller, &agent, ask.query.record)
        .await?;
    Ok(Paths { items }.into())
}

/// How far back.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SuggestionQuery {
    /// Seconds; 30 days where absent.
    since_secs: Option<i64>,
}

async fn suggestion(ask: Ask<Nothing, SuggestionQuery>) -> Result<Reply<Suggestion>, Problem> {
    let name = WorkflowRef {
        agent: ask.named("name")?,
        workflow: ask.named("workflow")?,
    };
    let since = ask.query.since_secs.unwrap_or(30 * 86_400);
    let control = &ask.site.app.control;
    Ok(control.suggest(&ask.caller()?, &name, since).await?.into())
}
