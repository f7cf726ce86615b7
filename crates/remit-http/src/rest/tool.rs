//! Tools: found, classified, approved, disabled.

use axum::http::Method;
use remit_control::spec::ToolSpec;
use remit_control::{ListQuery, Listing, ToolView};
use remit_domain::tool::ToolRef;
use remit_domain::upstream::UpstreamName;
use schemars::JsonSchema;
use serde::Deserialize;

use super::agent::Because;
use super::table::{ADMIN, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/tools", PERSON, "Tools", tools),
        route(Method::GET, "/tools/{upstream}/{tool}", PERSON, "One tool, with what has changed since it was approved", tool),
        route(Method::PUT, "/tools/{upstream}/{tool}", ADMIN, "Classify a tool and approve its definition", put),
        route(Method::POST, "/tools/{upstream}/{tool}/disable", ADMIN, "Take a tool out of use", disable),
    ]
}

/// Which tools.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ToolQuery {
    /// Only of this upstream.
    upstream: Option<UpstreamName>,
    /// At most this many, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// Only what comes after this one.
    after: Option<String>,
    /// Only what is in this state.
    state: Option<String>,
}

fn tool_of<B, Q>(ask: &Ask<B, Q>) -> Result<ToolRef, Problem> {
    let (upstream, tool): (UpstreamName, String) = (ask.named("upstream")?, ask.named("tool")?);
    ToolRef::new(upstream, &tool).map_err(|e| Problem::invalid(e.to_string()))
}

async fn tools(ask: Ask<Nothing, ToolQuery>) -> Result<Reply<Listing<ToolView>>, Problem> {
    let ToolQuery {
        upstream,
        limit,
        after,
        state,
    } = &ask.query;
    let query = ListQuery {
        limit: *limit,
        after: after.clone(),
        state: state.clone(),
        ..ListQuery::default()
    };
    Ok(ask
        .site
        .app
        .control
        .tools(&ask.caller()?, upstream.as_ref(), &query)?
        .into())
}

async fn tool(ask: Ask) -> Result<Reply<ToolView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .tool(&ask.caller()?, &tool_of(&ask)?)?
        .into())
}

async fn put(ask: Ask<ToolSpec>) -> Result<Reply<ToolView>, Problem> {
    let (caller, name) = (ask.caller()?, tool_of(&ask)?);
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_tool(&caller, &name, ask.body, ask.seen)
            .await?,
    ))
}

async fn disable(ask: Ask<Because>) -> Result<Reply<ToolView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .disable_tool(&ask.caller()?, &tool_of(&ask)?, &ask.body.reason)
        .await?
        .into())
}
