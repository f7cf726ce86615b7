//! The decision: Cedar schema, guardrails, evaluation with reasons.
//!
//! A decision is a pure function of [`Facts`] under one compiled `Engine`: no clock, no IO, no randomness. This is
//! the only crate that knows Cedar; it knows no store, no wire protocol and nobody's approval. Start at
//! `Engine::decide` and `guardrails.cedar`.
//!
//! Follows the Cedar policy language (version 4) and RFC 8785 for content addresses.

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

pub mod decision;
mod digest;
pub mod error;
pub mod facts;
pub mod limits;

pub use decision::{Decision, Outcome, Reason};
pub use error::FactsError;
pub use facts::{Dynamic, Facts, Fixed};
pub use limits::Reservation;
