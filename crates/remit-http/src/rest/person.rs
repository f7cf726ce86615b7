//! Teams, people, their enrolment and their own tokens.

use axum::http::Method;
use remit_control::spec::{PersonSpec, TeamSpec};
use remit_control::{CoverSpec, Departure, ListQuery, Listing, PersonView, TeamView};
use remit_domain::Timestamp;
use remit_domain::credential::PersonToken;
use remit_domain::name::Email;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::agent::Because;
use super::list::page;
use super::table::{ADMIN, EVERYBODY, PERSON, RESPONDER_ADMIN};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/teams", PERSON, "Teams", teams),
        route(Method::GET, "/teams/{name}", PERSON, "One team", team),
        route(Method::PUT, "/teams/{name}", ADMIN, "Create or change a team", put_team),
        route(Method::POST, "/teams/{name}/cover", PERSON, "Somebody of the team stands in for whoever is on call, until a time", cover),
        route(Method::GET, "/people", PERSON, "People", people),
        route(Method::GET, "/people/{email}", PERSON, "One person", person),
        route(Method::PUT, "/people/{email}", ADMIN, "Create or change a person", put_person),
        route(Method::POST, "/people/{email}/leave", ADMIN, "A person leaves: what rests on them ends", leave),
        route(Method::POST, "/people/{email}/suspend", RESPONDER_ADMIN, "A person may do nothing until resumed: their delegations, runs, tokens and sessions end", suspend),
        route(Method::POST, "/people/{email}/resume", ADMIN, "A suspended person may act again; what ended stays ended", resume),
        route(Method::POST, "/people/{email}/enrolments", ADMIN, "Make a link with which a person makes their own token, once", enrol),
        route(Method::POST, "/enrolments/redeem", EVERYBODY, "Make one's own token with the code of a link", redeem),
        route(Method::GET, "/me/tokens", PERSON, "One's own tokens", tokens),
        route(Method::DELETE, "/me/tokens/{digest}", PERSON, "Revoke one of one's own tokens, by the start of its digest", revoke),
    ]
}

async fn suspend(ask: Ask<Because>) -> Result<Reply<Departure>, Problem> {
    let (caller, email) = (ask.caller()?, ask.named::<Email>("email")?);
    let control = &ask.site.app.control;
    let done = control.suspend_person(&caller, &email, &ask.body.reason);
    Ok(done.await?.into())
}

async fn resume(ask: Ask<Because>) -> Result<Reply<PersonView>, Problem> {
    let (caller, email) = (ask.caller()?, ask.named::<Email>("email")?);
    let control = &ask.site.app.control;
    let resumed = control.resume_person(&caller, &email, &ask.body.reason);
    Ok(resumed.await?.into())
}

async fn teams(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<TeamView>>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .teams(&ask.caller()?, &ask.query)?
        .into())
}

async fn team(ask: Ask) -> Result<Reply<TeamView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .team(&ask.caller()?, &ask.named("name")?)?
        .into())
}

async fn put_team(ask: Ask<TeamSpec>) -> Result<Reply<TeamView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named("name")?);
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_team(&caller, &name, ask.body, ask.seen)
            .await?,
    ))
}

async fn cover(ask: Ask<CoverSpec>) -> Result<Reply<TeamView>, Problem> {
    let (caller, name) = (ask.caller()?, ask.named("name")?);
    let control = &ask.site.app.control;
    Ok(control
        .cover_on_call(&caller, &name, ask.body)
        .await?
        .into())
}

async fn people(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<PersonView>>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .people(&ask.caller()?, &ask.query)?
        .into())
}

async fn person(ask: Ask) -> Result<Reply<PersonView>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .person(&ask.caller()?, &ask.named("email")?)?
        .into())
}

async fn put_person(ask: Ask<PersonSpec>) -> Result<Reply<PersonView>, Problem> {
    let (caller, email) = (ask.caller()?, ask.named("email")?);
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_person(&caller, &email, ask.body, ask.seen)
            .await?,
    ))
}

async fn leave(ask: Ask<Nothing>) -> Result<Reply<Departure>, Problem> {
    Ok(ask
        .site
        .app
        .control
        .leave(&ask.caller()?, &ask.named("email")?)
        .await?
        .into())
}

/// A link for one person, shown once.
#[derive(Serialize, JsonSchema)]
struct Enrolment {
    /// The code, good once.
    code: String,
    /// The same as an address; the code is behind the `#`.
    link: String,
    expires: Timestamp,
}

async fn enrol(ask: Ask<Nothing>) -> Result<Reply<Enrolment>, Problem> {
    let email: Email = ask.named("email")?;
    let person = ask
        .place
        .book
        .registry()
        .person_named(email.as_str())
        .map(|p| p.id.clone());
    let person =
        person.ok_or_else(|| Problem::not_found(format!("no person `{email}` is here")))?;
    let made = ask
        .site
        .app
        .issuer
        .create_enrolment(ask.place.org(), ask.person()?, &person)
        .await?;
    let (code, link) = (
        made.code.expose_secret().to_owned(),
        made.link.expose_secret().to_owned(),
    );
    Ok(Reply::created(Enrolment {
        code,
        link,
        expires: made.expires,
    }))
}

/// A code, and what the token is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Redeem {
    /// `rmt_enr_…`.
    #[schemars(with = "String")]
    code: SecretString,
    /// What the person calls the token.
    #[serde(default)]
    label: String,
    /// How long it lives, 1 to 90; 90 where absent.
    #[serde(default)]
    days: Option<u16>,
}

/// A person's own token, shown once.
#[derive(Serialize, JsonSchema)]
struct NewToken {
    /// `rmt_pat_…`.
    token: String,
    expires: Timestamp,
    /// E-mail address of whose it is.
    person: String,
}

async fn redeem(ask: Ask<Redeem>) -> Result<Reply<NewToken>, Problem> {
    let Redeem { code, label, days } = &ask.body;
    let made = ask
        .site
        .app
        .issuer
        .redeem_enrolment(ask.place.org(), code.expose_secret(), label, *days)
        .await?;
    let person = ask
        .place
        .book
        .registry()
        .people
        .get(&made.person)
        .map_or_else(String::new, |p| p.email.to_string());
    Ok(Reply::created(NewToken {
        token: made.token.expose_secret().to_owned(),
        expires: made.expires,
        person,
    }))
}

/// One's own token, without the token.
#[derive(Serialize, JsonSchema)]
struct TokenView {
    /// SHA-256 of the token, hex: no secret.
    digest: String,
    label: String,
    created: Timestamp,
    expires: Timestamp,
    /// Whether it is the one that this request came with.
    current: bool,
}

fn token_view(token: PersonToken, current: &str) -> TokenView {
    let current = token.digest == current;
    TokenView {
        digest: token.digest,
        label: token.label,
        created: token.created,
        expires: token.expires,
        current,
    }
}

async fn tokens(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<TokenView>>, Problem> {
    let person = ask.person()?;
    let tokens = ask
        .site
        .app
        .issuer
        .person_tokens(ask.place.org(), person.id())
        .await?;
    let views = tokens
        .into_iter()
        .map(|token| token_view(token, &person.token))
        .collect();
    Ok(page(views, &ask.query, |t: &TokenView| t.digest.clone()).into())
}

async fn revoke(ask: Ask<Nothing>) -> Result<Reply<TokenView>, Problem> {
    let (person, digest) = (ask.person()?, ask.named::<String>("digest")?);
    let revoked = ask
        .site
        .app
        .issuer
        .revoke_person_token(ask.place.org(), person, &digest)
        .await?;
    Ok(token_view(revoked, &person.token).into())
}
