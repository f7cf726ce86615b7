//! Delegations: what people let agents do for them.

use axum::http::Method;
use remit_control::{
    DelegationFilter, DelegationView, ListQuery, Listing, NewDelegation, PersonTree, Revoked,
    TreeFilter, TreeWatch,
};
use remit_domain::name::{Email, Name};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::agent::Because;
use super::approval::patience;
use super::list::page;
use super::table::PERSON;
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/delegations", PERSON, "Delegate to an agent, for one workflow and a time", grant),
        route(Method::GET, "/delegations", PERSON, "Delegations", delegations),
        route(Method::GET, "/delegations/tree", PERSON, "Who acts for whom, nested", tree),
        route(Method::GET, "/delegations/tree/watch", PERSON, "Wait until it is another one", watch),
        route(Method::GET, "/delegations/{id}", PERSON, "One delegation", delegation),
        route(Method::POST, "/delegations/{id}/revoke", PERSON, "Take a delegation back; what rests on it ends", revoke),
        route(Method::POST, "/delegations/{id}/assertion", PERSON, "A single-use subject token from one's own delegation", assertion),
    ]
}

async fn grant(ask: Ask<NewDelegation>) -> Result<Reply<DelegationView>, Problem> {
    let caller = ask.caller()?;
    Ok(Reply::created(
        ask.site
            .app
            .control
            .grant_delegation(&caller, ask.body)
            .await?,
    ))
}

/// Which delegations.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DelegationQuery {
    /// Only one's own.
    mine: bool,
    /// Only to this agent.
    agent: Option<Name>,
    /// Only for this ticket.
    ticket: Option<String>,
    /// Only in this state.
    state: Option<String>,
    /// At most this many, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// Only what comes after this one.
    after: Option<String>,
}

async fn delegations(
    ask: Ask<Nothing, DelegationQuery>,
) -> Result<Reply<Listing<DelegationView>>, Problem> {
    let DelegationQuery {
        mine,
        agent,
        ticket,
        state,
        limit,
        after,
    } = &ask.query;
    let wanted = DelegationFilter {
        mine: *mine,
        agent: agent.clone(),
        ticket: ticket.clone(),
        state: state.clone(),
    };
    let found = ask
        .site
        .app
        .control
        .delegations(&ask.caller()?, &wanted)
        .await?;
    let query = ListQuery {
        limit: *limit,
        after: after.clone(),
        state: None,
        ..ListQuery::default()
    };
    Ok(page(found, &query, |d| d.id.to_string()).into())
}

async fn delegation(ask: Ask) -> Result<Reply<DelegationView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .delegation(&ask.caller()?, &ask.named("id")?)
        .await?
        .into())
}

/// Which part of the tree.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct TreeQuery {
    /// Only what rests on this person.
    person: Option<Email>,
    /// Only branches with this agent.
    agent: Option<Name>,
    /// At most this many people, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// Only people after this one.
    after: Option<String>,
}

async fn tree(ask: Ask<Nothing, TreeQuery>) -> Result<Reply<Listing<PersonTree>>, Problem> {
    let TreeQuery {
        person,
        agent,
        limit,
        after,
    } = &ask.query;
    let wanted = TreeFilter {
        person: person.clone(),
        agent: agent.clone(),
    };
    let trees = ask
        .site
        .app
        .control
        .delegation_tree(&ask.caller()?, &wanted)?;
    let query = ListQuery {
        limit: *limit,
        after: after.clone(),
        state: None,
        ..ListQuery::default()
    };
    Ok(page(trees, &query, |t| t.person.clone()).into())
}

/// Which part of the tree, and from where.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct TreeWatchQuery {
    /// Only what rests on this person.
    person: Option<Email>,
    /// Only branches with this agent.
    agent: Option<Name>,
    /// `next` of the answer before; answered at once where absent.
    after: Option<String>,
    /// Seconds, at most 60; 30 where absent.
    timeout_s: Option<u64>,
}

async fn watch(ask: Ask<Nothing, TreeWatchQuery>) -> Result<Reply<TreeWatch>, Problem> {
    let TreeWatchQuery {
        person,
        agent,
        after,
        timeout_s,
    } = &ask.query;
    let wanted = TreeFilter {
        person: person.clone(),
        agent: agent.clone(),
    };
    let control = &ask.site.app.control;
    let (caller, patience) = (ask.caller()?, patience(*timeout_s));
    let told = control.watch_delegation_tree(&caller, &wanted, after.as_deref(), patience);
    Ok(told.await?.into())
}

async fn revoke(ask: Ask<Because>) -> Result<Reply<Revoked>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .revoke_delegation(&ask.caller()?, &ask.named("id")?, &ask.body.reason)
        .await?
        .into())
}

/// What an agent exchanges for a token that acts for the person. Single use.
#[derive(Serialize, JsonSchema)]
struct Assertion {
    subject_token: String,
    /// Its type at the token endpoint.
    subject_token_type: &'static str,
    /// Seconds.
    expires_in: u32,
}

async fn assertion(ask: Ask<Nothing>) -> Result<Reply<Assertion>, Problem> {
    let person = ask.person()?.id().clone();
    let made = ask
        .site
        .app
        .issuer
        .assertion(ask.place.org(), &ask.named("id")?, &person)
        .await?;
    Ok(Reply::created(Assertion {
        subject_token: made.token.expose_secret().to_owned(),
        subject_token_type: remit_token::exchange::TokenType::Jwt.urn(),
        expires_in: made.expires_in,
    }))
}
