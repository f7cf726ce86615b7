//! The tenant, and groups of people in it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::tool::DataClass;
use crate::{Kind, Noun, OrgId, SessionLimits, TeamId, name::Name};

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
    /// Data classes that are regulated here besides [`crate::tool::REGULATED`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regulated: BTreeSet<DataClass>,
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
