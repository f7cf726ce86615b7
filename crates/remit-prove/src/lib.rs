//! The prover: claims about policies, asked of an SMT solver (cvc5) through Cedar's symbolic compiler.
//!
//! Implements the port `Prover`; knows no noun and no service. What it is given and gives back is text, so that Cedar's
//! types stay in here and in `remit-policy`. Follows Cedar's symbolic compiler (proved in Lean) and SMT-LIB 2.
//! See docs/decisions/0005-prover.md.

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

mod ask;
mod cvc5;
mod example;
pub mod limits;
#[cfg(test)]
mod tests;

pub use cvc5::Cvc5;
