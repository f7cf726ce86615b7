//! Passkeys: what a person proves with that it is them (WebAuthn). Only public keys are here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Kind, Noun, PasskeyId, PersonId, SessionId, Timestamp};

/// Most passkeys of one person: one for each device, and one in a drawer.
pub const PASSKEYS_MAX: usize = 16;

/// A person's passkey. Its credential id is its name: it belongs to one person for ever, and a removed one never returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    /// Its id.
    pub id: PasskeyId,
    /// Credential id, base64url (WebAuthn Level 3 §4).
    pub credential_id: String,
    /// Whose it is.
    pub person: PersonId,
    /// What the person calls it.
    pub label: String,
    /// Public key, counter and flags, as the WebAuthn library keeps them.
    pub credential: Value,
    /// When it was added.
    pub created: Timestamp,
    /// When it was last used.
    pub used: Option<Timestamp>,
    /// When it was removed; a removed one proves nothing.
    pub removed: Option<Timestamp>,
    /// When its counter went back, so that there are probably two of it; it proves nothing since.
    pub cloned: Option<Timestamp>,
}

impl Passkey {
    /// Whether it proves anything.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.removed.is_none() && self.cloned.is_none()
    }
}

impl Noun for Passkey {
    const KIND: Kind = Kind::Passkey;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.credential_id.clone())
    }
    fn parent(&self) -> Option<String> {
        Some(self.person.to_string())
    }
    fn state(&self) -> &'static str {
        if self.is_good() { "active" } else { "removed" }
    }
}

/// That a person proved with a passkey, for one digest, that it is them. It is in the ledger under the same words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StepUpProof {
    /// Who.
    pub person: PersonId,
    /// In which session.
    pub session: SessionId,
    /// With which passkey.
    pub passkey: PasskeyId,
    /// What it was for: SHA-256, hex.
    pub digest: String,
    /// When.
    pub at: Timestamp,
}
