//! Sessions of people with browsers: opened by a sign-in, checked with each request, ended by people and by time.

use std::collections::BTreeSet;
use std::sync::Arc;

use remit_books::{BooksError, Change, Versioned};
use remit_domain::event::{Event, EventKind};
use remit_domain::session::Proved;
use remit_domain::{
    OrgId, Person, PersonId, Principal, Refusal, RefusalCode, Role, Session, SessionId,
    SessionLimits, SignedInBy, Timestamp,
};
use remit_ports::store::{Filter, StoreError};
use remit_token::{OpaqueSecret, SecretKind};
use secrecy::SecretString;

use crate::limits::{BROWSER_CHARS_MAX, SESSION_SEEN_SECS, SESSIONS_MAX};
use crate::refusal::{from_books, no};
use crate::sign_in::cannot_sign_in;
use crate::{Issuer, PersonIdentity};

/// A sign-in that succeeded.
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// Who signed in.
    pub person: PersonId,
    /// How.
    pub how: SignedInBy,
    /// What the browser calls itself; shortened, and never decided on.
    pub browser: String,
    /// The roles it has at most; none means all that the person has.
    pub roles_max: Option<BTreeSet<Role>>,
}

/// A session that was just opened. The secret goes into a cookie, once.
#[derive(Debug)]
pub struct NewSession {
    /// Its id, which is no secret.
    pub id: SessionId,
    /// Whose it is.
    pub person: PersonId,
    /// The secret, `rmt_ses_…`.
    pub secret: SecretString,
    /// When it ends whatever happens.
    pub expires: Timestamp,
}

/// A person who is signed in, as of now.
#[derive(Debug, Clone)]
pub struct PersonSession {
    /// The session's id.
    pub id: SessionId,
    /// The person as the registry has them now, with no more roles than the session may have: whoever asks control for
    /// something does it as this person.
    pub person: Arc<Person>,
    /// How they signed in.
    pub how: SignedInBy,
    /// When they signed in.
    pub created: Timestamp,
    /// When it was last used, to about a minute.
    pub seen: Timestamp,
    /// When it ends if it is not used any more.
    pub idle_end: Timestamp,
    /// When it ends whatever happens.
    pub expires: Timestamp,
    /// When they last proved with a passkey, in this session, that it is still them.
    pub stepped_up: Option<Timestamp>,
    /// What they proved last in this session, over one digest.
    pub proved: Option<Proved>,
    /// A value that only this session's pages know, for their forms: another site can send a form here, and not this.
    pub form_key: String,
    pub(crate) digest: String,
}

impl PersonSession {
    /// The same as an identity, for whatever asks for one.
    #[must_use]
    pub fn identity(&self) -> PersonIdentity {
        PersonIdentity {
            person: Arc::clone(&self.person),
            token: self.digest.clone(),
            expires: self.expires,
        }
    }
}

/// A session that was looked up, and the epoch at which.
pub(crate) struct Known {
    found: Versioned<Session>,
    epoch: u64,
}

/// The same for everything that is not good.
fn over() -> Refusal {
    no(
        RefusalCode::Unauthenticated,
        "you are not signed in, or not any more; sign in again",
    )
}

impl Issuer {
    /// Opens a session for a person who has just proved who they are. Recorded.
    ///
    /// # Errors
    /// `unauthenticated` when the person is not here or has left, `ledger-unavailable`.
    pub async fn open_session(
        &self,
        org: &OrgId,
        open: OpenSession,
    ) -> Result<NewSession, Refusal> {
        self.open_session_with(org, open, Change::new()).await
    }

    /// The same, in one change with what paid for it.
    pub(crate) async fn open_session_with(
        &self,
        org: &OrgId,
        open: OpenSession,
        paid: Change,
    ) -> Result<NewSession, Refusal> {
        let limits = self.session_limits(org)?;
        let here = self
            .tenant(org)?
            .registry()
            .people
            .get(&open.person)
            .is_some_and(|person| person.is_active());
        if !here {
            return Err(cannot_sign_in());
        }
        let alarm = self
            .alarm_of(org, &open.person, open.how.in_words())
            .await?;
        let now = self.books().now();
        let new = self.new_secret(SecretKind::Session);
        let session = Session {
            id: self.books().id(SessionId::from_uuid),
            digest: new.digest,
            person: open.person,
            how: open.how,
            roles_max: open.roles_max,
            browser: shortened(&open.browser),
            created: now,
            seen: now,
            expires: now.plus_secs(i64::from(limits.life_s)),
            stepped_up: (open.how == SignedInBy::Passkey).then_some(now),
            proved: None,
            ended: None,
        };
        let mut event = Event::new(
            EventKind::SessionOpened,
            now,
            Principal::Person(session.person.clone()),
        )
        .about(&session.person)
        .fact("session", &session.id)
        .fact("how", session.how)
        .fact("roles_max", &session.roles_max)
        .fact("expires", session.expires)
        .content("browser", &session.browser);
        event.shred_scope = session.person.to_string();
        let change = paid
            .and(alarm)
            .create(&session)
            .event(event)
            .and(self.make_room(org, &session.person, limits).await?);
        match self.books().commit(org, change).await {
            Ok(_) => Ok(NewSession {
                id: session.id,
                person: session.person,
                secret: new.text,
                expires: session.expires,
            }),
            Err(BooksError::Store(StoreError::Conflict { .. } | StoreError::Replayed { .. })) => {
                Err(cannot_sign_in())
            }
            Err(error) => Err(from_books(error)),
        }
    }

    /// Ends what was used longest ago, where a person has as many sessions as they may.
    async fn make_room(
        &self,
        org: &OrgId,
        person: &PersonId,
        limits: SessionLimits,
    ) -> Result<Change, Refusal> {
        let now = self.books().now();
        let mut live = self.sessions_of(org, Some(person)).await?;
        live.retain(|found| found.noun.is_live(limits, now));
        live.sort_by_key(|found| std::cmp::Reverse(found.noun.seen));
        let surplus = live.into_iter().skip(SESSIONS_MAX.saturating_sub(1));
        Ok(surplus.fold(Change::new(), |change, found| {
            change.and(self.plan_end(found, Principal::Remit, "too_many").1)
        }))
    }

    /// The session that a browser's cookie opens, when it counts now. The person's roles are those of this moment.
    ///
    /// - `secret`: `rmt_ses_…`.
    ///
    /// # Errors
    /// `unauthenticated` when it is unknown, over, or its person has left; `snapshot-stale`, `ledger-unavailable`.
    pub async fn check_session(&self, org: &OrgId, secret: &str) -> Result<PersonSession, Refusal> {
        self.session_of(org, secret, true).await
    }

    /// The same, for what a page asks by itself: it does not count as use, so that a tab that is left open does not keep a
    /// session from its idle end.
    ///
    /// # Errors
    /// As [`Issuer::check_session`].
    pub async fn watch_session(&self, org: &OrgId, secret: &str) -> Result<PersonSession, Refusal> {
        self.session_of(org, secret, false).await
    }

    async fn session_of(
        &self,
        org: &OrgId,
        secret: &str,
        is_use: bool,
    ) -> Result<PersonSession, Refusal> {
        let book = self.tenant(org)?;
        if !self.books().store().is_fresh() {
            let text = "changes of other nodes do not arrive; nobody is let in until they do";
            return Err(no(RefusalCode::SnapshotStale, text));
        }
        let parsed = OpaqueSecret::parse_kind(secret, SecretKind::Session).map_err(|_| over())?;
        let digest = *parsed.digest().as_bytes();
        let limits = self.session_limits(org)?;
        let now = self.books().now();
        let mut known = match self.known_session(org, &digest) {
            Some(known) if known.found.noun.is_live(limits, now) => known,
            // It may have been used at another node meanwhile.
            _ => self.read_session(org, &digest).await?,
        };
        if !known.found.noun.is_live(limits, now) {
            return Err(over());
        }
        let person = {
            let registry = book.registry();
            let person = registry.people.get(&known.found.noun.person).cloned();
            registry.narrowed(person.filter(|p| p.is_active()).ok_or_else(over)?)
        };
        if is_use {
            self.books().note_use(org, person.id.as_str());
        }
        let interval = SESSION_SEEN_SECS.min(i64::from(limits.idle_s) / 4);
        if is_use && now.secs_since(known.found.noun.seen) >= interval {
            known = self.mark_seen(org, &digest, known).await?;
        }
        let session = &known.found.noun;
        Ok(PersonSession {
            id: session.id.clone(),
            person: match &session.roles_max {
                Some(most) => person.with_at_most(most),
                None => person,
            },
            how: session.how,
            created: session.created,
            seen: session.seen,
            idle_end: session.idle_end(limits),
            expires: session.expires,
            stepped_up: session.stepped_up,
            proved: session.proved.clone(),
            form_key: form_key(secret),
            digest: session.digest.clone(),
        })
    }

    fn known_session(&self, org: &OrgId, digest: &[u8; 32]) -> Option<Arc<Known>> {
        let epoch = self.books().org(org)?.epoch();
        let key = crate::person::cache_key(org, digest);
        let known = self.inner.sign_in.known.get(&key)?;
        (known.epoch == epoch).then_some(known)
    }

    async fn read_session(&self, org: &OrgId, digest: &[u8; 32]) -> Result<Arc<Known>, Refusal> {
        let epoch = self.tenant(org)?.epoch();
        let found = self
            .books()
            .find::<Session>(org, &hex::encode(digest))
            .await
            .map_err(from_books)?
            .ok_or_else(over)?;
        Ok(self.remember(org, digest, Known { found, epoch }))
    }

    /// Forgets what is remembered of a session here, so that the next request reads it.
    #[cfg(feature = "passkeys")]
    pub(crate) fn forget_session(&self, org: &OrgId, digest: &str) {
        let mut bytes = [0; 32];
        if hex::decode_to_slice(digest, &mut bytes).is_ok() {
            let key = crate::person::cache_key(org, &bytes);
            self.inner.sign_in.known.invalidate(&key);
        }
    }

    fn remember(&self, org: &OrgId, digest: &[u8; 32], known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        let key = crate::person::cache_key(org, digest);
        self.inner.sign_in.known.insert(key, Arc::clone(&known));
        known
    }

    /// Writes down that a session is in use; whoever else does so at the same moment has done it.
    async fn mark_seen(
        &self,
        org: &OrgId,
        digest: &[u8; 32],
        known: Arc<Known>,
    ) -> Result<Arc<Known>, Refusal> {
        let seen = Session {
            seen: self.books().now(),
            ..known.found.noun.clone()
        };
        let change = Change::new().update(&seen, known.found.revision);
        match self.books().commit(org, change).await {
            Ok(committed) => {
                let revision = committed.revisions.first().copied().unwrap_or(0);
                let found = Versioned {
                    noun: seen,
                    revision,
                };
                let epoch = known.epoch;
                Ok(self.remember(org, digest, Known { found, epoch }))
            }
            Err(BooksError::Store(StoreError::Conflict { .. })) => {
                let known = self.read_session(org, digest).await?;
                if known.found.noun.ended.is_some() {
                    return Err(over());
                }
                Ok(known)
            }
            Err(error) => Err(from_books(error)),
        }
    }

    /// How long people of an organization stay signed in.
    ///
    /// # Errors
    /// `not-found` when there is no such organization.
    pub fn session_limits(&self, org: &OrgId) -> Result<SessionLimits, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        Ok(registry
            .organization
            .as_ref()
            .map(|organization| organization.sessions)
            .unwrap_or_default())
    }

    /// Sessions that count now, newest first: of one person, or of everybody.
    ///
    /// # Errors
    /// `not-found`, `ledger-unavailable`.
    pub async fn sessions(
        &self,
        org: &OrgId,
        person: Option<&PersonId>,
    ) -> Result<Vec<Session>, Refusal> {
        let limits = self.session_limits(org)?;
        let now = self.books().now();
        let found = self.sessions_of(org, person).await?;
        let mut live: Vec<_> = found
            .into_iter()
            .map(|found| found.noun)
            .filter(|session| session.is_live(limits, now))
            .collect();
        live.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(live)
    }

    async fn sessions_of(
        &self,
        org: &OrgId,
        person: Option<&PersonId>,
    ) -> Result<Vec<Versioned<Session>>, Refusal> {
        let mut filter = Filter {
            parent: person.map(ToString::to_string),
            state: Some("active".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let mut all = Vec::new();
        loop {
            let (page, next) = self
                .books()
                .list::<Session>(org, &filter)
                .await
                .map_err(from_books)?;
            all.extend(page);
            match next {
                Some(next) => filter.after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Ends a session: the person's own, or anybody's for an administrator. It counts at once, everywhere. Ending one that
    /// is over already changes nothing.
    ///
    /// # Errors
    /// `not-found` also for somebody else's, where `by` may not end it; `conflict`, `ledger-unavailable`.
    pub async fn end_session(
        &self,
        org: &OrgId,
        by: &Person,
        id: &SessionId,
    ) -> Result<Session, Refusal> {
        let unknown = || no(RefusalCode::NotFound, "no such session is here");
        loop {
            let found = self
                .books()
                .get::<Session>(org, id.as_str())
                .await
                .map_err(from_books)?
                .filter(|found| found.noun.person == by.id || by.holds(Role::Admin))
                .ok_or_else(unknown)?;
            if found.noun.ended.is_some() {
                return Ok(found.noun);
            }
            let why = if found.noun.person == by.id {
                "signed_out"
            } else {
                "ended_by_administrator"
            };
            let (ended, change) = self.plan_end(found, Principal::Person(by.id.clone()), why);
            match self.books().commit(org, change).await {
                Ok(_) => return Ok(ended),
                // It was used at this moment, or somebody else has ended it.
                Err(BooksError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => return Err(from_books(error)),
            }
        }
    }

    /// Ends every session of a person, for that person or an administrator; says how many counted.
    ///
    /// - `but`: one that goes on, such as the one in which they ask for this.
    ///
    /// # Errors
    /// `forbidden`, `conflict`, `ledger-unavailable`.
    pub async fn end_sessions(
        &self,
        org: &OrgId,
        by: &Person,
        person: &PersonId,
        but: Option<&SessionId>,
    ) -> Result<usize, Refusal> {
        if by.id != *person && !by.holds(Role::Admin) {
            return Err(no(
                RefusalCode::Forbidden,
                "only an administrator ends other people's sessions",
            ));
        }
        loop {
            let mut found = self.sessions_of(org, Some(person)).await?;
            found.retain(|found| Some(&found.noun.id) != but);
            let count = found.len();
            if count == 0 {
                return Ok(0);
            }
            let change = found.into_iter().fold(Change::new(), |change, found| {
                let by = Principal::Person(by.id.clone());
                change.and(self.plan_end(found, by, "all_ended").1)
            });
            match self.books().commit(org, change).await {
                Ok(_) => return Ok(count),
                Err(BooksError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => return Err(from_books(error)),
            }
        }
    }

    /// The change that ends a session. It raises the epoch: what any node remembers of the session ends with it.
    pub(crate) fn plan_end(
        &self,
        found: Versioned<Session>,
        by: Principal,
        why: &str,
    ) -> (Session, Change) {
        let now = self.books().now();
        let event = Event::new(EventKind::SessionEnded, now, by)
            .about(&found.noun.id)
            .fact("person", &found.noun.person)
            .fact("why", why);
        let ended = Session {
            ended: Some(now),
            ..found.noun
        };
        let change = Change::new()
            .update(&ended, found.revision)
            .event(event)
            .restrict();
        (ended, change)
    }
}

/// SHA-256 of the secret in a domain of its own: known to whoever has the cookie, and to nobody else.
fn form_key(secret: &str) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(b"remit-form-key:");
    context.update(secret.as_bytes());
    hex::encode(context.finish().as_ref())
}

/// The first printable characters.
fn shortened(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(BROWSER_CHARS_MAX)
        .collect()
}
