//! Receivers: who may hear what happens here, with which token; what their streams have told.

use remit_books::{Change, Versioned};
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::signal::{
    DeadSignal, Delivery, RECEIVERS_MAX, SignalEvent, SignalProgress, SignalReceiver, SignalStream,
    StreamStatus,
};
use remit_domain::{
    DeadSignalId, Kind, Noun, RefusalCode, Registry, Role, SignalReceiverId, SignalStreamId,
    Timestamp,
};
use remit_ports::store::Filter;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{audience, revoked};
use crate::control::Before;
use crate::error::not_found;
use crate::{
    Action, Caller, Control, ControlError, ListQuery, Listing, Saved, check, names, refuse,
};

/// Most dead letters of a stream that are listed.
const DEAD_MAX: u32 = 1_000;

/// Somebody who may hear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalReceiverSpec {
    /// What signals to it say in `aud`.
    pub audience: String,
}

/// A receiver, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignalReceiverView {
    /// Its id.
    pub id: SignalReceiverId,
    /// Its name.
    pub name: Name,
    /// What signals to it say in `aud`.
    pub audience: String,
    /// `active`, `without_token`, `expired` or `revoked`.
    pub state: &'static str,
    /// When its token was made.
    pub made: Timestamp,
    /// Who made it.
    pub made_by: String,
    /// When it ends; none where there is none.
    pub expires: Option<Timestamp>,
    /// Its streams.
    pub streams: Vec<StreamView>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

/// A stream, as people see it. What its receiver gave to authorize with is shown to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StreamView {
    /// Its id.
    pub id: SignalStreamId,
    /// `push` or `poll`.
    pub method: &'static str,
    /// Where it is pushed to.
    pub endpoint: Option<String>,
    /// What it tells.
    pub events: Vec<SignalEvent>,
    /// Whether it tells.
    pub status: StreamStatus,
    /// Why.
    pub reason: Option<String>,
    /// How many signals its receiver has.
    pub told: u64,
    /// How many were given up.
    pub dead: u64,
    /// The first entry of the ledger that it has not told of.
    pub next_entry: u64,
    /// When it tries again, where it failed.
    pub try_at: Option<Timestamp>,
    /// What the last failure was.
    pub last_error: Option<String>,
}

/// A signal that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeadSignalView {
    /// Its id.
    pub id: DeadSignalId,
    /// Of which receiver.
    pub receiver: String,
    /// Of which stream.
    pub stream: SignalStreamId,
    /// Its `jti`.
    pub jti: String,
    /// What it is.
    pub event: SignalEvent,
    /// The entry of the ledger that it tells of.
    pub entry: Option<u64>,
    /// What was said against it.
    pub why: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// A token, to be shown once.
#[derive(Debug)]
pub struct SignalToken {
    /// The token.
    pub token: SecretString,
    /// When it ends.
    pub expires: Timestamp,
}

impl Control {
    /// Receivers, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn signal_receivers(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<SignalReceiverView>, ControlError> {
        caller.person()?;
        let page = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let all = registry.signal_receivers.values();
            let all = all.map(|r| (r.name.to_string(), Noun::state(&**r), r));
            query.page(all, |r| r.name.clone())
        };
        let mut items = Vec::with_capacity(page.items.len());
        for name in &page.items {
            items.push(self.signal_receiver(caller, name).await?);
        }
        let next = page.next;
        Ok(Listing { items, next })
    }

    /// One receiver, with what its streams have told.
    ///
    /// # Errors
    /// `forbidden`, `not-found`; when the store cannot be read.
    pub async fn signal_receiver(
        &self,
        caller: &Caller,
        name: &Name,
    ) -> Result<SignalReceiverView, ControlError> {
        caller.person()?;
        let streams: Vec<SignalStream> = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let receiver = named(&registry, name)?;
            let own = registry.signal_streams.values();
            let own = own.filter(|s| s.receiver == receiver.id);
            own.map(|s| SignalStream::clone(s)).collect()
        };
        let mut views = Vec::with_capacity(streams.len());
        for stream in &streams {
            let progress = self
                .books
                .get::<SignalProgress>(&caller.org, stream.id.as_str())
                .await?;
            views.extend(progress.map(|p| stream_view(stream, &p.noun)));
        }
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let receiver = named(&registry, name)?;
        Ok(view(&registry, receiver, views, self.books.now()))
    }

    /// Registers a receiver, or sets its audience.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `conflict` for a revoked one, and when it has changed since `seen`;
    /// `invalid-request`; `limit-exceeded`.
    pub async fn put_signal_receiver(
        &self,
        caller: &Caller,
        name: &Name,
        spec: &SignalReceiverSpec,
        seen: Option<u64>,
    ) -> Result<Saved<SignalReceiverView>, ControlError> {
        let admin = caller.require(&[Role::Admin])?.id.clone();
        audience(&spec.audience)?;
        let book = self.book(&caller.org)?;
        let plan = || async {
            let registry = book.registry();
            let now = self.books.now();
            let there = registry.signal_receiver_named(name.as_str());
            let receiver = match there {
                Some(there) => SignalReceiver {
                    audience: spec.audience.clone(),
                    ..SignalReceiver::clone(there)
                },
                None => {
                    let live = registry.signal_receivers.values();
                    if live.filter(|r| r.revoked.is_none()).count() >= RECEIVERS_MAX {
                        let text = format!("at most {RECEIVERS_MAX} receivers hear at once");
                        return Err(refuse(RefusalCode::LimitExceeded, text));
                    }
                    SignalReceiver {
                        id: self.books.id(SignalReceiverId::from_uuid),
                        name: name.clone(),
                        audience: spec.audience.clone(),
                        digest: None,
                        made: now,
                        expires: now,
                        made_by: admin.clone(),
                        revoked: None,
                    }
                }
            };
            stands(&receiver)?;
            let revision = there.and_then(|r| registry.revision(Kind::SignalReceiver, &r.key()));
            let before = Before::of(revision, seen)?;
            if there.is_some_and(|t| **t == receiver) {
                return Ok((Action::None, Change::new()));
            }
            let event = self
                .event(caller, EventKind::SignalReceiverChanged)
                .about(&receiver.id)
                .content("receiver", (&receiver.name, &receiver.audience));
            let action = there.map_or(Action::Create, |_| Action::Update);
            Ok((action, before.put(&receiver).event(event)))
        };
        let (action, _) = self.settle(&caller.org, plan).await?;
        Ok(Saved {
            action,
            view: self.signal_receiver(caller, name).await?,
        })
    }

    /// Makes a token of a receiver; the one before it ends at once.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` for a revoked one; `invalid-request`.
    pub async fn make_receiver_token(
        &self,
        caller: &Caller,
        name: &Name,
        days: i64,
    ) -> Result<SignalToken, ControlError> {
        let admin = caller.require(&[Role::Admin])?.id.clone();
        let made = self.new_signal_token(days)?;
        let now = self.books.now();
        self.change_receiver(caller, name, |receiver| {
            let event = self
                .event(caller, EventKind::SignalTokenMade)
                .fact("expires", made.expires);
            let next = SignalReceiver {
                digest: Some(made.digest.clone()),
                made: now,
                expires: made.expires,
                made_by: admin.clone(),
                ..receiver
            };
            (next, event)
        })
        .await?;
        Ok(SignalToken {
            token: SecretString::from(made.secret.format().as_str()),
            expires: made.expires,
        })
    }

    /// Ends the token of a receiver; its streams go on, and it changes nothing of them until it has another.
    pub(crate) async fn end_receiver_token(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<(), ControlError> {
        caller.require(&[Role::Admin, Role::Responder])?;
        self.change_receiver(caller, name, |receiver| {
            let event = self
                .event(caller, EventKind::SignalTokenEnded)
                .content("reason", reason);
            let next = SignalReceiver {
                digest: None,
                ..receiver
            };
            (next, event)
        })
        .await
    }

    /// Revokes a receiver for good: its token ends, and its streams tell nothing more.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or responder; `not-found`; `conflict` for one that was revoked.
    pub async fn revoke_signal_receiver(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<SignalReceiverView, ControlError> {
        caller.require(&[Role::Admin, Role::Responder])?;
        check::said("reason", reason)?;
        let now = self.books.now();
        self.change_receiver(caller, name, |receiver| {
            let event = self
                .event(caller, EventKind::SignalReceiverRevoked)
                .content("reason", reason);
            let next = SignalReceiver {
                digest: None,
                revoked: Some(now),
                ..receiver
            };
            (next, event)
        })
        .await?;
        self.signal_receiver(caller, name).await
    }

    async fn change_receiver(
        &self,
        caller: &Caller,
        name: &Name,
        change: impl Fn(SignalReceiver) -> (SignalReceiver, remit_domain::event::Event) + Send + Sync,
    ) -> Result<(), ControlError> {
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let registry = book.registry();
            let there = named(&registry, name)?;
            stands(there)?;
            let revision = registry.revision(Kind::SignalReceiver, &there.key());
            let (next, event) = change(SignalReceiver::clone(there));
            let event = event.about(&next.id);
            let change = Before::of(revision, None)?.put(&next).event(event);
            Ok(((), change.restrict()))
        })
        .await?;
        Ok(())
    }

    /// Signals that were given up, newest first.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn dead_signals(&self, caller: &Caller) -> Result<Vec<DeadSignalView>, ControlError> {
        caller.person()?;
        let filter = Filter {
            state: Some("active".to_owned()),
            descending: true,
            limit: DEAD_MAX,
            ..Filter::default()
        };
        let (found, _) = self.books.list::<DeadSignal>(&caller.org, &filter).await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(found
            .into_iter()
            .map(|found| dead_view(&registry, found.noun))
            .collect())
    }

    /// Tells a signal once more that was given up.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or responder; `not-found`; `conflict` for one that is told already, that was about the
    /// stream itself, or whose stream is deleted.
    pub async fn retry_signal(
        &self,
        caller: &Caller,
        id: &DeadSignalId,
    ) -> Result<DeadSignalView, ControlError> {
        caller.require(&[Role::Admin, Role::Responder])?;
        let plan = || async {
            let dead = self.books.get::<DeadSignal>(&caller.org, id.as_str());
            let Versioned { noun, revision } =
                dead.await?.ok_or_else(|| not_found("signal", id))?;
            let stream = noun.stream.as_str();
            let progress = self.books.get::<SignalProgress>(&caller.org, stream);
            let progress = progress.await?;
            let live = {
                let book = self.book(&caller.org)?;
                let registry = book.registry();
                registry.signal_streams.contains_key(&noun.stream)
            };
            let mut progress = progress
                .filter(|_| live && noun.told.is_none() && noun.entry.is_some())
                .ok_or_else(|| {
                    let text = "it is told once more already, its stream is gone, or it was about the stream itself";
                    refuse(RefusalCode::Conflict, text)
                })?;
            progress.noun.again.push(noun.jti.clone());
            progress.noun.dead = progress.noun.dead.saturating_sub(1);
            progress.noun.try_at = None;
            let again = DeadSignal {
                told: Some(self.books.now()),
                ..noun
            };
            let event = self
                .event(caller, EventKind::SignalRetried)
                .about(&again.stream)
                .fact("signal", &again.id);
            let change = Change::new()
                .update(&again, revision)
                .update(&progress.noun, progress.revision)
                .event(event);
            Ok((again, change))
        };
        let (again, _) = self.settle(&caller.org, plan).await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(dead_view(&registry, again))
    }
}

fn stands(receiver: &SignalReceiver) -> Result<(), ControlError> {
    match receiver.revoked {
        None => Ok(()),
        Some(at) => Err(revoked(&format!("receiver `{}`", receiver.name), at)),
    }
}

fn named<'a>(
    registry: &'a Registry,
    name: &Name,
) -> Result<&'a std::sync::Arc<SignalReceiver>, ControlError> {
    registry
        .signal_receiver_named(name.as_str())
        .ok_or_else(|| not_found("receiver", name))
}

fn stream_view(stream: &SignalStream, progress: &SignalProgress) -> StreamView {
    let (method, endpoint) = match &stream.delivery {
        Delivery::Push { endpoint, .. } => ("push", Some(endpoint.clone())),
        Delivery::Poll => ("poll", None),
    };
    StreamView {
        id: stream.id.clone(),
        method,
        endpoint,
        events: stream.delivered.iter().copied().collect(),
        status: stream.status,
        reason: stream.reason.clone(),
        told: progress.told,
        dead: progress.dead,
        next_entry: progress.next,
        try_at: progress.try_at,
        last_error: progress.last_error.clone(),
    }
}

fn dead_view(registry: &Registry, dead: DeadSignal) -> DeadSignalView {
    let stream = registry.signal_streams.get(&dead.stream);
    let receiver = stream.and_then(|s| registry.signal_receivers.get(&s.receiver));
    DeadSignalView {
        receiver: receiver.map_or_else(|| dead.stream.to_string(), |r| r.name.to_string()),
        id: dead.id,
        stream: dead.stream,
        jti: dead.jti,
        event: dead.event,
        entry: dead.entry,
        why: dead.why,
        at: dead.at,
    }
}

fn view(
    registry: &Registry,
    receiver: &SignalReceiver,
    streams: Vec<StreamView>,
    now: Timestamp,
) -> SignalReceiverView {
    let state = match receiver {
        r if r.revoked.is_some() => "revoked",
        r if r.digest.is_none() => "without_token",
        r if now >= r.expires => "expired",
        _ => "active",
    };
    SignalReceiverView {
        id: receiver.id.clone(),
        name: receiver.name.clone(),
        audience: receiver.audience.clone(),
        state,
        made: receiver.made,
        made_by: names::person(registry, &receiver.made_by),
        expires: receiver.digest.as_ref().map(|_| receiver.expires),
        streams,
        revision: registry
            .revision(Kind::SignalReceiver, &receiver.key())
            .unwrap_or(0),
    }
}
