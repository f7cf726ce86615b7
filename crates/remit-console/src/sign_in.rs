//! Signing in and out. Who somebody is, is proved to the issuer; here are the pages around it.

use askama::Template;
use remit_domain::RefusalCode;
use remit_domain::idp::PasskeySignIn;
use secrecy::ExposeSecret as _;

use crate::answer::Answer;
use crate::ask::{Ask, Pairs};
use crate::fault::{Fault, capitalized};
use crate::layout::Around;
use crate::route::{EVERYBODY, PERSON, Route, act, page};
use crate::site::Place;
use crate::text::Shown;
use crate::ui::Html;
use crate::{assets, cookie};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/sign-in", EVERYBODY, show),
        page("/enrol", EVERYBODY, enrol),
        act("/sign-in/link", EVERYBODY, with_link),
        act("/sign-out", PERSON, sign_out),
    ]
}

/// Where somebody signs in who wanted to go to `next`.
pub(crate) fn address(place: &Place, next: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("{}/sign-in?next={next}", place.at)
}

/// An address of this organization to go to after signing in; home where it is anything else.
fn local(ask: &Ask, next: Option<&str>) -> Result<String, Fault> {
    let next = next.unwrap_or_default();
    let path = next.split(['?', '#']).next().unwrap_or_default();
    let loops = ["/sign-in", "/enrol", "/sign-out", "/live"]
        .iter()
        .any(|end| path.ends_with(end));
    Ok(ask
        .issuer()
        .local_address(ask.place.org(), if loops { "" } else { next })?)
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    org: String,
    at: String,
    next: String,
    problem: Option<Shown>,
    dev: bool,
    /// Issuer of the company's OpenID provider.
    oidc: Option<Shown>,
    oidc_href: String,
    passkeys: bool,
    /// Whether a passkey is for break-glass accounts only, because there is a provider.
    emergency: bool,
    passkey_js: &'static str,
}

async fn show(ask: Ask) -> Result<Answer, Fault> {
    if ask.session.is_some() && ask.q("again").is_none() {
        return Ok(Answer::See(local(&ask, ask.q("next"))?));
    }
    let failed = ask
        .q("failed")
        .map(|_| "you could not be signed in; try again, or ask an administrator for a link");
    let body = form(&ask, ask.q("next"), failed).await?;
    ask.page("Sign in").html(body).ok()
}

async fn form(ask: &Ask, next: Option<&str>, problem: Option<&str>) -> Result<Html, Fault> {
    let next = local(ask, next)?;
    let provider = ask
        .issuer()
        .provider(ask.place.org())
        .await?
        .filter(|found| found.noun.is_in_use());
    let to: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    Ok(Html::of(&SignIn {
        org: ask.place.name.clone(),
        at: ask.place.at.clone(),
        next,
        problem: problem.map(|text| Shown::block(capitalized(text))),
        dev: ask.site.console.dev,
        emergency: provider
            .as_ref()
            .is_some_and(|found| found.noun.settings.passkeys == PasskeySignIn::BreakGlass),
        oidc: provider.map(|found| Shown::line(&found.noun.settings.issuer)),
        oidc_href: ask.to(&format!("/sign-in/oidc?next={to}")),
        passkeys: ask.issuer().has_passkeys(),
        passkey_js: assets::address("passkey.js"),
    }))
}

#[derive(Template)]
#[template(path = "enrol.html")]
struct Enrol {
    org: String,
    at: String,
    js: &'static str,
}

/// Where a link leads. The code is behind the `#`, which browsers never send, so that it is in nobody's traces; our script
/// or the person puts it into the form.
async fn enrol(ask: Ask) -> Result<Answer, Fault> {
    let page = Enrol {
        org: ask.place.name.clone(),
        at: ask.place.at.clone(),
        js: assets::address("enrol.js"),
    };
    ask.page("Your link").html(Html::of(&page)).ok()
}

async fn with_link(ask: Ask) -> Result<Answer, Fault> {
    // A whole link may be pasted: the code is what follows its `#`.
    let typed = ask.field("code").trim();
    let code = typed.rsplit_once('#').map_or(typed, |(_, code)| code);
    let next = ask.given("next");
    match ask
        .issuer()
        .sign_in_with_link(ask.place.org(), code, &ask.browser)
        .await
    {
        Ok(new) => {
            let cookie = ask
                .issuer()
                .cookies(ask.place.org())?
                .set_session(new.secret.expose_secret());
            Ok(Answer::SeeWith(
                local(&ask, next.as_deref())?,
                vec![cookie::header(&cookie)],
            ))
        }
        Err(refusal) if refusal.code == RefusalCode::Unauthenticated => {
            let body = form(&ask, next.as_deref(), Some(&refusal.text)).await?;
            ask.page("Sign in")
                .html(body)
                .status(axum::http::StatusCode::UNAUTHORIZED)
                .ok()
        }
        Err(refusal) => Err(refusal.into()),
    }
}

async fn sign_out(ask: Ask) -> Result<Answer, Fault> {
    let session = ask.session()?;
    ask.issuer()
        .end_session(ask.place.org(), &session.person, &session.id)
        .await?;
    signed_out(&ask)
}

/// The sign-in page, without the cookie.
pub(crate) fn signed_out(ask: &Ask) -> Result<Answer, Fault> {
    let cookie = ask.issuer().cookies(ask.place.org())?.clear_session();
    Ok(Answer::SeeWith(
        ask.to("/sign-in?done=signed_out"),
        vec![cookie::header(&cookie)],
    ))
}

#[derive(Template)]
#[template(path = "again.html")]
struct Again<'a> {
    action: &'a str,
    csrf: &'a str,
    signed_in: bool,
    sign_in: String,
    form: &'a Pairs,
    shown: Vec<(Shown, Shown)>,
}

/// The form that came without its session's token, to be looked at and sent again by hand: what was typed is not lost.
pub(crate) fn again(around: &Around, action: &str, form: &Pairs) -> Html {
    let shown = form
        .iter()
        .filter(|(name, _)| name != "code")
        .map(|(name, value)| (Shown::line(name.replace('_', " ")), Shown::block(value)))
        .collect();
    Html::of(&Again {
        action,
        csrf: &around.csrf,
        signed_in: around.is_signed_in(),
        sign_in: address(&around.place, "/"),
        form,
        shown,
    })
}
