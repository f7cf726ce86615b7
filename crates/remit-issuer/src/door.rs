//! The one door by which refusals leave: each is recorded, and a flood of them as counts (invariant 12).

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use remit_books::{BooksError, Change, HopRefused};
use remit_domain::event::{Event, EventKind};
use remit_domain::{AgentId, OrgId, Principal, Refusal, RefusalCode, RunId, Timestamp};
use remit_token::{OAuthError, OAuthErrorCode, TokenError};

use crate::limits::{REFUSAL_CODES_MAX, REFUSALS_PER_MINUTE};
use crate::refusal::{from_books, oauth_error};
use crate::{AccessRefused, Issuer};

const MINUTE: Duration = Duration::from_secs(60);

/// What a client hears when it has not proved who it is: the same, whatever the reason.
const NOT_PROVED: &str = "the client could not be authenticated; check its id, its registered key, and the assertion's \
                          audience (the issuer), times and unused jti";

/// Refusals of one organization within one minute.
#[derive(Debug)]
pub(crate) struct Window {
    opened: Duration,
    since: Timestamp,
    recorded: u32,
    counted: BTreeMap<String, u64>,
}

/// Refusals that were not recorded one by one.
struct Counted {
    since: Timestamp,
    by_code: BTreeMap<String, u64>,
}

/// A refusal on its way out: what the caller hears, and what is recorded.
#[derive(Debug)]
pub(crate) struct Denied {
    /// What the caller hears.
    pub(crate) error: OAuthError,
    /// What is recorded: a code of ours.
    pub(crate) code: String,
    /// Who asked, as far as that is known or claimed.
    pub(crate) agent: Option<AgentId>,
    /// The run it was about.
    pub(crate) run: Option<RunId>,
    /// The enforcement point, or the trusted issuer, that it was about.
    pub(crate) about: Option<String>,
    /// What the policies about hops say, where they forbid it.
    pub(crate) forbidden: Option<Box<HopRefused>>,
}

impl Denied {
    /// The client did not prove who it is.
    pub(crate) fn client(code: &str) -> Self {
        Self::new(OAuthErrorCode::InvalidClient, code, NOT_PROVED)
    }

    /// A refusal with its own text.
    pub(crate) fn new(
        error: OAuthErrorCode,
        code: &str,
        text: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Self {
        Self {
            error: OAuthError::new(error, text),
            code: code.to_owned(),
            agent: None,
            run: None,
            about: None,
            forbidden: None,
        }
    }

    /// The client has proved who it is, and does not stand.
    pub(crate) fn proved(refusal: Refusal) -> Self {
        let error = OAuthError::new(OAuthErrorCode::InvalidClient, refusal.to_string());
        Self {
            error,
            ..Self::from(refusal)
        }
    }

    /// With the enforcement point that asked, or the trusted issuer that vouched.
    #[must_use]
    pub(crate) fn about(mut self, record: &impl ToString) -> Self {
        self.about = Some(record.to_string());
        self
    }

    /// The subject token is not good.
    pub(crate) fn subject(error: &TokenError) -> Self {
        Self::new(
            OAuthErrorCode::InvalidGrant,
            error.code(),
            error.to_string(),
        )
    }

    /// With who asked.
    #[must_use]
    pub(crate) fn by(mut self, agent: &AgentId) -> Self {
        self.agent = Some(agent.clone());
        self
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self {
            error: oauth_error(&refusal),
            code: refusal.code.as_str().to_owned(),
            agent: None,
            run: None,
            about: None,
            forbidden: None,
        }
    }
}

impl From<BooksError> for Denied {
    fn from(error: BooksError) -> Self {
        from_books(error).into()
    }
}

impl Issuer {
    /// Records a refusal of an OAuth endpoint and gives what the caller hears.
    pub(crate) async fn deny(&self, org: &OrgId, door: &'static str, denied: Denied) -> OAuthError {
        self.record_denied(
            org,
            door,
            (&denied.code, denied.forbidden.as_deref()),
            denied.about.as_deref(),
            denied.agent.as_ref(),
            denied.run.as_ref(),
        )
        .await;
        denied.error
    }

    /// Records a refusal and gives it back.
    pub(crate) async fn refuse(
        &self,
        org: &OrgId,
        door: &'static str,
        agent: Option<&AgentId>,
        run: Option<&RunId>,
        refusal: Refusal,
    ) -> Refusal {
        self.record_refusal(org, door, refusal.code.as_str(), None, agent, run)
            .await;
        refusal
    }

    /// Records that an access token is not good here and now, with whose it is as far as its signature proves that.
    ///
    /// - `door`: where it was used, as a word of ours.
    pub async fn refuse_access(
        &self,
        org: &OrgId,
        door: &'static str,
        refused: AccessRefused,
    ) -> Refusal {
        let known = refused.verified.as_deref();
        let (agent, run) = (known.map(|v| &v.agent), known.map(|v| &v.run));
        self.record_refusal(org, door, refused.reason, None, agent, run)
            .await;
        refused.refusal
    }

    /// Records a refusal, or counts it where there are too many. A record that cannot be made changes nothing: the answer
    /// is no already.
    pub(crate) async fn record_refusal(
        &self,
        org: &OrgId,
        door: &'static str,
        code: &str,
        about: Option<&str>,
        agent: Option<&AgentId>,
        run: Option<&RunId>,
    ) {
        self.record_denied(org, door, (code, None), about, agent, run)
            .await;
    }

    /// - the code, and the policies that forbid it.
    async fn record_denied(
        &self,
        org: &OrgId,
        door: &'static str,
        (code, forbidden): (&str, Option<&HopRefused>),
        about: Option<&str>,
        agent: Option<&AgentId>,
        run: Option<&RunId>,
    ) {
        let unrecordable = [RefusalCode::LedgerUnavailable, RefusalCode::SnapshotStale]
            .iter()
            .any(|c| c.as_str() == code);
        if unrecordable || self.books().org(org).is_none() {
            return;
        }
        let (single, before) = self.note(org, code);
        if !single && before.is_none() {
            return;
        }
        let mut change = Change::new();
        if let Some(counted) = before {
            change = change.event(counted_event(self.books().now(), &counted));
        }
        if single {
            let mut event = Event::new(
                EventKind::AuthenticationRefused,
                self.books().now(),
                Principal::Remit,
            )
            .fact("door", door)
            .fact("code", code);
            if let Some(forbidden) = forbidden {
                event = forbidden.recorded(event);
            }
            // Without `run(..)`, which would make a key for the run's content: there is none here.
            event.subject = about.map(str::to_owned);
            event.agent = agent.cloned();
            event.run = run.cloned();
            change = change.event(event);
        }
        self.tell(org, change).await;
    }

    /// Records the counts of a minute that has passed.
    pub(crate) async fn flush_refusals(&self, org: &OrgId) {
        let now = self.books().clock().monotonic();
        let counted = {
            let mut windows = self
                .inner
                .refusals
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match windows.get(org) {
                Some(window) if now.saturating_sub(window.opened) >= MINUTE => {
                    windows.remove(org).and_then(counted_of)
                }
                _ => None,
            }
        };
        if let Some(counted) = counted {
            self.tell(
                org,
                Change::new().event(counted_event(self.books().now(), &counted)),
            )
            .await;
        }
    }

    /// Whether this refusal is recorded by itself, and the counts of the window that it ends.
    fn note(&self, org: &OrgId, code: &str) -> (bool, Option<Counted>) {
        let now = self.books().clock().monotonic();
        let mut windows = self
            .inner
            .refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let over = windows
            .get(org)
            .is_some_and(|window| now.saturating_sub(window.opened) >= MINUTE);
        let before = if over {
            windows.remove(org).and_then(counted_of)
        } else {
            None
        };
        let since = self.books().now();
        let window = windows.entry(org.clone()).or_insert_with(|| Window {
            opened: now,
            since,
            recorded: 0,
            counted: BTreeMap::new(),
        });
        if window.recorded < REFUSALS_PER_MINUTE {
            window.recorded += 1;
            return (true, before);
        }
        let code = if window.counted.len() < REFUSAL_CODES_MAX {
            code
        } else {
            "other"
        };
        let count = window.counted.entry(code.to_owned()).or_default();
        *count = count.saturating_add(1);
        (false, before)
    }

    async fn tell(&self, org: &OrgId, change: Change) {
        if let Err(error) = self.books().commit(org, change).await {
            tracing::error!(%org, %error, "a refusal could not be recorded");
        }
    }
}

fn counted_of(window: Window) -> Option<Counted> {
    (!window.counted.is_empty()).then_some(Counted {
        since: window.since,
        by_code: window.counted,
    })
}

fn counted_event(now: Timestamp, counted: &Counted) -> Event {
    Event::new(EventKind::RefusalsCounted, now, Principal::Remit)
        .fact("door", "issuer")
        .fact("since", counted.since)
        .fact("counts", &counted.by_code)
}
