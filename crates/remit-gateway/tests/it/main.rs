//! The walk of a call, over a store in memory and an upstream that counts what reached it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod approvals;
mod containment;
mod content;
mod effects;
mod flow;
mod for_run;
mod lists;
mod methods;
mod refusals;
mod regressions;
mod settings;
mod world;
