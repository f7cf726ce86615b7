//! What changes while somebody looks: counts and news, told to open pages as it happens.
//!
//! Each organization has one watcher, however many pages are open; an event is the whole state, so that nothing has to be
//! kept for those who were away. An event's id is a digest of it: who comes back with the same id is told nothing.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt as _};
use remit_books::Books;
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::finding::Finding;
use remit_domain::{Kind, OrgId, PersonId, RefusalCode};
use remit_ports::store::Filter;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch as channel;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::layout::count_ids;
use crate::limits::{KEEP_ALIVE, LIVE_PAUSE, STREAM_LIFE, STREAMS_MAX, STREAMS_PER_PERSON_MAX};
use crate::route::{PERSON, Route, watch};
use crate::site::{Place, Site};

/// Most records counted; above it there are "many", and one knows enough.
const COUNT_MAX: u32 = 1_000;

pub(crate) fn routes() -> Vec<Route> {
    vec![watch("/live", PERSON, live)]
}

/// What stands in the navigation, and what is newest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Counts {
    /// Approvals that wait.
    pub(crate) waiting: usize,
    /// Runs that go on.
    pub(crate) running: usize,
    /// Containments that were not lifted.
    pub(crate) contained: usize,
    /// Findings that are open.
    pub(crate) findings: usize,
    /// The newest approval that waits.
    pub(crate) newest_approval: String,
}

impl Counts {
    fn id(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Watchers and streams.
pub(crate) struct Live {
    watchers: Mutex<HashMap<OrgId, channel::Receiver<Counts>>>,
    people: Arc<Mutex<BTreeMap<PersonId, usize>>>,
    streams: Arc<AtomicUsize>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            watchers: Mutex::new(HashMap::new()),
            people: Arc::new(Mutex::new(BTreeMap::new())),
            streams: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// What is so now. The first look at an organization starts its watcher.
    pub(crate) async fn counts(&self, site: &Site, place: &Place) -> Counts {
        self.watcher(site, place).await.borrow().clone()
    }

    async fn watcher(&self, site: &Site, place: &Place) -> channel::Receiver<Counts> {
        let known = |all: &HashMap<OrgId, channel::Receiver<Counts>>| {
            all.get(place.org())
                .filter(|r| r.has_changed().is_ok())
                .cloned()
        };
        if let Some(receiver) = known(&self.watchers.lock().unwrap_or_else(PoisonError::into_inner))
        {
            return receiver;
        }
        let books = site.console.books.clone();
        let org = place.org().clone();
        // Listening begins before looking.
        let changes = books.store().changes();
        let first = counted(&books, &org).await.unwrap_or_default();
        let mut all = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = known(&all) {
            return receiver;
        }
        let (sender, receiver) = channel::channel(first);
        all.insert(org.clone(), receiver.clone());
        tokio::spawn(watch_over(books, org, changes, sender));
        receiver
    }

    /// A place for one more stream of that person; it is given back when the stream ends.
    fn seat(&self, person: &PersonId) -> Result<Seat, Fault> {
        let full = || {
            Fault::refused(
                RefusalCode::Limited,
                "too many pages are open at once; close some",
            )
        };
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = people.entry(person.clone()).or_default();
        if *mine >= STREAMS_PER_PERSON_MAX || self.streams.load(Ordering::Relaxed) >= STREAMS_MAX {
            return Err(full());
        }
        *mine += 1;
        self.streams.fetch_add(1, Ordering::Relaxed);
        Ok(Seat {
            person: person.clone(),
            people: Arc::clone(&self.people),
            streams: Arc::clone(&self.streams),
        })
    }
}

/// A stream's place.
struct Seat {
    person: PersonId,
    people: Arc<Mutex<BTreeMap<PersonId, usize>>>,
    streams: Arc<AtomicUsize>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = people.get_mut(&self.person) {
            *mine -= 1;
            if *mine == 0 {
                people.remove(&self.person);
            }
        }
    }
}

async fn watch_over(
    books: Books,
    org: OrgId,
    mut changes: tokio::sync::broadcast::Receiver<remit_ports::store::Changed>,
    sender: channel::Sender<Counts>,
) {
    let kinds = [Kind::Approval, Kind::Run, Kind::Containment, Kind::Finding];
    loop {
        match changes.recv().await {
            Ok(changed) if changed.org == org => {
                let ours = changed.keys.is_empty()
                    || changed.keys.iter().any(|(kind, _)| kinds.contains(kind));
                if !ours {
                    continue;
                }
            }
            Ok(_) => continue,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
        // Others may come with it; what is told is how things are afterwards.
        tokio::time::sleep(LIVE_PAUSE).await;
        match counted(&books, &org).await {
            Ok(counts) => {
                sender.send_if_modified(|now| {
                    let moved = *now != counts;
                    *now = counts;
                    moved
                });
            }
            Err(error) => {
                tracing::warn!(%error, "news could not be read; trying with the next change")
            }
        }
    }
}

async fn counted(books: &Books, org: &OrgId) -> Result<Counts, remit_books::BooksError> {
    let now = books.now();
    let with = |state: &str, descending| Filter {
        state: Some(state.to_owned()),
        limit: COUNT_MAX,
        descending,
        ..Filter::default()
    };
    let (approvals, _) = books
        .list::<Approval>(org, &with(ApprovalState::Pending.as_str(), true))
        .await?;
    let waiting: Vec<_> = approvals.iter().filter(|a| a.noun.expires > now).collect();
    let (findings, _) = books.list::<Finding>(org, &with("open", false)).await?;
    let (running, contained) = books.org(org).map_or((0, 0), |book| {
        let registry = book.registry();
        (registry.runs.len(), registry.containments.len())
    });
    Ok(Counts {
        waiting: waiting.len(),
        running,
        contained,
        findings: findings.len(),
        newest_approval: waiting
            .first()
            .map(|a| a.noun.id.to_string())
            .unwrap_or_default(),
    })
}

#[derive(Template)]
#[template(path = "live.html")]
struct Told<'a> {
    counts: Vec<(String, usize)>,
    running: usize,
    contained: usize,
    findings: usize,
    newest: &'a str,
    waiting: usize,
}

fn event(counts: &Counts) -> Event {
    let told = Told {
        counts: count_ids(counts),
        running: counts.running,
        contained: counts.contained,
        findings: counts.findings,
        newest: &counts.newest_approval,
        waiting: counts.waiting,
    };
    let text = told.render().unwrap_or_default().replace('\n', "");
    Event::default().id(counts.id()).data(text)
}

/// A line above a list, which appears when what it lists has changed: nothing moves before somebody presses it.
#[derive(Template)]
#[template(path = "parts/news.html")]
pub(crate) struct News {
    watch: &'static str,
    now: usize,
    href: String,
    words: &'static str,
}

impl News {
    /// - `watch`: `running`, `contained` or `findings`.
    /// - `path`: of the list.
    pub(crate) async fn of(
        ask: &Ask,
        watch: &'static str,
        path: &str,
        words: &'static str,
    ) -> Self {
        let counts = ask.site.live.counts(&ask.site, &ask.place).await;
        Self {
            watch,
            now: match watch {
                "running" => counts.running,
                "contained" => counts.contained,
                _ => counts.findings,
            },
            href: ask.to(path),
            words,
        }
    }
}

async fn live(ask: Ask) -> Result<Answer, Fault> {
    let session = ask.session()?;
    let seat = ask.site.live.seat(&session.person.id)?;
    let receiver = ask.site.live.watcher(&ask.site, &ask.place).await;
    let until = u64::try_from(session.idle_end.secs_since(ask.now())).unwrap_or(0);
    let until = std::time::Duration::from_secs(until).min(STREAM_LIFE);
    let events = events(ask, receiver, seat);
    let ended = tokio::time::sleep(until);
    let sse = Sse::new(events.take_until(ended)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let mut response = sse.into_response();
    // A proxy that waits for more before it passes anything on would make live into late.
    response.headers_mut().insert(
        "x-accel-buffering",
        axum::http::HeaderValue::from_static("no"),
    );
    Ok(Answer::Raw(response))
}

struct Following {
    receiver: channel::Receiver<Counts>,
    epoch: Option<channel::Receiver<u64>>,
    last: Option<String>,
    session: String,
    ask: Ask,
    _seat: Seat,
}

fn events(
    ask: Ask,
    receiver: channel::Receiver<Counts>,
    seat: Seat,
) -> impl Stream<Item = Result<Event, std::convert::Infallible>> {
    let following = Following {
        epoch: Some(ask.place.book.watch_epoch()),
        last: ask.last_event.clone(),
        session: ask
            .session
            .as_ref()
            .map(|s| s.id.to_string())
            .unwrap_or_default(),
        receiver,
        ask,
        _seat: seat,
    };
    stream::unfold(following, |mut state| async move {
        loop {
            let counts = state.receiver.borrow_and_update().clone();
            let id = counts.id();
            if state.last.as_deref() != Some(id.as_str()) {
                state.last = Some(id);
                return Some((Ok(event(&counts)), state));
            }
            let epoch = state.epoch.as_mut()?;
            tokio::select! {
                changed = state.receiver.changed() => changed.ok()?,
                moved = epoch.changed() => {
                    moved.ok()?;
                    // Sessions end by raising the epoch: whoever was signed out hears nothing more.
                    if !still_signed_in(&state.ask, &state.session).await {
                        return None;
                    }
                }
            }
        }
    })
}

async fn still_signed_in(ask: &Ask, session: &str) -> bool {
    let Ok(person) = ask.session().map(|s| s.person.id.clone()) else {
        return false;
    };
    match ask.issuer().sessions(ask.place.org(), Some(&person)).await {
        Ok(sessions) => sessions.iter().any(|s| s.id.as_str() == session),
        Err(_) => false,
    }
}
