//! Classifiers: what a text holds that somebody must not simply pass on.
//!
//! Text and JSON in, [`Finding`]s with their place out; and the same text with what was found covered. Rules with a
//! checksum first, then structure, then words nearby: a rule that would be wrong more often than one time in twenty is
//! not a rule here. What is found raises labels on a run and redacts results; it never permits anything.
//!
//! Measured on `fixtures/classifiers`, see `docs/reference/classifiers.md`. Knows no noun of ours, no clock, no IO.
//!
//! Sources: ISO/IEC 7812 (card numbers), ISO 13616 (IBAN), ISO 7064 (check characters), each country's own rule (named
//! at the rule), the prefixes that token issuers publish for secret scanning.

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        reason = "tests"
    )
)]

mod bank;
mod card;
mod checksum;
pub mod class;
mod email;
mod injection;
pub mod known;
pub mod limits;
mod national_id;
mod nearby;
mod reading;
pub mod scan;
mod secret;
pub mod value;

pub use class::{Class, Finding};
pub use known::{Known, Pieces};
pub use scan::Classifier;
pub use value::{Cover, ValueFinding};
