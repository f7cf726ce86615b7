//! Streams: what a receiver hears, and how, which it sets itself (SSF 1.0 §7 and §8.1).

use std::collections::BTreeSet;

use remit_books::{Change, Versioned};
use remit_domain::event::{Event, EventKind};
use remit_domain::signal::{
    ADDRESS_BYTES_MAX, Delivery, NOTICES_MAX, Notice, STREAMS_MAX, SignalEvent, SignalProgress,
    SignalReceiver, SignalStream, StreamStatus,
};
use remit_domain::{Kind, Noun, OrgId, Principal, Refusal, RefusalCode, SignalStreamId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{POLL, PUSH};
use crate::Issuer;
use crate::refusal::{from_books, no};

/// Least time between two verifications of a stream, in seconds.
const VERIFY_SECS: i64 = 10;
/// Longest state of a verification, reason or description, in bytes.
const TEXT_BYTES_MAX: usize = 1_000;
/// Longest `authorization_header`, in bytes.
const HEADER_BYTES_MAX: usize = 4_096;
/// Most events that a receiver may ask for.
const EVENTS_MAX: usize = 64;

/// What a transmitter says about itself (SSF 1.0 §7.1).
#[derive(Debug, Clone, Serialize)]
pub struct TransmitterMetadata {
    spec_version: &'static str,
    issuer: String,
    jwks_uri: String,
    delivery_methods_supported: [&'static str; 2],
    configuration_endpoint: String,
    status_endpoint: String,
    add_subject_endpoint: String,
    remove_subject_endpoint: String,
    verification_endpoint: String,
    authorization_schemes: [Value; 1],
    default_subjects: &'static str,
    critical_subject_members: [&'static str; 0],
}

/// How a receiver wants to be told (SSF 1.0 §6.1).
#[derive(Debug, Clone, Deserialize)]
pub struct DeliveryAsked {
    /// [`PUSH`] or [`POLL`].
    pub method: String,
    /// Where to push to.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// What to send as `Authorization`.
    #[serde(default)]
    pub authorization_header: Option<String>,
}

/// A stream, as a receiver asks for it. What only the transmitter says is read over (SSF 1.0 §8.1.1.1).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StreamAsked {
    /// Which one, where one is changed.
    pub stream_id: Option<SignalStreamId>,
    /// What it wants to hear, by URI.
    pub events_requested: Option<Vec<String>>,
    /// How.
    pub delivery: Option<DeliveryAsked>,
    /// What it calls it.
    pub description: Option<String>,
}

/// How a stream delivers, as its receiver sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryShown {
    method: &'static str,
    endpoint_url: String,
}

/// A stream, as its receiver sees it (SSF 1.0 §8.1.1). What it gave to authorize with is not shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamShown {
    /// Its id.
    pub stream_id: SignalStreamId,
    iss: String,
    aud: String,
    delivery: DeliveryShown,
    events_supported: Vec<&'static str>,
    events_requested: Vec<String>,
    events_delivered: Vec<&'static str>,
    min_verification_interval: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
}

/// A status to set (SSF 1.0 §8.1.2).
#[derive(Debug, Clone, Deserialize)]
pub struct StatusAsked {
    /// Of which stream.
    pub stream_id: SignalStreamId,
    /// The status.
    pub status: StreamStatus,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The status of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusShown {
    /// Of which stream.
    pub stream_id: SignalStreamId,
    /// The status.
    pub status: StreamStatus,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A verification to be sent (SSF 1.0 §8.1.4).
#[derive(Debug, Clone, Deserialize)]
pub struct VerificationAsked {
    /// By which stream.
    pub stream_id: SignalStreamId,
    /// What it is to say.
    #[serde(default)]
    pub state: Option<String>,
}

pub(super) fn invalid(text: impl Into<String>) -> Refusal {
    no(RefusalCode::InvalidRequest, text)
}

fn short(name: &str, text: Option<&String>) -> Result<(), Refusal> {
    let fits = |t: &String| t.len() <= TEXT_BYTES_MAX && !t.chars().any(char::is_control);
    if text.is_none_or(fits) {
        return Ok(());
    }
    Err(invalid(format!(
        "`{name}` has at most {TEXT_BYTES_MAX} bytes and no control characters"
    )))
}

impl Issuer {
    /// What this transmitter says about itself.
    ///
    /// # Errors
    /// `not-found`.
    pub fn transmitter_metadata(&self, org: &OrgId) -> Result<TransmitterMetadata, Refusal> {
        let issuer = self.issuer_url(org)?;
        let at = |path: &str| format!("{issuer}{path}");
        Ok(TransmitterMetadata {
            spec_version: "1_0",
            jwks_uri: at("/oauth2/jwks"),
            delivery_methods_supported: [PUSH, POLL],
            configuration_endpoint: at("/ssf/streams"),
            status_endpoint: at("/ssf/status"),
            add_subject_endpoint: at("/ssf/subjects/add"),
            remove_subject_endpoint: at("/ssf/subjects/remove"),
            verification_endpoint: at("/ssf/verify"),
            authorization_schemes: [json!({ "spec_urn": "urn:ietf:rfc:6750" })],
            default_subjects: "ALL",
            critical_subject_members: [],
            issuer,
        })
    }

    /// The streams of a receiver, or one of them.
    ///
    /// # Errors
    /// `not-found` for a stream that is not its own.
    pub fn streams(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        only: Option<&SignalStreamId>,
    ) -> Result<Vec<StreamShown>, Refusal> {
        let book = self.tenant(org)?;
        let all: Vec<SignalStream> = {
            let registry = book.registry();
            let own = registry
                .signal_streams
                .values()
                .filter(|s| s.receiver == receiver.id && only.is_none_or(|only| s.id == *only));
            own.map(|s| SignalStream::clone(s)).collect()
        };
        if let (Some(id), true) = (only, all.is_empty()) {
            return Err(unknown(id));
        }
        all.iter().map(|s| self.shown(org, receiver, s)).collect()
    }

    fn shown(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        stream: &SignalStream,
    ) -> Result<StreamShown, Refusal> {
        let iss = self.issuer_url(org)?;
        let delivery = match &stream.delivery {
            Delivery::Push { endpoint, .. } => DeliveryShown {
                method: PUSH,
                endpoint_url: endpoint.clone(),
            },
            Delivery::Poll => DeliveryShown {
                method: POLL,
                endpoint_url: format!("{iss}/ssf/poll/{}", stream.id),
            },
        };
        Ok(StreamShown {
            stream_id: stream.id.clone(),
            iss,
            aud: receiver.audience.clone(),
            delivery,
            events_supported: SignalEvent::SENT.iter().map(|e| e.uri()).collect(),
            events_requested: stream.requested.clone(),
            events_delivered: stream.delivered.iter().map(|e| e.uri()).collect(),
            min_verification_interval: VERIFY_SECS,
            description: stream.description.clone(),
        })
    }

    /// Makes a stream. It tells what happens from now on.
    ///
    /// # Errors
    /// `invalid-request`; `conflict` when the receiver has as many as it may.
    pub async fn create_stream(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        asked: &StreamAsked,
    ) -> Result<StreamShown, Refusal> {
        let (stream, change) = self.plan_stream(org, receiver, asked).await?;
        self.commit_signal(org, change).await?;
        self.shown(org, receiver, &stream)
    }

    /// The stream as it would be made now, and the change that makes it.
    pub(crate) async fn plan_stream(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        asked: &StreamAsked,
    ) -> Result<(SignalStream, Change), Refusal> {
        // The receiver is written as it was read before its streams are counted: of two made at once, one counts again.
        let (counted, revision) = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            let key = receiver.key();
            let revision = registry.revision(Kind::SignalReceiver, &key);
            let there = registry.signal_receivers.get(&receiver.id).cloned();
            let gone = || no(RefusalCode::NotFound, "the receiver is not here any more");
            there.zip(revision).ok_or_else(gone)?
        };
        let own = self.streams(org, receiver, None)?.len();
        if own >= STREAMS_MAX {
            let text = format!("a receiver has at most {STREAMS_MAX} streams; delete one");
            return Err(no(RefusalCode::Conflict, text));
        }
        let id = self.books().id(SignalStreamId::from_uuid);
        let delivery = asked.delivery.as_ref();
        let stream = SignalStream {
            receiver: receiver.id.clone(),
            delivery: delivery.map_or(Ok(Delivery::Poll), |d| self.delivery(org, &id, d))?,
            delivered: BTreeSet::new(),
            requested: Vec::new(),
            without: BTreeSet::new(),
            description: String::new(),
            status: StreamStatus::Enabled,
            reason: None,
            created: self.books().now(),
            deleted: None,
            id: id.clone(),
        };
        let stream = wanted(stream, asked, true)?;
        let next = self.books().store().entry_count(org).await;
        let progress = SignalProgress {
            stream: id,
            next: next.map_err(|e| from_books(e.into()))?,
            done: BTreeSet::new(),
            again: Vec::new(),
            notices: Vec::new(),
            tries: Default::default(),
            try_at: None,
            last_error: None,
            told: 0,
            dead: 0,
            verified: None,
        };
        let change = Change::new()
            .create(&stream)
            .create(&progress)
            .update(counted.as_ref(), revision)
            .event(self.stream_event(&stream));
        Ok((stream, change))
    }

    /// Changes a stream: what is left out stays, or, where it is `whole`, is as if it had been made so.
    ///
    /// # Errors
    /// `not-found`, `invalid-request`, `conflict`.
    pub async fn change_stream(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        asked: &StreamAsked,
        whole: bool,
    ) -> Result<StreamShown, Refusal> {
        let id = asked.stream_id.as_ref();
        let id = id.ok_or_else(|| invalid("`stream_id` is missing"))?;
        let (stream, revision) = self.own_stream(org, receiver, id)?;
        let mut next = wanted(stream, asked, whole)?;
        if let Some(delivery) = &asked.delivery {
            next.delivery = self.delivery(org, id, delivery)?;
        } else if whole {
            next.delivery = Delivery::Poll;
        }
        let event = self.stream_event(&next);
        let change = Change::new().update(&next, revision).event(event);
        self.commit_signal(org, change).await?;
        self.shown(org, receiver, &next)
    }

    /// Deletes a stream: it tells nothing more, what it still had to tell included.
    ///
    /// # Errors
    /// `not-found`, `conflict`.
    pub async fn delete_stream(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        id: &SignalStreamId,
    ) -> Result<(), Refusal> {
        let (stream, revision) = self.own_stream(org, receiver, id)?;
        let gone = SignalStream {
            delivery: Delivery::Poll,
            deleted: Some(self.books().now()),
            ..stream
        };
        let event = self.stream_event(&gone);
        let change = Change::new().update(&gone, revision).event(event);
        self.commit_signal(org, change).await
    }

    /// The status of a stream.
    ///
    /// # Errors
    /// `not-found`.
    pub fn stream_status(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        id: &SignalStreamId,
    ) -> Result<StatusShown, Refusal> {
        let (stream, _) = self.own_stream(org, receiver, id)?;
        Ok(StatusShown {
            stream_id: stream.id,
            status: stream.status,
            reason: stream.reason,
        })
    }

    /// Sets the status of a stream. What happens while it is disabled is not told later; what happens while it is paused is.
    ///
    /// # Errors
    /// `not-found`, `invalid-request`, `conflict`.
    pub async fn set_stream_status(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        asked: &StatusAsked,
    ) -> Result<StatusShown, Refusal> {
        short("reason", asked.reason.as_ref())?;
        let (stream, revision) = self.own_stream(org, receiver, &asked.stream_id)?;
        let mut change = Change::new();
        let was = stream.status;
        let next = SignalStream {
            status: asked.status,
            reason: asked.reason.clone(),
            ..stream
        };
        if was == StreamStatus::Disabled && next.status != was {
            let Versioned { mut noun, revision } = self.progress(org, &next.id).await?;
            let count = self.books().store().entry_count(org).await;
            noun.next = count.map_err(|e| from_books(e.into()))?;
            noun.done.clear();
            change = change.update(&noun, revision);
        }
        let event = self.stream_event(&next);
        change = change.update(&next, revision).event(event);
        self.commit_signal(org, change).await?;
        self.stream_status(org, receiver, &asked.stream_id)
    }

    /// Sends a verification by a stream, before what else it has to tell.
    ///
    /// # Errors
    /// `not-found`, `invalid-request`; `limited` when the last one was a moment ago; `conflict`.
    pub async fn verify_stream(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        asked: &VerificationAsked,
    ) -> Result<(), Refusal> {
        short("state", asked.state.as_ref())?;
        let (stream, _) = self.own_stream(org, receiver, &asked.stream_id)?;
        let Versioned { mut noun, revision } = self.progress(org, &stream.id).await?;
        let now = self.books().now();
        if noun
            .verified
            .is_some_and(|last| now.secs_since(last) < VERIFY_SECS)
            || noun.notices.len() >= NOTICES_MAX
        {
            let text = format!("a stream is verified at most every {VERIFY_SECS} seconds");
            return Err(no(RefusalCode::Limited, text));
        }
        noun.verified = Some(now);
        let claims = asked.state.as_ref();
        noun.notices.push(Notice {
            jti: format!("{}-v{}", stream.id, now.as_micros()),
            event: SignalEvent::Verification,
            claims: claims.map_or_else(|| json!({}), |state| json!({ "state": state })),
            at: now,
        });
        let change = Change::new().update(&noun, revision);
        self.commit_signal(org, change).await
    }

    pub(super) fn own_stream(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        id: &SignalStreamId,
    ) -> Result<(SignalStream, u64), Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let found = registry.signal_streams.get(id);
        let found = found.filter(|s| s.receiver == receiver.id);
        let found = found.ok_or_else(|| unknown(id))?;
        let revision = registry.revision(Kind::SignalStream, id.as_str());
        Ok((SignalStream::clone(found), revision.unwrap_or(0)))
    }

    pub(super) async fn progress(
        &self,
        org: &OrgId,
        id: &SignalStreamId,
    ) -> Result<Versioned<SignalProgress>, Refusal> {
        let found = self.books().get::<SignalProgress>(org, id.as_str()).await;
        found.map_err(from_books)?.ok_or_else(|| unknown(id))
    }

    pub(super) async fn commit_signal(&self, org: &OrgId, change: Change) -> Result<(), Refusal> {
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(())
    }

    pub(super) fn stream_event(&self, stream: &SignalStream) -> Event {
        let kind = EventKind::SignalStreamChanged;
        let endpoint = match &stream.delivery {
            Delivery::Push { endpoint, .. } => Some(endpoint),
            Delivery::Poll => None,
        };
        let words: Vec<&str> = stream.delivered.iter().map(|e| e.as_str()).collect();
        Event::new(kind, self.books().now(), Principal::Remit)
            .about(&stream.id)
            .fact("receiver", &stream.receiver)
            .fact("status", stream.status)
            .fact("events", words)
            .fact("without", stream.without.len())
            .fact("deleted", stream.deleted.is_some())
            .content("endpoint", endpoint)
    }

    /// How a stream delivers. What a receiver gives to authorize with is sealed under the master key.
    fn delivery(
        &self,
        org: &OrgId,
        stream: &SignalStreamId,
        asked: &DeliveryAsked,
    ) -> Result<Delivery, Refusal> {
        match asked.method.as_str() {
            POLL => Ok(Delivery::Poll),
            PUSH => {
                let endpoint = asked.endpoint_url.as_ref();
                let endpoint = endpoint
                    .filter(|url| url.len() <= ADDRESS_BYTES_MAX)
                    .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
                    .ok_or_else(|| {
                        invalid(format!(
                            "`delivery.endpoint_url` is an address of at most {ADDRESS_BYTES_MAX} bytes"
                        ))
                    })?;
                let header = asked.authorization_header.as_ref();
                let visible = |h: &&String| {
                    h.len() <= HEADER_BYTES_MAX && h.bytes().all(|b| (0x20..0x7f).contains(&b))
                };
                if header.is_some() && header.filter(visible).is_none() {
                    return Err(invalid("`delivery.authorization_header` cannot be sent"));
                }
                let seal = |h: &String| {
                    let context = context(org, stream);
                    self.books().seal_secret(h.as_bytes(), &context)
                };
                Ok(Delivery::Push {
                    endpoint: endpoint.clone(),
                    authorization: header.map(seal).transpose().map_err(from_books)?,
                })
            }
            _ => Err(invalid(format!(
                "`delivery.method` is `{PUSH}` or `{POLL}`"
            ))),
        }
    }
}

/// What binds a sealed header to its stream.
pub(super) fn context(org: &OrgId, stream: &SignalStreamId) -> String {
    format!("signal/{org}/{stream}")
}

fn unknown(id: &SignalStreamId) -> Refusal {
    no(RefusalCode::NotFound, format!("you have no stream `{id}`"))
}

/// A stream with what is asked for.
fn wanted(
    mut stream: SignalStream,
    asked: &StreamAsked,
    whole: bool,
) -> Result<SignalStream, Refusal> {
    short("description", asked.description.as_ref())?;
    if let Some(requested) = &asked.events_requested {
        let sized = |uri: &String| uri.len() <= ADDRESS_BYTES_MAX;
        if requested.len() > EVENTS_MAX || !requested.iter().all(sized) {
            let text = format!("`events_requested` has at most {EVENTS_MAX} URIs");
            return Err(invalid(text));
        }
        stream.requested.clone_from(requested);
    } else if whole {
        let all = SignalEvent::SENT.iter();
        stream.requested = all.map(|e| e.uri().to_owned()).collect();
    }
    let sent = |uri: &String| SignalEvent::of_uri(uri).filter(|e| SignalEvent::SENT.contains(e));
    stream.delivered = stream.requested.iter().filter_map(sent).collect();
    match &asked.description {
        Some(description) => stream.description.clone_from(description),
        None if whole => stream.description.clear(),
        None => {}
    }
    Ok(stream)
}
