//! What every stored noun has in common: a kind, an id, and the few values that a store indexes.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The kind of a stored record. The text is a wire word and a column value: never renamed.
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
#[expect(missing_docs, reason = "each variant is the noun of the same name")]
pub enum Kind {
    Organization,
    Team,
    Person,
    System,
    Agent,
    AgentKey,
    Workflow,
    Upstream,
    Tool,
    Run,
    Delegation,
    Token,
    Svid,
    PersonToken,
    Enrolment,
    Approval,
    Containment,
    Finding,
    PolicySet,
    PolicyBundle,
    PolicyProposal,
    PolicyStage,
    PolicyException,
    SigningKey,
    ShredKey,
    Setting,
    Limit,
    Freeze,
    Ticket,
    Breaker,
    Session,
    Passkey,
    IdentityProvider,
    EnforcementPoint,
    Declassification,
    ScimClient,
    DirectoryGroup,
    TrustedIssuer,
    AuthorizationServer,
    CredentialUse,
    SignalReceiver,
    SignalStream,
    SignalProgress,
    DeadSignal,
    SignalTransmitter,
    Secret,
    SealedSecret,
    VaultKey,
    Lease,
    RefreshTurn,
}

impl Kind {
    /// The kind as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team => "team",
            Self::Person => "person",
            Self::System => "system",
            Self::Agent => "agent",
            Self::AgentKey => "agent_key",
            Self::Workflow => "workflow",
            Self::Upstream => "upstream",
            Self::Tool => "tool",
            Self::Run => "run",
            Self::Delegation => "delegation",
            Self::Token => "token",
            Self::Svid => "svid",
            Self::PersonToken => "person_token",
            Self::Enrolment => "enrolment",
            Self::Approval => "approval",
            Self::Containment => "containment",
            Self::Finding => "finding",
            Self::PolicySet => "policy_set",
            Self::PolicyBundle => "policy_bundle",
            Self::PolicyProposal => "policy_proposal",
            Self::PolicyStage => "policy_stage",
            Self::PolicyException => "policy_exception",
            Self::SigningKey => "signing_key",
            Self::ShredKey => "shred_key",
            Self::Setting => "setting",
            Self::Limit => "limit",
            Self::Freeze => "freeze",
            Self::Ticket => "ticket",
            Self::Breaker => "breaker",
            Self::Session => "session",
            Self::Passkey => "passkey",
            Self::IdentityProvider => "identity_provider",
            Self::EnforcementPoint => "enforcement_point",
            Self::Declassification => "declassification",
            Self::ScimClient => "scim_client",
            Self::DirectoryGroup => "directory_group",
            Self::TrustedIssuer => "trusted_issuer",
            Self::AuthorizationServer => "authorization_server",
            Self::CredentialUse => "credential_use",
            Self::SignalReceiver => "signal_receiver",
            Self::SignalStream => "signal_stream",
            Self::SignalProgress => "signal_progress",
            Self::DeadSignal => "dead_signal",
            Self::SignalTransmitter => "signal_transmitter",
            Self::Secret => "secret",
            Self::SealedSecret => "sealed_secret",
            Self::VaultKey => "vault_key",
            Self::Lease => "lease",
            Self::RefreshTurn => "refresh_turn",
        }
    }

    /// Every kind, in a fixed order.
    pub const ALL: [Self; 50] = [
        Self::Organization,
        Self::Team,
        Self::Person,
        Self::System,
        Self::Agent,
        Self::AgentKey,
        Self::Workflow,
        Self::Upstream,
        Self::Tool,
        Self::Run,
        Self::Delegation,
        Self::Token,
        Self::Svid,
        Self::PersonToken,
        Self::Enrolment,
        Self::Approval,
        Self::Containment,
        Self::Finding,
        Self::PolicySet,
        Self::PolicyBundle,
        Self::PolicyProposal,
        Self::PolicyStage,
        Self::PolicyException,
        Self::SigningKey,
        Self::ShredKey,
        Self::Setting,
        Self::Limit,
        Self::Freeze,
        Self::Ticket,
        Self::Breaker,
        Self::Session,
        Self::Passkey,
        Self::IdentityProvider,
        Self::EnforcementPoint,
        Self::Declassification,
        Self::ScimClient,
        Self::DirectoryGroup,
        Self::TrustedIssuer,
        Self::AuthorizationServer,
        Self::CredentialUse,
        Self::SignalReceiver,
        Self::SignalStream,
        Self::SignalProgress,
        Self::DeadSignal,
        Self::SignalTransmitter,
        Self::Secret,
        Self::SealedSecret,
        Self::VaultKey,
        Self::Lease,
        Self::RefreshTurn,
    ];

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A value that a store keeps as one record, with an id, a revision and a few indexed words.
pub trait Noun: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The kind of record.
    const KIND: Kind;

    /// The record's id, unique within (organization, kind), never reused.
    fn key(&self) -> String;

    /// The name it is also found by, unique within (organization, kind) and never reused, retired ones included.
    fn name(&self) -> Option<String> {
        None
    }

    /// The record this one belongs to (the agent of a workflow, the run of an approval), for listing.
    fn parent(&self) -> Option<String> {
        None
    }

    /// The word of its state, for listing.
    fn state(&self) -> &'static str {
        "active"
    }
}
