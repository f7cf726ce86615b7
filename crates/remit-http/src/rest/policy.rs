//! Policies, and what they would decide.

use axum::http::Method;
use remit_control::spec::PolicySetSpec;
use remit_control::{
    Explained, FactView, Hypothetical, ListQuery, Listing, PolicySetView, Validation,
};
use remit_domain::name::Name;
use schemars::JsonSchema;
use serde::Deserialize;

use super::list::page;
use super::table::{ADMIN, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/policies", PERSON, "Policy sets", policies),
        route(Method::GET, "/policies/schema", PERSON, "The Cedar schema that policies are written against", schema),
        route(Method::GET, "/policies/schema/hops", PERSON, "The Cedar schema that policies about hops are written against", hop_schema),
        route(Method::GET, "/policies/facts", PERSON, "Every fact that policies may look at", facts),
        route(Method::POST, "/policies/validate", PERSON, "Check policies without storing them", validate),
        route(Method::POST, "/policies/explain", PERSON, "What would be decided of a call, without any effect", explain),
        route(Method::GET, "/policies/{name}", PERSON, "One policy set", policy),
        route(Method::PUT, "/policies/{name}", ADMIN, "Create or change a policy set", put),
    ]
}

async fn policies(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<PolicySetView>>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .policy_sets(&ask.caller()?, &ask.query)
        .await?
        .into())
}

async fn policy(ask: Ask) -> Result<Reply<PolicySetView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .policy_set(&ask.caller()?, &ask.named("name")?)
        .await?
        .into())
}

async fn put(ask: Ask<PolicySetSpec>) -> Result<Reply<PolicySetView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named("name")?);
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_policy_set(&caller, &name, ask.body, ask.seen)
            .await?,
    ))
}

async fn schema(ask: Ask) -> Result<Reply<String>, Problem> {
    Ok(Reply::text(
        ask.site.app.control.policy_schema(&ask.caller()?)?,
    ))
}

async fn hop_schema(ask: Ask) -> Result<Reply<String>, Problem> {
    let text = ask.site.app.control.hop_schema(&ask.caller()?)?;
    Ok(Reply::text(text))
}

async fn facts(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<FactView>>, Problem> {
    let found = ask.site.app.control.policy_facts(&ask.caller()?)?;
    Ok(page(found.items, &ask.query, |f: &FactView| {
        format!("{}/{}", f.of, f.name)
    })
    .into())
}

/// Policies to check.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Candidate {
    /// The set they would be; a new one where absent.
    #[serde(default)]
    name: Option<Name>,
    /// Cedar.
    text: String,
}

async fn validate(ask: Ask<Candidate>) -> Result<Reply<Validation>, Problem> {
    let name = match &ask.body.name {
        Some(name) => name.clone(),
        None => "candidate".parse().map_err(|_| Problem::failed())?,
    };
    Ok(ask
        .site
        .app
        .control
        .validate_policies(&ask.caller()?, &name, &ask.body.text)?
        .into())
}

async fn explain(ask: Ask<Hypothetical>) -> Result<Reply<Explained>, Problem> {
    let caller = ask.caller()?;
    Ok(ask.site.app.control.explain(&caller, ask.body)?.into())
}
