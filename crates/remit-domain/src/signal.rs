//! Signals: telling others what has happened to agents and people here, and hearing it from others (OpenID Shared Signals Framework
//! 1.0, CAEP 1.0, RISC 1.0).
//!
//! A receiver is somebody whom an administrator lets hear; what it hears, and how, it sets itself as streams. What a stream
//! tells is read from the ledger: its cursor is the outbox. A transmitter is somebody whom an administrator lets tell: what it
//! tells only ever takes away.

mod transmitter;

pub use transmitter::{
    AGE_SECS_MAX, MAPPED_BYTES_MAX, MAPPED_MAX, SignalTransmitter, Source, TAKEN_SECS,
    TRANSMITTERS_MAX,
};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::name::Name;
use crate::{DeadSignalId, Kind, Noun, PersonId, SignalReceiverId, SignalStreamId, Timestamp};

/// Most receivers of one organization.
pub const RECEIVERS_MAX: usize = 32;
/// Most streams of one receiver.
pub const STREAMS_MAX: usize = 4;
/// Longest life of a token of a receiver or a transmitter, in days.
pub const TOKEN_DAYS_MAX: i64 = 366;
/// Longest address, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 512;
/// Longest audience, in bytes.
pub const AUDIENCE_BYTES_MAX: usize = 512;
/// Most notices of a stream about itself that wait.
pub const NOTICES_MAX: usize = 16;
/// Most signals that a stream has out at once, waiting to be acknowledged.
pub const OUT_MAX: usize = 100;
/// Most subjects that a stream leaves out.
pub const SUBJECTS_MAX: usize = 200;
/// How often a signal is tried before it is a dead letter.
pub const TRIES_MAX: u32 = 10;

macro_rules! signal_events {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $uri:literal;)*) => {
        /// A sort of event, as others name it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum SignalEvent {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl SignalEvent {
            /// Every sort.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Its URI on the wire.
            pub const fn uri(self) -> &'static str {
                match self { $(Self::$name => $uri,)* }
            }
        }
    };
}

signal_events! {
    /// A session has ended, or everything that acts in a subject's name (CAEP 1.0 §3.1).
    SessionRevoked = "session-revoked", "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    /// A credential was made, changed, or taken back (CAEP 1.0 §3.3).
    CredentialChange = "credential-change", "https://schemas.openid.net/secevent/caep/event-type/credential-change";
    /// A subject may do nothing (RISC 1.0 §2.3).
    AccountDisabled = "account-disabled", "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
    /// A subject may act again (RISC 1.0 §2.4).
    AccountEnabled = "account-enabled", "https://schemas.openid.net/secevent/risc/event-type/account-enabled";
    /// A subject is gone for good (RISC 1.0 §2.2).
    AccountPurged = "account-purged", "https://schemas.openid.net/secevent/risc/event-type/account-purged";
    /// A credential of a subject is in other hands (RISC 1.0 §2.7).
    CredentialCompromise = "credential-compromise", "https://schemas.openid.net/secevent/risc/event-type/credential-compromise";
    /// Somebody asks whether the stream works (SSF 1.0 §8.1.4).
    Verification = "verification", "https://schemas.openid.net/secevent/ssf/event-type/verification";
    /// The stream itself has changed (SSF 1.0 §8.1.5).
    StreamUpdated = "stream-updated", "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";
}

impl SignalEvent {
    /// What Remit tells.
    pub const SENT: [Self; 4] = [
        Self::SessionRevoked,
        Self::CredentialChange,
        Self::AccountDisabled,
        Self::AccountEnabled,
    ];

    /// What something may follow from here.
    pub const HEARD: [Self; 5] = [
        Self::SessionRevoked,
        Self::CredentialChange,
        Self::AccountDisabled,
        Self::AccountPurged,
        Self::CredentialCompromise,
    ];

    /// The event of that URI.
    pub fn of_uri(uri: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.uri() == uri)
    }
}

/// Somebody who may hear what happens here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalReceiver {
    /// Its id.
    pub id: SignalReceiverId,
    /// Its name.
    pub name: Name,
    /// What signals to it say in `aud`.
    pub audience: String,
    /// SHA-256 of its token, hex; none before one was made, and after it was ended.
    pub digest: Option<String>,
    /// When its token was made.
    pub made: Timestamp,
    /// When its token ends.
    pub expires: Timestamp,
    /// Who made it.
    pub made_by: PersonId,
    /// When it was revoked, for good: its streams tell nothing more.
    pub revoked: Option<Timestamp>,
}

impl SignalReceiver {
    /// Whether a token with this digest is good at `now`.
    pub fn accepts(&self, digest: &str, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.expires && self.digest.as_deref() == Some(digest)
    }
}

impl Noun for SignalReceiver {
    const KIND: Kind = Kind::SignalReceiver;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
    fn state(&self) -> &'static str {
        if self.revoked.is_some() {
            "revoked"
        } else {
            "active"
        }
    }
}

/// How a stream delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Delivery {
    /// Sent to the receiver (RFC 8935).
    Push {
        /// Where to.
        endpoint: String,
        /// What to send as `Authorization`, sealed under the master key; base64.
        authorization: Option<String>,
    },
    /// Asked for by the receiver (RFC 8936).
    Poll,
}

/// Whether a stream tells (SSF 1.0 §8.1.2).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StreamStatus {
    /// It tells.
    #[default]
    Enabled,
    /// It keeps what there is to tell until it is enabled again.
    Paused,
    /// It tells nothing, and what happens meanwhile is not told later.
    Disabled,
}

impl StreamStatus {
    /// The status as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// What one receiver hears, and how (SSF 1.0 §8.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalStream {
    /// Its id.
    pub id: SignalStreamId,
    /// Whose it is.
    pub receiver: SignalReceiverId,
    /// How it delivers.
    pub delivery: Delivery,
    /// What the receiver wants to hear, of what Remit tells.
    pub delivered: BTreeSet<SignalEvent>,
    /// What it asked for, as it asked.
    pub requested: Vec<String>,
    /// Subjects that it does not tell of, as JSON.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without: BTreeSet<String>,
    /// What the receiver calls it.
    pub description: String,
    /// Whether it tells.
    pub status: StreamStatus,
    /// Why.
    pub reason: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
}

impl Noun for SignalStream {
    const KIND: Kind = Kind::SignalStream;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.receiver.to_string())
    }
    fn state(&self) -> &'static str {
        if self.deleted.is_some() {
            "deleted"
        } else {
            self.status.as_str()
        }
    }
}

/// A signal about the stream itself, which is in no ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its `jti`.
    pub jti: String,
    /// What it is.
    pub event: SignalEvent,
    /// What it says.
    pub claims: Value,
    /// When.
    pub at: Timestamp,
}

/// How far a stream has told: its outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalProgress {
    /// Of which stream.
    pub stream: SignalStreamId,
    /// The first entry of the ledger that was not told of whole.
    pub next: u64,
    /// Signals from there on that the receiver has, or that are dead letters, by `jti`.
    pub done: BTreeSet<String>,
    /// Signals that were given up and are to be told once more, by `jti`.
    #[serde(default)]
    pub again: Vec<String>,
    /// Signals about the stream itself that wait.
    pub notices: Vec<Notice>,
    /// How often the first signal that waits was tried, by `jti`.
    pub tries: BTreeMap<String, u32>,
    /// When to try again.
    pub try_at: Option<Timestamp>,
    /// What the last try came to; none when it succeeded.
    pub last_error: Option<String>,
    /// How many signals the receiver has.
    pub told: u64,
    /// How many are dead letters.
    pub dead: u64,
    /// When the receiver last asked for a verification.
    #[serde(default)]
    pub verified: Option<Timestamp>,
}

impl Noun for SignalProgress {
    const KIND: Kind = Kind::SignalProgress;
    fn key(&self) -> String {
        self.stream.to_string()
    }
}

/// A signal that its receiver would not or could not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadSignal {
    /// Its id.
    pub id: DeadSignalId,
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
    /// When it was told after all.
    pub told: Option<Timestamp>,
}

impl Noun for DeadSignal {
    const KIND: Kind = Kind::DeadSignal;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.stream.to_string())
    }
    fn state(&self) -> &'static str {
        if self.told.is_some() {
            "told"
        } else {
            "active"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_own_word_and_uri() {
        let words: BTreeSet<_> = SignalEvent::ALL.iter().map(|e| e.as_str()).collect();
        assert_eq!(words.len(), SignalEvent::ALL.len());
        for event in SignalEvent::ALL {
            assert_eq!(SignalEvent::of_uri(event.uri()), Some(*event));
        }
        assert_eq!(SignalEvent::of_uri("session-revoked"), None);
    }
}
