//! Sessions and passkeys of people, and the company's OpenID provider.

use axum::http::Method;
use remit_control::{ListQuery, Listing, ProviderView};
use remit_domain::idp::ProviderSettings;
use remit_domain::name::Email;
use remit_domain::passkey::Passkey;
use remit_domain::{
    PasskeyId, PersonId, RefusalCode, Role, Session, SessionId, SignedInBy, Timestamp,
};
use remit_issuer::ProviderReport;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list::page;
use super::table::{ADMIN, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/sessions", PERSON, "One's own sessions with browsers; anybody's for an administrator", sessions),
        route(Method::DELETE, "/sessions", PERSON, "End every session of oneself, or of somebody for an administrator", end_all),
        route(Method::DELETE, "/sessions/{id}", PERSON, "End a session: one's own, or anybody's for an administrator", end),
        route(Method::GET, "/me/passkeys", PERSON, "One's own passkeys", passkeys),
        route(Method::PUT, "/me/passkeys/{id}", PERSON, "Name one of one's own passkeys", rename),
        route(Method::DELETE, "/passkeys/{id}", PERSON, "Remove a passkey: one's own, or anybody's for an administrator", remove),
        route(Method::GET, "/people/{email}/passkeys", ADMIN, "A person's passkeys", passkeys_of),
        route(Method::GET, "/identity-provider", ADMIN, "The company's OpenID provider", provider),
        route(Method::PUT, "/identity-provider", ADMIN, "Set the company's OpenID provider", put_provider),
        route(Method::DELETE, "/identity-provider", ADMIN, "Take the company's OpenID provider away", remove_provider),
        route(Method::POST, "/identity-provider/test", ADMIN, "Ask the OpenID provider for what signing in needs", test_provider),
    ]
}

/// Whose sessions, and which part of the list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SessionQuery {
    /// Of this person; one's own where absent.
    person: Option<Email>,
    /// Of everybody; for administrators.
    all: bool,
    /// At most this many, 1 to 1,000; 100 where absent.
    limit: Option<usize>,
    /// After this id.
    after: Option<String>,
}

impl SessionQuery {
    fn list(&self) -> ListQuery {
        ListQuery {
            limit: self.limit,
            after: self.after.clone(),
            ..ListQuery::default()
        }
    }
}

/// A person's session with a browser, without its secret.
#[derive(Serialize, JsonSchema)]
struct SessionView {
    id: SessionId,
    /// E-mail address of whose it is.
    person: String,
    how: SignedInBy,
    /// What the browser calls itself; nobody checked it.
    browser: String,
    created: Timestamp,
    /// When it was last used, to about a minute.
    seen: Timestamp,
    /// When it ends if it is not used any more.
    idle_end: Timestamp,
    /// When it ends whatever happens.
    expires: Timestamp,
    /// When the person last proved with a passkey that it is still them.
    stepped_up: Option<Timestamp>,
}

fn session_view<B, Q>(ask: &Ask<B, Q>, session: Session) -> Result<SessionView, Problem> {
    let limits = ask.site.app.issuer.session_limits(ask.place.org())?;
    let registry = ask.place.book.registry();
    let person = registry.people.get(&session.person);
    Ok(SessionView {
        idle_end: session.idle_end(limits),
        id: session.id,
        person: person.map_or_else(String::new, |p| p.email.to_string()),
        how: session.how,
        browser: session.browser,
        created: session.created,
        seen: session.seen,
        expires: session.expires,
        stepped_up: session.stepped_up,
    })
}

/// Whom the caller may ask about: themselves, or anybody for an administrator.
fn whom<B, Q>(ask: &Ask<B, Q>, person: Option<&Email>) -> Result<PersonId, Problem> {
    let me = ask.person()?;
    let Some(email) = person else {
        return Ok(me.id().clone());
    };
    if *email != me.person.email && !me.holds(Role::Admin) {
        let text = "only an administrator sees and ends other people's sessions";
        return Err(Problem::new(RefusalCode::Forbidden, text));
    }
    let registry = ask.place.book.registry();
    let found = registry.person_named(email.as_str());
    found
        .map(|person| person.id.clone())
        .ok_or_else(|| Problem::not_found(format!("no person `{email}` is here")))
}

async fn sessions(ask: Ask<Nothing, SessionQuery>) -> Result<Reply<Listing<SessionView>>, Problem> {
    let person = if ask.query.all {
        if !ask.person()?.holds(Role::Admin) {
            let text = "only an administrator sees other people's sessions";
            return Err(Problem::new(RefusalCode::Forbidden, text));
        }
        None
    } else {
        Some(whom(&ask, ask.query.person.as_ref())?)
    };
    let issuer = &ask.site.app.issuer;
    let found = issuer.sessions(ask.place.org(), person.as_ref()).await?;
    let views = found
        .into_iter()
        .map(|session| session_view(&ask, session))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(page(views, &ask.query.list(), |s: &SessionView| s.id.to_string()).into())
}

/// How many ended.
#[derive(Serialize, JsonSchema)]
struct EndedCount {
    ended: usize,
}

/// Whose.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct OfPerson {
    /// Of this person; one's own where absent.
    person: Option<Email>,
}

async fn end_all(ask: Ask<Nothing, OfPerson>) -> Result<Reply<EndedCount>, Problem> {
    let person = whom(&ask, ask.query.person.as_ref())?;
    let by = &ask.person()?.person;
    let issuer = &ask.site.app.issuer;
    let ended = issuer
        .end_sessions(ask.place.org(), by, &person, None)
        .await?;
    Ok(EndedCount { ended }.into())
}

async fn end(ask: Ask<Nothing>) -> Result<Reply<SessionView>, Problem> {
    let id: SessionId = ask.named("id")?;
    let by = &ask.person()?.person;
    let ended = ask
        .site
        .app
        .issuer
        .end_session(ask.place.org(), by, &id)
        .await?;
    Ok(session_view(&ask, ended)?.into())
}

/// A passkey, without its key.
#[derive(Serialize, JsonSchema)]
struct PasskeyView {
    id: PasskeyId,
    label: String,
    created: Timestamp,
    used: Option<Timestamp>,
}

impl From<Passkey> for PasskeyView {
    fn from(passkey: Passkey) -> Self {
        Self {
            id: passkey.id,
            label: passkey.label,
            created: passkey.created,
            used: passkey.used,
        }
    }
}

async fn listed<B>(
    ask: &Ask<B, ListQuery>,
    person: &PersonId,
) -> Result<Reply<Listing<PasskeyView>>, Problem> {
    let issuer = &ask.site.app.issuer;
    let found = issuer.passkeys(ask.place.org(), person).await?;
    let views = found.into_iter().map(PasskeyView::from).collect();
    Ok(page(views, &ask.query, |p: &PasskeyView| p.id.to_string()).into())
}

async fn passkeys(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<PasskeyView>>, Problem> {
    let person = ask.person()?.id().clone();
    listed(&ask, &person).await
}

async fn passkeys_of(ask: Ask<Nothing, ListQuery>) -> Result<Reply<Listing<PasskeyView>>, Problem> {
    let email: Email = ask.named("email")?;
    let person = whom(&ask, Some(&email))?;
    listed(&ask, &person).await
}

/// A name for a passkey.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Label {
    /// At most 100 bytes.
    label: String,
}

async fn rename(ask: Ask<Label>) -> Result<Reply<PasskeyView>, Problem> {
    let id: PasskeyId = ask.named("id")?;
    let by = &ask.person()?.person;
    let issuer = &ask.site.app.issuer;
    let renamed = issuer
        .rename_passkey(ask.place.org(), by, &id, &ask.body.label)
        .await?;
    Ok(PasskeyView::from(renamed).into())
}

async fn remove(ask: Ask<Nothing>) -> Result<Reply<PasskeyView>, Problem> {
    let id: PasskeyId = ask.named("id")?;
    let by = &ask.person()?.person;
    let removed = ask
        .site
        .app
        .issuer
        .remove_passkey(ask.place.org(), by, &id)
        .await?;
    Ok(PasskeyView::from(removed).into())
}

async fn provider(ask: Ask) -> Result<Reply<ProviderView>, Problem> {
    Ok(ask.site.app.control.provider(&ask.caller()?).await?.into())
}

async fn put_provider(ask: Ask<ProviderSettings>) -> Result<Reply<ProviderView>, Problem> {
    let caller = ask.caller()?;
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_provider(&caller, ask.body, ask.seen)
            .await?,
    ))
}

async fn remove_provider(ask: Ask<Nothing>) -> Result<Reply<ProviderView>, Problem> {
    let caller = ask.caller()?;
    Ok(ask
        .site
        .app
        .control
        .remove_provider(&caller, ask.seen)
        .await?
        .into())
}

async fn test_provider(ask: Ask<Nothing>) -> Result<Reply<ProviderReport>, Problem> {
    ask.person()?;
    let issuer = &ask.site.app.issuer;
    Ok(issuer.test_provider(ask.place.org()).await?.into())
}
