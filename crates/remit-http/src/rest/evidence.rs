//! What proves it: findings, decisions, the ledger, and the state of the house.

use axum::http::Method;
use remit_control::{
    Between, Check, DecisionView, EntryQuery, EventView, FindingView, ListQuery, Listing, Replay,
    Verification, Why,
};
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::{DecisionId, RunId, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::agent::Because;
use super::list::page;
use super::route::Who;
use super::table::{ADMIN, ADMIN_AUDITOR, AUDITOR, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

const DOCTOR: &[Who] = &[
    Who::Role(remit_domain::Role::Admin),
    Who::Role(remit_domain::Role::Auditor),
    Who::Operator,
];

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/findings", PERSON, "What somebody should look at", findings),
        route(Method::POST, "/findings/{id}/close", ADMIN, "Close a finding", close_finding),
        route(Method::GET, "/decisions/{id}", PERSON, "One decision", decision),
        route(Method::GET, "/decisions/{id}/why", PERSON, "Why it was decided so, and what would change it", why),
        route(Method::POST, "/decisions/{id}/replay", PERSON, "Decide it again from its recorded inputs", replay),
        route(Method::GET, "/audit/entries", ADMIN_AUDITOR, "Entries of the ledger; administrators see no content", entries),
        route(Method::GET, "/audit/entries/{index}/proof", AUDITOR, "Proof that an entry is in the ledger (c2sp.org/tlog-proof)", proof),
        route(Method::POST, "/audit/verify", AUDITOR, "Verify the whole ledger", verify),
        route(Method::GET, "/doctor", DOCTOR, "What is wrong with the house, and how to mend it", doctor),
    ]
}

/// Which findings.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct FindingQuery {
    /// At most this many, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// Only what comes after this one.
    after: Option<String>,
    /// Only what is in this state.
    state: Option<String>,
    /// Only what came about at or after this time.
    since: Option<Timestamp>,
    /// Only what came about before this time.
    until: Option<Timestamp>,
    /// Only what the caller has to do something about.
    mine: bool,
}

async fn findings(ask: Ask<Nothing, FindingQuery>) -> Result<Reply<Listing<FindingView>>, Problem> {
    let FindingQuery {
        limit,
        after,
        state,
        since,
        until,
        mine,
    } = ask.query.clone();
    let query = ListQuery {
        limit,
        after,
        state,
        between: Between { since, until },
    };
    let (control, caller) = (&ask.site.app.control, ask.caller()?);
    let found = match mine {
        true => control.own_findings(&caller, &query).await,
        false => control.findings(&caller, &query).await,
    };
    Ok(found?.into())
}

async fn close_finding(ask: Ask<Because>) -> Result<Reply<FindingView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .close_finding(&ask.caller()?, &ask.named("id")?, &ask.body.reason)
        .await?
        .into())
}

async fn decision(ask: Ask) -> Result<Reply<DecisionView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .decision(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

async fn why(ask: Ask) -> Result<Reply<Why>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .why(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

async fn replay(ask: Ask<Nothing>) -> Result<Reply<Replay>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .replay(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

/// Which entries.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EntriesQuery {
    /// Only of this kind.
    kind: Option<EventKind>,
    /// Only of this agent, by name.
    agent: Option<Name>,
    /// Only of this run.
    run: Option<RunId>,
    /// Only of this decision.
    decision: Option<DecisionId>,
    /// Only from this index on; newest first, only below it.
    from: Option<u64>,
    /// The same as `from`: the `next` of the page before.
    after: Option<u64>,
    /// Only at or after this time.
    since: Option<Timestamp>,
    /// Only before this time.
    until: Option<Timestamp>,
    /// At most this many, 1 to 1,000; 100 where absent.
    limit: Option<u32>,
    /// Newest first.
    newest: bool,
}

async fn entries(ask: Ask<Nothing, EntriesQuery>) -> Result<Reply<Listing<EventView>>, Problem> {
    let EntriesQuery {
        kind,
        agent,
        run,
        decision,
        from,
        after,
        since,
        until,
        limit,
        newest,
    } = &ask.query;
    let wanted = EntryQuery {
        kind: *kind,
        agent: agent.clone(),
        run: run.clone(),
        decision: decision.clone(),
        from: after.or(*from),
        since: *since,
        until: *until,
        limit: *limit,
        newest: *newest,
    };
    Ok(ask
        .site
        .app
        .control
        .entries(&ask.caller()?, &wanted)
        .await?
        .into())
}

async fn proof(ask: Ask) -> Result<Reply<String>, Problem> {
    Ok(Reply::text(
        ask.site
            .app
            .control
            .prove(&ask.caller()?, ask.named("index")?)
            .await?,
    ))
}

/// What to verify against.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Against {
    /// A checkpoint that was kept elsewhere: the ledger must have grown from it.
    checkpoint: Option<String>,
}

async fn verify(ask: Ask<Against>) -> Result<Reply<Verification>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .verify(&ask.caller()?, ask.body.checkpoint.as_deref())
        .await?
        .into())
}

async fn doctor(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<Check>>, Problem> {
    let checks = ask.site.app.control.doctor(&ask.caller()?).await?;
    Ok(page(checks, &ask.query, |c| c.name.clone()).into())
}
