//! Who acts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentId, PersonId, ScimClientId, SignalTransmitterId};

/// A principal. Operators act on the instance; people and agents act inside one organization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Principal {
    /// A human.
    Person(PersonId),
    /// An agent.
    Agent(AgentId),
    /// A directory of people, by the SCIM interface: it tells who is here, and decides nothing.
    Directory(ScimClientId),
    /// Somebody who tells what happened elsewhere, by signals: it only ever takes away.
    Transmitter(SignalTransmitterId),
    /// The instance's operator: creates and contains organizations, reads nothing inside.
    Operator,
    /// Remit itself (expiry, reconciliation, triggers).
    Remit,
}

impl Principal {
    /// The person, if it is one.
    pub fn person(&self) -> Option<&PersonId> {
        if let Self::Person(id) = self {
            Some(id)
        } else {
            None
        }
    }

    /// The agent, if it is one.
    pub fn agent(&self) -> Option<&AgentId> {
        if let Self::Agent(id) = self {
            Some(id)
        } else {
            None
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(id) => id.fmt(f),
            Self::Agent(id) => id.fmt(f),
            Self::Directory(id) => id.fmt(f),
            Self::Transmitter(id) => id.fmt(f),
            Self::Operator => f.write_str("operator"),
            Self::Remit => f.write_str("remit"),
        }
    }
}
