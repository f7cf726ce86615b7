//! Systems: what upstreams belong to.

use serde::{Deserialize, Serialize};

use crate::attestation::Trust;
use crate::{Kind, Noun, PersonId, SystemId, name::Name};

/// Where something runs. Ordered: an agent of a lower environment never acts in a higher one.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "each variant is the environment of the same name"
)]
pub enum Environment {
    Development,
    Test,
    Staging,
    Production,
}

impl Environment {
    /// The environment as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

/// How much harm comes from misuse of a system.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "each variant is the criticality of the same name"
)]
pub enum Criticality {
    Low,
    Medium,
    High,
    Critical,
}

impl Criticality {
    /// The criticality as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// How well whoever calls has to have proved what it is, where the system says nothing else.
    pub const fn trust(self) -> Trust {
        match self {
            Self::Low | Self::Medium | Self::High => Trust::None,
            Self::Critical => Trust::Attested,
        }
    }
}

/// What an upstream belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// Its id.
    pub id: SystemId,
    /// Its name.
    pub name: Name,
    /// Who answers for it.
    pub owner: PersonId,
    /// Where it runs.
    pub environment: Environment,
    /// How much harm misuse does.
    pub criticality: Criticality,
    /// How well whoever calls has to have proved what it is; as its criticality says where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
}

impl System {
    /// How well whoever calls has to have proved what it is.
    pub fn trust(&self) -> Trust {
        self.trust.unwrap_or(self.criticality.trust())
    }
}

impl Noun for System {
    const KIND: Kind = Kind::System;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
}
