//! Every way Remit can say no. A refusal is not an error: it is the answer.

use serde::{Deserialize, Serialize};

/// Stable code of a refusal, kebab-case on the wire, mapped to MCP, OAuth and HTTP in one table (`remit-http`).
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
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each variant is the code of the same name; the table in docs/reference explains it"
)]
pub enum RefusalCode {
    Unauthenticated,
    ProofInvalid,
    Forbidden,
    NotFound,
    Conflict,
    InvalidRequest,
    AgentNotActive,
    NoAccountablePerson,
    WorkflowUnknown,
    RunUnknown,
    RunEnded,
    AttestationRequired,
    AttestationMismatch,
    WitSvidOff,
    ChainBroken,
    ChainTooDeep,
    DelegationLoop,
    Wider,
    Contained,
    SnapshotStale,
    UnknownMethod,
    ToolUnknown,
    ToolDisabled,
    ToolChanged,
    ArgumentsInvalid,
    Denied,
    ApprovalRequired,
    ApprovalPending,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalCancelled,
    ApprovalStale,
    ApprovalUsed,
    ApprovalWithdrawn,
    Ambiguous,
    LimitExceeded,
    Limited,
    LedgerUnavailable,
    CredentialUnavailable,
    UpstreamUnreachable,
    UpstreamInvalid,
    TooLarge,
    Timeout,
    Cancelled,
}

impl RefusalCode {
    /// Every code.
    pub const ALL: [Self; 44] = [
        Self::Unauthenticated,
        Self::ProofInvalid,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::InvalidRequest,
        Self::AgentNotActive,
        Self::NoAccountablePerson,
        Self::WorkflowUnknown,
        Self::RunUnknown,
        Self::RunEnded,
        Self::AttestationRequired,
        Self::AttestationMismatch,
        Self::WitSvidOff,
        Self::ChainBroken,
        Self::ChainTooDeep,
        Self::DelegationLoop,
        Self::Wider,
        Self::Contained,
        Self::SnapshotStale,
        Self::UnknownMethod,
        Self::ToolUnknown,
        Self::ToolDisabled,
        Self::ToolChanged,
        Self::ArgumentsInvalid,
        Self::Denied,
        Self::ApprovalRequired,
        Self::ApprovalPending,
        Self::ApprovalDenied,
        Self::ApprovalExpired,
        Self::ApprovalCancelled,
        Self::ApprovalStale,
        Self::ApprovalUsed,
        Self::ApprovalWithdrawn,
        Self::Ambiguous,
        Self::LimitExceeded,
        Self::Limited,
        Self::LedgerUnavailable,
        Self::CredentialUnavailable,
        Self::UpstreamUnreachable,
        Self::UpstreamInvalid,
        Self::TooLarge,
        Self::Timeout,
        Self::Cancelled,
    ];

    /// The code as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::ProofInvalid => "proof-invalid",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::InvalidRequest => "invalid-request",
            Self::AgentNotActive => "agent-not-active",
            Self::NoAccountablePerson => "no-accountable-person",
            Self::WorkflowUnknown => "workflow-unknown",
            Self::RunUnknown => "run-unknown",
            Self::RunEnded => "run-ended",
            Self::AttestationRequired => "attestation-required",
            Self::AttestationMismatch => "attestation-mismatch",
            Self::WitSvidOff => "wit-svid-off",
            Self::ChainBroken => "chain-broken",
            Self::ChainTooDeep => "chain-too-deep",
            Self::DelegationLoop => "delegation-loop",
            Self::Wider => "wider",
            Self::Contained => "contained",
            Self::SnapshotStale => "snapshot-stale",
            Self::UnknownMethod => "unknown-method",
            Self::ToolUnknown => "tool-unknown",
            Self::ToolDisabled => "tool-disabled",
            Self::ToolChanged => "tool-changed",
            Self::ArgumentsInvalid => "arguments-invalid",
            Self::Denied => "denied",
            Self::ApprovalRequired => "approval-required",
            Self::ApprovalPending => "approval-pending",
            Self::ApprovalDenied => "approval-denied",
            Self::ApprovalExpired => "approval-expired",
            Self::ApprovalCancelled => "approval-cancelled",
            Self::ApprovalStale => "approval-stale",
            Self::ApprovalUsed => "approval-used",
            Self::ApprovalWithdrawn => "approval-withdrawn",
            Self::Ambiguous => "ambiguous",
            Self::LimitExceeded => "limit-exceeded",
            Self::Limited => "limited",
            Self::LedgerUnavailable => "ledger-unavailable",
            Self::CredentialUnavailable => "credential-unavailable",
            Self::UpstreamUnreachable => "upstream-unreachable",
            Self::UpstreamInvalid => "upstream-invalid",
            Self::TooLarge => "too-large",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Refusal {
    /// Stable code.
    pub code: RefusalCode,
    /// What the caller may learn: what, why, what to do; one line, no secret, nothing of another organization.
    pub text: String,
}

impl Refusal {
    /// A refusal with its public text.
    pub fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}
