//! The decision: Cedar schema, guardrails, evaluation with reasons.
//!
//! A decision is a pure function of [`Facts`] under one compiled [`Engine`]: no clock, no IO, no randomness. This is
//! the only crate that knows Cedar; it knows no store, no wire protocol and nobody's approval. Start at
//! [`Engine::decide`] and `guardrails.cedar`.
//!
//! Follows the Cedar policy language (version 4), JSON Schema 2020-12 for arguments and RFC 8785 for content addresses.

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

mod args;
mod ask;
mod breaches;
mod bundle;
pub mod decision;
mod digest;
pub mod engine;
mod entities;
pub mod error;
mod except;
pub mod explain;
pub mod facts;
pub mod hop;
pub mod labels;
mod limit;
pub mod limits;
mod load;
pub mod prove;
mod quick;
pub mod reserve;
mod schema;
mod setting;
mod slice;
mod sources;
pub mod test_case;
mod validate;

pub use bundle::{bundle_version, format, only_tightens};
pub use decision::{Decision, Outcome, Reason};
pub use engine::{Engine, Portable, Prepared};
pub use error::{ArgProblem, ArgsError, FactsError, PolicyError, Problem};
pub use except::ExceptionSource;
pub use explain::{Access, Explanation, Guardrail, PolicyNote, guardrails};
pub use facts::{Dynamic, Facts, Fixed};
pub use hop::{HopAction, HopFacts, HopKind};
pub use limit::agents;
pub use load::PolicySource;
pub use reserve::Reservation;
pub use schema::{FactNote, fact_table, hop_fact_table, hop_schema_text};
pub use setting::Obligation;
pub use sources::{ExceptionText, SetText, Sources};
