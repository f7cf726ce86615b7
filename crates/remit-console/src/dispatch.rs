//! From a request to its page: which organization, who, whether they may, whether the form is theirs, and only then what.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use remit_domain::{Refusal, RefusalCode};
use remit_issuer::PersonSession;

use crate::answer::{Answer, Page, dress, file, html, see};
use crate::ask::{Ask, Pairs};
use crate::cookie::{self, Preferences};
use crate::fault::{Fault, FaultPage};
use crate::limits::{FORM_BYTES_MAX, FORM_FIELDS_MAX, FORM_TIME_MAX, QUERY_BYTES_MAX};
use crate::route::{Route, Who};
use crate::site::{Place, Site};
use crate::{csrf, layout, sign_in, table};

/// The pages, at the root and below `/t/{org}`.
pub(crate) fn routes() -> Router<Site> {
    let mut router = Router::new();
    for route in table::all() {
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else {
            continue;
        };
        let mut paths = vec![route.path.to_owned(), format!("/t/{{org}}{}", route.path)];
        if route.path == "/" {
            paths.push("/t/{org}".to_owned());
        }
        let route = Arc::new(route);
        for path in paths {
            let route = Arc::clone(&route);
            router = router.route(
                &path,
                on(filter, move |State(site): State<Site>, request: Request| {
                    let route = Arc::clone(&route);
                    async move { dress(answer(site, route, request).await) }
                }),
            );
        }
    }
    router
}

async fn answer(site: Site, route: Arc<Route>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = path(&mut parts, &site).await;
    let org = path
        .iter()
        .find(|(name, _)| name == "org")
        .map(|(_, value)| value.clone());
    let Some(place) = Place::named(&site, org.as_deref()) else {
        let (title, page) = FaultPage::html(&Fault::not_found(), "");
        return html(StatusCode::NOT_FOUND, layout::bare(title, page));
    };
    let (session, broken) = match signed_in(&site, &place, &parts.headers, route.is_watch).await {
        Ok(session) => (Some(session), None),
        Err(refusal) if refusal.code == RefusalCode::Unauthenticated => (None, None),
        Err(refusal) => (None, Some(Fault::from(refusal))),
    };
    let ask = asked(&site, place, session, path, &parts);
    let around = layout::Around::of(&ask, &parts.headers);
    let answered = match broken {
        Some(fault) if route.who != Who::Everybody => Err(fault),
        _ => handled(&route, ask, &parts, body).await,
    };
    match answered {
        Ok(answer) => written(&around, answer).await,
        Err(fault) => refused(&around, &route, &parts, fault).await,
    }
}

async fn signed_in(
    site: &Site,
    place: &Place,
    headers: &HeaderMap,
    is_watch: bool,
) -> Result<PersonSession, Refusal> {
    let issuer = &site.console.issuer;
    match issuer
        .cookies(place.org())?
        .session(cookie::headers(headers))
    {
        // What a page asks by itself is no use of the session.
        Some(secret) if is_watch => issuer.watch_session(place.org(), &secret).await,
        Some(secret) => issuer.check_session(place.org(), &secret).await,
        None => Err(Refusal::new(
            RefusalCode::Unauthenticated,
            "nobody is signed in",
        )),
    }
}

async fn path(parts: &mut Parts, site: &Site) -> Pairs {
    match RawPathParams::from_request_parts(parts, site).await {
        Ok(params) => params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        Err(_) => Pairs::new(),
    }
}

fn asked(
    site: &Site,
    place: Place,
    session: Option<PersonSession>,
    path: Pairs,
    parts: &Parts,
) -> Ask {
    let query = parts
        .uri
        .query()
        .filter(|q| q.len() <= QUERY_BYTES_MAX)
        .unwrap_or_default();
    let query = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .take(FORM_FIELDS_MAX)
        .collect();
    let whole = parts.uri.path();
    let here = whole.strip_prefix(place.at.as_str()).unwrap_or(whole);
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(ToOwned::to_owned)
    };
    let csrf = session
        .as_ref()
        .map(|s| csrf::token(&site.console.books, &s.form_key))
        .unwrap_or_default();
    Ask {
        site: site.clone(),
        csrf,
        preferences: Preferences::of(&parts.headers),
        here: if here.is_empty() {
            "/".to_owned()
        } else {
            here.to_owned()
        },
        place,
        session,
        path,
        query,
        form: Pairs::new(),
        browser: text("user-agent").unwrap_or_default(),
        last_event: text("last-event-id"),
        part: parts.headers.contains_key("hx-request")
            && !parts.headers.contains_key("hx-history-restore-request"),
    }
}

async fn handled(route: &Route, mut ask: Ask, parts: &Parts, body: Body) -> Result<Answer, Fault> {
    let changes = route.method != Method::GET;
    if changes {
        from_our_page(&parts.headers)?;
        ask.form = form(&parts.headers, body).await?;
    }
    match (&ask.session, route.who) {
        (_, Who::Everybody) => {}
        (None, _) => {
            return Err(if changes {
                again(&ask)
            } else {
                Fault::SignedOut
            });
        }
        (Some(session), who) if !who.includes(|role| session.person.holds(role)) => {
            let text = format!("this is for: {}; ask an administrator", who.words());
            return Err(Fault::refused(RefusalCode::Forbidden, text));
        }
        _ => {}
    }
    if changes
        && let Some(session) = &ask.session
        && !csrf::is_good(&session.form_key, ask.field("csrf"))
    {
        return Err(again(&ask));
    }
    let running = (route.run)(ask);
    if !changes {
        return running.await;
    }
    // A change that was begun is ended, whether or not the browser waits for it.
    match tokio::spawn(running).await {
        Ok(answered) => answered,
        Err(error) => {
            tracing::error!(%error, "a page broke off");
            Err(Fault::Failed)
        }
    }
}

/// What changes something comes from a page of this server. The surface below has refused every foreign Origin; a browser
/// that sends neither is not one that we know to keep cookies of ours to pages of ours.
fn from_our_page(headers: &HeaderMap) -> Result<(), Fault> {
    let site = headers.get("sec-fetch-site").and_then(|v| v.to_str().ok());
    let ours = match site {
        Some("same-origin" | "none") => true,
        Some(_) => false,
        None => headers.contains_key(header::ORIGIN),
    };
    if ours {
        Ok(())
    } else {
        Err(Fault::refused(
            RefusalCode::Forbidden,
            "this was not sent from a page of this server; open the page here and repeat",
        ))
    }
}

/// The same form, to be sent again by hand.
fn again(ask: &Ask) -> Fault {
    let form = ask
        .form
        .iter()
        .filter(|(name, _)| name != "csrf")
        .cloned()
        .collect();
    Fault::Again {
        action: ask.to(&ask.here),
        form,
    }
}

async fn form(headers: &HeaderMap, body: Body) -> Result<Pairs, Fault> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
        return Err(Fault::invalid(
            "a form must be sent as application/x-www-form-urlencoded",
        ));
    }
    let read =
        tokio::time::timeout(FORM_TIME_MAX, axum::body::to_bytes(body, FORM_BYTES_MAX)).await;
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            return Err(Fault::refused(
                RefusalCode::TooLarge,
                "the form is too large; send less at once",
            ));
        }
        Err(_) => {
            return Err(Fault::refused(
                RefusalCode::Timeout,
                "the form did not come in time; send it again",
            ));
        }
    };
    let pairs: Pairs = url::form_urlencoded::parse(&bytes)
        .into_owned()
        .take(FORM_FIELDS_MAX + 1)
        .collect();
    if pairs.len() > FORM_FIELDS_MAX {
        return Err(Fault::refused(
            RefusalCode::TooLarge,
            "the form has too many fields; send less at once",
        ));
    }
    Ok(pairs)
}

async fn written(around: &layout::Around, answer: Answer) -> Response {
    match answer {
        Answer::Page(page) => {
            let status = page.status;
            html(status, around.page(*page).await)
        }
        Answer::Part(part) => html(StatusCode::OK, part.to_string()),
        Answer::See(address) => see(&address),
        Answer::SeeWith(address, cookies) => {
            let mut response = see(&address);
            for value in cookies.into_iter().flatten() {
                response.headers_mut().append(header::SET_COOKIE, value);
            }
            response
        }
        Answer::File { name, kind, body } => file(&name, kind, body),
        Answer::Raw(response) => response,
    }
}

async fn refused(around: &layout::Around, route: &Route, parts: &Parts, fault: Fault) -> Response {
    let status = fault.status();
    if matches!(fault, Fault::SignedOut) && route.method == Method::GET {
        let to = sign_in::address(
            &around.place,
            parts.uri.path_and_query().map_or("/", |p| p.as_str()),
        );
        if !around.part {
            return see(&to);
        }
        // A part cannot become a sign-in page: the whole window goes there.
        let mut response = html(StatusCode::UNAUTHORIZED, String::new());
        if let Ok(value) = HeaderValue::from_str(&to) {
            response.headers_mut().insert("hx-redirect", value);
        }
        return response;
    }
    let page = match &fault {
        Fault::Again { action, form } => {
            Page::new("Send it again?").html(sign_in::again(around, action, form))
        }
        _ => {
            let (title, body) = FaultPage::html(&fault, &around.place.at);
            Page::new(title).html(body)
        }
    };
    let status = if matches!(fault, Fault::Again { .. }) && !around.is_signed_in() {
        StatusCode::UNAUTHORIZED
    } else {
        status
    };
    if around.part {
        let page: String = page.parts.iter().map(ToString::to_string).collect();
        return html(status, page);
    }
    html(status, around.page(page.status(status)).await)
}
