//! The command line of Remit: an HTTP client of the server, and what can be done without one.
//!
//! Every answer can be had as table, JSON, YAML or names; exit codes are stable. A token is never an argument. What
//! agents and upstreams wrote is shown so that it cannot move the cursor, hide or reorder anything.
//!
//! Knows the REST interface, the OAuth token endpoint, MCP and the ledger's formats; no store, no service.
//!
//! | to | go to |
//! | --- | --- |
//! | add a command | [`Command`], and a file named as its noun |
//! | change how answers look | `output`, `table` |
//! | change how the server is reached | `connection`, `client` |
//! | verify a copied ledger | `audit`, over `remit_ledger::Verifier` |
//! | follow an MCP message | `mcp` |
//! | give workloads their identities | `workload_api` |
//!
//! Sources: RFC 9457 (problems), RFC 8414, RFC 7523, RFC 6749 (tokens), MCP 2025-11-25 and 2026-07-28, C2SP tlog formats,
//! SPIFFE Workload Endpoint and Workload API.

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
mod agent;
mod api;
mod approval;
mod ask;
mod audit;
mod authorization_server;
mod breaker;
mod client;
mod command;
mod completion;
mod connect;
mod connection;
mod containment;
mod contexts;
mod credential;
mod decision;
mod declassification;
mod delegation;
mod documents;
mod edge;
mod enforcement_point;
mod exception;
mod exit;
mod explain;
mod finding;
mod freeze;
mod idp;
mod input;
mod key;
mod lease;
mod limit;
mod login;
mod mcp;
mod organization;
mod output;
mod person;
mod plan;
mod policy;
mod print;
mod problem;
mod proof;
mod run;
mod scim;
mod secret;
mod session;
mod setting;
mod signal;
mod table;
mod ticket;
mod tool;
mod trusted_issuer;
mod upstream;
mod value;
mod when;
mod workflow;
mod workload_api;

pub use command::{Command, run, run_with};
pub use exit::usage_exit;
pub use print::{print, print_error};
