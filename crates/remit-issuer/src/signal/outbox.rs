//! What a stream has to tell: read from the ledger, from where its cursor stands. The ledger is the outbox: nothing is lost with a
//! process, nothing is told that was not recorded, and a signal has the same `jti` each time it is told.

use std::collections::BTreeMap;

use remit_books::{Change, Versioned};
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::FindingKind;
use remit_domain::signal::{
    DeadSignal, OUT_MAX, SignalEvent, SignalProgress, SignalReceiver, SignalStream,
};
use remit_domain::{DeadSignalId, OrgId, Principal, Refusal, SignalStreamId};
use remit_ports::store::EntryFilter;
use remit_token::{SetClaims, SubjectId, security_event};

use super::map::{self, Signal};
use super::subjects::hears;
use crate::Issuer;
use crate::refusal::{from_books, no};

/// Most entries that are looked at at once.
const SCAN: u32 = 200;

/// A signal on its way.
#[derive(Debug, Clone)]
pub(super) struct Out {
    /// Its `jti`.
    pub(super) jti: String,
    /// The entry that it tells of; none for one about the stream itself.
    pub(super) entry: Option<u64>,
    /// What it is.
    pub(super) event: SignalEvent,
    subject: SubjectId,
    claims: serde_json::Value,
}

/// What waits, and what was looked at to find it.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// What waits, in order.
    pub(super) out: Vec<Out>,
    /// The signals of each entry that was looked at, by `jti`.
    scanned: Vec<(u64, Vec<String>)>,
    /// The first entry that was not looked at.
    end: u64,
}

impl Issuer {
    /// What a stream has to tell, at most [`OUT_MAX`].
    pub(super) async fn waiting(
        &self,
        org: &OrgId,
        stream: &SignalStream,
        progress: &SignalProgress,
    ) -> Result<Waiting, Refusal> {
        let store = self.books().store();
        let count = store.entry_count(org).await;
        let count = count.map_err(|e| from_books(e.into()))?;
        let filter = EntryFilter {
            from: progress.next,
            kinds: map::TOLD.to_vec(),
            limit: SCAN,
            leaves_only: true,
            ..EntryFilter::default()
        };
        let entries = store.entries(org, &filter).await;
        let entries = entries.map_err(|e| from_books(e.into()))?;
        let end = match entries.last() {
            Some(last) if entries.len() >= SCAN as usize => last.index + 1,
            _ => count.max(progress.next),
        };
        let mut waiting = Waiting {
            end,
            ..Waiting::default()
        };
        let notices = progress.notices.iter().map(|notice| Out {
            jti: notice.jti.clone(),
            entry: None,
            event: notice.event,
            subject: SubjectId::Opaque {
                id: stream.id.to_string(),
            },
            claims: notice.claims.clone(),
        });
        waiting.out.extend(notices);
        for jti in &progress.again {
            waiting.out.extend(self.once_more(org, stream, jti).await?);
        }
        let (issuer, book) = (self.issuer_url(org)?, self.tenant(org)?);
        let registry = book.registry();
        for entry in &entries {
            let signals = map::signals(&registry, &issuer, entry);
            let told = told(stream, entry.index, signals);
            let names = told.iter().map(|out| out.jti.clone()).collect();
            waiting.scanned.push((entry.index, names));
            let waits = told.into_iter().filter(|o| !progress.done.contains(&o.jti));
            waiting.out.extend(waits);
        }
        waiting.out.truncate(OUT_MAX);
        Ok(waiting)
    }

    /// A signal that was given up, from the entry that its name names.
    async fn once_more(
        &self,
        org: &OrgId,
        stream: &SignalStream,
        jti: &str,
    ) -> Result<Option<Out>, Refusal> {
        let Some(index) = entry_of(&stream.id, jti) else {
            return Ok(None);
        };
        let filter = EntryFilter {
            from: index,
            limit: 1,
            leaves_only: true,
            ..EntryFilter::default()
        };
        let entries = self.books().store().entries(org, &filter).await;
        let entries = entries.map_err(|e| from_books(e.into()))?;
        let (issuer, book) = (self.issuer_url(org)?, self.tenant(org)?);
        let registry = book.registry();
        let found = entries.first().filter(|e| e.index == index);
        Ok(found.and_then(|entry| {
            let signals = map::signals(&registry, &issuer, entry);
            let all = told(stream, entry.index, signals);
            all.into_iter().find(|out| out.jti == jti)
        }))
    }

    /// A signal as a signed security event token.
    pub(super) async fn signed(
        &self,
        org: &OrgId,
        receiver: &SignalReceiver,
        out: &Out,
    ) -> Result<String, Refusal> {
        let claims = SetClaims {
            iss: self.issuer_url(org)?,
            iat: self.books().now().as_secs(),
            jti: out.jti.clone(),
            aud: receiver.audience.clone(),
            txn: out.entry.map(|entry| format!("{org}-{entry}")),
            sub_id: out.subject.clone(),
            events: BTreeMap::from([(out.event.uri().to_owned(), out.claims.clone())]),
        };
        let keys = self.org_keys(org).await?;
        security_event::sign(&claims, keys.signing()?).map_err(|error| {
            no(
                remit_domain::RefusalCode::CredentialUnavailable,
                error.to_string(),
            )
        })
    }

    /// The change that gives a signal up.
    pub(super) async fn give_up(
        &self,
        org: &OrgId,
        stream: &SignalStream,
        out: &Out,
        why: &str,
    ) -> Result<Change, Refusal> {
        let why: String = why.chars().take(300).collect();
        let dead = DeadSignal {
            id: self.books().id(DeadSignalId::from_uuid),
            stream: stream.id.clone(),
            jti: out.jti.clone(),
            event: out.event,
            entry: out.entry,
            why: why.clone(),
            at: self.books().now(),
            told: None,
        };
        let event = Event::new(EventKind::SignalGivenUp, dead.at, Principal::Remit)
            .about(&stream.id)
            .fact("signal", &dead.id)
            .fact("jti", &dead.jti)
            .fact("event", dead.event)
            .content("why", &why);
        let name = self.receiver_name(org, stream);
        let text = format!(
            "receiver {name} does not take what it is told: {why}; `remit signal dead` lists it, and tells it again"
        );
        let of = (FindingKind::SignalUndelivered, stream.id.as_str());
        let finding = self.finding_for(org, of, text, None).await?;
        Ok(Change::new().create(&dead).event(event).and(finding))
    }

    fn receiver_name(&self, org: &OrgId, stream: &SignalStream) -> String {
        let book = self.books().org(org);
        let name = book.and_then(|book| {
            let registry = book.registry();
            let found = registry.signal_receivers.get(&stream.receiver);
            found.map(|r| r.name.to_string())
        });
        name.unwrap_or_else(|| stream.receiver.to_string())
    }

    /// The change that writes how far a stream has told.
    pub(super) fn moved_on(
        progress: Versioned<SignalProgress>,
        before: &SignalProgress,
    ) -> Option<Change> {
        let Versioned { noun, revision } = progress;
        (noun != *before).then(|| Change::new().update(&noun, revision))
    }
}

/// The signals of an entry that a stream tells, each with its name.
fn told(stream: &SignalStream, entry: u64, signals: Vec<Signal>) -> Vec<Out> {
    let named = signals.into_iter().enumerate().map(|(n, signal)| Out {
        jti: format!("{}-{entry}.{n}", stream.id),
        entry: Some(entry),
        event: signal.event,
        subject: signal.subject,
        claims: signal.claims,
    });
    named
        .filter(|out| stream.delivered.contains(&out.event) && hears(stream, &out.subject))
        .collect()
}

/// The entry that the name of a signal of a stream names.
pub(super) fn entry_of(stream: &SignalStreamId, jti: &str) -> Option<u64> {
    let rest = jti.strip_prefix(stream.as_str())?.strip_prefix('-')?;
    rest.split_once('.')?.0.parse().ok()
}

/// The receiver has a signal, or it was given up.
pub(super) fn done(progress: &mut SignalProgress, jti: &str) {
    let about_itself = progress.notices.iter().any(|n| n.jti == jti);
    progress.notices.retain(|n| n.jti != jti);
    let again = progress.again.iter().any(|j| j == jti);
    progress.again.retain(|j| j != jti);
    progress.tries.remove(jti);
    if !about_itself && !again {
        progress.done.insert(jti.to_owned());
    }
}

/// Moves the cursor past every entry of which everything is done.
pub(super) fn advance(progress: &mut SignalProgress, waiting: &Waiting) {
    let waits = |names: &[String]| names.iter().any(|jti| !progress.done.contains(jti));
    let first = waiting.scanned.iter().find(|(_, names)| waits(names));
    let next = first.map_or(waiting.end, |(index, _)| *index);
    for (index, names) in &waiting.scanned {
        if *index < next {
            names.iter().for_each(|jti| {
                progress.done.remove(jti);
            });
        }
    }
    progress.next = progress.next.max(next);
}
