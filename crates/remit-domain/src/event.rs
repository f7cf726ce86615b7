//! Events: what happened, on its way to becoming a ledger entry.
//!
//! `facts` go into the leaf in clear and therefore hold only opaque ids, hashes, codes and numbers; `content` is
//! committed to and kept sealed (invariant 9).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AgentId, DecisionId, Principal, RunId, Timestamp};

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What happened, past tense; a wire word, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[expect(missing_docs, reason = "each variant is the event of the same name")]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl EventKind {
            /// Every kind of event.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The kind as its stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

event_kinds! {
    OrganizationCreated = "organization.created",
    OrganizationChanged = "organization.changed",
    LooseningRequested = "organization.loosening_requested",
    LooseningWithdrawn = "organization.loosening_withdrawn",
    OrganizationLoosened = "organization.loosened",
    TeamCreated = "team.created",
    TeamChanged = "team.changed",
    PersonCreated = "person.created",
    PersonChanged = "person.changed",
    PersonSuspended = "person.suspended",
    PersonResumed = "person.resumed",
    PersonLeft = "person.left",
    PersonEnrolled = "person.enrolled",
    PersonVouched = "person.vouched",
    PersonNarrowed = "person.narrowed",
    EnrolmentRevoked = "enrolment.revoked",
    PersonTokenCreated = "person_token.created",
    PersonTokenRevoked = "person_token.revoked",
    SessionOpened = "session.opened",
    SessionEnded = "session.ended",
    SessionSteppedUp = "session.stepped_up",
    PasskeyAdded = "passkey.added",
    PasskeyRenamed = "passkey.renamed",
    PasskeyRemoved = "passkey.removed",
    PasskeyCloned = "passkey.cloned",
    IdentityProviderChanged = "identity_provider.changed",
    ScimClientChanged = "scim_client.changed",
    ScimClientTokenMade = "scim_client.token_made",
    ScimClientTokenEnded = "scim_client.token_ended",
    ScimClientRevoked = "scim_client.revoked",
    DirectoryGroupChanged = "directory_group.changed",
    DirectoryGroupRemoved = "directory_group.removed",
    SystemCreated = "system.created",
    SystemChanged = "system.changed",
    AgentRegistered = "agent.registered",
    AgentChanged = "agent.changed",
    AgentActivated = "agent.activated",
    AgentSuspended = "agent.suspended",
    AgentQuarantined = "agent.quarantined",
    AgentRetired = "agent.retired",
    AgentTransferred = "agent.transferred",
    AgentKeyAdded = "agent_key.added",
    AgentKeyReplaced = "agent_key.replaced",
    AgentKeyRemoved = "agent_key.removed",
    ClientCertificateWithheld = "client_certificate.withheld",
    WorkflowCreated = "workflow.created",
    WorkflowChanged = "workflow.changed",
    GrantAdded = "grant.added",
    GrantRevoked = "grant.revoked",
    UpstreamCreated = "upstream.created",
    UpstreamChanged = "upstream.changed",
    UpstreamSynced = "upstream.synced",
    ToolFound = "tool.found",
    ToolClassified = "tool.classified",
    ToolChanged = "tool.changed",
    ToolApproved = "tool.approved",
    ToolDisabled = "tool.disabled",
    PolicySetChanged = "policy_set.changed",
    SettingChanged = "setting.changed",
    LimitChanged = "limit.changed",
    FreezeChanged = "freeze.changed",
    EnforcementPointChanged = "enforcement_point.changed",
    EnforcementPointDisabled = "enforcement_point.disabled",
    EnforcementPointTokenIssued = "enforcement_point_token.issued",
    TrustedIssuerChanged = "trusted_issuer.changed",
    TrustedIssuerDisabled = "trusted_issuer.disabled",
    TrustedIssuerBundleChanged = "trusted_issuer.bundle_changed",
    AuthorizationServerChanged = "authorization_server.changed",
    AuthorizationServerDisabled = "authorization_server.disabled",
    IdJagIssued = "id_jag.issued",
    TicketChanged = "ticket.changed",
    BreakerChanged = "breaker.changed",
    BreakerTripped = "breaker.tripped",
    PolicyProposed = "policy.proposed",
    PolicyProved = "policy.proved",
    PolicyApproved = "policy.approved",
    PolicyRejected = "policy.rejected",
    PolicyStaged = "policy.staged",
    PolicyUnstaged = "policy.unstaged",
    PolicyEnforced = "policy.enforced",
    PolicyRolledBack = "policy.rolled_back",
    ExceptionRequested = "exception.requested",
    ExceptionApproved = "exception.approved",
    ExceptionRevoked = "exception.revoked",
    DeclassificationRequested = "declassification.requested",
    DeclassificationApproved = "declassification.approved",
    DeclassificationRefused = "declassification.refused",
    DelegationGranted = "delegation.granted",
    DelegationRefused = "delegation.refused",
    DelegationRevoked = "delegation.revoked",
    TokenIssued = "token.issued",
    TokenExchanged = "token.exchanged",
    TokenRevoked = "token.revoked",
    SvidIssued = "svid.issued",
    SvidWithdrawn = "svid.withdrawn",
    AuthenticationRefused = "authentication.refused",
    RunStarted = "run.started",
    RunEnded = "run.ended",
    CallDecided = "call.decided",
    CallRefused = "call.refused",
    CallCompleted = "call.completed",
    CallGap = "call.gap",
    RefusalsCounted = "refusals.counted",
    ApprovalRequested = "approval.requested",
    ApprovalQuestioned = "approval.questioned",
    ApprovalAnswered = "approval.answered",
    ApprovalGiven = "approval.given",
    ApprovalClaimed = "approval.claimed",
    ApprovalReleased = "approval.released",
    ApprovalEscalated = "approval.escalated",
    ApprovalWithdrawn = "approval.withdrawn",
    ApprovalDecided = "approval.decided",
    ApprovalSettled = "approval.settled",
    ContainmentOrdered = "containment.ordered",
    ContainmentWithdrawn = "containment.withdrawn",
    Contained = "containment.contained",
    ContainmentCertified = "containment.certified",
    ContainmentLifted = "containment.lifted",
    SignalReceiverChanged = "signal_receiver.changed",
    SignalReceiverRevoked = "signal_receiver.revoked",
    SignalTokenMade = "signal_token.made",
    SignalTokenEnded = "signal_token.ended",
    SignalStreamChanged = "signal_stream.changed",
    SignalTransmitterChanged = "signal_transmitter.changed",
    SignalTransmitterRevoked = "signal_transmitter.revoked",
    SignalHeard = "signal.heard",
    SignalGivenUp = "signal.given_up",
    SignalRetried = "signal.retried",
    FindingOpened = "finding.opened",
    FindingClosed = "finding.closed",
    SigningKeyCreated = "signing_key.created",
    SigningKeyRetired = "signing_key.retired",
    LeaseIssued = "lease.issued",
    LeaseRevoked = "lease.revoked",
    LeaseExpired = "lease.expired",
    LeaseGivenUp = "lease.given_up",
    SecretSet = "secret.set",
    SecretRolledBack = "secret.rolled_back",
    SecretDisabled = "secret.disabled",
    SecretEnabled = "secret.enabled",
    SecretDeleted = "secret.deleted",
    VaultKeyCreated = "vault_key.created",
    VaultKeyDestroyed = "vault_key.destroyed",
    ContentShredded = "content.shredded",
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Principal,
    /// The record it happened to (an id); absent for events about nothing else than their refs.
    pub subject: Option<String>,
    /// The agent it concerns.
    pub agent: Option<AgentId>,
    /// The run it concerns.
    pub run: Option<RunId>,
    /// The decision it concerns.
    pub decision: Option<DecisionId>,
    /// Opaque ids, hashes, codes and numbers; in the leaf, in clear.
    pub facts: BTreeMap<String, Value>,
    /// Everything that names, describes or quotes: committed to, kept sealed.
    pub content: BTreeMap<String, Value>,
    /// Whose destruction key seals the content: a run, person, agent or the organization itself.
    pub shred_scope: String,
}

impl Event {
    /// An event with nothing but kind, time and actor, sealed under the organization's own scope.
    pub fn new(kind: EventKind, at: Timestamp, actor: Principal) -> Self {
        Self {
            kind,
            at,
            actor,
            subject: None,
            agent: None,
            run: None,
            decision: None,
            facts: BTreeMap::new(),
            content: BTreeMap::new(),
            shred_scope: "organization".to_owned(),
        }
    }

    /// With the record it happened to.
    #[must_use]
    pub fn about(mut self, subject: impl ToString) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// With the agent it concerns.
    #[must_use]
    pub fn agent(mut self, agent: &AgentId) -> Self {
        self.agent = Some(agent.clone());
        self
    }

    /// With the run it concerns; its content is sealed under the run's scope.
    #[must_use]
    pub fn run(mut self, run: &RunId) -> Self {
        self.run = Some(run.clone());
        self.shred_scope = run.to_string();
        self
    }

    /// With the decision it concerns.
    #[must_use]
    pub fn decision(mut self, decision: &DecisionId) -> Self {
        self.decision = Some(decision.clone());
        self
    }

    /// With a fact in clear: an opaque id, a hash, a code or a number.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Serialize) -> Self {
        self.facts.insert(
            name.to_owned(),
            serde_json::to_value(value).unwrap_or(Value::Null),
        );
        self
    }

    /// With sealed content.
    #[must_use]
    pub fn content(mut self, name: &str, value: impl Serialize) -> Self {
        self.content.insert(
            name.to_owned(),
            serde_json::to_value(value).unwrap_or(Value::Null),
        );
        self
    }
}
