//! End to end: the real binary, real MCP servers, the official clients, both databases.
//!
//! What is needed beside the binary is installed by `scripts/setup.sh test`, which writes where it is to the environment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod bad_input;
mod browser;
mod bundle_endpoint;
mod cedarpy;
mod certificates;
mod client_documents;
mod clients;
mod command_line;
mod conformance;
mod crash;
mod delegations;
mod demo;
mod envoy;
mod faults;
mod federation;
mod first_hour;
mod furnish;
mod hops;
mod identity_assertions;
mod limits;
mod mutual_tls;
mod nodes;
mod oauth;
mod policies;
mod process;
mod questions;
mod real_servers;
mod scim;
mod secrets;
mod server;
mod shredded;
mod sign_in;
mod signals;
mod signals_between;
mod strangers;
mod upstream_tokens;
mod workloads;
mod wrap;
