//! Sessions of 2025-11-25: a name for a conversation, and nothing more. A session permits nothing.
//!
//! The id is sealed under the instance's master key and says itself what it belongs to, so that any node can check it and
//! nobody can make one up. What a node keeps is which of its calls can be cancelled, which ids were ended early,
//! which log messages are wanted, what its client is asked, and which resources it hears of.
//!
//! Source: MCP 2025-11-25 basic/transports "Session Management", basic/utilities/cancellation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_books::Books;
use remit_domain::OrgId;
use remit_gateway::{Caller, Can};
use remit_mcp::Id;
use remit_mcp::protocol::LogLevel;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::news::News;
use super::question::Questions;
use crate::limits::{SESSION_CALLS_MAX, SESSION_LIFE, SESSIONS_MAX};

/// What a session belongs to: one run at one endpoint of one organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    org: String,
    run: String,
    resource: String,
}

impl Bound {
    pub(crate) fn new(org: &OrgId, caller: &Caller, resource: &str) -> Self {
        Self {
            org: org.to_string(),
            run: caller.run.to_string(),
            resource: resource.to_owned(),
        }
    }

    fn context(&self) -> String {
        format!("remit/mcp-session/{}", self.org)
    }
}

/// What is sealed into an id.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inside {
    run: String,
    at: String,
    /// Until when, in microseconds since 1970.
    until: i64,
    /// What the client said that it can do.
    can: Can,
}

type Calls = Arc<Mutex<HashMap<String, HashMap<Id, CancellationToken>>>>;

/// Something about sessions, for as long as one lives.
fn remembered<V: Clone + Send + Sync + 'static>() -> moka::sync::Cache<String, V> {
    let cache = moka::sync::Cache::builder().max_capacity(SESSIONS_MAX);
    cache.time_to_live(SESSION_LIFE).build()
}

/// What this node knows of sessions.
pub(crate) struct Sessions {
    calls: Calls,
    ended: moka::sync::Cache<String, ()>,
    levels: moka::sync::Cache<String, LogLevel>,
    /// What clients are asked, and have not answered.
    pub(crate) questions: Questions,
    /// What clients hear of beside their calls.
    news: moka::sync::Cache<String, Arc<News>>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            calls: Calls::default(),
            ended: remembered(),
            levels: remembered(),
            questions: Questions::default(),
            news: remembered(),
        }
    }

    /// What a session hears of beside its calls, on this node.
    pub(crate) fn news(&self, session: &str) -> Arc<News> {
        self.news.get_with(session.to_owned(), Arc::default)
    }

    /// From now on the session sees log messages of this level and above, from calls that this node serves.
    pub(crate) fn set_level(&self, session: &str, level: LogLevel) {
        self.levels.insert(session.to_owned(), level);
    }

    /// The level that the session has set, if it has.
    pub(crate) fn level(&self, session: &str) -> Option<LogLevel> {
        self.levels.get(session)
    }

    /// A new session id; none when the master key cannot be used.
    pub(crate) fn mint(&self, books: &Books, bound: &Bound, can: Can) -> Option<String> {
        let life = i64::try_from(SESSION_LIFE.as_micros()).ok()?;
        let until = books.now().as_micros().checked_add(life)?;
        let inside = Inside {
            run: bound.run.clone(),
            at: bound.resource.clone(),
            until,
            can,
        };
        let plain = serde_json::to_vec(&inside).ok()?;
        Some(URL_SAFE_NO_PAD.encode(books.vault().seal(&plain, &bound.context()).ok()?))
    }

    /// Whether an id was given to exactly this caller at this endpoint, and is still good.
    pub(crate) fn holds(&self, books: &Books, id: &str, bound: &Bound) -> bool {
        self.open(books, id, bound).is_some()
    }

    /// What the client of a session can do, if the id was given to exactly this caller at this endpoint and is still good.
    pub(crate) fn open(&self, books: &Books, id: &str, bound: &Bound) -> Option<Can> {
        let opened = || {
            let sealed = URL_SAFE_NO_PAD.decode(id).ok()?;
            let plain = books.vault().unseal(&sealed, &bound.context()).ok()?;
            serde_json::from_slice::<Inside>(&plain).ok()
        };
        let inside = opened().filter(|i| {
            i.run == bound.run && i.at == bound.resource && i.until > books.now().as_micros()
        });
        inside
            .filter(|_| !self.ended.contains_key(id))
            .map(|i| i.can)
    }

    /// Ends a session of this caller: its calls are cancelled, and the id is good no more on this node.
    pub(crate) fn end(&self, books: &Books, id: &str, bound: &Bound) -> bool {
        if !self.holds(books, id, bound) {
            return false;
        }
        self.ended.insert(id.to_owned(), ());
        self.questions.end(id);
        if let Some(news) = self.news.remove(id) {
            news.end();
        }
        let calls = self
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        calls
            .into_iter()
            .flatten()
            .for_each(|(_, cancel)| cancel.cancel());
        true
    }

    /// Cancels a call of a session by its request id. Unknown ones are ignored: the call may be over.
    pub(crate) fn cancel(&self, session: &str, id: &Id) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cancel) = calls.get(session).and_then(|calls| calls.get(id)) {
            cancel.cancel();
        }
    }

    /// Notes a call of a session, until the guard goes; none when its id is in use or there are too many.
    pub(crate) fn note(&self, session: &str, id: &Id, cancel: &CancellationToken) -> Option<Noted> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let of_session = calls.entry(session.to_owned()).or_default();
        if of_session.len() >= SESSION_CALLS_MAX || of_session.contains_key(id) {
            return None;
        }
        of_session.insert(id.clone(), cancel.clone());
        Some(Noted {
            calls: Arc::clone(&self.calls),
            session: session.to_owned(),
            id: id.clone(),
        })
    }
}

/// Keeps a call's place among those that can be cancelled.
pub(crate) struct Noted {
    calls: Calls,
    session: String,
    id: Id,
}

impl Drop for Noted {
    fn drop(&mut self) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_session) = calls.get_mut(&self.session) {
            of_session.remove(&self.id);
            if of_session.is_empty() {
                calls.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_cancelled_by_its_own_session_only() {
        let sessions = Sessions::new();
        let cancel = CancellationToken::new();
        let id = Id::Number(1);
        let noted = sessions.note("mine", &id, &cancel).unwrap();
        sessions.cancel("another", &id);
        sessions.cancel("mine", &Id::Text("1".to_owned()));
        assert!(!cancel.is_cancelled());
        sessions.cancel("mine", &id);
        assert!(cancel.is_cancelled());
        assert!(
            sessions.note("mine", &id, &cancel).is_none(),
            "an id in use is not used twice"
        );
        drop(noted);
        assert!(sessions.calls.lock().unwrap().is_empty());
    }

    #[test]
    fn one_session_cannot_fill_the_memory() {
        let sessions = Sessions::new();
        let cancel = CancellationToken::new();
        let noted: Vec<_> = (0..)
            .map_while(|n| sessions.note("mine", &Id::Number(n), &cancel))
            .collect();
        assert_eq!(noted.len(), SESSION_CALLS_MAX);
        assert!(sessions.note("another", &Id::Number(0), &cancel).is_some());
    }
}
