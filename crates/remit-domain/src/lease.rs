//! Leases: tokens that an upstream's own authorization server gave, each for one run, and how each of them ends.
//!
//! A record holds its token sealed, until it is known to be over. Neither a lease nor a turn is in the registry.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::upstream::{OauthClient, UpstreamName};
use crate::{AgentId, Kind, LeaseId, Noun, PersonId, RunId, Timestamp};

/// How often a revocation is tried before it is given up.
pub const REVOCATION_TRIES_MAX: u32 = 10;

/// Where a lease is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// It is used.
    Active,
    /// It is used no more, and is to be revoked at its source.
    Ending,
    /// Its source says that it is revoked.
    Revoked,
    /// It ended by itself.
    Expired,
    /// It could not be revoked, and is not tried any more.
    Dead,
}

impl LeaseState {
    /// The state as its stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ending => "ending",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Dead => "dead",
        }
    }
}

/// How it was verified that a lease is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseProof {
    /// Its source was asked, and says that it is not active (RFC 7662 §2.2).
    Introspection,
    /// It was tried at the upstream, which refuses it.
    Refused,
    /// By nothing but the answer to its revocation.
    Said,
}

impl LeaseProof {
    /// The proof as its stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Introspection => "introspection",
            Self::Refused => "refused",
            Self::Said => "said",
        }
    }
}

/// A token that was given for a run.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// For which upstream.
    pub upstream: UpstreamName,
    /// For which run; none for what administrators do.
    pub run: Option<RunId>,
    /// Which agent acts in it.
    pub agent: Option<AgentId>,
    /// Which person it acts for.
    pub person: Option<PersonId>,
    /// Where the upstream was: it is shown nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// How it was asked for, and where it is revoked.
    pub client: OauthClient,
    /// What it may be used for.
    pub scopes: BTreeSet<String>,
    /// When it was given.
    pub issued: Timestamp,
    /// When Remit stops using it.
    pub until: Timestamp,
    /// When it ends by itself; none where its server did not say.
    pub expires: Option<Timestamp>,
    /// Where it is.
    pub state: LeaseState,
    /// How often its revocation was tried.
    pub tries: u32,
    /// When it is tried again.
    pub try_at: Option<Timestamp>,
    /// What the last try came to, where it did not succeed.
    pub why: Option<String>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How that was verified, where it was revoked.
    pub proof: Option<LeaseProof>,
    /// The token, sealed for this lease; none once it is over.
    pub sealed: Option<String>,
}

/// A sealed token is not printed either.
impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({} {})", self.id, self.state.as_str())
    }
}

impl Lease {
    /// Whether it has ended by itself.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// The lease, over.
    #[must_use]
    pub fn over(mut self, state: LeaseState, proof: Option<LeaseProof>, now: Timestamp) -> Self {
        self.state = state;
        self.proof = proof;
        self.ended = Some(now);
        self.try_at = None;
        self.why = None;
        self.sealed = None;
        self
    }
}

impl Noun for Lease {
    const KIND: Kind = Kind::Lease;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        self.run.as_ref().map(ToString::to_string)
    }
    fn state(&self) -> &'static str {
        self.state.as_str()
    }
}

/// Who refreshes with a refresh token now: one used twice at once is one that was stolen, to its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshTurn {
    /// The secret that holds it.
    pub secret: Name,
    /// Until when others wait; a node that went away keeps them no longer.
    pub until: Timestamp,
}

impl Noun for RefreshTurn {
    const KIND: Kind = Kind::RefreshTurn;
    fn key(&self) -> String {
        self.secret.to_string()
    }
}
