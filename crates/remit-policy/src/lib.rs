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
pub mod decision;
mod digest;
pub mod engine;
mod entities;
pub mod error;
pub mod explain;
pub mod facts;
pub mod labels;
pub mod limits;
mod load;
mod quick;
pub mod reserve;
mod schema;
mod slice;
mod validate;

pub use decision::{Decision, Outcome, Reason};
pub use engine::{Engine, Prepared};
pub use error::{ArgProblem, ArgsError, FactsError, PolicyError, Problem};
pub use explain::{Access, Explanation, PolicyNote};
pub use facts::{Dynamic, Facts, Fixed};
pub use load::PolicySource;
pub use reserve::Reservation;
