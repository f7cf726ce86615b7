//! Control: who decides. People register, change, grant, approve and contain here, and read what there is.
//!
//! Every method is the same walk: load what is there, decide (pure), commit the change with its events, return a view.
//! Agents are refused on every one of them (invariant 5); the operator may only do what concerns the whole instance.
//!
//! Knows the books, the nouns and the ports; no HTTP, no adapter, no other service.
//!
//! | to | go to |
//! | --- | --- |
//! | say who asks, and what they may | [`Caller`] |
//! | know a document's fields | [`spec`] |
//! | change the registry | [`Control::put_agent`] and its siblings, one file a noun |
//! | change it from files | [`Control::plan`], [`Control::apply`] |
//! | let an agent act for a person, and take it back | [`Control::grant_delegation`], [`Control::revoke_delegation`] |
//! | see and decide what waits for people | [`Control::approvals`], [`approval::eligible`] |
//! | stop what goes wrong | [`Control::contain`], [`Control::lift_containment`], [`Control::finalize_due`] |
//! | see what an agent can reach, and why | [`Control::access`], [`Control::explain`], [`Control::why`] |
//! | hold what was recorded against what was signed | [`Control::verify`], [`Control::prove`], [`Control::replay`] |
//! | let time do its work | [`Control::tick`] |

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

mod access;
mod activity;
mod agent;
mod apply;
pub mod approval;
mod audit;
mod authorization_server;
mod bereavement;
mod breaker;
mod bundle;
mod caller;
mod certificate;
mod check;
mod completeness;
mod containment;
mod control;
mod coverage;
mod credential;
mod credentials;
mod decision;
mod declassification;
mod delegation;
mod doctor;
mod documents;
mod draft;
mod enforcement_point;
mod error;
mod exception;
mod facts;
mod finding;
#[cfg(test)]
mod fixture;
mod freeze;
mod gap;
mod hygiene;
mod idp;
mod key;
mod lease;
mod leave;
mod lifecycle;
mod limit;
mod list;
mod names;
mod newest;
mod organization;
mod path;
mod person;
mod plan;
mod policy_set;
mod resolve;
mod run;
mod scim;
mod secret;
mod setting;
mod signal;
mod simulate;
pub mod spec;
mod stop;
mod suggest;
mod suspension;
mod sweep;
mod sync;
mod system;
mod team;
#[cfg(test)]
mod tests;
mod ticket;
mod tool;
mod trusted_issuer;
mod upstream;
mod workflow;

pub use access::{AccessRow, Explained, Hypothetical};
pub use activity::{Activity, Hour, StoryQuery, Use, Uses};
pub use agent::AgentView;
pub use apply::{Applied, AppliedChange};
pub use approval::{
    AgentApprovalView, ApprovalFilter, ApprovalFunnel, ApprovalView, AskView, BySession,
    EscalationView, ForRunView, NoteView, VerdictView, WAIT_SECS_MAX, Watch,
};
pub use audit::{EntryQuery, Gap, GapState, Mismatch, Verification};
pub use authorization_server::AuthorizationServerView;
pub use breaker::BreakerView;
pub use bundle::{
    BundleDiff, BundleView, ClaimResult, NewProposal, ProposalReport, ProposalView, RolledBack,
    SetDiff, ShadowFlip, ShadowReport, StageView,
};
pub use caller::Caller;
pub use completeness::Completeness;
pub use containment::{
    CertificateView, ContainmentView, Preview, PreviewItem, Restored, TargetKind, TargetName,
};
pub use control::{Control, Saved};
pub use coverage::{Covered, TestReport, TestRun};
pub use credential::{CredentialKind, CredentialView, NewCredential, Rotated};
pub use credentials::{Credentials, KeyAge, StandingAccess, TokenAge};
pub use decision::{DecisionView, Replay, Why};
pub use declassification::{
    DeclassificationVerdict, DeclassificationView, LabelView, NewDeclassification, RunLabels,
};
pub use delegation::{
    DelegationFilter, DelegationView, Hop, NewDelegation, PersonTree, Revocation, Revoked,
    TreeFilter,
};
pub use doctor::{Check, Probe};
pub use documents::{DOCUMENTS_BYTES_MAX, DOCUMENTS_MAX, DocumentProblem, check_documents};
pub use enforcement_point::EnforcementPointView;
pub use error::{ControlError, refuse};
pub use exception::{ExceptionView, NewException};
pub use facts::FactView;
pub use finding::{FindingView, finding_change, settle_finding};
pub use freeze::FreezeView;
pub use idp::ProviderView;
pub use key::{KeyView, NewKey, OVERLAP_SECS_MAX};
pub use lease::LeaseView;
pub use leave::Departure;
pub use lifecycle::Transfer;
pub use limit::{LimitReport, LimitUse, LimitView};
pub use list::{Between, ListQuery, Listing};
pub use organization::OrganizationView;
pub use path::AccessPath;
pub use person::PersonView;
pub use plan::{Action, FieldChange, Plan, PlannedChange};
pub use policy_set::{PolicyProblem, PolicySetView, Validation};
pub use run::{
    ApprovedForRun, EndView, EventView, Reader, RunEnded, RunReport, RunStory, RunView, Shred,
};
pub use scim::{
    AgentTold, DirectoryAgent, DirectoryCaller, GroupTold, GroupView, ScimClientSpec,
    ScimClientView, ScimToken, UserTold, UserView,
};
pub use secret::{
    BlastRadius, CanaryMade, NewCanary, NewSecret, SecretValue, SecretVersionView, SecretView,
    VaultKeyView,
};
pub use setting::{SettingQuery, SettingStanding, SettingView, SettingsExplained};
pub use signal::{
    DeadSignalView, SignalDone, SignalHeard, SignalReceiverSpec, SignalReceiverView, SignalToken,
    SignalTransmitterSpec, SignalTransmitterView, StreamView,
};
pub use simulate::{Flip, Simulated, Simulation};
pub use spec::{DocumentKind, schema};
pub use stop::{StopReport, Stopping, plan_stop};
pub use suggest::Suggestion;
pub use sweep::Swept;
pub use sync::{Offer, RefusedToolView, SyncReport};
pub use system::SystemView;
pub use team::{CoverSpec, OnCallView, TeamView};
pub use ticket::{TicketHook, TicketSigned, TicketSpec, TicketView};
pub use tool::ToolView;
pub use trusted_issuer::TrustedIssuerView;
pub use upstream::UpstreamView;
pub use workflow::WorkflowView;
