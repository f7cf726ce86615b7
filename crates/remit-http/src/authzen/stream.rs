//! Decisions as they are made: server-sent events, one an entry, with the entry's index as its id.
//!
//! An auditor hears every decision of the organization, an enforcement point those about the agents assigned to it. An event
//! holds what the leaf holds in clear, and the arguments as the tool allows them to be shown; it never holds others.
//!
//! Source: WHATWG HTML "Server-sent events" (`Last-Event-ID`).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use remit_books::OpenedEntry;
use remit_domain::event::EventKind;
use remit_domain::{AgentId, EnforcementPointId, OrgId, Refusal, RefusalCode, Role};
use remit_ports::store::EntryFilter;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::{DOOR, NotAnswered, point};
use crate::bearer;
use crate::identity::{self, Identity, identify};
use crate::limits::{KEEP_ALIVE, STREAM_EVENTS, STREAM_EVERY, STREAM_LIFE};
use crate::problem::Problem;
use crate::site::{Place, Site};

/// What is told.
const KINDS: [EventKind; 4] = [
    EventKind::CallDecided,
    EventKind::CallCompleted,
    EventKind::CallRefused,
    EventKind::CallGap,
];
/// Facts of a leaf that are told.
const FACTS: [&str; 15] = [
    "outcome",
    "consent",
    "approval",
    "tool",
    "effect",
    "environment",
    "policies",
    "bundle",
    "workflow",
    "mode",
    "enforcement_point",
    "status",
    "decided_at",
    "code",
    "found",
];

/// Whose decisions somebody hears.
#[derive(Clone)]
enum Hears {
    All,
    Point(EnforcementPointId),
}

struct Listener {
    site: Site,
    org: OrgId,
    hears: Hears,
    token: Arc<secrecy::SecretString>,
    next: u64,
    left: Duration,
    quiet: Duration,
    _place: OwnedSemaphorePermit,
}

/// `GET /access/v1/decisions`, for an enforcement point.
pub(super) async fn of_point(
    State(site): State<Site>,
    request: Request,
) -> Result<Response, NotAnswered> {
    let (mut parts, _) = request.into_parts();
    let place = Place::from_request_parts(&mut parts, &site).await;
    let place =
        place.map_err(|p| NotAnswered::from(Refusal::new(RefusalCode::NotFound, p.detail)))?;
    let found = point(&site, &place, &parts.headers, DOOR).await?;
    let hears = Hears::Point(found.point.id.clone());
    Ok(listen(site, &place, hears, &parts.headers).await?)
}

/// `GET /api/v1/decisions/stream`, for an auditor.
pub(super) async fn of_auditor(
    State(site): State<Site>,
    place: Place,
    headers: HeaderMap,
) -> Response {
    let identity = identify(&site, Some(&place), &headers).await;
    let may = |identity: &Identity| matches!(identity, Identity::Person(person) if person.holds(Role::Auditor));
    let answered = match identity {
        Ok(identity) if may(&identity) => {
            let listening = listen(site.clone(), &place, Hears::All, &headers).await;
            listening.map_err(Problem::from)
        }
        Ok(_) => Err(Problem::new(
            RefusalCode::Forbidden,
            "this is for: auditor; an administrator gives people their roles",
        )),
        Err(problem) => Err(problem),
    };
    answered.unwrap_or_else(|problem| identity::answer(&site, &place, problem))
}

/// Begins after the event that the listener names as its last; with what comes from now on where it names none.
async fn listen(
    site: Site,
    place: &Place,
    hears: Hears,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let busy = || {
        Refusal::new(
            RefusalCode::Limited,
            "too many listen already; try again later",
        )
    };
    let held = Arc::clone(&site.listeners)
        .try_acquire_owned()
        .map_err(|_| busy())?;
    let unauthenticated = || Refusal::new(RefusalCode::Unauthenticated, "send a token");
    let token = bearer::of(headers).ok_or_else(unauthenticated)?;
    let next = match headers.get("last-event-id") {
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse::<u64>().ok());
            let wrong = "`Last-Event-ID` is the id of an event that this stream gave";
            id.and_then(|id| id.checked_add(1))
                .ok_or_else(|| Refusal::new(RefusalCode::InvalidRequest, wrong))?
        }
        None => {
            let count = site.app.books.store().entry_count(place.org()).await;
            count.map_err(|_| unavailable())?
        }
    };
    let listener = Listener {
        org: place.org().clone(),
        site,
        hears,
        token: Arc::new(token),
        next,
        left: STREAM_LIFE,
        quiet: Duration::ZERO,
        _place: held,
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(events(listener))).into_response())
}

fn unavailable() -> Refusal {
    Refusal::new(
        RefusalCode::LedgerUnavailable,
        "the ledger cannot be read now; try again later",
    )
}

fn events(listener: Listener) -> impl Stream<Item = Result<String, Infallible>> {
    futures_util::stream::unfold(Some(listener), |listener| async move {
        let mut listener = listener?;
        let text = listener.more().await?;
        Some((Ok(text), Some(listener)))
    })
}

impl Listener {
    /// The next events, or a sign of life; none when the stream is over. A listener goes on with the id of its last event.
    async fn more(&mut self) -> Option<String> {
        loop {
            if self.left.is_zero() {
                return None;
            }
            let agents = self.agents().await?;
            let filter = EntryFilter {
                from: self.next,
                kinds: KINDS.to_vec(),
                limit: STREAM_EVENTS,
                ..EntryFilter::default()
            };
            let entries = self
                .site
                .app
                .books
                .opened_entries(&self.org, &filter)
                .await
                .ok()?;
            if let Some(last) = entries.last() {
                self.next = last.stored.index.saturating_add(1);
            }
            let told = entries.iter().filter(|e| agents.hears(e)).map(event);
            let text: String = told.collect();
            if !text.is_empty() {
                self.quiet = Duration::ZERO;
                return Some(text);
            }
            if entries.is_empty() {
                tokio::time::sleep(STREAM_EVERY).await;
                self.left = self.left.saturating_sub(STREAM_EVERY);
                self.quiet = self.quiet.saturating_add(STREAM_EVERY);
            }
            if self.quiet >= KEEP_ALIVE {
                self.quiet = Duration::ZERO;
                return Some(":\n\n".to_owned());
            }
        }
    }

    /// Whose decisions the listener hears now; none when it may hear nothing any more.
    async fn agents(&self) -> Option<Agents> {
        let issuer = &self.site.app.issuer;
        let token = self.token.expose_secret();
        match &self.hears {
            Hears::All => {
                let person = issuer.authenticate_person(&self.org, token).await.ok()?;
                person.holds(Role::Auditor).then_some(Agents::All)
            }
            Hears::Point(id) => {
                let verified = issuer.verify_point(&self.org, token).await.ok()?;
                let assigned = verified.point.agents.iter().map(|a| a.agent.clone());
                (verified.point.id == *id).then(|| Agents::These(assigned.collect()))
            }
        }
    }
}

enum Agents {
    All,
    These(Vec<AgentId>),
}

impl Agents {
    fn hears(&self, entry: &OpenedEntry) -> bool {
        match self {
            Self::All => true,
            Self::These(agents) => {
                let agent = entry.stored.agent.as_ref();
                agent.is_some_and(|agent| agents.contains(agent))
            }
        }
    }
}

/// One event. Of the arguments only the summary is told, which shows what the tool allows, and otherwise names and types.
fn event(entry: &OpenedEntry) -> String {
    let stored = &entry.stored;
    let facts = entry
        .leaf
        .facts
        .iter()
        .filter(|(name, _)| FACTS.contains(&name.as_str()));
    let facts: Map<String, Value> = facts.map(|(n, v)| (n.clone(), v.clone())).collect();
    let summary = entry
        .body
        .as_ref()
        .and_then(|body| body.content.get("summary"));
    let data = json!({
        "index": stored.index, "kind": stored.kind, "at": stored.at, "agent": stored.agent,
        "run": stored.run, "decision": stored.decision, "facts": facts, "arguments": summary,
    });
    format!(
        "id: {}\nevent: {}\ndata: {data}\n\n",
        stored.index,
        stored.kind.as_str()
    )
}
