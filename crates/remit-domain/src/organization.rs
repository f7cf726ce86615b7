//! The tenant, and groups of people in it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::hygiene::Hygiene;
use crate::rota::Rota;
use crate::tool::DataClass;
use crate::{Kind, Noun, OrgId, PersonId, SessionLimits, TeamId, Timestamp, name::Name};

/// Whether one person may both own an agent and activate it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Separation {
    /// Someone other than the owner activates an agent.
    #[default]
    Dual,
    /// An owner may activate their own agent; it is recorded as self-activated and a finding stays open.
    Single,
}

/// How long a wish for less separation waits for somebody else, in seconds (7 days).
pub const LOOSENING_SECS: i64 = 7 * 86_400;

/// An administrator's wish that one person may do what takes two, until somebody else agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Loosening {
    /// Who wishes it.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl Loosening {
    /// When nobody can agree to it any more.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.at.plus_secs(LOOSENING_SECS)
    }
}

/// Whether workloads get WIT-SVIDs: a young part of SPIFFE, and off until an administrator turns it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WitSvids {
    /// Whether they do.
    pub on: bool,
    /// How often it was turned on or off: with each time the bundle of the trust domain changes.
    pub switched: u64,
}

impl WitSvids {
    /// The same, turned on or off.
    #[must_use]
    pub const fn turned(self, on: bool) -> Self {
        if self.on == on {
            return self;
        }
        Self {
            on,
            switched: self.switched.saturating_add(1),
        }
    }

    const fn is_untouched(&self) -> bool {
        !self.on && self.switched == 0
    }
}

/// A tenant. Nothing crosses from one to another: no query, cache, key, limiter, process or ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its id.
    pub id: OrgId,
    /// Its name, which is also its path `/t/{name}`.
    pub name: Name,
    /// Who may activate an agent.
    pub separation: Separation,
    /// How long its people stay signed in.
    #[serde(default)]
    pub sessions: SessionLimits,
    /// When a credential is something to look at.
    #[serde(default)]
    pub hygiene: Hygiene,
    /// Data classes that are regulated here besides [`crate::tool::REGULATED`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regulated: BTreeSet<DataClass>,
    /// A wish for less separation that waits for somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loosening: Option<Loosening>,
    /// Whether the groups that the OpenID provider names narrow what people may ([`crate::Registry::narrowed`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub groups_narrow: bool,
    /// Whether every access token is bound to a key or a certificate; others are neither given out nor taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bound_tokens: bool,
    /// Whether workloads get WIT-SVIDs.
    #[serde(default, skip_serializing_if = "WitSvids::is_untouched")]
    pub wit_svids: WitSvids,
}

impl Organization {
    /// An organization with nothing set but how separate its people are.
    #[must_use]
    pub fn new(id: OrgId, name: Name, separation: Separation) -> Self {
        Self {
            id,
            name,
            separation,
            sessions: SessionLimits::default(),
            hygiene: Hygiene::default(),
            regulated: BTreeSet::new(),
            loosening: None,
            groups_narrow: false,
            bound_tokens: false,
            wit_svids: WitSvids::default(),
        }
    }
}

impl Noun for Organization {
    const KIND: Kind = Kind::Organization;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
}

/// A group of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: Name,
    /// Who of it is on call, where its people take turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rota: Option<Rota>,
}

impl Noun for Team {
    const KIND: Kind = Kind::Team;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
}
