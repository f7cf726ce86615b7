//! Transmitters: who is believed about what happened elsewhere, by which keys, and about whom.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::SignalEvent;
use crate::name::Name;
use crate::trusted_issuer::{KeySource, SignatureAlgorithm};
use crate::upstream::SecretRef;
use crate::{AgentId, Kind, Noun, PersonId, SignalTransmitterId, Timestamp};

/// Most transmitters of one organization.
pub const TRANSMITTERS_MAX: usize = 32;
/// Most names that one transmitter has for people and agents, each.
pub const MAPPED_MAX: usize = 1_000;
/// Longest such name, in bytes.
pub const MAPPED_BYTES_MAX: usize = 512;
/// Oldest signal that is believed, in seconds (7 days): what is older may have been taken before.
pub const AGE_SECS_MAX: i64 = 7 * 86_400;
/// How long it is remembered that a signal was taken, in seconds: longer than it is believed.
pub const TAKEN_SECS: i64 = AGE_SECS_MAX + 86_400;

/// How a transmitter tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// It sends, with a token that was made for it (RFC 8935).
    Push {},
    /// It is asked (RFC 8936).
    Poll {
        /// Where.
        endpoint: String,
        /// The token to ask with, by reference.
        secret: SecretRef,
    },
}

/// Somebody who may tell what has happened to people and agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalTransmitter {
    /// Its id.
    pub id: SignalTransmitterId,
    /// Its name.
    pub name: Name,
    /// Its `iss`, byte for byte.
    pub issuer: String,
    /// Where its keys come from.
    pub keys: KeySource,
    /// The algorithms that it may sign with.
    pub algorithms: BTreeSet<SignatureAlgorithm>,
    /// What its signals have to say in `aud`.
    pub audience: String,
    /// What it may tell; from anything else nothing follows.
    pub events: BTreeSet<SignalEvent>,
    /// How it tells.
    pub source: Source,
    /// The people that it may tell of, by its own names for them: besides those whose identity provider it is.
    pub people: BTreeMap<String, PersonId>,
    /// The agents that it may tell of, by its own names for them.
    pub agents: BTreeMap<String, AgentId>,
    /// Whether it may tell of every agent here, by its id here.
    pub every_agent: bool,
    /// SHA-256 of its token, hex; none before one was made, and after it was ended.
    pub digest: Option<String>,
    /// When its token was made.
    pub made: Timestamp,
    /// When its token ends.
    pub expires: Timestamp,
    /// Who set it up last.
    pub by: PersonId,
    /// When it was revoked, for good.
    pub revoked: Option<Timestamp>,
}

impl SignalTransmitter {
    /// Whether a token with this digest is good at `now`.
    pub fn accepts(&self, digest: &str, now: Timestamp) -> bool {
        let sends = self.source == Source::Push {};
        self.revoked.is_none()
            && sends
            && now < self.expires
            && self.digest.as_deref() == Some(digest)
    }

    /// Whether it may tell of an agent.
    pub fn reaches(&self, agent: &AgentId) -> bool {
        self.every_agent || self.agents.values().any(|a| a == agent)
    }
}

impl Noun for SignalTransmitter {
    const KIND: Kind = Kind::SignalTransmitter;
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
