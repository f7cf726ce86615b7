//! Findings: what a person should look at.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{FindingId, Kind, Noun, PersonId, Timestamp};

/// What sort of thing it is.
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
#[expect(missing_docs, reason = "each variant is the finding of the same name")]
pub enum FindingKind {
    SelfActivated,
    Orphan,
    StandingAccess,
    SharedKey,
    CallAfterRunEnd,
    ToolChanged,
    PolicyError,
    UnreportedOutcome,
    Stale,
    Flagged,
    Looping,
    PasskeyCloned,
    RemovedPasskeyUsed,
    BreakGlassUsed,
    SelfApprovedPolicy,
    PrivilegedPath,
    SeparationLoosened,
    AttestationMismatch,
    RotationDue,
    RotationOverdue,
    LongLived,
    UnusedCredential,
    OverScoped,
    PersonTokenAtAgent,
    StandingAdmin,
    SignalUndelivered,
    CanarySeen,
    LeaseNotRevoked,
}

impl FindingKind {
    /// The kind as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfActivated => "self_activated",
            Self::Orphan => "orphan",
            Self::StandingAccess => "standing_access",
            Self::SharedKey => "shared_key",
            Self::CallAfterRunEnd => "call_after_run_end",
            Self::ToolChanged => "tool_changed",
            Self::PolicyError => "policy_error",
            Self::UnreportedOutcome => "unreported_outcome",
            Self::Stale => "stale",
            Self::Flagged => "flagged",
            Self::Looping => "looping",
            Self::SelfApprovedPolicy => "self_approved_policy",
            Self::PrivilegedPath => "privileged_path",
            Self::SeparationLoosened => "separation_loosened",
            Self::AttestationMismatch => "attestation_mismatch",
            Self::PasskeyCloned => "passkey_cloned",
            Self::RemovedPasskeyUsed => "removed_passkey_used",
            Self::BreakGlassUsed => "break_glass_used",
            Self::RotationDue => "rotation_due",
            Self::RotationOverdue => "rotation_overdue",
            Self::LongLived => "long_lived",
            Self::UnusedCredential => "unused_credential",
            Self::OverScoped => "over_scoped",
            Self::PersonTokenAtAgent => "person_token_at_agent",
            Self::StandingAdmin => "standing_admin",
            Self::SignalUndelivered => "signal_undelivered",
            Self::CanarySeen => "canary_seen",
            Self::LeaseNotRevoked => "lease_not_revoked",
        }
    }
}

impl FindingKind {
    /// How much risk an open one means for what it is about: 1 low, 2 medium, 3 high.
    pub const fn risk(self) -> u8 {
        match self {
            Self::SharedKey
            | Self::CallAfterRunEnd
            | Self::Looping
            | Self::AttestationMismatch
            | Self::PersonTokenAtAgent
            | Self::CanarySeen => 3,
            Self::SelfActivated
            | Self::StandingAccess
            | Self::Stale
            | Self::Flagged
            | Self::RotationDue
            | Self::UnusedCredential => 1,
            _ => 2,
        }
    }
}

/// Something a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its id.
    pub id: FindingId,
    /// What sort.
    pub kind: FindingKind,
    /// What it is about (an id); one open finding per (kind, subject).
    pub subject: String,
    /// One line for people.
    pub text: String,
    /// When it was first seen.
    pub opened: Timestamp,
    /// How often it was seen.
    pub seen: u32,
    /// Who has to do something about it: the owner of the agent whose key is due, the person whose token it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PersonId>,
    /// Whose doing it is: somebody else closes it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub by: BTreeSet<PersonId>,
    /// When it was settled.
    pub closed: Option<Timestamp>,
}

impl Noun for Finding {
    const KIND: Kind = Kind::Finding;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.subject.clone())
    }
    fn state(&self) -> &'static str {
        if self.closed.is_some() {
            "closed"
        } else {
            "open"
        }
    }
}
