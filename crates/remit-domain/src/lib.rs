//! The nouns of Remit: what exists, and which change of state is legal.
//!
//! Pure values only: no IO, no clock, no randomness. Time and entropy arrive as arguments. Nothing here knows a
//! database, a wire protocol or a policy language. Start at [`agent`], [`run`] and [`authority`].

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

pub mod agent;
pub mod approval;
pub mod attestation;
pub mod authority;
pub mod authorization_server;
pub mod bounds;
pub mod breaker;
pub mod bundle;
pub mod containment;
pub mod credential;
pub mod declassification;
pub mod delegation;
pub mod directory;
pub mod discovery;
pub mod enforcement_point;
pub mod event;
pub mod exception;
pub mod finding;
pub mod freeze;
pub mod hygiene;
pub mod id;
pub mod idp;
pub mod key;
pub mod lease;
pub mod limit;
pub mod limits;
pub mod name;
pub mod noun;
pub mod organization;
pub mod passkey;
pub mod person;
pub mod policy_set;
pub mod principal;
pub mod refusal;
pub mod registry;
pub mod rota;
pub mod run;
pub mod secret;
pub mod session;
pub mod setting;
pub mod signal;
pub mod standing;
pub mod system;
pub mod ticket;
pub mod time;
pub mod tool;
pub mod trusted_issuer;
pub mod upstream;
pub mod vouch;
pub mod workflow;

pub use agent::Agent;
pub use authorization_server::AuthorizationServer;
pub use enforcement_point::EnforcementPoint;
pub use id::*;
pub use noun::{Kind, Noun};
pub use organization::{Organization, Separation, Team};
pub use person::{Person, Role};
pub use principal::Principal;
pub use refusal::{Refusal, RefusalCode};
pub use registry::Registry;
pub use run::Run;
pub use secret::Secret;
pub use session::{Session, SessionLimits, SignedInBy};
pub use time::Timestamp;
pub use tool::Tool;
pub use trusted_issuer::TrustedIssuer;
pub use upstream::Upstream;
pub use workflow::Workflow;
